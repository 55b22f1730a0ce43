//! An Event Hubs namespace inside your program: for tests, for development, for a first look without an account.
//!
//! [`Emulator::start`] listens on loopback TCP and gives a connection string for any Event Hubs client that speaks
//! AMQP, the official ones of Microsoft included. [`Emulator::connect`] does without a socket, and
//! [`Emulator::in_process`] has none at all.
//!
//! ```
//! use amqp10::emulator::{Emulator, EmulatorOptions};
//! use amqp10::{Connection, ConnectionOptions, Credentials, ReceiverOptions, SenderOptions, SessionOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = EmulatorOptions::new().hub("orders", 4).consumer_group("orders", "analytics").key("root", "secret");
//! let emulator = Emulator::start(options).await?;
//!
//! // With the key as user name and password no token is needed.
//! let options = ConnectionOptions::default()
//!     .credentials(Credentials::plain("root", "secret"))
//!     .allow_plain_without_tls(true);
//! let connection = Connection::open_with_stream(emulator.connect(), options).await?;
//! let session = connection.begin(SessionOptions::default()).await?;
//!
//! let sender = session.attach_sender("orders/Partitions/2", SenderOptions::default()).await?;
//! sender.send("hello").await?;
//!
//! let address = "orders/ConsumerGroups/analytics/Partitions/2";
//! let receiver = session.attach_receiver(address, ReceiverOptions::default()).await?;
//! let event = receiver.recv().await?.message()?;
//! let annotations = event.message_annotations.unwrap_or_default();
//! assert_eq!(annotations.get("x-opt-sequence-number"), Some(&0_i64.into()));
//!
//! connection.close().await?;
//! emulator.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What differs from the service
//!
//! | | the service | here |
//! |---|---|---|
//! | storage | replicated disks, for days | memory, for as long as the emulator lives, within [`Retention`] |
//! | transport | TLS on 5671, WebSocket on 443 | plaintext by default, TLS with a certificate of yours; no WebSocket |
//! | host names | the namespace's own | any: neither `open.hostname` nor the host of a token is compared with ours |
//! | tokens | shared access signatures, Entra ID | signatures of one key; JSON web tokens refused, or all taken ([`accept_any_jwt`](EmulatorOptions::accept_any_jwt)) |
//! | rights | send, listen and manage apart | one key with all rights |
//! | login by PLAIN | rarely used | key name and key: everything is allowed, no token needed |
//! | partition of a key | not published | the algorithm of the official clients' buffered producers |
//! | partition of a publisher | not published | by its name, as if it were a key |
//! | offsets | opaque, may hold a replication epoch | decimal text that rises by the size of each event; a client must not rely on it |
//! | empty partition | last time is a date long ago | last sequence number -1, last offset `-1`, last time 1970 |
//! | throttling, quotas | by throughput units | message size, connections, readers of a partition; no throttling |
//! | idle links, idle connections | closed after minutes | never, unless [`idle_link`](EmulatorOptions::idle_link) and [`idle_connection`](EmulatorOptions::idle_connection) say so |
//! | idempotent producers | on some tiers, in preview | always, on links to a partition; at most 4096 producers are remembered per partition |
//! | management | `READ`, and more over HTTPS | `READ` of hubs and partitions |
//! | Kafka, capture, schema registry | yes | no |

mod audience;
mod claims;
mod config;
mod connection;
mod event;
pub mod faults;
mod link;
mod log;
mod login;
mod namespace;
mod nodes;
mod partition;
mod partition_hash;
mod producer_seat;
mod producers;
mod publish;
mod readers;
mod replies;
mod sas;
mod selector;
mod subscribe;
mod tail;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

pub use self::config::{EmulatorOptions, HubOptions, MAX_PARTITIONS, ROOT_KEY_NAME, Retention};
use self::connection::STOPPED;
pub use self::faults::{Fault, FaultRates, FaultRecord, Faults};
use self::faults::{FaultyStream, Wire};
use self::login::{Login, MECHANISMS};
use self::namespace::Namespace;
pub use crate::Clock;
use crate::codec::{AmqpError, Layout, Message, condition};
use crate::eventhubs::wire::MAX_SESSIONS;
use crate::memory::{self, MemoryStream};
use crate::{
    AcceptError, ConnectionOptions, IncomingConnection, Limits, Listener, ListenerOptions,
    SaslServerOptions,
};

/// Octets that each direction of an in-process connection holds.
const MEMORY_PIPE: usize = 256 * 1024;

/// How long the service tolerates silence; half of it is what its open announces.
const IDLE_TIME_OUT: Duration = Duration::from_secs(480);

