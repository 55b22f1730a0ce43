//! As whom a client logs in.

use std::fmt;

/// As whom to log in. `Debug` hides the password.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// Skip SASL altogether: the AMQP header is the first thing sent. Most servers refuse that. Y-034
    None,
    /// SASL ANONYMOUS: no identity; the Event Hubs service then authorizes by token (CBS).
    #[default]
    Anonymous,
    /// SASL PLAIN: a user name and a password, sent as they are; never without TLS unless allowed by
    /// [`allow_plain_without_tls`](crate::ConnectionOptions::allow_plain_without_tls).
    Plain {
        /// The user's name, without U+0000.
        username: String,
        /// The password, without U+0000.
        password: String,
    },
    /// SASL EXTERNAL: the identity is that of the TLS client certificate.
    External,
}

impl Credentials {
    /// A user name and a password.
    pub fn plain(username: impl Into<String>, password: impl Into<String>) -> Credentials {
        Credentials::Plain {
            username: username.into(),
            password: password.into(),
        }
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
