//! How links come into a session: names, handles, attaches of both sides.

use std::sync::Arc;
use std::task::Poll;

use super::effects::{Effects, LinkKey};
use super::endpoint::Half;
use super::key::Key;
use super::link::{EndSettings, Link, LinkEnd, Refusal};
use super::session::{LocatedFault, Session};
use super::violation::PeerFault;
use super::wait::Watcher;
use crate::codec::{AmqpError, Attach, Detach, Role, Str, condition};
use crate::error::{LinkError, SessionError};

impl Session {
    /// Attaches a link from our side.
    pub(crate) fn attach(
        &mut self,
        attach: Attach,
        settings: EndSettings,
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
        watcher: &mut Watcher<'_>,
        effects: &mut Effects,
    ) -> Poll<Result<Arc<Attach>, LinkError>> {
        let link = self.link_mut(key)?;
        if let Some(error) = &link.ended {
            return Poll::Ready(Err(error.clone()));
        }
        if let (true, Some(remote)) = (link.is_attached(), &link.remote_attach) {
            return Poll::Ready(Ok(remote.clone()));
        }
        link.watchers.register(watcher, &mut effects.wakes);
        Poll::Pending
    }

    pub(crate) fn on_attach(
        &mut self,
        attach: Attach,
        effects: &mut Effects,
    ) -> Result<(), LocatedFault> {
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
        let our_role = attach.role.opposite();
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
    ) -> Result<(), LocatedFault> {
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
    fn on_incoming_attach(
        &mut self,
        attach: Attach,
        effects: &mut Effects,
    ) -> Result<(), LocatedFault> {
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
                Refusal::NullTerminus,
                effects,
            );
        } else if effects.pending_links.len() >= effects.limits.max_pending_links {
            let error = AmqpError::new(
                condition::RESOURCE_LIMIT_EXCEEDED,
                "too many links wait to be accepted",
            );
            self.refuse(key, error, Refusal::NullTerminus, effects);
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
        settings: EndSettings,
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
        if self.links.get(key).is_some_and(Link::is_acquired_in_vain) {
            let violation = effects.blame(&PeerFault::AcquisitionNotOffered);
            let error = AmqpError::new(condition::NOT_IMPLEMENTED, violation.to_string());
            let reason = LinkError::Violation(violation);
            self.detach_link(key, true, Some(error), reason, effects);
        }
        Ok(())
    }

    /// Refuses an incoming link: attach and detach are written together (L-013).
    pub(crate) fn refuse(
        &mut self,
        key: Key,
        error: AmqpError,
        answer: Refusal,
        effects: &mut Effects,
    ) {
        let Ok(handle) = self.allocate_handle(key, effects) else {
            return self.end_without_handles(effects);
        };
        self.set_output_handle(key, handle);
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        if answer == Refusal::NullTerminus {
            link.clear_local_terminus();
        }
        link.endpoint.local = Half::Open;
        link.due.attach = true;
        link.detach(true, Some(error), LinkError::LocalDetached);
        self.mark_link(key, effects);
    }

    /// Without a handle an attach cannot even be refused (S-008).
    fn end_without_handles(&mut self, effects: &mut Effects) {
        let violation = effects.blame(&PeerFault::NoHandleForAnswer);
        let error = violation.to_amqp_error();
        self.end(Some(error), SessionError::Violation(violation), effects);
    }

    /// Whether an incoming link still waits for an answer.
    pub(crate) fn is_unanswered(&self, key: Key) -> bool {
        self.links
            .get(key)
            .is_some_and(|link| link.endpoint.local == Half::Idle && link.ended.is_none())
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
                let reason = LinkError::FrameTooLarge {
                    size: too_large.size,
                    limit: too_large.limit,
                };
                self.give_up_attach(key, effects);
                self.fail_link(key, reason, effects);
            }
            self.wake_sender(key, effects);
        }
    }

    /// An attach of ours does not fit a frame of the peer's. If it was the answer to one of the peer's, a bare one and a
    /// detach say so; else the peer has never heard of the link.
    fn give_up_attach(&mut self, key: Key, effects: &mut Effects) {
        let channel = self.outgoing_channel;
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let bare = Attach {
            initial_delivery_count: link.attach.initial_delivery_count,
            ..Attach::new(
                link.attach.name.clone(),
                link.attach.handle,
                link.attach.role,
            )
        };
        if link.endpoint.remote == Half::Open && effects.output.write(channel, &bare).is_ok() {
            let error = AmqpError::from_condition(condition::FRAME_SIZE_TOO_SMALL);
            link.due.detach = Some(Detach {
                handle: bare.handle,
                closed: true,
                error: Some(error),
            });
            return;
        }
        link.endpoint.local = Half::Closed;
        link.endpoint.remote = Half::Closed;
        link.due.detach = None;
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
    pub(super) fn mark_successors(&mut self, name: &Str, role: Role, effects: &mut Effects) {
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
}
