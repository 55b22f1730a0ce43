//! What can be chosen: structs with public fields, a `Default` for each, and setters that chain.

mod connection;
mod link;
mod listener;
mod session;

pub use connection::ConnectionOptions;
pub use link::{AcceptLinkOptions, OnDrop, ReceiverOptions, SenderOptions};
pub use listener::{ListenerOptions, SaslServerOptions};
pub use session::SessionOptions;
