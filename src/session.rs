//! A session as an application holds it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use crate::codec::{AmqpError, Attach, Str, Symbol, Target};
use crate::connection::Connection;
use crate::engine::{EndSettings, Key, LinkKey};
use crate::error::{LinkError, SessionError};
use crate::link::{LinkHandle, asks_to_outlive_session};
use crate::options::{ReceiverOptions, SenderOptions};
use crate::receiver::Receiver;
use crate::sender::Sender;
use crate::transport::deadline::within;
use crate::transport::shared::Shared;

/// What a peer offers in its open that routes each message of a link by its `to`: see
/// [`Session::attach_anonymous_sender`] (Z-010).
pub const ANONYMOUS_RELAY: Symbol = Symbol::from_static("ANONYMOUS-RELAY");

struct SessionHandle {
    connection: Connection,
    key: Key,
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        self.connection
            .shared()
            .with(|engine| engine.release_session(self.key));
    }
}

/// A session: the context in which deliveries are numbered and windows counted [2.5].
///
/// Handles are cheap to clone. Links keep their session; when the last of them is dropped, a session that this side began
/// is ended in the background.
#[derive(Clone)]
pub struct Session {
    handle: Arc<SessionHandle>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("key", &self.key())
            .finish_non_exhaustive()
    }
}

/// Handles are equal that stand for the same session.
impl PartialEq for Session {
    fn eq(&self, other: &Session) -> bool {
        self.is_beside(other) && self.key() == other.key()
    }
}

impl Eq for Session {}

impl Session {
    /// Takes over one hold that the engine counts for this session.
    pub(crate) fn new(connection: Connection, key: Key) -> Self {
        Self {
            handle: Arc::new(SessionHandle { connection, key }),
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        self.handle.connection.shared()
    }

    pub(crate) fn key(&self) -> Key {
        self.handle.key
    }

    /// Whether both are on one connection.
    pub(crate) fn is_beside(&self, other: &Session) -> bool {
        Arc::ptr_eq(&self.connection().handle, &other.connection().handle)
    }

    pub(crate) fn operation_timeout(&self) -> Duration {
        self.handle.connection.operation_timeout()
    }

    /// The connection that carries this session.
    pub fn connection(&self) -> &Connection {
        &self.handle.connection
    }

    /// Attaches a link on which this side sends to the node `address` [2.6.3], and waits for the peer's answer, at most
    /// `operation_timeout`. The address goes into the [`target`](SenderOptions::target) of the options, unless that has one,
    /// is dynamic, or is a transaction coordinator. An empty one stands for none: the anonymous node.
    ///
    /// # Errors
    ///
    /// [`LinkError::Refused`] with the peer's reason; else why link, session or connection ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the link is closed as soon as the peer has answered, or detached if its terminus is to outlive
    /// the session; its name is reserved until then.
    pub async fn attach_sender(
        &self,
        address: impl Into<Str>,
        options: SenderOptions,
    ) -> Result<Sender, LinkError> {
        let attach = options.to_attach(address.into());
        let (link, remote) = self.attach(attach, EndSettings::new(self.limits())).await?;
        options.check(&remote).inspect_err(|_| link.refuse())?;
        Ok(Sender::new(link, remote))
    }

    /// Attaches a link on which this side sends to whatever node each message names as its `to` (anonymous terminus, Z-011).
    ///
    /// # Errors
    ///
    /// [`LinkError::MissingCapability`] if the peer did not offer `ANONYMOUS-RELAY` in its open: nothing is sent then (Z-015).
    /// Else as [`attach_sender`](Self::attach_sender).
    ///
    /// # Cancel safety
    ///
    /// As [`attach_sender`](Self::attach_sender).
    pub async fn attach_anonymous_sender(
        &self,
        options: SenderOptions,
    ) -> Result<Sender, LinkError> {
        let open = self.connection().remote_open();
        if !open.offered_capabilities.contains(&ANONYMOUS_RELAY) {
            return Err(LinkError::MissingCapability(ANONYMOUS_RELAY));
        }
        let target = Target::default();
        self.attach_sender("", options.target(target)).await
    }

    /// Attaches a link on which this side receives from the node `address` [2.6.3], and waits for the peer's answer, at
    /// most `operation_timeout`. Credit is granted as [`ReceiverOptions::credit`] says. The address goes into the
    /// [`source`](ReceiverOptions::source) of the options, unless that has one or is dynamic.
    ///
    /// # Errors
    ///
    /// As [`attach_sender`](Self::attach_sender).
    ///
    /// # Cancel safety
    ///
    /// As [`attach_sender`](Self::attach_sender).
    pub async fn attach_receiver(
        &self,
        address: impl Into<Str>,
        options: ReceiverOptions,
    ) -> Result<Receiver, LinkError> {
        let attach = options.to_attach(address.into());
        let settings = options.settings(self.limits());
        let (link, remote) = self.attach(attach, settings).await?;
        options.check(&remote).inspect_err(|_| link.refuse())?;
        Ok(Receiver::new(link, remote, options.on_drop))
    }

    pub(crate) fn limits(&self) -> &crate::Limits {
        &self.handle.connection.handle.options.limits
    }

    async fn attach(
        &self,
        attach: Attach,
        settings: EndSettings,
    ) -> Result<(Arc<LinkHandle>, Arc<Attach>), LinkError> {
        let name = attach.name.clone();
        let span = tracing::debug_span!("attach_link", %name, role = ?attach.role);
        let keeps_terminus = asks_to_outlive_session(&attach);
        let key: LinkKey = self
            .shared()
            .with(|engine| engine.attach(self.key(), attach, settings))?;
        let link = Arc::new(LinkHandle::new(self.clone(), key, name, keeps_terminus));
        let attached = self
            .shared()
            .wait(|engine, watcher| engine.poll_attached(key, watcher));
        let attached = within(self.operation_timeout(), "attach", attached);
        let remote = attached.instrument(span).await??;
        Ok((link, remote))
    }

    /// Ends the session and waits for the peer's end, at most `operation_timeout` [2.5.2]. Its links end with it.
    ///
    /// # Errors
    ///
    /// Why it ended, if it had ended otherwise or the peer did not answer.
    ///
    /// # Cancel safety
    ///
    /// The end is sent in any case.
    pub async fn end(&self) -> Result<(), SessionError> {
        self.end_for(None).await
    }

    /// As [`end`](Self::end), telling the peer why.
    ///
    /// # Errors
    ///
    /// As [`end`](Self::end).
    ///
    /// # Cancel safety
    ///
    /// The end is sent in any case.
    pub async fn end_with_error(&self, error: AmqpError) -> Result<(), SessionError> {
        self.end_for(Some(error)).await
    }

    async fn end_for(&self, error: Option<AmqpError>) -> Result<(), SessionError> {
        let key = self.key();
        self.shared().with(|engine| engine.end(key, error));
        let ended = self
            .shared()
            .wait(|engine, watcher| engine.poll_session_closed(key, watcher));
        match within(self.operation_timeout(), "end", ended).await? {
            SessionError::LocalEnded | SessionError::RemoteEnded(None) => Ok(()),
            error => Err(error),
        }
    }

    /// Whether the session has ended, or is being ended.
    pub fn is_ended(&self) -> bool {
        self.shared()
            .with(|engine| engine.session_ended(self.key()).is_some())
    }

    /// Waits until the session has ended, and says why. Has no time limit.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping the future.
    pub async fn ended(&self) -> SessionError {
        self.shared()
            .wait(|engine, watcher| engine.poll_session_ended(self.key(), watcher))
            .await
    }
}
