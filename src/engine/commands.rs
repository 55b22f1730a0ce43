//! What the handles ask of the engine. Each is one call under one lock.

use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

use bytes::Bytes;

use super::effects::LinkKey;
use super::key::Key;
use super::link::{EndSettings, Refusal};
use super::receiver::Inbound;
use super::sender::Outbound;
use super::session::Session;
use super::timer::Timer;
use super::wait::{Ticket, WatchPlace, Watcher};
use super::{Effects, Engine};
use crate::codec::{
    AmqpError, Attach, Begin, DeliveryState, Open, Outcome, TransactionalState, UnsettledMap,
    condition,
};
use crate::error::{ConnectionError, LinkError, SendError, SessionError};

impl Engine {
    /// Somebody stops waiting.
    pub(crate) fn forget_watcher(&mut self, place: &mut Option<WatchPlace>) {
        self.effects.wakes.forget(place);
    }

    // ---- connection

    /// Opens our half.
    pub(crate) fn open(&mut self) {
        self.connection.open();
    }

    pub(crate) fn local_open_mut(&mut self) -> &mut Open {
        &mut self.connection.settings.open
    }

    /// The peer's open, once both halves are open.
    pub(crate) fn poll_opened(
        &mut self,
        watcher: &mut Watcher<'_>,
    ) -> Poll<Result<Arc<Open>, ConnectionError>> {
        if let Some(error) = &self.connection.ended {
            return Poll::Ready(Err(error.clone()));
        }
        match &self.connection.remote_open {
            Some(open) => Poll::Ready(Ok(open.clone())),
            None => {
                self.connection
                    .watchers
                    .register(watcher, &mut self.effects.wakes);
                Poll::Pending
            }
        }
    }

    pub(crate) fn close(&mut self, error: Option<AmqpError>, now: Instant) {
        self.connection
            .close(error, ConnectionError::LocalClosed, now, &mut self.effects);
        self.fail_all();
    }

    /// Why the connection is over, as soon as it is.
    pub(crate) fn poll_ended(&mut self, watcher: &mut Watcher<'_>) -> Poll<ConnectionError> {
        match &self.connection.ended {
            Some(error) => Poll::Ready(error.clone()),
            None => {
                self.connection
                    .watchers
                    .register(watcher, &mut self.effects.wakes);
                Poll::Pending
            }
        }
    }

    /// Whether the exchange of closes is complete, or the stream gone.
    pub(crate) fn poll_closed(&mut self, watcher: &mut Watcher<'_>) -> Poll<ConnectionError> {
        match &self.connection.ended {
            Some(error) if self.connection.is_over() => Poll::Ready(error.clone()),
            _ => {
                self.connection
                    .watchers
                    .register(watcher, &mut self.effects.wakes);
                Poll::Pending
            }
        }
    }

    pub(crate) fn ended(&self) -> Option<&ConnectionError> {
        self.connection.ended.as_ref()
    }

    /// Whether no delivery that was sent waits for its outcome. Disposition frames wake those who ask.
    pub(crate) fn poll_all_settled(&mut self, watcher: &mut Watcher<'_>) -> Poll<()> {
        let is_settled =
            |session: &Session| session.unsettled_sent() == 0 && !session.has_partials();
        if self.connection.ended.is_some()
            || self.sessions.iter().all(|(_, session)| is_settled(session))
        {
            return Poll::Ready(());
        }
        let Effects {
            settled_watchers,
            wakes,
            ..
        } = &mut self.effects;
        settled_watchers.register(watcher, wakes);
        Poll::Pending
    }

    // ---- sessions

    pub(crate) fn begin(&mut self, begin: Begin, now: Instant) -> Result<Key, SessionError> {
        if let Some(error) = &self.connection.ended {
            return Err(error.clone().into());
        }
        let key = self
            .new_session(begin, now)
            .map_err(|limit| SessionError::TooManySessions { limit })?; // C-008
        if let Some(session) = self.sessions.get_mut(key) {
            session.holders = 1;
            session.mark(&mut self.effects);
        }
        Ok(key)
    }

    /// The session, or why it is gone, with what its methods write to.
    fn session(&mut self, key: Key) -> Result<(&mut Session, &mut Effects), SessionError> {
        match self.sessions.get_mut(key) {
            Some(session) => Ok((session, &mut self.effects)),
            None => Err(self.connection.why_session_is_gone()),
        }
    }

    pub(crate) fn poll_begun(
        &mut self,
        key: Key,
        watcher: &mut Watcher<'_>,
    ) -> Poll<Result<(), SessionError>> {
        let (session, effects) = self.session(key)?;
        if let Some(error) = &session.ended {
            return Poll::Ready(Err(error.clone()));
        }
        if session.endpoint.is_open() {
            return Poll::Ready(Ok(()));
        }
        session.watchers.register(watcher, &mut effects.wakes);
        Poll::Pending
    }

