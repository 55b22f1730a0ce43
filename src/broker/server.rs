//! The task that accepts connections and holds theirs.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::connection;
use super::containers::{self, SOLE_CONNECTION};
use super::nodes::limit_exceeded;
use super::{BrokerOptions, Shared};
use crate::codec::AmqpError;
use crate::memory::MemoryStream;
use crate::sasl::{AllowEveryone, SaslMechanism};
use crate::{
    ANONYMOUS_RELAY, AcceptError, ConnectionOptions, IncomingConnection, Limits, Listener,
    ListenerOptions, SaslServerOptions,
};

/// Why connections are closed when the broker ends.
pub(super) const STOPPED: &str = "the broker is shutting down";

/// The pause after the system failed to give a connection, so that a lasting failure does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections beyond the limit that are told so; more are dropped without a word.
const MAX_REFUSALS: usize = 128;

/// Frames before the peer's open may be longer than the standard's 512 octets: some clients say much of themselves.
const MAX_OPEN_FRAME_SIZE: u32 = 65_536;

/// What our open says and who may connect, on streams within the process.
fn listener_options(options: &BrokerOptions) -> ListenerOptions {
    let limits = Limits::default().max_open_frame_size(MAX_OPEN_FRAME_SIZE);
    let connection = ConnectionOptions {
        offered_capabilities: vec![ANONYMOUS_RELAY, SOLE_CONNECTION],
        properties: containers::detection_policy(),
        ..ConnectionOptions::default()
            .container_id(format!("amqp10-broker-{}", uuid::Uuid::new_v4().simple()))
            .limits(limits)
    };
    let everyone = || {
        SaslServerOptions::default()
            .mechanisms([SaslMechanism::Anonymous, SaslMechanism::Plain])
            .authenticator(AllowEveryone)
            .require(false)
    };
    let sasl = options.sasl.clone().unwrap_or_else(everyone);
    ListenerOptions::default().connection(connection).sasl(sasl)
}

/// The same for TCP: with TLS, where the options have a certificate, and by WebSocket too, where that is built.
pub(super) fn tcp_options(options: &BrokerOptions) -> ListenerOptions {
    let listener = listener_options(options);
    #[cfg(feature = "websocket")]
    let listener = listener.websocket(crate::websocket::WebSocketServerOptions::default());
    match &options.tls {
        Some(tls) => listener.tls(tls.clone()),
        None => listener,
    }
}

/// Accepts connections until the broker's handle is gone.
pub(super) struct Server {
    shared: Arc<Shared>,
    options: BrokerOptions,
    closing: watch::Sender<&'static str>,
    connections: JoinSet<()>,
}

impl Server {
    pub(super) fn new(
        shared: Arc<Shared>,
        options: BrokerOptions,
        closing: watch::Sender<&'static str>,
    ) -> Self {
        Self {
            shared,
            options,
            closing,
            connections: JoinSet::new(),
        }
    }

    pub(super) async fn run(
        mut self,
        listener: Option<Listener>,
        mut streams: mpsc::UnboundedReceiver<MemoryStream>,
    ) {
        let shared = Arc::clone(&self.shared);
        let mut expiring = pin!(shared.expire_subscriptions());
        loop {
            tokio::select! {
                biased;
                never = &mut expiring => match never {},
                accepted = accept(listener.as_ref()) => self.accept(accepted).await,
                stream = streams.recv() => match stream {
                    Some(stream) => {
                        let options = listener_options(&self.options);
                        self.serve(stream, options);
                    }
                    // The broker's handle is gone.
                    None => break,
                },
                Some(_) = self.connections.join_next(), if !self.connections.is_empty() => {}
            }
        }
        drop(listener);
        self.closing.send_replace(STOPPED);
        let all_ended = async { while self.connections.join_next().await.is_some() {} };
        let limit = self.options.shutdown_timeout;
        if tokio::time::timeout(limit, all_ended).await.is_err() {
            tracing::debug!("connections did not end within the deadline and were dropped");
        }
    }

    async fn accept(&mut self, accepted: Result<(TcpStream, SocketAddr), AcceptError>) {
        match accepted {
            Ok((stream, _)) => {
                let options = tcp_options(&self.options);
                self.serve(stream, options);
            }
            Err(error) => {
                tracing::warn!(%error, "the system gave no connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    fn serve<S>(&mut self, stream: S, options: ListenerOptions)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let most = self.options.max_connections;
        let is_full = self.connections.len() >= most;
        if self.connections.len() >= most.saturating_add(MAX_REFUSALS) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let closing = self.closing.subscribe();
        self.connections.spawn(async move {
            match Listener::accept_stream(stream, &options).await {
                Ok(incoming) if is_full => {
                    let text = "the broker has as many connections as it may";
                    refuse(incoming, limit_exceeded(text)).await;
                }
                Ok(incoming) => connection::serve(shared, incoming, closing).await,
                Err(error) => tracing::debug!(%error, "a peer did not get through the handshake"),
            }
        });
    }
}

/// Refuses a connection.
pub(super) async fn refuse(incoming: IncomingConnection, error: AmqpError) {
    tracing::debug!(container_id = %incoming.open().container_id, %error, "refused a connection");
    // A peer that is gone needs no answer.
    let _ = incoming.refuse(error).await;
}

/// The next peer that comes to the socket, where there is one.
async fn accept(listener: Option<&Listener>) -> Result<(TcpStream, SocketAddr), AcceptError> {
    match listener {
        Some(listener) => listener.accept_socket().await,
        None => std::future::pending().await,
    }
}
