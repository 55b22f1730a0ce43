//! Starting, stopping, logging in, and links that take each other's place.

use amqp10::broker::{BrokerError, read_users};
use amqp10::{ConnectError, Credentials, SaslError, condition};

use super::*;

#[tokio::test]
async fn a_broker_listens_on_tcp_and_says_why_it_closes() {
    let broker = Broker::start(BrokerOptions::new()).await.unwrap();
    let url = format!("amqp://{}", broker.local_addr().unwrap());
    let connection = Connection::open(&url, ConnectionOptions::default())
        .await
        .unwrap();
    let session = connection.begin(SessionOptions::default()).await.unwrap();
    publish(&session, "orders", "a").await;
    broker.shutdown().await;
    let error = connection.closed().await;
    let remote = error.remote_error().unwrap();
    assert_eq!(remote.condition, condition::CONNECTION_FORCED);
}

#[tokio::test(start_paused = true)]
async fn queues_outlive_connections_and_dropping_the_broker_ends_all() {
    let broker = broker().await;
    let first = session(&broker).await;
    publish(&first, "orders", "a").await;
    broker.close_connections();
    first.connection().closed().await;
    let second = session(&broker).await;
    let receiver = receiver(&second, "orders").await;
    assert_eq!(taken(&receiver).await, "a");
    drop(broker);
    second.connection().closed().await;
}

#[tokio::test]
async fn wrong_options_say_so() {
    let wrong = BrokerOptions::new().nodes(["orders", "no-such"]);
    let error = Broker::in_process(wrong).await.unwrap_err();
    assert!(matches!(error, BrokerError::Node(_)), "{error}");
    let first = Broker::start(BrokerOptions::new()).await.unwrap();
    let taken = BrokerOptions::new().address(first.local_addr().unwrap());
    let error = Broker::start(taken).await.unwrap_err();
    assert!(matches!(error, BrokerError::Listen { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn y_028_with_users_only_they_get_in() {
    let users = read_users("ana:secret\n").unwrap();
    let broker = broker_with(BrokerOptions::new().users(users)).await;
    let login = |credentials| {
        let options = ConnectionOptions::default()
            .credentials(credentials)
            .allow_plain_without_tls(true);
        Connection::open_with_stream(broker.connect(), options)
    };
    login(Credentials::plain("ana", "secret")).await.unwrap();
    let refused = login(Credentials::plain("ana", "wrong")).await.unwrap_err();
    assert!(
        matches!(
            refused,
            ConnectError::Sasl(SaslError::AuthenticationFailed { .. })
        ),
        "{refused:?}"
    );
    login(Credentials::Anonymous).await.unwrap_err();
    login(Credentials::None).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn l_020_a_link_of_the_same_name_takes_the_place_of_the_other() {
    let options = || ReceiverOptions::default().name("worker");
    let broker = broker().await;
    let first = connect(&broker, "me")
        .await
        .begin(SessionOptions::default())
        .await
        .unwrap();
    let old = receiver_with(&first, "orders", options()).await;
    publish(&first, "orders", "a").await;
    let delivery = next(&old).await;

    let second = connect(&broker, "me")
        .await
        .begin(SessionOptions::default())
        .await
        .unwrap();
    let new = receiver_with(&second, "orders", options()).await;
    let error = old.closed().await;
    assert_eq!(error.remote_error().unwrap().condition, condition::STOLEN);
    assert_eq!(taken(&new).await, "a");
    drop(delivery);

    let other = connect(&broker, "you")
        .await
        .begin(SessionOptions::default())
        .await
        .unwrap();
    let _other = receiver_with(&other, "orders", options()).await;
    settle_down().await;
    assert!(!new.is_closed());
}
