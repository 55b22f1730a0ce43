//! AMQP in WebSocket messages: a stream of octets over a stream of octets.
//!
//! ```text
//! driver --write--> one binary message --> TLS or TCP --> binary messages --> octets, wherever their borders were
//! ```
//!
//! A message carries any slice of what AMQP would write to TCP, so that borders of messages mean nothing.

mod client;
mod server;
mod stream;

use std::io;
use std::sync::Arc;

use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

pub(crate) use client::connect;
pub(crate) use server::accept;
use stream::WebSocketStream;

use super::tls;
use crate::error::{ConnectError, Stage, WebSocketError};

/// How much is read from the stream below at once.
const READ_SIZE: usize = 32 << 10;
/// The longest message written, in octets: some peers take no longer ones.
const MAX_WRITTEN: usize = 64 << 10;

fn config(max_message_size: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_SIZE)
        .write_buffer_size(0) // each message goes out at once
        .max_write_buffer_size(2 * MAX_WRITTEN) // one message and the answer to a ping
        .max_message_size(Some(max_message_size))
        .max_frame_size(Some(max_message_size))
}

/// What an error of the handshake means for the connection.
fn handshake_error(error: Error, peer: &str) -> ConnectError {
    let stage = Stage::WebSocket;
    let error = match error {
        Error::Io(error) => return broken(error, peer),
        Error::ConnectionClosed | Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            return ConnectError::Eof { stage };
        }
        Error::Http(response) => WebSocketError::Refused {
            status: response.status().as_u16(),
            reason: response
                .status()
                .canonical_reason()
                .unwrap_or_default()
                .to_owned(),
        },
        Error::AttackAttempt => WebSocketError::Protocol {
            reason: "the head of its answer is too long, or comes in crumbs".to_owned(),
        },
        other => WebSocketError::Protocol {
            reason: other.to_string(),
        },
    };
    failed(error, peer)
}

fn broken(error: io::Error, peer: &str) -> ConnectError {
    let peer = peer.to_owned();
    match tls::error_within(&error) {
        Some(error) => ConnectError::Tls { peer, error },
        None => ConnectError::Io {
            stage: Stage::WebSocket,
            error: Arc::new(error),
        },
    }
}

fn failed(error: WebSocketError, peer: &str) -> ConnectError {
    ConnectError::WebSocket {
        peer: peer.to_owned(),
        error,
    }
}
