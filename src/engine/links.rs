//! The links of a session: attach, detach, names and handles.

use std::sync::Arc;
use std::task::{Poll, Waker};

use amqp10_codec::{AmqpError, Attach, Detach, Role, Str, condition};

use super::effects::{Effects, LinkKey};
use super::endpoint::Half;
use super::key::Key;
use super::link::{Link, LinkEnd, ReceiverSettings, opposite};
use super::outgoing::reached;
use super::session::{Fault, Session, without_details};
use super::violation::PeerFault;
use crate::error::{LinkError, SessionError};

impl Session {
    pub(super) fn link_mut(&mut self, key: Key) -> Result<&mut Link, LinkError> {
        let ended = self.ended.clone();
        self.links
            .get_mut(key)
            .ok_or_else(|| ended.map_or(LinkError::LocalDetached, LinkError::Session))
    }

    pub(super) fn mark_link(&mut self, key: Key, effects: &mut Effects) {
        if let Some(link) = self.links.get_mut(key)
            && !link.is_due
        {
            link.is_due = true;
            self.due_links.push(key);
        }
        self.mark(effects);
    }

    pub(super) fn mark_flow(&mut self, key: Key, effects: &mut Effects) {
        if let Some(link) = self.links.get_mut(key) {
            link.due.flow = true;
        }
        self.mark_link(key, effects);
    }

    fn allocate_handle(&mut self, key: Key, effects: &Effects) -> Result<u32, LinkError> {
        let highest = self
            .remote_handle_max
            .min(effects.limits.max_links_per_session.saturating_sub(1));
        self.output_handles
            .allocate(key, highest) // L-006, S-008
            .ok_or(LinkError::TooManyLinks {
                limit: highest.saturating_add(1),
            })
    }

    /// Attaches a link from our side.
    pub(crate) fn attach(
        &mut self,
        attach: Attach,
        settings: ReceiverSettings,
        effects: &mut Effects,
    ) -> Result<Key, LinkError> {
        if let Some(error) = &self.ended {
            return Err(error.clone().into());
        }
        if self
            .find_link(&attach.name, attach.role, |link| {
                link.ended.is_none() || link.awaits_attach()
            })
            .is_some()
        {
            return Err(LinkError::NameInUse);
        }
        let key = self.links.insert(Link::outgoing(attach, settings));
        match self.allocate_handle(key, effects) {
            Ok(handle) => self.set_output_handle(key, handle),
            Err(error) => {
                self.links.remove(key);
                return Err(error);
            }
        }
        self.mark_link(key, effects);
        Ok(key)
    }

    fn set_output_handle(&mut self, key: Key, handle: u32) {
        if let Some(link) = self.links.get_mut(key) {
            link.output_handle = Some(handle);
            link.attach.handle = handle;
        }
    }

    /// Whether the peer has attached too; its attach, or why the link will not be.
    pub(crate) fn poll_attached(
        &mut self,
        key: Key,
        waker: &Waker,
    ) -> Poll<Result<Arc<Attach>, LinkError>> {
        let link = match self.link_mut(key) {
            Ok(link) => link,
            Err(error) => return Poll::Ready(Err(error)),
        };
        if let Some(error) = &link.ended {
            return Poll::Ready(Err(error.clone()));
        }
        if let (true, Some(remote)) = (link.is_attached(), &link.remote_attach) {
            return Poll::Ready(Ok(remote.clone()));
        }
        link.watchers.register(waker);
        Poll::Pending
    }

    /// Whether the detach is complete, in both directions.
    pub(crate) fn poll_detached(&mut self, key: Key, waker: &Waker) -> Poll<LinkError> {
        let session = self.ended.clone();
        let Some(link) = self.links.get_mut(key) else {
            return Poll::Ready(LinkError::LocalDetached);
        };
        match (&link.ended, session) {
            (Some(error), _) if link.endpoint.is_closed() => Poll::Ready(error.clone()),
            (Some(_), Some(error)) => Poll::Ready(error.into()), // the peer's detach will not come
            _ => {
                link.watchers.register(waker);
                Poll::Pending
            }
        }
    }

    /// Why the link is over, as soon as it is.
    pub(crate) fn poll_ended(&mut self, key: Key, waker: &Waker) -> Poll<LinkError> {
        let Some(link) = self.links.get_mut(key) else {
            return Poll::Ready(LinkError::LocalDetached);
        };
        match &link.ended {
            Some(error) => Poll::Ready(error.clone()),
            None => {
                link.watchers.register(waker);
                Poll::Pending
            }
        }
    }

