//! What can go wrong: the scope that died is the type.

mod connect;
mod tls;

pub use connect::{ConnectError, PeerProtocol, Stage};
pub use tls::TlsError;
