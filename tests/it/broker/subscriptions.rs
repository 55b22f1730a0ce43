//! Topics, and subscriptions that outlive their links.

use amqp10::codec::{Source, TerminusDurability, TerminusExpiryPolicy};

use super::*;

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
