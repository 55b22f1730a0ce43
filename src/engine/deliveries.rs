//! The deliveries of a session: transfers out and in, settlement, credit.

use std::task::{Poll, Waker};

use amqp10_codec::{DeliveryState, Flow, Outcome, Transfer};
use bytes::Bytes;

use super::effects::Effects;
use super::endpoint::Half;
use super::key::Key;
use super::link::{Due, Link, LinkEnd};
use super::receiver::{Inbound, Progress};
use super::sender::{OneFrame, Outbound, PartialSend, write_in_one_frame, write_partial};
use super::session::{Fault, Session};
use super::violation::PeerFault;
use super::wait::Ticket;
use crate::error::{LinkError, SendError};

impl Session {
    /// Deliveries that `link` may start now: credit, session window, output room and unsettled slots together.
    pub(super) fn sendable(&self, link: Key, effects: &Effects) -> usize {
        let Some(Link {
            end: LinkEnd::Sender(sender),
            due: Due {
                attach: is_unannounced,
                ..
            },
            ..
        }) = self.links.get(link)
        else {
            return 0;
        };
        let slots = effects
            .limits
            .max_unsettled_deliveries
            .saturating_sub(self.outgoing.unsettled());
        let window = self.outgoing.window.remote_incoming_window as usize;
        if effects.output.has_room() && !is_unannounced {
            sender.startable().min(window).min(slots)
        } else {
            0
        }
    }

    /// Tells as many of those who wait to send on `link` as there is room for. Where the output is what is full, the next
    /// swap tells them.
    pub(super) fn wake_sender(&mut self, link: Key, effects: &mut Effects) {
        let room = self.sendable(link, effects);
        if let Some(sender) = self.links.get_mut(link).and_then(Link::sender_mut) {
            effects.output.is_blocked |= !effects.output.has_room() && !sender.waiters.is_empty();
            sender.waiters.wake(room, &mut effects.wakes);
        }
    }

    /// Sends one delivery if it is this caller's turn and there is room; else the caller waits and nothing has changed.
    /// The key of an unsettled delivery leads to its outcome.
    pub(crate) fn poll_transfer(
        &mut self,
        key: Key,
        ticket: &mut Option<Ticket>,
        outbound: &Outbound,
        settled: bool,
        waker: &Waker,
        effects: &mut Effects,
    ) -> Poll<Result<Option<Key>, SendError>> {
        let room = self.sendable(key, effects);
        let link = match self.link_mut(key) {
            Ok(link) => link,
            Err(error) => return Poll::Ready(Err(SendError::NotSent(error))),
        };
        let error = link.ended.clone();
        let Some(sender) = link.sender_mut() else {
            return Poll::Ready(Err(SendError::NotSent(LinkError::WrongRole)));
        };
        if let Some(error) = error {
            sender.waiters.leave(ticket, &mut effects.wakes);
            return Poll::Ready(Err(SendError::NotSent(error)));
        }
        if room == 0 || !sender.waiters.is_next(*ticket) {
            effects.output.is_blocked |= !effects.output.has_room();
            sender.waiters.wait(ticket, 1, waker, &mut effects.wakes);
            return Poll::Pending;
        }
        sender.waiters.leave(ticket, &mut effects.wakes);
        let sent = self.transfer(key, outbound, settled, effects);
        let has_more_room = room > 1 || sent.is_err();
        if let Some(link) = self.links.get_mut(key) {
            let is_draining = link.sender_mut().is_some_and(|sender| {
                if has_more_room {
                    sender.waiters.wake_next(&mut effects.wakes);
                }
                sender.is_draining
            });
            if is_draining {
                self.mark_flow(key, effects);
            }
        }
        Poll::Ready(sent)
    }

    /// Looks at the ids, encodes, and commits only once it is known that the delivery fits.
    fn transfer(
        &mut self,
        key: Key,
        outbound: &Outbound,
        settled: bool,
        effects: &mut Effects,
    ) -> Result<Option<Key>, SendError> {
        let position = effects.output.position();
        let delivery_id = self.outgoing.next_delivery_id();
        let Some((handle, sender)) = self
            .links
            .get_mut(key)
            .and_then(|link| Some((link.output_handle?, link.sender_mut()?)))
        else {
            return Err(SendError::NotSent(LinkError::LocalDetached));
        };
        sender.check_settled(settled)?;
        let transfer = sender.first_transfer(handle, delivery_id, outbound, settled);
        let written = write_in_one_frame(
            self.outgoing_channel,
            &transfer,
            &outbound.payload,
            sender,
            effects,
        )?;
        if let OneFrame::TooLarge(payload) = written {
            // The first frame goes now, because delivery-ids must leave in their order (D-008); flush does the rest.
            let mut partial = PartialSend::new(transfer, payload);
            write_partial(self.outgoing_channel, &mut partial, effects);
            sender.partial = Some(partial);
            self.outgoing.partials.push_back(key);
        }
        sender.credit.consume();
        self.outgoing.window.consume();
        effects.output.messages += 1;
        let delivery = if settled {
            self.outgoing.commit_settled();
            None
        } else {
            Some(self.outgoing.commit_unsettled(key, position))
        };
        if !self.outgoing.partials.is_empty() {
            self.mark(effects);
        }
        Ok(delivery)
    }

