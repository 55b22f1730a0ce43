//! One connection with many sessions: what they make us hold together is bounded, and none of them starves the others.

use std::time::Duration;

use amqp10::codec::{Detach, Performative, condition};
use amqp10::{
    Connection, ConnectionOptions, Credit, Limits, OnDrop, Receiver, ReceiverOptions,
    SessionOptions,
};
use tokio::time::timeout;

use super::{Attacked, BOTH, more, settled};
use crate::support::peer::{self, HANDLE, Peer};

/// What a delivery without payload counts in the queue.
const WEIGHT: usize = 128;

/// A peer that sends as much as the windows of its sessions allow.
pub struct Flood {
    peer: Peer,
    /// Of each session: frames sent, and the first that its window does not cover.
    sent: Vec<u32>,
    ends: Vec<u32>,
}

impl Flood {
    fn new(peer: Peer, windows: Vec<u32>) -> Self {
        Self {
            peer,
            sent: vec![0; windows.len()],
            ends: windows,
        }
    }

    /// Hears what there is; whether a window has moved.
    pub async fn hear(&mut self) -> bool {
        let mut has_moved = false;
        while let Ok(heard) = timeout(Duration::from_millis(1), self.peer.expect()).await {
            match heard {
                (channel, Performative::Flow(flow), _) => {
                    let end = flow.next_incoming_id.unwrap_or(0) + flow.incoming_window;
                    let known = &mut self.ends[usize::from(channel)];
                    has_moved |= end != *known;
                    *known = end;
                }
                (_, Performative::Detach(_) | Performative::End(_), _) => {}
                other => panic!("not flow: {other:?}"),
            }
        }
        has_moved
    }

    pub fn has_window(&self, session: usize) -> bool {
        self.sent[session] < self.ends[session]
    }

    /// One settled delivery, whether the window allows it or not.
    pub async fn deliver(&mut self, session: usize, size: usize) {
        let transfer = settled(self.sent[session]);
        self.sent[session] += 1;
        self.peer
            .send_transfer_on(session as u16, transfer, &vec![0; size])
            .await;
    }

    /// Settled deliveries in one session, as many as it takes; says how many.
    pub async fn fill(&mut self, session: usize, size: usize) -> usize {
        let before = self.sent[session];
        while self.has_window(session) {
            self.deliver(session, size).await;
            self.hear().await;
        }
        (self.sent[session] - before) as usize
    }

    /// One frame of a delivery without end; false if the window is shut.
    pub async fn go_on(&mut self, session: usize, size: usize) -> bool {
        if !self.has_window(session) {
            return false;
        }
        let transfer = match self.sent[session] {
            0 => peer::transfer(0),
            _ => peer::continuation(),
        };
        self.sent[session] += 1;
        self.peer
            .send_transfer_on(session as u16, more(transfer), &vec![0; size])
            .await;
        true
    }
}

/// A connection of ours with receivers in so many sessions, and who floods it.
pub async fn flood(
    attacked: Attacked,
    options: ConnectionOptions,
    sessions: u16,
) -> (Flood, Connection, Vec<Receiver>) {
    let link = ReceiverOptions::default()
        .credit(Credit::Auto(10_000))
        .on_drop(OnDrop::LeaveUnsettled);
    let (peer, connection, receivers, windows) = attacked.receivers(options, &link, sessions).await;
    (Flood::new(peer, windows), connection, receivers)
}

/// Frames of 8 KiB, so that little is much.
pub fn options(limits: Limits) -> ConnectionOptions {
    peer::client_options().max_frame_size(8192).limits(limits)
}

