//! What all sessions of a connection hold together: a peer does not get a limit once for each session that it begins.

use super::limits::Limits;

/// How much of one kind the sessions of a connection hold, and may.
///
/// A session that holds less than an equal share of the limit may hold more even if others have used it up: none keeps the
/// others from going on, and together they hold no more than twice the limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    pub(crate) held: usize,
    pub(crate) limit: usize,
    share: usize,
}

impl Quota {
    fn new(limit: usize, max_sessions: u32) -> Self {
        let share = limit / usize::try_from(max_sessions).unwrap_or(usize::MAX).max(1);
        Self {
            held: 0,
            limit,
            share: share.max(1),
        }
    }

    /// Whether a session that holds `own` may hold more.
    pub(crate) fn has_room(&self, own: usize) -> bool {
        self.held < self.limit || own < self.share
    }

    /// Whether a session that holds `own` holds too much.
    pub(crate) fn is_exceeded(&self, own: usize) -> bool {
        self.held > self.limit && own > self.share
    }
}

/// What the peer makes us hold, and who waits for it to become less.
#[derive(Debug)]
pub(crate) struct Quotas {
    /// Octets of deliveries that wait to be taken.
    pub(crate) queued: Quota,
    /// Octets of deliveries of which more frames are to come (D-035).
    pub(crate) partial: Quota,
    /// Deliveries that arrived and are not settled.
    pub(crate) unsettled: Quota,
    /// The window of a session stays shut because of what is queued.
    is_waited_for: bool,
    has_new_room: bool,
}

impl Quotas {
    pub(crate) fn new(limits: &Limits) -> Self {
        let quota = |limit| Quota::new(limit, limits.max_sessions);
        Self {
            queued: quota(limits.max_queued_bytes),
            partial: quota(limits.max_partial_delivery_bytes),
            unsettled: quota(limits.max_unsettled_deliveries),
            is_waited_for: false,
            has_new_room: false,
        }
    }

    /// Whether a session may open its window: while the connection queues less than its limit, or the session holds less than
    /// its share. A delivery larger than a share must be able to come in whole, too: it may as long as all that is held is less
    /// than both limits together. Who asks in vain is told when others hold less.
    pub(crate) fn may_open_window(&mut self, queued: usize, partial: usize) -> bool {
        let may_open = self.queued.has_room(queued + partial)
            || (queued < self.queued.share && !self.is_full());
        self.is_waited_for |= !may_open;
        may_open
    }

    /// Whether not even a large delivery may go on.
    fn is_full(&self) -> bool {
        self.queued.held.saturating_add(self.partial.held)
            >= self.queued.limit.saturating_add(self.partial.limit)
    }

    pub(crate) fn add_queued(&mut self, octets: usize) {
        self.queued.held += octets;
    }

    pub(crate) fn remove_queued(&mut self, octets: usize) {
        self.change(|quotas| quotas.queued.held -= octets);
    }

    /// A delivery of which more is to come has grown, or shrunk to nothing.
    pub(crate) fn replace_partial(&mut self, before: usize, after: usize) {
        if before != after {
            self.change(|quotas| quotas.partial.held = quotas.partial.held - before + after);
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Self)) {
        if !self.is_waited_for {
            return change(self);
        }
        let limits_reached = |quotas: &Self| {
            u8::from(quotas.queued.held >= quotas.queued.limit) + u8::from(quotas.is_full())
        };
        let before = limits_reached(self);
        change(self);
        self.has_new_room |= limits_reached(self) < before;
    }

    /// Whether sessions that wait may hold more now.
    pub(crate) fn has_new_room(&self) -> bool {
        self.has_new_room
    }

    /// The same, once: those that ask in vain from here on wait anew.
    pub(crate) fn take_new_room(&mut self) -> bool {
        let has_new_room = std::mem::take(&mut self.has_new_room);
        self.is_waited_for &= !has_new_room;
        has_new_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas() -> Quotas {
        let limits = Limits::default()
            .max_sessions(10)
            .max_queued_bytes(1000)
            .max_partial_delivery_bytes(5000);
        Quotas::new(&limits)
    }

    #[test]
    fn a_session_below_its_share_may_always_hold_more() {
        let mut quotas = quotas();
        assert!(quotas.may_open_window(900, 0));
        quotas.add_queued(1000);
        assert!(quotas.may_open_window(99, 0));
        assert!(!quotas.may_open_window(100, 0));
        quotas.add_queued(1_000_000);
        assert!(quotas.may_open_window(99, 0));
    }

    #[test]
    fn a_large_delivery_may_come_in_until_both_limits_are_reached() {
        let mut quotas = quotas();
        quotas.add_queued(2000);
        quotas.replace_partial(0, 3999);
        assert!(quotas.may_open_window(0, 3999));
        assert!(!quotas.may_open_window(100, 3999));
        quotas.replace_partial(3999, 4000);
        assert!(!quotas.may_open_window(0, 4000));
        assert!(quotas.may_open_window(0, 99));
    }

    #[test]
    fn new_room_is_told_once_and_only_if_somebody_waits_for_it() {
        let mut quotas = quotas();
        quotas.add_queued(1500);
        quotas.remove_queued(501);
        assert!(!quotas.has_new_room(), "nobody waits");
        quotas.add_queued(501);
        assert!(!quotas.may_open_window(500, 0));
        quotas.remove_queued(500);
        assert!(!quotas.has_new_room(), "still full");
        quotas.remove_queued(1);
        assert!(quotas.take_new_room());
        assert!(!quotas.take_new_room());
        quotas.add_queued(1);
        quotas.remove_queued(1);
        assert!(!quotas.has_new_room(), "nobody waits any more");
    }

    #[test]
    fn what_exceeds_the_limit_is_told_from_what_exceeds_it_by_no_fault_of_its_own() {
        let mut quota = Quota::new(1000, 10);
        quota.held = 1001;
        assert!(!quota.is_exceeded(100));
        assert!(quota.is_exceeded(101));
        quota.held = 1000;
        assert!(!quota.is_exceeded(1000));
    }
}
