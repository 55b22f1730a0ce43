//! The other role: connections that peers open.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::Mutex;
use tracing::Instrument;

use crate::codec::{AmqpError, Open};
use crate::connection::Connection;
use crate::engine::Engine;
use crate::error::{AcceptError, ConnectError, Stage};
use crate::opening::{ESTABLISHMENT_FAILED, Opening, refused};
use crate::options::ListenerOptions;
use crate::sasl::Identity;
use crate::transport::clock;
use crate::transport::deadline::Deadline;
use crate::transport::handshake::{self, HandshakesUnderWay};
use crate::transport::stream::Stream;
use crate::transport::tcp;

/// Takes connections from peers: the same connections, sessions and links as those that a client opens [2.2].
///
/// ```no_run
/// use amqp10::{AcceptLinkOptions, AcceptedLink, Listener, ListenerOptions};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = Listener::bind("127.0.0.1:5672", ListenerOptions::default()).await?;
/// loop {
///     let connection = listener.accept().await?.accept().await?;
///     tokio::spawn(async move {
///         while let Ok(link) = connection.accept_link().await {
///             if let Ok(AcceptedLink::Receiver(receiver)) = link.accept(AcceptLinkOptions::default()).await {
///                 while let Ok(delivery) = receiver.recv().await {
///                     let _ = delivery.accept();
///                 }
///             }
///         }
///     });
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Listener {
    sockets: TcpListener,
    options: Arc<ListenerOptions>,
    incoming: Mutex<Incoming>,
}

/// Peers that are not connected yet.
#[derive(Debug)]
struct Incoming {
    handshakes: HandshakesUnderWay<Result<IncomingConnection, AcceptError>>,
    /// A connection for whose handshake there is no room.
    waiting: Option<(TcpStream, SocketAddr)>,
}

impl Listener {
    /// Binds a TCP socket; port 0 picks a free one, see [`local_addr`](Self::local_addr).
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future binds nothing.
    pub async fn bind(address: impl ToSocketAddrs, options: ListenerOptions) -> io::Result<Self> {
        Ok(Self {
            sockets: tcp::bind(address).await?,
            options: Arc::new(options),
            incoming: Mutex::new(Incoming {
                handshakes: HandshakesUnderWay::new(),
                waiting: None,
            }),
        })
    }

    /// The address that is listened on.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.sockets.local_addr()
    }

    /// The next peer that has shaken hands, authenticated itself and sent its open. Up to `max_handshakes` run at once,
    /// each within `handshake_timeout`; they run only while this is called. When there are so many and another peer waits, the
    /// oldest is given up after a tenth of that time, so that silent peers keep nobody out for long.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Handshake`] concerns one peer, and [`AcceptError::Socket`] one attempt to take a connection (there
    /// may be no file descriptor left): calling again goes on.
    ///
    /// # Cancel safety
    ///
    /// Handshakes under way go on in the background and are handed out by the next call.
    pub async fn accept(&self) -> Result<IncomingConnection, AcceptError> {
        let mut incoming = self.incoming.lock().await;
        let Incoming {
            handshakes,
            waiting,
        } = &mut *incoming;
        loop {
            if handshakes.len() < self.options.max_handshakes.max(1)
                && let Some((stream, peer)) = waiting.take()
            {
                self.start_handshake(handshakes, stream, peer);
            }
            let patience = waiting.is_some().then(|| self.least_patience());
            tokio::select! {
                biased; // no chance where order matters to nobody
                accepted = self.sockets.accept(), if waiting.is_none() => {
                    *waiting = Some(accepted.map_err(|error| AcceptError::Socket(Arc::new(error)))?);
                }
                Some(shaken) = handshakes.next(patience) => {
                    return shaken.unwrap_or_else(|failed| Err(AcceptError::Socket(Arc::new(io::Error::other(failed)))));
                }
            }
        }
    }

    fn start_handshake(
        &self,
        handshakes: &mut HandshakesUnderWay<Result<IncomingConnection, AcceptError>>,
        stream: TcpStream,
        peer: SocketAddr,
    ) {
        let error = Box::new(ConnectError::Timeout {
            stage: Stage::Open,
            limit: self.least_patience(),
        });
        let span = tracing::debug_span!("accept", %peer);
        let handshake = shake_hands(stream, peer, self.options.clone()).instrument(span);
        handshakes.start(handshake, Err(AcceptError::Handshake { peer, error }));
    }

    /// The time that a handshake has although others wait.
    fn least_patience(&self) -> Duration {
        self.options.handshake_timeout / 10
    }

    /// The next TCP connection, before any handshake: to look at it or to wrap it, and to go on with
    /// [`accept_stream`](Self::accept_stream). Its options for TCP are set.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Socket`], as [`accept`](Self::accept).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes no connection.
    pub async fn accept_socket(&self) -> Result<(TcpStream, SocketAddr), AcceptError> {
        let failed = |error| AcceptError::Socket(Arc::new(error));
        let (stream, peer) = self.sockets.accept().await.map_err(failed)?;
        tcp::prepare(&stream, self.options.connection.tcp_keep_alive).map_err(failed)?;
        Ok((stream, peer))
    }

    /// Shakes hands with the peer at the other end of a stream that is there already, such as one of
    /// [`accept_socket`](Self::accept_socket) or one end of [`memory::pipe`](crate::memory::pipe), as [`accept`](Self::accept)
    /// does with those of its own, within `handshake_timeout`. Needs no listener.
    ///
    /// # Errors
    ///
    /// Why the handshake failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn accept_stream<S>(
        stream: S,
        options: &ListenerOptions,
    ) -> Result<IncomingConnection, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        receive_open(Box::new(stream), None, options).await
    }
}

