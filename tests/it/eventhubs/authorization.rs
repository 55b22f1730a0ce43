//! Keys, tokens, their ends and renewals.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use amqp10::eventhubs::auth::{SasKey, TokenError, TokenFn, TokenFuture, TokenSource};
use amqp10::eventhubs::{ClientEvent, ErrorKind};

use super::*;

pub(super) const KEY_NAME: &str = "RootManageSharedAccessKey";

/// The key of a connection string.
pub(super) fn key(connection_string: &str) -> String {
    let (_, rest) = connection_string.split_once("SharedAccessKey=").unwrap();
    rest.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_not_shown() {
    let emulator = emulator().await;
    let key = key(&emulator.connection_string());
    let wrong = emulator.connection_string().replace(&key, "not-the-key");
    let client = Client::connect(&wrong, options(&emulator)).await.unwrap();
    for error in [
        soon(producer(&client).send("x")).await.unwrap_err(),
        soon(client.hub_properties()).await.unwrap_err(),
        soon(client.consumer("0", ConsumerOptions::default()))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("not-the-key"), "{shown}");
        assert!(!shown.contains("sig="), "{shown}");
    }
}

#[tokio::test]
async fn a_ready_made_signature_opens_the_hub() {
    let emulator = emulator().await;
    let key = SasKey::new(KEY_NAME, key(&emulator.connection_string()));
    let end = SystemTime::now() + Duration::from_secs(600);
    let token = key.sign("sb://localhost/orders", end);
    let text = format!(
        "Endpoint=sb://localhost;SharedAccessSignature={};EntityPath=orders;UseDevelopmentEmulator=true",
        token.text()
    );
    let client = Client::connect(&text, options(&emulator)).await.unwrap();
    producer(&client).send_to(to("0"), "x").await.unwrap();
    assert_eq!(text_of(&client).await, "x");
}

async fn text_of(client: &Client) -> String {
    text(&next(&mut from_start(client, "0").await).await).to_owned()
}

/// Tokens of two minutes, under a clock that runs as fast as the test likes: links live on for an hour, and each token is
/// replaced before it ends.
#[tokio::test(start_paused = true)]
async fn z_023_tokens_are_renewed_before_they_end() {
    let started = (SystemTime::now(), tokio::time::Instant::now());
    let now = move || started.0 + started.1.elapsed();
    let emulator = start(EmulatorOptions::default().clock(Clock::new(now))).await;
    let key = SasKey::new(KEY_NAME, key(&emulator.connection_string()))
        .with_lifetime(Duration::from_secs(120));
    let asked = Arc::new(AtomicU32::new(0));
    let counter = asked.clone();
    let source = TokenFn::new(move |resource: String, now| {
        counter.fetch_add(1, Ordering::Relaxed);
        assert_eq!(resource, "sb://localhost/orders");
        let token = key.sign(&resource, now + Duration::from_secs(120));
        async move { Ok(token) }
    });
    let options = options(&emulator)
        .token_source(source)
        .clock(Clock::new(now));
    let client = Client::connect(&emulator.connection_string(), options)
        .await
        .unwrap();
    let producer = producer(&client);
    let mut consumer = from_start(&client, "0").await;
    for minute in 0..60 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        producer.send_to(to("0"), minute.to_string()).await.unwrap();
        assert_eq!(text(&next(&mut consumer).await), minute.to_string());
    }
    let asked = asked.load(Ordering::Relaxed);
    // Two audiences, every 80 seconds at the latest.
    assert!((60..300).contains(&asked), "{asked}");
}

/// The service's clock is far ahead, so that it takes a token for expired that the client takes for good.
#[tokio::test]
async fn a_refused_read_puts_a_new_token() {
    let ahead = Arc::new(AtomicU32::new(0));
    let offset = ahead.clone();
    let now = move || {
        let ahead = offset.load(Ordering::Relaxed);
        SystemTime::now() + Duration::from_secs(ahead.into())
    };
    let theirs = Clock::new(now.clone());
    let emulator = start(EmulatorOptions::default().clock(theirs)).await;
    let key = SasKey::new(KEY_NAME, key(&emulator.connection_string()));
    let source = TokenFn::new(move |resource: String, _| {
        let token = key.sign(&resource, now() + Duration::from_secs(3600));
        async move { Ok(token) }
    });
    let options = options(&emulator).token_source(source);
    let client = Client::connect(&emulator.connection_string(), options)
        .await
        .unwrap();
    client.hub_properties().await.unwrap();
    ahead.store(7200, Ordering::Relaxed);
    soon(client.hub_properties()).await.unwrap();
}

