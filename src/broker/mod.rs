//! A small broker: queues and topics in memory, for any AMQP 1.0 client, inside your program or as `amqp10 broker`.
//!
//! ```
//! use amqp10::broker::{Broker, BrokerOptions};
//! use amqp10::{Connection, ReceiverOptions, SenderOptions, SessionOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = Broker::start(BrokerOptions::default()).await?;
//!
//! let connection = Connection::open_with_stream(broker.connect(), Default::default()).await?;
//! let session = connection.begin(SessionOptions::default()).await?;
//! let sender = session.attach_sender("orders", SenderOptions::default()).await?;
//! assert!(sender.send("hello").await?.is_accepted());
//!
//! let receiver = session.attach_receiver("orders", ReceiverOptions::default()).await?;
//! let delivery = receiver.recv().await?;
//! delivery.accept()?;
//!
//! connection.close().await?;
//! broker.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Nodes
//!
//! | address | is |
//! |---|---|
//! | `NAME`, `queue/NAME` | a queue: each message goes to one of its consumers, or to many who browse (distribution mode `copy`) |
//! | `topic/NAME`, or `NAME` with the capability `topic` | a topic: each subscription gets each message |
//! | none, and `dynamic` | a new node with a generated address, which lives as its lifetime policy says |
//! | none, for a sender | the anonymous terminus: each message goes where its property `to` says |
//! | `no-such…` | nothing: such an address does not exist, whatever follows |
//!
//! Nodes are created when they are used, unless [`BrokerOptions::nodes`] lists them, and go when nobody uses them and they are
//! empty. A subscription that is durable, or whose terminus expires late, is kept for the container and the link name that it
//! was made by: detach to keep it, close to end it.
//!
//! # Deliveries
//!
//! What is released or modified is available again at its old place, what is rejected goes to the queue
//! [`dead-letters`](BrokerOptions::dead_letter_queue) with the reason in its delivery annotation `rejected`, and what is not
//! settled when its link is lost gets the default outcome of the source. Selectors, no-local, and the legacy bindings of a
//! subject and of application properties are the filters that there are; the answer to an attach names those in force.
//! Transactions take posting, retirement and acquisition, over any number of sessions of a connection.
//!
//! A dead letter does not expire. If the queue of dead letters is full even without what has expired there, what is rejected
//! is lost, with a warning in the log; what is rejected from that queue itself is gone.
//!
//! # Connections
//!
//! Whoever knows a [user](BrokerOptions::sasl)'s password may enter; without users everyone. A container may wish to be
//! connected only once (capability `sole-connection-for-container`): its second connection is refused, or takes the place of
//! the first.
//!
//! # What it does not do
//!
//! Everything is in memory: a durable message is lost with the broker, and is refused only if
//! [`BrokerOptions::refuse_durable`] says so. Links are not resumed with what was unsettled. Rights are those of the login:
//! who may connect may use every node.

mod acquired;
mod address;
mod attach;
mod bell;
mod connection;
mod consumer;
mod containers;
mod coordinator;
mod filter;
mod message;
mod nodes;
mod options;
mod publisher;
mod queue;
pub mod selector;
mod server;
mod subscription;
mod transactions;
mod turns;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::address::NodeName;
use self::containers::Containers;
use self::nodes::{LinkEnd, LinkId, Nodes, Scope};
use self::options::MAX_MESSAGE_SIZE;
pub use self::options::{BrokerOptions, UsersError, read_users};
use self::server::{STOPPED, Server, tcp_options};
use crate::Listener;
use crate::codec::AmqpError;
use crate::lock::lock;
use crate::memory::{self, MemoryStream};

/// Octets that each direction of an in-process connection holds.
const MEMORY_PIPE: usize = 256 * 1024;

/// A running broker. Dropping it stops it; [`shutdown`](Broker::shutdown) also waits for the end.
pub struct Broker {
    shared: Arc<Shared>,
    address: Option<SocketAddr>,
    /// Streams of [`connect`](Broker::connect). The server stops when this end is gone.
    streams: mpsc::UnboundedSender<MemoryStream>,
    /// Each new value closes the connections of the moment, with the value as the reason.
    closing: watch::Sender<&'static str>,
    server: JoinHandle<()>,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// One of the nodes that the options list cannot be.
    #[error("the broker cannot have such a node: {0}")]
    Node(AmqpError),
    /// The [largest message](BrokerOptions::max_message_size) of the options is more than a session keeps.
    #[error("messages of {0} octets cannot be taken: {MAX_MESSAGE_SIZE} is the most")]
    MaxMessageSize(u64),
    /// The address cannot be listened on.
    #[error("the broker cannot listen on {address}: {error}")]
    Listen {
        /// The address of the options.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    nodes: Mutex<Nodes>,
    connections: AtomicU64,
    containers: Arc<Containers>,
    /// Said each time: subscriptions may have begun to expire.
    links_ended: Notify,
}

impl Shared {
    fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    fn end_link(&self, link: LinkId, end: LinkEnd) {
        lock(&self.nodes).end_link(link, end, Instant::now());
        self.links_ended.notify_one();
    }

