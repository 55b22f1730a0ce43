//! The client's half of SCRAM.

use bytes::Bytes;
use uuid::Uuid;

use super::hash::{ScramHash, xor};
use super::text::{self, Attributes};
use super::{MAX_ITERATIONS, MIN_ITERATIONS};
use crate::sasl::{SaslError, SaslMechanism};

/// No channel binding, act as oneself.
const GS2_HEADER: &str = "n,,";

/// The client in the middle of a SCRAM exchange.
pub(in crate::sasl) struct ScramClient {
    hash: ScramHash,
    password: String,
    nonce: String,
    client_first_bare: String,
    stage: Stage,
}

enum Stage {
    Begun,
    /// The proof is sent; this is what only a server that knows the user's keys can answer.
    Proven {
        server_signature: Vec<u8>,
    },
    ServerVerified,
}

impl ScramClient {
    /// # Errors
    ///
    /// Names and passwords that RFC 4013 forbids.
    pub(in crate::sasl) fn new(
        hash: ScramHash,
        username: &str,
        password: &str,
    ) -> Result<ScramClient, SaslError> {
        let nonce = Uuid::new_v4().simple().to_string();
        ScramClient::with_nonce(hash, username, password, nonce)
    }

    fn with_nonce(
        hash: ScramHash,
        username: &str,
        password: &str,
        nonce: String,
    ) -> Result<ScramClient, SaslError> {
        let name = text::escape(&text::prepare(username)?);
        Ok(ScramClient {
            hash,
            password: text::prepare(password)?.into_owned(),
            client_first_bare: format!("n={name},r={nonce}"),
            nonce,
            stage: Stage::Begun,
        })
    }

    pub(in crate::sasl) fn initial_response(&self) -> Bytes {
        format!("{GS2_HEADER}{}", self.client_first_bare).into()
    }

    pub(in crate::sasl) fn respond(&mut self, challenge: &[u8]) -> Result<Bytes, SaslError> {
        match &self.stage {
            // A server that overlooked the initial response asks for it so.
            Stage::Begun if challenge.is_empty() => Ok(self.initial_response()),
            Stage::Begun => self.prove(challenge),
            Stage::Proven { server_signature } => {
                self.verify(server_signature, challenge)?;
                self.stage = Stage::ServerVerified;
                Ok(Bytes::new())
            }
            Stage::ServerVerified => Err(SaslError::UnexpectedChallenge {
                mechanism: self.mechanism(),
            }),
        }
    }

    /// After the outcome ok: a server that never showed that it knows the user's keys is an impostor (Y-022).
    pub(in crate::sasl) fn finish(self, additional_data: Option<&[u8]>) -> Result<(), SaslError> {
        match (&self.stage, additional_data) {
            (Stage::ServerVerified, _) => Ok(()),
            (Stage::Proven { server_signature }, Some(server_final)) => {
                self.verify(server_signature, server_final)
            }
            _ => Err(self.unverified()),
        }
    }

    /// Answers the server's first message.
    fn prove(&mut self, challenge: &[u8]) -> Result<Bytes, SaslError> {
        let server_first =
            std::str::from_utf8(challenge).map_err(|_| self.malformed("it is not UTF-8"))?;
        let (nonce, salt, iterations) = self.parse_server_first(server_first)?;
        let without_proof = format!("c={},r={nonce}", text::encode(GS2_HEADER.as_bytes()));
        let auth_message = format!("{},{server_first},{without_proof}", self.client_first_bare);
        let hash = self.hash;
        let salted = hash.stretch(self.password.as_bytes(), &salt, iterations);
        let client_key = hash.hmac(&salted, b"Client Key");
        let client_signature = hash.hmac(&hash.digest(&client_key), auth_message.as_bytes());
        let server_key = hash.hmac(&salted, b"Server Key");
        self.stage = Stage::Proven {
            server_signature: hash.hmac(&server_key, auth_message.as_bytes()),
        };
        let proof = text::encode(&xor(&client_key, &client_signature));
        Ok(format!("{without_proof},p={proof}").into())
    }

