//! What senders and receivers have in common, and links that a peer attaches.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::codec::{
    AmqpError, Attach, Role, Str, TargetArchetype, TerminusDurability, TerminusExpiryPolicy,
    condition,
};
use crate::connection::Connection;
use crate::engine::{Engine, LinkKey, Refusal, Ticket};
use crate::error::{LinkError, Violation};
use crate::options::AcceptLinkOptions;
use crate::receiver::Receiver;
use crate::sender::Sender;
use crate::session::Session;
use crate::transport::deadline::within;
use crate::transport::shared::Shared;

/// What all handles, receipts and deliveries of one link share; the last of them closes it, or detaches where it
/// [keeps the terminus](Self::keeps_terminus).
pub(crate) struct LinkHandle {
    pub(crate) session: Session,
    pub(crate) key: LinkKey,
    pub(crate) name: Str,
    /// The peer's terminus is to outlive us, such as a durable subscription, which a closing detach would delete.
    keeps_terminus: bool,
}

/// Short: every sender, receiver, delivery and receipt shows it.
impl fmt::Debug for LinkHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("name", &self.name)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Drop for LinkHandle {
    fn drop(&mut self) {
        let closed = !self.keeps_terminus;
        self.shared()
            .with(|engine| engine.release_link(self.key, closed));
    }
}

impl LinkHandle {
    pub(crate) fn new(session: Session, key: LinkKey, name: Str, keeps_terminus: bool) -> Self {
        Self {
            session,
            key,
            name,
            keeps_terminus,
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        self.session.shared()
    }

    pub(crate) async fn detach(
        &self,
        closed: bool,
        error: Option<AmqpError>,
    ) -> Result<(), LinkError> {
        self.shared()
            .with(|engine| engine.detach(self.key, closed, error));
        let detached = self
            .shared()
            .wait(|engine, watcher| engine.poll_detached(self.key, watcher));
        match within(self.session.operation_timeout(), "detach", detached).await? {
            LinkError::LocalDetached | LinkError::RemoteDetached { error: None, .. } => Ok(()),
            error => Err(error),
        }
    }

    pub(crate) async fn detached(&self) -> LinkError {
        self.shared()
            .wait(|engine, watcher| engine.poll_link_ended(self.key, watcher))
            .await
    }

    /// Detaches a link whose other end is not what we need (L-018).
    pub(crate) fn refuse(&self) {
        let error = AmqpError::new(
            condition::NOT_IMPLEMENTED,
            "the terminus lacks what was asked for",
        );
        self.shared()
            .with(|engine| engine.detach(self.key, true, Some(error)));
    }

    pub(crate) fn is_detached(&self) -> bool {
        self.shared()
            .with(|engine| engine.link_ended(self.key).is_some())
    }

    pub(crate) fn credit(&self) -> u32 {
        self.shared().with(|engine| engine.link_credit(self.key))
    }
}

/// Whether the peer's terminus is to be there after the session: durable, or not expiring before [3.5.5, 3.5.6] (Z-053).
pub(crate) fn asks_to_outlive_session(attach: &Attach) -> bool {
    let (durable, expiry_policy) = match (attach.role, &attach.source, &attach.target) {
        (Role::Receiver, Some(source), _) => (source.durable, source.expiry_policy),
        (Role::Sender, _, Some(TargetArchetype::Target(target))) => {
            (target.durable, target.expiry_policy)
        }
        _ => return false,
    };
    let expires = matches!(
        expiry_policy,
        TerminusExpiryPolicy::LinkDetach | TerminusExpiryPolicy::SessionEnd
    );
    durable != TerminusDurability::None || !expires
}

/// A place among those who wait to send or to receive on a link; given back when the wait is over or dropped.
#[derive(Debug)]
pub(crate) struct PlaceInQueue<L: Deref<Target = LinkHandle>> {
    link: L,
    ticket: Option<Ticket>,
}

impl<L: Deref<Target = LinkHandle>> PlaceInQueue<L> {
    pub(crate) fn new(link: L) -> Self {
        Self { link, ticket: None }
    }

