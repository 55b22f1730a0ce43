//! What is asked of every client of our listener.

use amqp10::codec::MessageId;
use amqp10::{Message, Outcome};
use serde_json::json;

use super::json::{lines_of, to_json};
use super::node::Server;
use super::pattern;
use super::program::{Program, path_of};

const NODE: &str = "node";

/// The client sends the file; we get it as it is, and the client gets it back as it was.
pub async fn messages_of_file(client: &Program, file: &str) {
    let server = Server::start().await;
    let lines = lines_of(file);
    let count = lines.len();
    let path = path_of(file);
    let outcomes = client
        .line(&[
            "send",
            &server.url(""),
            NODE,
            "--messages",
            path.to_str().unwrap(),
        ])
        .await;
    assert_eq!(outcomes["accepted"], count, "{outcomes}");
    let received: Vec<_> = server.messages(NODE).iter().map(to_json).collect();
    assert_eq!(received, lines);

    let returned = client
        .lines(&["receive", &server.url(""), NODE, &count.to_string()])
        .await;
    assert_eq!(returned, lines);
    assert_eq!(
        server.outcomes(NODE, count).await,
        vec![Outcome::Accepted; count]
    );
}

/// Numbered messages from the client, and the same back.
pub async fn numbered(client: &Program, count: usize, size: usize) {
    numbered_by("amqp", &[], client, count, size).await;
}

/// The same by the scheme of a URL, with arguments more.
pub async fn numbered_by(
    scheme: &str,
    arguments: &[&str],
    client: &Program,
    count: usize,
    size: usize,
) {
    let server = Server::start().await;
    let url = server.url_with(scheme, "");
    let (count_text, size_text) = (count.to_string(), size.to_string());
    let numbered = ["--count", &count_text, "--size", &size_text];
    let outcomes = client
        .line(&[&["send", &url, NODE], arguments, &numbered[..]].concat())
        .await;
    assert_eq!(outcomes["accepted"], count, "{outcomes}");
    let messages = server.messages(NODE);
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
        .lines(&[&["receive", &url, NODE, &count_text], arguments].concat())
        .await;
    let sent: Vec<_> = messages.iter().map(to_json).collect();
    assert!(
        returned == sent,
        "{} of {count} came back, or not as they were",
        returned.len()
    );
}

/// Our node's outcomes reach the client.
pub async fn outcomes_of_the_node(client: &Program) {
    let server = Server::start().await;
    let table = [
        ("reject", "rejected"),
        ("release", "released"),
        ("modify", "modified"),
    ];
    for (node, outcome) in table {
        let outcomes = client
            .line(&["send", &server.url(""), node, "--count", "5"])
            .await;
        assert_eq!(outcomes[outcome], 5, "{node}: {outcomes}");
    }
}

/// The client's outcomes reach our sender.
pub async fn outcomes_of_the_client(client: &Program) {
    let server = Server::start().await;
    for outcome in ["accepted", "rejected", "released", "modified"] {
        for number in 0..3 {
            server.put(outcome, Message::data(pattern(number, 20)));
        }
        client
            .lines(&[
                "receive",
                &server.url(""),
                outcome,
                "3",
                "--outcome",
                outcome,
            ])
            .await;
        let as_said = |seen: &Outcome| {
            matches!(
                (outcome, seen),
                ("accepted", Outcome::Accepted)
                    | ("rejected", Outcome::Rejected(_))
                    | ("released", Outcome::Released)
                    | ("modified", Outcome::Modified(_))
            )
        };
        let seen = server.outcomes(outcome, 3).await;
        assert!(
            seen.len() == 3 && seen.iter().all(as_said),
            "{outcome}: {seen:?}"
        );
    }
}

pub async fn settled(client: &Program) {
    let server = Server::start().await;
    let arguments = [
        "send",
        &server.url(""),
        NODE,
        "--count",
        "1000",
        "--settled",
    ];
    assert_eq!(client.line(&arguments).await["settled"], json!(1000));
    let all = async {
        while server.messages(NODE).len() < 1000 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    super::soon("the messages", all).await;
}

/// The refusal of a link and of a password arrive as errors, with our words.
pub async fn refusals(client: &Program) {
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
