//! What the library says while a test runs.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, OnceLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Level, Metadata, Subscriber};

/// Writes down whatever this crate and its tests say, at every level.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Line>>>);

#[derive(Clone)]
struct Line {
    text: String,
    /// It is a warning or worse, or has a field `error`.
    is_error: bool,
}

/// As long as there is one subscriber alone, a place in the code that another test's thread comes by first is silent for good:
/// that thread has no subscriber.
static COMPANIONS: OnceLock<[Dispatch; 2]> = OnceLock::new();

impl Log {
    pub fn new() -> Self {
        COMPANIONS.get_or_init(|| [(); 2].map(|()| Dispatch::new(Self::default())));
        Self::default()
    }

    pub fn text(&self) -> String {
        self.lines(|_| true)
    }

    /// The lines that tell of an error.
    pub fn errors(&self) -> String {
        self.lines(|line| line.is_error)
    }

    fn lines(&self, is_wanted: impl Fn(&Line) -> bool) -> String {
        let lines = self.0.lock().unwrap();
        let wanted = lines.iter().filter(|line| is_wanted(line));
        wanted.map(|line| format!("{}\n", line.text)).collect()
    }

    fn write(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut dyn Visit)) {
        // Of others only what this crate has them say.
        let target = metadata.target();
        if !target.starts_with("amqp10") && !target.starts_with("it::") {
            return;
        }
        let mut line = Line {
            text: format!("{}:", metadata.name()),
            is_error: *metadata.level() <= Level::WARN,
        };
        record(&mut line);
        self.0.lock().unwrap().push(line);
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.is_error |= field.name() == "error";
        write!(self.text, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.write(span.metadata(), |line| span.record(line));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        self.write(event.metadata(), |line| event.record(line));
    }
}