    pub(crate) fn end(&mut self, key: Key, error: Option<AmqpError>) {
        if let Ok((session, effects)) = self.session(key) {
            session.end(error, SessionError::LocalEnded, effects);
        }
    }

    /// Why the session is over, once it is.
    pub(crate) fn session_ended(&self, key: Key) -> Option<SessionError> {
        match self.sessions.get(key) {
            Some(session) => session.ended.clone(),
            None => Some(self.connection.why_session_is_gone()),
        }
    }

    /// Why the session is over, as soon as it is.
    pub(crate) fn poll_session_ended(
        &mut self,
        key: Key,
        watcher: &mut Watcher<'_>,
    ) -> Poll<SessionError> {
        match self.session(key) {
            Ok((session, effects)) => session.poll_ended(watcher, effects),
            Err(error) => Poll::Ready(error),
        }
    }

    /// The same, once the peer has ended the session too or cannot any more.
    pub(crate) fn poll_session_closed(
        &mut self,
        key: Key,
        watcher: &mut Watcher<'_>,
    ) -> Poll<SessionError> {
        let connection = self.connection.ended.clone();
        let (session, effects) = match self.session(key) {
            Ok(found) => found,
            Err(error) => return Poll::Ready(error),
        };
        match (session.poll_closed(watcher, effects), connection) {
            (Poll::Pending, Some(error)) => Poll::Ready(error.into()), // the peer's end will not come
            (polled, _) => polled,
        }
    }

    pub(crate) fn hold_session(&mut self, key: Key) {
        if let Ok((session, _)) = self.session(key) {
            session.holders += 1;
        }
    }

    /// A handle is gone. A session that we began ends with its last one.
    pub(crate) fn release_session(&mut self, key: Key) {
        let Ok((session, effects)) = self.session(key) else {
            return;
        };
        session.holders = session.holders.saturating_sub(1);
        if session.holders == 0 && !session.is_remote_initiated {
            session.end(None, SessionError::LocalEnded, effects);
        }
        self.reap_session(key);
    }

    // ---- links

    fn link_session(&mut self, key: Key) -> Result<(&mut Session, &mut Effects), LinkError> {
        self.session(key).map_err(LinkError::Session)
    }

    pub(crate) fn attach(
        &mut self,
        session: Key,
        attach: Attach,
        settings: EndSettings,
    ) -> Result<LinkKey, LinkError> {
        let (found, effects) = self.link_session(session)?;
        found
            .attach(attach, settings, effects)
            .map(|link| LinkKey { session, link })
    }

    pub(crate) fn poll_attached(
        &mut self,
        key: LinkKey,
        watcher: &mut Watcher<'_>,
    ) -> Poll<Result<Arc<Attach>, LinkError>> {
        let (session, effects) = self.link_session(key.session)?;
        session.poll_attached(key.link, watcher, effects)
    }

    pub(crate) fn detach(&mut self, key: LinkKey, closed: bool, error: Option<AmqpError>) {
        if let Ok((session, effects)) = self.session(key.session) {
            session.detach_link(key.link, closed, error, LinkError::LocalDetached, effects);
        }
    }

    pub(crate) fn poll_detached(
        &mut self,
        key: LinkKey,
        watcher: &mut Watcher<'_>,
    ) -> Poll<LinkError> {
        match self.link_session(key.session) {
            Ok((session, effects)) => session.poll_detached(key.link, watcher, effects),
            Err(error) => Poll::Ready(error),
        }
    }

    pub(crate) fn poll_link_ended(
        &mut self,
        key: LinkKey,
        watcher: &mut Watcher<'_>,
    ) -> Poll<LinkError> {
        match self.link_session(key.session) {
            Ok((session, effects)) => session.poll_link_ended(key.link, watcher, effects),
            Err(error) => Poll::Ready(error),
        }
    }

    /// Why the link is over, once it is.
    pub(crate) fn link_ended(&self, key: LinkKey) -> Option<LinkError> {
        match self.sessions.get(key.session) {
            Some(session) => session.link_ended(key.link),
            None => self.session_ended(key.session).map(LinkError::Session),
        }
    }

    pub(crate) fn release_link(&mut self, key: LinkKey, closed: bool) {
        if let Ok((session, effects)) = self.session(key.session) {
            session.release_link(key.link, closed, effects);
        }
    }

