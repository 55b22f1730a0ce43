//! A progress bar on a terminal, nothing anywhere else.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

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

    /// Has reached `messages`. Cheap enough to be called for each message.
    pub fn reach(&self, messages: u64) {
        if let Some(bar) = &self.bar
            && messages.is_multiple_of(64)
        {
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
            "{bar:40} {human_pos} of {human_len} messages, {per_sec}, {eta} left",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {human_pos} messages in {elapsed}, {per_sec}",
        ),
    };
    // A template that does not parse costs the words, not the bar.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
