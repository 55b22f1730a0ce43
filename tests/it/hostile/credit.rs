//! Credit, windows and numbers at their edges.

use amqp10::codec::Flow;
use amqp10::{Outcome, ReceiverOptions, SenderOptions, SessionOptions};

use super::{BOTH, settled};
use crate::support::peer::{self, HANDLE, Peer};
use crate::support::scene;

#[tokio::test(start_paused = true)]
async fn every_serial_number_wraps() {
    let options = SessionOptions::default().next_outgoing_id(u32::MAX - 2);
    let (mut peer, session) = scene::session_with(options, peer::begin()).await;
    peer.next_incoming_id = u32::MAX - 2;
    let options = SenderOptions::default().initial_delivery_count(u32::MAX - 2);
    let sender = scene::attach_sender(&mut peer, &session, options).await;
    let mut count = u32::MAX - 2;
    for _ in 0..6 {
        peer.send(Flow {
            incoming_window: 1,
            handle: Some(HANDLE),
            delivery_count: Some(count),
            link_credit: Some(1),
            ..peer.flow()
        })
        .await;
        let sending = tokio::spawn({
            let sender = sender.clone();
            async move { sender.send("x").await }
        });
        let (transfer, _) = peer.expect_transfer().await;
        assert_eq!(transfer.delivery_id, Some(count));
        peer.send(peer::accept_one(count)).await;
        assert_eq!(sending.await.unwrap().unwrap(), Outcome::Accepted);
        count = count.wrapping_add(1);
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_nobody_takes_shut_the_window_and_open_it_again() {
    let mut options = peer::client_options();
    options.limits.max_queued_bytes = 1000;
    let (peer, connection) = Peer::opened_client(options, peer::open()).await;
    let begin = SessionOptions::default().incoming_window(4);
    let (mut peer, session) = scene::begin(peer, connection, begin, peer::begin()).await;
    let receiver = scene::attach_receiver(&mut peer, &session, ReceiverOptions::default()).await;
    for id in 0..4 {
        peer.send_transfer(settled(id), &[0; 500]).await;
    }
    peer.expect_nothing().await;
    for _ in 0..4 {
        receiver.recv().await.unwrap();
    }
    let flow = peer.expect_flow().await;
    assert_eq!((flow.next_incoming_id, flow.incoming_window), (Some(4), 4));
}

#[tokio::test(start_paused = true)]
async fn k_004_k_008_k_026_w_009_w_010_flows_at_the_edges_of_numbers() {
    for attacked in BOTH {
        let (mut peer, sender) = attacked.sender(peer::client_options()).await;
        let flow = |count, credit, seen, window| Flow {
            next_incoming_id: seen,
            incoming_window: window,
            handle: Some(HANDLE),
            delivery_count: count,
            link_credit: Some(credit),
            ..Flow::default()
        };
        // Nothing seen yet, behind us, and as much as there is: none of it lets a number run over.
        for (count, credit, seen, window, expected) in [
            (None, 3, None, 10, 3),
            (Some(u32::MAX), 1, None, 10, 0),
            (Some(0), u32::MAX, Some(0), u32::MAX, u32::MAX),
            (Some(0), 0, Some(u32::MAX), 0, 0),
        ] {
            peer.send(flow(count, credit, seen, window)).await;
            let changed = async {
                while sender.credit() != expected {
                    tokio::task::yield_now().await;
                }
            };
            let waited = tokio::time::timeout(std::time::Duration::from_secs(1), changed).await;
            assert!(
                waited.is_ok(),
                "{attacked:?}: {} is not {expected}",
                sender.credit()
            );
        }
        assert!(!sender.is_detached());
    }
}
