//! The task that takes connections and holds theirs.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::connection::{self, STOPPED};
use super::faults::{FaultyStream, Wire};
use super::health;
use super::login::{Login, MECHANISMS};
use super::namespace::Namespace;
use crate::codec::{AmqpError, Layout, condition};
use crate::eventhubs::wire::{MAX_SESSIONS, WEBSOCKET_PATH};
use crate::memory::MemoryStream;
use crate::websocket::WebSocketServerOptions;
use crate::{
    AcceptError, ConnectionOptions, IncomingConnection, Limits, Listener, ListenerOptions,
    SaslServerOptions,
};

/// The pause after the system failed to give a connection, so that a lasting failure does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections beyond the limit that are told so; more are dropped without a word.
const MAX_REFUSALS: usize = 128;

/// What our open says, who may connect, and how it is written.
fn listener_options(namespace: &Arc<Namespace>) -> ListenerOptions {
    let options = &namespace.options;
    // Official clients may say much of themselves in their open.
    let limits = Limits::default()
        .max_sessions(MAX_SESSIONS.into())
        .max_open_frame_size(65_536);
    let connection = ConnectionOptions::default()
        .container_id(format!("{}_G1", uuid::Uuid::new_v4().simple()))
        .max_frame_size(65_536)
        .idle_time_out(options.silence)
        .channel_max(MAX_SESSIONS - 1)
        .limits(limits)
        // One official client finds fields by their position.
        .layout(Layout::Full);
    let login = Login {
        key: options.access_key(),
    };
    let sasl = SaslServerOptions::default()
        .mechanisms(MECHANISMS)
        .authenticator(login);
    let websocket = WebSocketServerOptions::default()
        .path(WEBSOCKET_PATH)
        .responder(health::responder(namespace));
    ListenerOptions::default()
        .connection(connection)
        .sasl(sasl)
        .websocket(websocket)
}

/// The same for TCP: with TLS, where the options have a certificate.
fn tcp_options(namespace: &Arc<Namespace>) -> ListenerOptions {
    let listener = listener_options(namespace);
    match &namespace.options.tls {
        Some(tls) => listener.tls(tls.clone()),
        None => listener,
    }
}

/// The task that accepts connections and holds theirs.
pub(crate) struct Server {
    namespace: Arc<Namespace>,
    /// Each new value closes the connections of the moment.
    closing: watch::Sender<&'static str>,
    connections: JoinSet<()>,
}

/// Where it listens.
#[derive(Default)]
pub(crate) struct Sockets {
    pub(crate) amqp: Option<Listener>,
    pub(crate) health: Option<TcpListener>,
}

impl Server {
    pub(crate) fn new(namespace: Arc<Namespace>, closing: watch::Sender<&'static str>) -> Server {
        Server {
            namespace,
            closing,
            connections: JoinSet::new(),
        }
    }

    /// Serves until nobody holds the other end of `streams`; then ends all connections.
    pub(crate) async fn run(
        mut self,
        sockets: Sockets,
        mut streams: mpsc::UnboundedReceiver<MemoryStream>,
    ) {
        let board = Arc::clone(&self.namespace.faults);
        let mut faults = pin!(board.keep_time());
        let mut health = pin!(tell_health(sockets.health, Arc::clone(&self.namespace)));
        loop {
            tokio::select! {
                biased; // runs of one seed are alike
                () = &mut faults => {}
                () = &mut health => {}
                accepted = accept(sockets.amqp.as_ref()) => self.accept(accepted).await,
                stream = streams.recv() => match stream {
                    Some(stream) => {
                        let options = listener_options(&self.namespace);
                        self.serve_stream(stream, options);
                    }
                    // The emulator's handle is gone.
                    None => break,
                },
                Some(_) = self.connections.join_next(), if !self.connections.is_empty() => {}
            }
        }
        drop(sockets.amqp);
        self.closing.send_replace(STOPPED);
        let deadline = self.namespace.options.shutdown_timeout;
        let all_ended = async { while self.connections.join_next().await.is_some() {} };
        if tokio::time::timeout(deadline, all_ended).await.is_err() {
            tracing::debug!("connections did not end within the deadline and were dropped");
        }
    }

    async fn accept(&mut self, accepted: Result<(TcpStream, SocketAddr), AcceptError>) {
        match accepted {
            Ok((stream, _)) => self.serve_stream(stream, tcp_options(&self.namespace)),
            Err(error) => {
                tracing::warn!(%error, "the system gave no connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    fn serve_stream<S>(&mut self, stream: S, options: ListenerOptions)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let most = self.namespace.options.max_connections;
        let is_full = self.connections.len() >= most;
        if self.connections.len() >= most.saturating_add(MAX_REFUSALS) {
            return;
        }
        let namespace = Arc::clone(&self.namespace);
        let closing = self.closing.subscribe();
        let wire = namespace.faults.connect();
        let stream = FaultyStream::new(stream, Arc::clone(&wire));
        self.connections.spawn(async move {
            match Listener::accept_stream(stream, &options).await {
                Ok(incoming) if is_full => refuse(incoming).await,
                Ok(incoming) => serve(namespace, incoming, wire, closing).await,
                Err(error) => tracing::debug!(%error, "a peer did not get through the handshake"),
            }
        });
    }
}

async fn refuse(incoming: IncomingConnection) {
    let text = "The namespace has as many connections as it allows.";
    // A peer that is gone needs no answer.
    let _ = incoming
        .refuse(AmqpError::new(condition::RESOURCE_LIMIT_EXCEEDED, text))
        .await;
}

async fn tell_health(listener: Option<TcpListener>, namespace: Arc<Namespace>) {
    match listener {
        Some(listener) => health::serve(listener, namespace).await,
        None => std::future::pending().await,
    }
}

/// The next peer that comes to the socket, where there is one.
async fn accept(listener: Option<&Listener>) -> Result<(TcpStream, SocketAddr), AcceptError> {
    match listener {
        Some(listener) => listener.accept_socket().await,
        None => std::future::pending().await,
    }
}

async fn serve(
    namespace: Arc<Namespace>,
    incoming: IncomingConnection,
    wire: Arc<Wire>,
    closing: watch::Receiver<&'static str>,
) {
    if let Err(error) = connection::serve(namespace, incoming, wire, closing).await {
        tracing::debug!(%error, "a connection ended");
    }
}
