//! Logging in by SASL [5.3]: as whom a client does, whom a listener lets in, and mechanisms of the application's own.
//!
//! A client chooses [`Credentials`]. A listener offers mechanisms and asks an [`Authenticator`]: [`StaticUsers`], `SaltedUsers`
//! (feature `scram`), or one of the application's own.
//!
//! ```
//! use amqp10::sasl::{SaslMechanism, StaticUsers};
//! use amqp10::{ConnectionOptions, Credentials, ListenerOptions, SaslServerOptions};
//!
//! let users = StaticUsers::new().user("alice", "secret");
//! let sasl = SaslServerOptions::default().mechanisms([SaslMechanism::Plain]).authenticator(users);
//! let listener = ListenerOptions::default().sasl(sasl);
//!
//! let client = ConnectionOptions::default().credentials(Credentials::plain("alice", "secret"));
//! # let _ = (listener, client);
//! ```
//!
//! Mechanisms that are not here, such as OAUTHBEARER, are a trait on each side: [`SaslClientMechanism`] and
//! [`SaslServerMechanism`].
//!
//! # How an exchange goes
//!
//! As pure state: frames go in, frames come out, no I/O. Each state consumes itself: what is not legal now cannot be called.
//!
//! ```text
//! server                          client
//! Offer      -- mechanisms -->    AwaitMechanisms
//! AwaitInit  <-- init ---------   AwaitOutcome
//! Challenge  -- challenge ---->   AwaitOutcome      as often as the mechanism needs, up to a limit
//! Challenge  <-- response -----   AwaitOutcome
//! Attempt    -- outcome ------>   done
//! ```

// A mechanism is an enum on each side (`client::Mechanism`, `server::Exchange`) with a step per challenge, so that one more is
// one more variant. Those of the application are one variant, too.

mod authenticator;
pub(crate) mod client;
mod credentials;
mod extension;
mod mechanism;
#[cfg(feature = "scram")]
pub(crate) mod scram;
pub(crate) mod server;

pub use authenticator::{
    AllowEveryone, AuthenticationFailure, AuthenticationFuture, Authenticator, Identity,
    LoginAttempt, PresentedCredentials, StaticUsers,
};
pub use credentials::Credentials;
pub use extension::{
    SaslClientExchange, SaslClientMechanism, SaslServerExchange, SaslServerFuture,
    SaslServerMechanism, SaslServerStep,
};
pub use mechanism::SaslMechanism;
#[cfg(feature = "scram")]
pub use scram::{SaltedUsers, ScramHash, ScramKeys, ScramKeysFuture};

use std::hint::black_box;

use crate::codec::Symbol;
use crate::codec::sasl::{SaslCode, SaslFrame};

/// Challenges of one exchange before we give up: the longest mechanism in use needs two (Y-033).
pub(crate) const MAX_CHALLENGES: u32 = 8;

/// The largest SASL frame that a client accepts, in octets; the standard's 512 is too small for some tokens (Y-010).
pub(crate) const MAX_CLIENT_FRAME_SIZE: u32 = 64 * 1024;

