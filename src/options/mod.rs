//! What can be chosen: structs with public fields, a `Default` for each, and setters that chain.

mod connection;
mod listener;

pub use connection::ConnectionOptions;
pub use listener::{ListenerOptions, SaslServerOptions};
