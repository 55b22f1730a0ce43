use std::time::Duration;

use super::{ConnectionError, Violation, describe, is_transient};
use crate::codec::AmqpError;

/// Why a session ended or could not begin. The connection lives on, unless the error is [`SessionError::Connection`].
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The connection ended.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The peer ended the session.
    #[error("the peer ended the session: {}", describe(.0.as_ref()))]
    RemoteEnded(Option<AmqpError>),
    /// This side ended it, or dropped its last handle.
    #[error("the session was ended by this side")]
    LocalEnded,
    /// The peer broke the standard, and the session was ended for it.
    #[error("the peer broke the protocol, so the session was ended: {0}")]
    Violation(Violation),
    /// No channel is free: the peer's channel-max or our own limit is reached.
    #[error("no channel is free: {limit} sessions are open, which is the limit of this connection")]
    TooManySessions {
        /// Sessions that the connection allows at once.
        limit: u32,
    },
    /// The peer did not answer in time.
    #[error("the peer did not answer {operation} within {} ms", after.as_millis())]
    Timeout {
        /// What was waited for.
        operation: &'static str,
        /// How long.
        after: Duration,
    },
    /// Our own begin does not fit the peer's max-frame-size.
    #[error("the begin frame has {size} octets, above the peer's max-frame-size of {limit}")]
    FrameTooLarge {
        /// Octets of the frame.
        size: usize,
        /// The peer's limit.
        limit: usize,
    },
}

impl SessionError {
    /// The error that the peer gave, if it did.
    pub fn remote_error(&self) -> Option<&AmqpError> {
        match self {
            Self::Connection(error) => error.remote_error(),
            Self::RemoteEnded(error) => error.as_ref(),
            _ => None,
        }
    }

    /// Whether a new session (or connection, if that ended) may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connection(error) => error.is_retryable(),
            Self::RemoteEnded(error) => is_transient(error.as_ref()),
            Self::Timeout { .. } => true,
            Self::LocalEnded
            | Self::Violation(_)
            | Self::TooManySessions { .. }
            | Self::FrameTooLarge { .. } => false,
        }
    }
}
