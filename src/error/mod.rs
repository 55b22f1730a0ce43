//! Errors, typed by the scope that died: what is not named in an error still lives.
//!
//! A [`LinkError`] leaves the session usable, a [`SessionError`] the connection; each wider error is contained in the
//! narrower ones, because the end of a connection ends all that it carried. Every error carries the condition and
//! description that the peer gave, where it gave one, and says whether trying again can help.
//!
//! | failed | error | what lives on |
//! |---|---|---|
//! | connecting, or a client's handshake | [`ConnectError`], [`AcceptError`] | the listener |
//! | a connection | [`ConnectionError`] | nothing that it carried |
//! | a session | [`SessionError`] | the connection |
//! | a link | [`LinkError`] | the session |
//! | one send | [`SendError`] | the link, unless it holds a [`LinkError`] |
//! | receiving | [`RecvError`] | the session |
//!
//! The text of an error says its causes too, so that one line of a log tells all. [`source`](std::error::Error::source)
//! therefore repeats none of them: a cause is in the variant that holds it.

mod connect;
mod connection;
mod link;
mod proxy;
mod redirect;
mod session;
mod tls;
mod websocket;

use std::time::Duration;

pub use connect::{AcceptError, ConnectError, PeerProtocol, Stage};
pub use connection::ConnectionError;
pub use link::{LinkError, RecvError, SendError, SettleModeMismatch};
pub use proxy::ProxyError;
pub use redirect::Redirect;
pub use session::SessionError;
pub use tls::TlsError;
pub use websocket::WebSocketError;

pub use crate::sasl::SaslError;
pub use crate::url::{UrlError, UrlPart};

use crate::codec::{AmqpError, Symbol, condition};

/// How a peer broke the standard, and what we closed for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{condition}: {description}")]
#[non_exhaustive]
pub struct Violation {
    /// The condition that was sent to the peer.
    pub condition: Symbol,
    /// What the peer did.
    pub description: String,
}

impl Violation {
    pub(crate) fn new(condition: Symbol, description: impl Into<String>) -> Self {
        Self {
            condition,
            description: description.into(),
        }
    }

    /// The same as the standard's `error`, to be sent.
    pub(crate) fn to_amqp_error(&self) -> AmqpError {
        AmqpError::new(self.condition.clone(), self.description.as_str())
    }
}

/// Whether a status of HTTP names a passing state of the server: busy, too slow, broken.
fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599)
}

/// Whether a condition that a peer gave names a passing state of that peer, so that the same request may succeed later.
/// Conditions of vendors are left to the layers that know them.
pub(crate) fn is_transient(error: Option<&AmqpError>) -> bool {
    let Some(error) = error else { return true };
    [
        condition::INTERNAL_ERROR,
        condition::RESOURCE_LIMIT_EXCEEDED,
        condition::RESOURCE_LOCKED,
        condition::CONNECTION_FORCED,
        condition::DETACH_FORCED,
        condition::TRANSACTION_TIMEOUT,
    ]
    .contains(&error.condition)
}

/// The peer did not answer in time: what each of the scopes has as its `Timeout`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimedOut {
    pub(crate) operation: &'static str,
    pub(crate) after: Duration,
}

impl From<TimedOut> for SessionError {
    fn from(TimedOut { operation, after }: TimedOut) -> Self {
        Self::Timeout { operation, after }
    }
}

impl From<TimedOut> for LinkError {
    fn from(TimedOut { operation, after }: TimedOut) -> Self {
        Self::Timeout { operation, after }
    }
}

/// Shows a peer's error as `condition: description`, or says that it gave none.
pub(crate) fn describe(error: Option<&AmqpError>) -> String {
    error.map_or_else(|| "no reason was given".into(), AmqpError::to_string)
}
