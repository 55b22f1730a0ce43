//! Events one at a time, sent in batches.

use std::num::NonZeroU32;

use amqp10::AcceptLinkOptions;
use amqp10::eventhubs::{
    BufferedProducer, BufferedProducerOptions, ErrorKind, EventReceipt, partition_for_key,
};
use tokio::time::Instant;

use super::script::{Scripted, arrives, nothing_arrives};
use super::*;

/// Octets of an event whose body is one letter, in its section.
const TINY: usize = 11;

fn options() -> BufferedProducerOptions {
    BufferedProducerOptions::default()
}

async fn buffered(client: &Client, options: BufferedProducerOptions) -> BufferedProducer {
    soon(client.buffered_producer(options)).await.unwrap()
}

async fn enqueue(producer: &BufferedProducer, partition: &str, text: &str) -> EventReceipt {
    soon(producer.enqueue_to(to(partition), text))
        .await
        .unwrap()
}

fn kind(result: Result<(), amqp10::eventhubs::EventHubsError>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[tokio::test(start_paused = true)]
async fn events_wait_for_others_no_longer_than_the_linger_time() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let linger = Duration::from_secs(5);
    let producer = buffered(&client, options().linger(linger)).await;
    let begin = Instant::now();
    let first = enqueue(&producer, "0", "a").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let second = enqueue(&producer, "0", "b").await;
    assert_eq!(second.partition(), "0");
    first.await.unwrap();
    let passed = begin.elapsed();
    assert!(passed >= linger && passed < linger * 2, "{passed:?}");
    // It left in the same batch.
    let mut second = second;
    let at_once = tokio::time::timeout(Duration::from_millis(1), &mut second).await;
    at_once.unwrap().unwrap();
    let error = (&mut second).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "the result was read");
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_leaves_at_once() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let hour = options().linger(Duration::from_secs(3600));
    for full in [
        hour.clone().max_batch_count(3),
        hour.clone().max_batch_bytes(3 * TINY),
    ] {
        let producer = buffered(&client, full).await;
        let begin = Instant::now();
        let mut results = Vec::new();
        for text in ["a", "b", "c", "waits"] {
            results.push(enqueue(&producer, "0", text).await);
        }
        let last = results.pop().unwrap();
        for result in results {
            result.await.unwrap();
        }
        assert!(begin.elapsed() < Duration::from_secs(60));
        producer.flush().await;
        last.await.unwrap();
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
}

#[tokio::test]
async fn events_go_where_their_route_says() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let producer = buffered(&client, options()).await;
    let count = NonZeroU32::new(PARTITIONS).unwrap();
    let keys = ["7", "131", "FWfAT", "device-42", "é", "日本", "🚀key"];
    let mut results = Vec::new();
    for key in keys {
        let enqueued = producer.enqueue_to(Route::key(key), key).await.unwrap();
        let expected = partition_for_key(key, count).to_string();
        assert_eq!(enqueued.partition(), expected, "{key}");
        results.push(enqueued);
    }
    let mut turns = Vec::new();
    for _ in 0..2 * PARTITIONS {
        let enqueued = producer.enqueue("anywhere").await.unwrap();
        turns.push(enqueued.partition().to_owned());
        results.push(enqueued);
    }
    turns.sort();
    assert_eq!(turns, ["0", "0", "1", "1", "2", "2", "3", "3"]);
    producer.close().await;
    for result in results {
        result.await.unwrap();
    }
    let mut found = 0;
    for partition in 0..PARTITIONS {
        let mut consumer = from_start(&client, &partition.to_string()).await;
        let events = consumer.recv_batch(100, Duration::from_millis(300)).await;
        for event in events.unwrap() {
            found += 1;
            if let Some(key) = event.partition_key() {
                assert_eq!(text(&event), key);
                assert_eq!(partition_for_key(key, count), partition);
            }
        }
    }
    assert_eq!(found, keys.len() + 2 * PARTITIONS as usize);
}