#[tokio::test]
async fn the_background_task_ends_with_the_last_handle() {
    struct Watched(SasKey, #[allow(dead_code)] Arc<()>);
    impl TokenSource for Watched {
        fn token<'a>(&'a self, resource: &'a str, now: SystemTime) -> TokenFuture<'a> {
            self.0.token(resource, now)
        }
    }
    let emulator = emulator().await;
    let alive = Arc::new(());
    let key = SasKey::new(KEY_NAME, key(&emulator.connection_string()));
    let options = options(&emulator).token_source(Watched(key, alive.clone()));
    let client = Client::connect(&emulator.connection_string(), options)
        .await
        .unwrap();
    let producer = producer(&client);
    drop(client);
    producer.send("the producer holds it, too").await.unwrap();
    drop(producer);
    soon(async {
        while Arc::strong_count(&alive) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// The source fails from the tenth minute to the fifty-fifth: renewals are tried again and again, ever more slowly, and each
/// failure is told with what is left; nothing is lost.
#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_is_tried_again_and_told_before_it_hurts() {
    let clock = simulated_clock();
    let emulator = start(EmulatorOptions::default().clock(clock.clone())).await;
    let key = SasKey::new(KEY_NAME, key(&emulator.connection_string()));
    let started = clock.now();
    let source = TokenFn::new(move |resource: String, now: SystemTime| {
        let minutes = now.duration_since(started).unwrap().as_secs() / 60;
        let token = key.sign(&resource, now + Duration::from_secs(3600));
        async move {
            match minutes {
                10..55 => Err(TokenError::fatal("no token today")),
                _ => Ok(token),
            }
        }
    });
    let failures = Arc::new(Mutex::new(Vec::new()));
    let book = failures.clone();
    let observer = ClientObserver::new(move |event| match event {
        ClientEvent::TokenRenewalFailed { left, error, .. } => {
            assert!(error.to_string().contains("no token today"), "{error}");
            book.lock().unwrap().push(left.as_secs());
        }
        ClientEvent::LinkLost { error, .. } => panic!("{error}"),
        _ => {}
    });
    let options = options(&emulator)
        .token_source(source)
        .clock(clock)
        .observer(observer)
        .seed(1);
    let client = Client::connect(&emulator.connection_string(), options)
        .await
        .unwrap();
    let producer = producer(&client);
    producer.send_to(to("0"), "x").await.unwrap();
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_secs(600)).await;
        producer.send_to(to("0"), "x").await.unwrap();
    }
    let failures = failures.lock().unwrap();
    // Ten minutes before the end, and from then on with longer and longer pauses, half a minute at most.
    assert!((595..=600).contains(&failures[0]), "{failures:?}");
    let pauses: Vec<_> = failures.windows(2).map(|two| two[0] - two[1]).collect();
    assert!(
        pauses[0] <= 3 && pauses.iter().all(|pause| *pause <= 38),
        "{pauses:?}"
    );
    assert!((10..25).contains(&failures.len()), "{failures:?}");
}

/// Nobody can renew a ready-made signature: that is told while there is time.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_ready_made_signature_is_told_ahead() {
    let clock = simulated_clock();
    let emulator = start(EmulatorOptions::default().clock(clock.clone())).await;
    let key = SasKey::new(KEY_NAME, key(&emulator.connection_string()));
    let token = key.sign(
        "sb://localhost/orders",
        clock.now() + Duration::from_secs(3600),
    );
    let text = format!(
        "Endpoint=sb://localhost;SharedAccessSignature={};EntityPath=orders;UseDevelopmentEmulator=true",
        token.text()
    );
    let (observer, notes) = notes();
    let options = options(&emulator).clock(clock).observer(observer);
    let client = Client::connect(&text, options).await.unwrap();
    let producer = producer(&client);
    producer.send_to(to("0"), "x").await.unwrap();
    tokio::time::sleep(Duration::from_secs(3200)).await;
    assert_eq!(count(&notes, "TokenRenewalFailed"), 0);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(count(&notes, "TokenRenewalFailed") > 3, "{notes:?}");
    producer.send_to(to("0"), "still good").await.unwrap();
    tokio::time::sleep(Duration::from_secs(300)).await;
    let error = producer.send_to(to("0"), "too late").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
}
