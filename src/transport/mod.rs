//! Bytes in and out: sockets, TLS and handshakes, and the task that drives a connection. The handles above know of the runtime
//! only that they can wait, and the listener that it takes sockets.

pub(crate) mod clock;
pub(crate) mod deadline;
pub(crate) mod driver;
pub(crate) mod handshake;
mod http;
mod logging;
pub mod memory;
pub(crate) mod proxy;
pub(crate) mod shared;
pub(crate) mod stream;
pub(crate) mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls/absent.rs"]
pub mod tls;
#[cfg(feature = "websocket")]
mod websocket;
#[cfg(not(feature = "websocket"))]
#[path = "websocket/absent.rs"]
mod websocket;
