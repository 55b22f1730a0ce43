//! Why an operation failed though it was tried again.

use crate::codec::AmqpError;
use crate::error::{ConnectError, LinkError, SendError};

/// Why an operation on a reconnecting link failed: what stood in the way at the last attempt, or what no attempt can change.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconnectError {
    /// The connection could not be opened again.
    #[error("cannot reconnect: {0}")]
    Connect(#[from] ConnectError),
    /// The link could not be attached again, or ended for good.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The message could not be sent, or its outcome was lost and it is not to be sent again.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The link or the connection was closed by this side.
    #[error("the link was closed by this side")]
    Closed,
}

impl ReconnectError {
    /// The error that the peer gave, if it did.
    pub fn remote_error(&self) -> Option<&AmqpError> {
        match self {
            Self::Connect(error) => error.remote_error(),
            Self::Link(error) => error.remote_error(),
            Self::Send(error) => error.remote_error(),
            Self::Closed => None,
        }
    }

    /// Whether the same operation may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect(error) => error.is_retryable(),
            Self::Link(error) => error.is_retryable(),
            Self::Send(error) => error.is_retryable(),
            Self::Closed => false,
        }
    }
}
