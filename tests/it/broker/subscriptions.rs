//! Topics, and subscriptions that outlive their links.

use amqp10::codec::{
    Attach, Fields, Flow, Performative, Source, TerminusDurability, TerminusExpiryPolicy, Value,
};
use amqp10::{Symbol, condition};

use super::*;
use crate::support::peer::{self, HANDLE};

#[tokio::test(start_paused = true)]
async fn every_subscription_gets_every_message_from_then_on() {
    let broker = broker().await;
    let session = session(&broker).await;
    let sender = sender(&session, "topic/news").await;
    assert!(sender.send("early").await.unwrap().is_accepted());
    let first = receiver(&session, "topic/news").await;
    let second = receiver(&session, "topic/news").await;
    assert!(sender.send("late").await.unwrap().is_accepted());
    for receiver in [&first, &second] {
        let delivery = next(receiver).await;
        assert_eq!(text(&delivery), "late");
        delivery.accept().unwrap();
    }
    first.close().await.unwrap();
    assert!(sender.send("later").await.unwrap().is_accepted());
    assert_eq!(broker.depth("topic/news"), Some(1));
}

fn durable(policy: TerminusExpiryPolicy, timeout: u32) -> ReceiverOptions {
    let source = Source {
        durable: TerminusDurability::Configuration,
        expiry_policy: policy,
        timeout,
        ..Source::new("topic/news")
    };
    ReceiverOptions::default().source(source).name("reader")
}

/// Subscribes, lets `end` end the link, publishes, waits, and comes back: what is there then.
async fn comes_back(
    policy: TerminusExpiryPolicy,
    timeout: u32,
    end: End,
    wait: Duration,
) -> Option<String> {
    let broker = broker().await;
    let connection = connect(&broker, "me").await;
    let session = connection.begin(SessionOptions::default()).await.unwrap();
    let reader = receiver_with(&session, "", durable(policy, timeout)).await;
    match end {
        End::Detach => reader.detach().await.unwrap(),
        End::Close => reader.close().await.unwrap(),
        End::Session => session.end().await.unwrap(),
        End::Connection => connection.close().await.unwrap(),
    }
    settle_down().await;
    let publisher = super::session(&broker).await;
    publish(&publisher, "topic/news", "news").await;
    tokio::time::sleep(wait).await;
    let connection = connect(&broker, "me").await;
    let session = connection.begin(SessionOptions::default()).await.unwrap();
    let reader = receiver_with(&session, "", durable(policy, timeout)).await;
    let delivery = tokio::time::timeout(LONG, reader.recv()).await.ok()?;
    Some(text(&delivery.unwrap()))
}

enum End {
    Detach,
    Close,
    Session,
    Connection,
}

const SHORT: Duration = Duration::from_secs(1);
const AFTER: Duration = Duration::from_secs(100);

