//! The server's half: offer mechanisms, hear what the client presents, tell the outcome.

use std::sync::Arc;

use bytes::Bytes;

#[cfg(feature = "scram")]
use super::scram::ScramKeys;
#[cfg(feature = "scram")]
use super::scram::server::{AwaitProof, ClientFirst};
use super::{
    PresentedCredentials, SaslError, SaslMechanism, SaslServerExchange, SaslServerMechanism,
};
use crate::codec::sasl::{SaslChallenge, SaslCode, SaslFrame, SaslMechanisms, SaslOutcome};
use crate::codec::{Str, Symbol};

/// The frame that opens the exchange [5.3.3.1], and the state that follows (Y-013, Y-016).
///
/// `custom` are offered first. A name that is no symbol is not offered.
pub(crate) fn offer(
    mechanisms: &[SaslMechanism],
    custom: &[Arc<dyn SaslServerMechanism>],
) -> (SaslFrame, AwaitInit) {
    let names = custom.iter().map(|mechanism| mechanism.name());
    let names = names.chain(mechanisms.iter().map(|mechanism| mechanism.name()));
    let sasl_server_mechanisms = names.filter_map(|name| Symbol::try_from(name).ok());
    (
        SaslFrame::Mechanisms(SaslMechanisms {
            sasl_server_mechanisms: sasl_server_mechanisms.collect(),
        }),
        AwaitInit {
            offered: mechanisms.to_vec(),
            custom: custom.to_vec(),
        },
    )
}

/// The frame that ends the exchange [5.3.3.5]. Additional data is for code 0 alone (Y-022).
pub(crate) fn outcome(code: SaslCode, additional_data: Option<Bytes>) -> SaslFrame {
    SaslFrame::Outcome(SaslOutcome {
        code,
        additional_data,
    })
}

/// The frame that asks the client.
pub(crate) fn challenge(challenge: Bytes) -> SaslFrame {
    SaslFrame::Challenge(SaslChallenge { challenge })
}

/// The first state: the client is to choose.
pub(crate) struct AwaitInit {
    offered: Vec<SaslMechanism>,
    custom: Vec<Arc<dyn SaslServerMechanism>>,
}

/// What follows a frame of the client.
pub(crate) enum Step {
    /// Send this and wait for the response.
    Challenge(SaslFrame, AwaitResponse),
    /// The authenticator is to say what is kept of the user's password.
    #[cfg(feature = "scram")]
    FindKeys(AwaitKeys),
    /// All is said: the authenticator decides.
    Decide(Presented),
    /// A mechanism of the application does the rest.
    Custom(CustomLogin),
}

/// What the client presented, and under which virtual host.
pub(crate) struct Presented {
    pub(crate) mechanism: SaslMechanism,
    pub(crate) credentials: PresentedCredentials,
    pub(crate) hostname: Option<Str>,
    /// For the outcome, if the client may enter.
    pub(crate) additional_data: Option<Bytes>,
}

/// A mechanism of the application's, chosen by the client.
pub(crate) struct CustomLogin {
    pub(crate) mechanism: SaslMechanism,
    pub(crate) exchange: Box<dyn SaslServerExchange>,
    pub(crate) initial_response: Option<Bytes>,
}

impl AwaitInit {
    /// `certificate`: of the TLS client, verified.
    pub(crate) fn handle(
        self,
        frame: SaslFrame,
        certificate: Option<&Bytes>,
    ) -> Result<Step, SaslError> {
        let init = match frame {
            SaslFrame::Init(init) => init,
            other => return Err(SaslError::unexpected("sasl-init", &other)),
        };
        let chosen = init.mechanism.as_str();
        if let Some(custom) = self.custom.iter().find(|custom| custom.name() == chosen) {
            return Ok(Step::Custom(CustomLogin {
                mechanism: SaslMechanism::Custom(custom.name()),
                exchange: custom.start(),
                initial_response: init.initial_response,
            }));
        }
        let mut offered = self.offered.into_iter();
        let Some(mechanism) = offered.find(|mechanism| mechanism.name() == chosen) else {
            return Err(SaslError::MechanismNotOffered {
                mechanism: init.mechanism,
            }); // Y-018
        };
        let exchange = Exchange {
            mechanism,
            hostname: init.hostname,
            certificate: certificate.cloned(),
        };
        match init.initial_response {
            Some(response) => exchange.handle_response(&response),
            None if exchange.needs_response() => Ok(Step::Challenge(
                challenge(Bytes::new()),
                AwaitResponse::Initial(exchange),
            )),
            None => exchange.handle_response(&Bytes::new()),
        }
    }
}

/// The second state, only for mechanisms that need it: the client is to answer a challenge.
pub(crate) enum AwaitResponse {
    /// What it could have said at once.
    Initial(Exchange),
    #[cfg(feature = "scram")]
    Proof(Exchange, Box<AwaitProof>),
}

