//! Why a request to the storage service did not do what it should.

use std::sync::Arc;
use std::time::Duration;

use super::super::StoreError;
use crate::ConnectError;
use crate::eventhubs::auth::TokenError;

/// What went wrong. None of it holds a key, a signature, or a URL that may contain one.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum BlobError {
    /// What the caller gave.
    #[error("{part}: expected {expected}")]
    Malformed {
        part: &'static str,
        expected: &'static str,
    },
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error("the exchange broke: {0}")]
    Exchange(Arc<hyper::Error>),
    #[error("the service answered {status}{}", named(.code))]
    Refused {
        status: u16,
        /// The service's own word for it, as `ContainerNotFound`; empty if it gave none.
        code: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    #[error("the service's answer cannot be understood: {0}")]
    Answer(String),
    #[error(transparent)]
    Token(#[from] TokenError),
}

fn named(code: &str) -> String {
    match code {
        "" => String::new(),
        code => format!(" {code}"),
    }
}

impl BlobError {
    /// Whether the same request may succeed later.
    pub(super) fn is_retryable(&self) -> bool {
        match self {
            Self::Malformed { .. } | Self::Answer(_) => false,
            Self::Connect(error) => error.is_retryable(),
            Self::Timeout(_) | Self::Exchange(_) => true,
            Self::Refused { status, code, .. } => {
                matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
                    || code == "ContainerBeingDeleted"
            }
            Self::Token(error) => error.is_retryable(),
        }
    }

    /// Whether the service refused with this status, or with this word.
    pub(super) fn is_status(&self, wanted: u16) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == wanted)
    }

    pub(super) fn is_code(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }

    pub(super) fn into_store_error(self, attempt: impl Into<String>) -> StoreError {
        match self.is_retryable() {
            true => StoreError::unavailable(attempt, self),
            false => StoreError::refused(attempt, self),
        }
    }
}
