//! What can go wrong with WebSocket, without a type of the crate that speaks it.

/// Why a WebSocket could not be opened, or what its peer did wrong on it.
///
/// After the handshake it is found in the [`io::Error`](std::io::Error) that ended the connection, by
/// [`of`](Self::of).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebSocketError {
    /// The crate was built without its feature `websocket`.
    #[error("WebSocket is not built in: enable the feature `websocket` of the crate `amqp10`")]
    NotBuilt,
    /// Options that make no request.
    #[error("the WebSocket options are not usable: {reason}")]
    Configuration {
        /// What is wrong with them.
        reason: String,
    },
    /// The server answered the request, but not by opening a WebSocket.
    #[error("the server answered {status}{}{reason} in place of opening a WebSocket", if reason.is_empty() { "" } else { " " })]
    Refused {
        /// The status of HTTP.
        status: u16,
        /// What the status means.
        reason: String,
    },
    /// No sub-protocol that both sides speak.
    #[error("no common sub-protocol: the client offered [{}], {answer}", .offered.join(", "))]
    SubProtocol {
        /// What the client offered.
        offered: Vec<String>,
        /// What the server made of it.
        answer: String,
    },
    /// The peer sent something other than a WebSocket.
    #[error("the peer breaks the WebSocket protocol: {reason}")]
    Protocol {
        /// What it did.
        reason: String,
    },
    /// A client asked a listener for something other than a WebSocket, or for another path. It was answered by HTTP.
    #[error("the client asked for {target:?} and was answered {status}")]
    Http {
        /// What it asked for.
        target: String,
        /// The status of our answer.
        status: u16,
    },
    /// The peer sent text: AMQP is in binary messages.
    #[error("the peer sent a text message: AMQP is in binary messages")]
    Text,
    /// The peer sent a longer message than we take.
    #[error("the peer sent a WebSocket message of more than {limit} octets")]
    MessageTooLarge {
        /// The most that we take, in octets.
        limit: usize,
    },
}

impl WebSocketError {
    /// The WebSocket error that an I/O error carries.
    pub fn of(error: &std::io::Error) -> Option<&WebSocketError> {
        error.get_ref().and_then(|error| error.downcast_ref())
    }

    /// Whether the same attempt, unchanged, may succeed later: if the server said that it is busy, or broken.
    pub fn is_retryable(&self) -> bool {
        match self {
            WebSocketError::Refused { status, .. } => super::is_transient_status(*status),
            _ => false,
        }
    }
}