impl AwaitResponse {
    pub(crate) fn handle(self, frame: SaslFrame) -> Result<Step, SaslError> {
        let response = match frame {
            SaslFrame::Response(response) => response.response,
            other => return Err(SaslError::unexpected("sasl-response", &other)),
        };
        match self {
            AwaitResponse::Initial(exchange) => exchange.handle_response(&response),
            #[cfg(feature = "scram")]
            AwaitResponse::Proof(exchange, state) => {
                let (credentials, server_final) = state.verify(&response)?;
                Ok(exchange.decide(credentials, Some(server_final)))
            }
        }
    }
}

/// The client named a user: what is kept of the password is wanted.
#[cfg(feature = "scram")]
pub(crate) struct AwaitKeys {
    exchange: Exchange,
    pub(crate) client: ClientFirst,
}

#[cfg(feature = "scram")]
impl AwaitKeys {
    pub(crate) fn found(self, keys: Option<ScramKeys>) -> Step {
        let (server_first, state) = self.client.challenge(keys);
        Step::Challenge(
            challenge(server_first),
            AwaitResponse::Proof(self.exchange, Box::new(state)),
        )
    }
}

/// A mechanism in the middle of its exchange.
pub(crate) struct Exchange {
    mechanism: SaslMechanism,
    hostname: Option<Str>,
    certificate: Option<Bytes>,
}

impl Exchange {
    fn needs_response(&self) -> bool {
        !matches!(
            self.mechanism,
            SaslMechanism::Anonymous | SaslMechanism::Mssbcbs
        )
    }

    fn handle_response(mut self, response: &Bytes) -> Result<Step, SaslError> {
        let credentials = match self.mechanism {
            // What comes with these is trace data that proves nothing.
            SaslMechanism::Anonymous | SaslMechanism::Mssbcbs => PresentedCredentials::Anonymous,
            SaslMechanism::Plain => parse_plain(response)?,
            SaslMechanism::External => PresentedCredentials::External {
                authorization_id: parse_text(self.mechanism, response)?,
                certificate: self.certificate.take(),
            },
            #[cfg(feature = "scram")]
            SaslMechanism::Scram(hash) => {
                let client = ClientFirst::parse(hash, response)?;
                return Ok(Step::FindKeys(AwaitKeys {
                    exchange: self,
                    client,
                }));
            }
            // Offered by name without the mechanism itself.
            SaslMechanism::Custom(_) => return Err(SaslError::PermanentSystemError),
        };
        Ok(self.decide(credentials, None))
    }

    fn decide(self, credentials: PresentedCredentials, additional_data: Option<Bytes>) -> Step {
        Step::Decide(Presented {
            mechanism: self.mechanism,
            credentials,
            hostname: self.hostname,
            additional_data,
        })
    }
}

/// `[authzid] NUL authcid NUL password`, UTF-8, neither of the last two empty (Y-028).
fn parse_plain(response: &[u8]) -> Result<PresentedCredentials, SaslError> {
    let mechanism = SaslMechanism::Plain;
    let malformed = |reason| SaslError::MalformedResponse { mechanism, reason };
    let mut parts = response.split(|&octet| octet == 0);
    let (Some(authorization_id), Some(username), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed("it must have exactly two NULs"));
    };
    let authorization_id = parse_text(mechanism, authorization_id)?;
    let username =
        parse_text(mechanism, username)?.ok_or_else(|| malformed("the user name is empty"))?;
    let password =
        parse_text(mechanism, password)?.ok_or_else(|| malformed("the password is empty"))?;
    Ok(PresentedCredentials::Plain {
        authorization_id,
        username,
        password,
    })
}

