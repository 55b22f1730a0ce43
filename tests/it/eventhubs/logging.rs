//! What is logged, and what must never be.

use super::*;
use crate::support::log::Log;
use amqp10::eventhubs::{BatchOptions, ErrorKind, Event};
use amqp10::sasl::StaticUsers;
use amqp10::{ConnectError, ConnectionOptions, Proxy, SaslServerOptions};

/// Everything that is said while this runs.
fn logged(run: impl AsyncFnOnce()) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let log = Log::new();
    tracing::subscriber::with_default(log.clone(), || runtime.block_on(run()));
    log.text()
}

const SECRET: &str = "hush-hush-hush";

/// A client's whole life: connects, sends, reads, renews its token, is thrown out and comes back, and is refused.
async fn live() {
    use base64::Engine;
    let clock = simulated_clock();
    let key = base64::engine::general_purpose::STANDARD.encode(SECRET);
    let emulator = EmulatorOptions::default()
        .key("policy", &key)
        .clock(clock.clone());
    let emulator = start(emulator).await;
    let options = options(&emulator).clock(clock);
    let text = emulator.connection_string();
    let client = Client::connect(&text, options.clone()).await.unwrap();
    let producer = producer(&client);
    let event = Event::from(SECRET).with_property(SECRET, SECRET);
    producer.send_to(to("0"), event.clone()).await.unwrap();
    let mut batch = producer
        .create_batch(BatchOptions::key(SECRET))
        .await
        .unwrap();
    batch.try_add(event).unwrap();
    producer.send_batch(batch).await.unwrap();
    let mut consumer = from_start(&client, "0").await;
    consumer
        .recv_batch(2, Duration::from_secs(1))
        .await
        .unwrap();
    emulator.close_connections();
    consumer
        .recv_batch(1, Duration::from_secs(1))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(7200)).await;
    client.close().await.unwrap();

    let wrong = text.replace(&key, "aHVzaC1odXNoLWh1c2g=");
    assert!(wrong.contains("aHVzaC1odXNoLWh1c2g="));
    let stranger = Client::connect(&wrong.replace("policy", "other"), options)
        .await
        .unwrap();
    let refused = stranger.hub_properties().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthorized);
}

#[test]
fn steps_are_told_and_secrets_are_not() {
    let log = logged(live);
    for step in [
        "attach:",
        "send:",
        "receive_batch:",
        "recover:",
        "renew:",
        "connected again",
    ] {
        assert!(log.contains(step), "no {step} in\n{log}");
    }
    // The key in base64, signatures, and what is only seen inside of tokens.
    for secret in [
        SECRET,
        "aHVzaC",
        "SharedAccessSignature",
        "sig=",
        "SharedAccessKey=",
    ] {
        assert!(!log.contains(secret), "{secret} in\n{log}");
    }
}

#[test]
fn a_connection_does_not_tell_its_passwords() {
    let log = logged(async || {
        let users = StaticUsers::new().user("alice", SECRET);
        let sasl = SaslServerOptions::default()
            .mechanisms([amqp10::sasl::SaslMechanism::Plain])
            .authenticator(users);
        let options = amqp10::ListenerOptions::default()
            .sasl(sasl)
            .websocket(amqp10::websocket::WebSocketServerOptions::default());
        let listener = amqp10::Listener::bind("127.0.0.1:0", options)
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let proxied = Proxy::http(&format!("http://bob:{SECRET}@127.0.0.1:1")).unwrap();
        let options = ConnectionOptions::default().allow_plain_without_tls(true);
        let mut schemes = vec!["amqp"];
        if cfg!(feature = "websocket") {
            schemes.push("ws");
        }
        for scheme in schemes {
            let url = format!("{scheme}://alice:{SECRET}@{address}/?token={SECRET}");
            let opened = Connection::open(&url, options.clone());
            let (opened, accepted) = tokio::join!(opened, async {
                listener.accept().await.unwrap().accept().await
            });
            opened.unwrap().close().await.unwrap();
            drop(accepted);
            let wrong = url.replace("alice:", "alice:not-");
            let (opened, accepted) =
                tokio::join!(Connection::open(&wrong, options.clone()), listener.accept());
            assert!(matches!(opened, Err(ConnectError::Sasl(_))));
            assert!(accepted.is_err());
        }
        let options = options.proxy(proxied);
        Connection::open(&format!("amqp://{address}"), options)
            .await
            .unwrap_err();
    });
    for step in ["connect:", "accept:", "client authenticated"] {
        assert!(log.contains(step), "no {step} in\n{log}");
    }
    assert!(!log.contains(SECRET), "{log}");
}
