//! RabbitMQ 4, whose own protocol is AMQP 1.0.

use std::time::Duration;

use amqp10::codec::{
    Annotations, Body, Fields, Map, MessageId, Properties, SenderSettleMode, Source, Target,
    condition,
};
use amqp10::{
    ConnectError, Connection, LinkError, Message, Modified, Outcome, ReceiverOptions, SaslError,
    SenderOptions, SessionError, SessionOptions, Value,
};
use serde_json::Value as Json;

use super::broker::{self, Links, close, connect, options};
use super::{peers, soon};

/// A connection, and the address of a new queue that vanishes when it has been idle for two minutes.
async fn queue(url: &str, kind: &str) -> (Connection, String) {
    let name = uuid::Uuid::new_v4().to_string();
    soon("the queue", declare(url, &name, kind)).await;
    (connect(url, options()).await, format!("/queues/{name}"))
}

/// Declares a queue through the management node: two links of one name, a request and its response.
///
/// On a connection of its own, because RabbitMQ 4.0 loses a begin on the channel of a session that has just ended.
async fn declare(url: &str, name: &str, kind: &str) {
    let connection = connect(url, options()).await;
    let session = connection.begin(SessionOptions::default()).await.unwrap();
    let node = "/management";
    let paired = || Fields::default().with_static("paired", true);
    let sender_options = SenderOptions::default()
        .name("management")
        .snd_settle_mode(SenderSettleMode::Settled)
        .source(Source {
            address: Some(node.into()),
            ..Source::default()
        })
        .properties(paired());
    let receiver_options = ReceiverOptions::default()
        .name("management")
        .snd_settle_mode(SenderSettleMode::Settled)
        .target(Target {
            address: Some(node.into()),
            ..Target::default()
        })
        .properties(paired());
    let sender = session.attach_sender(node, sender_options).await.unwrap();
    let receiver = session
        .attach_receiver(node, receiver_options)
        .await
        .unwrap();

    let arguments = Map::default()
        .with("x-queue-type", kind)
        .with("x-expires", 120_000_u64);
    let request = Map::default()
        .with("durable", true)
        .with("auto_delete", false)
        .with("arguments", Value::Map(arguments));
    let properties = Properties {
        message_id: Some(MessageId::Ulong(1)),
        to: Some(format!("/queues/{name}").into()),
        subject: Some("PUT".into()),
        reply_to: Some("$me".into()),
        ..Properties::default()
    };
    let request = Message::value(Value::Map(request)).with_properties(properties);
    sender.send_settled(request).await.unwrap();

    let delivery = receiver.recv().await.unwrap();
    let response = delivery.message().unwrap();
    let properties = response.properties.unwrap();
    assert_eq!(
        properties.subject.as_deref(),
        Some("201"),
        "{:?}",
        response.body
    );
    assert_eq!(properties.correlation_id, Some(MessageId::Ulong(1)));
    session.end().await.unwrap();
    close(connection).await;
}

macro_rules! scenario {
    ($($name:ident)*) => { $(
        #[tokio::test]
        async fn $name() {
            let Some(url) = peers::rabbitmq4() else { return };
            let (connection, address) = queue(&url, "classic").await;
            broker::$name(&connection, &address).await;
        }
    )* };
}

scenario!(ten_thousand_small_messages twenty_messages_of_1_mib settled_messages batches_by_credit drain outcomes);

#[tokio::test]
async fn frames_of_any_size() {
    let Some(url) = peers::rabbitmq4() else {
        return;
    };
    let (connection, address) = queue(&url, "classic").await;
    broker::frames_of_any_size(&url, &address).await;
    close(connection).await;
}

#[tokio::test]
async fn every_type_of_value() {
    let Some(url) = peers::rabbitmq4() else {
        return;
    };
    let (connection, address) = queue(&url, "classic").await;
    broker::messages_of_file(&connection, &address, "messages.jsonl", strip).await;
}

#[tokio::test]
async fn every_section() {
    let Some(url) = peers::rabbitmq4() else {
        return;
    };
    let (connection, address) = queue(&url, "classic").await;
    broker::messages_of_file(&connection, &address, "messages-all-sections.jsonl", strip).await;
}