fn parse_text(mechanism: SaslMechanism, octets: &[u8]) -> Result<Option<String>, SaslError> {
    match std::str::from_utf8(octets) {
        Ok("") => Ok(None),
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => Err(SaslError::MalformedResponse {
            mechanism,
            reason: "it is not UTF-8",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::sasl::{SaslInit, SaslResponse};

    const ALL: [SaslMechanism; 4] = [
        SaslMechanism::Mssbcbs,
        SaslMechanism::Plain,
        SaslMechanism::Anonymous,
        SaslMechanism::External,
    ];

    fn init(mechanism: &'static str, response: Option<&'static [u8]>) -> SaslFrame {
        SaslFrame::Init(SaslInit {
            mechanism: Symbol::from_static(mechanism),
            initial_response: response.map(Bytes::from_static),
            hostname: None,
        })
    }

    fn presented(step: Step) -> PresentedCredentials {
        match step {
            Step::Decide(presented) => presented.credentials,
            _ => panic!("no decision"),
        }
    }

    fn hear(
        mechanism: &'static str,
        response: &'static [u8],
    ) -> Result<PresentedCredentials, SaslError> {
        offer(&ALL, &[])
            .1
            .handle(init(mechanism, Some(response)), None)
            .map(presented)
    }

    #[test]
    fn y_013_mechanisms_are_offered_in_order() {
        let (frame, _) = offer(&ALL, &[]);
        let SaslFrame::Mechanisms(mechanisms) = frame else {
            panic!("{frame:?}")
        };
        let names: Vec<_> = mechanisms
            .sasl_server_mechanisms
            .iter()
            .map(Symbol::as_str)
            .collect();
        assert_eq!(names, ["MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"]);
    }

    #[test]
    fn y_016_without_authentication_anonymous_is_offered_alone() {
        let options = crate::options::SaslServerOptions::default();
        let (frame, _) = offer(&options.mechanisms, &options.custom_mechanisms);
        let SaslFrame::Mechanisms(mechanisms) = frame else {
            panic!("{frame:?}")
        };
        let anonymous = Symbol::from_static("ANONYMOUS");
        assert_eq!(mechanisms.sasl_server_mechanisms, [anonymous]);
    }

    #[test]
    fn y_027_anonymous_and_mssbcbs_ignore_trace_data() {
        for mechanism in ["ANONYMOUS", "MSSBCBS"] {
            assert_eq!(
                hear(mechanism, b"\xff\0trace"),
                Ok(PresentedCredentials::Anonymous)
            );
            let step = offer(&ALL, &[])
                .1
                .handle(init(mechanism, None), None)
                .unwrap();
            assert_eq!(presented(step), PresentedCredentials::Anonymous);
        }
    }

    #[test]
    fn y_028_plain_is_parsed() {
        let plain = |authorization_id: Option<&str>| PresentedCredentials::Plain {
            authorization_id: authorization_id.map(str::to_owned),
            username: "tim".to_owned(),
            password: "secret".to_owned(),
        };
        assert_eq!(hear("PLAIN", b"\0tim\0secret"), Ok(plain(None)));
        assert_eq!(hear("PLAIN", b"root\0tim\0secret"), Ok(plain(Some("root"))));
    }

    #[test]
    fn y_028_malformed_plain_is_refused_with_outcome_auth() {
        let malformed: [&'static [u8]; 8] = [
            b"",
            b"tim",
            b"\0tim",
            b"tim\0secret",
            b"\0tim\0",
            b"\0\0secret",
            b"\0tim\0sec\0ret",
            b"\0tim\0\xff",
        ];
        for response in malformed {
            let error = hear("PLAIN", response).unwrap_err();
            assert!(
                matches!(error, SaslError::MalformedResponse { .. }),
                "{response:?}: {error}"
            );
            assert_eq!(error.outcome(), Some(SaslCode::Auth));
        }
    }

    #[test]
    fn null_initial_responses_are_asked_for() {
        for (mechanism, response) in [("PLAIN", &b"\0tim\0secret"[..]), ("EXTERNAL", b"")] {
            let Step::Challenge(SaslFrame::Challenge(challenge), state) = offer(&ALL, &[])
                .1
                .handle(init(mechanism, None), None)
                .unwrap()
            else {
                panic!("no challenge")
            };
            assert!(challenge.challenge.is_empty());
            let response = SaslFrame::Response(SaslResponse {
                response: Bytes::from_static(response),
            });
            let credentials = presented(state.handle(response).unwrap());
            assert_ne!(credentials, PresentedCredentials::Anonymous);
        }
    }

    #[test]
    fn y_029_external_carries_the_certificate() {
        let certificate = Bytes::from_static(b"der");
        let step = offer(&ALL, &[])
            .1
            .handle(init("EXTERNAL", Some(b"")), Some(&certificate))
            .unwrap();
        let expected = PresentedCredentials::External {
            authorization_id: None,
            certificate: Some(certificate),
        };
        assert_eq!(presented(step), expected);
    }

    #[test]
    fn y_018_what_was_not_offered_is_refused_with_outcome_auth() {
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "plain", ""] {
            let (_, state) = offer(&[SaslMechanism::Anonymous], &[]);
            let error = state
                .handle(init(mechanism, Some(b"\0u\0p")), None)
                .err()
                .unwrap();
            assert!(
                matches!(error, SaslError::MechanismNotOffered { .. }),
                "{error}"
            );
            assert_eq!(error.outcome(), Some(SaslCode::Auth));
        }
    }

    #[test]
    fn y_015_frames_out_of_turn_are_fatal() {
        for frame in [offer(&ALL, &[]).0, outcome(SaslCode::Ok, None)] {
            let error = offer(&ALL, &[]).1.handle(frame, None).err().unwrap();
            assert!(
                matches!(
                    error,
                    SaslError::UnexpectedFrame {
                        expected: "sasl-init",
                        ..
                    }
                ),
                "{error}"
            );
            assert_eq!(error.outcome(), None);
        }
        let Step::Challenge(_, state) = offer(&ALL, &[])
            .1
            .handle(init("PLAIN", None), None)
            .unwrap()
        else {
            panic!("no challenge")
        };
        let error = state.handle(init("ANONYMOUS", None)).err();
        assert_eq!(
            error,
            Some(SaslError::UnexpectedFrame {
                expected: "sasl-response",
                received: "sasl-init"
            })
        );
    }
}
