//! What was said in a case, octet by octet.

use std::fmt::{self, Write as _};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// Octets of one entry that are kept; of more only the number is.
const KEPT: usize = 4096;
/// Entries of one case that are kept: a peer that never stops talking does not fill the memory.
const ENTRIES: usize = 2000;

/// Everything that a case said and heard, in order: enough to say it again by hand.
#[derive(Clone, Debug)]
pub struct Record {
    started: Instant,
    entries: Vec<Entry>,
}

/// One thing that was said or heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Time since the case began.
    pub at: Duration,
    /// Number of the connection within the case, from 1.
    pub connection: usize,
    /// Who said it.
    pub direction: Direction,
    /// What it is: a header, a frame by its name, or octets.
    pub what: String,
    /// As they were on the wire, within TLS if there is any. Octets that hold a password are left out.
    pub octets: Bytes,
}

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// This program, to the peer that is tested.
    Sent,
    /// The peer that is tested.
    Received,
}

impl Record {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            entries: Vec::new(),
        }
    }

    /// What was said and heard, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn add(
        &mut self,
        connection: usize,
        direction: Direction,
        what: impl Into<String>,
        octets: &[u8],
    ) {
        if self.entries.len() >= ENTRIES {
            return;
        }
        let mut what = what.into();
        if octets.len() > KEPT {
            let _ = write!(what, " (the first {KEPT} of {} octets)", octets.len());
        }
        self.entries.push(Entry {
            at: self.started.elapsed(),
            connection,
            direction,
            what,
            octets: Bytes::copy_from_slice(&octets[..octets.len().min(KEPT)]),
        });
    }
}

impl Entry {
    /// The octets in hexadecimal digits.
    pub fn hex(&self) -> String {
        hex(&self.octets)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = match self.direction {
            Direction::Sent => "->",
            Direction::Received => "<-",
        };
        let milliseconds = self.at.as_millis();
        write!(
            f,
            "{milliseconds:>6} ms #{} {arrow} {}",
            self.connection, self.what
        )?;
        match self.octets.is_empty() {
            true => Ok(()),
            false => write!(f, ": {}", self.hex()),
        }
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}
