//! The receiving half of a session: the peer's ids, our window, and what arrived and is not settled.

use std::task::Poll;

use super::disposition::DispositionQueue;
use super::effects::Effects;
use super::key::Key;
use super::resumption::Unconfirmed;
use super::unsettled::Unsettled;
use super::violation::PeerFault;
use super::wait::{Watcher, Watchers};
use super::window::IncomingWindow;
use crate::codec::{DeliveryState, DeliveryTag, Disposition, ReceiverSettleMode, Role};

/// One unsettled delivery that we hold.
#[derive(Debug)]
struct HeldDelivery {
    link: Key,
    /// In receiver settle mode second: the sender settles, too.
    unconfirmed: Option<Box<Unconfirmed>>,
    /// Who waits for the sender to confirm our outcome, in receiver settle mode second.
    watchers: Watchers,
}

/// An unsettled delivery that began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Began {
    pub(crate) delivery_id: u32,
    pub(crate) delivery_tag: DeliveryTag,
    pub(crate) rcv_settle_mode: ReceiverSettleMode,
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

    /// What the session still holds is held no more.
    pub(crate) fn give_back(&self, effects: &mut Effects) {
        effects.quotas.remove_queued(self.queued_bytes);
        effects.quotas.replace_partial(self.partial_bytes, 0);
        effects.quotas.unsettled.held -= self.unsettled.len();
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

    /// Counts what was queued on a link.
    pub(crate) fn add_queued(&mut self, octets: usize, effects: &mut Effects) {
        self.queued_bytes += octets;
        effects.quotas.add_queued(octets);
    }

    /// Counts what has left the queue of a link.
    pub(crate) fn remove_queued(&mut self, octets: usize, effects: &mut Effects) {
        self.queued_bytes -= octets;
        effects.quotas.remove_queued(octets);
    }

    /// Counts what has become of a delivery of which more is to come.
    pub(crate) fn replace_partial(&mut self, before: usize, after: usize, effects: &mut Effects) {
        self.partial_bytes = self.partial_bytes - before + after;
        effects.quotas.replace_partial(before, after);
    }

    /// All deliveries that are still arriving share one limit.
    pub(crate) fn check_partial(&self, effects: &Effects) -> Result<(), PeerFault> {
        let quota = effects.quotas.partial;
        match quota.is_exceeded(self.partial_bytes) {
            true => Err(PeerFault::TooManyPartialBytes(quota.limit)),
            false => Ok(()),
        }
    }

    /// Remembers a delivery until it is settled.
    pub(crate) fn hold(
        &mut self,
        began: Began,
        link: Key,
        effects: &mut Effects,
    ) -> Result<(), PeerFault> {
        let quota = &mut effects.quotas.unsettled;
        if !quota.has_room(self.unsettled.len()) {
            return Err(PeerFault::TooManyUnsettled(quota.limit));
        }
        quota.held += 1;
        let unconfirmed = match began.rcv_settle_mode {
            ReceiverSettleMode::First => None,
            ReceiverSettleMode::Second => Some(Box::new(Unconfirmed {
                delivery_tag: began.delivery_tag,
                outcome: None,
            })),
        };
        self.unsettled.push(
            began.delivery_id,
            HeldDelivery {
                link,
                unconfirmed,
                watchers: Watchers::default(),
            },
        );
        Ok(())
    }

    /// Forgets a delivery that turned out settled or was aborted.
    pub(crate) fn forget(&mut self, delivery_id: u32, effects: &mut Effects) {
        if let Some(mut held) = self.unsettled.remove(delivery_id) {
            effects.quotas.unsettled.held -= 1;
            held.watchers.wake_all(&mut effects.wakes);
        }
    }

    /// Forgets all deliveries of one link, or of all: dispositions for them would be ignored (L-034). Gives back, each with its
    /// link, those whose outcome was stated and not confirmed.
    pub(crate) fn forget_links(
        &mut self,
        link: Option<Key>,
        effects: &mut Effects,
    ) -> Vec<(Key, Unconfirmed)> {
        let mut stated = Vec::new();
        let before = self.unsettled.len();
        self.unsettled.retain(|_, held| {
            if link.is_some_and(|link| link != held.link) {
                return true;
            }
            held.watchers.wake_all(&mut effects.wakes);
            let unconfirmed = held.unconfirmed.take();
            let decided = unconfirmed.filter(|unconfirmed| unconfirmed.outcome.is_some());
            stated.extend(decided.map(|unconfirmed| (held.link, *unconfirmed)));
            false
        });
        effects.quotas.unsettled.held -= before - self.unsettled.len();
        stated
    }

    /// Gives a delivery its outcome. In mode first it is settled with it (P-011), in mode second the sender settles
    /// (P-010). False if it was settled before.
    pub(crate) fn settle(
        &mut self,
        delivery_id: u32,
        state: DeliveryState,
        effects: &mut Effects,
    ) -> bool {
        let Some(held) = self.unsettled.get_mut(delivery_id) else {
            return false;
        };
        let settles = held.unconfirmed.is_none();
        match &mut held.unconfirmed {
            None => {
                self.unsettled.remove(delivery_id);
                effects.quotas.unsettled.held -= 1;
            }
            Some(unconfirmed) => {
                if let DeliveryState::Outcome(outcome) = &state {
                    unconfirmed.outcome = Some(outcome.clone());
                }
            }
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
        let before = self.unsettled.len();
        self.unsettled
            .retain_range(disposition.first, last, |_, held| {
                held.watchers.wake_all(&mut effects.wakes);
                false
            });
        effects.quotas.unsettled.held -= before - self.unsettled.len();
    }
}
