//! What clients of others say to each other through our broker.

use amqp10::broker::{Broker, BrokerOptions};
use serde_json::Value as Json;

use super::broker::without_header;
use super::json::lines_of;
use super::program::{Program, path_of};

const ADDRESS: &str = "queue/interop";

/// A broker and its URL.
async fn start() -> (Broker, String) {
    let broker = Broker::start(BrokerOptions::default()).await.unwrap();
    let url = format!("amqp://{}", broker.local_addr().unwrap());
    (broker, url)
}

/// Messages without what a broker changes, in an order of their own: those with a high priority come first.
fn bare(mut messages: Vec<Json>) -> Vec<Json> {
    let nothing = Json::Object(Default::default());
    for message in &mut messages {
        without_header(&nothing, message);
    }
    messages.sort_by_cached_key(Json::to_string);
    messages
}

fn clients() -> Option<[Program; 2]> {
    let proton = Program::python("proton_client.py")?;
    let rhea = Program::node("rhea_client.js")?;
    Some([proton, rhea])
}

#[tokio::test]
async fn clients_send_every_type_to_each_other() {
    let Some(clients) = clients() else { return };
    let path = path_of("messages.jsonl");
    let lines = lines_of("messages.jsonl");
    let count = lines.len().to_string();
    for sender in &clients {
        for receiver in &clients {
            let (_broker, url) = start().await;
            let sent = ["send", &url, ADDRESS, "--messages", path.to_str().unwrap()];
            let outcomes = sender.line(&sent).await;
            assert_eq!(outcomes["accepted"], lines.len(), "{outcomes}");
            let received = receiver.lines(&["receive", &url, ADDRESS, &count]).await;
            let (received, sent) = (bare(received), bare(lines.clone()));
            assert_eq!(received, sent, "{sender:?} to {receiver:?}");
        }
    }
}

#[tokio::test]
async fn clients_send_many_and_large_messages_to_each_other() {
    let Some(clients) = clients() else { return };
    let [proton, rhea] = &clients;
    for (count, size) in [("10000", "100"), ("20", "1048576")] {
        for (sender, receiver) in [(proton, rhea), (rhea, proton)] {
            let (broker, url) = start().await;
            let sent = ["send", &url, ADDRESS, "--count", count, "--size", size];
            let outcomes = sender.line(&sent).await;
            assert_eq!(outcomes["accepted"].to_string(), count, "{outcomes}");
            let received = receiver.lines(&["receive", &url, ADDRESS, count]).await;
            assert_eq!(received.len().to_string(), count);
            broker.shutdown().await;
        }
    }
}

#[tokio::test]
async fn outcomes_of_clients_are_applied() {
    let Some(clients) = clients() else { return };
    for client in &clients {
        let (broker, url) = start().await;
        client.line(&["send", &url, ADDRESS, "--count", "5"]).await;
        for (outcome, left) in [("released", 5), ("modified", 5), ("rejected", 0)] {
            let received = ["receive", &url, ADDRESS, "5", "--outcome", outcome];
            assert_eq!(client.lines(&received).await.len(), 5);
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            assert_eq!(broker.depth(ADDRESS).unwrap_or(0), left, "{outcome}");
        }
        assert_eq!(broker.depth("dead-letters"), Some(5));
    }
}
