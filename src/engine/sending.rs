//! Deliveries out of a session: turns, transfers, outcomes.

use std::task::{Poll, Waker};

use super::effects::Effects;
use super::key::Key;
use super::link::{Due, Link, LinkEnd};
use super::sender::{OneFrame, Outbound, PartialSend, write_in_one_frame, write_partial};
use super::session::Session;
use super::wait::Ticket;
use crate::codec::{DeliveryState, Outcome, TransactionalState};
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

    /// Room has come up: tells senders that wait for it, and goes on with deliveries under way.
    pub(crate) fn wake_senders(&mut self, effects: &mut Effects) {
        for position in 0..self.links.positions() {
            let Some(key) = self.links.key_at(position) else {
                continue;
            };
            self.wake_sender(key, effects);
        }
        if !self.outgoing.partials.is_empty() {
            self.mark(effects);
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
            let is_drained = link.sender_mut().is_some_and(|sender| {
                if has_more_room {
                    sender.waiters.wake_next(&mut effects.wakes);
                }
                sender.can_finish_drain()
            });
            if is_drained {
                self.mark_flow(key, effects);
            }
        }
        Poll::Ready(sent)
    }

    /// Waits for the caller's turn and for room, and sends nothing: the place stays the caller's.
    pub(crate) fn poll_ready(
        &mut self,
        key: Key,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
        effects: &mut Effects,
    ) -> Poll<Result<(), LinkError>> {
        let room = self.sendable(key, effects);
        let link = self.link_mut(key)?;
        let error = link.ended.clone();
        let sender = link.sender_mut().ok_or(LinkError::WrongRole)?;
        if let Some(error) = error {
            sender.waiters.leave(ticket, &mut effects.wakes);
            return Poll::Ready(Err(error));
        }
        let is_ready = room > 0 && sender.waiters.is_next(*ticket);
        effects.output.is_blocked |= !effects.output.has_room();
        sender.waiters.wait(ticket, 1, waker, &mut effects.wakes);
        match is_ready {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    /// How many messages the application holds back for want of credit; a drain waits for them.
    pub(crate) fn set_available(&mut self, key: Key, available: u32, effects: &mut Effects) {
        let Some(sender) = self.links.get_mut(key).and_then(Link::sender_mut) else {
            return;
        };
        sender.available = Some(available);
        if sender.can_finish_drain() {
            self.mark_flow(key, effects);
        }
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
        let settled = settled || outbound.aborted; // D-013: nobody settles what was given up
        if !outbound.aborted {
            sender.check_settled(settled)?;
        }
        if sender.takes_resumed_only && !outbound.resume {
            return Err(SendError::OnlyResumed);
        }
        if matches!(outbound.state, Some(DeliveryState::Received(_))) && !outbound.resume {
            return Err(SendError::NotResumed); // O-005
        }
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
        let is_drained = sender.can_finish_drain();
        self.wake_sender(key, effects);
        if is_drained {
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

    pub(crate) fn poll_transactional(
        &mut self,
        delivery: Key,
        waker: &Waker,
        effects: &mut Effects,
    ) -> Poll<Option<TransactionalState>> {
        self.outgoing.poll_transactional(delivery, waker, effects)
    }

    /// Settles a sent delivery from our side.
    pub(crate) fn settle_sent(&mut self, delivery: Key, outcome: Outcome, effects: &mut Effects) {
        if self.outgoing.settle(delivery, outcome, effects) {
            self.mark(effects);
            self.wake_senders(effects);
            self.check_settled(effects);
        }
    }

    /// Takes a sent delivery back: one of which frames are still to be sent is aborted, and any other settled. Says whether
    /// it is being aborted: then it has its outcome when that is in the output.
    pub(crate) fn retract_sent(
        &mut self,
        delivery: Key,
        outcome: Outcome,
        effects: &mut Effects,
    ) -> bool {
        let partial = self
            .outgoing
            .retract(delivery, effects)
            .and_then(|(link, delivery_id)| {
                let partial = self.links.get_mut(link)?.sender_mut()?.partial.as_mut()?;
                partial.is_of(delivery_id).then_some(partial)
            });
        match partial {
            Some(partial) => {
                partial.abort(&mut effects.garbage);
                self.mark(effects);
                true
            }
            None => {
                self.settle_sent(delivery, outcome, effects);
                false
            }
        }
    }

    pub(crate) fn abandon_outcome(&mut self, delivery: Key, effects: &mut Effects) {
        if self.outgoing.abandon(delivery, effects) {
            self.mark(effects);
            self.wake_senders(effects);
            self.check_settled(effects);
        }
    }

    /// Deliveries sent and not settled.
    pub(crate) fn unsettled_sent(&self) -> usize {
        self.outgoing.unsettled()
    }

    /// Whether a delivery is under way of which frames are still to be sent.
    pub(crate) fn has_partials(&self) -> bool {
        !self.outgoing.partials.is_empty()
    }

    /// Goes on with deliveries of several frames, one frame a link in turn, as far as window and room allow (D-010).
    pub(super) fn flush_partials(&mut self, effects: &mut Effects) {
        if self.partials_give_way(effects) {
            return;
        }
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
            let aborted = partial.aborted();
            let is_last = write_partial(self.outgoing_channel, partial, effects);
            self.outgoing.partials_gave_way = false;
            self.outgoing.window.consume();
            if is_last {
                sender.partial = None;
                if let Some(delivery_id) = aborted {
                    self.outgoing.finish_aborted(delivery_id, effects);
                }
                self.finish_partial(key, effects);
            } else {
                self.outgoing.partials.push_back(key);
            }
        }
    }

    /// Every other time, senders that wait for the same window run before the next frames of large deliveries take it all.
    fn partials_give_way(&mut self, effects: &mut Effects) -> bool {
        let is_waiting = |link: &mut Link| {
            link.sender_mut()
                .is_some_and(|sender| sender.startable() > 0 && !sender.waiters.is_empty())
        };
        let gives_way = !self.outgoing.partials.is_empty()
            && !self.outgoing.partials_gave_way
            && self.links.iter_mut().any(|(_, link)| is_waiting(link));
        if gives_way {
            self.outgoing.partials_gave_way = true;
            effects.gives_way = true;
            self.mark(effects);
        }
        gives_way
    }

    /// The link is free again: for the next sender, or for a detach that waited.
    fn finish_partial(&mut self, key: Key, effects: &mut Effects) {
        self.wake_sender(key, effects);
        self.check_settled(effects);
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let is_leaving = link.due.detach.is_some() || link.is_over();
        let is_drained = link
            .sender_mut()
            .is_some_and(|sender| sender.can_finish_drain());
        if is_drained {
            self.mark_flow(key, effects);
        } else if is_leaving {
            self.mark_link(key, effects);
        }
    }

    /// Gives up what is left of a delivery under way.
    pub(super) fn drop_partial(&mut self, key: Key, effects: &mut Effects) {
        if let Some(sender) = self.links.get_mut(key).and_then(Link::sender_mut)
            && let Some(partial) = sender.partial.take()
        {
            effects.garbage.extend(partial.into_rest());
            self.outgoing.partials.retain(|other| *other != key);
            self.check_settled(effects);
        }
    }

    pub(super) fn drop_partials(&mut self, effects: &mut Effects) {
        while let Some(key) = self.outgoing.partials.front().copied() {
            self.outgoing.partials.pop_front();
            self.drop_partial(key, effects);
        }
    }

    /// Tells who waits for the outcomes of all deliveries, once that is so.
    pub(super) fn check_settled(&mut self, effects: &mut Effects) {
        if self.outgoing.unsettled() == 0 && !self.has_partials() {
            effects.settled_watchers.wake_all(&mut effects.wakes);
        }
    }
}
