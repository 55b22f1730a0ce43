//! What the parts of the engine may write to, beside their own state.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::key::Key;
use super::limits::Limits;
use super::output::Output;
use super::quota::Quotas;
use super::violation::PeerFault;
use super::wait::{Wakes, Watchers};
use crate::error::Violation;

/// Names one link of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LinkKey {
    pub(crate) session: Key,
    pub(crate) link: Key,
}

/// Shared by all parts of one engine, and handed down by reference.
#[derive(Debug)]
pub(crate) struct Effects {
    pub(crate) output: Output,
    pub(crate) wakes: Wakes,
    /// Payloads to be dropped once the lock is released: they may own foreign memory.
    pub(crate) garbage: Vec<Bytes>,
    /// Sessions with something to flush.
    pub(crate) due_sessions: Vec<Key>,
    /// Links that a peer attached and nobody has accepted yet, with the time of their attach.
    pub(crate) pending_links: VecDeque<(LinkKey, Instant)>,
    /// Who waits for such a link.
    pub(crate) pending_watchers: Watchers,
    /// Who waits until nothing that was sent is unsettled.
    pub(crate) settled_watchers: Watchers,
    /// A delivery was tied to a transaction, and that is not written yet.
    pub(crate) has_retirements: bool,
    /// What the peer did wrong, until the driver has logged it.
    pub(crate) violations: Vec<Violation>,
    /// Octets handed to the stream so far.
    pub(crate) written: u64,
    pub(crate) limits: Limits,
    /// What the sessions hold together.
    pub(crate) quotas: Quotas,
    /// Counts the passes of the driver: what stays queued longer than its own pass should not pin its read buffer.
    pub(crate) pass: u32,
    /// Tasks that were woken should run before the next flush.
    pub(crate) gives_way: bool,
    /// When the last octets arrived.
    pub(crate) now: Instant,
}

impl Effects {
    /// Keeps what the peer did wrong for the log.
    pub(crate) fn blame(&mut self, fault: &PeerFault) -> Violation {
        let violation = fault.violation();
        self.violations.push(violation.clone());
        violation
    }
}