#[tokio::test]
async fn routes_that_lead_nowhere_are_refused_and_the_event_given_back() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let producer = buffered(&client, options()).await;
    for route in [
        to("99"),
        to("x"),
        Route::publisher("p"),
        Route::key("k".repeat(129)),
    ] {
        let error = producer.try_enqueue_to(route.clone(), "mine").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(!format!("{error:?} {error}").contains("mine"));
        assert_eq!(error.into_event().body(), b"mine");
        let error = producer.enqueue_to(route, "mine").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_makes_wait_or_gives_back() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let limits = [
        options().max_buffered(2),
        options().max_buffered_bytes(2 * TINY),
    ];
    for full in limits {
        let producer = buffered(&client, full.linger(Duration::from_secs(1))).await;
        let first = producer.try_enqueue_to(to("0"), "a").unwrap();
        let second = producer.try_enqueue_to(to("1"), "b").unwrap();
        let error = producer.try_enqueue_to(to("2"), "c").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BufferFull, "{error}");
        assert!(error.error().is_retryable());
        let begin = Instant::now();
        let third = enqueue(&producer, "2", "c").await;
        assert!(begin.elapsed() >= Duration::from_secs(1));
        for result in [first, second, third] {
            soon(result).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_producer_has_published_all_and_takes_no_more() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let hour = options()
        .linger(Duration::from_secs(3600))
        .max_buffered(100);
    let producer = buffered(&client, hour).await;
    let mut results = Vec::new();
    for number in 0..100 {
        results.push(enqueue(&producer, "3", &number.to_string()).await);
    }
    let waiting = producer.clone();
    let waiting = tokio::spawn(async move { waiting.enqueue("too late").await.map(drop) });
    tokio::task::yield_now().await;
    soon(producer.close()).await;
    assert_eq!(kind(waiting.await.unwrap()), ErrorKind::Closed);
    for result in results {
        // It is there without waiting.
        tokio::time::timeout(Duration::ZERO, result)
            .await
            .unwrap()
            .unwrap();
    }
    let refused = producer.enqueue("x").await.map(drop);
    assert_eq!(kind(refused), ErrorKind::Closed);
    let refused = producer.try_enqueue("x").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed);
    soon(producer.close()).await;
    let mut consumer = from_start(&client, "3").await;
    for number in 0..100 {
        assert_eq!(text(&next(&mut consumer).await), number.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_when_the_producer_is_aborted_or_dropped_says_so() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    for is_dropped in [false, true] {
        let hour = options().linger(Duration::from_secs(3600));
        let producer = buffered(&client, hour).await;
        let mut results = Vec::new();
        for number in 0..10 {
            results.push(enqueue(&producer, &(number % 4).to_string(), "x").await);
        }
        if is_dropped {
            drop(producer);
        } else {
            producer.abort();
            assert_eq!(
                kind(producer.enqueue("x").await.map(drop)),
                ErrorKind::Closed
            );
            soon(producer.flush()).await;
            soon(producer.close()).await;
        }
        for result in results {
            assert_eq!(kind(soon(result).await), ErrorKind::Aborted);
        }
    }
    for partition in 0..PARTITIONS {
        let properties = client.partition_properties(&partition.to_string()).await;
        assert!(properties.unwrap().is_empty);
    }
}

/// An event that was sent has either its outcome, or an unknown one.
#[tokio::test(start_paused = true)]
async fn what_is_under_way_when_the_producer_is_aborted_is_unknown() {
    let mut service = Scripted::new();
    let client = service.client(RetryPolicy::default()).await;
    let producer = buffered(&client, options().max_in_flight(2)).await;
    let known = enqueue(&producer, "0", "known").await;
    let publisher = service.publisher().await;
    let delivery = arrives(&publisher).await;
    let unknown = enqueue(&producer, "0", "unknown").await;
    let _kept = arrives(&publisher).await;
    let unsent = enqueue(&producer, "0", "unsent").await;
    nothing_arrives(&publisher).await;
    delivery.accept().unwrap();
    soon(known).await.unwrap();
    producer.abort();
    assert_eq!(kind(soon(unknown).await), ErrorKind::OutcomeUnknown);
    // Room had come up for it.
    assert_eq!(kind(soon(unsent).await), ErrorKind::OutcomeUnknown);
}

#[tokio::test(start_paused = true)]
async fn one_batch_at_a_time_by_default() {
    let mut service = Scripted::new();
    let client = service.client(RetryPolicy::default()).await;
    let producer = buffered(&client, options().linger(Duration::ZERO)).await;
    let first = enqueue(&producer, "0", "1").await;
    let publisher = service.publisher_as(AcceptLinkOptions::default()).await.1;
    let delivery = arrives(&publisher).await;
    let second = enqueue(&producer, "0", "2").await;
    nothing_arrives(&publisher).await;
    delivery.accept().unwrap();
    arrives(&publisher).await.accept().unwrap();
    soon(first).await.unwrap();
    soon(second).await.unwrap();
}

#[tokio::test]
async fn an_event_that_no_batch_takes_fails_alone() {
    let emulator = start(EmulatorOptions::default().max_message_size(1000)).await;
    let client = client(&emulator).await;
    let producer = buffered(&client, options()).await;
    let before = enqueue(&producer, "0", "before").await;
    let large = soon(producer.enqueue_to(to("0"), vec![7; 1000]))
        .await
        .unwrap();
    let after = enqueue(&producer, "0", "after").await;
    soon(before).await.unwrap();
    assert_eq!(kind(soon(large).await), ErrorKind::TooLarge);
    soon(after).await.unwrap();
    let mut consumer = from_start(&client, "0").await;
    assert_eq!(text(&next(&mut consumer).await), "before");
    assert_eq!(text(&next(&mut consumer).await), "after");
}

/// Connections are cut all the time; each event is stored once and in order, and its result says so.
#[tokio::test]
async fn numbered_events_survive_cuts_once_and_in_order() {
    const EVENTS: usize = 4000;
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let numbered = options()
        .idempotent(true)
        .linger(Duration::from_millis(5))
        .max_batch_count(50);
    let producer = buffered(&client, numbered).await;
    let cutting = {
        let emulator = emulator.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_millis(15)).await;
                emulator.close_connections();
            }
        })
    };
    let mut results = Vec::new();
    for number in 0..EVENTS {
        let partition = (number % 2).to_string();
        results.push(enqueue(&producer, &partition, &number.to_string()).await);
        if number % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    soon(producer.flush()).await;
    cutting.await.unwrap();
    for result in results {
        soon(result).await.unwrap();
    }
    for partition in 0..2 {
        let mut consumer = from_start(&client, &partition.to_string()).await;
        for number in (partition..EVENTS).step_by(2) {
            assert_eq!(text(&next(&mut consumer).await), number.to_string());
        }
        let properties = client.partition_properties(&partition.to_string()).await;
        let last = properties.unwrap().last_enqueued_sequence_number;
        assert_eq!(last, EVENTS as i64 / 2 - 1);
    }
}

