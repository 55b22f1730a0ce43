//! The receiving half of a session: the peer's ids, our window, and what arrived and is not settled.

use std::task::Poll;

use super::disposition::DispositionQueue;
use super::effects::Effects;
use super::key::Key;
use super::unsettled::Unsettled;
use super::violation::PeerFault;
use super::wait::{Watcher, Watchers};
use super::window::IncomingWindow;
use crate::codec::{DeliveryState, Disposition, ReceiverSettleMode, Role};

/// One unsettled delivery that we hold.
#[derive(Debug)]
struct HeldDelivery {
    link: Key,
    rcv_settle_mode: ReceiverSettleMode,
    /// Who waits for the sender to confirm our outcome, in receiver settle mode second.
    watchers: Watchers,
}

/// The receiving half of a session.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) window: IncomingWindow,
    last_delivery_id: Option<u32>,
    unsettled: Unsettled<HeldDelivery>,
    pub(crate) dispositions: DispositionQueue,
    /// Octets queued on the session's links and not yet taken by the application.
    pub(crate) queued_bytes: usize,
    /// Octets of deliveries of which more frames are to come, on all links (D-035).
    pub(crate) partial_bytes: usize,
}

impl Incoming {
    pub(crate) fn new(incoming_window: u32) -> Self {
        Self {
            window: IncomingWindow::new(incoming_window),
            last_delivery_id: None,
            unsettled: Unsettled::new(),
            dispositions: DispositionQueue::new(Role::Receiver),
            queued_bytes: 0,
            partial_bytes: 0,
        }
    }

    /// Deliveries that arrived and are not settled.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn unsettled(&self) -> usize {
        self.unsettled.len()
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn unsettled_ids(&self) -> Vec<u32> {
        self.unsettled.ids()
    }

    /// Counts the next delivery-id; ids follow each other without a gap in a session (D-008).
    pub(crate) fn on_delivery_id(&mut self, delivery_id: u32) -> Result<(), PeerFault> {
        if let (false, Some(last)) = (self.is_next(delivery_id), self.last_delivery_id) {
            return Err(PeerFault::DeliveryIdGap {
                last,
                found: delivery_id,
            });
        }
        self.last_delivery_id = Some(delivery_id);
        Ok(())
    }

    /// Whether a delivery of this id would be a new one.
    fn is_next(&self, delivery_id: u32) -> bool {
        self.last_delivery_id
            .is_none_or(|last| last.wrapping_add(1) == delivery_id)
    }

    /// The same for a link that has ended: what its sender goes on with may name a delivery that was counted before.
    pub(crate) fn on_late_delivery_id(&mut self, delivery_id: Option<u32>) {
        if let Some(id) = delivery_id.filter(|id| self.is_next(*id)) {
            self.last_delivery_id = Some(id);
        }
    }

    /// All deliveries that are still arriving share one limit.
    pub(crate) fn check_partial_bytes(&self, limit: usize) -> Result<(), PeerFault> {
        if self.partial_bytes > limit {
            return Err(PeerFault::TooManyPartialBytes(limit));
        }
        Ok(())
    }

    /// Remembers a delivery until it is settled.
    pub(crate) fn hold(
        &mut self,
        delivery_id: u32,
        link: Key,
        rcv_settle_mode: ReceiverSettleMode,
        limit: usize,
    ) -> Result<(), PeerFault> {
        if self.unsettled.len() >= limit {
            return Err(PeerFault::TooManyUnsettled(limit));
        }
        self.unsettled.push(
            delivery_id,
            HeldDelivery {
                link,
                rcv_settle_mode,
                watchers: Watchers::default(),
            },
        );
        Ok(())
    }

    /// Forgets a delivery that turned out settled or was aborted.
    pub(crate) fn forget(&mut self, delivery_id: u32, effects: &mut Effects) {
        if let Some(mut held) = self.unsettled.remove(delivery_id) {
            held.watchers.wake_all(&mut effects.wakes);
        }
    }

    /// Forgets all deliveries of one link: dispositions for them would be ignored (L-034).
    pub(crate) fn forget_link(&mut self, link: Key, effects: &mut Effects) {
        self.unsettled.retain(|_, held| {
            let keep = held.link != link;
            if !keep {
                held.watchers.wake_all(&mut effects.wakes);
            }
            keep
        });
    }

    /// Forgets all deliveries.
    pub(crate) fn forget_all(&mut self, effects: &mut Effects) {
        self.unsettled.retain(|_, held| {
            held.watchers.wake_all(&mut effects.wakes);
            false
        });
    }

    /// Gives a delivery its outcome. In mode first it is settled with it (P-011), in mode second the sender settles
    /// (P-010). False if it was settled before.
    pub(crate) fn settle(&mut self, delivery_id: u32, state: DeliveryState) -> bool {
        let Some(held) = self.unsettled.get_mut(delivery_id) else {
            return false;
        };
        let settles = held.rcv_settle_mode == ReceiverSettleMode::First;
        if settles {
            self.unsettled.remove(delivery_id);
        }
        self.dispositions.push(delivery_id, settles, Some(state));
        true
    }

    /// States where a delivery stands without settling it: how far it has come, or what it is within a transaction (P-013).
    /// False if it is settled.
    pub(crate) fn update(&mut self, delivery_id: u32, state: DeliveryState) -> bool {
        let is_held = self.unsettled.get_mut(delivery_id).is_some();
        if is_held {
            self.dispositions.push(delivery_id, false, Some(state));
        }
        is_held
    }

    /// Whether the sender has confirmed (or nobody waits for that).
    pub(crate) fn poll_confirmed(
        &mut self,
        delivery_id: u32,
        watcher: &mut Watcher<'_>,
        effects: &mut Effects,
    ) -> Poll<()> {
        let Some(held) = self.unsettled.get_mut(delivery_id) else {
            return Poll::Ready(());
        };
        held.watchers.register(watcher, &mut effects.wakes);
        Poll::Pending
    }

    /// The sender settles what it sent: as the confirmation of mode second, or on its own (O-014).
    pub(crate) fn on_disposition(&mut self, disposition: &Disposition, effects: &mut Effects) {
        if !disposition.settled {
            return;
        }
        let last = disposition.last.unwrap_or(disposition.first);
        self.unsettled
            .retain_range(disposition.first, last, |_, held| {
                held.watchers.wake_all(&mut effects.wakes);
                false
            });
    }
}