/// The pause after the system failed to give a connection, so that a lasting failure does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections beyond the limit that are told so; more are dropped without a word.
const MAX_REFUSALS: usize = 128;

/// A running Event Hubs namespace. Dropping it stops it; [`shutdown`](Emulator::shutdown) also waits for the end.
pub struct Emulator {
    namespace: Arc<Namespace>,
    address: Option<SocketAddr>,
    /// Streams of [`connect`](Emulator::connect). The server stops when this end is gone.
    streams: mpsc::UnboundedSender<MemoryStream>,
    /// Each new value closes the connections of the moment, with the value as the reason.
    closing: watch::Sender<&'static str>,
    server: JoinHandle<()>,
}

/// Why an emulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmulatorError {
    /// The options make no sense; the text says which, and what was expected.
    #[error("the emulator's options are wrong: {0}")]
    Options(String),
    /// The address cannot be listened on.
    #[error("the emulator cannot listen on {address}: {reason}")]
    Listen {
        /// The address of the options.
        address: SocketAddr,
        /// What the system says.
        reason: io::Error,
    },
}

impl Emulator {
    /// Starts a namespace and listens. Needs a tokio runtime, in which its tasks run.
    ///
    /// # Errors
    ///
    /// If the options make no sense, or the address cannot be listened on.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing is started.
    pub async fn start(options: EmulatorOptions) -> Result<Emulator, EmulatorError> {
        options.check().map_err(EmulatorError::Options)?;
        let address = options.address;
        let listener = Listener::bind(address, tcp_options(&options)).await;
        let listener = listener.map_err(|reason| EmulatorError::Listen { address, reason })?;
        Emulator::run(options, Some(listener)).await
    }

    /// Starts a namespace that does not listen: [`connect`](Emulator::connect) is the only way to it. It needs no port and
    /// does not leave the process, so a test may pause tokio's clock, and start thousands of them.
    ///
    /// ```
    /// use amqp10::Connection;
    /// use amqp10::emulator::{Emulator, EmulatorOptions};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let emulator = Emulator::in_process(EmulatorOptions::new().hub("orders", 4)).await?;
    /// assert_eq!(emulator.local_addr(), None);
    /// let connection = Connection::open_with_stream(emulator.connect(), Default::default()).await?;
    /// # connection.close().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the options make no sense. Their address and certificate are not used.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing is started.
    pub async fn in_process(options: EmulatorOptions) -> Result<Emulator, EmulatorError> {
        options.check().map_err(EmulatorError::Options)?;
        Emulator::run(options, None).await
    }

    async fn run(
        options: EmulatorOptions,
        listener: Option<Listener>,
    ) -> Result<Emulator, EmulatorError> {
        let address = listener.as_ref().map(Listener::local_addr).transpose();
        let address = address.map_err(|reason| EmulatorError::Listen {
            address: options.address,
            reason,
        })?;
        let namespace = Arc::new(Namespace::new(options));
        let (streams, incoming_streams) = mpsc::unbounded_channel();
        let closing = watch::Sender::new(STOPPED);
        let server = Server {
            namespace: Arc::clone(&namespace),
            closing: closing.clone(),
            connections: JoinSet::new(),
        };
        let server = tokio::spawn(server.run(listener, incoming_streams));
        Ok(Emulator {
            namespace,
            address,
            streams,
            closing,
            server,
        })
    }

    /// Where the emulator listens; `None` if it was started [in process](Emulator::in_process).
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The connection string for the namespace. It holds the key: treat it as a secret where the key is one.
    ///
    /// It names `localhost`, whatever the address listened on, and ends with `UseDevelopmentEmulator=true;` unless the
    /// emulator serves TLS: that word makes official clients speak plaintext to the port given. An emulator that does not
    /// listen names no port; clients of this crate reach it by a connector.
    pub fn connection_string(&self) -> String {
        let options = &self.namespace.options;
        let plaintext = match options.tls {
            None => "UseDevelopmentEmulator=true;",
            Some(_) => "",
        };
        let port = self
            .address
            .map_or_else(String::new, |address| format!(":{}", address.port()));
        format!(
            "Endpoint=sb://localhost{port};SharedAccessKeyName={};SharedAccessKey={};{plaintext}",
            options.key_name, options.key_value,
        )
    }

    /// The connection string with the name of a hub in it. The hub need not exist.
    pub fn connection_string_for(&self, hub: &str) -> String {
        format!("{}EntityPath={hub};", self.connection_string())
    }

