//! Why a connection did not come into being, on either side.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{ConnectionError, ProxyError, Redirect, TlsError, WebSocketError, is_transient};
use crate::codec::frame::ProtocolHeader;
use crate::codec::{AmqpError, Symbol};
use crate::sasl::SaslError;
use crate::url::UrlError;

/// Why a connection did not come into being. For a listener: why a client's handshake failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL cannot be understood.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The host's name has no address.
    #[error("cannot resolve {host:?}: {error}")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver said.
        error: Arc<io::Error>,
    },
    /// None of the host's addresses took a TCP connection.
    #[error("cannot connect to {host}:{port}: {}", list(.addresses))]
    Tcp {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// Each address that was tried, and how it failed.
        addresses: Vec<(SocketAddr, Arc<io::Error>)>,
    },
    /// The proxy gave no tunnel to the host.
    #[error("the proxy {proxy} gives no way to {target}: {error}")]
    Proxy {
        /// The proxy's host and port.
        proxy: String,
        /// The host and port that were asked for.
        target: String,
        /// Why.
        error: ProxyError,
    },
    /// TLS could not be set up, or its handshake failed.
    #[error("TLS with {peer}: {error}")]
    Tls {
        /// The host, or "the client".
        peer: String,
        /// What failed.
        error: TlsError,
    },
    /// WebSocket could not be set up, or its handshake failed.
    #[error("WebSocket with {peer}: {error}")]
    WebSocket {
        /// The host, or "the client".
        peer: String,
        /// What failed.
        error: WebSocketError,
    },
    /// The peer wants another protocol than we do (V-011).
    #[error("we speak {} here, the peer sent {theirs}{}", name(.ours), advice(.ours, .theirs))]
    ProtocolMismatch {
        /// What we sent, or would have accepted.
        ours: ProtocolHeader,
        /// What the peer sent.
        theirs: PeerProtocol,
    },
    /// SASL failed: wrong credentials, no common mechanism, a broken exchange.
    #[error(transparent)]
    Sasl(#[from] SaslError),
    /// The peer lacks an extension that the options require [2.7.1].
    #[error("the peer does not offer {0}")]
    MissingCapability(Symbol),
    /// The deadline passed.
    #[error("no connection within {} ms: timed out while {stage}", limit.as_millis())]
    Timeout {
        /// What was going on.
        stage: Stage,
        /// How long the whole may take.
        limit: Duration,
    },
    /// The stream broke.
    #[error("the stream broke while {stage}: {error}")]
    Io {
        /// What was going on.
        stage: Stage,
        /// How it broke.
        error: Arc<io::Error>,
    },
    /// The peer closed the stream without a word.
    #[error("the peer closed the stream while {stage}")]
    Eof {
        /// What was going on.
        stage: Stage,
    },
    /// The peer closed the connection with an error in place of, or right after, its open.
    #[error("the peer refused the connection: {0}")]
    Refused(AmqpError),
    /// The connection ended while opens were exchanged.
    #[error("the connection ended before it was open: {0}")]
    Open(ConnectionError),
}

/// Why a listener's accept did not bring a connection. Calling it again goes on.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The socket did not yield a connection.
    #[error("cannot take a connection: {0}")]
    Socket(Arc<io::Error>),
    /// One peer's handshake failed.
    #[error("handshake with {peer} failed: {error}")]
    Handshake {
        /// The peer's address.
        peer: SocketAddr,
        /// Why.
        error: Box<ConnectError>,
    },
}

impl ConnectError {
    /// The error that the peer gave, if it was the peer that refused.
    pub fn remote_error(&self) -> Option<&AmqpError> {
        match self {
            ConnectError::Refused(error) => Some(error),
            ConnectError::Open(error) => error.remote_error(),
            _ => None,
        }
    }

    /// Where the peer sends us instead, if it does (C-041).
    /// [`ConnectionOptions::follow_redirects`](crate::ConnectionOptions::follow_redirects) goes there.
    pub fn redirect(&self) -> Option<Redirect> {
        Redirect::of(self.remote_error()?)
    }

    /// Whether the same attempt, unchanged, may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            ConnectError::Resolve { .. }
            | ConnectError::Tcp { .. }
            | ConnectError::Timeout { .. }
            | ConnectError::Io { .. }
            | ConnectError::Eof { .. } => true,
            ConnectError::Url(_)
            | ConnectError::ProtocolMismatch { .. }
            | ConnectError::MissingCapability(_) => false,
            ConnectError::Proxy { error, .. } => error.is_retryable(),
            ConnectError::Tls { error, .. } => error.is_retryable(),
            ConnectError::WebSocket { error, .. } => error.is_retryable(),
            ConnectError::Sasl(error) => error.is_retryable(),
            ConnectError::Open(error) => error.is_retryable(),
            ConnectError::Refused(error) => is_transient(Some(error)),
        }
    }
}

impl AcceptError {
    /// The error that the peer gave, if it was the peer that gave up.
    pub fn remote_error(&self) -> Option<&AmqpError> {
        match self {
            AcceptError::Socket(_) => None,
            AcceptError::Handshake { error, .. } => error.remote_error(),
        }
    }

    /// Whether accepting again can bring a connection: always, since this concerns one peer or one attempt.
    pub fn is_retryable(&self) -> bool {
        true
    }
}

