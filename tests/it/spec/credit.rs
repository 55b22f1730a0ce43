//! Link credit [2.6.7 - 2.6.10].

use std::time::Duration;

use amqp10::codec::{Attach, Flow, Transfer, condition};
use amqp10::{
    AcceptLinkOptions, AcceptedLink, Credit, Outcome, Receiver, ReceiverOptions, Sender,
    SenderOptions, SessionOptions,
};

use crate::support::peer::{self, HANDLE, Peer};
use crate::support::scene;

/// Sends this many settled messages, as credit allows, in the background.
fn send(sender: &Sender, count: usize) -> tokio::task::JoinHandle<()> {
    let sender = sender.clone();
    tokio::spawn(async move {
        for _ in 0..count {
            sender.send_settled("x").await.unwrap();
        }
    })
}

fn link_flow(peer: &Peer, delivery_count: Option<u32>, link_credit: u32) -> Flow {
    Flow {
        handle: Some(HANDLE),
        delivery_count,
        link_credit: Some(link_credit),
        ..peer.flow()
    }
}

async fn manual_receiver() -> (Peer, Receiver) {
    scene::receiver(ReceiverOptions::default().credit(Credit::Manual)).await
}

fn settled(delivery_id: u32) -> Transfer {
    Transfer {
        settled: Some(true),
        ..peer::transfer(delivery_id)
    }
}

#[tokio::test(start_paused = true)]
async fn k_011_nothing_is_sent_before_a_flow() {
    let (mut peer, sender) = scene::sender().await;
    let sending = send(&sender, 1);
    peer.expect_nothing().await;
    assert_eq!(sender.credit(), 0);
    sending.abort();
}

#[tokio::test(start_paused = true)]
async fn k_004_k_001_a_null_delivery_count_is_the_initial_one_also_near_the_wrap() {
    let options = SenderOptions::default().initial_delivery_count(u32::MAX - 1);
    let (mut peer, sender) = scene::sender_with(options).await;
    peer.send(link_flow(&peer, None, 4)).await;
    let sending = send(&sender, 6);
    for _ in 0..4 {
        peer.expect_transfer().await;
    }
    peer.expect_nothing().await;
    peer.grant(2, 1).await; // u32::MAX - 1 + 4
    peer.expect_transfer().await;
    peer.expect_nothing().await;
    sending.abort();
}

#[tokio::test(start_paused = true)]
async fn k_008_credit_that_comes_out_negative_is_none() {
    let (mut peer, sender) = scene::sender().await;
    peer.grant(0, 10).await;
    send(&sender, 5).await.unwrap();
    for _ in 0..5 {
        peer.expect_transfer().await;
    }
    peer.grant(0, 2).await;
    let sending = send(&sender, 1);
    peer.expect_nothing().await;
    assert_eq!(sender.credit(), 0);
    sending.abort();
}

#[tokio::test(start_paused = true)]
async fn k_009_a_delivery_without_credit_detaches_the_link() {
    let mut options = peer::client_options();
    options.limits.max_excess_deliveries = 1; // some brokers lose count
    let (peer, connection) = Peer::opened_client(options, peer::open()).await;
    let (mut peer, session) =
        scene::begin(peer, connection, SessionOptions::default(), peer::begin()).await;
    let options = ReceiverOptions::default().credit(Credit::Manual);
    let receiver = scene::attach_receiver(&mut peer, &session, options).await;
    peer.send_transfer(peer::transfer(0), b"x").await;
    peer.expect_nothing().await;
    peer.send_transfer(peer::transfer(1), b"x").await;
    peer.expect_detach_with(condition::TRANSFER_LIMIT_EXCEEDED)
        .await;
    receiver.recv().await.unwrap();
    assert!(receiver.recv().await.is_err());
}

