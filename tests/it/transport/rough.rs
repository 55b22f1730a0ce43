//! TLS and WebSocket over streams that split, stall and break.

use std::sync::Arc;
use std::time::Duration;

use amqp10::websocket::WebSocketServerOptions;
use amqp10::{
    Connection, ConnectionError, ConnectionOptions, Listener, ListenerOptions, Outcome, SendError,
    memory,
};
use tokio::time::{Instant, timeout};

use super::{carry, client_tls, link, server_tls, soon};
use crate::support::io::{Control, Faults, RoughStream};

const URLS: [&str; 3] = [
    "amqps://localhost",
    "ws://localhost/socket",
    "wss://localhost/socket",
];

async fn pair(url: &str, faults: Faults) -> (Connection, Connection, Arc<Control>) {
    let (near, far) = memory::pipe(16 << 10);
    let (near, control) = RoughStream::new(near, faults);
    let options = ConnectionOptions::default().tls(client_tls());
    let mut accepting = ListenerOptions::default().websocket(WebSocketServerOptions::default());
    if !url.starts_with("ws:") {
        accepting = accepting.tls(server_tls());
    }
    let (client, server) = tokio::join!(Connection::open_through(near, url, options), async {
        let incoming = Listener::accept_stream(far, &accepting).await;
        incoming.unwrap().accept().await.unwrap()
    });
    (client.unwrap(), server, control)
}

#[tokio::test]
async fn octets_in_any_portions_carry_all_layers() {
    for (seed, url) in (0..12).map(|seed| (seed, URLS[seed as usize % URLS.len()])) {
        let faults = Faults {
            splits: Some(seed),
            ..Faults::default()
        };
        let (client, server, _) = pair(url, faults).await;
        carry(&client, &server, 5, 50_000).await;
        carry(&server, &client, 5, 50_000).await;
        soon(client.close()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stall_below_all_layers_ends_a_close_at_its_deadline() {
    for url in URLS {
        let (client, server, control) = pair(url, Faults::default()).await;
        control.stall();
        let begun = Instant::now();
        let error = client.close().await.unwrap_err();
        assert!(
            matches!(error, ConnectionError::Timeout { .. }),
            "{url}: {error}"
        );
        assert_eq!(begun.elapsed().as_secs(), 10, "{url}");
        timeout(Duration::from_secs(20), server.closed())
            .await
            .expect("the stream is given up");
    }
}

#[tokio::test]
async fn every_send_resolves_when_the_stream_below_breaks() {
    for (url, at) in URLS
        .into_iter()
        .flat_map(|url| (6000..12_000).step_by(1500).map(move |at| (url, at)))
    {
        let faults = Faults {
            write_breaks_at: Some(at),
            ..Faults::default()
        };
        let (client, server, _) = pair(url, faults).await;
        let (sender, receiver) = link(&client, &server).await;
        let receiving = tokio::spawn(async move {
            while let Ok(delivery) = receiver.recv().await {
                let _ = delivery.accept();
            }
        });
        loop {
            match soon(sender.send(vec![7; 700])).await {
                Ok(outcome) => assert_eq!(outcome, Outcome::Accepted),
                Err(SendError::NotSent(_) | SendError::Unknown(_)) => break,
                Err(error) => panic!("{url}: {error}"),
            }
        }
        soon(receiving).await.unwrap();
        soon(server.closed()).await;
    }
}
