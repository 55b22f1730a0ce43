//! They go on when the emulator closes their connections, again and again.

use super::events::number;
use super::*;

const COUNT: u64 = 60;

#[tokio::test]
async fn they_send_on_after_forced_closes() {
    with_each(|peers| async move {
        let send = [
            "send",
            "--count",
            "60",
            "--partition-id",
            "0",
            "--pause",
            "20",
        ];
        let mut theirs = peers.start_theirs(&send);
        let mut acknowledged = 0;
        while let Some(line) = theirs.next().await {
            acknowledged = line["sent"].as_u64().unwrap();
            if acknowledged % 20 == 0 && acknowledged < COUNT {
                peers.emulator.close_connections();
            }
        }
        theirs.end().await.unwrap();
        assert_eq!(acknowledged, COUNT);
        // What was sent when the connection went may be there twice: no client knows whether it was stored.
        let events = peers.partition("0").await;
        let events: Vec<_> = events.iter().map(|event| to_json("0", event)).collect();
        let mut numbers: Vec<_> = events.iter().map(number).collect();
        numbers.dedup();
        assert!(numbers.into_iter().eq(0..COUNT), "{events:?}");
    })
    .await;
}

#[tokio::test]
async fn they_read_on_after_forced_closes() {
    with_each(|peers| async move {
        let count = COUNT.to_string();
        // Microsoft's Rust client begins anew where it began at first.
        let most = if peers.kind == Kind::Rust {
            "1000"
        } else {
            &count
        };
        let mut theirs = peers.start_theirs(&["receive", most, "--partition", "0"]);
        let mut read = Vec::new();
        for part in 0..3 {
            peers.send_ours("0", part * 20..(part + 1) * 20).await;
            let last = u64::from(part) * 20 + 19;
            while read.last() != Some(&last) {
                let event = theirs.next().await.expect("an event");
                read.push(number(&event));
            }
            peers.emulator.close_connections();
        }
        if peers.kind == Kind::Rust {
            read.sort_unstable();
            read.dedup();
        }
        assert!(read.iter().copied().eq(0..COUNT), "{read:?}");
    })
    .await;
}
