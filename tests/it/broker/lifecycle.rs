//! Starting, stopping, logging in, and links that take each other's place.

use amqp10::broker::{BrokerError, read_users};
use amqp10::codec::Value;
use amqp10::sasl::SaslError;
use amqp10::{ConnectError, Credentials, Fields, Symbol, condition};

use super::*;

#[tokio::test]
async fn a_broker_listens_on_tcp_and_says_why_it_closes() {
    let broker = Broker::start(BrokerOptions::default()).await.unwrap();
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
    let wrong = BrokerOptions::default().nodes(["orders", "no-such"]);
    let error = Broker::in_process(wrong).await.unwrap_err();
    assert!(matches!(error, BrokerError::Node(_)), "{error}");
    let too_large = BrokerOptions::default().max_message_size(65 << 20);
    let error = Broker::in_process(too_large).await.unwrap_err();
    assert!(matches!(error, BrokerError::MaxMessageSize(_)), "{error}");
    let first = Broker::start(BrokerOptions::default()).await.unwrap();
    let taken = BrokerOptions::default().address(first.local_addr().unwrap());
    let error = Broker::start(taken).await.unwrap_err();
    assert!(matches!(error, BrokerError::Listen { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn y_028_with_users_only_they_get_in() {
    let users = read_users("ana:secret\n").unwrap();
    let broker = broker_with(BrokerOptions::default().sasl(users)).await;
    let login = |credentials| login(&broker, credentials);
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

fn login(
    broker: &Broker,
    credentials: Credentials,
) -> impl Future<Output = Result<Connection, ConnectError>> {
    let options = ConnectionOptions::default()
        .credentials(credentials)
        .allow_plain_without_tls(true);
    Connection::open_with_stream(broker.connect(), options)
}

#[cfg(feature = "scram")]
#[tokio::test]
async fn y_030_the_same_users_log_in_by_scram() {
    for hash in amqp10::sasl::ScramHash::ALL {
        let users = read_users("ana:secret\n").unwrap();
        let mechanism = amqp10::sasl::SaslMechanism::Scram(hash);
        assert!(users.mechanisms.contains(&mechanism));
        let broker =
            broker_with(BrokerOptions::default().sasl(users.mechanisms([mechanism]))).await;
        let scram = |password| login(&broker, Credentials::scram("ana", password));
        scram("secret").await.unwrap();
        scram("wrong").await.unwrap_err();
    }
}

/// What a container says that wishes to be connected once; 0: a second connection is refused, 1: it takes the first one's place.
fn sole(container: &str, enforcement: u32) -> ConnectionOptions {
    let policy = Symbol::from_static("sole-connection-enforcement-policy");
    let mut options = ConnectionOptions::default().container_id(container);
    options.desired_capabilities = vec![Symbol::from_static("sole-connection-for-container")];
    options.properties = Fields::new().with(policy, enforcement);
    options
}

#[tokio::test(start_paused = true)]
async fn z_040_z_041_a_sole_connection_refuses_the_second() {
    let broker = broker().await;
    let open = |options| Connection::open_with_stream(broker.connect(), options);
    let first = open(sole("me", 0)).await.unwrap();
    let remote = first.remote_open();
    let offered = Symbol::from_static("sole-connection-for-container");
    assert!(remote.offered_capabilities.contains(&offered));
    let detection = remote.properties.get("sole-connection-detection-policy");
    assert_eq!(detection, Some(&Value::Uint(0)));
    // Detection is strong: the wish of the first is kept against who has none.
    let plain = ConnectionOptions::default().container_id("me");
    for second in [sole("me", 0), plain.clone()] {
        match open(second).await.unwrap_err() {
            ConnectError::Refused(error) => {
                assert_eq!(error.condition, condition::INVALID_FIELD);
                let field = Value::Symbol(Symbol::from_static("container-id"));
                assert_eq!(error.info.get("invalid-field"), Some(&field));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(!first.is_closed());
    open(sole("you", 0)).await.unwrap();
    first.close().await.unwrap();
    settle_down().await;
    open(plain).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn z_040_z_041_a_sole_connection_takes_the_place_of_the_first() {
    let broker = broker().await;
    let open = |options| Connection::open_with_stream(broker.connect(), options);
    let plain = ConnectionOptions::default().container_id("me");
    let mut last = open(plain).await.unwrap();
    for _ in 0..3 {
        let next = open(sole("me", 1)).await.unwrap();
        let error = last.closed().await;
        let remote = error.remote_error().unwrap();
        assert_eq!(remote.condition, condition::RESOURCE_LOCKED);
        let enforcement = remote.info.get("sole-connection-enforcement");
        assert_eq!(enforcement, Some(&Value::Bool(true)));
        last = next;
    }
    assert!(!last.is_closed());
    let other = open(sole("me", 2)).await.unwrap_err();
    assert!(matches!(other, ConnectError::Refused(_)), "{other:?}");
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
    let error = old.detached().await;
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
    assert!(!new.is_detached());
}