    /// A caller gives up its place among those who wait to send.
    pub(crate) fn leave_senders(
        &mut self,
        key: Key,
        ticket: &mut Option<Ticket>,
        effects: &mut Effects,
    ) {
        let Some(sender) = self.links.get_mut(key).and_then(Link::sender_mut) else {
            return;
        };
        sender.waiters.leave(ticket, &mut effects.wakes);
        let is_draining = sender.is_draining;
        self.wake_sender(key, effects);
        if is_draining {
            self.mark_flow(key, effects);
        }
    }

    pub(crate) fn poll_outcome(
        &mut self,
        delivery: Key,
        waker: &Waker,
        effects: &mut Effects,
    ) -> Poll<Option<Result<Outcome, SendError>>> {
        self.outgoing.poll_outcome(delivery, waker, effects)
    }

    pub(crate) fn abandon_outcome(&mut self, delivery: Key, effects: &mut Effects) {
        if self.outgoing.abandon(delivery, effects) {
            self.mark(effects);
            self.wake_senders(effects);
            self.check_settled(effects);
        }
    }

    /// Deliveries that may still be started (sender) or may still come (receiver).
    pub(crate) fn link_credit(&self, key: Key) -> u32 {
        match self.links.get(key).map(|link| &link.end) {
            Some(LinkEnd::Sender(sender)) => sender.credit.link_credit,
            Some(LinkEnd::Receiver(receiver)) => receiver.credit.link_credit,
            None => 0,
        }
    }

    pub(crate) fn is_auto_accepting(&self, key: Key) -> bool {
        matches!(self.links.get(key).map(|link| &link.end), Some(LinkEnd::Receiver(receiver)) if receiver.auto_accept)
    }

    /// Deliveries sent and not settled.
    pub(crate) fn unsettled_sent(&self) -> usize {
        self.outgoing.unsettled()
    }

    /// Goes on with deliveries of several frames, one frame a link in turn, as far as window and room allow (D-010).
    pub(super) fn flush_partials(&mut self, effects: &mut Effects) {
        while let Some(key) = self.outgoing.partials.front().copied() {
            if self.outgoing.window.remote_incoming_window == 0 {
                return; // W-011
            }
            if !effects.output.has_room_for_partials() {
                effects.output.is_blocked = true;
                return;
            }
            self.outgoing.partials.pop_front();
            let Some(sender) = self.links.get_mut(key).and_then(Link::sender_mut) else {
                continue;
            };
            let Some(partial) = &mut sender.partial else {
                continue;
            };
            let is_last = write_partial(self.outgoing_channel, partial, effects);
            self.outgoing.window.consume();
            if is_last {
                sender.partial = None;
                self.finish_partial(key, effects);
            } else {
                self.outgoing.partials.push_back(key);
            }
        }
    }

    /// The link is free again: for the next sender, or for a detach that waited.
    fn finish_partial(&mut self, key: Key, effects: &mut Effects) {
        self.wake_sender(key, effects);
        self.check_settled(effects);
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let is_leaving = link.due.detach.is_some() || link.is_over();
        let is_draining = link.sender_mut().is_some_and(|sender| sender.is_draining);
        if is_draining {
            self.mark_flow(key, effects);
        } else if is_leaving {
            self.mark_link(key, effects);
        }
    }

    pub(crate) fn on_transfer(
        &mut self,
        transfer: Transfer,
        payload: Bytes,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        if !self.incoming.window.on_transfer() {
            return Err(PeerFault::WindowViolation.into());
        }
        if self.is_window_due(effects) {
            self.mark(effects);
        }
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
        incoming.partial_bytes -= receiver.partial_len();
        let progress = receiver.on_transfer(transfer, payload, effects.pass, max_excess);
        incoming.partial_bytes += receiver.partial_len();
        let progress = progress?;
        incoming.check_partial_bytes(effects.limits.max_partial_delivery_bytes)?;
        let is_queued = receiver.queue.len() > queued_before;
        if is_queued {
            incoming.queued_bytes += receiver.queue.back().map_or(0, Inbound::weight);
        }
        receiver.wake_waiters(&mut effects.wakes);
        let has_drained = receiver.finish_drain();
        // K-025: a delivery that was aborted used up credit, and nobody will take it; a drain that is over starts anew.
        let is_dropped = !is_queued && !receiver.has_partial();
        let is_flow_due = (is_dropped || has_drained) && receiver.top_up().is_some();
        if has_drained {
            receiver.waiters.wake_all(&mut effects.wakes);
            link.watchers.wake_all(&mut effects.wakes);
        }
        match progress {
            Progress::Began {
                delivery_id,
                rcv_settle_mode,
            } => {
                let limit = effects.limits.max_unsettled_deliveries;
                incoming.hold(delivery_id, key, rcv_settle_mode, limit)?;
            }
            Progress::NoLongerUnsettled { delivery_id } => incoming.forget(delivery_id, effects),
            Progress::Continued => {}
        }
        if is_flow_due {
            self.mark_flow(key, effects);
        }
        Ok(())
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

    /// Takes up to `max` deliveries once that many are there, no more can come without new credit, or `is_over` says that
    /// the time is up. Until then they stay in the link's queue.
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
        let was_shut = self.incoming.queued_bytes >= effects.limits.max_queued_bytes;
        self.incoming.queued_bytes = self.incoming.queued_bytes.saturating_sub(delivery.weight());
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
                .settle(delivery.delivery_id, Outcome::Accepted.into())
        {
            self.mark(effects);
        }
        if was_shut && self.is_window_due(effects) {
            self.mark(effects);
        }
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
        receiver.waiters.leave(ticket, &mut effects.wakes);
        receiver.wake_waiters(&mut effects.wakes);
        if receiver.forget_batch() || receiver.top_up().is_some() {
            self.mark_flow(key, effects); // who is next now may want a larger batch, or a smaller one
        }
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
        if self.incoming.settle(delivery_id, state) {
            self.mark(effects);
        }
        Ok(())
    }

