//! Positions, owner levels, batches, streams.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Instant;

use amqp10::eventhubs::ErrorKind;
use futures_core::Stream;

use super::*;

#[tokio::test(start_paused = true)]
async fn every_position_is_found() {
    let emulator = start(EmulatorOptions::default().clock(simulated_clock())).await;
    let options = options(&emulator).clock(simulated_clock());
    let client = Client::connect(&emulator.connection_string(), options)
        .await
        .unwrap();
    let producer = producer(&client);
    let mut times = Vec::new();
    for number in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        publish_numbers(&producer, number, 1).await;
    }
    let mut all = from_start(&client, "0").await;
    let mut offsets = Vec::new();
    for _ in 0..10 {
        let event = next(&mut all).await;
        times.push(event.enqueued_time().unwrap());
        offsets.push(event.offset().to_owned());
    }
    let in_between = times[5] + Duration::from_millis(50);
    let table = [
        (Position::earliest(), 0),
        (Position::earliest().inclusive(), 0),
        (Position::offset(&*offsets[3]), 4),
        (Position::offset(&*offsets[3]).inclusive(), 3),
        (Position::offset(&*offsets[0]).inclusive(), 0),
        (Position::sequence_number(3), 4),
        (Position::sequence_number(3).inclusive(), 3),
        (Position::sequence_number(-1), 0),
        (Position::enqueued_time(times[5]), 6),
        (Position::enqueued_time(times[5]).inclusive(), 5),
        (Position::enqueued_time(in_between), 6),
        (Position::enqueued_time(in_between).inclusive(), 6),
        (
            Position::enqueued_time(times[0] - Duration::from_secs(99)),
            0,
        ),
        // What is yet to come.
        (Position::latest(), 10),
        (Position::latest().inclusive(), 10),
        (Position::offset(&*offsets[9]), 10),
        (Position::sequence_number(9), 10),
        (Position::enqueued_time(times[9]), 10),
    ];
    let mut consumers = Vec::new();
    for (position, first) in table {
        let options = ConsumerOptions::default().position(position.clone());
        // A group serves five readers of a partition.
        let options = options.consumer_group(format!("group-{}", consumers.len() / 5));
        let consumer = client.consumer("0", options).await.unwrap();
        consumers.push((consumer, position, first));
    }
    publish_numbers(&producer, 10, 1).await;
    for (mut consumer, position, first) in consumers {
        let event = next(&mut consumer).await;
        assert_eq!(text(&event), first.to_string(), "{position:?}");
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
    assert_eq!(tracking.lag(), None);
    let event = next(&mut tracking).await;
    assert_eq!(event.sequence_number(), 0);
    let last = tracking.last_enqueued().unwrap();
    assert_eq!(last.sequence_number, 2);
    assert!(last.enqueued_time.is_some() && last.retrieved_at.is_some());
    assert_eq!(tracking.lag(), Some(2));
    for lag in [1, 0] {
        next(&mut tracking).await;
        assert_eq!(tracking.lag(), Some(lag));
    }
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

/// Who has no owner level is thrown out by who has one, and not let in while that one is there; at the same level, the later
/// one wins.
#[tokio::test]
async fn ownership_is_lost_to_any_level_from_ones_own_up() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let open = |level: Option<i64>| {
        let mut options = ConsumerOptions::default().position(Position::earliest());
        options.owner_level = level;
        client.consumer("0", options)
    };
    let mut without = open(None).await.unwrap();
    let mut first = open(Some(0)).await.unwrap();
    let lost = soon(without.recv()).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::OwnershipLost, "{lost}");
    let refused = soon(open(None)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::OwnershipLost, "{refused}");
    assert!(!refused.is_retryable());
    let mut second = open(Some(0)).await.unwrap();
    let lost = soon(first.recv()).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::OwnershipLost, "{lost}");
    publish_numbers(&producer(&client), 0, 1).await;
    assert_eq!(text(&next(&mut second).await), "0");
}

/// 40 events of 100 KB each: of 300 that may wait by their number, three fit 300 KB.
#[tokio::test]
async fn events_wait_within_a_limit_of_octets() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let producer = producer(&client);
    for number in 0..40_u8 {
        producer
            .send_to(to("0"), vec![number; 100_000])
            .await
            .unwrap();
    }
    let open = |limit: usize| {
        let options = ConsumerOptions::default()
            .position(Position::earliest())
            .prefetch_bytes(limit);
        client.consumer("0", options)
    };
    // Whatever the limit, all come.
    for limit in [1, 300_000, 100_000_000] {
        let mut consumer = open(limit).await.unwrap();
        for number in 0..40_u8 {
            assert_eq!(next(&mut consumer).await.body()[0], number, "{limit}");
        }
    }
    // What waits is taken at once, and what has to come is not.
    let mut consumer = open(300_000).await.unwrap();
    next(&mut consumer).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let waiting = consumer.recv_batch(40, Duration::ZERO).await.unwrap();
    assert!((1..=5).contains(&waiting.len()), "{}", waiting.len());
}
