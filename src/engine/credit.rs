//! Link credit as integers and a few verbs [2.6.7]. No I/O, no callbacks.

use super::serial;

/// The sender's view: how many deliveries it may still start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SenderCredit {
    initial_delivery_count: u32,
    pub(crate) delivery_count: u32,
    pub(crate) link_credit: u32,
}

impl SenderCredit {
    pub(crate) fn new(initial_delivery_count: u32) -> Self {
        Self {
            initial_delivery_count,
            delivery_count: initial_delivery_count,
            link_credit: 0,
        }
    }

    /// Applies a receiver's flow: its view of the count plus its credit, minus what has left since (K-003). Without a
    /// count it has not seen our attach, so the initial one holds (K-004).
    pub(crate) fn on_flow(&mut self, delivery_count: Option<u32>, link_credit: u32) {
        let limit = delivery_count
            .unwrap_or(self.initial_delivery_count)
            .wrapping_add(link_credit);
        // K-026: a credit of 2^32-1 is further ahead than serial distance can tell; what was sent since is the smaller number.
        let sent_since = self
            .delivery_count
            .wrapping_sub(delivery_count.unwrap_or(self.initial_delivery_count));
        self.link_credit = if sent_since <= link_credit {
            limit.wrapping_sub(self.delivery_count)
        } else {
            0
        };
    }

    /// Starts one delivery (K-005).
    pub(crate) fn consume(&mut self) {
        self.delivery_count = self.delivery_count.wrapping_add(1);
        self.link_credit = self.link_credit.saturating_sub(1);
    }

    /// Uses up all credit without sending: the answer to drain (K-012).
    pub(crate) fn drain(&mut self) {
        self.delivery_count = self.delivery_count.wrapping_add(self.link_credit);
        self.link_credit = 0;
    }
}

/// The receiver's view: what it granted and has not got yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReceiverCredit {
    pub(crate) delivery_count: u32,
    pub(crate) link_credit: u32,
    /// Deliveries that came without credit since the last grant (K-009).
    pub(crate) excess: u32,
    /// Credit that was taken back: the sender may have used it before it heard (K-022).
    taken_back: u32,
}

impl ReceiverCredit {
    /// Counts a delivery that has begun to arrive.
    pub(crate) fn on_delivery(&mut self) {
        self.delivery_count = self.delivery_count.wrapping_add(1);
        match (
            self.link_credit.checked_sub(1),
            self.taken_back.checked_sub(1),
        ) {
            (Some(left), _) => self.link_credit = left,
            (None, Some(left)) => self.taken_back = left,
            (None, None) => self.excess = self.excess.saturating_add(1),
        }
    }

    /// Takes back what is above `link_credit`.
    pub(crate) fn lower(&mut self, link_credit: u32) {
        let taken_back = self.link_credit.saturating_sub(link_credit);
        self.taken_back = self.taken_back.max(taken_back);
        self.link_credit = self.link_credit.min(link_credit);
    }

    /// What the sender may start from here on.
    pub(crate) fn grant(&mut self, link_credit: u32) {
        self.link_credit = link_credit;
        self.excess = 0;
    }

    /// Applies the sender's own count: it alone may move it, for example to drain (K-002).
    pub(crate) fn on_flow(&mut self, delivery_count: u32) {
        let advanced = serial::ahead(self.delivery_count, delivery_count);
        self.delivery_count = delivery_count;
        self.link_credit = self.link_credit.saturating_sub(advanced);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k_009_k_022_credit_taken_back_excuses_what_was_in_flight_and_no_more() {
        let mut credit = ReceiverCredit::default();
        credit.grant(10);
        credit.lower(2);
        credit.lower(2);
        (0..10).for_each(|_| credit.on_delivery());
        assert_eq!((credit.link_credit, credit.excess), (0, 0));
        credit.on_delivery();
        assert_eq!(credit.excess, 1);
    }

    #[test]
    fn k_003_credit_is_relative_to_what_the_receiver_saw() {
        // (initial, sent, flow's delivery-count, flow's credit, expected)
        let cases = [
            (0, 0, Some(0), 10, 10),
            (0, 3, Some(0), 10, 7),
            (0, 3, Some(3), 10, 10),
            (0, 3, None, 10, 7),
            (0, 5, Some(0), 3, 0),
            (u32::MAX - 1, 3, Some(u32::MAX - 1), 10, 7),
            (7, 0, Some(7), u32::MAX, u32::MAX),
            (7, 2, Some(7), u32::MAX, u32::MAX - 2),
        ];
        for (initial, sent, delivery_count, link_credit, expected) in cases {
            let mut credit = SenderCredit::new(initial);
            credit.link_credit = sent;
            (0..sent).for_each(|_| credit.consume());
            credit.on_flow(delivery_count, link_credit);
            assert_eq!(
                credit.link_credit, expected,
                "{initial} {sent} {delivery_count:?} {link_credit}"
            );
        }
    }

    #[test]
    fn k_012_drain_moves_the_count_to_the_end_of_the_credit() {
        let mut credit = SenderCredit::new(u32::MAX);
        credit.on_flow(None, 10);
        credit.consume();
        credit.drain();
        assert_eq!((credit.delivery_count, credit.link_credit), (9, 0));
    }

    #[test]
    fn k_009_a_delivery_without_credit_is_noticed() {
        let mut credit = ReceiverCredit::default();
        credit.grant(1);
        credit.on_delivery();
        assert_eq!((credit.link_credit, credit.excess), (0, 0));
        credit.on_delivery();
        assert_eq!((credit.delivery_count, credit.excess), (2, 1));
        credit.grant(1);
        assert_eq!((credit.link_credit, credit.excess), (1, 0));
    }

    #[test]
    fn k_002_the_senders_count_uses_up_credit() {
        let mut credit = ReceiverCredit {
            delivery_count: u32::MAX,
            link_credit: 5,
            ..ReceiverCredit::default()
        };
        credit.on_flow(3);
        assert_eq!(
            credit,
            ReceiverCredit {
                delivery_count: 3,
                link_credit: 1,
                ..ReceiverCredit::default()
            }
        );
    }
}
