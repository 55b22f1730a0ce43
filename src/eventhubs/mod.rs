//! Azure Event Hubs: publishing events to a hub, and reading them from its partitions.
//!
//! [`Client`] is the way in: from a connection string to [`Producer`], [`PartitionConsumer`] and the properties of the
//! hub. It stands on this crate's AMQP handles; [`wire`] names what goes over the wire.
//!
//! ```text
//! Client ── Producer ─────────── EventBatch ── Event          publish
//!    │  ├── BufferedProducer      one event at a time, sent in batches from the background
//!    │  ├── IdempotentProducer    each event stored once, however often it is sent
//!    │  ├── PartitionConsumer ── Position  ── ReceivedEvent   read
//!    │  └── Processor             partitions divided among processes: PartitionHandler, or PartitionClient
//!    │       └── CheckpointStore  memory, files, Azure Blob Storage, or your own
//!    │
//!  namespace: connections, their tokens, their links; made anew here when they fail, as `retry` says
//!    │
//!  cbs, management ── request ── sender and receiver links
//! ```
//!
//! What the client promises:
//! - An event whose send returns `Ok` is stored, unless it was to be sent [settled](ProducerOptions::settled). One whose send
//!   fails is not stored, unless the error's kind is [`OutcomeUnknown`](ErrorKind::OutcomeUnknown); that is never retried unless
//!   asked for.
//! - A consumer hands out each stored event once and in order, across lost links and connections.
//! - What the service closes for idleness comes back when it is needed. A link that lives and brings nothing, though there is
//!   something to bring, is noticed by a [watchdog](ConsumerOptions::watchdog) and made anew.
//! - What the client does on its own is told to a [`ClientObserver`]; that a token cannot be renewed is told well before its end.
//! - Every step has a deadline, and every failure an error that says what was tried and what the service answered.
//! - No key, token or payload is ever logged.
//!
//! # What can be seen of it
//! - `tracing`: what the client does on its own, as events (the same as [`ClientEvent`]); and spans, at level debug, of whatever
//!   takes time: `connect`, `attach`, `attach_link`, `send`, `receive_batch`, `recover`, `renew`.
//! - Counters and gauges, by the feature `metrics`: see [`metrics`].
//! - Traces across programs: events carry a [`TraceContext`] where [`ClientOptions::trace_context`] gives one.

pub mod auth;
mod batch;
pub mod checkpoint;
mod client;
pub mod cloudevents;
mod connection_string;
mod consumer;
#[cfg(feature = "entra")]
mod entra;
mod error;
mod event;
#[cfg(feature = "json")]
mod json;
pub mod metrics;
mod namespace;
mod numbering;
mod observer;
mod options;
mod partition_key;
mod position;
pub mod processor;
mod producer;
mod properties;
mod retry;
mod route;
mod section;
mod trace_context;
pub mod wire;

pub use batch::{BatchFull, BatchOptions, EventBatch};
pub use client::Client;
pub use connection_string::{
    ConnectionString, ConnectionStringError, ConnectionStringPart, SharedAccess,
};
pub use consumer::{ConsumerOptions, PartitionConsumer};
pub use error::{ErrorKind, EventHubsError, Scope};
pub use event::{Event, LastEnqueued, ReceivedEvent};
pub use numbering::PartitionPublishingState;
pub use observer::{ClientEvent, ClientObserver};
pub use options::{ClientOptions, Connector, Transport};
pub use partition_key::partition_for_key;
pub use position::Position;
pub use producer::{
    BufferedProducer, BufferedProducerOptions, EnqueueError, EventReceipt, IdempotentProducer,
    IdempotentProducerOptions, Producer, ProducerOptions,
};
pub use properties::{HubProperties, PartitionProperties};
pub use retry::RetryPolicy;
pub use route::Route;
pub use trace_context::{TraceContext, TraceContextError, TraceContextSource};

pub use crate::Clock;