    /// The oldest link that the peer attached and nobody has accepted, with its attach.
    pub(crate) fn poll_incoming_link(
        &mut self,
        watcher: &mut Watcher<'_>,
    ) -> Poll<Result<(LinkKey, Arc<Attach>), ConnectionError>> {
        if let Some(error) = &self.connection.ended {
            return Poll::Ready(Err(error.clone()));
        }
        while let Some((key, _)) = self.effects.pending_links.pop_front() {
            if let Some(attach) = self.unanswered(key) {
                self.hold_session(key.session);
                return Poll::Ready(Ok((key, attach)));
            }
        }
        let Effects {
            pending_watchers,
            wakes,
            ..
        } = &mut self.effects;
        pending_watchers.register(watcher, wakes);
        Poll::Pending
    }

    fn unanswered(&self, key: LinkKey) -> Option<Arc<Attach>> {
        let session = self.sessions.get(key.session)?;
        session
            .is_unanswered(key.link)
            .then(|| session.links.get(key.link)?.remote_attach.clone())?
    }

    pub(crate) fn accept_link(
        &mut self,
        key: LinkKey,
        answer: Attach,
        settings: EndSettings,
    ) -> Result<(), LinkError> {
        let (session, effects) = self.link_session(key.session)?;
        session.accept(key.link, answer, settings, effects)
    }

    pub(crate) fn refuse_link(&mut self, key: LinkKey, error: AmqpError, answer: Refusal) {
        if let Ok((session, effects)) = self.session(key.session)
            && session.is_unanswered(key.link)
        {
            session.refuse(key.link, error, answer, effects);
        }
    }

    pub(super) fn watch_pending_links(&mut self) {
        let oldest = self.effects.pending_links.front().map(|(_, since)| *since);
        let patience = self.connection.settings.operation_timeout;
        let deadline = oldest.and_then(|since| since.checked_add(patience));
        self.connection.timers.set(Timer::PendingLink, deadline);
    }

    /// Links that nobody accepted within the time that the options give.
    pub(super) fn refuse_forgotten_links(&mut self, now: Instant) {
        let patience = self.connection.settings.operation_timeout;
        while let Some((key, since)) = self.effects.pending_links.front().copied() {
            if now.duration_since(since) < patience {
                break;
            }
            self.effects.pending_links.pop_front();
            self.refuse_link(
                key,
                AmqpError::new(
                    condition::NOT_ALLOWED,
                    "nobody accepts links on this connection",
                ),
                Refusal::NullTerminus,
            );
        }
        self.watch_pending_links();
    }

    /// A caller gives up its place among those who wait to send or to receive on a link.
    pub(crate) fn leave_queue(&mut self, key: LinkKey, ticket: &mut Option<Ticket>) {
        if let Ok((session, effects)) = self.session(key.session) {
            session.leave_senders(key.link, ticket, effects);
            session.leave_receivers(key.link, ticket, effects);
        }
    }

    // ---- sending

    pub(crate) fn poll_transfer(
        &mut self,
        key: LinkKey,
        ticket: &mut Option<Ticket>,
        outbound: &Outbound,
        settled: bool,
        waker: &Waker,
    ) -> Poll<Result<Option<Key>, SendError>> {
        self.flush_retirements();
        match self.link_session(key.session) {
            Ok((session, effects)) => {
                session.poll_transfer(key.link, ticket, outbound, settled, waker, effects)
            }
            Err(error) => Poll::Ready(Err(SendError::NotSent(error))),
        }
    }

