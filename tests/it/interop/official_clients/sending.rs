//! What they publish is read by both, and so is what ours publishes.

use amqp10::eventhubs::{BatchOptions, partition_for_key};

use super::events::milliseconds;
use super::*;

/// The largest event, but for what is around its body.
const ALMOST_1_MIB: usize = (1 << 20) - 1000;

#[tokio::test]
async fn theirs_one_by_one_with_a_partition_key() {
    with_each(|peers| async move {
        let send = ["send", "--count", "20", "--partition-key", "customer 7"];
        let sent = peers.theirs(&send).await;
        assert_eq!(sent.last(), Some(&json!({ "sent": 20 })));
        let events = peers.read_by_both(20).await;
        expect_numbered(&events, 100);
        let partition = partition_for_key("customer 7", PARTITIONS.try_into().unwrap());
        for event in &events {
            assert_eq!(event["partition_key"], "customer 7");
            assert_eq!(event["partition"], partition.to_string());
        }
    })
    .await;
}

#[tokio::test]
async fn theirs_a_batch_of_1000() {
    with_each(|peers| async move {
        let send = ["send", "--count", "1000", "--batch", "--partition-id", "1"];
        peers.theirs(&send).await;
        let events = peers.read_by_both(1000).await;
        expect_numbered(&events, 100);
        for (position, event) in events.iter().enumerate() {
            assert_eq!(event["partition"], "1");
            assert_eq!(event["sequence_number"], position);
            assert_eq!(event["properties"]["number"], position);
        }
    })
    .await;
}

#[tokio::test]
async fn theirs_a_batch_with_a_partition_key() {
    with_each(|peers| async move {
        let send = ["send", "--count", "10", "--batch", "--partition-key", "k"];
        peers.theirs(&send).await;
        let events = peers.read_by_both(10).await;
        expect_numbered(&events, 100);
        assert!(events.iter().all(|event| event["partition_key"] == "k"));
    })
    .await;
}

#[tokio::test]
async fn theirs_an_event_of_almost_1_mib() {
    with_each(|peers| async move {
        let size = ALMOST_1_MIB.to_string();
        let send = ["send", "--size", &size, "--partition-id", "0"];
        peers.theirs(&send).await;
        expect_numbered(&peers.read_by_both(1).await, ALMOST_1_MIB);
    })
    .await;
}

#[tokio::test]
async fn ours_one_by_one_with_a_partition_key() {
    with_each(|peers| async move {
        let producer = peers.ours.producer(ProducerOptions::default());
        for number in 0..20 {
            let event = numbered(number, 100);
            producer.send_to(Route::key("käse"), event).await.unwrap();
        }
        let events = peers.read_by_both(20).await;
        expect_numbered(&events, 100);
        assert!(events.iter().all(|event| event["partition_key"] == "käse"));
    })
    .await;
}

#[tokio::test]
async fn ours_a_batch_of_1000_and_an_event_of_almost_1_mib() {
    with_each(|peers| async move {
        let producer = peers.ours.producer(ProducerOptions::default());
        let batch = producer.create_batch(BatchOptions::partition("1")).await;
        let mut batch = batch.unwrap();
        for number in 0..1000 {
            batch.try_add(numbered(number, 100)).unwrap();
        }
        producer.send_batch(batch).await.unwrap();
        let large = numbered(1000, ALMOST_1_MIB);
        producer
            .send_to(Route::partition("0"), large)
            .await
            .unwrap();
        let events = peers.read_by_both(1001).await;
        let (large, batch) = events.split_first().unwrap();
        expect_numbered(batch, 100);
        assert_eq!(large["body"].as_str().map(str::len), Some(ALMOST_1_MIB));
    })
    .await;
}

/// The buffered producer of JavaScript numbers its events where it is told to.
#[tokio::test]
async fn javascript_by_its_buffered_producers() {
    with_some(&[Kind::JavaScript], PARTITIONS, |peers| async move {
        peers
            .theirs(&["send", "--count", "500", "--buffered"])
            .await;
        expect_numbered(&peers.read_by_both(500).await, 100);
    })
    .await;
    with_some(&[Kind::JavaScript], PARTITIONS, |peers| async move {
        let send = [
            "send",
            "--count",
            "500",
            "--idempotent",
            "--partition-id",
            "1",
        ];
        let sent = peers.theirs(&send).await;
        assert_eq!(sent.last(), Some(&json!({ "sent": 500, "partition": "1" })));
        expect_numbered(&peers.read_by_both(500).await, 100);
        let events = peers.partition("1").await;
        let number = |event: &ReceivedEvent| {
            let annotations = event.annotations().unwrap();
            let number = annotations.get("com.microsoft:producer-sequence-number");
            number.and_then(amqp10::Value::as_i64).unwrap()
        };
        assert!(events.iter().map(number).eq(1..=500), "one after the other");
    })
    .await;
}

#[tokio::test]
async fn both_see_the_same_properties_of_hub_and_partitions() {
    with_each(|peers| async move {
        peers.send_ours("1", 0..3).await;
        let theirs = peers.theirs(&["properties"]).await.pop().unwrap();
        let hub = peers.ours.hub_properties().await.unwrap();
        assert_eq!(theirs["eventhub_name"], hub.name);
        assert_eq!(theirs["partition_ids"], json!(hub.partition_ids));
        assert_eq!(theirs["created_at"], milliseconds(hub.created_at.unwrap()));
        let partitions = theirs["partitions"].as_array().unwrap();
        for (id, theirs) in hub.partition_ids.iter().zip(partitions) {
            let ours = peers.ours.partition_properties(id).await.unwrap();
            let last_time = ours.last_enqueued_time.unwrap();
            let expected = json!({
                "id": ours.id,
                "eventhub_name": ours.hub,
                "beginning_sequence_number": ours.beginning_sequence_number,
                "last_enqueued_sequence_number": ours.last_enqueued_sequence_number,
                "last_enqueued_offset": ours.last_enqueued_offset,
                "last_enqueued_time_utc": milliseconds(last_time),
                "is_empty": ours.is_empty,
            });
            assert_eq!(*theirs, expected);
            assert_eq!(ours.is_empty, id == "0");
        }
    })
    .await;
}

#[tokio::test]
async fn a_wrong_key_and_an_unknown_hub_are_told() {
    with_each(|peers| async move {
        let right = peers.connection_string.clone();
        let parts = right.split(';').map(|part| match part.split_once('=') {
            Some(("SharedAccessKey", _)) => "SharedAccessKey=d3Jvbmc=",
            _ => part,
        });
        let wrong = parts.collect::<Vec<_>>().join(";");
        for (connection_string, hub) in [(&wrong, HUB), (&right, "nowhere")] {
            let error = peers.their_refusal(connection_string, hub).await;
            assert!(tells(peers.kind, hub, &error), "{hub}: {error}");
            assert!(!error.contains("d3Jvbmc"), "{error}");
        }
    })
    .await;
}

/// Whether the client's error is about the key, or the hub.
fn tells(kind: Kind, hub: &str, error: &str) -> bool {
    match (kind, hub) {
        // Whatever `$cbs` refuses is an authentication error to this client, an unknown hub too.
        (Kind::Python | Kind::PythonAio, _) => error.contains("AuthenticationError"),
        (_, HUB) => error.contains("signature of the token does not match"),
        (_, _) => error.contains("could not be found"),
    }
}
