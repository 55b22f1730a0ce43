//! The client by other ways than TCP and TLS: WebSocket, a proxy, an endpoint that is not the namespace.

use amqp10::emulator::{Emulator, EmulatorOptions};
use amqp10::eventhubs::{Client, ClientOptions, Transport};
use amqp10::websocket::WebSocketServerOptions;
use amqp10::{Listener, ListenerOptions};

use super::{HUB, from_start, next, producer, soon, text, to};

const NAMESPACE: &str =
    "Endpoint=sb://ns.example.com;SharedAccessKeyName=n;SharedAccessKey=aGVsbG8=";

async fn emulator(options: EmulatorOptions) -> Emulator {
    Emulator::start(options.hub(HUB, 2).port(0)).await.unwrap()
}

async fn carry_an_event(client: &Client) {
    producer(client).send_to(to("1"), "an event").await.unwrap();
    let mut consumer = from_start(client, "1").await;
    assert_eq!(text(&next(&mut consumer).await), "an event");
}

#[tokio::test]
async fn events_go_by_websocket_on_the_same_port() {
    let emulator = emulator(EmulatorOptions::default()).await;
    let target = emulator.connection_string();
    for transport in [Transport::WebSocket, Transport::Amqp] {
        let options = ClientOptions::default().hub(HUB).transport(transport);
        let client = Client::connect(&target, options);
        carry_an_event(&soon(client).await.unwrap()).await;
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn events_go_by_websocket_within_tls_of_the_callers_roots() {
    let chain = include_bytes!("../../data/server.pem");
    let key = include_bytes!("../../data/server-key.pem");
    let tls = amqp10::TlsServerConfig::from_pem(chain, key).unwrap();
    let emulator = emulator(EmulatorOptions::default().tls(tls)).await;
    let target = emulator.connection_string();
    let roots = include_bytes!("../../data/ca.pem");
    let options = ClientOptions::default()
        .hub(HUB)
        .transport(Transport::WebSocket)
        .tls(amqp10::TlsConfig::with_root_certificates(roots).unwrap());
    let client = Client::connect(&target, options);
    carry_an_event(&soon(client).await.unwrap()).await;
}

/// A certificate is verified for the endpoint's host, while the peer hears of the namespace.
#[tokio::test]
async fn an_endpoint_hears_the_name_of_the_namespace() {
    let websocket = WebSocketServerOptions::default().path("/$servicebus/websocket");
    let options = ListenerOptions::default().websocket(websocket);
    let listener = Listener::bind("127.0.0.1:0", options).await.unwrap();
    let address = listener.local_addr().unwrap();
    for (scheme, transport) in [
        ("amqp", Transport::Amqp),
        ("amqp", Transport::WebSocket),
        ("ws", Transport::Amqp),
    ] {
        let endpoint = format!("{scheme}://{address}").parse().unwrap();
        let options = ClientOptions::default().hub(HUB).endpoint(endpoint);
        let connecting = Client::connect(NAMESPACE, options.transport(transport));
        let (_client, incoming) = tokio::join!(connecting, async {
            let incoming = listener.accept().await.unwrap();
            let hostname = incoming.open().hostname.as_deref().map(str::to_owned);
            incoming.accept().await.unwrap();
            hostname
        });
        assert_eq!(incoming.as_deref(), Some("ns.example.com"));
    }
}