    pub(crate) fn on_attach(&mut self, attach: Attach, effects: &mut Effects) -> Result<(), Fault> {
        if attach.handle > self.handle_max() {
            return Err(PeerFault::HandleAboveMax {
                handle: attach.handle,
                handle_max: self.handle_max(),
            }
            .into());
        }
        if self.input_handles.get(attach.handle).is_some() {
            return Err(PeerFault::HandleInUse(attach.handle).into()); // L-007
        }
        let our_role = opposite(attach.role);
        if let Some(key) = self.find_link(&attach.name, our_role, Link::awaits_attach) {
            return self.on_attach_answer(key, attach, effects);
        }
        if let Some(attached) = self.find_link(&attach.name, our_role, |link| link.ended.is_none())
        {
            self.steal(attached, effects);
        }
        self.on_incoming_attach(attach, effects)
    }

    fn find_link(&self, name: &Str, role: Role, is_wanted: impl Fn(&Link) -> bool) -> Option<Key> {
        let found = self.links.iter().find(|(_, link)| {
            link.is_named(name, role) && !link.endpoint.is_closed() && is_wanted(link)
        });
        found.map(|(key, _)| key)
    }

    /// The peer's answer to our attach.
    fn on_attach_answer(
        &mut self,
        key: Key,
        attach: Attach,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        self.input_handles.set(attach.handle, key);
        let Some(link) = self.links.get_mut(key) else {
            return Ok(());
        };
        link.input_handle = Some(attach.handle);
        link.endpoint.remote = Half::Open;
        link.is_refusal_pending = link.is_refused_by(&attach);
        if attach.role == Role::Sender
            && attach.initial_delivery_count.is_none()
            && !link.is_refusal_pending
        {
            return Err(PeerFault::NoInitialDeliveryCount.at(key)); // L-019
        }
        link.learn(&attach);
        link.remote_attach = Some(Arc::new(attach));
        if link.is_attached() {
            link.watchers.wake_all(&mut effects.wakes);
            if matches!(link.end, LinkEnd::Receiver(_)) {
                self.mark_flow(key, effects);
            }
        } else {
            self.mark_link(key, effects); // given up meanwhile: its detach has waited for this answer
        }
        Ok(())
    }

    /// The same name is attached again: the new link takes over, the old one learns that it was stolen (L-003).
    fn steal(&mut self, key: Key, effects: &mut Effects) {
        let error = AmqpError::new(
            condition::STOLEN,
            "the link was attached again under the same name",
        );
        let reason = LinkError::RemoteDetached {
            closed: true,
            error: Some(error.clone()),
        };
        self.detach_link(key, true, Some(error), reason, effects);
    }

    /// A link that the peer begins: it waits for the application to accept or refuse it.
    fn on_incoming_attach(&mut self, attach: Attach, effects: &mut Effects) -> Result<(), Fault> {
        let handle = attach.handle;
        let lacks_count = attach.role == Role::Sender && attach.initial_delivery_count.is_none();
        let key = self.links.insert(Link::incoming(Arc::new(attach)));
        self.input_handles.set(handle, key);
        if let Some(link) = self.links.get_mut(key) {
            link.input_handle = Some(handle);
        }
        if lacks_count {
            self.refuse(
                key,
                AmqpError::new(
                    condition::INVALID_FIELD,
                    PeerFault::NoInitialDeliveryCount.to_string().as_str(),
                ),
                false,
                effects,
            );
        } else if effects.pending_links.len() >= effects.limits.max_pending_links {
            let error = AmqpError::new(
                condition::RESOURCE_LIMIT_EXCEEDED,
                "too many links wait to be accepted",
            );
            self.refuse(key, error, false, effects);
        } else {
            effects.pending_links.push_back((
                LinkKey {
                    session: self.key,
                    link: key,
                },
                effects.now,
            ));
            effects.pending_watchers.wake_all(&mut effects.wakes);
        }
        Ok(())
    }

    /// Answers an incoming link with `answer`, whose handle is chosen here.
    pub(crate) fn accept(
        &mut self,
        key: Key,
        answer: Attach,
        settings: ReceiverSettings,
        effects: &mut Effects,
    ) -> Result<(), LinkError> {
        let link = self.link_mut(key)?;
        if let Some(error) = &link.ended {
            return Err(error.clone());
        }
        let handle = self
            .allocate_handle(key, effects)
            .inspect_err(|_| self.end_without_handles(effects))?;
        if let Some(link) = self.links.get_mut(key) {
            link.accept(answer, settings);
        }
        self.set_output_handle(key, handle);
        self.mark_link(key, effects);
        Ok(())
    }

    /// Refuses an incoming link: attach and detach are written together (L-013). With `echo`, the termini are sent back as
    /// they came instead of a null one, for peers that cannot read a null.
    pub(crate) fn refuse(&mut self, key: Key, error: AmqpError, echo: bool, effects: &mut Effects) {
        let Ok(handle) = self.allocate_handle(key, effects) else {
            return self.end_without_handles(effects);
        };
        self.set_output_handle(key, handle);
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        if !echo {
            link.clear_local_terminus();
        }
        link.endpoint.local = Half::Open;
        link.due.attach = true;
        link.detach(true, Some(error), LinkError::LocalDetached);
        self.mark_link(key, effects);
    }

