//! Where they start to read.

use super::events::{milliseconds, number};
use super::*;

/// Reads to the end of partition 0, in which there are ten events, and expects the first to be event `first`.
async fn expect_from(peers: &Peers, from: &str, inclusive: bool, first: u64) {
    let count = (10 - first).to_string();
    let mut receive = vec!["receive", &count, "--partition", "0", "--from", from];
    if inclusive {
        receive.push("--inclusive");
    }
    let events = peers.theirs(&receive).await;
    let numbers = events.iter().map(number);
    assert!(numbers.eq(first..10), "{receive:?}: {events:?}");
}

#[tokio::test]
async fn earliest_offset_sequence_number_and_time_with_and_without_the_event_itself() {
    with_each(|peers| async move {
        for number in 0..10 {
            peers.send_ours("0", number..number + 1).await;
            // No two events of the same millisecond.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let events = peers.partition("0").await;
        let fifth = &events[5];
        let offset = format!("offset:{}", fifth.offset());
        let sequence = format!("sequence:{}", fifth.sequence_number());
        let time = format!("time:{}", milliseconds(fifth.enqueued_time().unwrap()));
        expect_from(&peers, "earliest", false, 0).await;
        for position in [&offset, &sequence, &time] {
            expect_from(&peers, position, false, 6).await;
            // JavaScript has no such position in time.
            if peers.kind != Kind::JavaScript || position != &time {
                expect_from(&peers, position, true, 5).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn latest_is_what_is_sent_from_now_on() {
    with_each(|peers| async move {
        peers.send_ours("0", 0..5).await;
        let receive = ["receive", "3", "--partition", "0", "--from", "latest"];
        let mut theirs = peers.start_theirs(&receive);
        // It does not say when it has attached.
        let first = async {
            let mut number = 5;
            loop {
                peers.send_ours("0", number..number + 1).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                number += 1;
            }
        };
        let first = tokio::select! {
            never = first => never,
            line = theirs.next() => number(&line.unwrap()),
        };
        assert!(first >= 5, "event {first} was there before");
        let last = peers.ours.partition_properties("0").await.unwrap();
        let next = u32::try_from(last.last_enqueued_sequence_number + 1).unwrap();
        peers.send_ours("0", next..next + 3).await;
        let left = theirs.end().await.unwrap();
        assert!(left.iter().map(number).eq(first + 1..first + 3), "{left:?}");
    })
    .await;
}

/// Their readers of a hub read all partitions, and a second group reads all again.
#[tokio::test]
async fn consumer_groups_read_apart() {
    with_each(|peers| async move {
        peers.send_ours("0", 0..5).await;
        peers.send_ours("1", 5..10).await;
        for _ in 0..2 {
            let events = peers
                .theirs(&["receive", "10", "--group", "$Default"])
                .await;
            expect_numbered(&events, 100);
        }
    })
    .await;
}
