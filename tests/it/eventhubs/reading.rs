//! Positions, owner levels, batches, streams.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Instant;

use amqp10::eventhubs::ErrorKind;
use futures_core::Stream;

use super::*;

#[tokio::test]
async fn every_position_is_found() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let producer = producer(&client);
    publish_numbers(&producer, 0, 5).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    publish_numbers(&producer, 5, 5).await;

    let mut all = from_start(&client, "0").await;
    let mut events = Vec::new();
    for _ in 0..10 {
        events.push(next(&mut all).await);
    }
    let third = &events[3];
    let fifth_time = events[5].enqueued_time().unwrap();
    let table = [
        (Position::earliest(), 0),
        (Position::offset(third.offset()), 4),
        (Position::offset(third.offset()).inclusive(), 3),
        (Position::sequence_number(3), 4),
        (Position::sequence_number(3).inclusive(), 3),
        (Position::enqueued_time(fifth_time).inclusive(), 5),
    ];
    for (position, first) in table {
        let options = ConsumerOptions::default().position(position.clone());
        let mut consumer = client.consumer("0", options).await.unwrap();
        assert_eq!(
            text(&next(&mut consumer).await),
            first.to_string(),
            "{position:?}"
        );
        consumer.close().await.unwrap();
    }
}

#[tokio::test]
async fn latest_is_what_comes_after_the_consumer() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let producer = producer(&client);
    let options = ConsumerOptions::default;
    // In an empty partition, and in one that holds events.
    let mut early = client.consumer("0", options()).await.unwrap();
    publish_numbers(&producer, 0, 3).await;
    let mut late = client.consumer("0", options()).await.unwrap();
    publish_numbers(&producer, 3, 1).await;
    assert_eq!(text(&next(&mut early).await), "0");
    assert_eq!(text(&next(&mut late).await), "3");
}

#[tokio::test]
async fn a_batch_ends_at_its_count_or_at_its_time() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    publish_numbers(&producer(&client), 0, 7).await;
    let mut consumer = from_start(&client, "0").await;
    let wait = Duration::from_secs(20);
    let batch = soon(consumer.recv_batch(5, wait)).await.unwrap();
    assert_eq!(
        batch.iter().map(text).collect::<Vec<_>>(),
        ["0", "1", "2", "3", "4"]
    );
    let started = Instant::now();
    let short = Duration::from_millis(200);
    let batch = soon(consumer.recv_batch(5, short)).await.unwrap();
    assert_eq!(batch.iter().map(text).collect::<Vec<_>>(), ["5", "6"]);
    assert!(started.elapsed() >= short);
    assert!(
        soon(consumer.recv_batch(5, short))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_batch_that_is_not_waited_for_loses_nothing() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    publish_numbers(&producer(&client), 0, 3).await;
    let mut consumer = from_start(&client, "0").await;
    let wait = Duration::from_secs(60);
    let impatient = tokio::time::timeout(Duration::from_millis(200), consumer.recv_batch(9, wait));
    assert!(impatient.await.is_err());
    assert_eq!(text(&next(&mut consumer).await), "0");
    let rest = consumer.recv_batch(9, Duration::ZERO).await.unwrap();
    assert_eq!(rest.iter().map(text).collect::<Vec<_>>(), ["1", "2"]);
}

#[tokio::test]
async fn the_consumer_is_a_stream() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    publish_numbers(&producer(&client), 0, 3).await;
    let mut stream = pin!(from_start(&client, "0").await);
    for number in 0..3 {
        let event = soon(poll_fn(|context| stream.as_mut().poll_next(context))).await;
        assert_eq!(text(&event.unwrap().unwrap()), number.to_string());
    }
}

#[tokio::test]
async fn a_small_prefetch_does_not_stop_the_flow() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    publish_numbers(&producer(&client), 0, 50).await;
    for prefetch in [0, 1, 3] {
        let options = ConsumerOptions::default()
            .position(Position::earliest())
            .prefetch(prefetch);
        let mut consumer = client.consumer("0", options).await.unwrap();
        for number in 0..50 {
            assert_eq!(text(&next(&mut consumer).await), number.to_string());
        }
    }
}

#[tokio::test]
async fn a_higher_owner_level_takes_the_partition_and_the_loser_is_told() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let level = |level| {
        ConsumerOptions::default()
            .position(Position::earliest())
            .name(format!("level-{level}"))
            .owner_level(level)
    };
    let mut first = client.consumer("0", level(1)).await.unwrap();
    let mut second = client.consumer("0", level(2)).await.unwrap();
    let lost = soon(first.recv()).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::OwnershipLost, "{lost}");
    assert_eq!(lost.condition(), Some("amqp:link:stolen"));
    assert!(!lost.is_retryable());
    // It has ended, as an error and as a stream.
    let ended = soon(first.recv()).await.unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::Closed);
    let mut first = pin!(first);
    let end = soon(poll_fn(|context| first.as_mut().poll_next(context))).await;
    assert!(end.is_none());

    let lower = soon(client.consumer("0", level(1))).await.unwrap_err();
    assert_eq!(lower.kind(), ErrorKind::OwnershipLost, "{lower}");
    publish_numbers(&producer(&client), 0, 1).await;
    assert_eq!(text(&next(&mut second).await), "0");
}

#[tokio::test]
async fn the_end_of_the_partition_is_told_when_asked_for() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    publish_numbers(&producer(&client), 0, 3).await;
    let mut plain = from_start(&client, "0").await;
    next(&mut plain).await;
    assert_eq!(plain.last_enqueued(), None);
    let options = ConsumerOptions::default()
        .position(Position::earliest())
        .track_last_enqueued(true);
    let mut tracking = client.consumer("0", options).await.unwrap();
    assert_eq!(tracking.last_enqueued(), None);
    let event = next(&mut tracking).await;
    assert_eq!(event.sequence_number(), 0);
    let last = tracking.last_enqueued().unwrap();
    assert_eq!(last.sequence_number, 2);
    assert!(last.enqueued_time.is_some() && last.retrieved_at.is_some());
}

#[tokio::test]
async fn what_can_not_be_read_is_refused() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let group = ConsumerOptions::default()
        .position(Position::earliest())
        .consumer_group("nobody");
    let error = soon(client.consumer("0", group)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = soon(client.consumer("99", ConsumerOptions::default()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    for wrong in ["", "0/x"] {
        let error = soon(client.consumer(wrong, ConsumerOptions::default()))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
}

#[tokio::test]
async fn a_batch_may_be_waited_for_without_end() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    publish_numbers(&producer(&client), 0, 2).await;
    let mut consumer = from_start(&client, "0").await;
    let batch = soon(consumer.recv_batch(2, Duration::MAX)).await.unwrap();
    assert_eq!(batch.len(), 2);
}
