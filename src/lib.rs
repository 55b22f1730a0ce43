//! AMQP 1.0 in pure Rust: client and listener, an Azure Event Hubs client, and an Event Hubs emulator for tests.
//!
//! ```text
//! your program            your tests
//!      │                      │
//! eventhubs                emulator       producers, consumers, processors │ hubs, partitions, faults
//! reconnect, transaction   broker         links that come back, both ends of transactions │ queues and topics
//! cbs, management, rabbitmq   │           requests and their answers
//!      └──────────┬───────────┘
//! Connection  Session  Sender  Receiver  Delivery  Listener     lock, one call of the engine, unlock
//!                 │
//!             transport ── sasl           TCP, TLS, WebSocket, pipe; one task per connection moves octets
//!                 │
//!              engine                     the protocol as plain data: no socket, clock, task or lock
//!                 │
//!              codec                      types <-> octets
//! ```
//!
//! # To a message and back
//!
//! ```no_run
//! use amqp10::{Connection, ConnectionOptions, ReceiverOptions, SenderOptions, SessionOptions};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let connection = Connection::open("amqp://localhost", ConnectionOptions::default()).await?;
//! let session = connection.begin(SessionOptions::default()).await?;
//!
//! let sender = session.attach_sender("orders", SenderOptions::default()).await?;
//! let outcome = sender.send("hello").await?;
//!
//! let receiver = session.attach_receiver("orders", ReceiverOptions::default()).await?;
//! let delivery = receiver.recv().await?;
//! println!("{outcome:?}: {:?}", delivery.message()?.body);
//! delivery.accept()?;
//! # Ok(())
//! # }
//! ```
//!
//! For Event Hubs, begin with [`eventhubs::Client`]; to be a server, with [`Listener`]; for connections that come back, with
//! [`reconnect`]; for transactions, with [`transaction`]; for selectors and other filters, with [`filter`]; for RabbitMQ's
//! queues, with [`rabbitmq`]; for logging in, with [`sasl`]; for a broker in a test, with the module `broker` (a feature).
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `tls` | yes | `amqps://`, by rustls with the cryptography of graviola: no C |
//! | `websocket` | no | `ws://`, `wss://`, and WebSockets on a listener's port |
//! | `eventhubs` | yes | [`eventhubs`] |
//! | `json` | no | event bodies and CloudEvents in JSON, by serde |
//! | `blob` | no | [`eventhubs::checkpoint`] on Azure Blob Storage |
//! | `entra` | no | tokens of Microsoft Entra ID, from any credential of `azure_core` |
//! | `metrics` | no | counters and gauges of [`eventhubs`], by the facade `metrics` |
//! | `emulator` | no | `emulator`: an Event Hubs namespace within the process |
//! | `emulator-tls` | no | the emulator makes its own certificate |
//! | `scram` | no | SASL SCRAM-SHA-1, -256 and -512, for clients and listeners |
//! | `broker` | no | `broker`: queues and topics in memory, for any AMQP 1.0 client |
//! | `conform` | no | `conform`: whether any listener or client keeps to AMQP 1.0 |
//! | `cli` | no | the program `amqp10` |
//!
//! # Reading these pages
//!
//! - Words are those of the standard: a *connection* carries *sessions*, a session *links*, a link *deliveries* in one direction,
//!   from a *source* to a *target*, its two *termini*. The *peer* is the other side, whoever opened the connection.
//! - `[2.7.1]` is a section of the standard: part 2, chapter 7. `C-041` is one of its rules, as the repository numbers them in
//!   `tests/conformance/requirements.md`.
//! - Sizes are in octets, in fields named `…_bytes` and `…_size`.
//! - What waits says for how long at most, or that it has no limit; under *Cancel safety*, what it means to drop its future.
//!   To drop one is always allowed: [`tokio::time::timeout`] and `select!` do it.
//! - Every error says what died with it, and whether trying again can help: see [`error`].
//! - Options are structs with public fields and a `Default`; a setter for each field chains.
//!
//! # Where a new line goes
//!
//! - What octets mean: the codec. What a frame does to a link, session or connection: the engine, as a reaction without I/O.
//! - What an application calls: the handles, which translate between it and the engine and decide nothing.
//! - What only one service does: above the handles, as `eventhubs` does it.
//!
//! A test fails where a module imports what the drawing does not allow.

pub use amqp10_codec as codec;

mod backoff;
#[cfg(feature = "broker")]
pub mod broker;
pub mod cbs;
#[cfg(feature = "conform")]
pub mod conform;
mod connection;
mod delivery;
#[cfg(feature = "emulator")]
pub mod emulator;
mod engine;
pub mod error;
#[cfg(feature = "eventhubs")]
pub mod eventhubs;
pub mod filter;
#[cfg(fuzzing)]
pub mod fuzzing;
mod link;
mod listener;
mod lock;
pub mod management;
mod message;
mod opening;
mod options;
mod percent;
pub mod rabbitmq;
mod random;
mod receiver;
pub mod reconnect;
pub mod request;
pub mod sasl;
mod sender;
mod session;
mod single_flight;
#[cfg(feature = "eventhubs")]
mod time;
pub mod transaction;
mod transport;
mod url;

/// Its example is a test.
#[cfg(all(doctest, feature = "emulator"))]
#[doc = include_str!("../README.md")]
struct Readme;

pub use codec::{
    AmqpError, Annotations, ApplicationProperties, Attach, Body, DecodeError, DeliveryState,
    DeliveryTag, EncodeError, Fields, FilterSet, Header, Layout, LifetimePolicy, Message,
    MessageId, Modified, Open, Outcome, Properties, ReceiverSettleMode, Rejected, Role, Sections,
    SenderSettleMode, Source, Str, Symbol, Target, TargetArchetype, Timestamp, Value, condition,
};
pub use connection::Connection;
pub use delivery::Delivery;
pub use engine::{Credit, Limits};
#[doc(inline)]
pub use error::{
    AcceptError, ConnectError, ConnectionError, LinkError, RecvError, SendError, SessionError,
};
pub use link::{AcceptedLink, IncomingLink};
pub use listener::{IncomingConnection, Listener};
pub use message::OutgoingMessage;
pub use options::{
    AcceptLinkOptions, ConnectionOptions, ListenerOptions, OnDrop, Proxy, ReceiverOptions,
    SaslServerOptions, SenderOptions, SessionOptions, websocket,
};
pub use receiver::{DeliveryStream, Receiver};
#[doc(inline)]
pub use sasl::Credentials;
pub use sender::{Receipt, SendPermit, Sender};
pub use session::{ANONYMOUS_RELAY, Session};
#[cfg(feature = "eventhubs")]
pub use time::Clock;
pub use transport::memory;
pub use transport::tls::{TlsConfig, TlsServerConfig};
pub use url::{Scheme, Url};
