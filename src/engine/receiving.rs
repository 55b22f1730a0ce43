//! Deliveries into a session: transfers, the queues of its links, settlement.

use std::task::{Poll, Waker};

use bytes::Bytes;

use super::effects::Effects;
use super::endpoint::Half;
use super::key::Key;
use super::link::{Link, LinkEnd};
use super::receiver::{Inbound, Progress, ReceiverEnd};
use super::session::{LocatedFault, Session};
use super::violation::PeerFault;
use super::wait::{Ticket, Watcher};
use crate::codec::{DeliveryState, Outcome, Transfer, UnsettledMap};
use crate::error::LinkError;

impl Session {
    pub(crate) fn on_transfer(
        &mut self,
        transfer: Transfer,
        payload: Bytes,
        effects: &mut Effects,
    ) -> Result<(), LocatedFault> {
        if !self.incoming.window.on_transfer() {
            return Err(PeerFault::WindowViolation.into());
        }
        let taken = self.take_transfer(transfer, payload, effects);
        self.open_window(effects);
        taken
    }

    fn take_transfer(
        &mut self,
        transfer: Transfer,
        payload: Bytes,
        effects: &mut Effects,
    ) -> Result<(), LocatedFault> {
        let handle = transfer.handle;
        let key = self.input_link(handle, "transfer")?;
        let Some(link) = self.links.get_mut(key) else {
            return Ok(());
        };
        let has_ended = link.ended.is_some();
        let max_excess = match link.endpoint.local {
            Half::Idle => 0, // not accepted yet: nothing was granted
            _ => effects.limits.max_excess_deliveries,
        };
        let Some(receiver) = link.receiver_mut() else {
            return Err(PeerFault::TransferToSender(handle).into());
        };
        if has_ended {
            self.incoming.on_late_delivery_id(transfer.delivery_id);
            return Ok(()); // L-030: in flight when our detach left
        }
        if let Some(delivery_id) = receiver
            .starts_delivery(&transfer)
            .map_err(|fault| fault.at(key))?
        {
            self.incoming.on_delivery_id(delivery_id)?;
        }
        self.receive(key, transfer, payload, max_excess, effects)
            .map_err(|fault| fault.at(key))
    }

    /// A transfer for a link that takes it: queues the delivery that it completes, and tells who waits.
    fn receive(
        &mut self,
        key: Key,
        transfer: Transfer,
        payload: Bytes,
        max_excess: u32,
        effects: &mut Effects,
    ) -> Result<(), PeerFault> {
        let Self {
            links, incoming, ..
        } = self;
        let Some(link) = links.get_mut(key) else {
            return Ok(());
        };
        let Some(receiver) = link.receiver_mut() else {
            return Ok(());
        };
        let queued_before = receiver.queue.len();
        let partial_before = receiver.partial_len();
        let progress = receiver.on_transfer(transfer, payload, effects.pass, max_excess);
        incoming.replace_partial(partial_before, receiver.partial_len(), effects);
        let progress = progress?;
        incoming.check_partial(effects)?;
        let is_queued = receiver.queue.len() > queued_before;
        if is_queued {
            incoming.add_queued(receiver.queue.back().map_or(0, Inbound::weight), effects);
        }
        receiver.wake_waiters(&mut effects.wakes);
        let has_drained = receiver.finish_drain();
        // K-025: a delivery that was aborted used up credit, and nobody will take it; a drain that is over starts anew.
        let is_dropped = !is_queued && !receiver.has_partial();
        let is_flow_due = ((is_dropped || has_drained) && receiver.top_up().is_some())
            || (is_queued && receiver.shrink_credit());
        let has_no_reader = receiver.has_no_reader;
        if has_drained {
            receiver.waiters.wake_all(&mut effects.wakes);
            link.watchers.wake_all(&mut effects.wakes);
        }
        match progress {
            Progress::Began(began) => incoming.hold(began, key, effects)?,
            Progress::Resumed { began, outcome } => {
                incoming.hold(began, key, effects)?;
                if incoming.settle(began.delivery_id, outcome.into(), effects) {
                    self.mark(effects);
                }
            }
            Progress::NoLongerUnsettled { delivery_id } => incoming.forget(delivery_id, effects),
            Progress::Continued => {}
        }
        if is_flow_due {
            self.mark_flow(key, effects);
        }
        if has_no_reader {
            self.release_queued(key, effects);
        }
        if self.incoming.window.is_low() && !self.may_open_window(effects) {
            self.cut_batches_short(effects);
        }
        Ok(())
    }

