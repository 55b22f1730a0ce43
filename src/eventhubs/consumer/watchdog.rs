//! Notices a link that has gone silent: it lives, and brings nothing though there is something to bring.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::ENDLESS;
use super::source::Source;
use crate::eventhubs::properties::PartitionProperties;

/// A link that was made anew and brings nothing either is suspected ever more rarely: the interval doubles this often.
const LARGEST_DOUBLING: u32 = 4;

/// Watches one consumer's link while the consumer waits for an event; time in which nobody waits does not count.
pub(super) struct Watchdog {
    source: Arc<Source>,
    interval: Option<Duration>,
    watch: Watch,
    /// Kept, as setting it anew costs little.
    timer: Option<Pin<Box<Sleep>>>,
    /// Since when nothing has come.
    quiet_since: Instant,
    /// Links made anew that brought nothing, in a row.
    in_vain: u32,
}

enum Watch {
    /// An event has come, or the link is new.
    Content,
    /// Nothing has come for less than the interval.
    Quiet,
    /// For longer: is there anything?
    Asking(Pin<Box<dyn Future<Output = Option<PartitionProperties>> + Send>>),
    /// There is. It may be on its way for a little while.
    Suspicious,
}

impl Watchdog {
    pub(super) fn new(source: Arc<Source>) -> Self {
        Self {
            interval: source.options.watchdog,
            source,
            watch: Watch::Content,
            timer: None,
            quiet_since: Instant::now(),
            in_vain: 0,
        }
    }

    /// An event came.
    pub(super) fn event_came(&mut self) {
        self.watch = Watch::Content;
        self.in_vain = 0;
    }

    /// The next link is watched anew; a question about this one, which nobody would poll, is given up.
    pub(super) fn link_is_gone(&mut self) {
        self.watch = Watch::Content;
    }

    /// To be called whenever the link has nothing. Resolves, with how long it brought nothing, when it is silent; `is_behind`
    /// says whether it should have brought something from a partition with these properties.
    pub(super) fn poll_silent(
        &mut self,
        context: &mut Context<'_>,
        is_behind: impl Fn(&PartitionProperties) -> bool,
    ) -> Poll<Duration> {
        let Some(interval) = self.interval else {
            return Poll::Pending;
        };
        loop {
            match &mut self.watch {
                Watch::Content => {
                    self.quiet_since = Instant::now();
                    self.look_again(interval);
                }
                Watch::Quiet => {
                    ready!(self.poll_timer(context));
                    let source = self.source.clone();
                    self.watch = Watch::Asking(Box::pin(async move { source.properties().await }));
                }
                Watch::Asking(answer) => match ready!(answer.as_mut().poll(context)) {
                    Some(properties) if is_behind(&properties) => {
                        self.watch = Watch::Suspicious;
                        self.set_timer(interval / 4);
                    }
                    _ => self.look_again(interval),
                },
                Watch::Suspicious => {
                    ready!(self.poll_timer(context));
                    self.watch = Watch::Content;
                    self.in_vain = (self.in_vain + 1).min(LARGEST_DOUBLING);
                    return Poll::Ready(self.quiet_since.elapsed());
                }
            }
        }
    }

    /// Spread, so that consumers that were made together do not ask together.
    fn look_again(&mut self, interval: Duration) {
        let spread = (self.source.namespace.random() % 256) as u32;
        let interval = interval.saturating_mul(1 << self.in_vain);
        self.set_timer(interval.saturating_add((interval / 1024).saturating_mul(spread)));
        self.watch = Watch::Quiet;
    }

    fn set_timer(&mut self, pause: Duration) {
        let at = Instant::now() + pause.min(ENDLESS);
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(at),
            None => self.timer = Some(Box::pin(sleep_until(at))),
        }
    }

    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(context),
            None => Poll::Ready(()),
        }
    }
}
