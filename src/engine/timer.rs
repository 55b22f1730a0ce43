//! The engine's deadlines: an enum and an array, no timer futures.

use std::time::Instant;

/// What can fall due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Nothing has arrived for as long as we tolerate.
    IdleIn,
    /// Nothing has been written for half of what the peer tolerates.
    IdleOut,
    /// The peer has not answered our close.
    Close,
    /// The oldest incoming link has waited too long to be accepted.
    PendingLink,
}

impl Timer {
    const ALL: [Timer; 4] = [
        Timer::IdleIn,
        Timer::IdleOut,
        Timer::Close,
        Timer::PendingLink,
    ];
}

/// One optional deadline per [`Timer`].
#[derive(Debug, Default)]
pub(crate) struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, deadline: Option<Instant>) {
        self.0[timer as usize] = deadline;
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes one timer that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let due = Timer::ALL
            .into_iter()
            .find(|timer| self.0[*timer as usize].is_some_and(|deadline| deadline <= now))?;
        self.0[due as usize] = None;
        Some(due)
    }
}
