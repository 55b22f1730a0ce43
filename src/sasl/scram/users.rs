//! A table of users without their passwords.

use std::collections::HashMap;
use std::fmt;
use std::future::ready;

use super::MIN_ITERATIONS;
use super::hash::ScramHash;
use super::keys::{ScramKeys, ScramKeysFuture};
use super::text::prepare;
use crate::sasl::{
    AuthenticationFailure, AuthenticationFuture, Authenticator, Identity, LoginAttempt,
    PresentedCredentials, SaslError,
};

/// A fixed table of users for SCRAM and PLAIN that keeps no password: only keys made of it. ANONYMOUS is refused unless allowed,
/// EXTERNAL always.
///
/// Adding a user and judging PLAIN cost 4096 rounds of hashing, milliseconds. A client is told of users who do not exist what it
/// is told of others, with iterations that some user has, and judging them takes as long. `Debug` shows names only.
///
/// ```
/// # use amqp10::sasl::{SaltedUsers, SaslError};
/// let users = SaltedUsers::new().user("alice", "secret")?;
/// # Ok::<(), SaslError>(())
/// ```
#[derive(Clone, Default)]
pub struct SaltedUsers {
    keys: HashMap<(String, ScramHash), ScramKeys>,
    allow_anonymous: bool,
}

impl SaltedUsers {
    /// Nobody.
    pub fn new() -> SaltedUsers {
        SaltedUsers::default()
    }

    /// Adds a user for each hash function, or changes its password.
    ///
    /// # Errors
    ///
    /// If the name or the password has characters that RFC 4013 forbids, or none.
    pub fn user(mut self, name: &str, password: &str) -> Result<SaltedUsers, SaslError> {
        for hash in ScramHash::ALL {
            let keys = ScramKeys::derive(hash, password, MIN_ITERATIONS)?;
            self = self.user_with_keys(name, keys)?;
        }
        Ok(self)
    }

    /// Adds a user whose keys are known already, for their hash function alone. For PLAIN those of SHA-256 are needed.
    ///
    /// # Errors
    ///
    /// If the name has characters that RFC 4013 forbids, or none.
    pub fn user_with_keys(mut self, name: &str, keys: ScramKeys) -> Result<SaltedUsers, SaslError> {
        let name = prepare(name)?.into_owned();
        self.keys.insert((name, keys.hash), keys);
        Ok(self)
    }

    /// Lets ANONYMOUS in as well.
    pub fn allow_anonymous(mut self) -> SaltedUsers {
        self.allow_anonymous = true;
        self
    }

    /// The keys of a user, or of one who does not exist: those no password fits.
    fn keys_or_decoy(&self, name: &str, hash: ScramHash) -> ScramKeys {
        let keys = self.keys.get(&(name.to_owned(), hash));
        keys.cloned().unwrap_or_else(|| self.decoy(name, hash))
    }

    /// It has the iterations of one of the users, always of the same: who has others than most is not told from it either.
    fn decoy(&self, name: &str, hash: ScramHash) -> ScramKeys {
        let decoy = ScramKeys::decoy(hash, name, MIN_ITERATIONS);
        let alike = || self.keys.values().filter(|keys| keys.hash == hash);
        let chance = decoy.server_key.iter().take(4);
        let chance = chance.fold(0, |chance, octet| (chance << 8) | usize::from(*octet));
        let model = alike().nth(chance % alike().count().max(1));
        ScramKeys {
            iterations: model.map_or(MIN_ITERATIONS, |keys| keys.iterations),
            ..decoy
        }
    }

    /// The same work for those who do not exist.
    fn is_password(&self, username: &str, password: &str) -> bool {
        let name = prepare(username).unwrap_or_default();
        self.keys_or_decoy(&name, ScramHash::Sha256).fit(password)
    }

    fn judge(&self, credentials: &PresentedCredentials) -> Result<Identity, AuthenticationFailure> {
        let (authorization_id, username, is_proven) = match credentials {
            PresentedCredentials::Anonymous if self.allow_anonymous => {
                return Ok(Identity::anonymous());
            }
            PresentedCredentials::Plain {
                authorization_id,
                username,
                password,
            } => (
                authorization_id,
                username,
                self.is_password(username, password),
            ),
            PresentedCredentials::Scram {
                authorization_id,
                username,
            } => (authorization_id, username, true),
            PresentedCredentials::Anonymous | PresentedCredentials::External { .. } => {
                return Err(AuthenticationFailure::WrongCredentials);
            }
        };
        let acts_as_itself = authorization_id.as_ref().is_none_or(|id| id == username);
        match is_proven && acts_as_itself {
            true => Ok(Identity::named(username)),
            false => Err(AuthenticationFailure::WrongCredentials),
        }
    }
}

impl fmt::Debug for SaltedUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaltedUsers")
            .field("users", &self.keys.keys())
            .field("allow_anonymous", &self.allow_anonymous)
            .finish()
    }
}

impl Authenticator for SaltedUsers {
    fn authenticate<'a>(&'a self, attempt: &'a LoginAttempt) -> AuthenticationFuture<'a> {
        Box::pin(ready(self.judge(&attempt.credentials)))
    }

    fn scram_keys<'a>(&'a self, username: &'a str, hash: ScramHash) -> ScramKeysFuture<'a> {
        let keys = self.keys_or_decoy(username, hash);
        Box::pin(ready(Ok(Some(keys))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn y_032_who_does_not_exist_has_the_iterations_of_others() {
        const HASH: ScramHash = ScramHash::Sha256;
        let many = ScramKeys::derive(HASH, "secret", 10_000).unwrap();
        let users = SaltedUsers::new().user_with_keys("alice", many).unwrap();
        let decoy = users.keys_or_decoy("bob", HASH);
        assert_eq!(decoy.iterations, 10_000);
        assert_eq!(decoy, users.keys_or_decoy("bob", HASH));
        assert_ne!(decoy.salt, users.keys_or_decoy("carol", HASH).salt);
        // There are none to be like.
        let other = users.keys_or_decoy("bob", ScramHash::Sha1);
        assert_eq!(other.iterations, MIN_ITERATIONS);
    }

    #[test]
    fn y_030_plain_is_judged_by_the_keys() {
        let users = SaltedUsers::new().user("alice", "secret").unwrap();
        let plain = |username: &str, password: &str| {
            users.judge(&PresentedCredentials::Plain {
                authorization_id: None,
                username: username.to_owned(),
                password: password.to_owned(),
            })
        };
        assert_eq!(plain("alice", "secret"), Ok(Identity::named("alice")));
        for (username, password) in [("alice", "Secret"), ("bob", "secret"), ("\u{7}", "secret")] {
            let refused = Err(AuthenticationFailure::WrongCredentials);
            assert_eq!(plain(username, password), refused);
        }
        let shown = format!("{users:?} {:?}", users.keys.values());
        assert!(
            shown.contains("alice") && !shown.contains("secret"),
            "{shown}"
        );
        assert!(!shown.contains("stored_key"), "{shown}");
    }
}
