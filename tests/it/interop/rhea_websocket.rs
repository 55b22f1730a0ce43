//! rhea on WebSocket, as a client and as a server.

use amqp10::codec::MessageId;
use amqp10::error::WebSocketError;
use amqp10::websocket::WebSocketOptions;
use amqp10::{ConnectError, Connection, ConnectionOptions, Message, ReceiverOptions};

use super::broker::{self, Links};
use super::json::to_json;
use super::node::Server;
use super::pattern;
use super::program::Program;

#[tokio::test]
async fn rhea_as_a_client_offers_either_name() {
    let Some(client) = Program::node("rhea_client.js") else {
        return;
    };
    for name in ["amqp", "AMQPWSB10"] {
        let arguments = ["--sub-protocol", name];
        there_and_back(&arguments, &client, 1000, 100).await;
        there_and_back(&arguments, &client, 5, 1 << 20).await;
    }
    let server = Server::start().await;
    let url = server.url_with("ws", "");
    let arguments = ["send", &url, "node", "--sub-protocol", "mqtt"];
    let error = client.run(&arguments).await.unwrap_err();
    assert!(error.contains("400"), "{error}");
}

/// Numbered messages from the client, and the same back.
async fn there_and_back(arguments: &[&str], client: &Program, count: usize, size: usize) {
    let server = Server::start().await;
    let url = server.url_with("ws", "");
    let (count_text, size_text) = (count.to_string(), size.to_string());
    let numbered = ["--count", &count_text, "--size", &size_text];
    let outcomes = client
        .line(&[&["send", &url, "node"], arguments, &numbered[..]].concat())
        .await;
    assert_eq!(outcomes["accepted"], count, "{outcomes}");
    let messages = server.messages("node");
    assert_eq!(messages.len(), count);
    for (number, message) in messages.iter().enumerate() {
        assert_eq!(
            message.body.as_data().unwrap(),
            &pattern(number, size),
            "body {number}"
        );
        let id = message.properties.as_ref().unwrap().message_id.clone();
        assert_eq!(id, Some(MessageId::Ulong(number as u64)));
    }

    let returned = client
        .lines(&[&["receive", &url, "node", &count_text], arguments].concat())
        .await;
    let sent: Vec<_> = messages.iter().map(to_json).collect();
    assert!(
        returned == sent,
        "{} of {count} came back, or not as they were",
        returned.len()
    );
}

fn options(sub_protocol: &str) -> ConnectionOptions {
    let options = WebSocketOptions::default().sub_protocols([sub_protocol]);
    ConnectionOptions::default().websocket(options)
}

#[tokio::test]
async fn rhea_as_a_server_gives_back_what_it_gets() {
    let Some(server) = Program::node("rhea_server.js") else {
        return;
    };
    let mut server = server.start(&["--websocket", "AMQPWSB10"]);
    let port = server.next().await.expect("its port");
    let url = format!("ws://127.0.0.1:{port}/$servicebus/websocket/");
    let connection = broker::connect(&url, options("AMQPWSB10")).await;
    let links = Links::open(&connection, "queue", ReceiverOptions::default()).await;
    for (number, size) in [10, 1000, 100_000, 2_000_000].into_iter().enumerate() {
        let body = pattern(number, size);
        assert!(links.send(Message::data(body.clone())).await.is_accepted());
        let delivery = super::soon("the message", links.receiver.recv())
            .await
            .unwrap();
        assert_eq!(delivery.message().unwrap().body.as_data().unwrap(), &body);
        delivery.accept().unwrap();
    }
    broker::close(connection).await;

    let error = Connection::open(&url, options("amqp")).await.unwrap_err();
    assert!(
        matches!(
            &error,
            ConnectError::WebSocket {
                error: WebSocketError::SubProtocol { .. },
                ..
            }
        ),
        "{error}"
    );
}
