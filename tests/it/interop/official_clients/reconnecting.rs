//! They go on when the emulator closes their connections, ends their links, or is busy, again and again.

use amqp10::emulator::Fault;

use super::events::number;
use super::*;

/// Done to the emulator while events flow.
type Disturbance = fn(&Emulator);

const CLOSE: Disturbance = Emulator::close_connections;

/// Those that are tried with more than closed connections.
const DISTURBED: [Kind; 3] = [Kind::Python, Kind::PythonAio, Kind::JavaScript];

/// Events between two disturbances, and before the first.
const PART: u32 = 20;

/// Their client sends on through the disturbances, each in turn.
async fn expect_all_sent(peers: Peers, disturbances: &[Disturbance]) {
    let count = PART * (disturbances.len() as u32 + 1);
    let text = count.to_string();
    let send = [
        "send",
        "--count",
        &text,
        "--partition-id",
        "0",
        "--pause",
        "20",
    ];
    let mut theirs = peers.start_theirs(&send);
    let mut disturbances = disturbances.iter();
    let mut acknowledged = 0;
    while let Some(line) = theirs.next().await {
        acknowledged = line["sent"].as_u64().unwrap();
        if acknowledged.is_multiple_of(PART.into())
            && let Some(disturb) = disturbances.next()
        {
            disturb(&peers.emulator);
        }
    }
    theirs.end().await.unwrap();
    assert_eq!(acknowledged, u64::from(count));
    // What was sent when the connection went may be there twice: no client knows whether it was stored.
    let events = peers.partition("0").await;
    let events: Vec<_> = events.iter().map(|event| to_json("0", event)).collect();
    let mut numbers: Vec<_> = events.iter().map(number).collect();
    numbers.dedup();
    assert!(numbers.into_iter().eq(0..u64::from(count)), "{events:?}");
}

/// Their client reads on through the disturbances, each in turn: each event once.
async fn expect_all_read(peers: Peers, disturbances: &[Disturbance]) {
    let parts = disturbances.len() as u32 + 1;
    let count = (PART * parts).to_string();
    // Microsoft's Rust client begins anew where it began at first.
    let most = match peers.kind {
        Kind::Rust => "1000",
        _ => &count,
    };
    let mut theirs = peers.start_theirs(&["receive", most, "--partition", "0"]);
    let mut disturbances = disturbances.iter();
    let mut read = Vec::new();
    for part in 0..parts {
        peers.send_ours("0", part * PART..(part + 1) * PART).await;
        let last = u64::from((part + 1) * PART - 1);
        while read.last() != Some(&last) {
            let Some(event) = theirs.next().await else {
                panic!("{:?} after {read:?}", theirs.end().await);
            };
            read.push(number(&event));
        }
        if let Some(disturb) = disturbances.next() {
            disturb(&peers.emulator);
        }
    }
    if peers.kind == Kind::Rust {
        read.sort_unstable();
        read.dedup();
    }
    assert!(
        read.iter().copied().eq(0..u64::from(parts * PART)),
        "{read:?}"
    );
}

#[tokio::test]
async fn they_send_on_after_forced_closes() {
    with_each(|peers| async move { expect_all_sent(peers, &[CLOSE, CLOSE]).await }).await;
}

#[tokio::test]
async fn they_read_on_after_forced_closes() {
    with_each(|peers| async move { expect_all_read(peers, &[CLOSE, CLOSE, CLOSE]).await }).await;
}

#[tokio::test]
async fn they_send_on_after_a_detach_a_cut_frame_a_throttle_and_an_expired_token() {
    with_some(&DISTURBED, PARTITIONS, |peers| async move {
        let throttle: Disturbance = |emulator| {
            emulator.inject(Fault::throttle(2).publishers().hub(HUB));
        };
        let mut disturbances: Vec<Disturbance> = vec![
            |emulator| emulator.inject(Fault::detach().publishers().hub(HUB)),
            // In the middle of the next outcome.
            |emulator| emulator.inject(Fault::cut(10)),
            |emulator| emulator.inject(Fault::expire_tokens().publishers().hub(HUB)),
        ];
        // Python's client leaves it to its user to send again what was rejected, also if the service is but busy.
        if !matches!(peers.kind, Kind::Python | Kind::PythonAio) {
            disturbances.push(throttle);
        }
        expect_all_sent(peers, &disturbances).await;
    })
    .await;
}

#[tokio::test]
async fn they_read_on_after_a_detach_a_cut_frame_a_throttle_and_an_expired_token() {
    with_some(&DISTURBED, PARTITIONS, |peers| async move {
        let mut disturbances: Vec<Disturbance> = vec![
            |emulator| emulator.inject(Fault::detach().readers().hub(HUB)),
            // In the middle of the next event.
            |emulator| emulator.inject(Fault::cut(100).readers().hub(HUB)),
            // Readers are throttled when they attach.
            |emulator| {
                emulator.inject(Fault::throttle(1).readers().hub(HUB));
                emulator.inject(Fault::detach().readers().hub(HUB));
            },
        ];
        // Python's asynchronous client tells its user of the expired token after its retries, all of them in vain.
        if peers.kind != Kind::PythonAio {
            disturbances.push(|emulator| {
                emulator.inject(Fault::expire_tokens().readers().hub(HUB));
            });
        }
        expect_all_read(peers, &disturbances).await;
    })
    .await;
}

/// JavaScript's idempotent producer goes on, and each event is stored once, in order.
async fn expect_each_stored_once(disturb: Disturbance) {
    with_some(&[Kind::JavaScript], 1, |peers| async move {
        let send = "send --idempotent --count 300 --pause 2 --partition-id 0 --try-time 3000";
        let send: Vec<_> = send.split(' ').collect();
        let mut theirs = peers.start_theirs(&send);
        let first = theirs.next().await.expect("an acknowledgement");
        let mut acknowledged = first["sent"].as_u64().unwrap();
        assert!(acknowledged < 300, "nothing is left to be disturbed");
        disturb(&peers.emulator);
        while let Some(line) = theirs.next().await {
            acknowledged = line["sent"].as_u64().unwrap();
        }
        theirs.end().await.unwrap();
        assert_eq!(acknowledged, 300);
        let events = peers.partition("0").await;
        let events: Vec<_> = events.iter().map(|event| to_json("0", event)).collect();
        let numbers: Vec<_> = events.iter().map(number).collect();
        assert!(numbers.iter().copied().eq(0..300), "{numbers:?}");
    })
    .await;
}

#[tokio::test]
async fn javascript_idempotent_has_each_stored_once_when_outcomes_are_lost() {
    let lose = |emulator: &Emulator| emulator.inject(Fault::lose_outcomes(1).publishers());
    expect_each_stored_once(lose).await;
}

#[tokio::test]
async fn javascript_idempotent_has_each_stored_once_when_connections_close() {
    expect_each_stored_once(CLOSE).await;
}

/// In the middle of an outcome: the batch is stored.
#[tokio::test]
async fn javascript_idempotent_has_each_stored_once_when_connections_are_cut() {
    expect_each_stored_once(|emulator| emulator.inject(Fault::cut(10))).await;
}