    pub(crate) fn poll_confirmed(
        &mut self,
        key: Key,
        delivery_id: u32,
        waker: &Waker,
        effects: &mut Effects,
    ) -> Poll<Result<(), LinkError>> {
        let link = self.link_mut(key)?;
        if let Some(error) = &link.ended {
            return Poll::Ready(Err(error.clone()));
        }
        self.incoming
            .poll_confirmed(delivery_id, waker, effects)
            .map(Ok)
    }

    /// Grants `additional` deliveries more, beside what the peer still has.
    pub(crate) fn add_credit(
        &mut self,
        key: Key,
        additional: u32,
        effects: &mut Effects,
    ) -> Result<(), LinkError> {
        let link = self.link_mut(key)?;
        if let Some(error) = &link.ended {
            return Err(error.clone());
        }
        let receiver = link.receiver_mut().ok_or(LinkError::WrongRole)?;
        receiver
            .credit
            .grant(receiver.credit.link_credit.saturating_add(additional));
        self.mark_flow(key, effects);
        Ok(())
    }

    /// Asks the sender to use up its credit or give it back (K-014).
    pub(crate) fn start_drain(&mut self, key: Key, effects: &mut Effects) -> Result<(), LinkError> {
        let link = self.link_mut(key)?;
        if let Some(error) = &link.ended {
            return Err(error.clone());
        }
        let receiver = link.receiver_mut().ok_or(LinkError::WrongRole)?;
        if receiver.credit.link_credit > 0 {
            receiver.is_draining = true;
            self.mark_flow(key, effects);
        }
        Ok(())
    }

    pub(crate) fn poll_drained(&mut self, key: Key, waker: &Waker) -> Poll<Result<(), LinkError>> {
        let link = self.link_mut(key)?;
        if let Some(error) = &link.ended {
            return Poll::Ready(Err(error.clone()));
        }
        if !link
            .receiver_mut()
            .is_some_and(|receiver| receiver.is_draining)
        {
            return Poll::Ready(Ok(()));
        }
        link.watchers.register(waker);
        Poll::Pending
    }

    /// Writes the flow that a link owes: a top-up, a drain or its answer, an echo. True if one was written.
    pub(super) fn flush_link_flow(&mut self, key: Key, effects: &mut Effects) -> bool {
        let Some(link) = self
            .links
            .get_mut(key)
            .filter(|link| link.due.flow && link.is_attached() && !link.due.attach)
        else {
            return false;
        };
        link.due.flow = false;
        let handle = link.output_handle;
        let state = match &mut link.end {
            LinkEnd::Sender(sender) => {
                let drained = sender.can_finish_drain();
                if drained {
                    sender.credit.drain(); // K-012
                }
                let flow = Flow {
                    delivery_count: Some(sender.credit.delivery_count),
                    link_credit: Some(sender.credit.link_credit),
                    available: Some(sender.waiters.len() as u32),
                    drain: sender.is_draining,
                    ..Flow::default()
                };
                sender.is_draining &= !drained;
                flow
            }
            LinkEnd::Receiver(receiver) => {
                if let Some(granted) = receiver.top_up() {
                    receiver.credit.grant(granted);
                }
                Flow {
                    delivery_count: Some(receiver.credit.delivery_count),
                    link_credit: Some(receiver.credit.link_credit),
                    drain: receiver.is_draining,
                    ..Flow::default()
                }
            }
        };
        let session = self.flow(effects);
        let flow = Flow {
            handle,
            delivery_count: state.delivery_count,
            link_credit: state.link_credit,
            available: state.available,
            drain: state.drain,
            ..session
        };
        let _ = effects.output.write(self.outgoing_channel, &flow); // at most some 60 octets: it always fits
        true
    }
}