    fn end_scope(&self, scope: Scope) {
        lock(&self.nodes).end_scope(scope, Instant::now());
        self.links_ended.notify_one();
    }

    /// Ends subscriptions when their time is over, for ever.
    async fn expire_subscriptions(&self) -> Infallible {
        loop {
            let next = lock(&self.nodes).expire(Instant::now());
            let ended = self.links_ended.notified();
            match next {
                // Either way it is time to look again.
                Some(at) => drop(tokio::time::timeout_at(at, ended).await),
                None => ended.await,
            }
        }
    }
}

impl Broker {
    /// Starts a broker and listens. Needs a tokio runtime, in which its tasks run.
    ///
    /// # Errors
    ///
    /// If the options make no sense, or the address cannot be listened on.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing is started.
    pub async fn start(options: BrokerOptions) -> Result<Broker, BrokerError> {
        let address = options.address;
        let failed = |error| BrokerError::Listen { address, error };
        let listener = Listener::bind(address, tcp_options(&options)).await;
        Broker::run(options, Some(listener.map_err(failed)?))
    }

    /// Starts a broker that does not listen: [`connect`](Broker::connect) is the only way to it, so that a test may pause
    /// tokio's clock.
    ///
    /// # Errors
    ///
    /// If the options make no sense. Their address and certificate are not used.
    ///
    /// # Cancel safety
    ///
    /// Resolves without waiting.
    pub async fn in_process(options: BrokerOptions) -> Result<Broker, BrokerError> {
        Broker::run(options, None)
    }

    fn run(options: BrokerOptions, listener: Option<Listener>) -> Result<Broker, BrokerError> {
        let address = listener.as_ref().map(Listener::local_addr).transpose();
        let address = address.map_err(|error| BrokerError::Listen {
            address: options.address,
            error,
        })?;
        if options.max_message_size > MAX_MESSAGE_SIZE {
            return Err(BrokerError::MaxMessageSize(options.max_message_size));
        }
        let nodes = Nodes::new(options.clone()).map_err(BrokerError::Node)?;
        let shared = Arc::new(Shared {
            nodes: Mutex::new(nodes),
            connections: AtomicU64::new(0),
            containers: Arc::default(),
            links_ended: Notify::new(),
        });
        let (streams, incoming_streams) = mpsc::unbounded_channel();
        let closing = watch::Sender::new(STOPPED);
        let server = Server::new(Arc::clone(&shared), options, closing.clone());
        let server = tokio::spawn(server.run(listener, incoming_streams));
        Ok(Broker {
            shared,
            address,
            streams,
            closing,
            server,
        })
    }

    /// Where the broker listens; `None` if it was started [in process](Broker::in_process).
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.address
    }

    /// A stream to the broker within the process; speak plaintext AMQP on it. Once the broker has stopped, the stream is at
    /// its end.
    pub fn connect(&self) -> MemoryStream {
        let (ours, theirs) = memory::pipe(MEMORY_PIPE);
        // Without a server the other half is dropped, which ends the stream.
        let _ = self.streams.send(theirs);
        ours
    }

    /// Messages of a node: of a queue those that are available or acquired, of a topic those of its subscriptions together.
    /// `None` if there is no such node now.
    pub fn depth(&self, address: &str) -> Option<usize> {
        let name = NodeName::parse(address, &[]).ok()?;
        lock(&self.shared.nodes).depth(&name)
    }

    /// Closes all present connections with `amqp:connection:forced`. The broker goes on, and so do its queues.
    pub fn close_connections(&self) {
        self.closing
            .send_replace("the connection was closed by the broker's owner");
    }

    /// Stops: no new connections, the present ones are closed with `amqp:connection:forced`. Resolves when they have ended,
    /// at the latest after [`shutdown_timeout`](BrokerOptions::shutdown_timeout).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the broker stops in the background.
    pub async fn shutdown(self) {
        let Broker {
            streams, server, ..
        } = self;
        drop(streams);
        // A server that panicked has stopped as well.
        let _ = server.await;
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
