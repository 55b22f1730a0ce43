//! What clients of others are told by our listener when it refuses them.

use super::node::Server;
use super::program::Program;

const NODE: &str = "node";

#[tokio::test]
async fn proton_is_told() {
    let Some(client) = Program::python("proton_client.py") else {
        return;
    };
    refusals_are_told(&client).await;
}

#[tokio::test]
async fn rhea_is_told() {
    let Some(client) = Program::node("rhea_client.js") else {
        return;
    };
    refusals_are_told(&client).await;
}

/// The refusal of a link and of a password arrive as errors, with our words.
async fn refusals_are_told(client: &Program) {
    let server = Server::start().await;
    let error = client
        .run(&["send", &server.url(""), "unknown"])
        .await
        .unwrap_err();
    assert!(
        error.contains("amqp:not-found") && error.contains("no such node"),
        "{error}"
    );
    let error = client
        .run(&["receive", &server.url(""), "unknown", "1"])
        .await
        .unwrap_err();
    assert!(
        error.contains("amqp:not-found") && error.contains("no such node"),
        "{error}"
    );
    client
        .run(&["send", &server.url("tim:wrong@"), NODE])
        .await
        .unwrap_err();
    let outcomes = client
        .line(&["send", &server.url("tim:secret@"), NODE])
        .await;
    assert_eq!(outcomes["accepted"], 1);
}
