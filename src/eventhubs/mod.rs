//! Azure Event Hubs: producer, consumer and properties on top of the AMQP handles.

pub mod auth;
mod connection_string;
mod partition_key;
pub mod wire;

pub use connection_string::{ConnectionString, ConnectionStringError, Part, SharedAccess};
pub use partition_key::partition_for_key;
