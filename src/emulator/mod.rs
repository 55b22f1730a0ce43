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
//! let options = EmulatorOptions::default().hub("orders", 4).consumer_group("orders", "analytics").key("root", "secret");
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
//! # What is kept, and for how long
//!
//! By default everything is in memory and ends with the emulator. With [`EmulatorOptions::persistence`] hubs, events and
//! what is known of producers are in a folder too, and found again at the next start: each event that was acknowledged, in
//! order, once, whatever ended the process. [`Retention`] says in both cases what is forgotten, by number, octets and age.
//!
//! Hubs can be made and deleted while it runs: [`create_hub`](Emulator::create_hub), [`delete_hub`](Emulator::delete_hub).
//!
//! # What differs from the service
//!
//! | | the service | here |
//! |---|---|---|
//! | storage | replicated disks, for days | memory, or memory and a folder ([`Persistence`]), within [`Retention`] |
//! | transport | TLS on 5671, WebSocket within TLS on 443 | one port: plaintext, or TLS with a certificate of yours or one made for it; WebSocket (feature `websocket`) on the same port |
//! | host names | the namespace's own | any: neither `open.hostname` nor the host of a token is compared with ours |
//! | tokens | shared access signatures, Entra ID | signatures of one key; JSON web tokens refused, or all taken ([`accept_any_jwt`](EmulatorOptions::accept_any_jwt)) |
//! | rights | send, listen and manage apart | one key with all rights |
//! | login by PLAIN | rarely used | key name and key: everything is allowed, no token needed |
//! | partition of a key | not published | the algorithm of the official clients' buffered producers |
//! | partition of a publisher | not published | by its name, as if it were a key |
//! | offsets | opaque, may hold a replication epoch | decimal text that rises by the size of each event; a client must not rely on it |
//! | geo-replication | capability offered by namespaces that have it; the form of offsets is not published | with [`georeplication`](EmulatorOptions::georeplication): offered, offsets are `EPOCH:OFFSET` to every link, a form of our own; offsets of another epoch are refused, sequence numbers are not; nothing is replicated |
//! | empty partition | last time is a date long ago | last sequence number -1, last offset `-1`, last time 1970 |
//! | quotas | by tier | message size, receivers of a partition and of a group, groups of a hub, connections: each an option |
//! | throttling | by throughput units | none, unless [`throughput`](EmulatorOptions::throughput) sets a limit for the namespace, or [`faults`] say so; reading is not limited |
//! | idle links and connections | closed after minutes | never, unless [`idle_link`](EmulatorOptions::idle_link), [`idle_connection`](EmulatorOptions::idle_connection) and [`idle_new_connection`](EmulatorOptions::idle_new_connection) say when |
//! | silence | 240 s announced | the same, or as [`silence`](EmulatorOptions::silence) says |
//! | idempotent producers | on some tiers, in preview; what happens to a second link of the same epoch is not published | always, on links to a partition; the newest link wins; 4096 producers are remembered per partition |
//! | hub deleted | its links are detached | with `amqp:not-found`, which tells clients not to come back |
//! | health | `GET /health` of the official emulator, on port 5300 | the same on a port of its own ([`health_address`](EmulatorOptions::health_address)) and, with the feature `websocket`, on the port for AMQP |
//! | management | `READ`, and more over HTTPS | `READ` of hubs and partitions; hubs by the methods of [`Emulator`] |
//! | Kafka, capture, schema registry | yes | no |

mod audience;
mod claims;
mod config;
mod connection;
mod error;
mod event;
pub mod faults;
mod health;
mod hub;
mod link;
mod log;
mod login;
mod namespace;
mod nodes;
mod offset_text;
mod partition;
mod partition_hash;
mod producer_seat;
mod publish;
mod readers;
mod replies;
mod sas;
mod selector;
mod server;
mod store;
mod subscribe;
mod throughput;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

#[cfg(feature = "json")]
pub use self::config::ConfigError;
pub use self::config::{
    EmulatorOptions, HubOptions, MAX_PARTITIONS, Persistence, ROOT_KEY_NAME, Retention, Throughput,
};
use self::connection::STOPPED;
pub use self::error::EmulatorError;
pub use self::faults::{Fault, FaultRates, FaultRecord, Faults};
use self::namespace::Namespace;
use self::server::{Server, Sockets};
pub use crate::Clock;
use crate::codec::Message;
use crate::memory::{self, MemoryStream};
use crate::{Listener, ListenerOptions};

/// Octets that each direction of an in-process connection holds.
const MEMORY_PIPE: usize = 256 * 1024;

