//! What can be chosen: structs with public fields, a `Default` for each, and setters that chain.

mod accept;
mod connection;
mod listener;
mod proxy;
mod receiver;
mod sender;
mod session;
mod websocket;

pub use accept::AcceptLinkOptions;
pub use connection::ConnectionOptions;
pub use listener::{ListenerOptions, SaslServerOptions};
pub use proxy::Proxy;
pub use receiver::{OnDrop, ReceiverOptions};
pub use sender::SenderOptions;
pub use session::SessionOptions;
pub use websocket::{
    AMQP_SUB_PROTOCOL, AMQPWSB10_SUB_PROTOCOL, HttpRequest, HttpResponder, HttpResponse,
    WebSocketOptions, WebSocketServerOptions,
};

use crate::codec::Str;

/// The name of a link, made up where none is given.
fn link_name(given: Option<&str>) -> Str {
    match given {
        Some(name) => Str::from(name),
        None => Str::from(uuid::Uuid::new_v4().to_string()),
    }
}

/// Gives a terminus the address of the attach, if there is one and the terminus has none and gets none from the peer.
fn fill_in(own: &mut Option<Str>, address: Str, is_dynamic: bool) {
    if !is_dynamic && !address.is_empty() {
        own.get_or_insert(address);
    }
}