    /// One call of the engine with this place.
    pub(crate) fn with<R>(
        &mut self,
        call: impl FnOnce(&mut Engine, LinkKey, &mut Option<Ticket>) -> R,
    ) -> R {
        let Self { link, ticket } = self;
        link.shared().with(|engine| call(engine, link.key, ticket))
    }
}

impl<L: Deref<Target = LinkHandle>> Drop for PlaceInQueue<L> {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            self.with(|engine, key, ticket| engine.leave_queue(key, ticket));
        }
    }
}

/// A link that the peer attached, waiting for an answer. Dropping it refuses the link.
pub struct IncomingLink {
    session: Session,
    key: LinkKey,
    attach: Arc<Attach>,
    is_answered: bool,
}

impl fmt::Debug for IncomingLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingLink")
            .field("name", &self.attach.name)
            .field("remote_role", &self.attach.role)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// An incoming link that was accepted, from this side's point of view.
#[derive(Clone, Debug)]
pub enum AcceptedLink {
    /// The peer receives: this side sends.
    Sender(Sender),
    /// The peer sends: this side receives.
    Receiver(Receiver),
}

impl IncomingLink {
    pub(crate) fn new(session: Session, key: LinkKey, attach: Arc<Attach>) -> Self {
        Self {
            session,
            key,
            attach,
            is_answered: false,
        }
    }

    /// What the peer asks for.
    pub fn attach(&self) -> &Attach {
        &self.attach
    }

    /// The session on which the link was attached.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The connection on which the link was attached.
    pub fn connection(&self) -> &Connection {
        self.session.connection()
    }

    /// Answers the attach. What the options leave open is echoed: termini, settle modes.
    ///
    /// # Errors
    ///
    /// Why the link ended before it was answered; [`LinkError::Violation`] if what the peer asked for contradicts itself: it is
    /// refused.
    ///
    /// # Cancel safety
    ///
    /// Resolves without waiting.
    pub async fn accept(mut self, options: AcceptLinkOptions) -> Result<AcceptedLink, LinkError> {
        self.check_dynamic()?;
        let answer = options.to_attach(&self.attach);
        let settings = options.settings(self.session.limits());
        self.session
            .shared()
            .with(|engine| engine.accept_link(self.key, answer, settings))?;
        self.is_answered = true;
        let link = Arc::new(LinkHandle::new(
            self.session.clone(),
            self.key,
            self.attach.name.clone(),
            false,
        ));
        let remote = self.attach.clone();
        Ok(match remote.role {
            Role::Receiver => AcceptedLink::Sender(Sender::new(link, remote)),
            Role::Sender => AcceptedLink::Receiver(Receiver::new(link, remote, options.on_drop)),
        })
    }

    /// Refuses a peer that names a node and wants it made.
    fn check_dynamic(&mut self) -> Result<(), LinkError> {
        let attach = &self.attach;
        let names_what_is_to_be_made = match (attach.role, &attach.source, &attach.target) {
            (Role::Receiver, Some(source), _) => source.dynamic && source.address.is_some(),
            (Role::Sender, _, Some(TargetArchetype::Target(target))) => {
                target.dynamic && target.address.is_some()
            }
            _ => false,
        };
        if !names_what_is_to_be_made {
            return Ok(());
        }
        let violation = Violation::new(condition::INVALID_FIELD, "a dynamic node with an address");
        self.refuse_with(violation.to_amqp_error(), Refusal::NullTerminus);
        Err(LinkError::Violation(violation))
    }

    /// Refuses the link: an attach with a null terminus and a detach with `error`, in one write [2.6.3]. A link that has ended
    /// by itself is left alone.
    pub fn refuse(mut self, error: AmqpError) {
        self.refuse_with(error, Refusal::NullTerminus);
    }

    /// As [`refuse`](Self::refuse), with the termini sent back as they came: for peers that cannot read a null one.
    pub fn refuse_with_termini(mut self, error: AmqpError) {
        self.refuse_with(error, Refusal::EchoedTermini);
    }

    fn refuse_with(&mut self, error: AmqpError, answer: Refusal) {
        self.is_answered = true;
        self.session
            .shared()
            .with(|engine| engine.refuse_link(self.key, error, answer));
    }
}

impl Drop for IncomingLink {
    fn drop(&mut self) {
        if !self.is_answered {
            let error = AmqpError::new(condition::NOT_ALLOWED, "the link was not accepted");
            self.refuse_with(error, Refusal::NullTerminus);
        }
    }
}
