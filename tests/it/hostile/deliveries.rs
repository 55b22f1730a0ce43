//! Deliveries that never end, are never settled, or were never sent.

use amqp10::codec::{End, Flow, condition};
use amqp10::{LinkError, OnDrop, Outcome, ReceiverOptions, SendError};

use super::{Attacked, BOTH, more, settled};
use crate::support::peer::{self, HANDLE};
use crate::support::scene;

#[tokio::test(start_paused = true)]
async fn d_035_endless_more_is_bounded() {
    for attacked in BOTH {
        endless_more(attacked).await;
    }
}

async fn endless_more(attacked: Attacked) {
    let mut options = peer::client_options();
    options.limits.max_partial_delivery_bytes = 100_000;
    let (mut peer, receiver) = attacked.receiver(options, ReceiverOptions::default()).await;
    peer.send_transfer(more(peer::transfer(0)), &[0; 10_000])
        .await;
    let mut sent = 1;
    let detached = loop {
        peer.send_transfer(more(peer::continuation()), &[0; 10_000])
            .await;
        sent += 1;
        tokio::task::yield_now().await;
        if receiver.is_detached() {
            break peer.expect_detach_with(condition::MESSAGE_SIZE_EXCEEDED);
        }
        assert!(sent <= 11, "{sent}");
    };
    detached.await;
    assert!(matches!(
        receiver.recv().await,
        Err(amqp10::RecvError::Link(LinkError::Violation(_)))
    ));
}

#[tokio::test(start_paused = true)]
async fn endless_more_without_payload_costs_nothing_and_the_delivery_can_end() {
    let (mut peer, receiver) = scene::receiver(ReceiverOptions::default()).await;
    peer.send_transfer(more(peer::transfer(0)), b"").await;
    for _ in 0..10_000 {
        peer.send_transfer(more(peer::continuation()), b"").await;
        if peer.next_outgoing_id % 512 == 0 {
            peer.expect_flow().await; // half of the window is used
        }
    }
    peer.send_transfer(peer::continuation(), b"end").await;
    assert_eq!(receiver.recv().await.unwrap().payload().as_ref(), b"end");
}

#[tokio::test(start_paused = true)]
async fn deliveries_that_are_never_settled_are_bounded() {
    for attacked in BOTH {
        never_settled(attacked).await;
    }
}

async fn never_settled(attacked: Attacked) {
    let mut options = peer::client_options();
    options.limits.max_unsettled_deliveries = 10;
    let link = ReceiverOptions::default().on_drop(OnDrop::LeaveUnsettled);
    let (mut peer, receiver) = attacked.receiver(options, link).await;
    for id in 0..10 {
        peer.send_transfer(peer::transfer(id), b"x").await;
        drop(receiver.recv().await.unwrap());
    }
    assert!(!receiver.is_detached());
    peer.send_transfer(peer::transfer(10), b"x").await;
    peer.expect_detach_with(condition::RESOURCE_LIMIT_EXCEEDED)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_detach_an_end_and_a_cut_in_mid_delivery_deliver_nothing() {
    for (ending, attacked) in (0..6).map(|case| (case / 2, BOTH[case % 2])) {
        let options = peer::client_options();
        let (mut peer, receiver) = attacked.receiver(options, ReceiverOptions::default()).await;
        peer.send_transfer(more(peer::transfer(0)), b"half").await;
        match ending {
            0 => peer.send(peer::detach()).await,
            1 => peer.send(End::default()).await,
            _ => peer.hang_up(),
        }
        assert!(receiver.recv().await.is_err(), "{ending}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_arrived_before_the_end_is_still_handed_out() {
    let (mut peer, receiver) = scene::receiver(ReceiverOptions::default()).await;
    peer.send_transfer(settled(0), b"whole").await;
    peer.send(peer::detach()).await;
    peer.expect_detach().await;
    assert_eq!(receiver.recv().await.unwrap().payload().as_ref(), b"whole");
    assert!(receiver.recv().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_cut_tells_what_was_not_sent_from_what_may_have_been() {
    let (mut peer, sender) = scene::sender().await;
    peer.grant(0, 1).await;
    let sent = sender.send_with_receipt("sent").await.unwrap();
    peer.expect_transfer().await;
    let waiting = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send("waits for credit").await }
    });
    tokio::task::yield_now().await;
    peer.hang_up();
    let unknown = sent.await.unwrap_err();
    assert!(matches!(unknown, SendError::Unknown(_)), "{unknown:?}");
    assert!(!unknown.is_retryable());
    let not_sent = waiting.await.unwrap().unwrap_err();
    assert!(matches!(not_sent, SendError::NotSent(_)), "{not_sent:?}");
    assert!(not_sent.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn dispositions_for_what_was_never_sent_are_ignored() {
    for attacked in BOTH {
        never_sent(attacked).await;
    }
}

async fn never_sent(attacked: Attacked) {
    let (mut peer, sender) = attacked.sender(peer::client_options()).await;
    for (first, last) in [(0, 0), (5, 900), (0, 0x7fff_ffff), (u32::MAX, 5)] {
        peer.send(peer::accept(first, last)).await;
        peer.send(amqp10::codec::Disposition {
            role: amqp10::codec::Role::Sender,
            ..peer::accept(first, last)
        })
        .await;
    }
    peer.expect_nothing().await;
    assert!(!sender.is_detached());
}

#[tokio::test(start_paused = true)]
async fn p_004_a_disposition_over_every_id_is_refused_or_quick() {
    for attacked in BOTH {
        let (mut peer, sender) = attacked.sender(peer::client_options()).await;
        peer.grant(0, 1).await;
        let receipt = sender.send_with_receipt("x").await.unwrap();
        peer.expect_transfer().await;
        peer.send(peer::accept(0, i32::MAX as u32)).await; // half of all ids
        assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
        peer.send(peer::accept(0, u32::MAX)).await; // backwards, as serial numbers go
        peer.expect_end_with(condition::INVALID_FIELD).await;
    }
}

#[tokio::test(start_paused = true)]
async fn p_012_a_disposition_in_the_middle_of_a_delivery_and_again_after_it() {
    for attacked in BOTH {
        let (mut peer, sender) = attacked.sender(peer::client_options()).await;
        let room = |peer: &peer::Peer, window| Flow {
            incoming_window: window,
            handle: Some(HANDLE),
            delivery_count: Some(0),
            link_credit: Some(1),
            ..peer.flow()
        };
        peer.send(room(&peer, 1)).await;
        let large = vec![0; 200_000];
        let receipt = sender.send_with_receipt(large).await.unwrap();
        let (first, _) = peer.expect_transfer().await;
        assert!(first.more);
        peer.send(peer::accept(0, 0)).await;
        assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
        peer.send(room(&peer, 100)).await;
        while peer.expect_transfer().await.0.more {}
        peer.send(peer::accept(0, 0)).await;
        peer.expect_nothing().await;
        assert!(!sender.is_detached(), "{attacked:?}");
    }
}
