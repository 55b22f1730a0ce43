//! A mechanism of the application's, on both sides: OAUTHBEARER (RFC 7628).

use bytes::Bytes;

use super::*;
use crate::options::SaslServerOptions;
use crate::sasl::{
    AuthenticationFailure, Identity, SaslClientExchange, SaslClientMechanism, SaslError,
    SaslServerExchange, SaslServerFuture, SaslServerMechanism, SaslServerStep,
};

const NAME: &str = "OAUTHBEARER";

#[derive(Clone, Debug)]
struct Bearer {
    token: &'static str,
}

impl SaslClientMechanism for Bearer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn start(&self) -> Result<Box<dyn SaslClientExchange>, SaslError> {
        Ok(Box::new(self.clone()))
    }
}

impl SaslClientExchange for Bearer {
    fn initial_response(&mut self) -> Result<Option<Bytes>, SaslError> {
        let response = format!("n,,\x01auth=Bearer {}\x01\x01", self.token);
        Ok(Some(response.into()))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Bytes, SaslError> {
        assert_eq!(challenge, br#"{"status":"invalid_token"}"#);
        Ok(Bytes::from_static(b"\x01"))
    }
}

/// Knows one token.
#[derive(Debug)]
struct Issuer;

impl SaslServerMechanism for Issuer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn start(&self) -> Box<dyn SaslServerExchange> {
        Box::new(Judge { is_refused: false })
    }
}

struct Judge {
    is_refused: bool,
}

impl SaslServerExchange for Judge {
    fn handle<'a>(&'a mut self, response: Option<&'a [u8]>) -> SaslServerFuture<'a> {
        Box::pin(async move {
            if self.is_refused {
                return Err(AuthenticationFailure::WrongCredentials);
            }
            self.is_refused = response != Some(b"n,,\x01auth=Bearer valid\x01\x01");
            Ok(match self.is_refused {
                true => {
                    SaslServerStep::Challenge(Bytes::from_static(br#"{"status":"invalid_token"}"#))
                }
                false => SaslServerStep::Success {
                    identity: Identity::named("alice"),
                    additional_data: None,
                },
            })
        })
    }
}

/// Asks for ever.
#[derive(Debug)]
struct Endless;

impl SaslServerMechanism for Endless {
    fn name(&self) -> &'static str {
        NAME
    }

    fn start(&self) -> Box<dyn SaslServerExchange> {
        Box::new(Endless)
    }
}

impl SaslServerExchange for Endless {
    fn handle<'a>(&'a mut self, _: Option<&'a [u8]>) -> SaslServerFuture<'a> {
        let challenge = Bytes::from_static(br#"{"status":"invalid_token"}"#);
        Box::pin(std::future::ready(Ok(SaslServerStep::Challenge(challenge))))
    }
}

fn bearer(token: &'static str) -> ConnectionOptions {
    ConnectionOptions::default()
        .credentials(Credentials::custom(Bearer { token }))
        .allow_plain_without_tls(true)
}

fn offering(mechanism: impl SaslServerMechanism) -> ListenerOptions {
    ListenerOptions::default().sasl(SaslServerOptions::default().custom_mechanism(mechanism))
}

#[tokio::test(start_paused = true)]
async fn y_031_a_mechanism_of_the_application() {
    let (client, server) = meet(bearer("valid"), offering(Issuer)).await;
    let mechanism = Some(SaslMechanism::Custom(NAME));
    assert_eq!(client.unwrap().identity.mechanism, mechanism);
    let expected = Identity {
        mechanism,
        ..Identity::named("alice")
    };
    assert_eq!(server.unwrap().identity, expected);

    let (client, server) = meet(bearer("expired"), offering(Issuer)).await;
    for error in [client.unwrap_err(), server.unwrap_err()] {
        assert!(
            matches!(
                error,
                ConnectError::Sasl(SaslError::AuthenticationFailed {
                    mechanism: SaslMechanism::Custom(NAME)
                })
            ),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn y_031_custom_mechanisms_are_offered_beside_the_others() {
    let (client, _) = meet(ConnectionOptions::default(), offering(Issuer)).await;
    let anonymous = Some(SaslMechanism::Anonymous);
    assert_eq!(client.unwrap().identity.mechanism, anonymous);
    let without_anonymous = SaslServerOptions::default()
        .mechanisms([])
        .custom_mechanism(Issuer);
    let options = ListenerOptions::default().sasl(without_anonymous);
    let (client, _) = meet(bearer("valid"), options).await;
    assert_eq!(
        client.unwrap().identity.mechanism,
        Some(SaslMechanism::Custom(NAME))
    );
}

#[tokio::test(start_paused = true)]
async fn y_017_a_token_needs_tls_or_permission() {
    let options = bearer("valid").allow_plain_without_tls(false);
    let (client, _) = meet(options, offering(Issuer)).await;
    let error = client.unwrap_err();
    assert!(
        matches!(error, ConnectError::Sasl(SaslError::PlainWithoutTls)),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn y_033_a_mechanism_that_never_ends_is_ended() {
    let (client, server) = meet(bearer("valid"), offering(Endless)).await;
    assert!(client.is_err());
    assert!(server.is_err());
}
