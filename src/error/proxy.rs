//! What can go wrong with an HTTP proxy.

/// Why a proxy gave no tunnel to the host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The proxy wants to know who asks (407), or does not accept who does.
    #[error("it wants another login ({status_line}); it offers [{}]", .offers.join(", "))]
    Authentication {
        /// The first line of its answer, at most 256 characters.
        status_line: String,
        /// The schemes of authentication that it offers. We know `Basic`.
        offers: Vec<String>,
    },
    /// The proxy refused, or could not reach the host.
    #[error("it gives no tunnel: {status_line}")]
    Refused {
        /// The status of HTTP.
        status: u16,
        /// The first line of its answer, at most 256 characters.
        status_line: String,
    },
    /// What the proxy sent is no answer of HTTP.
    #[error("its answer cannot be understood: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
}

impl ProxyError {
    /// Whether the same attempt, unchanged, may succeed later: if the proxy said that it, or the host, is busy or broken.
    pub fn is_retryable(&self) -> bool {
        match self {
            ProxyError::Refused { status, .. } => super::is_transient_status(*status),
            ProxyError::Authentication { .. } | ProxyError::Malformed { .. } => false,
        }
    }
}