    /// Batches take what there is: little more comes before that, and they would wait for themselves.
    fn cut_batches_short(&mut self, effects: &mut Effects) {
        for (_, link) in self.links.iter_mut() {
            if let Some(receiver) = link.receiver_mut() {
                receiver.cut_batch_short(&mut effects.wakes);
            }
        }
    }

    /// Takes the next delivery of a link, in turn with others who wait.
    pub(crate) fn poll_recv(
        &mut self,
        key: Key,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
        effects: &mut Effects,
    ) -> Poll<Result<Inbound, LinkError>> {
        let link = self.link_mut(key)?;
        let ended = link.ended.clone();
        let receiver = link.receiver_mut().ok_or(LinkError::WrongRole)?;
        if (receiver.waiters.is_next(*ticket) || ended.is_some())
            && let Some(delivery) = receiver.take()
        {
            receiver.waiters.leave(ticket, &mut effects.wakes);
            if !receiver.queue.is_empty() {
                receiver.waiters.wake_next(&mut effects.wakes);
            }
            self.on_taken(key, &delivery, effects);
            return Poll::Ready(Ok(delivery));
        }
        if let Some(error) = ended {
            receiver.waiters.leave(ticket, &mut effects.wakes);
            return Poll::Ready(Err(error));
        }
        receiver.waiters.wait(ticket, 1, waker, &mut effects.wakes);
        if receiver.top_up().is_some() {
            self.mark_flow(key, effects); // K-015: the sender gave credit back
        }
        Poll::Pending
    }

