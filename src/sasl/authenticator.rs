//! Who decides whether a client may enter.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;

use bytes::Bytes;

use super::{SaslError, SaslMechanism, equal_in_constant_time};
#[cfg(feature = "scram")]
use super::{ScramHash, ScramKeysFuture};

/// The future that an [`Authenticator`] returns.
pub type AuthenticationFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Identity, AuthenticationFailure>> + Send + 'a>>;

/// Decides whether a client may enter a listener, and as whom.
///
/// Asynchronous, as the answer may be in a database. The handshake's deadline applies; a decision that misses it is dropped.
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// Judges one attempt. The client is told nothing but the kind of failure.
    ///
    /// # Errors
    ///
    /// If the client may not enter.
    fn authenticate<'a>(&'a self, attempt: &'a LoginAttempt) -> AuthenticationFuture<'a>;

    /// For SCRAM: what is kept of a user's password. A client whose proof fits it is then judged by
    /// [`authenticate`](Authenticator::authenticate) as [`PresentedCredentials::Scram`].
    ///
    /// `username` is prepared by SASLprep (RFC 4013). `None` for a user who does not exist: the client is challenged all the
    /// same, with 4096 iterations, and then refused. Where users have other iterations, [`ScramKeys::decoy`](crate::sasl::ScramKeys::decoy)
    /// hides better who does not exist. Default: nobody exists.
    ///
    /// # Errors
    ///
    /// If it cannot be found out.
    #[cfg(feature = "scram")]
    fn scram_keys<'a>(&'a self, _username: &'a str, _hash: ScramHash) -> ScramKeysFuture<'a> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// One client's attempt to enter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginAttempt {
    /// What the client presented.
    pub credentials: PresentedCredentials,
    /// The virtual host that it wants [5.3.3.2].
    pub hostname: Option<String>,
    /// Whether the stream is TLS of ours.
    pub is_secure: bool,
}

/// What a client presented, parsed but not judged. `Debug` hides the password.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresentedCredentials {
    /// ANONYMOUS or MSSBCBS: nothing.
    Anonymous,
    /// PLAIN.
    Plain {
        /// As whom the user wants to act, if not as itself.
        authorization_id: Option<String>,
        /// The user's name, not empty.
        username: String,
        /// The password, not empty.
        password: String,
    },
    /// EXTERNAL.
    External {
        /// As whom the client wants to act, if not as the certificate says. Unproven.
        authorization_id: Option<String>,
        /// The client's own certificate in DER, verified by TLS against our authority; `None` if it showed none.
        certificate: Option<Bytes>,
    },
    /// SCRAM: the client has proven that it knows the password of the keys that [`Authenticator::scram_keys`] gave.
    #[cfg(feature = "scram")]
    Scram {
        /// As whom the user wants to act, if not as itself.
        authorization_id: Option<String>,
        /// The user's name.
        username: String,
    },
}

impl fmt::Debug for PresentedCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PresentedCredentials::Anonymous => f.write_str("Anonymous"),
            PresentedCredentials::Plain {
                authorization_id,
                username,
                ..
            } => f
                .debug_struct("Plain")
                .field("authorization_id", authorization_id)
                .field("username", username)
                .finish_non_exhaustive(),
            PresentedCredentials::External {
                authorization_id,
                certificate,
            } => f
                .debug_struct("External")
                .field("authorization_id", authorization_id)
                .field("has_certificate", &certificate.is_some())
                .finish(),
            #[cfg(feature = "scram")]
            PresentedCredentials::Scram {
                authorization_id,
                username,
            } => f
                .debug_struct("Scram")
                .field("authorization_id", authorization_id)
                .field("username", username)
                .finish(),
        }
    }
}

/// Who the peer is, as far as SASL told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The name that the authenticator gave; `None`: anonymous.
    pub name: Option<String>,
    /// The mechanism that proved it; `None`: there was no SASL layer.
    pub mechanism: Option<SaslMechanism>,
}

impl Identity {
    /// Nobody in particular.
    pub fn anonymous() -> Identity {
        Identity::default()
    }

    /// Somebody with a name.
    pub fn named(name: impl Into<String>) -> Identity {
        Identity {
            name: Some(name.into()),
            mechanism: None,
        }
    }
}

/// Why a client may not enter; the client is told by the outcome code [5.3.3.6].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthenticationFailure {
    /// The credentials are wrong (`auth`).
    #[error("the credentials were refused")]
    WrongCredentials,
    /// Something failed here (`sys`).
    #[error("unspecified system error")]
    SystemError,
    /// Something failed here that needs a person (`sys-perm`).
    #[error("permanent system error")]
    PermanentSystemError,
    /// Something failed here; later may be better (`sys-temp`).
    #[error("temporary system error")]
    TemporarySystemError,
}

impl AuthenticationFailure {
    pub(crate) fn into_sasl_error(self, mechanism: SaslMechanism) -> SaslError {
        match self {
            AuthenticationFailure::WrongCredentials => {
                SaslError::AuthenticationFailed { mechanism }
            }
            AuthenticationFailure::SystemError => SaslError::SystemError,
            AuthenticationFailure::PermanentSystemError => SaslError::PermanentSystemError,
            AuthenticationFailure::TemporarySystemError => SaslError::TemporarySystemError,
        }
    }
}

