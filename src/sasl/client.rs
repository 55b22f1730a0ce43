//! The client's half: choose a mechanism, answer its challenges, read the outcome.

use bytes::{BufMut, Bytes, BytesMut};

#[cfg(feature = "scram")]
use super::ScramHash;
#[cfg(feature = "scram")]
use super::scram::client::ScramClient;
use super::{Credentials, MAX_CHALLENGES, SaslClientExchange, SaslError, SaslMechanism};
use crate::codec::Str;
use crate::codec::sasl::{
    SaslCode, SaslFrame, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse,
};

/// A mechanism in the middle of its exchange.
enum Mechanism {
    Anonymous,
    Plain {
        response: Bytes,
    },
    External,
    #[cfg(feature = "scram")]
    Scram(ScramHash, Box<ScramClient>),
    Custom(&'static str, Box<dyn SaslClientExchange>),
}

impl Mechanism {
    /// What the credentials allow, the strongest first (Y-017).
    ///
    /// # Errors
    ///
    /// Credentials that cannot be expressed in the strongest, or must not be sent by any.
    fn for_credentials(
        credentials: &Credentials,
        plain_is_allowed: bool,
    ) -> Result<Vec<Mechanism>, SaslError> {
        match credentials {
            Credentials::None | Credentials::Anonymous => Ok(vec![Mechanism::Anonymous]),
            Credentials::External => Ok(vec![Mechanism::External]),
            Credentials::Plain { username, password } => {
                let mut mechanisms = scram(username, password).unwrap_or_default();
                if plain_is_allowed {
                    mechanisms.push(Mechanism::Plain {
                        response: plain_response(username, password)?,
                    });
                } else if mechanisms.is_empty() {
                    return Err(SaslError::PlainWithoutTls);
                }
                Ok(mechanisms)
            }
            #[cfg(feature = "scram")]
            Credentials::Scram { username, password } => scram(username, password),
            Credentials::Custom(mechanism) if mechanism.needs_tls() && !plain_is_allowed => {
                Err(SaslError::PlainWithoutTls)
            }
            Credentials::Custom(mechanism) => {
                let custom = Mechanism::Custom(mechanism.name(), mechanism.start()?);
                Ok(vec![custom])
            }
        }
    }

    fn kind(&self) -> SaslMechanism {
        match self {
            Mechanism::Anonymous => SaslMechanism::Anonymous,
            Mechanism::Plain { .. } => SaslMechanism::Plain,
            Mechanism::External => SaslMechanism::External,
            #[cfg(feature = "scram")]
            Mechanism::Scram(hash, _) => SaslMechanism::Scram(*hash),
            Mechanism::Custom(name, _) => SaslMechanism::Custom(name),
        }
    }

    /// Present in all that are ours: some servers ask again by a challenge if it is null (Y-029).
    fn initial_response(&mut self) -> Result<Option<Bytes>, SaslError> {
        match self {
            Mechanism::Anonymous | Mechanism::External => Ok(Some(Bytes::new())),
            Mechanism::Plain { response } => Ok(Some(response.clone())),
            #[cfg(feature = "scram")]
            Mechanism::Scram(_, scram) => Ok(Some(scram.initial_response())),
            Mechanism::Custom(_, exchange) => exchange.initial_response(),
        }
    }

    fn respond(&mut self, challenge: &Bytes) -> Result<Bytes, SaslError> {
        let mechanism = self.kind();
        match self {
            // An empty challenge is how a server asks for an initial response that it overlooked.
            Mechanism::Anonymous | Mechanism::External if challenge.is_empty() => Ok(Bytes::new()),
            Mechanism::Plain { response } if challenge.is_empty() => Ok(response.clone()),
            Mechanism::Anonymous | Mechanism::Plain { .. } | Mechanism::External => {
                Err(SaslError::UnexpectedChallenge { mechanism })
            }
            #[cfg(feature = "scram")]
            Mechanism::Scram(_, scram) => scram.respond(challenge),
            Mechanism::Custom(_, exchange) => exchange.respond(challenge),
        }
    }

