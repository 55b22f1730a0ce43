//! Bytes in and out: the only module with sockets and tasks.

pub(crate) mod clock;
pub(crate) mod deadline;
pub(crate) mod driver;
pub(crate) mod handshake;
pub mod memory;
pub(crate) mod shared;
pub(crate) mod stream;
pub(crate) mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls/absent.rs"]
pub mod tls;
