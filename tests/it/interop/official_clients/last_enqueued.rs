//! What the service says of a partition's last event with each event that it delivers, if it is asked to.

use std::time::SystemTime;

use super::events::milliseconds;
use super::*;

/// Microsoft's Rust client never asks.
const ASKING: [Kind; 3] = [Kind::Python, Kind::PythonAio, Kind::JavaScript];

/// Compares what came with an event with the properties of its partition, as of now.
async fn expect_last(peers: &Peers, event: &Json, began: u64) {
    let theirs = &event["last_enqueued"];
    let ours = peers.ours.partition_properties("0").await.unwrap();
    assert_eq!(
        theirs["sequence_number"],
        ours.last_enqueued_sequence_number
    );
    assert_eq!(theirs["offset"], json!(ours.last_enqueued_offset));
    let enqueued = milliseconds(ours.last_enqueued_time.unwrap());
    assert_eq!(theirs["enqueued_time"], enqueued);
    let retrieved = theirs["retrieval_time"].as_u64().unwrap();
    let time = began..=milliseconds(SystemTime::now());
    assert!(time.contains(&retrieved), "{retrieved} is not in {time:?}");
}

#[tokio::test]
async fn theirs_are_told_of_the_last_event_when_they_ask() {
    with_some(&ASKING, PARTITIONS, |peers| async move {
        peers.send_ours("0", 0..10).await;
        let began = milliseconds(SystemTime::now());
        let mut theirs = peers.start_theirs(&["receive", "11", "--partition", "0", "--metrics"]);
        for _ in 0..10 {
            let event = theirs.next().await.expect("an event");
            expect_last(&peers, &event, began).await;
        }
        let began = milliseconds(SystemTime::now());
        peers.send_ours("0", 10..11).await;
        let event = theirs.next().await.expect("an event");
        expect_last(&peers, &event, began).await;
        theirs.end().await.unwrap();
    })
    .await;
}