/// RabbitMQ 3 does: it doesn't count what is under way inside it when credit arrives.
#[tokio::test(start_paused = true)]
async fn k_009_a_sender_that_is_ahead_by_all_its_credit_loses_nothing() {
    let (mut peer, receiver) = scene::receiver(ReceiverOptions::default()).await;
    for id in 0..600 {
        peer.send_transfer(settled(id), b"x").await;
    }
    for _ in 0..600 {
        receiver.recv().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn k_009_a_delivery_on_a_link_that_is_not_accepted_yet_is_refused() {
    let (mut peer, connection) = scene::incoming_session().await;
    peer.send(peer::attach_sender("x")).await;
    peer.send_transfer(peer::transfer(0), b"x").await;
    peer.expect_attach().await;
    peer.expect_detach_with(condition::TRANSFER_LIMIT_EXCEEDED)
        .await;
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn k_010_messages_are_taken_though_none_was_available() {
    let (mut peer, receiver) = scene::receiver(ReceiverOptions::default()).await;
    peer.send(Flow {
        handle: Some(HANDLE),
        delivery_count: Some(0),
        link_credit: Some(300),
        available: Some(0),
        ..peer.flow()
    })
    .await;
    peer.send_transfer(settled(0), b"x").await;
    assert_eq!(receiver.recv().await.unwrap().payload().as_ref(), b"x");
}

#[tokio::test(start_paused = true)]
async fn k_012_k_013_drain_sends_what_there_is_and_gives_the_rest_back() {
    let (mut peer, sender) = scene::sender().await;
    let sending = send(&sender, 2);
    tokio::task::yield_now().await;
    peer.send(Flow {
        drain: true,
        ..link_flow(&peer, Some(0), 10)
    })
    .await;
    let mut transfers = 0;
    let flow = loop {
        match peer.expect().await.1 {
            amqp10::codec::Performative::Transfer(_) => transfers += 1,
            amqp10::codec::Performative::Flow(flow) if flow.link_credit == Some(0) => break flow,
            amqp10::codec::Performative::Flow(_) => {}
            other => panic!("{other:?}"),
        }
    };
    sending.await.unwrap();
    // The second message may come too late for this drain: then it waits for new credit.
    assert!(transfers >= 1);
    assert_eq!(flow.delivery_count, Some(10));
    assert!(flow.drain);
    assert_eq!(sender.credit(), 0);
}

#[tokio::test(start_paused = true)]
async fn k_012_drain_with_nothing_to_send_moves_the_count() {
    let options = SenderOptions::default().initial_delivery_count(u32::MAX);
    let (mut peer, sender) = scene::sender_with(options).await;
    peer.send(Flow {
        drain: true,
        ..link_flow(&peer, Some(u32::MAX), 10)
    })
    .await;
    let flow = peer.expect_flow().await;
    assert_eq!((flow.delivery_count, flow.link_credit), (Some(9), Some(0)));
    assert!(flow.drain);
    let sending = send(&sender, 1);
    peer.expect_nothing().await;
    // K-015: new credit, without drain
    peer.grant(9, 1).await;
    peer.expect_transfer().await;
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn k_014_our_drain_ends_when_the_sender_gives_credit_back() {
    let (mut peer, receiver) = manual_receiver().await;
    receiver.add_credit(10).unwrap();
    assert_eq!(peer.expect_flow().await.link_credit, Some(10));
    let draining = tokio::spawn({
        let receiver = receiver.clone();
        async move { receiver.drain().await }
    });
    let flow = peer.expect_flow().await;
    assert!(flow.drain);
    peer.send_transfer(settled(0), b"x").await;
    peer.expect_nothing().await;
    assert!(!draining.is_finished());
    peer.send(Flow {
        drain: true,
        ..link_flow(&peer, Some(10), 0)
    })
    .await;
    draining.await.unwrap().unwrap();
    assert_eq!(receiver.credit(), 0);
    receiver.recv().await.unwrap();
    // K-015
    receiver.add_credit(1).unwrap();
    let flow = peer.expect_flow().await;
    assert_eq!(
        (flow.delivery_count, flow.link_credit, flow.drain),
        (Some(10), Some(1), false)
    );
}

#[tokio::test(start_paused = true)]
async fn k_014_our_drain_ends_when_all_credit_is_used() {
    let (mut peer, receiver) = manual_receiver().await;
    receiver.add_credit(1).unwrap();
    peer.expect_flow().await;
    let draining = tokio::spawn({
        let receiver = receiver.clone();
        async move { receiver.drain().await }
    });
    peer.expect_flow().await;
    peer.send_transfer(settled(0), b"x").await;
    draining.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn k_014_a_drain_that_is_never_answered_meets_the_deadline() {
    let (mut peer, receiver) = manual_receiver().await;
    receiver.add_credit(1).unwrap();
    let drained = receiver.drain().await;
    assert!(drained.is_err(), "{drained:?}");
    peer.expect_flow().await;
}

#[tokio::test(start_paused = true)]
async fn k_015_automatic_credit_is_granted_again_after_a_drain_when_somebody_receives() {
    let options = ReceiverOptions::default().credit(Credit::Auto(10));
    let (mut peer, receiver) = scene::receiver(options).await;
    let draining = tokio::spawn({
        let receiver = receiver.clone();
        async move { receiver.drain().await }
    });
    assert!(peer.expect_flow().await.drain);
    peer.send(Flow {
        drain: true,
        ..link_flow(&peer, Some(10), 0)
    })
    .await;
    draining.await.unwrap().unwrap();
    let receiving = tokio::spawn(async move { receiver.recv().await });
    let flow = peer.expect_flow().await;
    assert_eq!(
        (flow.delivery_count, flow.link_credit, flow.drain),
        (Some(10), Some(10), false)
    );
    peer.send_transfer(settled(0), b"x").await;
    receiving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn k_013_k_018_a_drain_waits_for_what_the_application_has() {
    let (mut peer, sender) = scene::sender().await;
    sender.set_available(2);
    peer.send(Flow {
        handle: Some(HANDLE),
        delivery_count: Some(0),
        link_credit: Some(5),
        drain: true,
        ..peer.flow()
    })
    .await;
    peer.expect_nothing().await; // nothing to say before it is over
    for _ in 0..2 {
        let permit = sender.reserve().await.unwrap();
        permit.send_settled("x").await.unwrap();
        peer.expect_transfer().await;
    }
    peer.expect_nothing().await;
    sender.set_available(0);
    let flow = peer.expect_flow().await;
    assert_eq!((flow.delivery_count, flow.link_credit), (Some(5), Some(0)));
    assert_eq!((flow.available, flow.drain), (Some(0), true));
}

#[tokio::test(start_paused = true)]
async fn k_006_a_permit_is_one_deliverys_turn_and_goes_on_if_it_is_dropped() {
    let (mut peer, sender) = scene::sender().await;
    assert!(
        tokio::time::timeout(std::time::Duration::from_secs(1), sender.reserve())
            .await
            .is_err()
    );
    peer.grant(0, 1).await;
    let permit = sender.reserve().await.unwrap();
    let waiting = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send_settled("next").await }
    });
    peer.expect_nothing().await;
    drop(permit);
    waiting.await.unwrap().unwrap();
    peer.expect_transfer().await;
}

#[tokio::test(start_paused = true)]
async fn k_017_k_019_a_senders_flow_states_its_count_and_what_credit_is_left() {
    let (mut peer, sender) = scene::sender().await;
    peer.grant(0, 10).await;
    send(&sender, 4).await.unwrap();
    for _ in 0..4 {
        peer.expect_transfer().await;
    }
    peer.send(Flow {
        handle: Some(HANDLE),
        echo: true,
        delivery_count: Some(4),
        link_credit: Some(6),
        ..peer.flow()
    })
    .await;
    let flow = peer.expect_flow().await;
    assert_eq!((flow.delivery_count, flow.link_credit), (Some(4), Some(6)));
    assert_eq!(flow.available, Some(0));
}

#[tokio::test(start_paused = true)]
async fn k_018_k_002_a_receivers_flow_states_the_senders_count() {
    let (mut peer, session) = scene::session().await;
    let attaching = tokio::spawn(async move {
        session
            .attach_receiver("node", ReceiverOptions::default().credit(Credit::Auto(4)))
            .await
    });
    let asked = peer.expect_attach().await;
    peer.send(Attach {
        initial_delivery_count: Some(u32::MAX),
        ..peer::answer_to(&asked)
    })
    .await;
    let flow = peer.expect_flow().await;
    assert_eq!(
        (flow.delivery_count, flow.link_credit),
        (Some(u32::MAX), Some(4))
    );
    let receiver = attaching.await.unwrap().unwrap();
    for id in 0..2 {
        peer.send_transfer(settled(id), b"x").await;
        receiver.recv().await.unwrap();
    }
    // K-021: at half, and absolute
    let flow = peer.expect_flow().await;
    assert_eq!((flow.delivery_count, flow.link_credit), (Some(1), Some(4)));
}

#[tokio::test(start_paused = true)]
async fn k_021_credit_comes_back_only_when_deliveries_are_taken() {
    let options = ReceiverOptions::default().credit(Credit::Auto(4));
    let (mut peer, receiver) = scene::receiver(options).await;
    for id in 0..4 {
        peer.send_transfer(settled(id), b"x").await;
    }
    peer.expect_nothing().await;
    assert_eq!(receiver.credit(), 0);
    receiver.recv().await.unwrap();
    let flow = peer.expect_flow().await;
    assert_eq!((flow.delivery_count, flow.link_credit), (Some(4), Some(1)));
}

#[tokio::test(start_paused = true)]
async fn k_002_credit_that_the_sender_gives_back_unasked_is_granted_again() {
    let options = ReceiverOptions::default().credit(Credit::Auto(10));
    let (mut peer, _receiver) = scene::receiver(options).await;
    peer.send(link_flow(&peer, Some(8), 2)).await;
    let flow = peer.expect_flow().await;
    assert_eq!((flow.delivery_count, flow.link_credit), (Some(8), Some(10)));
}

#[tokio::test(start_paused = true)]
async fn k_025_aborted_deliveries_use_credit_which_is_granted_again() {
    let options = ReceiverOptions::default().credit(Credit::Auto(4));
    let (mut peer, receiver) = scene::receiver(options).await;
    for id in 0..2 {
        peer.send_transfer(
            Transfer {
                more: true,
                ..peer::transfer(id)
            },
            b"half of",
        )
        .await;
        peer.send_transfer(
            Transfer {
                aborted: true,
                ..peer::continuation()
            },
            b"",
        )
        .await;
    }
    let flow = peer.expect_flow().await;
    assert_eq!((flow.delivery_count, flow.link_credit), (Some(2), Some(4)));
    assert!(receiver.try_recv().unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn k_026_the_largest_credit_does_not_overflow() {
    for initial_delivery_count in [0, 7, u32::MAX - 1] {
        let options = SenderOptions::default().initial_delivery_count(initial_delivery_count);
        let (mut peer, sender) = scene::sender_with(options).await;
        for (sent, credit) in [u32::MAX, 1 << 31, (1 << 31) - 1].into_iter().enumerate() {
            let count = initial_delivery_count.wrapping_add(sent as u32);
            peer.grant(count, credit).await;
            send(&sender, 1).await.unwrap();
            peer.expect_transfer().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn credit_that_comes_before_a_listeners_answer_is_kept() {
    let (mut peer, connection) = scene::incoming_session().await;
    peer.send(peer::attach_receiver("x")).await;
    peer.send(link_flow(&peer, None, 2)).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let link = connection.accept_link().await.unwrap();
    let accepted = link.accept(AcceptLinkOptions::default()).await.unwrap();
    let AcceptedLink::Sender(sender) = accepted else {
        panic!("not a sender")
    };
    peer.expect_attach().await;
    send(&sender, 2).await.unwrap();
    peer.expect_transfer().await;
    peer.expect_transfer().await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_grants_credit_behind_its_attach() {
    let options = AcceptLinkOptions::default().credit(Credit::Auto(5));
    let (mut peer, connection) = scene::incoming_session().await;
    let attach = Attach {
        initial_delivery_count: Some(u32::MAX),
        ..peer::attach_sender("x")
    };
    let _link = scene::accept(&mut peer, &connection, attach, options).await;
    let answer = peer.expect_attach().await;
    let flow = peer.expect_flow().await;
    assert_eq!(flow.handle, Some(answer.handle));
    assert_eq!(
        (flow.delivery_count, flow.link_credit),
        (Some(u32::MAX), Some(5))
    );
}

#[tokio::test(start_paused = true)]
async fn a_listener_sends_when_it_has_credit() {
    let (mut peer, sender) = scene::accepted_sender(AcceptLinkOptions::default()).await;
    let sending = send(&sender, 3);
    peer.expect_nothing().await;
    peer.grant(0, 3).await;
    for _ in 0..3 {
        peer.expect_transfer().await;
    }
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_receiver_without_handles_gives_back_credit_and_queue_and_keeps_its_deliveries() {
    let (mut peer, receiver) = scene::receiver(ReceiverOptions::default()).await;
    for delivery_id in 0..3 {
        peer.send_transfer(peer::transfer(delivery_id), b"x").await;
    }
    let taken = receiver.recv().await.unwrap();
    let other = receiver.clone();
    drop(receiver);
    peer.expect_nothing().await; // somebody may still take the rest
    drop(other);
    let flow = peer.expect_flow().await;
    assert_eq!((flow.delivery_count, flow.link_credit), (Some(3), Some(0)));
    let released = peer.expect_disposition().await;
    assert_eq!((released.first, released.last), (1, Some(2)));
    assert_eq!(released.state, Some(Outcome::Released.into()));

    peer.send_transfer(peer::transfer(3), b"in flight").await;
    let released = peer.expect_disposition().await;
    assert_eq!(released.first, 3);
    assert_eq!(released.state, Some(Outcome::Released.into()));

    taken.accept().unwrap();
    assert_eq!(peer.expect_disposition().await, peer::accept_one(0));
    drop(taken);
    peer.answer_detach().await;
}

#[tokio::test(start_paused = true)]
async fn k_020_a_drain_is_over_when_the_last_delivery_is_there() {
    let options = ReceiverOptions::default().credit(Credit::Manual);
    let (mut peer, receiver) = scene::receiver(options).await;
    receiver.add_credit(1).unwrap();
    peer.expect_flow().await;
    let first = Transfer {
        more: true,
        ..peer::transfer(0)
    };
    peer.send_transfer(first, b"\0Su\xa0").await;
    peer.expect_nothing().await;
    let draining = tokio::spawn({
        let receiver = receiver.clone();
        async move { receiver.drain().await }
    });
    peer.expect_flow().await;
    assert!(!draining.is_finished());
    peer.send_transfer(peer::continuation(), b"\x02hi").await;
    draining.await.unwrap().unwrap();
    assert!(receiver.try_recv().unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn k_005_each_delivery_takes_one_credit_and_counts_one() {
    let (mut peer, sender) = scene::sender().await;
    peer.grant(0, 10).await;
    send(&sender, 4).await.unwrap();
    for _ in 0..4 {
        peer.expect_transfer().await;
    }
    assert_eq!(sender.credit(), 6);
    let echo = Flow {
        echo: true,
        ..link_flow(&peer, Some(4), 6)
    };
    peer.send(echo).await;
    let flow = peer.expect_flow().await;
    assert_eq!((flow.delivery_count, flow.link_credit), (Some(4), Some(6)));
}

#[tokio::test(start_paused = true)]
async fn k_022_a_receiver_that_stops_takes_what_is_in_flight() {
    let (mut peer, receiver) = scene::receiver(ReceiverOptions::default()).await;
    peer.send_transfer(peer::transfer(0), b"\x00\x53\x75\xa0\x01x")
        .await;
    let delivery = receiver.recv().await.unwrap();
    drop(receiver);
    let flow = peer.expect_flow().await;
    assert_eq!(flow.link_credit, Some(0));
    // They crossed that flow: given back, and the link lives on for the delivery that is held.
    for id in 1..4 {
        peer.send_transfer(peer::transfer(id), b"x").await;
    }
    let released = peer.expect_disposition().await;
    assert_eq!(released.state, Some(Outcome::Released.into()));
    delivery.accept().unwrap();
}

/// Deliveries of this many octets, each settled and in a frame of its own.
async fn send_large(peer: &mut Peer, ids: std::ops::Range<u32>, octets: usize) {
    for id in ids {
        peer.send_transfer(settled(id), &vec![7; octets]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn credit_follows_the_size_of_what_comes() {
    let options = ReceiverOptions::default().prefetch_bytes(64 * 1024);
    let (mut peer, receiver) = scene::receiver(options).await;
    // Nothing is known yet: one delivery of a large frame.
    assert_eq!(receiver.credit(), 1);
    send_large(&mut peer, 0..1, 100).await;
    receiver.recv().await.unwrap();
    // 64 KiB of 100 octets, and what each costs beside.
    assert_eq!(peer.expect_flow().await.link_credit, Some(64 * 1024 / 228));
    // They grow: credit is taken back.
    send_large(&mut peer, 1..2, 30_000).await;
    assert_eq!(peer.expect_flow().await.link_credit, Some(8));
    send_large(&mut peer, 2..4, 30_000).await;
    assert_eq!(peer.expect_flow().await.link_credit, Some(0));
    peer.expect_nothing().await;
    for _ in 0..3 {
        receiver.recv().await.unwrap();
    }
    assert!(peer.expect_flow().await.link_credit > Some(0));
}
