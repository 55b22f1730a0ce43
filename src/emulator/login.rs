//! Who may connect: everyone, as what a connection may use is decided by its tokens, and whoever knows the key by
//! name and text, who may use everything (Event Hubs).

use std::future::ready;

use super::sas::AccessKey;
use crate::sasl::{
    AuthenticationFailure, AuthenticationFuture, Authenticator, Identity, LoginAttempt,
    PresentedCredentials, SaslMechanism,
};

/// What the service offers, in its order.
pub(crate) const MECHANISMS: [SaslMechanism; 4] = [
    SaslMechanism::Mssbcbs,
    SaslMechanism::Plain,
    SaslMechanism::Anonymous,
    SaslMechanism::External,
];

/// Checks PLAIN against the namespace's key.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) key: AccessKey,
}

impl Authenticator for Login {
    fn authenticate<'a>(&'a self, attempt: &'a LoginAttempt) -> AuthenticationFuture<'a> {
        let identity = match &attempt.credentials {
            PresentedCredentials::Plain {
                username, password, ..
            } if self.key.is(username, password) => Ok(Identity::named(username)),
            PresentedCredentials::Plain { .. } => Err(AuthenticationFailure::WrongCredentials),
            // Not offered.
            #[cfg(feature = "scram")]
            PresentedCredentials::Scram { .. } => Err(AuthenticationFailure::WrongCredentials),
            // Whatever these name is unproven, and nothing is allowed by it.
            PresentedCredentials::Anonymous | PresentedCredentials::External { .. } => {
                Ok(Identity::anonymous())
            }
        };
        Box::pin(ready(identity))
    }
}

/// True for a peer that showed the key itself: it needs no token.
pub(crate) fn has_shown_the_key(identity: &Identity) -> bool {
    identity.mechanism == Some(SaslMechanism::Plain) && identity.name.is_some()
}
