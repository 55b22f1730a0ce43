//! The server's half of SCRAM.

use bytes::Bytes;
use uuid::Uuid;

use super::MIN_ITERATIONS;
use super::hash::ScramHash;
use super::keys::ScramKeys;
use super::text::{self, Attributes};
use crate::sasl::{PresentedCredentials, SaslError, SaslMechanism};

/// The client said who it is: the user's keys are wanted.
pub(crate) struct ClientFirst {
    hash: ScramHash,
    gs2_header: String,
    client_first_bare: String,
    nonce: String,
    authorization_id: Option<String>,
    username: String,
}

impl ClientFirst {
    pub(in crate::sasl) fn parse(
        hash: ScramHash,
        message: &[u8],
    ) -> Result<ClientFirst, SaslError> {
        let malformed = |reason| malformed(hash, reason);
        let message = std::str::from_utf8(message).map_err(|_| malformed("it is not UTF-8"))?;
        let mut parts = message.splitn(3, ',');
        let (Some(binding), Some(authorization_id), Some(bare)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("it has no channel binding and name"));
        };
        if !matches!(binding, "n" | "y") {
            return Err(malformed("channel binding is not offered"));
        }
        let authorization_id = match authorization_id.strip_prefix("a=") {
            Some(name) => Some(name_of(hash, name)?),
            None if authorization_id.is_empty() => None,
            None => return Err(malformed("the name to act as is no attribute `a`")),
        };
        let mut attributes = Attributes::of(bare);
        let username = attributes
            .next('n')
            .ok_or_else(|| malformed("it has no user name"))?;
        let nonce = attributes
            .next('r')
            .filter(|nonce| text::is_nonce(nonce))
            .ok_or_else(|| malformed("it has no nonce"))?;
        Ok(ClientFirst {
            hash,
            gs2_header: message[..message.len() - bare.len()].to_owned(),
            client_first_bare: bare.to_owned(),
            nonce: nonce.to_owned(),
            authorization_id,
            username: name_of(hash, username)?,
        })
    }

    pub(crate) fn hash(&self) -> ScramHash {
        self.hash
    }

    pub(crate) fn username(&self) -> &str {
        &self.username
    }

    /// Unknown users are challenged as known ones are.
    pub(in crate::sasl) fn challenge(self, keys: Option<ScramKeys>) -> (Bytes, AwaitProof) {
        self.challenge_with(keys, Uuid::new_v4().simple().to_string())
    }

    fn challenge_with(self, keys: Option<ScramKeys>, nonce: String) -> (Bytes, AwaitProof) {
        let keys = keys
            .filter(|keys| keys.hash == self.hash)
            .unwrap_or_else(|| ScramKeys::decoy(self.hash, &self.username, MIN_ITERATIONS));
        let nonce = format!("{}{nonce}", self.nonce);
        let salt = text::encode(&keys.salt);
        let server_first = format!("r={nonce},s={salt},i={}", keys.iterations);
        let state = AwaitProof {
            client: self,
            keys,
            nonce,
            server_first: server_first.clone(),
        };
        (server_first.into(), state)
    }
}

/// The client was challenged: its proof is wanted.
pub(crate) struct AwaitProof {
    client: ClientFirst,
    keys: ScramKeys,
    nonce: String,
    server_first: String,
}

impl AwaitProof {
    /// Whom the proof is of, and the server's own signature for the client.
    pub(in crate::sasl) fn verify(
        self,
        response: &[u8],
    ) -> Result<(PresentedCredentials, Bytes), SaslError> {
        let hash = self.client.hash;
        let malformed = |reason| malformed(hash, reason);
        let response = std::str::from_utf8(response).map_err(|_| malformed("it is not UTF-8"))?;
        let (without_proof, proof) = response
            .rsplit_once(",p=")
            .ok_or_else(|| malformed("it has no proof"))?;
        let mut attributes = Attributes::of(without_proof);
        let binding = attributes.next('c').and_then(text::decode);
        if binding.as_deref() != Some(self.client.gs2_header.as_bytes()) {
            return Err(malformed(
                "its channel binding is not that of the first message",
            ));
        }
        if attributes.next('r') != Some(self.nonce.as_str()) {
            return Err(malformed("its nonce is not ours"));
        }
        let proof = text::decode(proof).ok_or_else(|| malformed("its proof is not base64"))?;
        let auth_message = format!(
            "{},{},{without_proof}",
            self.client.client_first_bare, self.server_first
        );
        if !self.keys.verify(&auth_message, &proof) {
            return Err(SaslError::AuthenticationFailed {
                mechanism: SaslMechanism::Scram(hash),
            });
        }
        let signature = hash.hmac(&self.keys.server_key, auth_message.as_bytes());
        let credentials = PresentedCredentials::Scram {
            authorization_id: self.client.authorization_id,
            username: self.client.username,
        };
        let server_final = format!("v={}", text::encode(&signature));
        Ok((credentials, server_final.into()))
    }
}

