//! What can be chosen: structs with public fields, a `Default` for each, and setters that chain.

mod accept;
mod connection;
mod listener;
mod proxy;
mod receiver;
mod sender;
mod session;
pub mod websocket;

pub use accept::AcceptLinkOptions;
pub use connection::ConnectionOptions;
pub use listener::{ListenerOptions, SaslServerOptions};
pub use proxy::Proxy;
pub use receiver::{OnDrop, ReceiverOptions};
pub use sender::SenderOptions;
pub use session::SessionOptions;

use crate::codec::{Fields, Str};

/// The name of a link, made up where none is given.
fn link_name(given: Option<&str>) -> Str {
    match given {
        Some(name) => Str::from(name),
        None => Str::from(uuid::Uuid::new_v4().to_string()),
    }
}

/// Gives a terminus the address of the attach, if there is one and the terminus has none. One that the peer is to make a node
/// for has none at all, and only such a one has properties of a node.
fn fill_in(own: &mut Option<Str>, address: Str, is_dynamic: bool, properties: &mut Fields) {
    if is_dynamic {
        *own = None;
        return;
    }
    *properties = Fields::default();
    if !address.is_empty() {
        own.get_or_insert(address);
    }
}
