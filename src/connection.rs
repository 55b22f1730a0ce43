//! A connection as an application holds it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout_at;
use tracing::Instrument;

use crate::codec::{AmqpError, Open, Symbol};
use crate::engine::Engine;
use crate::error::{ConnectError, ConnectionError, SessionError};
use crate::link::IncomingLink;
use crate::opening::Opening;
use crate::options::{ConnectionOptions, SessionOptions};
use crate::session::Session;
use crate::transport::clock;
use crate::transport::deadline::{Deadline, within};
use crate::transport::handshake::{self, Handshaken};
use crate::transport::shared::Shared;
use crate::url::Url;

/// What all handles of one connection share; the last of them closes it.
pub(crate) struct ConnectionHandle {
    pub(crate) shared: Shared,
    pub(crate) options: ConnectionOptions,
    remote_open: Arc<Open>,
}

impl ConnectionHandle {
    /// The largest frame that the peer takes, in octets.
    pub(crate) fn max_frame_size(&self) -> usize {
        self.remote_open.max_frame_size as usize
    }
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        self.shared.with(|engine| engine.close(None, clock::now()));
    }
}

/// An AMQP connection: one stream, one task that drives it, and any number of sessions [2.4].
///
/// A handle is cheap to clone and can be used from any task. Sessions, links, deliveries and receipts keep the connection
/// open; when the last of all these is dropped, it is closed in the background, with `operation_timeout` as the limit.
///
/// ```no_run
/// use amqp10::{Connection, ConnectionOptions, ReceiverOptions, SenderOptions, SessionOptions};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let connection = Connection::open("amqp://guest:guest@localhost", ConnectionOptions::default()).await?;
/// let session = connection.begin(SessionOptions::default()).await?;
/// let sender = session.attach_sender("/queues/orders", SenderOptions::default()).await?;
/// assert!(sender.send("hello").await?.is_accepted());
/// let receiver = session.attach_receiver("/queues/orders", ReceiverOptions::default()).await?;
/// let delivery = receiver.recv().await?;
/// delivery.accept()?;
/// connection.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connection {
    pub(crate) handle: Arc<ConnectionHandle>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("container_id", &self.handle.options.container_id)
            .field("remote_container_id", &self.handle.remote_open.container_id)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects to the URL's host, shakes hands and exchanges opens [2.4.1], all within `connect_timeout`.
    ///
    /// Scheme, host, port, user name and password come from the URL, and for `ws` and `wss` the path; user name and password
    /// replace `credentials`, and the host is the open's hostname unless the options name another. An address in the URL is
    /// not used here.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] says at which stage it ended, and why.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream; the peer sees a connection that ended.
    pub async fn open(url: &str, options: ConnectionOptions) -> Result<Self, ConnectError> {
        Self::open_url(&Url::parse(url)?, options).await
    }

    pub(crate) async fn open_url(
        url: &Url,
        options: ConnectionOptions,
    ) -> Result<Self, ConnectError> {
        let mut url = url.clone();
        let mut hostname = options.hostname.clone();
        let mut hops_left = options.follow_redirects;
        loop {
            let options = ConnectionOptions {
                hostname: hostname.take(),
                ..options.clone()
            };
            let error = match Self::connect(&url, options.for_url(&url)).await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            let redirect = error.redirect();
            let (Some(redirect), 1..) = (redirect, hops_left) else {
                return Err(error);
            };
            let Some(host) = redirect.host() else {
                return Err(error);
            };
            hops_left -= 1;
            tracing::debug!(%url, host, port = redirect.port, "redirected");
            url = url.at(host, redirect.port);
            hostname = redirect.hostname;
        }
    }

    async fn connect(url: &Url, options: ConnectionOptions) -> Result<Self, ConnectError> {
        let opened = async {
            let handshaken = handshake::connect(url, &options).await?;
            Self::start(handshaken, options).await
        };
        opened
            .instrument(tracing::debug_span!("connect", %url))
            .await
    }

    /// Opens a connection over a stream that is there already, such as one end of [`memory::pipe`](crate::memory::pipe) or a
    /// tunnel: SASL and opens are exchanged on it, within `connect_timeout`. If it is a secure one, say so with
    /// `allow_plain_without_tls` before handing a password over.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn open_with_stream<S>(
        stream: S,
        options: ConnectionOptions,
    ) -> Result<Self, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let deadline = Deadline::after(options.connect_timeout);
        let handshaken = handshake::client(Box::new(stream), false, &options, deadline).await?;
        Self::start(handshaken, options).await
    }

    /// Opens a connection over a stream to the URL's host that is there already, by a tunnel of another kind for example: TLS and
    /// WebSocket are laid over it as the URL's scheme says, then as [`open`](Self::open) does. `proxy` is not used.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn open_through<S>(
        stream: S,
        url: &str,
        options: ConnectionOptions,
    ) -> Result<Self, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let url = Url::parse(url)?;
        let options = options.for_url(&url);
        let deadline = Deadline::after(options.connect_timeout);
        let span = tracing::debug_span!("connect", %url);
        let opened = async {
            let stream = Box::new(stream);
            let handshaken = handshake::raise(stream, &url, &options, deadline).await?;
            Self::start(handshaken, options).await
        };
        opened.instrument(span).await
    }

    async fn start(
        handshaken: Handshaken,
        options: ConnectionOptions,
    ) -> Result<Self, ConnectError> {
        let deadline = handshaken.deadline;
        let opening = Opening::new(handshaken, &options);
        opening.shared.with(|engine| engine.open());
        let remote_open = opening.remote_open(deadline).await?;
        opening.check_refusal(&remote_open, deadline).await?;
        options.check_offered(&remote_open)?;
        Ok(opening.keep(options, remote_open))
    }

    /// Whether an extension may be used on this connection: the options desire it, and the peer offers it [2.7.1].
    pub fn may_use(&self, capability: &Symbol) -> bool {
        let remote = &self.handle.remote_open;
        self.handle.options.may_use(capability, remote)
    }

    pub(crate) fn new(shared: Shared, options: ConnectionOptions, remote_open: Arc<Open>) -> Self {
        Self {
            handle: Arc::new(ConnectionHandle {
                shared,
                options,
                remote_open,
            }),
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    pub(crate) fn operation_timeout(&self) -> Duration {
        self.handle.options.operation_timeout
    }

    /// Begins a session [2.5.1] and waits for the peer's answer, at most `operation_timeout`.
    ///
    /// # Errors
    ///
    /// [`SessionError::TooManySessions`] if no channel is free; else why the session or the connection ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the session is ended as soon as the peer has answered.
    pub async fn begin(&self, options: SessionOptions) -> Result<Session, SessionError> {
        let key = self
            .shared()
            .with(|engine| engine.begin(options.to_begin(), clock::now()))?;
        let session = Session::new(self.clone(), key);
        let begun = self
            .shared()
            .wait(|engine, watcher| engine.poll_begun(key, watcher));
        within(self.operation_timeout(), "begin", begun).await??;
        Ok(session)
    }

    /// The next link that the peer attaches, on any session. Sessions that the peer begins are answered without asking.
    ///
    /// A link that is not accepted within `operation_timeout` of its attach is refused, so that a peer of an application
    /// that never calls this is not left waiting.
    ///
    /// # Errors
    ///
    /// Why the connection ended.
    ///
    /// # Cancel safety
    ///
    /// A link is lost only if the future is dropped after it resolved; it is refused then.
    pub async fn accept_link(&self) -> Result<IncomingLink, ConnectionError> {
        let (key, attach) = self.shared().wait(Engine::poll_incoming_link).await?;
        Ok(IncomingLink::new(
            Session::new(self.clone(), key.session),
            key,
            attach,
        ))
    }

    /// What the peer said in its open: container-id, limits, capabilities, properties [2.7.1].
    pub fn remote_open(&self) -> &Open {
        &self.handle.remote_open
    }

    /// Whether the connection has ended, or is being closed.
    pub fn is_closed(&self) -> bool {
        self.shared().with(|engine| engine.ended().is_some())
    }

    /// Waits until the connection has ended, and says why. Has no time limit.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping the future.
    pub async fn closed(&self) -> ConnectionError {
        self.shared().wait(Engine::poll_ended).await
    }

    /// Closes the connection and waits for the peer's close, at most `operation_timeout` [2.4.3]. Sessions and links end
    /// with it; deliveries without an outcome resolve as not sent or unknown. To wait for outcomes first, see
    /// [`shutdown`](Self::shutdown).
    ///
    /// # Errors
    ///
    /// Why it ended, if it had ended otherwise or the peer did not answer.
    ///
    /// # Cancel safety
    ///
    /// The close is sent in any case.
    pub async fn close(&self) -> Result<(), ConnectionError> {
        self.close_for(None).await
    }

    /// As [`close`](Self::close), telling the peer why.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    ///
    /// # Cancel safety
    ///
    /// The close is sent in any case.
    pub async fn close_with_error(&self, error: AmqpError) -> Result<(), ConnectionError> {
        self.close_for(Some(error)).await
    }

    async fn close_for(&self, error: Option<AmqpError>) -> Result<(), ConnectionError> {
        self.shared()
            .with(|engine| engine.close(error, clock::now()));
        // The engine's own timer bounds this wait.
        match self.shared().wait(Engine::poll_closed).await {
            ConnectionError::LocalClosed | ConnectionError::RemoteClosed(None) => Ok(()),
            error => Err(error),
        }
    }

    /// Waits until every delivery that was sent has its outcome, at most for `limit`, and then closes.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close). Deliveries that had no outcome in time resolve as unknown.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits for outcomes, nothing is closed.
    pub async fn shutdown(&self, limit: Duration) -> Result<(), ConnectionError> {
        let deadline = Deadline::after(limit);
        let settled = self.shared().wait(Engine::poll_all_settled);
        let _ = timeout_at(deadline.at, settled).await;
        self.close().await
    }
}
