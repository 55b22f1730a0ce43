//! The sending half of a session: ids, the peer's window, and what is sent and not settled.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use super::disposition::DispositionQueue;
use super::effects::Effects;
use super::key::{Key, Slab};
use super::unsettled::Unsettled;
use super::wait::store_waker;
use super::window::OutgoingWindow;
use crate::codec::{DeliveryState, Disposition, Outcome, Role, TransactionalState};
use crate::error::{LinkError, SendError};

/// Where the outcome of a delivery will stand.
#[derive(Debug)]
enum OutcomeSlot {
    /// Neither settled nor given an outcome; somebody may be waiting.
    Pending(Option<Waker>),
    /// As `Pending`, but nobody asks any more.
    Abandoned,
    /// Waits to be asked for.
    Resolved(Result<Outcome, SendError>),
}

/// One unsettled delivery that we sent.
#[derive(Debug)]
struct SentDelivery {
    link: Key,
    delivery_id: u32,
    slot: OutcomeSlot,
    /// Stream position of its first octet: tells "not sent" from "unknown" when the stream breaks.
    position: u64,
    /// The transaction that the receiver has tied it to, with the outcome that it gets if that succeeds; until it was read.
    transactional: Option<Box<TransactionalState>>,
}

/// The sending half of a session.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) window: OutgoingWindow,
    next_delivery_id: u32,
    /// Receipts hold a key to this; it outlives settlement until the receipt is read or dropped.
    deliveries: Slab<SentDelivery>,
    unsettled: Unsettled<Key>,
    /// Ids of deliveries whose receipt was dropped, oldest first; some may have been settled since.
    abandoned: VecDeque<u32>,
    /// How many of them are not settled.
    abandoned_unsettled: usize,
    pub(crate) dispositions: DispositionQueue,
    /// Links with a delivery of several frames under way, served in turn.
    pub(crate) partials: VecDeque<Key>,
    /// They let others go first in the last flush.
    pub(crate) partials_gave_way: bool,
}

impl Outgoing {
    pub(crate) fn new(next_outgoing_id: u32) -> Self {
        Self {
            window: OutgoingWindow::new(next_outgoing_id),
            next_delivery_id: next_outgoing_id,
            deliveries: Slab::new(),
            unsettled: Unsettled::new(),
            abandoned: VecDeque::new(),
            abandoned_unsettled: 0,
            dispositions: DispositionQueue::new(Role::Sender),
            partials: VecDeque::new(),
            partials_gave_way: false,
        }
    }

    pub(crate) fn next_delivery_id(&self) -> u32 {
        self.next_delivery_id
    }