#[tokio::test(start_paused = true)]
async fn a_012_never_expires() {
    use TerminusExpiryPolicy::Never;
    for end in [End::Detach, End::Session, End::Connection] {
        let found = comes_back(Never, 0, end, AFTER).await;
        assert_eq!(found.as_deref(), Some("news"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_028_z_053_to_close_is_to_unsubscribe() {
    let found = comes_back(TerminusExpiryPolicy::Never, 0, End::Close, SHORT).await;
    assert_eq!(found, None);
}

#[tokio::test(start_paused = true)]
async fn a_012_a_013_the_time_runs_from_the_policys_start() {
    use TerminusExpiryPolicy::{ConnectionClose, LinkDetach, SessionEnd};
    let kept = Some("news".to_owned());
    assert_eq!(comes_back(LinkDetach, 10, End::Detach, SHORT).await, kept);
    assert_eq!(comes_back(LinkDetach, 10, End::Detach, AFTER).await, None);
    assert_eq!(comes_back(LinkDetach, 0, End::Detach, SHORT).await, None);
    assert_eq!(comes_back(SessionEnd, 10, End::Detach, AFTER).await, kept);
    assert_eq!(comes_back(SessionEnd, 10, End::Session, SHORT).await, kept);
    assert_eq!(comes_back(SessionEnd, 10, End::Session, AFTER).await, None);
    assert_eq!(
        comes_back(ConnectionClose, 10, End::Session, AFTER).await,
        kept
    );
    assert_eq!(
        comes_back(ConnectionClose, 10, End::Connection, AFTER).await,
        None
    );
}

#[tokio::test(start_paused = true)]
async fn z_052_a_subscription_is_a_containers_and_a_links() {
    let broker = broker().await;
    let options = || durable(TerminusExpiryPolicy::Never, 0);
    let mine = connect(&broker, "me").await;
    let session = mine.begin(SessionOptions::default()).await.unwrap();
    receiver_with(&session, "", options())
        .await
        .detach()
        .await
        .unwrap();
    let publisher = super::session(&broker).await;
    publish(&publisher, "topic/news", "news").await;
    let theirs = connect(&broker, "you").await;
    let theirs = theirs.begin(SessionOptions::default()).await.unwrap();
    expect_nothing(&receiver_with(&theirs, "", options()).await).await;
    expect_nothing(&receiver_with(&session, "", options().name("other")).await).await;
    assert_eq!(
        taken(&receiver_with(&session, "", options()).await).await,
        "news"
    );
}

async fn subscriber(broker: &Broker) -> Session {
    let connection = connect(broker, "me").await;
    connection.begin(SessionOptions::default()).await.unwrap()
}

/// A subscription that never ends, of which one message was not taken yet.
async fn with_backlog(broker: &Broker) -> (Session, Receiver) {
    let session = subscriber(broker).await;
    let options = durable(TerminusExpiryPolicy::Never, 0).credit(Credit::Manual);
    let reader = receiver_with(&session, "", options).await;
    let publisher = super::session(broker).await;
    publish(&publisher, "topic/news", "news").await;
    (session, reader)
}

#[tokio::test(start_paused = true)]
async fn l_003_z_052_z_053_who_steals_a_link_takes_over_its_subscription() {
    let broker = broker().await;
    let (_session, reader) = with_backlog(&broker).await;
    let thief = subscriber(&broker).await;
    let options = durable(TerminusExpiryPolicy::Never, 0);
    let stolen = receiver_with(&thief, "", options).await;
    let error = reader.detached().await;
    assert_eq!(error.remote_error().unwrap().condition, condition::STOLEN);
    settle_down().await;
    publish(&thief, "topic/news", "more").await;
    assert_eq!(broker.depth("topic/news"), Some(2));
    assert_eq!(taken(&stolen).await, "news");
    assert_eq!(taken(&stolen).await, "more");
    expect_nothing(&stolen).await;
}

fn durable_attach(handle: u32) -> Attach {
    let source = Source {
        durable: TerminusDurability::Configuration,
        expiry_policy: TerminusExpiryPolicy::Never,
        ..Source::new("topic/news")
    };
    Attach {
        handle,
        source: Some(source),
        ..peer::attach_receiver("reader")
    }
}

#[tokio::test(start_paused = true)]
async fn l_003_z_052_a_link_stolen_within_its_session_keeps_its_subscription() {
    let broker = broker().await;
    let mut peer = super::wire::scripted(&broker).await;
    peer.send(durable_attach(1)).await;
    peer.expect_attach().await;
    let publisher = session(&broker).await;
    publish(&publisher, "topic/news", "news").await;
    peer.send(durable_attach(2)).await;
    loop {
        // The former link goes and the new one comes, in whatever order.
        match peer.expect().await.1 {
            Performative::Attach(_) => break,
            Performative::Detach(detach) => {
                assert_eq!(detach.error.unwrap().condition, condition::STOLEN);
            }
            other => panic!("{other:?}"),
        }
    }
    settle_down().await;
    publish(&publisher, "topic/news", "more").await;
    assert_eq!(broker.depth("topic/news"), Some(2));
}

#[tokio::test(start_paused = true)]
async fn l_003_z_052_where_links_are_not_stolen_a_subscription_has_one_reader() {
    let broker = broker_with(BrokerOptions::default().link_stealing(false)).await;
    let (_session, reader) = with_backlog(&broker).await;
    let other = subscriber(&broker).await;
    let refused = other.attach_receiver("", durable(TerminusExpiryPolicy::Never, 0));
    let error = refused.await.unwrap_err();
    let remote = error.remote_error().unwrap();
    assert_eq!(remote.condition, condition::RESOURCE_LOCKED);
    assert_eq!(broker.depth("topic/news"), Some(1));
    reader.add_credit(1).unwrap();
    assert_eq!(taken(&reader).await, "news");
}

#[tokio::test(start_paused = true)]
async fn z_053_only_the_client_unsubscribes() {
    let broker = broker().await;
    let mut peer = super::wire::scripted(&broker).await;
    peer.send(durable_attach(HANDLE)).await;
    peer.expect_attach().await;
    let publisher = session(&broker).await;
    publish(&publisher, "topic/news", "news").await;
    // The broker closes a link that acquires for a transaction that is none.
    let unknown = Value::Binary(bytes::Bytes::from_static(b"unknown"));
    let acquire = Flow {
        handle: Some(HANDLE),
        delivery_count: Some(0),
        link_credit: Some(1),
        properties: Fields::new().with(Symbol::from_static("txn-id"), unknown),
        ..peer.flow()
    };
    peer.send(acquire).await;
    while !matches!(peer.expect().await.1, Performative::Detach(_)) {}
    settle_down().await;
    assert_eq!(broker.depth("topic/news"), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_013_who_comes_back_stops_the_clock() {
    let broker = broker().await;
    let options = || durable(TerminusExpiryPolicy::LinkDetach, 60);
    let session = subscriber(&broker).await;
    for _ in 0..20 {
        let reader = receiver_with(&session, "", options()).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        reader.detach().await.unwrap();
        tokio::time::sleep(Duration::from_secs(40)).await;
    }
    let publisher = super::session(&broker).await;
    publish(&publisher, "topic/news", "news").await;
    assert_eq!(broker.depth("topic/news"), Some(1));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(broker.depth("topic/news"), None);
}
