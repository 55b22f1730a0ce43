//! How links leave a session: detaches of both sides, and what goes with the last handle.

use std::task::Poll;

use super::effects::{Effects, LinkKey};
use super::endpoint::Half;
use super::key::Key;
use super::link::{EndSettings, Refusal};
use super::outgoing::reached;
use super::output::without_details;
use super::receiver::Credit;
use super::session::{LocatedFault, Session};
use super::wait::Watcher;
use crate::codec::{AmqpError, Detach, condition};
use crate::error::LinkError;

impl Session {
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
            return self.refuse(key, error.clone(), Refusal::NullTerminus, effects);
        }
        link.detach(closed, error, reason);
        link.wake_all(effects);
        self.drop_arriving(key, effects);
        self.forget_held(Some(key), effects);
        self.mark_link(key, effects);
    }

    /// Whether the detach is complete, in both directions.
    pub(crate) fn poll_detached(
        &mut self,
        key: Key,
        watcher: &mut Watcher<'_>,
        effects: &mut Effects,
    ) -> Poll<LinkError> {
        let session = self.ended.clone();
        let Some(link) = self.links.get_mut(key) else {
            return Poll::Ready(LinkError::LocalDetached);
        };
        match (&link.ended, session) {
            (Some(error), _) if link.endpoint.is_closed() => Poll::Ready(error.clone()),
            (Some(_), Some(error)) => Poll::Ready(error.into()), // the peer's detach will not come
            _ => {
                link.watchers.register(watcher, &mut effects.wakes);
                Poll::Pending
            }
        }
    }

    /// Why the link is over, once it is.
    pub(crate) fn link_ended(&self, key: Key) -> Option<LinkError> {
        match self.links.get(key) {
            Some(link) => link.ended.clone(),
            None => Some(LinkError::LocalDetached),
        }
    }

    /// Why the link is over, as soon as it is.
    pub(crate) fn poll_link_ended(
        &mut self,
        key: Key,
        watcher: &mut Watcher<'_>,
        effects: &mut Effects,
    ) -> Poll<LinkError> {
        let Some(link) = self.links.get_mut(key) else {
            return Poll::Ready(LinkError::LocalDetached);
        };
        match &link.ended {
            Some(error) => Poll::Ready(error.clone()),
            None => {
                link.watchers.register(watcher, &mut effects.wakes);
                Poll::Pending
            }
        }
    }

    pub(crate) fn on_detach(
        &mut self,
        detach: Detach,
        effects: &mut Effects,
    ) -> Result<(), LocatedFault> {
        let key = match self.input_link(detach.handle, "detach") {
            Ok(key) => key,
            Err(fault) => self.unanswered_attach(detach.handle).ok_or(fault)?, // L-015
        };
        self.input_handles.clear(detach.handle);
        self.forget_pending(key, effects);
        let Some(link) = self.links.get_mut(key) else {
            return Ok(());
        };
        let closes_suspended = link.is_suspended && detach.closed;
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
                Refusal::NullTerminus,
                effects,
            );
        } else {
            link.detach(detach.closed, None, reason.clone()); // L-027
        }
        self.fail_link(key, reason, effects);
        self.wake_senders(effects); // other links have the room that its deliveries took
        if closes_suspended {
            self.close_suspended(key, effects);
        }
        self.mark_link(key, effects);
        self.reap_link(key, effects);
        Ok(())
    }

    /// Our detach, which left the terminus, crossed one that closes it: says that it is closed here, too, which takes an attach
    /// (L-028).
    fn close_suspended(&mut self, key: Key, effects: &mut Effects) {
        let Some(attach) = self.links.get(key).map(|link| (*link.attach).clone()) else {
            return;
        };
        let settings = EndSettings {
            credit: Credit::Manual,
            ..EndSettings::new(&effects.limits)
        };
        // Without a handle it cannot be said, and nothing depends on it.
        if let Ok(again) = self.attach(attach, settings, effects) {
            self.detach_link(again, true, None, LinkError::LocalDetached, effects);
            self.release_link(again, true, effects);
        }
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
        self.drop_arriving(key, effects);
        self.outgoing.fail(Some(key), &reason, reached, effects);
        self.check_settled(effects);
        self.forget_held(Some(key), effects);
    }

    /// The last handle of a link is gone: it is closed, or detached so that the peer keeps its terminus.
    pub(crate) fn release_link(&mut self, key: Key, closed: bool, effects: &mut Effects) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        link.is_held = false;
        if let Some(receiver) = link.receiver_mut() {
            let queued = receiver.queued_bytes();
            receiver.discard(&mut effects.garbage);
            self.incoming.remove_queued(queued, effects);
        }
        if link.ended.is_none() {
            self.detach_link(key, closed, None, LinkError::LocalDetached, effects);
        }
        self.open_window(effects);
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
            self.incoming.remove_queued(queued, effects);
            self.links.remove(key);
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
        link.is_suspended = !detach.closed && link.endpoint.remote == Half::Open;
        let detach = Detach { handle, ..detach };
        effects
            .output
            .write_or_bare(self.outgoing_channel, detach, |detach| Detach {
                error: detach.error.map(without_details),
                ..detach
            });
        let (name, role) = (link.attach.name.clone(), link.attach.role);
        link.watchers.wake_all(&mut effects.wakes);
        self.mark_successors(&name, role, effects);
    }
}
