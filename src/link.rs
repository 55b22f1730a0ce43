//! What senders and receivers have in common, and links that a peer attaches.

use std::future::poll_fn;
use std::sync::Arc;

use amqp10_codec::{AmqpError, Attach, Role, Str, condition};

use crate::connection::Connection;
use crate::engine::LinkKey;
use crate::error::LinkError;
use crate::options::AcceptLinkOptions;
use crate::receiver::Receiver;
use crate::sender::Sender;
use crate::session::Session;
use crate::transport::shared::Shared;

/// What all handles, receipts and deliveries of one link share; the last of them closes it.
#[derive(Debug)]
pub(crate) struct LinkHandle {
    pub(crate) session: Session,
    pub(crate) key: LinkKey,
    pub(crate) name: Str,
}

impl Drop for LinkHandle {
    fn drop(&mut self) {
        self.shared()
            .with(|engine| engine.release_link(self.key, true));
    }
}

impl LinkHandle {
    pub(crate) fn new(session: Session, key: LinkKey, name: Str) -> Self {
        Self { session, key, name }
    }

    pub(crate) fn shared(&self) -> &Shared {
        self.session.shared()
    }

    pub(crate) async fn detach(
        &self,
        closed: bool,
        error: Option<AmqpError>,
    ) -> Result<(), LinkError> {
        let limit = self.session.operation_timeout();
        self.shared()
            .with(|engine| engine.detach(self.key, closed, error));
        let detached = poll_fn(|cx| {
            self.shared()
                .with(|engine| engine.poll_detached(self.key, cx.waker()))
        });
        match tokio::time::timeout(limit, detached).await {
            Ok(LinkError::LocalDetached | LinkError::RemoteDetached { error: None, .. }) => Ok(()),
            Ok(error) => Err(error),
            Err(_) => Err(LinkError::Timeout {
                operation: "detach",
                after: limit,
            }),
        }
    }

    pub(crate) async fn ended(&self) -> LinkError {
        poll_fn(|cx| {
            self.shared()
                .with(|engine| engine.poll_link_ended(self.key, cx.waker()))
        })
        .await
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.shared().with(|engine| {
            engine
                .poll_link_ended(self.key, std::task::Waker::noop())
                .is_ready()
        })
    }
}

/// A link that the peer attached, waiting for an answer. Dropping it refuses the link.
#[derive(Debug)]
pub struct IncomingLink {
    session: Session,
    key: LinkKey,
    attach: Arc<Attach>,
    is_answered: bool,
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
    /// Why the link ended before it was answered.
    ///
    /// # Cancel safety
    ///
    /// Resolves without waiting.
    pub async fn accept(mut self, options: AcceptLinkOptions) -> Result<AcceptedLink, LinkError> {
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
        ));
        let remote = self.attach.clone();
        Ok(match remote.role {
            Role::Receiver => AcceptedLink::Sender(Sender::new(link, remote)),
            Role::Sender => AcceptedLink::Receiver(Receiver::new(link, remote, options.on_drop)),
        })
    }

    /// Refuses the link: an attach with a null terminus and a detach with `error`, in one write [2.6.3].
    ///
    /// # Errors
    ///
    /// None at present; the link may have ended by itself, which is as good.
    ///
    /// # Cancel safety
    ///
    /// Resolves without waiting.
    pub async fn refuse(mut self, error: AmqpError) -> Result<(), LinkError> {
        self.answer_with(error, false);
        Ok(())
    }

    /// The same with the termini sent back as they came, for peers that cannot read a null one.
    ///
    /// # Errors
    ///
    /// As [`refuse`](Self::refuse).
    ///
    /// # Cancel safety
    ///
    /// Resolves without waiting.
    pub async fn refuse_with_termini(mut self, error: AmqpError) -> Result<(), LinkError> {
        self.answer_with(error, true);
        Ok(())
    }

    fn answer_with(&mut self, error: AmqpError, echo: bool) {
        self.is_answered = true;
        self.session
            .shared()
            .with(|engine| engine.refuse_link(self.key, error, echo));
    }
}

impl Drop for IncomingLink {
    fn drop(&mut self) {
        if !self.is_answered {
            self.answer_with(
                AmqpError::new(condition::NOT_ALLOWED, "the link was not accepted"),
                false,
            );
        }
    }
}