/// The same without numbers: an event may be unknown, but none is stored twice or out of order.
#[tokio::test]
async fn plain_events_keep_their_order_across_cuts() {
    const EVENTS: usize = 3000;
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let brief = options().linger(Duration::ZERO).max_batch_count(20);
    let producer = buffered(&client, brief).await;
    let mut results = Vec::new();
    for number in 0..EVENTS {
        results.push(enqueue(&producer, "0", &number.to_string()).await);
        if number % 300 == 0 {
            tokio::time::sleep(Duration::from_millis(3)).await;
            emulator.close_connections();
        }
    }
    soon(producer.close()).await;
    let mut stored = Vec::new();
    let mut unknown = Vec::new();
    for (number, result) in results.into_iter().enumerate() {
        match soon(result).await {
            Ok(()) => stored.push(number),
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => unknown.push(number),
            Err(error) => panic!("{error}"),
        }
    }
    let mut consumer = from_start(&client, "0").await;
    let events = consumer.recv_batch(EVENTS, Duration::from_secs(1)).await;
    let found: Vec<usize> = events
        .unwrap()
        .iter()
        .map(|event| text(event).parse().unwrap())
        .collect();
    assert!(found.is_sorted_by(|a, b| a < b), "in order, none twice");
    for number in &stored {
        assert!(found.binary_search(number).is_ok(), "{number} is stored");
    }
    for number in &found {
        let is_known = stored.binary_search(number).is_ok();
        assert!(is_known || unknown.contains(number), "{number}");
    }
}

#[tokio::test]
async fn a_producer_nobody_waits_for_publishes_all_the_same() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let producer = buffered(&client, options()).await;
    for number in 0..1000 {
        drop(enqueue(&producer, "1", &number.to_string()).await);
    }
    let shown = format!("{producer:?}");
    assert!(shown.contains("orders"), "{shown}");
    producer.close().await;
    let properties = client.partition_properties("1").await.unwrap();
    assert_eq!(properties.last_enqueued_sequence_number, 999);
}