#[tokio::test(start_paused = true)]
async fn d_035_deliveries_under_way_in_all_sessions_share_one_limit() {
    for attacked in BOTH {
        let limits = Limits::default().max_partial_delivery_bytes(256_000);
        let (mut flood, connection, receivers) = flood(attacked, options(limits), 20).await;
        for session in 0..20 {
            // 20 000 octets in each of them, or twice what is allowed, if every frame were taken.
            for _ in 0..5 {
                assert!(flood.go_on(session, 4000).await);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let alive = receivers.iter().filter(|receiver| !receiver.is_detached());
        assert_eq!(alive.count(), 256_000 / 20_000, "{attacked:?}");
        for _ in 12..20 {
            let detached = flood.peer.expect_detach();
            let error = detached.await.error.expect("an error");
            assert_eq!(error.condition, condition::RESOURCE_LIMIT_EXCEEDED);
        }
        assert!(!connection.is_closed());
        assert!(receivers.iter().all(|receiver| receiver.credit() < 10_001));
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_under_way_that_is_smaller_than_a_share_is_spared() {
    for attacked in BOTH {
        let limits = Limits::default()
            .max_sessions(10)
            .max_partial_delivery_bytes(100_000);
        let (mut flood, _connection, receivers) = flood(attacked, options(limits), 3).await;
        for _ in 0..24 {
            assert!(flood.go_on(0, 4000).await);
        }
        for _ in 0..3 {
            assert!(flood.go_on(1, 3000).await);
        }
        flood.peer.expect_nothing().await; // 96 000 and 9000, of which a tenth is a share
        flood.go_on(2, 5000).await;
        flood.peer.expect_nothing().await;
        assert!(receivers.iter().all(|receiver| !receiver.is_detached()));
        flood.go_on(1, 3000).await;
        let Detach { handle, .. } = flood.peer.expect_detach().await;
        assert_eq!(handle, 0);
        assert!(receivers[1].is_detached() && !receivers[0].is_detached());
        // What it held is free again, though not for one that holds more than the rest.
        flood.go_on(2, 5000).await;
        flood.peer.expect_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_in_all_sessions_is_bounded() {
    const LIMIT: usize = 100_000;
    const SESSIONS: usize = 20;
    let limits = Limits::default().max_queued_bytes(LIMIT);
    let (mut flood, _connection, _receivers) =
        flood(Attacked::Listener, options(limits), SESSIONS as u16).await;
    let mut octets = 0;
    for session in 0..SESSIONS {
        octets += flood.fill(session, 8000).await * (8000 + WEIGHT);
    }
    // As much as the limit, and windows of four times that in equal shares of those that were there when each began.
    let windows: usize = (1..=SESSIONS).map(|count| 4 * LIMIT / count).sum();
    println!("{octets} octets are queued, of {LIMIT}, with windows of {windows}");
    assert!(octets <= LIMIT + windows + SESSIONS * 8192, "{octets}");
    assert!(!flood.hear().await, "no window opens");
}

/// It would wait for itself: the window opens when the batch takes what is queued.
#[tokio::test(start_paused = true)]
async fn a_batch_that_memory_has_no_room_for_comes_in_parts() {
    let limits = Limits::default().max_queued_bytes(100_000);
    let (mut flood, _connection, receivers) = flood(Attacked::Client, options(limits), 1).await;
    let receiver = receivers[0].clone();
    let hour = Duration::from_secs(3600);
    let began = tokio::time::Instant::now();
    let batch = tokio::spawn(async move { receiver.recv_batch(1_000_000, hour).await });
    tokio::task::yield_now().await;
    flood.fill(0, 8000).await;
    assert!(!batch.await.unwrap().unwrap().is_empty());
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn incoming_windows_of_sessions_that_the_peer_begins_are_shares() {
    let windows = async |options| {
        let link = ReceiverOptions::default();
        let received = Attacked::Listener.receivers(options, &link, 6).await;
        received.3
    };
    let unbounded = peer::client_options();
    assert_eq!(windows(unbounded).await, [1024, 512, 341, 256, 204, 170]);
    let limits = Limits::default().max_queued_bytes(8192);
    assert_eq!(windows(options(limits)).await, [4, 2, 1, 1, 1, 1]);
    let asked = SessionOptions::default().incoming_window(250);
    let asked = peer::client_options().incoming_sessions(asked);
    assert_eq!(windows(asked).await, [250, 250, 250, 250, 204, 170]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_reads_does_not_starve_the_others() {
    for attacked in BOTH {
        let limits = Limits::default().max_queued_bytes(100_000);
        let (mut flood, _connection, receivers) = flood(attacked, options(limits), 3).await;
        flood.fill(0, 8000).await;
        for session in [1, 2] {
            for _ in 0..500 {
                assert!(flood.has_window(session), "{attacked:?}: {session} starves");
                flood.deliver(session, 8000).await;
                receivers[session].recv().await.unwrap();
                flood.hear().await;
            }
        }
        assert!(!flood.has_window(0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_waits_for_room_is_told_when_another_one_makes_it() {
    for attacked in BOTH {
        let limits = Limits::default().max_queued_bytes(100_000);
        let (mut flood, _connection, receivers) = flood(attacked, options(limits), 2).await;
        let first = flood.fill(0, 8000).await;
        flood.fill(1, 8000).await;
        assert!(!flood.hear().await);
        // The second one is read as far as a few deliveries, which are more than its share.
        for _ in 5..flood.sent[1] {
            receivers[1].recv().await.unwrap();
        }
        assert!(!flood.hear().await, "{attacked:?}");
        for _ in 0..first {
            receivers[0].recv().await.unwrap();
            flood.hear().await;
        }
        assert!(flood.has_window(1), "{attacked:?}: it is not told");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_waits_for_room_is_told_when_another_one_is_dropped() {
    for attacked in BOTH {
        let limits = Limits::default().max_queued_bytes(100_000);
        let (mut flood, _connection, mut receivers) = flood(attacked, options(limits), 2).await;
        flood.fill(0, 8000).await;
        flood.fill(1, 8000).await;
        for _ in 5..flood.sent[1] {
            receivers[1].recv().await.unwrap();
        }
        assert!(!flood.hear().await, "{attacked:?}");
        drop(receivers.remove(0));
        flood.hear().await;
        assert!(!receivers[0].is_detached());
        assert!(flood.has_window(1), "{attacked:?}: it is not told");
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_delivery_comes_through_beside_a_session_that_nobody_reads() {
    for attacked in BOTH {
        let limits = Limits::default()
            .max_queued_bytes(100_000)
            .max_partial_delivery_bytes(1_000_000);
        let (mut flood, _connection, receivers) = flood(attacked, options(limits), 2).await;
        flood.fill(0, 8000).await;
        // Less than the whole is free, and much more than a share.
        for _ in 0..60 {
            assert!(flood.go_on(1, 8000).await, "{attacked:?}: it starves");
            flood.hear().await;
        }
        let last = [0; 8000];
        flood
            .peer
            .send_transfer_on(1, peer::continuation(), &last)
            .await;
        let delivery = receivers[1].recv().await.unwrap();
        assert_eq!(delivery.payload().len(), 61 * 8000);
    }
}

#[tokio::test(start_paused = true)]
async fn large_deliveries_that_nobody_takes_wait_for_each_other() {
    const QUEUED: usize = 100_000;
    const PARTIAL: usize = 1_000_000;
    const SESSIONS: usize = 10;
    let limits = Limits::default()
        .max_queued_bytes(QUEUED)
        .max_partial_delivery_bytes(PARTIAL);
    let (mut flood, _connection, receivers) =
        flood(Attacked::Listener, options(limits), SESSIONS as u16).await;
    let mut octets = 0;
    for session in 0..SESSIONS {
        let mut frames = 0;
        while frames < 50 && flood.go_on(session, 8000).await {
            frames += 1;
            flood.hear().await;
        }
        octets += frames * 8000;
        if frames == 50 && flood.has_window(session) {
            let last = peer::continuation();
            flood.peer.send_transfer_on(session as u16, last, b"").await;
            flood.sent[session] += 1;
        }
        flood.hear().await;
    }
    let windows: usize = (1..=SESSIONS).map(|count| 4 * QUEUED / count).sum();
    println!("{octets} octets of large deliveries, with windows of {windows}");
    assert!(octets <= QUEUED + PARTIAL + windows, "{octets}");
    assert!(receivers.iter().all(|receiver| !receiver.is_detached()));
    // What is taken makes room for the next ones.
    let waiting = (0..SESSIONS)
        .find(|session| !flood.has_window(*session))
        .unwrap();
    for receiver in &receivers {
        while let Ok(taken) = timeout(Duration::from_millis(1), receiver.recv()).await {
            taken.unwrap();
        }
    }
    flood.hear().await;
    assert!(flood.has_window(waiting));
}

#[tokio::test(start_paused = true)]
async fn unsettled_deliveries_of_all_sessions_share_one_limit() {
    for attacked in BOTH {
        let limits = Limits::default()
            .max_sessions(10)
            .max_unsettled_deliveries(50);
        let (mut flood, connection, receivers) = flood(attacked, options(limits), 4).await;
        let mut next = [0; 4];
        for (session, count) in [(0, 30), (1, 20), (2, 5)] {
            for _ in 0..count {
                let transfer = peer::transfer(next[session]);
                next[session] += 1;
                flood
                    .peer
                    .send_transfer_on(session as u16, transfer, b"x")
                    .await;
                drop(receivers[session].recv().await.unwrap());
            }
        }
        // The third one has its share, a tenth; now the limit holds for it.
        assert!(receivers.iter().all(|receiver| !receiver.is_detached()));
        let transfer = peer::transfer(next[2]);
        flood.peer.send_transfer_on(2, transfer, b"x").await;
        let detach = flood
            .peer
            .expect_detach_with(condition::RESOURCE_LIMIT_EXCEEDED);
        assert_ne!(detach.await.handle, HANDLE);
        assert!(!connection.is_closed());
        // The fourth one may have its share too, and the rest of what the third one gives back.
        for id in 0..5 {
            flood
                .peer
                .send_transfer_on(3, peer::transfer(id), b"x")
                .await;
            drop(receivers[3].recv().await.unwrap());
        }
        assert!(!receivers[3].is_detached());
    }
}