    /// A stream to the emulator within the process; speak plaintext AMQP with SASL on it.
    ///
    /// Once the emulator has stopped, the stream is at its end.
    pub fn connect(&self) -> MemoryStream {
        let (ours, theirs) = memory::pipe(MEMORY_PIPE);
        // Without a server the other half is dropped, which ends the stream.
        let _ = self.streams.send(theirs);
        ours
    }

    /// Closes all present connections with `amqp:connection:forced`, as the service does when it is upgraded. The
    /// emulator goes on, and so does what it has stored: clients are expected to come back.
    pub fn close_connections(&self) {
        self.closing
            .send_replace("The connection was closed for maintenance.");
    }

    /// What a partition holds, oldest first, as its readers get it: for a test that wants to know what was stored, without
    /// asking a client. Empty if there is no such hub or partition.
    pub fn stored(&self, hub: &str, partition: &str) -> Vec<Message> {
        let hub = self.namespace.hub(hub);
        let Ok(partition) = hub.and_then(|hub| hub.partition(partition)) else {
            return Vec::new();
        };
        let events = partition.events();
        // What cannot be decoded was not stored.
        let messages = events
            .iter()
            .flat_map(|event| Message::decode(event.message()));
        messages.collect()
    }

    /// Lets something go wrong: now, or when the fault's trigger says so. Needs the runtime that the emulator runs in.
    pub fn inject(&self, fault: Fault) {
        self.namespace.faults.inject(fault);
    }

    /// Lets nothing go wrong any more: planned faults are dropped, the dice of a seed rest, silent links go on.
    pub fn calm(&self) {
        self.namespace.faults.calm();
    }

    /// The faults that have happened, oldest first; the last 10 000 of them.
    pub fn fault_records(&self) -> Vec<FaultRecord> {
        self.namespace.faults.records()
    }

    /// Stops: no new connections, the present ones are closed with `amqp:connection:forced`. Resolves when they have
    /// ended, at the latest after [`shutdown_deadline`](EmulatorOptions::shutdown_deadline).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the emulator stops in the background.
    pub async fn shutdown(self) {
        let Emulator {
            streams, server, ..
        } = self;
        drop(streams);
        // A server that panicked has stopped as well.
        let _ = server.await;
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator")
            .field("address", &self.address)
            .field("options", &self.namespace.options)
            .finish_non_exhaustive()
    }
}

/// What our open says, who may connect, and how it is written.
fn listener_options(options: &EmulatorOptions) -> ListenerOptions {
    // Official clients may say much of themselves in their open.
    let limits = Limits::default()
        .max_sessions(MAX_SESSIONS.into())
        .max_open_frame_size(65_536);
    let connection = ConnectionOptions::default()
        .container_id(format!("{}_G1", uuid::Uuid::new_v4().simple()))
        .max_frame_size(65_536)
        .idle_time_out(IDLE_TIME_OUT)
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
    ListenerOptions::default().connection(connection).sasl(sasl)
}

/// The same for TCP: with TLS, where the options have a certificate.
fn tcp_options(options: &EmulatorOptions) -> ListenerOptions {
    let listener = listener_options(options);
    match &options.tls {
        Some(tls) => listener.tls(tls.clone()),
        None => listener,
    }
}

/// The task that accepts connections and holds theirs.
struct Server {
    namespace: Arc<Namespace>,
    closing: watch::Sender<&'static str>,
    connections: JoinSet<()>,
}

impl Server {
    async fn run(
        mut self,
        listener: Option<Listener>,
        mut streams: mpsc::UnboundedReceiver<MemoryStream>,
    ) {
        let board = Arc::clone(&self.namespace.faults);
        let mut faults = std::pin::pin!(board.keep_time());
        loop {
            tokio::select! {
                biased; // runs of one seed are alike
                () = &mut faults => {}
                accepted = accept(listener.as_ref()) => self.accept(accepted).await,
                stream = streams.recv() => match stream {
                    Some(stream) => {
                        let options = listener_options(&self.namespace.options);
                        self.serve_stream(stream, options);
                    }
                    // The emulator's handle is gone.
                    None => break,
                },
                Some(_) = self.connections.join_next(), if !self.connections.is_empty() => {}
            }
        }
        drop(listener);
        self.closing.send_replace(STOPPED);
        let deadline = self.namespace.options.shutdown_deadline;
        let all_ended = async { while self.connections.join_next().await.is_some() {} };
        if tokio::time::timeout(deadline, all_ended).await.is_err() {
            tracing::debug!("connections did not end within the deadline and were dropped");
        }
    }

    async fn accept(&mut self, accepted: Result<(TcpStream, SocketAddr), AcceptError>) {
        match accepted {
            Ok((stream, _)) => self.serve_stream(stream, tcp_options(&self.namespace.options)),
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
