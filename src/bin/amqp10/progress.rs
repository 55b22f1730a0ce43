//! A progress bar on a terminal, nothing anywhere else.

use std::fmt::Write;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// How far a command is.
pub struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A bar with an end if `total` is known. None where stderr is no terminal, or where it would be drawn into the output.
    pub fn start(total: Option<u64>, output_is_long: bool) -> Self {
        let is_seen =
            std::io::stderr().is_terminal() && !(output_is_long && std::io::stdout().is_terminal());
        Self {
            bar: is_seen.then(|| bar(total)),
        }
    }

    /// Has reached `messages`. Cheap enough to be called for each message: the bar draws itself a few times a second.
    pub fn reach(&self, messages: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(messages);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{bar:40} {human_pos} of {human_len} messages, {rate}, {eta} left",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {human_pos} messages in {elapsed}, {rate}",
        ),
    };
    // A template that does not parse costs the words, not the bar.
    if let Ok(style) = ProgressStyle::with_template(template) {
        let rate = |state: &ProgressState, out: &mut dyn Write| {
            // Drawing into a text cannot fail.
            let _ = write!(out, "{:.0}/s", state.per_sec());
        };
        bar.set_style(style.with_key("rate", rate));
    }
    bar
}