    /// Without a handle an attach cannot even be refused (S-008).
    fn end_without_handles(&mut self, effects: &mut Effects) {
        let violation = PeerFault::NoHandleForAnswer.violation();
        let error = violation.to_amqp_error();
        self.end(Some(error), SessionError::Violation(violation), effects);
    }

    /// Whether an incoming link still waits for an answer.
    pub(crate) fn is_unanswered(&self, key: Key) -> bool {
        self.links
            .get(key)
            .is_some_and(|link| link.endpoint.local == Half::Idle && link.ended.is_none())
    }

    /// Detaches from our side. What was sent and not settled may still be settled until the peer detaches too.
    pub(crate) fn detach_link(
        &mut self,
        key: Key,
        closed: bool,
        error: Option<AmqpError>,
        reason: LinkError,
        effects: &mut Effects,
    ) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let is_unanswered = link.endpoint.local == Half::Idle && link.ended.is_none();
        if let (true, Some(error)) = (is_unanswered, &error) {
            return self.refuse(key, error.clone(), false, effects);
        }
        link.detach(closed, error, reason);
        link.wake_all(effects);
        self.drop_arriving(key);
        self.incoming.forget_link(key, effects);
        self.mark_link(key, effects);
    }

    pub(crate) fn on_detach(&mut self, detach: Detach, effects: &mut Effects) -> Result<(), Fault> {
        let key = match self.input_link(detach.handle, "detach") {
            Ok(key) => key,
            Err(fault) => self.unanswered_attach(detach.handle).ok_or(fault)?, // L-015
        };
        self.input_handles.clear(detach.handle);
        self.forget_pending(key, effects);
        let Some(link) = self.links.get_mut(key) else {
            return Ok(());
        };
        let was_attached = link.remote_attach.is_some() && !link.is_refusal_pending;
        link.endpoint.remote = Half::Closed;
        let reason = match was_attached {
            true => LinkError::RemoteDetached {
                closed: detach.closed,
                error: detach.error,
            },
            false => LinkError::Refused(detach.error),
        };
        if link.endpoint.local == Half::Idle {
            self.refuse(
                key,
                AmqpError::new(condition::DETACH_FORCED, "detached before it was answered"),
                false,
                effects,
            );
        } else {
            link.detach(detach.closed, None, reason.clone()); // L-027
        }
        self.fail_link(key, reason, effects);
        self.wake_senders(effects); // other links have the room that its deliveries took
        self.mark_link(key, effects);
        self.reap_link(key, effects);
        Ok(())
    }

    /// A link that waits to be accepted is over before that.
    fn forget_pending(&self, key: Key, effects: &mut Effects) {
        let link = LinkKey {
            session: self.key,
            link: key,
        };
        effects
            .pending_links
            .retain(|(pending, _)| *pending != link);
    }

    /// The link that a detach without an attach refuses: the one with this handle, or the only one without an answer.
    fn unanswered_attach(&self, handle: u32) -> Option<Key> {
        let mut waiting = self.links.iter().filter(|(_, link)| link.awaits_attach());
        let first = waiting.next()?;
        if let Some((key, _)) = self
            .links
            .iter()
            .find(|(_, link)| link.awaits_attach() && link.output_handle == Some(handle))
        {
            return Some(key);
        }
        waiting.next().is_none().then_some(first.0)
    }

    /// The link is over: everybody who waits for it, or for the outcome of a delivery on it, learns why.
    pub(crate) fn fail_link(&mut self, key: Key, reason: LinkError, effects: &mut Effects) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let reached = reached(&reason, effects);
        let reason = link.ended.get_or_insert(reason).clone();
        if let LinkError::Session(_) = reason {
            link.is_refusal_pending = false;
        }
        link.wake_all(effects);
        self.drop_partial(key, effects);
        self.drop_arriving(key);
        self.outgoing.fail(Some(key), &reason, reached, effects);
        self.check_settled(effects);
        self.incoming.forget_link(key, effects);
    }

    /// Gives up a delivery of which the rest will not come, because its link is over.
    pub(super) fn drop_arriving(&mut self, key: Key) {
        if let Some(receiver) = self.links.get_mut(key).and_then(Link::receiver_mut) {
            self.incoming.partial_bytes -= receiver.discard_partial();
        }
    }

    /// Gives up what is left of a delivery under way.
    fn drop_partial(&mut self, key: Key, effects: &mut Effects) {
        if let Some(sender) = self.links.get_mut(key).and_then(Link::sender_mut)
            && let Some(partial) = sender.partial.take()
        {
            effects.garbage.push(partial.into_rest());
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

    /// The last handle of a link is gone.
    pub(crate) fn release_link(&mut self, key: Key, closed: bool, effects: &mut Effects) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        link.is_held = false;
        if let Some(receiver) = link.receiver_mut() {
            let queued = receiver.queued_bytes();
            receiver.discard(&mut effects.garbage);
            self.incoming.queued_bytes -= queued.min(self.incoming.queued_bytes);
        }
        if link.ended.is_none() {
            self.detach_link(key, closed, None, LinkError::LocalDetached, effects);
        }
        if self.is_window_due(effects) {
            self.mark(effects);
        }
        self.reap_link(key, effects);
    }

    /// Frees a link that is over in both directions and held by nobody.
    pub(super) fn reap_link(&mut self, key: Key, effects: &mut Effects) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        if link.endpoint.is_closed()
            && let Some(handle) = link.output_handle.take()
        {
            self.output_handles.clear(handle); // L-009
            link.watchers.wake_all(&mut effects.wakes);
        }
        if link.is_over() && !link.is_due {
            let queued = link
                .receiver_mut()
                .map_or(0, |receiver| receiver.queued_bytes());
            self.incoming.queued_bytes -= queued.min(self.incoming.queued_bytes);
            self.links.remove(key);
        }
    }

    /// Writes the attaches that are due.
    pub(super) fn flush_attaches(&mut self, effects: &mut Effects) {
        for position in 0..self.due_links.len() {
            let key = self.due_links[position];
            if self.is_name_leaving(key) {
                continue;
            }
            let Some(link) = self.links.get_mut(key).filter(|link| link.due.attach) else {
                continue;
            };
            link.due.attach = false;
            if let Err(too_large) = effects
                .output
                .write(self.outgoing_channel, link.attach.as_ref())
            {
                link.endpoint.local = Half::Closed;
                link.due.detach = None;
                if link.endpoint.remote == Half::Idle {
                    link.endpoint.remote = Half::Closed;
                }
                let reason = LinkError::FrameTooLarge {
                    size: too_large.size,
                    limit: too_large.limit,
                };
                self.fail_link(key, reason, effects);
            }
            self.wake_sender(key, effects);
        }
    }

    /// Whether another link of the same name still owes its detach: on the wire that comes first (L-001).
    fn is_name_leaving(&self, key: Key) -> bool {
        let Some(link) = self.links.get(key).filter(|link| link.due.attach) else {
            return false;
        };
        self.links.iter().any(|(other, leaving)| {
            other != key
                && leaving.is_named(&link.attach.name, link.attach.role)
                && leaving.endpoint.local == Half::Open
                && leaving.due.detach.is_some()
                && (!leaving.due.attach || link.due.detach.is_none())
        })
    }

    /// A name is free on the wire: who waited for it may attach.
    fn mark_successors(&mut self, name: &Str, role: Role, effects: &mut Effects) {
        for position in 0..self.links.positions() {
            if let Some(key) = self.links.key_at(position)
                && self
                    .links
                    .get(key)
                    .is_some_and(|link| link.due.attach && link.is_named(name, role))
            {
                self.mark_link(key, effects);
            }
        }
    }

    /// Writes the detaches that are due. One waits for the rest of a delivery under way, and for the peer's attach, which
    /// would be taken for a new link otherwise.
    pub(super) fn flush_detaches(&mut self, effects: &mut Effects) {
        let mut due_links = std::mem::take(&mut self.due_links);
        for key in &due_links {
            if let Some(link) = self.links.get_mut(*key) {
                link.is_due = false; // a detach may make any of them due again
            }
        }
        for key in due_links.drain(..) {
            let Some(link) = self.links.get_mut(key) else {
                continue;
            };
            let is_early = link.due.attach || link.awaits_attach();
            if !link.is_sending()
                && !is_early
                && let Some(detach) = link.due.detach.take()
            {
                self.write_detach(key, detach, effects);
            }
            self.reap_link(key, effects);
        }
        if self.due_links.is_empty() {
            self.due_links = due_links; // its memory is used again
        }
    }

    fn write_detach(&mut self, key: Key, detach: Detach, effects: &mut Effects) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let Some(handle) = link.output_handle else {
            return;
        };
        link.endpoint.local = Half::Closed;
        let detach = Detach { handle, ..detach };
        if effects
            .output
            .write(self.outgoing_channel, &detach)
            .is_err()
        {
            let bare = Detach {
                error: detach.error.map(without_details),
                ..detach
            };
            // A bare condition fits the 512 octets that every peer takes.
            let _ = effects.output.write(self.outgoing_channel, &bare);
        }
        let (name, role) = (link.attach.name.clone(), link.attach.role);
        link.watchers.wake_all(&mut effects.wakes);
        self.mark_successors(&name, role, effects);
    }
}
