//! Why an operation failed though it was tried again.

use crate::codec::AmqpError;
use crate::error::{ConnectError, LinkError, SendError};
use crate::single_flight::Interrupted;

/// Why an operation on a reconnecting link failed: what stood in the way at the last attempt, or what no attempt can change.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconnectError {
    /// The connection could not be opened.
    #[error("cannot connect: {0}")]
    Connect(ConnectError),
    /// The link could not be attached, or ended for good.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The message could not be sent, or its outcome was lost and it is not to be sent again.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The message names its delivery or states its state, which is for the link to do: it may be sent more than once. Nothing was
    /// sent.
    #[error("a reconnecting link chooses delivery tags and states itself")]
    TagOrState,
    /// The link or the connection was closed or detached by this side.
    #[error("the link was closed by this side")]
    Closed,
    /// The task that connects and attaches has panicked, in the application's own way to connect for example, or the runtime
    /// ends.
    #[error("the attempt to connect or to attach was interrupted")]
    Interrupted,
}

impl ReconnectError {
    /// The error that the peer gave, if it did.
    pub fn remote_error(&self) -> Option<&AmqpError> {
        match self {
            Self::Connect(error) => error.remote_error(),
            Self::Link(error) => error.remote_error(),
            Self::Send(error) => error.remote_error(),
            Self::TagOrState | Self::Closed | Self::Interrupted => None,
        }
    }

    /// Whether the same operation may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect(error) => error.is_retryable(),
            Self::Link(error) => error.is_retryable(),
            Self::Send(error) => error.is_retryable(),
            Self::Interrupted => true,
            Self::TagOrState | Self::Closed => false,
        }
    }
}

/// By hand: the text says the cause, so that [`source`](std::error::Error::source) must not.
impl From<ConnectError> for ReconnectError {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
    }
}

impl From<Interrupted> for ReconnectError {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}
