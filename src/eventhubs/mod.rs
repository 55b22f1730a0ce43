//! Azure Event Hubs: publishing events to a hub, and reading them from its partitions.
//!
//! [`Client`] is the way in: from a connection string to [`Producer`], [`PartitionConsumer`] and the properties of the
//! hub. It stands on this crate's AMQP handles; [`wire`] names what goes over the wire.
//!
//! ```text
//! Client ── Producer ─────────── EventBatch ── Event          publish
//!    │  └── PartitionConsumer ── Position  ── ReceivedEvent   read
//!    │
//!  namespace: one connection, its tokens, its links; made anew here when they fail, as `retry` says
//!    │
//!  cbs, management ── request ── sender and receiver links
//! ```
//!
//! What the client promises:
//! - An event whose send returns `Ok` is stored, unless it was to be sent [settled](ProducerOptions::settled). One whose send fails is not stored, unless the error's kind is
//!   [`OutcomeUnknown`](ErrorKind::OutcomeUnknown); that is never retried unless asked for.
//! - A consumer hands out each stored event once and in order, across lost links and connections.
//! - Every step has a deadline, and every failure an error that says what was tried and what the service answered.
//! - No key, token or payload is ever logged.

pub mod auth;
mod batch;
pub mod checkpoint;
mod client;
mod connection_string;
mod consumer;
#[cfg(feature = "entra")]
mod entra;
mod error;
mod event;
mod grants;
mod namespace;
mod options;
mod partition_key;
mod position;
pub mod processor;
mod producer;
mod properties;
mod retry;
pub mod wire;

pub use batch::{BatchFull, BatchOptions, EventBatch, Route};
pub use client::Client;
pub use connection_string::{
    ConnectionString, ConnectionStringError, ConnectionStringPart, SharedAccess,
};
pub use consumer::{ConsumerOptions, PartitionConsumer};
pub use error::{ErrorKind, EventHubsError, Scope};
pub use event::{Event, LastEnqueued, ReceivedEvent};
pub use options::{ClientOptions, Connector};
pub use partition_key::partition_for_key;
pub use position::Position;
pub use producer::{Producer, ProducerOptions};
pub use properties::{HubProperties, PartitionProperties};
pub use retry::RetryPolicy;

pub use crate::Clock;