/// A name as the client wrote it, in the form in which names are kept.
fn name_of(hash: ScramHash, name: &str) -> Result<String, SaslError> {
    let name = text::unescape(name).ok_or_else(|| malformed(hash, "a name has a stray `=`"))?;
    match text::prepare(&name) {
        Ok(prepared) => Ok(prepared.into_owned()),
        Err(_) => Err(malformed(
            hash,
            "a name has characters that RFC 4013 forbids, or none",
        )),
    }
}

fn malformed(hash: ScramHash, reason: &'static str) -> SaslError {
    SaslError::MalformedResponse {
        mechanism: SaslMechanism::Scram(hash),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";
    const CLIENT_FIRST: &[u8] = b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL";
    const CLIENT_FINAL: &str =
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";

    fn keys() -> ScramKeys {
        let salt = text::decode("QSXCR+Q6sek8bf92").unwrap();
        ScramKeys::with_salt(ScramHash::Sha1, "pencil", &salt, 4096).unwrap()
    }

    fn challenged(keys: Option<ScramKeys>) -> (Bytes, AwaitProof) {
        ClientFirst::parse(ScramHash::Sha1, CLIENT_FIRST)
            .unwrap()
            .challenge_with(keys, "3rfcNHYJY1ZVvWVs7j".to_owned())
    }

    #[test]
    fn y_030_the_published_exchange() {
        let (challenge, state) = challenged(Some(keys()));
        assert_eq!(
            challenge,
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
        );
        let (credentials, server_final) = state.verify(CLIENT_FINAL.as_bytes()).unwrap();
        assert_eq!(server_final, "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=");
        let expected = PresentedCredentials::Scram {
            authorization_id: None,
            username: "user".to_owned(),
        };
        assert_eq!(credentials, expected);
    }

    #[test]
    fn y_030_wrong_proofs_and_unknown_users_look_alike() {
        let wrong = CLIENT_FINAL.replace("p=v0X8", "p=v1X8");
        let short = CLIENT_FINAL.replace("v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "");
        for (keys, response) in [
            (Some(keys()), wrong.as_str()),
            (Some(keys()), &short),
            (None, CLIENT_FINAL),
        ] {
            let error = challenged(keys).1.verify(response.as_bytes()).unwrap_err();
            assert!(
                matches!(error, SaslError::AuthenticationFailed { .. }),
                "{error}"
            );
        }
        let (one, _) = challenged(None);
        let (again, _) = challenged(None);
        assert_eq!(one, again, "a made-up salt stays");
        assert!(one.ends_with(b"i=4096"));
    }

    #[test]
    fn y_030_malformed_messages_are_refused() {
        for message in [
            "",
            "n",
            "n,,",
            "p=tls-unique,,n=user,r=abc",
            "n,b=x,n=user,r=abc",
            "n,,n=user",
            "n,,r=abc,n=user",
            "n,,n=,r=abc",
            "n,,n=us=er,r=abc",
            "n,,m=x,n=user,r=abc",
            "n,,n=user,r=",
            "x,,n=user,r=abc",
        ] {
            let error = ClientFirst::parse(ScramHash::Sha1, message.as_bytes()).err();
            assert!(
                matches!(error, Some(SaslError::MalformedResponse { .. })),
                "{message}: {error:?}"
            );
        }
        for response in [
            "".to_owned(),
            CLIENT_FINAL.replace("biws", "eSws"), // `y,,`: not what it said first
            CLIENT_FINAL.replace("biws,", ","),
            CLIENT_FINAL.replace(NONCE, "other"),
            CLIENT_FINAL.replace(",p=", ",q="),
            CLIENT_FINAL.replace("Ts=", "T?="),
        ] {
            let error = challenged(Some(keys())).1.verify(response.as_bytes()).err();
            assert!(
                matches!(error, Some(SaslError::MalformedResponse { .. })),
                "{response}: {error:?}"
            );
        }
    }
}
