//! Consumers that compete for the messages of one queue: each message wakes one that can take it, and none is forgotten.

use amqp10::{Outcome, Receiver};

use super::*;

/// Consumers that have found nothing, with credit for so many messages each.
async fn idle_receivers<const COUNT: usize>(session: &Session, credit: u32) -> [Receiver; COUNT] {
    let mut receivers = Vec::new();
    for _ in 0..COUNT {
        let receiver = receiver_with(session, "orders", manual()).await;
        receiver.add_credit(credit).unwrap();
        settle_down().await;
        receivers.push(receiver);
    }
    receivers.try_into().unwrap()
}

fn queued(receiver: &Receiver) -> usize {
    std::iter::from_fn(|| receiver.try_recv().unwrap())
        .map(|delivery| delivery.accept().unwrap())
        .count()
}

#[tokio::test(start_paused = true)]
async fn they_take_turns() {
    let broker = broker().await;
    let session = session(&broker).await;
    let receivers: [Receiver; 3] = idle_receivers(&session, 10).await;
    let sender = sender(&session, "orders").await;
    for _ in 0..6 {
        assert_eq!(sender.send("a").await.unwrap(), Outcome::Accepted);
        settle_down().await;
    }
    for receiver in &receivers {
        assert_eq!(queued(receiver), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn k_013_who_has_given_its_credit_back_holds_no_message_from_others() {
    let broker = broker().await;
    let session = session(&broker).await;
    let [first, second]: [Receiver; 2] = idle_receivers(&session, 1).await;
    first.drain().await.unwrap();
    publish(&session, "orders", "a").await;
    assert_eq!(taken(&second).await, "a");
    publish(&session, "orders", "b").await;
    settle_down().await;
    assert_eq!(broker.depth("orders"), Some(1));
    first.add_credit(1).unwrap();
    assert_eq!(taken(&first).await, "b");
}

#[tokio::test(start_paused = true)]
async fn k_013_a_drain_gets_what_others_have_no_credit_for() {
    let broker = broker().await;
    let session = session(&broker).await;
    let [first, second]: [Receiver; 2] = idle_receivers(&session, 1).await;
    first.drain().await.unwrap();
    second.drain().await.unwrap();
    publish(&session, "orders", "a").await;
    second.add_credit(5).unwrap();
    second.drain().await.unwrap();
    assert_eq!(second.credit(), 0);
    assert_eq!(queued(&second), 1);
    assert_eq!(queued(&first), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_consumer_is_told_of_when_it_leaves_goes_to_another() {
    let broker = broker().await;
    let (consumers, publishers) = (session(&broker).await, session(&broker).await);
    let [first, second]: [Receiver; 2] = idle_receivers(&consumers, 1).await;
    let sender = sender(&publishers, "orders").await;
    let (sent, closed) = tokio::join!(sender.send("a"), first.close());
    assert_eq!(sent.unwrap(), Outcome::Accepted);
    closed.unwrap();
    assert_eq!(taken(&second).await, "a");
}

#[tokio::test(start_paused = true)]
async fn many_messages_reach_many_consumers_with_little_credit() {
    let broker = broker().await;
    let session = session(&broker).await;
    let receivers: [Receiver; 8] = idle_receivers(&session, 1).await;
    let sender = sender(&session, "orders").await;
    for number in 0..200 {
        let sent = sender.send(format!("{number}").as_str()).await;
        assert_eq!(sent.unwrap(), Outcome::Accepted);
    }
    let mut count = 0;
    while count < 200 {
        settle_down().await;
        let before = count;
        for receiver in &receivers {
            let came = queued(receiver);
            receiver.add_credit(came as u32).unwrap();
            count += came;
        }
        assert!(count > before, "{count} have come, and no more do");
    }
    settle_down().await;
    assert_eq!(broker.depth("orders"), Some(0));
}
