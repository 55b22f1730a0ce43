//! From a raw stream to one that carries AMQP frames, in a straight line with one deadline [2.2, 5.1].
//!
//! ```text
//! TCP --> TLS, from the first byte or by its header --> WebSocket --> SASL header, SASL --> AMQP header --> frames
//! ```

mod client;
mod server;
#[cfg(test)]
mod tests;
mod under_way;
mod wire;

use std::fmt;

use bytes::BytesMut;

pub(crate) use client::{client, connect, raise};
pub(crate) use server::server;
pub(crate) use under_way::HandshakesUnderWay;

use super::deadline::Deadline;
use super::stream::Stream;
use crate::sasl::Identity;

/// A stream on which both AMQP headers were exchanged: the next octets each way are frames.
pub(crate) struct Handshaken {
    pub(crate) stream: Box<dyn Stream>,
    /// Octets of the first frames, read together with the header (V-012).
    pub(crate) read_ahead: BytesMut,
    /// Listener: who the client is. Client: which mechanism it used.
    pub(crate) identity: Identity,
    /// Whether the stream is TLS of ours.
    pub(crate) is_secure: bool,
    /// When the exchange of opens must be done too.
    pub(crate) deadline: Deadline,
}

impl fmt::Debug for Handshaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshaken")
            .field("identity", &self.identity)
            .field("is_secure", &self.is_secure)
            .finish_non_exhaustive()
    }
}
