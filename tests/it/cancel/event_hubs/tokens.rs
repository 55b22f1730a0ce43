//! Futures of sources of tokens, and what waits for one: it ends with who waits, and the next one asks anew.

use std::time::SystemTime;

use amqp10::emulator::EmulatorOptions;
use amqp10::eventhubs::auth::{
    SasKey, SharedAccessSignature, Token, TokenError, TokenFn, TokenKind, TokenSource,
};
use tokio::time::sleep;

use super::*;

pub(in crate::cancel) const COVERED: Covered = Covered {
    file: file!(),
    futures: &[
        ("SasKey::token", a_key_signs_at_once),
        ("SharedAccessSignature::token", a_key_signs_at_once),
        ("TokenFn::token", what_nobody_waits_for_ends),
        #[cfg(feature = "entra")]
        ("EntraTokens::token", what_nobody_waits_for_ends),
    ],
};

const RESOURCE: &str = "sb://localhost/orders";

/// Gives a token after a while, and counts those who are waiting for one.
#[derive(Clone, Debug, Default)]
struct SlowAuthority(Arc<()>);

impl SlowAuthority {
    async fn issue(self) -> String {
        for _ in 0..3 {
            sleep(Duration::from_millis(20)).await;
        }
        "token".to_owned()
    }

    fn waiting(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }

    fn source(&self) -> TokenFn {
        let authority = Arc::downgrade(&self.0);
        TokenFn::new(move |_, now| {
            let authority = authority.upgrade().map(SlowAuthority);
            async move {
                let gone = || TokenError::fatal("the authority is gone");
                let text = authority.ok_or_else(gone)?.issue().await;
                Ok(Token::new(text, TokenKind::Jwt, now + LONG * 100))
            }
        })
    }
}

#[cfg(feature = "entra")]
#[derive(Debug)]
struct Credential(Weak<()>);

#[cfg(feature = "entra")]
#[async_trait::async_trait]
impl azure_core::credentials::TokenCredential for Credential {
    async fn get_token(
        &self,
        _scopes: &[&str],
        _options: Option<azure_core::credentials::TokenRequestOptions<'_>>,
    ) -> azure_core::Result<azure_core::credentials::AccessToken> {
        let text = SlowAuthority(self.0.upgrade().unwrap()).issue().await;
        let end = SystemTime::now() + LONG;
        Ok(azure_core::credentials::AccessToken::new(text, end.into()))
    }
}

#[tokio::test]
async fn a_key_signs_at_once() {
    let now = SystemTime::now();
    let key = SasKey::new("name", "key");
    let signed = poll_times(1, key.token(RESOURCE, now)).await;
    let signed = signed.expect("a token at the first poll").unwrap();
    let signature = SharedAccessSignature::parse(signed.text()).unwrap();
    let given = poll_times(1, signature.token(RESOURCE, now)).await;
    assert_eq!(given.expect("a token at the first poll").unwrap(), signed);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_ends() {
    let authority = SlowAuthority::default();
    let mut sources: Vec<Box<dyn TokenSource>> = vec![Box::new(authority.source())];
    #[cfg(feature = "entra")]
    {
        let credential = Arc::new(Credential(Arc::downgrade(&authority.0)));
        let source = amqp10::eventhubs::auth::EntraTokens::new(credential);
        sources.push(Box::new(source));
    }
    for source in &sources {
        let polls = after_each_poll(async |polls| {
            let token = poll_times(polls, source.token(RESOURCE, SystemTime::now())).await;
            assert_eq!(authority.waiting(), 0);
            token.is_some()
        });
        assert!(polls.await > 2, "nothing was dropped in the middle");
    }
}

/// Sending, receiving and asking wait for a token first, and for what is put to `$cbs`.
#[tokio::test(start_paused = true)]
async fn an_authorization_that_is_given_up_is_asked_for_again() {
    for way in ["send", "receive", "ask"] {
        let polls = after_each_poll(async |polls| {
            let options = EmulatorOptions::default()
                .hub(HUB, PARTITIONS)
                .accept_any_jwt(true);
            let emulator = Arc::new(Emulator::in_process(options).await.unwrap());
            let (authority, streams) = (SlowAuthority::default(), Streams::default());
            let options = ClientOptions::default()
                .hub(HUB)
                .token_source(authority.source())
                .connector(connector(&emulator, &streams, SESSIONS));
            let target = "Endpoint=sb://localhost;UseDevelopmentEmulator=true";
            let client = Client::connect(target, options).await.unwrap();
            let scene = Scene {
                emulator,
                streams,
                client,
                told: Arc::default(),
            };
            let is_over = match way {
                "send" => {
                    let producer = scene.producer();
                    poll_times(polls, producer.send("given up")).await.is_some()
                }
                "receive" => {
                    let options = ConsumerOptions::default();
                    poll_times(polls, scene.client.consumer("0", options))
                        .await
                        .is_some()
                }
                _ => poll_times(polls, scene.client.hub_properties())
                    .await
                    .is_some(),
            };
            rest().await;
            assert_eq!(authority.waiting(), 0, "after {polls} polls");
            scene.check().await;
            is_over
        });
        assert!(polls.await > 1, "nothing was dropped in the middle");
    }
}