    pub(crate) fn unsettled(&self) -> usize {
        self.unsettled.len()
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn unsettled_ids(&self) -> Vec<u32> {
        self.unsettled.ids()
    }

    /// Takes the next delivery-id for a delivery that is settled when it leaves (D-007).
    pub(crate) fn commit_settled(&mut self) {
        self.next_delivery_id = self.next_delivery_id.wrapping_add(1);
    }

    /// Takes the next delivery-id and a slot for the outcome.
    pub(crate) fn commit_unsettled(&mut self, link: Key, position: u64) -> Key {
        let delivery_id = self.next_delivery_id;
        let key = self.deliveries.insert(SentDelivery {
            link,
            delivery_id,
            slot: OutcomeSlot::Pending(None),
            position,
            transactional: None,
        });
        self.unsettled.push(delivery_id, key);
        self.next_delivery_id = delivery_id.wrapping_add(1);
        key
    }

    /// Applies a receiver's disposition to what is outstanding in its range; everything else in it is skipped (P-003).
    pub(crate) fn on_disposition(
        &mut self,
        disposition: &Disposition,
        default_outcome: impl Fn(Key) -> Option<Outcome>,
        effects: &mut Effects,
    ) {
        let last = disposition.last.unwrap_or(disposition.first);
        if let Some(DeliveryState::Transactional(state)) = &disposition.state {
            self.tie(disposition.first, last, state, effects);
            if !disposition.settled {
                return; // the outcome is provisional as long as the transaction is
            }
        }
        let outcome = disposition.state.as_ref().and_then(DeliveryState::outcome);
        if outcome.is_none() && !disposition.settled {
            return; // P-013: a state on the way; it may change any number of times
        }
        let Self {
            deliveries,
            unsettled,
            abandoned_unsettled,
            dispositions,
            ..
        } = self;
        unsettled.retain_range(disposition.first, last, |delivery_id, key| {
            let Some(sent) = deliveries.get_mut(*key) else {
                return false;
            };
            let result = outcome
                .cloned()
                .or_else(|| default_outcome(sent.link))
                .ok_or(SendError::NoOutcome);
            if resolve(sent, result, effects) {
                deliveries.remove(*key);
                *abandoned_unsettled -= 1;
            }
            if !disposition.settled {
                dispositions.push(delivery_id, true, disposition.state.clone()); // P-008
            }
            false
        });
    }

    /// The receiver has tied deliveries to a transaction: those who watch them learn it.
    fn tie(&mut self, first: u32, last: u32, state: &TransactionalState, effects: &mut Effects) {
        let deliveries = &mut self.deliveries;
        self.unsettled.retain_range(first, last, |_, key| {
            if let Some(sent) = deliveries.get_mut(*key)
                && let OutcomeSlot::Pending(waker) = &mut sent.slot
            {
                sent.transactional = Some(Box::new(state.clone()));
                effects.wakes.push(waker.take());
            }
            true
        });
    }

    /// Ends the wait for every delivery of `link` (or of all links): the outcome will not come. No more than `reached`
    /// octets of the stream can get to the peer.
    pub(crate) fn fail(
        &mut self,
        link: Option<Key>,
        error: &LinkError,
        reached: u64,
        effects: &mut Effects,
    ) {
        let Self {
            deliveries,
            unsettled,
            abandoned_unsettled,
            ..
        } = self;
        unsettled.retain(|_, key| {
            let Some(sent) = deliveries.get_mut(*key) else {
                return false;
            };
            if link.is_some_and(|link| link != sent.link) {
                return true;
            }
            let result = Err(lost(sent.position, error, reached));
            if resolve(sent, result, effects) {
                deliveries.remove(*key);
                *abandoned_unsettled -= 1;
            }
            false
        });
    }

    /// The outcome of a delivery; reading it frees the slot.
    pub(crate) fn poll_outcome(
        &mut self,
        delivery: Key,
        waker: &Waker,
        effects: &mut Effects,
    ) -> Poll<Option<Result<Outcome, SendError>>> {
        let Some(sent) = self.deliveries.get_mut(delivery) else {
            return Poll::Ready(None);
        };
        if let OutcomeSlot::Pending(stored) = &mut sent.slot {
            store_waker(stored, waker, &mut effects.wakes);
            return Poll::Pending;
        }
        match self.deliveries.remove(delivery).map(|sent| sent.slot) {
            Some(OutcomeSlot::Resolved(result)) => Poll::Ready(Some(result)),
            _ => Poll::Ready(None),
        }
    }

    /// The next transaction that the receiver ties a delivery to; None once it can be tied to no other, because its outcome
    /// has come.
    pub(crate) fn poll_transactional(
        &mut self,
        delivery: Key,
        waker: &Waker,
        effects: &mut Effects,
    ) -> Poll<Option<TransactionalState>> {
        let Some(sent) = self.deliveries.get_mut(delivery) else {
            return Poll::Ready(None);
        };
        if let Some(state) = sent.transactional.take() {
            return Poll::Ready(Some(*state));
        }
        match &mut sent.slot {
            OutcomeSlot::Pending(stored) => {
                store_waker(stored, waker, &mut effects.wakes);
                Poll::Pending
            }
            OutcomeSlot::Abandoned | OutcomeSlot::Resolved(_) => Poll::Ready(None),
        }
    }

    /// Settles a delivery from our side, with the outcome that it has here (P-001). Its receipt is used up. Says whether
    /// that made a disposition due.
    pub(crate) fn settle(
        &mut self,
        delivery: Key,
        outcome: Outcome,
        effects: &mut Effects,
    ) -> bool {
        let Some(sent) = self.deliveries.remove(delivery) else {
            return false;
        };
        if let OutcomeSlot::Pending(waker) = sent.slot {
            effects.wakes.push(waker);
        }
        let is_unsettled = self.unsettled.remove(sent.delivery_id).is_some();
        if is_unsettled {
            self.dispositions
                .push(sent.delivery_id, true, Some(outcome.into()));
        }
        is_unsettled
    }

    /// A delivery is taken back: whoever watches it looks again. Gives back its link and delivery-id, unless it has its
    /// outcome.
    pub(crate) fn retract(&mut self, delivery: Key, effects: &mut Effects) -> Option<(Key, u32)> {
        let sent = self.deliveries.get_mut(delivery)?;
        let OutcomeSlot::Pending(waker) = &mut sent.slot else {
            return None;
        };
        effects.wakes.push(waker.take());
        Some((sent.link, sent.delivery_id))
    }

    /// The frame is in the output that aborts a delivery, which settles it (D-013).
    pub(crate) fn finish_aborted(&mut self, delivery_id: u32, effects: &mut Effects) {
        let Some(key) = self.unsettled.remove(delivery_id) else {
            return;
        };
        if let Some(sent) = self.deliveries.get_mut(key)
            && resolve(sent, Ok(Outcome::Released), effects)
        {
            self.deliveries.remove(key);
            self.abandoned_unsettled -= 1;
        }
    }

    /// Gives an outcome up. A peer that never settles would make the abandoned ones grow without end, so beyond the limit
    /// the oldest is settled from here (D-033). Says whether that made a disposition due.
    pub(crate) fn abandon(&mut self, delivery: Key, effects: &mut Effects) -> bool {
        let Some(sent) = self.deliveries.get_mut(delivery) else {
            return false;
        };
        match std::mem::replace(&mut sent.slot, OutcomeSlot::Abandoned) {
            OutcomeSlot::Pending(waker) => effects.wakes.discard(waker),
            OutcomeSlot::Resolved(_) | OutcomeSlot::Abandoned => {
                self.deliveries.remove(delivery);
                return false;
            }
        }
        self.abandoned.push_back(sent.delivery_id);
        self.abandoned_unsettled += 1;
        let limits = &effects.limits;
        let most = limits
            .max_abandoned_deliveries
            .min(limits.max_unsettled_deliveries.saturating_sub(1)); // else they could take every slot
        self.settle_oldest_abandoned(most)
    }

    fn settle_oldest_abandoned(&mut self, limit: usize) -> bool {
        let mut has_settled = false;
        while self.abandoned_unsettled > limit {
            let Some(delivery_id) = self.abandoned.pop_front() else {
                break;
            };
            if let Some(key) = self.unsettled.remove(delivery_id) {
                self.deliveries.remove(key);
                self.abandoned_unsettled -= 1;
                self.dispositions.push(delivery_id, true, None);
                has_settled = true;
            }
        }
        if self.abandoned.len() > 2 * self.abandoned_unsettled + 64 {
            let unsettled = &mut self.unsettled;
            self.abandoned
                .retain(|delivery_id| unsettled.get_mut(*delivery_id).is_some());
        }
        has_settled
    }
}

/// Stores the result for whoever asks, and says whether nobody will.
fn resolve(
    sent: &mut SentDelivery,
    result: Result<Outcome, SendError>,
    effects: &mut Effects,
) -> bool {
    match std::mem::replace(&mut sent.slot, OutcomeSlot::Resolved(result)) {
        OutcomeSlot::Pending(waker) => {
            effects.wakes.push(waker);
            false
        }
        OutcomeSlot::Abandoned => true,
        first @ OutcomeSlot::Resolved(_) => {
            sent.slot = first; // O-002: a terminal state never changes
            false
        }
    }
}

/// How much of the stream can get to the peer when `cause` ends something. What stands in the output still goes out before
/// an end of our own; after one of the peer's, or without a stream, nobody reads it any more.
pub(crate) fn reached(cause: &LinkError, effects: &Effects) -> u64 {
    match cause.is_local_end() {
        true => effects.output.position(),
        false => effects.written,
    }
}

/// What became of a delivery at stream position `position` when no more than `reached` octets can get to the peer.
fn lost(position: u64, error: &LinkError, reached: u64) -> SendError {
    if position >= reached {
        SendError::NotSent(error.clone())
    } else {
        SendError::Unknown(error.clone())
    }
}
