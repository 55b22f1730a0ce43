//! Session windows, counted in transfer frames [2.5.6].

use super::serial;

/// What we may send: the half of a session's flow control that the peer steers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutgoingWindow {
    initial_id: u32,
    pub(crate) next_outgoing_id: u32,
    pub(crate) remote_incoming_window: u32,
}

impl OutgoingWindow {
    pub(crate) fn new(initial_id: u32) -> Self {
        Self {
            initial_id,
            next_outgoing_id: initial_id,
            remote_incoming_window: 0,
        }
    }

    /// One transfer frame leaves (W-002, W-005).
    pub(crate) fn consume(&mut self) {
        self.next_outgoing_id = self.next_outgoing_id.wrapping_add(1);
        self.remote_incoming_window = self.remote_incoming_window.saturating_sub(1);
    }

    /// Applies the peer's view. Without next-incoming-id it has not seen our begin yet (W-008, W-009); a window that
    /// comes out negative is shut (W-010).
    pub(crate) fn on_flow(&mut self, next_incoming_id: Option<u32>, incoming_window: u32) {
        let seen = next_incoming_id.unwrap_or(self.initial_id);
        let in_flight = serial::ahead(seen, self.next_outgoing_id);
        self.remote_incoming_window = incoming_window.saturating_sub(in_flight);
    }
}

/// What the peer may send: the half that we steer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IncomingWindow {
    pub(crate) next_incoming_id: u32,
    /// Frames the peer may still send of what we announced last.
    pub(crate) remaining: u32,
    size: u32,
}

impl IncomingWindow {
    pub(crate) fn new(size: u32) -> Self {
        Self {
            next_incoming_id: 0,
            remaining: size,
            size,
        }
    }

    /// One transfer frame arrives; false if it is beyond what we announced (W-012).
    pub(crate) fn on_transfer(&mut self) -> bool {
        let covered = self.remaining > 0;
        self.next_incoming_id = self.next_incoming_id.wrapping_add(1);
        self.remaining = self.remaining.saturating_sub(1);
        covered
    }

    /// Applies the peer's next-outgoing-id; false if it goes back behind what we counted (W-015).
    pub(crate) fn on_flow(&mut self, next_outgoing_id: u32) -> bool {
        if serial::is_before(next_outgoing_id, self.next_incoming_id) {
            return false;
        }
        self.next_incoming_id = next_outgoing_id;
        true
    }

    /// Whether half is used and a flow should open it again (W-013).
    pub(crate) fn is_low(&self) -> bool {
        self.remaining <= self.size / 2 && self.remaining < self.size
    }

    /// Opens the window in full again.
    pub(crate) fn replenish(&mut self) {
        self.remaining = self.size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w_008_the_window_is_relative_to_what_the_peer_saw() {
        // (initial, sent, next-incoming-id, incoming-window, expected)
        let cases = [
            (0, 0, None, 10, 10),
            (0, 4, None, 10, 6),
            (0, 4, Some(2), 10, 8),
            (u32::MAX - 1, 5, Some(u32::MAX), 10, 6),
            (0, 20, Some(0), 10, 0),
            (0, 3, Some(0), u32::MAX, u32::MAX - 3),
        ];
        for (initial, sent, next_incoming_id, incoming_window, expected) in cases {
            let mut window = OutgoingWindow::new(initial);
            (0..sent).for_each(|_| window.consume());
            window.on_flow(next_incoming_id, incoming_window);
            assert_eq!(
                window.remote_incoming_window, expected,
                "{initial} {sent} {next_incoming_id:?} {incoming_window}"
            );
        }
    }

    #[test]
    fn w_012_a_frame_beyond_the_window_is_noticed() {
        let mut window = IncomingWindow::new(1);
        assert!(window.on_transfer());
        assert!(!window.on_transfer());
        window.replenish();
        assert!(window.on_transfer());
    }

    #[test]
    fn w_015_going_back_is_noticed() {
        let mut window = IncomingWindow::new(8);
        window.next_incoming_id = 1;
        assert!(!window.on_flow(0));
        assert!(window.on_flow(5));
        assert_eq!(window.next_incoming_id, 5);
    }
}