/// What was going on when connecting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Looking up the host's name.
    Resolve,
    /// Making the TCP connection.
    Tcp,
    /// Asking the proxy for a tunnel to the host.
    Proxy,
    /// Shaking hands in TLS.
    Tls,
    /// Shaking hands in WebSocket.
    WebSocket,
    /// Exchanging protocol headers [2.2].
    ProtocolHeader,
    /// Exchanging SASL frames [5.3].
    Sasl,
    /// Exchanging opens [2.7.1].
    Open,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Resolve => "resolving the host's name",
            Stage::Tcp => "connecting by TCP",
            Stage::Proxy => "asking the proxy for a tunnel",
            Stage::Tls => "shaking hands in TLS",
            Stage::WebSocket => "shaking hands in WebSocket",
            Stage::ProtocolHeader => "exchanging protocol headers",
            Stage::Sasl => "authenticating by SASL",
            Stage::Open => "exchanging opens",
        })
    }
}

/// What a peer sent in place of the protocol header that we wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerProtocol {
    /// A well-formed header of another protocol or version.
    Amqp(ProtocolHeader),
    /// TLS, where we speak in the clear.
    Tls,
    /// A request of HTTP, which may ask for a WebSocket.
    Http,
    /// Something else; the first octets, at most eight.
    Unknown(Vec<u8>),
}

impl PeerProtocol {
    /// Judges the first octets that came, at most eight of them.
    pub(crate) fn of(octets: &[u8]) -> PeerProtocol {
        const TLS_ALERT: u8 = 0x15;
        const TLS_HANDSHAKE: u8 = 0x16;
        let header = octets.first_chunk().and_then(ProtocolHeader::parse);
        match (header, octets) {
            (Some(header), _) => PeerProtocol::Amqp(header),
            (None, [TLS_ALERT | TLS_HANDSHAKE, ..]) => PeerProtocol::Tls,
            (None, [b'G', b'E', b'T', b' ', ..]) => PeerProtocol::Http,
            (None, _) => PeerProtocol::Unknown(octets.iter().copied().take(8).collect()),
        }
    }
}

impl fmt::Display for PeerProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerProtocol::Amqp(header) => f.write_str(&name(header)),
            PeerProtocol::Tls => f.write_str("TLS"),
            PeerProtocol::Http => f.write_str("HTTP"),
            PeerProtocol::Unknown(octets) => write!(f, "\"{}\"", octets.escape_ascii()),
        }
    }
}

fn name(header: &ProtocolHeader) -> String {
    let ProtocolHeader {
        id,
        major,
        minor,
        revision,
    } = header;
    match header.id {
        0 => format!("AMQP {major}.{minor}.{revision}"),
        2 => format!("TLS {major}.{minor}.{revision}"),
        3 => format!("SASL {major}.{minor}.{revision}"),
        _ => format!("protocol {id} {major}.{minor}.{revision}"),
    }
}

fn advice(ours: &ProtocolHeader, theirs: &PeerProtocol) -> &'static str {
    match theirs {
        PeerProtocol::Tls => {
            ": one side uses TLS, the other does not; see `amqps` URLs and `ListenerOptions::tls`"
        }
        PeerProtocol::Http => ": see `ListenerOptions::websocket`",
        PeerProtocol::Unknown(_) => ": it does not speak AMQP 1.0",
        PeerProtocol::Amqp(header) if header.id == ours.id => ": it speaks another version",
        PeerProtocol::Amqp(header) => match header.id {
            id if id == ProtocolHeader::SASL.id => ": SASL is required, or one layer too much",
            id if id == ProtocolHeader::TLS.id => {
                ": TLS is required; see `amqps` URLs and `tls_upgrade`"
            }
            _ => ": it has no SASL here, or needs none any more",
        },
    }
}

fn list(addresses: &[(SocketAddr, Arc<io::Error>)]) -> String {
    let each: Vec<_> = addresses
        .iter()
        .map(|(address, error)| format!("{address}: {error}"))
        .collect();
    each.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::condition;

    #[test]
    fn first_octets_are_recognised() {
        assert_eq!(
            PeerProtocol::of(b"AMQP\x03\x01\0\0"),
            PeerProtocol::Amqp(ProtocolHeader::SASL)
        );
        assert_eq!(PeerProtocol::of(b"\x15\x03\x01\0\x02"), PeerProtocol::Tls);
        assert_eq!(
            PeerProtocol::of(b"\x16\x03\x01\0\x02\0\0\0"),
            PeerProtocol::Tls
        );
        assert_eq!(
            PeerProtocol::of(b"HTTP/1.1 400"),
            PeerProtocol::Unknown(b"HTTP/1.1".to_vec())
        );
        assert_eq!(PeerProtocol::of(b"GET / HT"), PeerProtocol::Http);
        assert_eq!(
            PeerProtocol::of(b"AM"),
            PeerProtocol::Unknown(b"AM".to_vec())
        );
    }

    #[test]
    fn v_011_a_mismatch_names_both_sides() {
        let error = ConnectError::ProtocolMismatch {
            ours: ProtocolHeader::SASL,
            theirs: PeerProtocol::of(b"HTTP/1.1"),
        };
        let shown = error.to_string();
        assert!(
            shown.contains("HTTP/1.1") && shown.contains("SASL"),
            "{shown}"
        );
        assert!(!error.is_retryable());
    }

    #[test]
    fn refusals_are_retryable_by_condition() {
        let refused = |condition| ConnectError::Refused(AmqpError::new(condition, "text"));
        assert!(refused(condition::CONNECTION_FORCED).is_retryable());
        assert!(!refused(condition::UNAUTHORIZED_ACCESS).is_retryable());
        let error = refused(condition::NOT_FOUND);
        assert_eq!(
            error.remote_error().unwrap().condition,
            condition::NOT_FOUND
        );
    }
}