    fn parse_server_first<'a>(
        &self,
        server_first: &'a str,
    ) -> Result<(&'a str, Vec<u8>, u32), SaslError> {
        let mut attributes = Attributes::of(server_first);
        if attributes.next('m').is_some() {
            return Err(self.malformed("it demands an extension"));
        }
        let nonce = attributes
            .next('r')
            .filter(|nonce| nonce.len() > self.nonce.len() && nonce.starts_with(&self.nonce))
            .filter(|nonce| text::is_nonce(nonce))
            .ok_or_else(|| self.malformed("its nonce does not continue ours"))?;
        let salt = attributes
            .next('s')
            .and_then(text::decode)
            .filter(|salt| !salt.is_empty())
            .ok_or_else(|| self.malformed("it has no salt"))?;
        let iterations = attributes
            .next('i')
            .and_then(|count| count.parse().ok())
            .ok_or_else(|| self.malformed("it has no iteration count"))?;
        match iterations {
            ..MIN_ITERATIONS => Err(self.malformed("fewer than 4096 iterations protect nothing")),
            MIN_ITERATIONS..=MAX_ITERATIONS => Ok((nonce, salt, iterations)),
            _ => Err(self.malformed("it asks for more than 600000 iterations")),
        }
    }

    fn verify(&self, server_signature: &[u8], server_final: &[u8]) -> Result<(), SaslError> {
        let server_final =
            std::str::from_utf8(server_final).map_err(|_| self.malformed("it is not UTF-8"))?;
        let mut attributes = Attributes::of(server_final);
        if attributes.next('e').is_some() {
            return Err(SaslError::AuthenticationFailed {
                mechanism: self.mechanism(),
            });
        }
        let signature = attributes.next('v').and_then(text::decode);
        match signature {
            Some(signature)
                if crate::sasl::equal_in_constant_time(server_signature, &signature) =>
            {
                Ok(())
            }
            _ => Err(self.unverified()),
        }
    }

    fn mechanism(&self) -> SaslMechanism {
        SaslMechanism::Scram(self.hash)
    }

    fn malformed(&self, reason: &'static str) -> SaslError {
        SaslError::MalformedChallenge {
            mechanism: self.mechanism(),
            reason,
        }
    }

    fn unverified(&self) -> SaslError {
        SaslError::UnverifiedServer {
            mechanism: self.mechanism(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(hash: ScramHash, nonce: &str) -> ScramClient {
        ScramClient::with_nonce(hash, "user", "pencil", nonce.to_owned()).unwrap()
    }

    /// The exchanges of RFC 5802, section 5, and RFC 7677, section 3: (hash, nonce, server-first, client-final, server-final).
    const VECTORS: [(ScramHash, &str, &str, &str, &str); 2] = [
        (
            ScramHash::Sha1,
            "fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ),
        (
            ScramHash::Sha256,
            "rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ),
    ];

    #[test]
    fn y_030_the_published_exchanges() {
        for (hash, nonce, server_first, client_final, server_final) in VECTORS {
            let mut scram = client(hash, nonce);
            assert_eq!(scram.initial_response(), format!("n,,n=user,r={nonce}"));
            assert_eq!(scram.respond(b"").unwrap(), scram.initial_response());
            assert_eq!(
                scram.respond(server_first.as_bytes()).unwrap(),
                client_final
            );
            assert_eq!(scram.finish(Some(server_final.as_bytes())), Ok(()));
        }
    }

    fn proven() -> ScramClient {
        let (hash, nonce, server_first, ..) = VECTORS[0];
        let mut scram = client(hash, nonce);
        scram.respond(server_first.as_bytes()).unwrap();
        scram
    }

    #[test]
    fn y_022_y_030_the_signature_comes_in_a_challenge_or_with_the_outcome() {
        let server_final = VECTORS[0].4.as_bytes();
        let mut scram = proven();
        assert_eq!(scram.respond(server_final).unwrap(), "");
        assert!(scram.respond(server_final).is_err(), "once is enough");
        assert_eq!(scram.finish(None), Ok(()));

        let unverified = Err(SaslError::UnverifiedServer {
            mechanism: SaslMechanism::Scram(ScramHash::Sha1),
        });
        assert_eq!(proven().finish(None), unverified);
        assert_eq!(proven().finish(Some(b"")), unverified);
        assert_eq!(proven().finish(Some(b"v=AAAA")), unverified);
        assert_eq!(proven().respond(b"v=AAAA").map(drop), unverified);
        let (hash, nonce, ..) = VECTORS[0];
        assert_eq!(client(hash, nonce).finish(Some(server_final)), unverified);
    }

    #[test]
    fn y_030_what_the_server_asks_for_is_checked() {
        let bad = [
            ("r=abc,s=c2FsdA==,i=4096", "nonce"), // not continued
            ("r=xyzabc,s=c2FsdA==,i=4096", "nonce"),
            ("r=abcé,s=c2FsdA==,i=4096", "nonce"),
            ("s=c2FsdA==,i=4096", "nonce"),
            ("r=abcd,i=4096", "salt"),
            ("r=abcd,s=,i=4096", "salt"),
            ("r=abcd,s=?,i=4096", "salt"),
            ("r=abcd,s=c2FsdA==", "iteration"),
            ("r=abcd,s=c2FsdA==,i=-1", "iteration"),
            ("r=abcd,s=c2FsdA==,i=4095", "4096"),
            ("r=abcd,s=c2FsdA==,i=4294967295", "600000"),
            ("m=ext,r=abcd,s=c2FsdA==,i=4096", "extension"),
        ];
        for (server_first, reason) in bad {
            let error = client(ScramHash::Sha1, "abc")
                .respond(server_first.as_bytes())
                .unwrap_err();
            assert!(
                matches!(error, SaslError::MalformedChallenge { .. })
                    && error.to_string().contains(reason),
                "{server_first}: {error}"
            );
        }
    }
}
