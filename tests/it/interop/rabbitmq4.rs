//! What is RabbitMQ 4's own of outcomes and refusals; the rest is in the [matrix](super::matrix).

use std::time::Duration;

use amqp10::codec::{Annotations, Body, Fields, condition};
use amqp10::rabbitmq::{Management, QueueOptions, address};
use amqp10::request::RequestOptions;
use amqp10::sasl::SaslError;
use amqp10::{
    ConnectError, Connection, LinkError, Modified, Outcome, ReceiverOptions, SenderOptions,
    SessionError, SessionOptions,
};

use super::broker::{self, Links, close, connect, options};
use super::{peers, soon};

/// A connection, and the address of a new quorum queue that vanishes when it has been idle for two minutes.
///
/// Declared on a connection of its own, because RabbitMQ 4.0 loses a begin on the channel of a session that has just ended.
async fn quorum_queue(url: &str) -> (Connection, String) {
    let connection = connect(url, options()).await;
    let session = connection.begin(SessionOptions::default()).await.unwrap();
    let management = Management::attach(&session, RequestOptions::default())
        .await
        .unwrap();
    let name = uuid::Uuid::new_v4().to_string();
    let options = QueueOptions::quorum().argument("x-expires", 120_000_u64);
    let declared = management.declare_queue(&name, &options);
    soon("the queue", declared).await.unwrap();
    close(connection).await;
    (connect(url, broker::options()).await, address::queue(&name))
}

#[tokio::test]
async fn o_010_o_012_z_092_a_modified_message_keeps_its_annotations_and_counts_its_failures() {
    let Some(url) = peers::rabbitmq4() else {
        return;
    };
    let (connection, address) = quorum_queue(&url).await;
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
