//! What can go wrong with a transaction.

use crate::codec::{AmqpError, EncodeError, Outcome, Symbol, condition};
use crate::error::{LinkError, SendError, is_transient};

/// Why a transaction could not be declared, worked in, or committed.
///
/// Whatever the error of a commit, unless it is [`Unknown`](Self::Unknown): nothing of the transaction has happened.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// The control link could not be attached, or has ended: every transaction declared on it is rolled back [4.1].
    #[error("the control link is gone: {0}")]
    ControlLink(LinkError),
    /// The resource has no coordinator, or not one that can do this [4.5.7].
    #[error("the peer's coordinator does not offer {0}")]
    MissingCapability(Symbol),
    /// The resource refused to declare the transaction, or rolled it back instead of committing it.
    #[error("the peer refused: {}", .0.as_ref().map_or_else(|| "it gave no reason".to_owned(), ToString::to_string))]
    Refused(Option<AmqpError>),
    /// The link ended while the discharge was on its way: nobody knows whether it was carried out.
    #[error("whether the transaction was discharged is unknown: {0}")]
    Unknown(LinkError),
    /// The resource answered with an outcome that means nothing here.
    #[error("the peer answered with an outcome that has no place here: {0}")]
    UnexpectedOutcome(Outcome),
    /// A transaction of this control link lives, and the resource allows one at a time in a session [4.5.7].
    #[error("another transaction of this session lives, and the peer allows one at a time")]
    AnotherTransactionLives,
    /// The delivery is settled: its outcome is not the transaction's any more [4.4.2].
    #[error("the delivery is settled already")]
    AlreadySettled,
    /// The link belongs to another session than the control link, and the resource does not allow that [4.5.7]; or to another
    /// connection.
    #[error(
        "the link belongs to another session, and the peer's transactions are good in one session"
    )]
    AnotherSession,
    /// A message could not be sent in the transaction, which lives on.
    #[error(transparent)]
    Send(#[from] SendError),
    /// A link on which the transaction was to work has ended; the transaction lives on.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The request is too large to encode.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl TransactionError {
    /// The error that the peer gave, if it did.
    pub fn remote_error(&self) -> Option<&AmqpError> {
        match self {
            Self::ControlLink(error) | Self::Unknown(error) | Self::Link(error) => {
                error.remote_error()
            }
            Self::Refused(error) => error.as_ref(),
            Self::Send(error) => error.remote_error(),
            _ => None,
        }
    }

    /// Whether the work may succeed if it is done again, in a new transaction.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::ControlLink(error) | Self::Link(error) => error.is_retryable(),
            Self::Send(error) => error.is_retryable(),
            Self::Refused(error) => is_transient(error.as_ref()) || was_rolled_back(error.as_ref()),
            Self::AnotherTransactionLives => true,
            _ => false,
        }
    }
}

fn was_rolled_back(error: Option<&AmqpError>) -> bool {
    error.is_some_and(|error| error.condition == condition::TRANSACTION_ROLLBACK)
}