/// Why the SASL exchange did not end with success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SaslError {
    /// The server offers nothing that the given credentials can be used with (Y-017).
    #[error("the server offers [{}], the given credentials need one of [{}]", names(.offered), names(.needed))]
    NoCommonMechanism {
        /// What the server offered.
        offered: Vec<Symbol>,
        /// What we could have used, the strongest first.
        needed: Vec<SaslMechanism>,
    },
    /// A password would travel in the clear (Y-017).
    #[error("refusing to send a password without TLS: use amqps, or set `allow_plain_without_tls`")]
    PlainWithoutTls,
    /// The given user name or password cannot be expressed in the mechanism.
    #[error("these credentials cannot be sent: {reason}")]
    UnusableCredentials {
        /// What is wrong with them.
        reason: &'static str,
    },
    /// Outcome 1: the credentials were refused (Y-024).
    #[error("authentication by {mechanism} failed: the credentials were refused")]
    AuthenticationFailed {
        /// The mechanism that was used.
        mechanism: SaslMechanism,
    },
    /// Outcome 2: a system error that the server did not classify.
    #[error("authentication failed by an unspecified system error of the server")]
    SystemError,
    /// Outcome 3: a system error that will not go away by itself.
    #[error("authentication failed by a permanent system error of the server")]
    PermanentSystemError,
    /// Outcome 4: a system error that may go away.
    #[error("authentication failed by a temporary system error of the server; try again later")]
    TemporarySystemError,
    /// The client chose a mechanism that was not offered (Y-018).
    #[error("the client chose the mechanism {mechanism:?}, which was not offered")]
    MechanismNotOffered {
        /// What it chose.
        mechanism: Symbol,
    },
    /// The client's response does not follow its mechanism (Y-028).
    #[error("malformed {mechanism} response: {reason}")]
    MalformedResponse {
        /// The mechanism.
        mechanism: SaslMechanism,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A challenge that the mechanism does not have.
    #[error("the server sent a challenge that {mechanism} does not have")]
    UnexpectedChallenge {
        /// The mechanism.
        mechanism: SaslMechanism,
    },
    /// A challenge that does not follow its mechanism, or asks for what we do not do (Y-030).
    #[error("malformed {mechanism} challenge: {reason}")]
    MalformedChallenge {
        /// The mechanism.
        mechanism: SaslMechanism,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The server let us in without having shown that it knows our password, as the mechanism demands: it is an impostor (Y-022).
    #[error("the server did not prove by {mechanism} that it knows the user")]
    UnverifiedServer {
        /// The mechanism.
        mechanism: SaslMechanism,
    },
    /// A mechanism of the application gave up (Y-031).
    #[error("{mechanism} failed: {reason}")]
    MechanismFailed {
        /// The mechanism's name.
        mechanism: &'static str,
        /// Why.
        reason: String,
    },
    /// The server would not stop sending challenges (Y-033).
    #[error("gave up after {MAX_CHALLENGES} SASL challenges")]
    TooManyChallenges,
    /// A frame from the wrong side or out of turn (Y-015).
    #[error("expected {expected}, received {received}")]
    UnexpectedFrame {
        /// What the exchange needed.
        expected: &'static str,
        /// What came.
        received: &'static str,
    },
    /// Bytes that are not a SASL frame, or one that is too large (Y-010, Y-011, Y-012).
    #[error("not a SASL frame: {reason}")]
    InvalidFrame {
        /// What is wrong, and where.
        reason: String,
    },
}

impl SaslError {
    /// The outcome by which a server tells the client; `None` if the exchange is broken and is simply cut.
    pub(crate) fn outcome(&self) -> Option<SaslCode> {
        match self {
            SaslError::AuthenticationFailed { .. }
            | SaslError::MechanismNotOffered { .. }
            | SaslError::MalformedResponse { .. } => Some(SaslCode::Auth),
            SaslError::SystemError => Some(SaslCode::Sys),
            SaslError::PermanentSystemError => Some(SaslCode::SysPerm),
            SaslError::TemporarySystemError => Some(SaslCode::SysTemp),
            _ => None,
        }
    }

    /// Whether the same login may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            SaslError::SystemError | SaslError::TemporarySystemError
        )
    }

    pub(crate) fn unexpected(expected: &'static str, received: &SaslFrame) -> SaslError {
        SaslError::UnexpectedFrame {
            expected,
            received: received.name(),
        }
    }
}

fn names<N: std::fmt::Display>(names: &[N]) -> String {
    let names: Vec<_> = names.iter().map(N::to_string).collect();
    names.join(" ")
}

/// Compares in time that depends on the length of `presented` alone, which its owner knows.
fn equal_in_constant_time(kept: &[u8], presented: &[u8]) -> bool {
    let mut difference = kept.len() ^ presented.len();
    for (index, octet) in presented.iter().enumerate() {
        let other = kept.get(index).copied().unwrap_or(0);
        difference |= usize::from(black_box(octet ^ other));
    }
    black_box(difference) == 0
}
