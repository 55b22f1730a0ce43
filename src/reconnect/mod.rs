//! Connections that come back: opened anew when they are lost, with their links attached again and what was not settled sent
//! again.
//!
//! ```no_run
//! use amqp10::reconnect::{ReconnectOptions, ReconnectingConnection};
//! use amqp10::{ConnectionOptions, SenderOptions};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let options = ReconnectOptions::default();
//! let connection =
//!     ReconnectingConnection::open("amqp://broker", ConnectionOptions::default(), options).await?;
//! let sender = connection.sender("orders", SenderOptions::default());
//! sender.send("kept until a broker has it").await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! Each message is delivered **at least once**: one whose outcome was lost with the connection is sent again, though the peer may
//! have had it. Where the peer still knows the link (a terminus that outlives the connection: `expiry_policy` and `timeout` of
//! [`Source`](crate::Source) and [`Target`](crate::Target), on a peer that supports it), the link is resumed [2.6.13] instead: both
//! ends compare what is not settled, and nothing is delivered twice. The order of messages holds among those that are sent one
//! after the other's outcome.
//!
//! Deliveries that were handed out and not settled when the connection was lost cannot be settled any more: the peer delivers
//! them again.

mod connection;
mod error;
mod options;
mod outbox;
mod receiver;
mod receiving;
mod sender;
mod sending;
mod slot;
mod unsettled;

pub use connection::ReconnectingConnection;
pub use error::ReconnectError;
pub use options::ReconnectOptions;
pub use receiver::{ReconnectingDeliveryStream, ReconnectingReceiver};
pub use sender::{ReconnectingReceipt, ReconnectingSender};

/// A link's name that nobody else uses. The same on each attachment: that is what makes it the same link (L-001).
fn new_name() -> String {
    uuid::Uuid::new_v4().to_string()
}
