//! Tokens from a credential of `azure_core`.

use std::sync::Mutex;
use std::time::SystemTime;

use amqp10::Clock;
use amqp10::eventhubs::ErrorKind;
use amqp10::eventhubs::auth::EntraTokens;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::{Error, ErrorKind as AzureErrorKind};
use azure_core::http::StatusCode;

use super::*;

const LIFETIME: Duration = Duration::from_secs(600);

/// What an authority says when it does not answer with a token.
type Failure = fn() -> Error;

/// Gives a new token each time, unless it is told to fail.
#[derive(Debug, Default)]
struct Authority {
    /// The scopes of all that it was asked.
    asked: Mutex<Vec<String>>,
    failure: Mutex<Option<Failure>>,
    clock: Clock,
}

#[async_trait::async_trait]
impl TokenCredential for Authority {
    async fn get_token(
        &self,
        scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(scopes.join(" "));
            asked.len()
        };
        let failure = *self.failure.lock().unwrap();
        match failure {
            Some(failure) => Err(failure()),
            None => {
                let end = self.clock.now() + LIFETIME;
                Ok(AccessToken::new(format!("hush.{number}.hush"), end.into()))
            }
        }
    }
}

impl Authority {
    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn fail(&self, failure: impl Into<Option<Failure>>) {
        *self.failure.lock().unwrap() = failure.into();
    }
}

fn refused() -> Error {
    Error::with_message(AzureErrorKind::Credential, "AADSTS7000215: wrong secret")
}

fn busy() -> Error {
    let kind = AzureErrorKind::HttpResponse {
        status: StatusCode::ServiceUnavailable,
        error_code: None,
        raw_response: None,
    };
    let cause = Error::with_message(kind, "the authority is busy");
    Error::with_error(AzureErrorKind::Credential, cause, "no token was issued")
}

async fn client_of(authority: &Arc<Authority>) -> Client {
    let emulator = start(EmulatorOptions::default().accept_any_jwt(true)).await;
    let options = options(&emulator)
        .token_source(EntraTokens::new(authority.clone()))
        .clock(authority.clock.clone());
    let target = "Endpoint=sb://localhost;EntityPath=orders;UseDevelopmentEmulator=true";
    Client::connect(target, options).await.unwrap()
}

#[tokio::test]
async fn a_credentials_tokens_open_the_hub() {
    let authority = Arc::new(Authority::default());
    let client = client_of(&authority).await;
    producer(&client).send_to(to("0"), "x").await.unwrap();
    let event = next(&mut from_start(&client, "0").await).await;
    assert_eq!(text(&event), "x");
    let asked = authority.asked.lock().unwrap();
    let scope = "https://eventhubs.azure.net/.default";
    assert!(!asked.is_empty() && asked.iter().all(|asked| asked == scope));
}

#[tokio::test]
async fn a_refusal_is_reported_at_once_and_without_secrets() {
    let authority = Arc::new(Authority::default());
    authority.fail(refused as Failure);
    let client = client_of(&authority).await;
    let error = soon(producer(&client).send("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
    let shown = format!("{error} {error:?} {client:?}");
    assert!(shown.contains("AADSTS7000215"), "{shown}");
    assert!(!shown.contains("hush"), "{shown}");
    assert_eq!(authority.asked(), 1);
}

#[tokio::test]
async fn a_busy_authority_is_asked_again() {
    let authority = Arc::new(Authority::default());
    authority.fail(busy as Failure);
    let client = client_of(&authority).await;
    let send = tokio::spawn(async move { producer(&client).send("x").await });
    while authority.asked() < 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    authority.fail(None);
    soon(send).await.unwrap().unwrap();
}

/// Tokens of ten minutes for an hour. The authority is out of order for the first renewals: the links live on.
#[tokio::test(start_paused = true)]
async fn tokens_are_renewed_though_the_authority_is_out_of_order_for_a_while() {
    let started = (SystemTime::now(), tokio::time::Instant::now());
    let now = move || started.0 + started.1.elapsed();
    let authority = Arc::new(Authority {
        clock: Clock::new(now),
        ..Authority::default()
    });
    let client = client_of(&authority).await;
    let producer = producer(&client);
    let mut consumer = from_start(&client, "0").await;
    let first = authority.asked();
    for minute in 0..60 {
        authority.fail((7..9).contains(&minute).then_some(busy as Failure));
        tokio::time::sleep(Duration::from_secs(60)).await;
        producer.send_to(to("0"), minute.to_string()).await.unwrap();
        assert_eq!(text(&next(&mut consumer).await), minute.to_string());
    }
    let renewals = authority.asked() - first;
    // Two audiences, each renewed when a third of its token's life is left.
    assert!((16..60).contains(&renewals), "{renewals}");
}