/// Lets everyone in, by whatever mechanism. **Names are taken at the client's word**: passwords are not looked at.
///
/// For tests, for networks that are trusted, and where authorization happens later (Event Hubs' tokens).
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowEveryone;

impl Authenticator for AllowEveryone {
    fn authenticate<'a>(&'a self, attempt: &'a LoginAttempt) -> AuthenticationFuture<'a> {
        let identity = match &attempt.credentials {
            PresentedCredentials::Anonymous => Identity::anonymous(),
            PresentedCredentials::Plain { username, .. } => Identity::named(username),
            #[cfg(feature = "scram")]
            PresentedCredentials::Scram { username, .. } => Identity::named(username),
            PresentedCredentials::External {
                authorization_id: Some(name),
                ..
            } => Identity::named(name),
            PresentedCredentials::External {
                authorization_id: None,
                ..
            } => Identity::anonymous(),
        };
        Box::pin(std::future::ready(Ok(identity)))
    }
}

/// A fixed table of users and passwords, for PLAIN; `SaltedUsers` (feature `scram`) keeps no passwords. ANONYMOUS is refused unless allowed, EXTERNAL always.
///
/// Passwords are kept and compared as they are, in time that depends neither on their content nor on whether the user exists
/// (Y-032). `Debug` shows names only.
#[derive(Clone, Default)]
pub struct StaticUsers {
    passwords: HashMap<String, String>,
    allow_anonymous: bool,
}

impl StaticUsers {
    /// Nobody.
    pub fn new() -> StaticUsers {
        StaticUsers::default()
    }

    /// Adds a user, or changes its password.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> StaticUsers {
        self.passwords.insert(name.into(), password.into());
        self
    }

    /// Lets ANONYMOUS in as well.
    pub fn allow_anonymous(mut self) -> StaticUsers {
        self.allow_anonymous = true;
        self
    }

    fn judge(&self, credentials: &PresentedCredentials) -> Result<Identity, AuthenticationFailure> {
        match credentials {
            PresentedCredentials::Anonymous if self.allow_anonymous => Ok(Identity::anonymous()),
            PresentedCredentials::Plain {
                authorization_id,
                username,
                password,
            } => {
                let known = self.passwords.get(username);
                // An unknown user costs a comparison too.
                let is_right = equal_in_constant_time(
                    known.map_or("", String::as_str).as_bytes(),
                    password.as_bytes(),
                );
                let acts_as_itself = authorization_id.as_ref().is_none_or(|id| id == username);
                match known.is_some() && is_right && acts_as_itself {
                    true => Ok(Identity::named(username)),
                    false => Err(AuthenticationFailure::WrongCredentials),
                }
            }
            // SCRAM among them: its keys are nobody's here.
            _ => Err(AuthenticationFailure::WrongCredentials),
        }
    }
}

impl fmt::Debug for StaticUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticUsers")
            .field("users", &self.passwords.keys())
            .field("allow_anonymous", &self.allow_anonymous)
            .finish()
    }
}

impl Authenticator for StaticUsers {
    fn authenticate<'a>(&'a self, attempt: &'a LoginAttempt) -> AuthenticationFuture<'a> {
        Box::pin(std::future::ready(self.judge(&attempt.credentials)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(
        authorization_id: Option<&str>,
        username: &str,
        password: &str,
    ) -> PresentedCredentials {
        PresentedCredentials::Plain {
            authorization_id: authorization_id.map(str::to_owned),
            username: username.to_owned(),
            password: password.to_owned(),
        }
    }

    #[test]
    fn static_users_know_their_passwords() {
        let users = StaticUsers::new().user("alice", "secret").user("bob", "");
        assert_eq!(
            users.judge(&plain(None, "alice", "secret")),
            Ok(Identity::named("alice"))
        );
        assert_eq!(
            users.judge(&plain(Some("alice"), "alice", "secret")),
            Ok(Identity::named("alice"))
        );
        let wrong = [
            plain(None, "alice", "secre"),
            plain(None, "alice", "secret "),
            plain(None, "alice", "Secret"),
            plain(None, "alice", "secret\0"),
            plain(None, "Alice", "secret"),
            plain(None, "carol", "secret"),
            plain(None, "carol", ""),
            plain(Some("bob"), "alice", "secret"),
            PresentedCredentials::Anonymous,
            PresentedCredentials::External {
                authorization_id: Some("alice".into()),
                certificate: Some(Bytes::new()),
            },
        ];
        for credentials in wrong {
            assert_eq!(
                users.judge(&credentials),
                Err(AuthenticationFailure::WrongCredentials),
                "{credentials:?}"
            );
        }
        assert_eq!(
            users
                .allow_anonymous()
                .judge(&PresentedCredentials::Anonymous),
            Ok(Identity::anonymous())
        );
    }

    #[test]
    fn y_032_debug_hides_passwords() {
        let attempt = plain(None, "alice", "hunter2");
        let users = StaticUsers::new().user("alice", "hunter2");
        let shown = format!("{attempt:?} {users:?}");
        assert!(
            shown.contains("alice") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
