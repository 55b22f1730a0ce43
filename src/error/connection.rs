use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Redirect, Violation, describe, is_transient};
use crate::codec::AmqpError;

/// Why a connection ended. Every session, link and pending delivery on it ended with it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The peer closed the connection.
    #[error("the peer closed the connection: {}", describe(.0.as_ref()))]
    RemoteClosed(Option<AmqpError>),
    /// This side closed it, or dropped its last handle.
    #[error("the connection was closed by this side")]
    LocalClosed,
    /// The peer broke the standard, and the connection was closed for it.
    #[error("the peer broke the protocol, so the connection was closed: {0}")]
    Violation(Violation),
    /// Nothing arrived from the peer for longer than our idle-time-out allows [2.4.5].
    #[error("nothing arrived from the peer for {} ms, so the connection was closed", .0.as_millis())]
    IdleTimeout(Duration),
    /// The stream ended or failed without a close.
    #[error("the connection was lost: {0}")]
    Lost(Arc<io::Error>),
    /// The peer did not answer within the time that the options allow.
    #[error("the peer did not answer {operation} within {} ms", after.as_millis())]
    Timeout {
        /// What was waited for.
        operation: &'static str,
        /// How long.
        after: Duration,
    },
    /// The task that drives the connection is gone: its runtime was shut down, or it panicked.
    #[error(
        "the task that drives the connection is gone: its runtime was shut down, or it panicked"
    )]
    DriverGone,
    /// Our own open cannot be sent: it does not fit the 512 octets allowed before the peer's limit is known [2.4.1].
    #[error(
        "the open frame has {size} octets, above the limit of {limit}: shorten container-id, hostname or properties"
    )]
    OpenTooLarge {
        /// Octets of the frame.
        size: usize,
        /// The limit in force.
        limit: usize,
    },
}

impl ConnectionError {
    /// The error that the peer gave, if it did.
    pub fn remote_error(&self) -> Option<&AmqpError> {
        match self {
            Self::RemoteClosed(error) => error.as_ref(),
            _ => None,
        }
    }

    /// Where the peer sends us instead, if it does (C-041).
    pub fn redirect(&self) -> Option<Redirect> {
        Redirect::of(self.remote_error()?)
    }

    /// Whether a new connection may succeed where this one ended.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::RemoteClosed(error) => is_transient(error.as_ref()),
            Self::IdleTimeout(_) | Self::Lost(_) | Self::Timeout { .. } => true,
            Self::LocalClosed
            | Self::Violation(_)
            | Self::DriverGone
            | Self::OpenTooLarge { .. } => false,
        }
    }

    pub(crate) fn eof() -> Self {
        Self::Lost(Arc::new(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the peer ended the stream without a close frame",
        )))
    }
}