async fn shake_hands(
    stream: TcpStream,
    peer: SocketAddr,
    options: Arc<ListenerOptions>,
) -> Result<IncomingConnection, AcceptError> {
    let prepared = tcp::prepare(&stream, options.connection.tcp_keep_alive);
    prepared.map_err(|error| AcceptError::Socket(Arc::new(error)))?;
    receive_open(Box::new(stream), Some(peer), &options)
        .await
        .map_err(|error| AcceptError::Handshake {
            peer,
            error: Box::new(error),
        })
}

async fn receive_open(
    stream: Box<dyn Stream>,
    peer: Option<SocketAddr>,
    options: &ListenerOptions,
) -> Result<IncomingConnection, ConnectError> {
    // On the heap: whoever waits for an open would hold the much larger handshake as long as the connection lives.
    let handshaken = Box::pin(handshake::server(stream, options)).await?;
    let (identity, deadline) = (handshaken.identity.clone(), handshaken.deadline);
    let is_secure = handshaken.is_secure;
    let opening = Opening::new(handshaken, &options.connection);
    let open = opening.remote_open(deadline).await?;
    Ok(IncomingConnection {
        opening,
        open,
        identity,
        is_secure,
        peer,
        options: options.connection.clone(),
    })
}

/// A peer that has authenticated itself and sent its open, waiting for an answer. Dropping it closes the connection.
#[derive(Debug)]
pub struct IncomingConnection {
    opening: Opening,
    open: Arc<Open>,
    identity: Identity,
    is_secure: bool,
    peer: Option<SocketAddr>,
    options: crate::ConnectionOptions,
}

impl IncomingConnection {
    /// What the peer said in its open.
    pub fn open(&self) -> &Open {
        &self.open
    }

    /// Who the peer is, as far as SASL tells.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether the connection is secured by TLS.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The peer's address, if it came over TCP.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Answers with an open of our own.
    ///
    /// # Errors
    ///
    /// Why the connection ended meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Resolves without waiting.
    pub async fn accept(self) -> Result<Connection, ConnectError> {
        self.opening.shared.with(|engine| {
            engine.open();
            engine
                .ended()
                .cloned()
                .map_or(Ok(()), |error| Err(refused(error)))
        })?;
        Ok(self.opening.keep(self.options, self.open))
    }

    /// Refuses: an open that says so, and a close with `error` (C-043). Waits until that is sent and answered, at most
    /// `operation_timeout`.
    ///
    /// # Errors
    ///
    /// Why the connection ended, if the peer did not answer the close.
    ///
    /// # Cancel safety
    ///
    /// The refusal is sent in any case.
    pub async fn refuse(self, error: AmqpError) -> Result<(), ConnectError> {
        let shared = &self.opening.shared;
        shared.with(|engine| {
            engine
                .local_open_mut()
                .properties
                .insert(ESTABLISHMENT_FAILED, true);
            engine.close(Some(error), clock::now());
        });
        let closed = shared.wait(Engine::poll_closed);
        let limit = Deadline::after(self.options.operation_timeout);
        limit.within(Stage::Open, closed).await.map(|_| ())
    }
}