    /// Takes up to `max` deliveries once that many are there, no more can come without new credit or memory, or `is_over` says
    /// that the time is up. Until then they stay in the link's queue.
    #[allow(clippy::too_many_arguments, reason = "one engine call under one lock")]
    pub(crate) fn poll_recv_batch(
        &mut self,
        key: Key,
        ticket: &mut Option<Ticket>,
        max: usize,
        is_over: bool,
        batch: &mut Vec<Inbound>,
        waker: &Waker,
        effects: &mut Effects,
    ) -> Poll<Result<(), LinkError>> {
        let link = self.link_mut(key)?;
        let ended = link.ended.clone();
        let receiver = link.receiver_mut().ok_or(LinkError::WrongRole)?;
        let max = receiver.largest_batch(max);
        let queued = receiver.queue.len();
        let is_ready = queued >= max || is_over || ended.is_some() || receiver.is_exhausted();
        if !is_ready || !(receiver.waiters.is_next(*ticket) || is_over || ended.is_some()) {
            receiver
                .waiters
                .wait(ticket, max, waker, &mut effects.wakes);
            if receiver.top_up().is_some() {
                self.mark_flow(key, effects);
            }
            return Poll::Pending;
        }
        self.leave_receivers(key, ticket, effects);
        self.take_batch(key, max, batch, effects);
        if let Some(receiver) = self.links.get_mut(key).and_then(Link::receiver_mut) {
            receiver.wake_waiters(&mut effects.wakes);
        }
        match ended {
            Some(error) if batch.is_empty() => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn take_batch(
        &mut self,
        key: Key,
        max: usize,
        batch: &mut Vec<Inbound>,
        effects: &mut Effects,
    ) {
        while batch.len() < max {
            let Some(delivery) = self
                .links
                .get_mut(key)
                .and_then(Link::receiver_mut)
                .and_then(|receiver| receiver.take())
            else {
                return;
            };
            self.on_taken(key, &delivery, effects);
            batch.push(delivery);
        }
    }

    /// What follows from the application having taken a delivery: settlement if that is automatic, credit, window.
    fn on_taken(&mut self, key: Key, delivery: &Inbound, effects: &mut Effects) {
        self.incoming.remove_queued(delivery.weight(), effects);
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let has_ended = link.ended.is_some();
        let Some(receiver) = link.receiver_mut() else {
            return;
        };
        let auto_accept = receiver.auto_accept && !delivery.settled;
        if !has_ended && receiver.top_up().is_some() {
            self.mark_flow(key, effects);
        }
        if auto_accept
            && self
                .incoming
                .settle(delivery.delivery_id, Outcome::Accepted.into(), effects)
        {
            self.mark(effects);
        }
        self.open_window(effects);
    }

    /// A caller gives up its place among those who wait to receive.
    pub(crate) fn leave_receivers(
        &mut self,
        key: Key,
        ticket: &mut Option<Ticket>,
        effects: &mut Effects,
    ) {
        let Some(receiver) = self.links.get_mut(key).and_then(Link::receiver_mut) else {
            return;
        };
        let was_batch = receiver.waiters.wanted(*ticket) > 1;
        receiver.waiters.leave(ticket, &mut effects.wakes);
        receiver.wake_waiters(&mut effects.wakes);
        if (was_batch && receiver.forget_batch()) || receiver.top_up().is_some() {
            self.mark_flow(key, effects); // who is next now may want a larger batch, or a smaller one
        }
    }

    /// The last handle that could take deliveries is gone, but some that were taken are not settled yet and keep the link:
    /// the credit goes back, and what is queued is released.
    pub(crate) fn stop_receiving(&mut self, key: Key, effects: &mut Effects) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let Some(receiver) = link.receiver_mut() else {
            return;
        };
        receiver.stop();
        self.release_queued(key, effects);
        self.mark_flow(key, effects);
    }

    /// Gives back what is queued on a link that nobody reads.
    fn release_queued(&mut self, key: Key, effects: &mut Effects) {
        while let Some(delivery) = self
            .links
            .get_mut(key)
            .and_then(Link::receiver_mut)
            .and_then(ReceiverEnd::take)
        {
            self.incoming.remove_queued(delivery.weight(), effects);
            if self
                .incoming
                .settle(delivery.delivery_id, Outcome::Released.into(), effects)
            {
                self.mark(effects);
            }
            effects.garbage.push(delivery.payload);
        }
        self.open_window(effects);
    }

    pub(crate) fn is_auto_accepting(&self, key: Key) -> bool {
        matches!(self.links.get(key).map(|link| &link.end), Some(LinkEnd::Receiver(receiver)) if receiver.auto_accept)
    }

    /// Settles a received delivery with `state`. Settled already: nothing happens (P-014).
    pub(crate) fn settle(
        &mut self,
        key: Key,
        delivery_id: u32,
        state: DeliveryState,
        effects: &mut Effects,
    ) -> Result<(), LinkError> {
        let link = self.link_mut(key)?;
        if let Some(error) = &link.ended {
            return Err(error.clone());
        }
        if self.incoming.settle(delivery_id, state, effects) {
            self.mark(effects);
        }
        Ok(())
    }

    /// States where a received delivery stands, without settling it.
    pub(crate) fn update(
        &mut self,
        key: Key,
        delivery_id: u32,
        state: DeliveryState,
        effects: &mut Effects,
    ) -> Result<(), LinkError> {
        let link = self.link_mut(key)?;
        if let Some(error) = &link.ended {
            return Err(error.clone());
        }
        let is_retired = matches!(state, DeliveryState::Transactional(_));
        if self.incoming.update(delivery_id, state) {
            effects.has_retirements |= is_retired;
            self.mark(effects);
        }
        Ok(())
    }

    pub(crate) fn poll_confirmed(
        &mut self,
        key: Key,
        delivery_id: u32,
        watcher: &mut Watcher<'_>,
        effects: &mut Effects,
    ) -> Poll<Result<(), LinkError>> {
        let link = self.link_mut(key)?;
        if let Some(error) = &link.ended {
            return Poll::Ready(Err(error.clone()));
        }
        self.incoming
            .poll_confirmed(delivery_id, watcher, effects)
            .map(Ok)
    }

    /// Forgets what one link holds, or all links do. What the sender has to confirm stays with the link.
    pub(super) fn forget_held(&mut self, link: Option<Key>, effects: &mut Effects) {
        for (key, unconfirmed) in self.incoming.forget_links(link, effects) {
            if let Some(receiver) = self.links.get_mut(key).and_then(Link::receiver_mut) {
                receiver.resumption.leave(unconfirmed);
            }
        }
    }

    /// What a link that is over leaves for its next attachment to state.
    pub(crate) fn unconfirmed(&self, key: Key) -> Option<UnsettledMap> {
        let link = self.links.get(key)?;
        let LinkEnd::Receiver(receiver) = &link.end else {
            return None;
        };
        let remote = link.remote_attach.as_ref()?;
        Some(receiver.resumption.unconfirmed(remote))
    }

    /// Gives up a delivery of which the rest will not come, because its link is over.
    pub(super) fn drop_arriving(&mut self, key: Key, effects: &mut Effects) {
        if let Some(receiver) = self.links.get_mut(key).and_then(Link::receiver_mut) {
            let octets = receiver.discard_partial();
            self.incoming.replace_partial(octets, 0, effects);
            self.open_window(effects);
        }
    }
}
