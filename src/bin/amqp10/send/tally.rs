//! What became of the messages that were sent.

use std::io::Write;
use std::time::{Duration, Instant};

use amqp10::{AmqpError, Outcome};
use serde_json::json;

use crate::failure::Failure;

/// Counts of messages, and why the last one was refused.
pub struct Tally {
    settled: bool,
    /// When the link was there; None as long as there is nothing to sum up.
    start: Option<Instant>,
    pub sent: u64,
    accepted: u64,
    rejected: u64,
    released: u64,
    modified: u64,
    reason: Option<String>,
}

impl Tally {
    pub fn new(settled: bool) -> Self {
        Self {
            settled,
            start: None,
            sent: 0,
            accepted: 0,
            rejected: 0,
            released: 0,
            modified: 0,
            reason: None,
        }
    }

    /// The link is there: from now on time counts.
    pub fn start(&mut self) {
        self.start.get_or_insert_with(Instant::now);
    }

    /// That many messages had this outcome.
    pub fn count(&mut self, messages: u64, outcome: &Outcome) {
        match outcome {
            Outcome::Accepted => self.accepted += messages,
            Outcome::Rejected(rejected) => {
                self.rejected += messages;
                let reason = rejected.error.as_deref().map(describe);
                self.reason = Some(reason.unwrap_or_else(|| "none was given".to_owned()));
            }
            Outcome::Released => self.released += messages,
            Outcome::Modified(_) => self.modified += messages,
            // Only a coordinator declares, and nobody asks it to.
            Outcome::Declared(_) => {}
        }
    }

    /// Messages that were sent and whose outcome is not known.
    pub fn unknown(&self) -> u64 {
        let known = self.accepted + self.rejected + self.released + self.modified;
        self.sent.saturating_sub(known)
    }

    /// Prints the summary on stdout, if sending ever began.
    pub fn print(&self, as_json: bool) -> Result<(), Failure> {
        let Some(start) = self.start else {
            return Ok(());
        };
        let elapsed = start.elapsed();
        let line = if as_json {
            self.as_json(elapsed)
        } else {
            self.as_text(elapsed)
        };
        writeln!(std::io::stdout(), "{line}").map_err(Failure::output)
    }

    fn as_json(&self, elapsed: Duration) -> String {
        let seconds = (elapsed.as_secs_f64() * 1e6).round() / 1e6;
        json!({
            "sent": self.sent,
            "accepted": (!self.settled).then_some(self.accepted),
            "rejected": self.rejected,
            "released": self.released,
            "modified": self.modified,
            "seconds": seconds,
        })
        .to_string()
    }

    fn as_text(&self, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64();
        let rate = (self.sent as f64 / seconds).round();
        let sent = format!("sent {} messages in {seconds:.2} s ({rate}/s)", self.sent);
        if self.settled {
            return format!("{sent}, settled");
        }
        let mut text = format!("{sent}: {} accepted", self.accepted);
        for (count, outcome) in self.other_outcomes() {
            text += &format!(", {count} {outcome}");
        }
        text
    }

    fn other_outcomes(&self) -> impl Iterator<Item = (u64, &'static str)> {
        let unknown = if self.settled { 0 } else { self.unknown() };
        [
            (self.rejected, "rejected"),
            (self.released, "released"),
            (self.modified, "modified"),
            (unknown, "with an unknown outcome"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
    }

    /// Whether all messages were accepted; for settled ones, that they were sent is all.
    pub fn verdict(&self) -> Result<(), Failure> {
        if self.settled || self.accepted == self.sent {
            return Ok(());
        }
        let others: Vec<_> = self
            .other_outcomes()
            .map(|(count, outcome)| format!("{count} {outcome}"))
            .collect();
        let mut message = format!(
            "{} of {} messages were not accepted: {}",
            self.sent - self.accepted,
            self.sent,
            others.join(", ")
        );
        if let Some(reason) = &self.reason {
            message += &format!("; the last reason: {reason}");
        }
        Err(Failure::new(message))
    }
}

fn describe(error: &AmqpError) -> String {
    match &error.description {
        Some(description) => format!("{}: {description}", error.condition),
        None => error.condition.to_string(),
    }
}