/// A running Event Hubs namespace. Dropping it stops it; [`shutdown`](Emulator::shutdown) also waits for the end.
pub struct Emulator {
    namespace: Arc<Namespace>,
    address: Option<SocketAddr>,
    health_address: Option<SocketAddr>,
    #[cfg_attr(
        not(feature = "emulator-tls"),
        expect(dead_code, reason = "nothing makes one")
    )]
    authority: Option<String>,
    /// Streams of [`connect`](Emulator::connect). The server stops when this end is gone.
    streams: mpsc::UnboundedSender<MemoryStream>,
    /// Each new value closes the connections of the moment, with the value as the reason.
    closing: watch::Sender<&'static str>,
    server: JoinHandle<()>,
    /// Writes to the folder, if there is one.
    journal: Option<JoinHandle<()>>,
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
        let mut options = options;
        options.check().map_err(EmulatorError::Options)?;
        let authority = options.generate_certificate()?;
        let sockets = bind(&options).await?;
        let emulator = Emulator::run(options, sockets).await?;
        Ok(Emulator {
            authority,
            ..emulator
        })
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
    /// let emulator = Emulator::in_process(EmulatorOptions::default().hub("orders", 4)).await?;
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
        Emulator::run(options, Sockets::default()).await
    }

    async fn run(options: EmulatorOptions, sockets: Sockets) -> Result<Emulator, EmulatorError> {
        let amqp = sockets
            .amqp
            .as_ref()
            .and_then(|amqp| amqp.local_addr().ok());
        let health = sockets.health.as_ref();
        let health = health.and_then(|health| health.local_addr().ok());
        let (namespace, journal) = Namespace::open(options).await?;
        let namespace = Arc::new(namespace);
        let (streams, incoming_streams) = mpsc::unbounded_channel();
        let closing = watch::Sender::new(STOPPED);
        let server = Server::new(Arc::clone(&namespace), closing.clone());
        let server = tokio::spawn(server.run(sockets, incoming_streams));
        Ok(Emulator {
            namespace,
            address: amqp,
            health_address: health,
            authority: None,
            streams,
            closing,
            server,
            journal,
        })
    }

    /// Where the emulator listens; `None` if it was started [in process](Emulator::in_process).
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Where the emulator answers `GET /health`, if its options say that it does.
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.health_address
    }

    /// The certificate that a client has to trust, in PEM, if the emulator made one for itself: see
    /// [`tls_generated`](EmulatorOptions::tls_generated).
    #[cfg(feature = "emulator-tls")]
    pub fn ca_pem(&self) -> Option<&str> {
        self.authority.as_deref()
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
    /// ended, at the latest after [`shutdown_timeout`](EmulatorOptions::shutdown_timeout).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the emulator stops in the background.
    pub async fn shutdown(self) {
        let Emulator {
            namespace,
            streams,
            server,
            journal,
            ..
        } = self;
        drop(streams);
        // A server that panicked has stopped as well.
        let _ = server.await;
        drop(namespace);
        if let Some(journal) = journal {
            // The folder is free for the next emulator now. A task that panicked has let it go as well.
            let _ = journal.await;
        }
    }

    /// Makes a hub, which clients may use at once. With [`Persistence`] it is there again after the next start.
    ///
    /// # Errors
    ///
    /// If there is one of that name, its options make no sense, or it cannot be written.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the hub may be made or not.
    pub async fn create_hub(&self, hub: HubOptions) -> Result<(), EmulatorError> {
        self.namespace.create_hub(hub).await
    }

    /// Deletes a hub with all its events. Its links end with `amqp:not-found`, in the words by which official clients know
    /// that there is no use in trying again.
    ///
    /// # Errors
    ///
    /// If there is none of that name, in whatever case, or its files cannot be deleted.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the hub may be deleted or not.
    pub async fn delete_hub(&self, name: &str) -> Result<(), EmulatorError> {
        self.namespace.delete_hub(name).await
    }

    /// The hubs there are, by name.
    pub fn hubs(&self) -> Vec<HubOptions> {
        let hubs = self.namespace.hubs();
        hubs.iter().map(|hub| hub.options()).collect()
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

async fn bind(options: &EmulatorOptions) -> Result<Sockets, EmulatorError> {
    let failed = |address| move |error| EmulatorError::Listen { address, error };
    let address = options.address;
    // How it listens is said for each connection.
    let amqp = Listener::bind(address, ListenerOptions::default()).await;
    let health = match options.health_address {
        Some(address) => Some(TcpListener::bind(address).await.map_err(failed(address))?),
        None => None,
    };
    Ok(Sockets {
        amqp: Some(amqp.map_err(failed(address))?),
        health,
    })
}
