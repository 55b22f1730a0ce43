//! AMQP 1.0 in pure Rust.

pub use amqp10_codec as codec;

#[cfg(feature = "eventhubs")]
pub mod eventhubs;
