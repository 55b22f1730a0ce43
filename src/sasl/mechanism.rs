//! The mechanisms by name.

use std::fmt;

#[cfg(feature = "scram")]
use super::ScramHash;

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SaslMechanism {
    /// ANONYMOUS (RFC 4505): no identity (Y-027).
    Anonymous,
    /// PLAIN (RFC 4616): user name and password as they are (Y-028).
    Plain,
    /// EXTERNAL (RFC 4422, appendix A): the identity of the TLS client certificate (Y-029).
    External,
    /// MSSBCBS (Event Hubs): ANONYMOUS under another name; authorization follows by token. Only listeners use it.
    Mssbcbs,
    /// SCRAM (RFC 5802): a password that is proven and does not travel (Y-030).
    #[cfg(feature = "scram")]
    Scram(ScramHash),
    /// A mechanism of the application's (Y-031).
    Custom(&'static str),
}

impl SaslMechanism {
    /// Those that need no feature.
    const ALL: [SaslMechanism; 4] = [
        SaslMechanism::Anonymous,
        SaslMechanism::Plain,
        SaslMechanism::External,
        SaslMechanism::Mssbcbs,
    ];

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            SaslMechanism::Anonymous => "ANONYMOUS",
            SaslMechanism::Plain => "PLAIN",
            SaslMechanism::External => "EXTERNAL",
            SaslMechanism::Mssbcbs => "MSSBCBS",
            #[cfg(feature = "scram")]
            SaslMechanism::Scram(hash) => hash.mechanism_name(),
            SaslMechanism::Custom(name) => name,
        }
    }

    /// The mechanism of that name; never a custom one.
    pub fn from_name(name: &str) -> Option<SaslMechanism> {
        let mechanisms = SaslMechanism::ALL.into_iter();
        #[cfg(feature = "scram")]
        let mechanisms = mechanisms.chain(ScramHash::ALL.map(SaslMechanism::Scram));
        let mut mechanisms = mechanisms;
        mechanisms.find(|mechanism| mechanism.name() == name)
    }
}

impl fmt::Display for SaslMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