/// RabbitMQ writes a header of its own, ends delivery annotations as it should, and says in two annotations where the
/// message was published.
fn strip(sent: &Json, received: &mut Json) {
    let received = received.as_object_mut().unwrap();
    for section in ["header", "delivery_annotations"] {
        match sent.get(section) {
            Some(sent) => received.insert(section.into(), sent.clone()),
            None => received.remove(section),
        };
    }
    if let Some(Json::Array(annotations)) = received.get_mut("message_annotations") {
        annotations
            .retain(|pair| !matches!(pair[0][1].as_str(), Some("x-exchange" | "x-routing-key")));
        if annotations.is_empty() {
            received.remove("message_annotations");
        }
    }
}

#[tokio::test]
async fn o_010_o_012_z_092_a_modified_message_keeps_its_annotations_and_counts_its_failures() {
    let Some(url) = peers::rabbitmq4() else {
        return;
    };
    let (connection, address) = queue(&url, "quorum").await;
    let links = Links::open(&connection, &address, ReceiverOptions::default()).await;
    assert!(links.send("try me").await.is_accepted());
    let modified = Modified {
        delivery_failed: true,
        undeliverable_here: false,
        message_annotations: Fields::default().with_static("x-opt-tried", "here"),
    };
    links.recv().await.modify(modified).unwrap();
    let again = links.recv().await;
    let message = again.message().unwrap();
    assert_eq!(message.body, Body::Value("try me".into()));
    assert_eq!(message.header.unwrap().delivery_count, 1);
    let annotations: Annotations = message.message_annotations.unwrap();
    assert_eq!(annotations.get("x-opt-tried"), Some(&"here".into()));
    again.accept().unwrap();
    links.close().await;
}

#[tokio::test]
async fn an_unknown_queue_ends_the_session_and_leaves_the_connection() {
    let Some(url) = peers::rabbitmq4() else {
        return;
    };
    let connection = connect(&url, options()).await;
    let session = connection.begin(SessionOptions::default()).await.unwrap();
    let other = connection.begin(SessionOptions::default()).await.unwrap();
    let receiver = session.attach_receiver("/queues/there-is-none", ReceiverOptions::default());
    let error = soon("the refusal", receiver).await.unwrap_err();
    assert!(
        matches!(
            error,
            LinkError::Session(SessionError::RemoteEnded(Some(_)))
        ),
        "{error:?}"
    );
    assert_eq!(
        error.remote_error().unwrap().condition,
        condition::NOT_FOUND
    );
    assert!(error.to_string().contains("there-is-none"), "{error}");
    assert!(!error.is_retryable());

    let stray = other.attach_sender("/exchanges/amq.fanout", SenderOptions::default());
    soon("the attach", stray)
        .await
        .unwrap()
        .close()
        .await
        .unwrap();
    other.end().await.unwrap();
    close(connection).await;
}

#[tokio::test]
async fn z_091_a_message_to_no_queue_is_released() {
    let Some(url) = peers::rabbitmq4() else {
        return;
    };
    let connection = connect(&url, options()).await;
    let session = connection.begin(SessionOptions::default()).await.unwrap();
    let exchange = "/exchanges/amq.direct/nobody-listens";
    let sender = session
        .attach_sender(exchange, SenderOptions::default())
        .await
        .unwrap();
    let outcome = soon("the outcome", sender.send("hello")).await.unwrap();
    assert_eq!(outcome, Outcome::Released);
    close(connection).await;
}

#[tokio::test]
async fn a_wrong_password_is_told_as_such() {
    let Some(url) = peers::rabbitmq4() else {
        return;
    };
    let url = url.replace("guest:guest", "guest:wrong");
    let error = soon("the refusal", Connection::open(&url, options()))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::Sasl(SaslError::AuthenticationFailed { .. })
        ),
        "{error:?}"
    );
    assert!(!error.to_string().contains("wrong"), "{error}");
}

#[tokio::test]
async fn heartbeats_keep_an_idle_connection() {
    let Some(url) = peers::rabbitmq4() else {
        return;
    };
    let idle = options().idle_time_out(Duration::from_secs(2));
    let connection = connect(&url, idle).await;
    let silence = tokio::time::timeout(Duration::from_secs(5), connection.closed()).await;
    assert!(silence.is_err(), "{silence:?}");
    close(connection).await;
}