    pub(crate) fn poll_ready(
        &mut self,
        key: LinkKey,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Poll<Result<(), LinkError>> {
        let (session, effects) = self.link_session(key.session)?;
        session.poll_ready(key.link, ticket, waker, effects)
    }

    pub(crate) fn set_available(&mut self, key: LinkKey, available: u32) {
        if let Ok((session, effects)) = self.session(key.session) {
            session.set_available(key.link, available, effects);
        }
    }

    /// The outcome of a delivery; None if it was asked for before.
    pub(crate) fn poll_outcome(
        &mut self,
        session: Key,
        delivery: Key,
        waker: &Waker,
    ) -> Poll<Option<Result<Outcome, SendError>>> {
        match self.session(session) {
            Ok((session, effects)) => session.poll_outcome(delivery, waker, effects),
            Err(_) => Poll::Ready(None),
        }
    }

    /// The next transaction that the receiver ties a delivery to; None once it can be tied to no other.
    pub(crate) fn poll_transactional(
        &mut self,
        session: Key,
        delivery: Key,
        waker: &Waker,
    ) -> Poll<Option<TransactionalState>> {
        match self.session(session) {
            Ok((session, effects)) => session.poll_transactional(delivery, waker, effects),
            Err(_) => Poll::Ready(None),
        }
    }

    pub(crate) fn settle_sent(&mut self, session: Key, delivery: Key, outcome: Outcome) {
        if let Ok((session, effects)) = self.session(session) {
            session.settle_sent(delivery, outcome, effects);
        }
    }

    /// Says whether the delivery is being aborted; if not, it is settled.
    pub(crate) fn retract_sent(&mut self, session: Key, delivery: Key, outcome: Outcome) -> bool {
        match self.session(session) {
            Ok((session, effects)) => session.retract_sent(delivery, outcome, effects),
            Err(_) => false,
        }
    }

    pub(crate) fn abandon_outcome(&mut self, session: Key, delivery: Key) {
        if let Ok((session, effects)) = self.session(session) {
            session.abandon_outcome(delivery, effects);
        }
    }

    pub(crate) fn link_credit(&self, key: LinkKey) -> u32 {
        self.sessions
            .get(key.session)
            .map_or(0, |session| session.link_credit(key.link))
    }

    // ---- receiving

    pub(crate) fn poll_recv(
        &mut self,
        key: LinkKey,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Poll<Result<Inbound, LinkError>> {
        let (session, effects) = self.link_session(key.session)?;
        session.poll_recv(key.link, ticket, waker, effects)
    }

    pub(crate) fn poll_recv_batch(
        &mut self,
        key: LinkKey,
        ticket: &mut Option<Ticket>,
        max: usize,
        is_over: bool,
        batch: &mut Vec<Inbound>,
        waker: &Waker,
    ) -> Poll<Result<(), LinkError>> {
        let (session, effects) = self.link_session(key.session)?;
        session.poll_recv_batch(key.link, ticket, max, is_over, batch, waker, effects)
    }

    /// The last handle that takes deliveries is gone, while deliveries keep the link.
    pub(crate) fn stop_receiving(&mut self, key: LinkKey) {
        if let Ok((session, effects)) = self.session(key.session) {
            session.stop_receiving(key.link, effects);
        }
    }

    pub(crate) fn settle(
        &mut self,
        key: LinkKey,
        delivery_id: u32,
        state: DeliveryState,
    ) -> Result<(), LinkError> {
        let (session, effects) = self.link_session(key.session)?;
        session.settle(key.link, delivery_id, state, effects)
    }

    pub(crate) fn update(
        &mut self,
        key: LinkKey,
        delivery_id: u32,
        state: DeliveryState,
    ) -> Result<(), LinkError> {
        let (session, effects) = self.link_session(key.session)?;
        session.update(key.link, delivery_id, state, effects)
    }

    /// Says in the next flow for which transaction deliveries are acquired; None: for none.
    pub(crate) fn set_acquisition(
        &mut self,
        key: LinkKey,
        txn_id: Option<Bytes>,
    ) -> Result<(), LinkError> {
        let (session, effects) = self.link_session(key.session)?;
        session.set_acquisition(key.link, txn_id, effects)
    }

    /// The transaction for which the peer acquires what is sent on a link.
    pub(crate) fn acquired_by(&self, key: LinkKey) -> Option<Bytes> {
        self.sessions.get(key.session)?.acquired_by(key.link)
    }

    /// The peer's transaction is over: its links acquire for none any more.
    pub(crate) fn clear_acquisition(&mut self, key: LinkKey) {
        if let Ok((session, _)) = self.session(key.session) {
            session.clear_acquisition(key.link);
        }
    }

    pub(crate) fn poll_confirmed(
        &mut self,
        key: LinkKey,
        delivery_id: u32,
        watcher: &mut Watcher<'_>,
    ) -> Poll<Result<(), LinkError>> {
        let (session, effects) = self.link_session(key.session)?;
        session.poll_confirmed(key.link, delivery_id, watcher, effects)
    }

    /// What a receiving link that is over leaves for its next attachment to state.
    pub(crate) fn unconfirmed(&self, key: LinkKey) -> Option<UnsettledMap> {
        self.sessions.get(key.session)?.unconfirmed(key.link)
    }

    /// The state of a delivery of which frames are still to come.
    pub(crate) fn incomplete_state(&self, key: LinkKey) -> Option<DeliveryState> {
        self.sessions.get(key.session)?.incomplete_state(key.link)
    }

    pub(crate) fn add_credit(&mut self, key: LinkKey, additional: u32) -> Result<(), LinkError> {
        let (session, effects) = self.link_session(key.session)?;
        session.add_credit(key.link, additional, effects)
    }

    pub(crate) fn start_drain(&mut self, key: LinkKey) -> Result<(), LinkError> {
        let (session, effects) = self.link_session(key.session)?;
        session.start_drain(key.link, effects)
    }

    pub(crate) fn poll_drained(
        &mut self,
        key: LinkKey,
        watcher: &mut Watcher<'_>,
    ) -> Poll<Result<(), LinkError>> {
        let (session, effects) = self.link_session(key.session)?;
        session.poll_drained(key.link, watcher, effects)
    }

    pub(crate) fn is_auto_accepting(&self, key: LinkKey) -> bool {
        self.sessions
            .get(key.session)
            .is_some_and(|session| session.is_auto_accepting(key.link))
    }
}