    /// The server said ok: whether that is to be believed (Y-022).
    fn finish(self, additional_data: Option<&[u8]>) -> Result<(), SaslError> {
        match self {
            Mechanism::Anonymous | Mechanism::Plain { .. } | Mechanism::External => Ok(()),
            #[cfg(feature = "scram")]
            Mechanism::Scram(_, scram) => scram.finish(additional_data),
            Mechanism::Custom(_, mut exchange) => exchange.finish(additional_data),
        }
    }
}

#[cfg(feature = "scram")]
fn scram(username: &str, password: &str) -> Result<Vec<Mechanism>, SaslError> {
    let client = |hash| {
        let scram = ScramClient::new(hash, username, password)?;
        Ok(Mechanism::Scram(hash, Box::new(scram)))
    };
    ScramHash::ALL.into_iter().map(client).collect()
}

#[cfg(not(feature = "scram"))]
fn scram(_username: &str, _password: &str) -> Result<Vec<Mechanism>, SaslError> {
    Ok(Vec::new())
}

/// `authzid NUL authcid NUL password`, the first one empty: act as oneself (Y-028).
fn plain_response(username: &str, password: &str) -> Result<Bytes, SaslError> {
    let unusable = |reason| Err(SaslError::UnusableCredentials { reason });
    if username.is_empty() {
        return unusable("the user name is empty");
    }
    if password.is_empty() {
        return unusable("the password is empty");
    }
    if username.contains('\0') || password.contains('\0') {
        return unusable("PLAIN cannot carry U+0000 in the user name or password");
    }
    let mut response = BytesMut::with_capacity(username.len() + password.len() + 2);
    response.put_u8(0);
    response.put_slice(username.as_bytes());
    response.put_u8(0);
    response.put_slice(password.as_bytes());
    Ok(response.freeze())
}

/// The first state: the server is to list its mechanisms.
pub(crate) struct AwaitMechanisms {
    /// The strongest first.
    usable: Vec<Mechanism>,
    password_must_hide: bool,
    hostname: Option<Str>,
}

impl AwaitMechanisms {
    /// `plain_is_allowed`: the stream is secure, or the user allows passwords on one that is not.
    ///
    /// # Errors
    ///
    /// Credentials that must not or cannot be sent are refused before anything was.
    pub(crate) fn new(
        credentials: &Credentials,
        plain_is_allowed: bool,
        hostname: Option<Str>,
    ) -> Result<AwaitMechanisms, SaslError> {
        let usable = Mechanism::for_credentials(credentials, plain_is_allowed)?;
        Ok(AwaitMechanisms {
            usable,
            password_must_hide: !plain_is_allowed
                && matches!(credentials, Credentials::Plain { .. }),
            hostname,
        })
    }

    /// Y-014
    pub(crate) fn handle(self, frame: SaslFrame) -> Result<(SaslFrame, AwaitOutcome), SaslError> {
        let offered = match frame {
            SaslFrame::Mechanisms(SaslMechanisms {
                sasl_server_mechanisms,
            }) => sasl_server_mechanisms,
            other => return Err(SaslError::unexpected("sasl-mechanisms", &other)),
        };
        let find =
            |wanted: SaslMechanism| offered.iter().find(|name| name.as_str() == wanted.name());
        let needed: Vec<_> = self.usable.iter().map(Mechanism::kind).collect();
        let mut usable = self.usable.into_iter();
        let chosen =
            usable.find_map(|mechanism| Some((find(mechanism.kind())?.clone(), mechanism)));
        let Some((name, mut mechanism)) = chosen else {
            let would_be_plain = self.password_must_hide && find(SaslMechanism::Plain).is_some();
            return Err(match would_be_plain {
                true => SaslError::PlainWithoutTls,
                false => SaslError::NoCommonMechanism { offered, needed },
            });
        };
        let init = SaslInit {
            mechanism: name,
            initial_response: mechanism.initial_response()?,
            hostname: self.hostname,
        };
        Ok((
            SaslFrame::Init(init),
            AwaitOutcome {
                mechanism,
                challenges: 0,
            },
        ))
    }
}

/// The second state: challenges may come, then the outcome.
pub(crate) struct AwaitOutcome {
    mechanism: Mechanism,
    challenges: u32,
}

/// What follows a frame of the server.
pub(crate) enum Step {
    Respond(SaslFrame, AwaitOutcome),
    Authenticated(SaslMechanism),
}

impl AwaitOutcome {
    pub(crate) fn handle(mut self, frame: SaslFrame) -> Result<Step, SaslError> {
        match frame {
            SaslFrame::Challenge(_) if self.challenges == MAX_CHALLENGES => {
                Err(SaslError::TooManyChallenges)
            }
            SaslFrame::Challenge(challenge) => {
                self.challenges += 1;
                let response = self.mechanism.respond(&challenge.challenge)?;
                Ok(Step::Respond(
                    SaslFrame::Response(SaslResponse { response }),
                    self,
                ))
            }
            SaslFrame::Outcome(outcome) => self.finish(&outcome),
            other => Err(SaslError::unexpected("sasl-outcome", &other)),
        }
    }

