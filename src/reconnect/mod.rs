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
//! The links are used as the plain ones: [`ReconnectingSender`] as [`Sender`](crate::Sender), [`ReconnectingReceiver`] as
//! [`Receiver`](crate::Receiver). A link that is lost is attached again by whatever operation comes next, in a task of its own,
//! after a pause; with each attempt that fails the pauses grow, and operations fail once there were enough, as
//! [`ReconnectOptions`] say. Links on which nothing is done stay as they are.
//!
//! # What is promised
//!
//! | | a message is | where |
//! |---|---|---|
//! | [`send`](ReconnectingSender::send) | sent **at least once** | everywhere. One whose outcome was lost with the connection is sent again, though the peer may have had it |
//! | | sent **exactly once** | where the peer still knows the link: a target that outlives the connection ([`Target::expiry_policy`](crate::Target::expiry_policy) and `timeout`), on a peer that keeps it. The link is resumed [2.6.13]: both ends compare what is not settled |
//! | [`send`](ReconnectingSender::send) without [`retry_unknown`](ReconnectOptions::retry_unknown) | sent **at most once** | everywhere. [`SendError::Unknown`](crate::SendError::Unknown) tells of a lost outcome |
//! | [`send_settled`](ReconnectingSender::send_settled) | sent **at most once** | everywhere, and nothing tells that it was lost |
//! | [`recv`](ReconnectingReceiver::recv) | received **at least once** | everywhere. What was handed out and not settled when the connection was lost cannot be settled any more: the peer delivers it again |
//! | | received **exactly once** | in receiver settle mode second, from a source that outlives the connection, on a peer that keeps it: an outcome that the sender has not confirmed is stated again, and its message is not handed out again |
//!
//! The order of messages holds among those that are sent one after the other's receipt or outcome; what is sent again goes before
//! what is new.
//!
//! # The end of a link
//!
//! `close` ends the link and its terminus, `detach` leaves a terminus that outlives the link where it is: a durable subscription
//! goes on collecting, and a later link of the same name finds it. The last handle that is dropped does what the terminus was
//! asked for: one that is durable, or does not expire with its session, is detached, others are closed.

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

use std::pin::Pin;

pub use connection::ReconnectingConnection;
pub use error::ReconnectError;
pub use options::ReconnectOptions;
pub use receiver::{ReconnectingDeliveryStream, ReconnectingReceiver};
pub use sender::{ReconnectingReceipt, ReconnectingSender};

/// What a receipt or a stream goes on with each time it is polled.
type Waiting<T> = Pin<Box<dyn Future<Output = Result<T, ReconnectError>> + Send>>;

/// A link's name that nobody else uses. The same on each attachment: that is what makes it the same link (L-001).
fn new_name() -> String {
    uuid::Uuid::new_v4().to_string()
}
