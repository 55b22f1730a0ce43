//! What a server keeps of a password.

use std::fmt;
use std::pin::Pin;
use std::sync::LazyLock;

use uuid::Uuid;

use super::hash::{ScramHash, xor};
use super::text::prepare;
use super::{MAX_ITERATIONS, MIN_ITERATIONS};
use crate::sasl::{AuthenticationFailure, SaslError};

/// The future that [`Authenticator::scram_keys`](crate::sasl::Authenticator::scram_keys) returns.
pub type ScramKeysFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Option<ScramKeys>, AuthenticationFailure>> + Send + 'a>>;

/// What a server keeps in place of a password: enough to verify a proof, not enough to make one (RFC 5802, section 3).
///
/// Good for one hash function. `Debug` hides all but the salt.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScramKeys {
    /// The hash function that the keys were made with.
    pub hash: ScramHash,
    /// Random octets, the user's own; told to everybody who asks to log in as the user.
    pub salt: Vec<u8>,
    /// Rounds of hashing, at least 4096; told as well.
    pub iterations: u32,
    /// Verifies the client's proof.
    pub stored_key: Vec<u8>,
    /// Makes the server's signature.
    pub server_key: Vec<u8>,
}

impl ScramKeys {
    /// Makes keys of a password, with a new random salt. It takes as long as `iterations` say, at least 4096.
    ///
    /// # Errors
    ///
    /// If the password has characters that no password may have (RFC 4013), or none.
    pub fn derive(
        hash: ScramHash,
        password: &str,
        iterations: u32,
    ) -> Result<ScramKeys, SaslError> {
        ScramKeys::with_salt(hash, password, Uuid::new_v4().as_bytes(), iterations)
    }

    /// Makes keys of a password and a salt.
    ///
    /// # Errors
    ///
    /// As those of [`ScramKeys::derive`].
    pub fn with_salt(
        hash: ScramHash,
        password: &str,
        salt: &[u8],
        iterations: u32,
    ) -> Result<ScramKeys, SaslError> {
        let iterations = iterations.clamp(MIN_ITERATIONS, MAX_ITERATIONS);
        let salted = hash.stretch(prepare(password)?.as_bytes(), salt, iterations);
        Ok(ScramKeys {
            hash,
            salt: salt.to_vec(),
            iterations,
            stored_key: hash.digest(&hash.hmac(&salted, b"Client Key")),
            server_key: hash.hmac(&salted, b"Server Key"),
        })
    }

    /// Keys that no proof fits, for a user who does not exist: the same each time while the process runs, so that the user
    /// seems to exist.
    ///
    /// `iterations` should be what users who exist have.
    pub fn decoy(hash: ScramHash, username: &str, iterations: u32) -> ScramKeys {
        static SECRET: LazyLock<[u8; 16]> = LazyLock::new(|| *Uuid::new_v4().as_bytes());
        let name = hash.mechanism_name();
        let made_up =
            |what: &str| hash.hmac(&*SECRET, format!("{what} {name} {username}").as_bytes());
        ScramKeys {
            hash,
            salt: made_up("salt")[..16].to_vec(),
            iterations,
            stored_key: made_up("stored key"),
            server_key: made_up("server key"),
        }
    }

    /// Whether the password is the one that the keys were made of.
    pub(super) fn fit(&self, password: &str) -> bool {
        ScramKeys::with_salt(self.hash, password, &self.salt, self.iterations).is_ok_and(|made| {
            crate::sasl::equal_in_constant_time(&self.stored_key, &made.stored_key)
        })
    }

    /// Whether the client's proof shows that it knows the password.
    pub(super) fn verify(&self, auth_message: &str, proof: &[u8]) -> bool {
        let signature = self.hash.hmac(&self.stored_key, auth_message.as_bytes());
        let has_length = proof.len() == signature.len();
        let client_key = xor(proof, &signature);
        let stored_key = self.hash.digest(&client_key);
        crate::sasl::equal_in_constant_time(&self.stored_key, &stored_key) && has_length
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys")
            .field("hash", &self.hash)
            .field("salt", &self.salt)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}