    /// Y-024
    fn finish(self, outcome: &SaslOutcome) -> Result<Step, SaslError> {
        let mechanism = self.mechanism.kind();
        match outcome.code {
            SaslCode::Ok => {
                self.mechanism.finish(outcome.additional_data.as_deref())?;
                Ok(Step::Authenticated(mechanism))
            }
            SaslCode::Auth => Err(SaslError::AuthenticationFailed { mechanism }),
            SaslCode::Sys => Err(SaslError::SystemError),
            SaslCode::SysPerm => Err(SaslError::PermanentSystemError),
            SaslCode::SysTemp => Err(SaslError::TemporarySystemError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::sasl::SaslChallenge;
    use crate::codec::{Symbol, frame};

    fn offer(names: &[&'static str]) -> SaslFrame {
        let sasl_server_mechanisms = names.iter().map(|name| Symbol::from_static(name)).collect();
        SaslFrame::Mechanisms(SaslMechanisms {
            sasl_server_mechanisms,
        })
    }

    fn choose(credentials: &Credentials, offered: &[&'static str]) -> Result<SaslInit, SaslError> {
        match AwaitMechanisms::new(credentials, true, None)?.handle(offer(offered))? {
            (SaslFrame::Init(init), _) => Ok(init),
            (other, _) => panic!("{other:?}"),
        }
    }

    fn started(credentials: &Credentials) -> AwaitOutcome {
        let all = offer(&["ANONYMOUS", "PLAIN", "EXTERNAL"]);
        AwaitMechanisms::new(credentials, true, None)
            .unwrap()
            .handle(all)
            .unwrap()
            .1
    }

    fn challenge(challenge: &'static [u8]) -> SaslFrame {
        SaslFrame::Challenge(SaslChallenge {
            challenge: Bytes::from_static(challenge),
        })
    }

    #[test]
    fn y_017_credentials_are_never_dropped_for_anonymous() {
        let credentials = [Credentials::plain("u", "p"), Credentials::External];
        for credentials in credentials {
            let error = choose(&credentials, &["ANONYMOUS", "CRAM-MD5"]).unwrap_err();
            assert!(
                matches!(&error, SaslError::NoCommonMechanism { .. }),
                "{error}"
            );
            assert!(error.to_string().contains("ANONYMOUS CRAM-MD5"), "{error}");
        }
    }

    #[test]
    fn y_017_plain_needs_tls_or_permission() {
        let credentials = Credentials::plain("u", "p");
        let error = AwaitMechanisms::new(&credentials, false, None)
            .and_then(|state| state.handle(offer(&["PLAIN", "ANONYMOUS"])))
            .err();
        assert_eq!(error, Some(SaslError::PlainWithoutTls));
        assert!(AwaitMechanisms::new(&Credentials::Anonymous, false, None).is_ok());
    }

    #[test]
    fn y_027_y_028_y_029_initial_responses() {
        let all = ["EXTERNAL", "PLAIN", "ANONYMOUS"];
        let plain = choose(&Credentials::plain("tim", "tanstaaftanstaaf"), &all).unwrap();
        assert_eq!(plain.mechanism.as_str(), "PLAIN");
        assert_eq!(plain.initial_response.unwrap(), "\0tim\0tanstaaftanstaaf");
        for (credentials, name) in [
            (Credentials::Anonymous, "ANONYMOUS"),
            (Credentials::External, "EXTERNAL"),
        ] {
            let init = choose(&credentials, &all).unwrap();
            assert_eq!(init.mechanism.as_str(), name);
            assert_eq!(init.initial_response, Some(Bytes::new()));
        }
    }

    #[test]
    fn y_028_nul_and_empty_are_refused() {
        for (username, password) in [("", "p"), ("u", ""), ("u\0v", "p"), ("u", "p\0q")] {
            let error = choose(&Credentials::plain(username, password), &["PLAIN"]).unwrap_err();
            assert!(
                matches!(error, SaslError::UnusableCredentials { .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn y_024_each_outcome_is_its_own_error() {
        let finish = |code| {
            let outcome = SaslFrame::Outcome(SaslOutcome {
                code,
                additional_data: None,
            });
            started(&Credentials::Anonymous).handle(outcome)
        };
        assert!(matches!(
            finish(SaslCode::Ok),
            Ok(Step::Authenticated(SaslMechanism::Anonymous))
        ));
        let failed = SaslError::AuthenticationFailed {
            mechanism: SaslMechanism::Anonymous,
        };
        let expected = [
            (SaslCode::Auth, failed, false),
            (SaslCode::Sys, SaslError::SystemError, true),
            (SaslCode::SysPerm, SaslError::PermanentSystemError, false),
            (SaslCode::SysTemp, SaslError::TemporarySystemError, true),
        ];
        for (code, error, is_retryable) in expected {
            assert_eq!(error.outcome(), Some(code));
            assert_eq!(error.is_retryable(), is_retryable);
            assert_eq!(finish(code).err(), Some(error));
        }
    }

    #[test]
    fn y_033_endless_challenges_end() {
        let mut state = started(&Credentials::plain("u", "p"));
        for _ in 0..MAX_CHALLENGES {
            state = match state.handle(challenge(b"")).unwrap() {
                Step::Respond(SaslFrame::Response(response), state) => {
                    assert_eq!(response.response, "\0u\0p");
                    state
                }
                _ => panic!("no response"),
            };
        }
        assert_eq!(
            state.handle(challenge(b"")).err(),
            Some(SaslError::TooManyChallenges)
        );
    }

    #[test]
    fn a_challenge_that_the_mechanism_does_not_have_is_refused() {
        let error = started(&Credentials::Anonymous)
            .handle(challenge(b"r=x,s=y"))
            .err();
        assert_eq!(
            error,
            Some(SaslError::UnexpectedChallenge {
                mechanism: SaslMechanism::Anonymous
            })
        );
    }

    /// One mechanism may come as a symbol of its own, not as an array of one.
    #[test]
    fn y_016_one_mechanism_needs_no_array() {
        let bodies: [&'static [u8]; 2] = [
            b"\x00\x53\x40\xc0\x08\x01\xa3\x05PLAIN",
            b"\x00\x53\x40\xc0\x0b\x01\xe0\x08\x01\xa3\x05PLAIN",
        ];
        for body in bodies {
            let frame = frame::decode_sasl(frame::RawFrame {
                frame_type: 1,
                channel: 0,
                body: Bytes::from_static(body),
            })
            .unwrap();
            let state = AwaitMechanisms::new(&Credentials::plain("u", "p"), true, None).unwrap();
            let (init, _) = state.handle(frame).unwrap();
            assert!(matches!(init, SaslFrame::Init(init) if init.mechanism == "PLAIN"));
        }
    }

    #[test]
    fn y_015_frames_out_of_turn_are_fatal() {
        let state = AwaitMechanisms::new(&Credentials::Anonymous, false, None).unwrap();
        let early = SaslFrame::Outcome(SaslOutcome {
            code: SaslCode::Ok,
            additional_data: None,
        });
        let error = state.handle(early).err();
        assert_eq!(
            error,
            Some(SaslError::UnexpectedFrame {
                expected: "sasl-mechanisms",
                received: "sasl-outcome"
            })
        );
        let error = started(&Credentials::Anonymous)
            .handle(offer(&["ANONYMOUS"]))
            .err();
        assert_eq!(
            error,
            Some(SaslError::UnexpectedFrame {
                expected: "sasl-outcome",
                received: "sasl-mechanisms"
            })
        );
    }
}
