//! The mechanisms by name.

use std::fmt;

use crate::codec::Symbol;

/// A SASL mechanism that this crate speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SaslMechanism {
    /// ANONYMOUS (RFC 4505): no identity. Y-027
    Anonymous,
    /// PLAIN (RFC 4616): user name and password as they are. Y-028
    Plain,
    /// EXTERNAL (RFC 4422, appendix A): the identity of the TLS client certificate. Y-029
    External,
    /// MSSBCBS (Event Hubs): ANONYMOUS under another name; authorization follows by token. Only listeners use it.
    Mssbcbs,
}

impl SaslMechanism {
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
        }
    }

    /// The mechanism of that name.
    pub fn from_name(name: &str) -> Option<SaslMechanism> {
        SaslMechanism::ALL
            .into_iter()
            .find(|mechanism| mechanism.name() == name)
    }

    pub(super) fn symbol(self) -> Symbol {
        Symbol::from_static(self.name())
    }
}

impl fmt::Display for SaslMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
