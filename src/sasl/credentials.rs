//! As whom a client logs in.

use std::fmt;
use std::sync::Arc;

use super::SaslClientMechanism;

/// As whom to log in. `Debug` hides the password.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Credentials {
    /// Skip SASL altogether: the AMQP header is the first thing sent. Most servers refuse that (Y-034).
    None,
    /// SASL ANONYMOUS: no identity; the Event Hubs service then authorizes by token (CBS).
    #[default]
    Anonymous,
    /// A user name and a password. With the feature `scram`: by SCRAM, if the server offers it. Otherwise by PLAIN, which sends
    /// them as they are; never without TLS unless allowed by
    /// [`allow_plain_without_tls`](crate::ConnectionOptions::allow_plain_without_tls).
    Plain {
        /// The user's name, without U+0000.
        username: String,
        /// The password, without U+0000.
        password: String,
    },
    /// SASL EXTERNAL: the identity is that of the TLS client certificate.
    External,
    /// A user name and a password for SCRAM, the strongest that the server offers; never PLAIN: the password does not leave us.
    #[cfg(feature = "scram")]
    Scram {
        /// The user's name.
        username: String,
        /// The password.
        password: String,
    },
    /// A mechanism of the application's, and nothing else.
    Custom(Arc<dyn SaslClientMechanism>),
}

impl Credentials {
    /// A user name and a password.
    pub fn plain(username: impl Into<String>, password: impl Into<String>) -> Credentials {
        Credentials::Plain {
            username: username.into(),
            password: password.into(),
        }
    }

    /// A user name and a password that is never sent.
    #[cfg(feature = "scram")]
    pub fn scram(username: impl Into<String>, password: impl Into<String>) -> Credentials {
        Credentials::Scram {
            username: username.into(),
            password: password.into(),
        }
    }

    /// A mechanism of the application's.
    pub fn custom(mechanism: impl SaslClientMechanism) -> Credentials {
        Credentials::Custom(Arc::new(mechanism))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::None => f.write_str("None"),
            Credentials::Anonymous => f.write_str("Anonymous"),
            Credentials::Plain { username, .. } => f
                .debug_struct("Plain")
                .field("username", username)
                .finish_non_exhaustive(),
            Credentials::External => f.write_str("External"),
            #[cfg(feature = "scram")]
            Credentials::Scram { username, .. } => f
                .debug_struct("Scram")
                .field("username", username)
                .finish_non_exhaustive(),
            Credentials::Custom(mechanism) => f.debug_tuple("Custom").field(mechanism).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn y_032_debug_hides_the_password() {
        let shown = format!("{:?}", Credentials::plain("alice", "hunter2"));
        assert!(
            shown.contains("alice") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
