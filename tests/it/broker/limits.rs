//! What the broker does not take.

use amqp10::codec::{Message, Outcome};
use amqp10::{ConnectError, condition};

use super::*;

fn rejection(outcome: Outcome) -> amqp10::Symbol {
    match outcome {
        Outcome::Rejected(rejected) => rejected.error.unwrap().condition,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_rejects_and_takes_again_when_there_is_room() {
    let broker = broker_with(BrokerOptions::default().max_queue_messages(2)).await;
    let session = session(&broker).await;
    let sender = sender(&session, "orders").await;
    for _ in 0..2 {
        assert!(sender.send("a").await.unwrap().is_accepted());
    }
    let refused = sender.send("b").await.unwrap();
    assert_eq!(rejection(refused), condition::RESOURCE_LIMIT_EXCEEDED);
    let receiver = receiver(&session, "orders").await;
    next(&receiver).await.accept().unwrap();
    settle_down().await;
    assert!(sender.send("b").await.unwrap().is_accepted());
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_makes_room() {
    let broker = broker_with(BrokerOptions::default().max_queue_messages(1)).await;
    let session = session(&broker).await;
    let sender = sender(&session, "orders").await;
    let header = amqp10::codec::Header {
        ttl: Some(10),
        ..Default::default()
    };
    let message = Message::from("a").with_header(header);
    assert!(sender.send(message).await.unwrap().is_accepted());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(sender.send("b").await.unwrap().is_accepted());
}

#[tokio::test(start_paused = true)]
async fn all_queues_together_are_bounded() {
    let broker = broker_with(BrokerOptions::default().max_bytes(10_000)).await;
    let session = session(&broker).await;
    let large = || Message::data(vec![0; 6000]);
    assert!(
        sender(&session, "a")
            .await
            .send(large())
            .await
            .unwrap()
            .is_accepted()
    );
    let refused = sender(&session, "b").await.send(large()).await.unwrap();
    assert_eq!(rejection(refused), condition::RESOURCE_LIMIT_EXCEEDED);
    let receiver = receiver(&session, "a").await;
    next(&receiver).await.accept().unwrap();
    settle_down().await;
    assert!(
        sender(&session, "b")
            .await
            .send(large())
            .await
            .unwrap()
            .is_accepted()
    );
}

#[tokio::test(start_paused = true)]
async fn l_027_the_largest_message_is_announced() {
    let broker = broker_with(BrokerOptions::default().max_message_size(1000)).await;
    let session = session(&broker).await;
    let sender = sender(&session, "orders").await;
    assert_eq!(sender.max_message_size(), Some(1000));
    assert!(sender.send(Message::data(vec![0; 2000])).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn links_and_nodes_and_connections_are_counted() {
    let options = BrokerOptions::default()
        .max_links(2)
        .max_nodes(3)
        .max_connections(2);
    let broker = broker_with(options).await;
    let first = session(&broker).await;
    let (_a, _b) = (sender(&first, "a").await, sender(&first, "b").await);
    let refused = first
        .attach_sender("a", SenderOptions::default())
        .await
        .unwrap_err();
    let limit = condition::RESOURCE_LIMIT_EXCEEDED;
    assert_eq!(refused.remote_error().unwrap().condition, limit);
    let second = session(&broker).await;
    let _c = sender(&second, "c").await;
    let refused = second
        .attach_sender("d", SenderOptions::default())
        .await
        .unwrap_err();
    assert_eq!(refused.remote_error().unwrap().condition, limit);
    let third = Connection::open_with_stream(broker.connect(), ConnectionOptions::default()).await;
    match third {
        Err(ConnectError::Refused(error)) => assert_eq!(error.condition, limit),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_too_large_for_one_consumer_goes_to_another() {
    let broker = broker().await;
    let session = session(&broker).await;
    let options = ReceiverOptions::default().max_message_size(1000);
    let small = receiver_with(&session, "orders", options).await;
    let sender = sender(&session, "orders").await;
    let large = Message::data(vec![0; 2000]);
    assert!(sender.send(large).await.unwrap().is_accepted());
    assert!(sender.send("b").await.unwrap().is_accepted());
    assert_eq!(taken(&small).await, "b");
    let large = receiver(&session, "orders").await;
    assert_eq!(next(&large).await.message().unwrap().body_len(), 2000);
}
