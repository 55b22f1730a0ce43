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

use crate::codec::{Attach, Fields, ReceiverSettleMode, SenderSettleMode, Str};
use crate::error::LinkError;

/// The name of a link, made up where none is given.
fn link_name(given: Option<&str>) -> Str {
    match given {
        Some(name) => Str::from(name),
        None => Str::from(uuid::Uuid::new_v4().to_string()),
    }
}

/// Whether the peer's answer has the settle modes that were asked for (L-022).
fn check_settle_modes(
    asked: (SenderSettleMode, ReceiverSettleMode),
    answer: &Attach,
) -> Result<(), LinkError> {
    match (answer.snd_settle_mode, answer.rcv_settle_mode) == asked {
        true => Ok(()),
        false => Err(LinkError::SettleModeRefused),
    }
}

/// Whether the peer says where the node is that it was to make.
fn check_made(is_dynamic: bool, address: Option<&Str>) -> Result<(), LinkError> {
    match is_dynamic && address.is_none() {
        true => Err(LinkError::NoDynamicNode),
        false => Ok(()),
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
