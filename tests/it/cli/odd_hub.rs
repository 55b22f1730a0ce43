//! `send` and `receive` against a hub that does what neither the service nor the emulator does on demand.

use std::sync::Arc;
use std::time::Duration;

use amqp10::codec::{Map, Message, Modified, Properties, Rejected, Role, Value, condition};
use amqp10::{
    AcceptLinkOptions, AcceptedLink, AmqpError, ApplicationProperties, Connection, Listener,
    ListenerOptions, Outcome, Receiver, Sender,
};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use super::{LIMIT, command, end_of, lines, run};

/// What the hub does with each message.
#[derive(Clone)]
enum Manner {
    /// Settles it with this outcome.
    Settle(Outcome),
    /// Closes the connection in its place, and says here that it has.
    Close(Arc<Notify>),
}

/// Starts a hub without partitions that lets everybody in; its connection string.
async fn odd_hub(manner: Manner) -> String {
    let listener = Listener::bind("127.0.0.1:0", ListenerOptions::default())
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok(incoming) = listener.accept().await {
            let connection = incoming.accept().await.unwrap();
            tokio::spawn(serve(connection, manner.clone()));
        }
    });
    format!(
        "Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=a;SharedAccessKey=k;\
         UseDevelopmentEmulator=true;EntityPath=odd"
    )
}

async fn serve(connection: Connection, manner: Manner) {
    let mut replies = None;
    while let Ok(link) = connection.accept_link().await {
        let is_request = link.attach().role == Role::Sender
            && matches!(&link.attach().target, Some(target) if format!("{target:?}").contains('$'));
        match link.accept(AcceptLinkOptions::default()).await.unwrap() {
            // The link for replies is attached before the one for requests.
            AcceptedLink::Sender(sender) => replies = Some(sender),
            AcceptedLink::Receiver(receiver) if is_request => {
                tokio::spawn(answer(receiver, replies.take().unwrap()));
            }
            AcceptedLink::Receiver(receiver) => {
                tokio::spawn(take(receiver, connection.clone(), manner.clone()));
            }
        }
    }
}

/// Answers whatever is asked, of `$cbs` and `$management` alike.
async fn answer(requests: Receiver, replies: Sender) {
    while let Ok(request) = requests.recv().await {
        request.accept().unwrap();
        let asked = request.message().unwrap().properties.unwrap();
        let hub = Map::from_iter([
            (Value::from("name"), Value::from("odd")),
            (Value::from("partition_ids"), Value::List(Vec::new())),
        ]);
        let reply = Message::value(Value::Map(hub))
            .with_properties(Properties {
                correlation_id: asked.message_id,
                ..Properties::default()
            })
            .with_application_properties(
                ApplicationProperties::new().with("status-code", Value::Int(200)),
            );
        assert_eq!(replies.send(reply).await.unwrap(), Outcome::Accepted);
    }
}

async fn take(receiver: Receiver, connection: Connection, manner: Manner) {
    while let Ok(delivery) = receiver.recv().await {
        match &manner {
            Manner::Settle(outcome) => delivery.settle(outcome.clone()).unwrap(),
            Manner::Close(closed) => {
                // By now the client has made its next batch, for which it would connect anew.
                tokio::time::sleep(Duration::from_millis(100)).await;
                let error = AmqpError::new(condition::CONNECTION_FORCED, "maintenance");
                let _ = connection.close_with_error(error).await;
                closed.notify_one();
            }
        }
    }
}

#[tokio::test]
async fn each_outcome_of_a_batch_is_counted_as_what_it_is() {
    let error = AmqpError::new(condition::NOT_ALLOWED, "not here");
    let rejected = |error| Outcome::Rejected(Rejected { error });
    let modified = Outcome::Modified(Modified {
        undeliverable_here: true,
        ..Modified::default()
    });
    for (outcome, name) in [
        (rejected(None), "rejected"),
        (rejected(Some(Box::new(error))), "rejected"),
        (Outcome::Released, "released"),
        (modified, "modified"),
    ] {
        let target = odd_hub(Manner::Settle(outcome)).await;
        let ended = run(&["send", &target, "--json"], lines(3).as_bytes()).await;
        ended.assert_failure(&["odd", name]);
        let mut summary = ended.json();
        summary["seconds"] = json!(0);
        let mut expected = json!({
            "sent": 0, "accepted": 0, "rejected": 0, "released": 0, "modified": 0, "seconds": 0
        });
        // How many lines a batch takes depends on how they arrive.
        let sent = summary["sent"].clone();
        assert!(sent.as_u64() > Some(0), "{ended:?}");
        (expected["sent"], expected[name]) = (sent.clone(), sent);
        assert_eq!(summary, expected);
    }
}

#[tokio::test]
async fn settled_events_count_only_if_the_connection_ends_well() {
    let closed = Arc::new(Notify::new());
    let target = odd_hub(Manner::Close(closed.clone())).await;
    let mut child = command(&["send", &target, "--settled"]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"x\n").await.unwrap();
    let closed = tokio::time::timeout(LIMIT, closed.notified());
    closed.await.expect("the line reaches the hub");
    drop(stdin);
    let ended = end_of(child).await;
    ended.assert_failure(&["handed over", "amqp:connection:forced", "maintenance"]);
}

#[tokio::test]
async fn the_window_of_a_hub_is_never_exceeded() {
    let target = odd_hub(Manner::Settle(Outcome::Released)).await;
    let arguments = ["send", &target, "--json", "--window", "5", "--count", "20"];
    let ended = run(&[&arguments[..], &["--size", "1"]].concat(), b"").await;
    ended.assert_failure(&["released"]);
    assert!(ended.json()["sent"].as_u64() <= Some(5), "{ended:?}");
}

#[tokio::test]
async fn a_hub_without_partitions_cannot_be_read() {
    let target = odd_hub(Manner::Settle(Outcome::Accepted)).await;
    let ended = run(&["receive", &target], b"").await;
    ended.assert_failure(&["odd", "no partitions"]);
}
