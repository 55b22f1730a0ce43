//! Producers that number their events (idempotent producers), on the wire.

use amqp10::codec::Annotations;
use amqp10::{Outcome, SendError};

use super::*;

const CAPABILITY: Symbol = Symbol::from_static("com.microsoft:idempotent-producer");
const ID: Symbol = Symbol::from_static("com.microsoft:producer-id");
const EPOCH: Symbol = Symbol::from_static("com.microsoft:producer-epoch");
const NUMBER: Symbol = Symbol::from_static("com.microsoft:producer-sequence-number");
const STOLEN: &str = "com.microsoft:producer-epoch-stolen";

fn claiming(
    id: impl Into<Value>,
    epoch: impl Into<Value>,
    last: impl Into<Value>,
) -> SenderOptions {
    let properties = amqp10::codec::Fields::new()
        .with(ID, id)
        .with(EPOCH, epoch)
        .with(NUMBER, last);
    SenderOptions::default()
        .desired_capabilities([CAPABILITY])
        .properties(properties)
}

fn numbered(text: &str, (id, epoch): (i64, i16), number: i32) -> Message {
    let annotations = Annotations::new()
        .with(ID, id)
        .with(EPOCH, epoch)
        .with(NUMBER, number);
    Message {
        message_annotations: Some(annotations),
        ..Message::data(text.to_owned())
    }
}

/// What the answer to the attach says is in force.
fn in_force(sender: &Sender) -> (i64, i16, i32) {
    let attach = sender.remote_attach();
    assert_eq!(attach.offered_capabilities, [CAPABILITY]);
    let property = |key: Symbol| attach.properties.get(key.as_str()).cloned();
    match (property(ID), property(EPOCH), property(NUMBER)) {
        (Some(Value::Long(id)), Some(Value::Short(epoch)), Some(Value::Int(number))) => {
            (id, epoch, number)
        }
        other => panic!("wrong types: {other:?}"),
    }
}

async fn attach(session: &Session, options: SenderOptions) -> Result<Sender, LinkError> {
    soon(session.attach_sender("orders/Partitions/0", options)).await
}

fn rejection(outcome: Result<Outcome, SendError>) -> AmqpError {
    match outcome {
        Ok(Outcome::Rejected(rejected)) => *rejected.error.expect("a reason is given"),
        other => panic!("{other:?}"),
    }
}

async fn stored(session: &Session, count: usize) -> Vec<String> {
    publish(session, &["end"]).await;
    let receiver = session
        .attach_receiver(reader_address(0), ReceiverOptions::default())
        .await
        .unwrap();
    let mut stored = texts(&receiver, count + 1).await;
    assert_eq!(stored.pop().as_deref(), Some("end"));
    stored
}

#[tokio::test]
async fn who_asks_with_nulls_is_given_an_identity_with_which_repeats_are_stored_once() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    let sender = attach(&session, claiming(Value::Null, Value::Null, Value::Null))
        .await
        .unwrap();
    let (id, epoch, last) = in_force(&sender);
    let event = |text: &str, ahead| numbered(text, (id, epoch), last + ahead);

    let events = [event("1", 1), event("2", 2)];
    assert!(sender.send(batch(&events)).await.unwrap().is_accepted());
    assert!(sender.send(batch(&events)).await.unwrap().is_accepted());
    assert!(sender.send(event("3", 3)).await.unwrap().is_accepted());
    let straddling = [event("3", 3), event("4", 4)];
    assert!(sender.send(batch(&straddling)).await.unwrap().is_accepted());
    assert_eq!(stored(&session, 4).await, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_gap_a_foreign_number_and_a_missing_one_are_refused() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    let sender = attach(&session, claiming(7_i64, 1_i16, 10_i32))
        .await
        .unwrap();
    assert_eq!(in_force(&sender), (7, 1, 10));
    let table = [
        (
            numbered("x", (7, 1), 12),
            "com.microsoft:out-of-order-sequence",
        ),
        (numbered("x", (8, 1), 11), "com.microsoft:argument-error"),
        (numbered("x", (7, 2), 11), "com.microsoft:argument-error"),
        (Message::data("x"), "com.microsoft:argument-error"),
    ];
    for (event, condition) in table {
        let error = rejection(sender.send(event).await);
        assert_eq!(error.condition.as_str(), condition, "{error:?}");
    }
    assert!(
        sender
            .send(numbered("good", (7, 1), 11))
            .await
            .unwrap()
            .is_accepted()
    );
    assert_eq!(stored(&session, 1).await, ["good"]);
}

#[tokio::test]
async fn a_newer_epoch_takes_over_and_the_old_one_cannot_come_back() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    let old = attach(&session, claiming(7_i64, 1_i16, 0_i32))
        .await
        .unwrap();
    let (_other, elsewhere) = root(&emulator).await;
    let new = attach(&elsewhere, claiming(7_i64, 2_i16, 0_i32))
        .await
        .unwrap();
    let error = soon(old.detached()).await;
    assert_eq!(error.remote_error().unwrap().condition.as_str(), STOLEN);
    assert!(
        new.send(numbered("new", (7, 2), 1))
            .await
            .unwrap()
            .is_accepted()
    );

    let late = attach(&session, claiming(7_i64, 1_i16, 0_i32)).await;
    let error = match late {
        Err(error) => error,
        Ok(late) => soon(late.detached()).await,
    };
    assert_eq!(error.remote_error().unwrap().condition.as_str(), STOLEN);
    assert!(!new.is_detached());
}

#[tokio::test]
async fn the_same_run_comes_back_with_its_own_number_and_repeats_what_it_is_unsure_of() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    let sender = attach(&session, claiming(7_i64, 1_i16, i32::MAX - 2))
        .await
        .unwrap();
    let events = [
        numbered("a", (7, 1), i32::MAX - 1),
        numbered("b", (7, 1), i32::MAX),
        numbered("c", (7, 1), 0),
    ];
    assert!(sender.send(batch(&events)).await.unwrap().is_accepted());
    sender.close().await.unwrap();
    // The answer was lost: the producer goes on from what it knows.
    let sender = attach(&session, claiming(7_i64, 1_i16, i32::MAX - 2))
        .await
        .unwrap();
    assert_eq!(in_force(&sender), (7, 1, i32::MAX - 2));
    assert!(sender.send(batch(&events)).await.unwrap().is_accepted());
    assert!(
        sender
            .send(numbered("d", (7, 1), 1))
            .await
            .unwrap()
            .is_accepted()
    );
    assert_eq!(stored(&session, 4).await, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn links_to_a_hub_are_served_without_the_capability() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    let sender = session
        .attach_sender("orders", claiming(Value::Null, Value::Null, Value::Null))
        .await
        .unwrap();
    assert!(sender.remote_attach().offered_capabilities.is_empty());
}

#[tokio::test]
async fn properties_of_other_types_are_refused() {
    let emulator = emulator().await;
    let (_connection, session) = root(&emulator).await;
    for options in [
        claiming("seven", 0_i16, 0_i32),
        claiming(7_i64, 40_000_i32, 0_i32),
        claiming(7_i64, 0_i16, -2_i32),
    ] {
        let error = match attach(&session, options).await {
            Err(error) => error,
            Ok(sender) => soon(sender.detached()).await,
        };
        let condition = &error.remote_error().unwrap().condition;
        assert_eq!(condition.as_str(), "amqp:invalid-field");
    }
}
