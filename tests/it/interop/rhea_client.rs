//! rhea as a client of our listener.

use super::node_clients;
use super::program::Program;

fn client() -> Option<Program> {
    Program::node("rhea_client.js")
}

#[tokio::test]
async fn every_type_of_value() {
    let Some(client) = client() else { return };
    node_clients::messages_of_file(&client, "messages.jsonl").await;
}

#[tokio::test]
async fn ten_thousand_small_messages() {
    let Some(client) = client() else { return };
    node_clients::numbered(&client, 10_000, 100).await;
}

#[tokio::test]
async fn twenty_messages_of_1_mib() {
    let Some(client) = client() else { return };
    node_clients::numbered(&client, 20, 1 << 20).await;
}

#[tokio::test]
async fn our_outcomes() {
    let Some(client) = client() else { return };
    node_clients::outcomes_of_the_node(&client).await;
}

#[tokio::test]
async fn its_outcomes() {
    let Some(client) = client() else { return };
    node_clients::outcomes_of_the_client(&client).await;
}

#[tokio::test]
async fn settled_messages() {
    let Some(client) = client() else { return };
    node_clients::settled(&client).await;
}

#[tokio::test]
async fn refusals_are_told() {
    let Some(client) = client() else { return };
    node_clients::refusals(&client).await;
}

#[tokio::test]
async fn every_section() {
    let Some(client) = client() else { return };
    node_clients::messages_of_file(&client, "messages-all-sections.jsonl").await;
}
