//! RabbitMQ 3.10 with its AMQP 1.0 plugin, which translates to AMQP 0-9-1 and back.
//!
//! It ends the session at the outcome modified and at drain, so neither is tried.

use amqp10::codec::AmqpError;
use amqp10::{ConnectError, Connection, ReceiverOptions, SaslError, SessionOptions};

use super::broker::{self, Links, connect, options};
use super::{json, peers, soon};

/// A connection, and the address of a queue that is made when it is first used.
async fn queue(url: &str) -> (Connection, String) {
    let connection = connect(url, options()).await;
    (connection, format!("/queue/{}", uuid::Uuid::new_v4()))
}

macro_rules! scenario {
    ($($name:ident)*) => { $(
        #[tokio::test]
        async fn $name() {
            let Some(url) = peers::rabbitmq3() else { return };
            let (connection, address) = queue(&url).await;
            broker::$name(&connection, &address).await;
        }
    )* };
}

scenario!(ten_thousand_small_messages twenty_messages_of_1_mib settled_messages batches_by_credit outcomes);

#[tokio::test]
async fn frames_of_any_size() {
    let Some(url) = peers::rabbitmq3() else {
        return;
    };
    let (connection, address) = queue(&url).await;
    broker::frames_of_any_size(&url, &address).await;
    broker::close(connection).await;
}

#[tokio::test]
async fn what_can_be_translated_comes_back_equal() {
    let Some(url) = peers::rabbitmq3() else {
        return;
    };
    let (connection, address) = queue(&url).await;
    let links = Links::open(&connection, &address, ReceiverOptions::default()).await;
    let sent = broker::translatable();
    assert!(links.send(sent.clone()).await.is_accepted());
    let delivery = links.recv().await;
    let mut received = delivery.message().unwrap();
    received.header.as_mut().unwrap().first_acquirer = false;
    delivery.accept().unwrap();
    assert_eq!(json::to_json(&received), json::to_json(&sent));
    links.close().await;
}

#[tokio::test]
async fn an_address_that_makes_no_sense_is_refused() {
    let Some(url) = peers::rabbitmq3() else {
        return;
    };
    let connection = connect(&url, options()).await;
    let session = connection.begin(SessionOptions::default()).await.unwrap();
    let receiver = session.attach_receiver("/nonsense/name", ReceiverOptions::default());
    let error = soon("the refusal", receiver).await.unwrap_err();
    let remote: Option<&AmqpError> = error.remote_error();
    assert!(remote.is_some(), "{error:?}");
}

#[tokio::test]
async fn a_wrong_password_is_told_as_such() {
    let Some(url) = peers::rabbitmq3() else {
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
}
