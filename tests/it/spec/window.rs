//! Session windows, counted in transfer frames [2.5.6, 2.7.4].

use amqp10::codec::{Begin, Flow, condition};
use amqp10::{
    AcceptLinkOptions, Outcome, ReceiverOptions, Sender, SenderOptions, Session, SessionOptions,
};

use crate::support::peer::{self, HANDLE, Peer};
use crate::support::scene;

/// The peer announces this window and frames of 512 octets.
async fn session_with_window(incoming_window: u32, next_outgoing_id: u32) -> (Peer, Session) {
    let open = amqp10::codec::Open {
        max_frame_size: 512,
        ..peer::open()
    };
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), open).await;
    let options = SessionOptions::default().next_outgoing_id(next_outgoing_id);
    let begin = Begin {
        incoming_window,
        ..peer::begin()
    };
    let (session, _) = tokio::join!(connection.begin(options), peer.answer_begin(begin));
    peer.next_incoming_id = next_outgoing_id;
    (peer, session.unwrap())
}

/// A sender with credit for ten in such a session.
async fn sender_with_window(incoming_window: u32, next_outgoing_id: u32) -> (Peer, Sender) {
    let (mut peer, session) = session_with_window(incoming_window, next_outgoing_id).await;
    let sender = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
    peer.send(window(&peer, incoming_window, Some(10))).await;
    (peer, sender)
}

/// A flow with this window, and this credit if any.
fn window(peer: &Peer, incoming_window: u32, link_credit: Option<u32>) -> Flow {
    Flow {
        incoming_window,
        handle: link_credit.map(|_| HANDLE),
        delivery_count: link_credit.map(|_| 0),
        link_credit,
        ..peer.flow()
    }
}

#[tokio::test(start_paused = true)]
async fn w_001_w_002_w_005_the_window_counts_frames_and_ids_wrap() {
    let (mut peer, sender) = sender_with_window(3, u32::MAX - 1).await;
    let sending = tokio::spawn(async move { sender.send(vec![1; 2000]).await });
    for number in 0..3 {
        let (transfer, _) = peer.expect_transfer().await;
        assert_eq!(transfer.delivery_id, (number == 0).then_some(u32::MAX - 1));
        assert!(transfer.more);
    }
    peer.expect_nothing().await;
    // next-incoming-id is behind the wrap by now.
    assert_eq!(peer.next_incoming_id, 1);
    peer.send(window(&peer, 100, None)).await;
    while peer.expect_transfer().await.0.more {}
    peer.send(Flow {
        echo: true,
        ..peer.flow()
    })
    .await;
    assert_eq!(
        peer.expect_flow().await.next_outgoing_id,
        peer.next_incoming_id
    );
    peer.send(peer::accept(u32::MAX - 1, u32::MAX - 1)).await;
    assert_eq!(sending.await.unwrap().unwrap(), Outcome::Accepted);
}

#[tokio::test(start_paused = true)]
async fn w_009_a_flow_without_next_incoming_id_counts_from_our_begin() {
    let (mut peer, sender) = sender_with_window(0, 500).await;
    peer.send(Flow {
        next_incoming_id: None,
        ..window(&peer, 2, None)
    })
    .await;
    let sending = tokio::spawn(async move {
        for _ in 0..3 {
            sender.send_settled("x").await.unwrap();
        }
    });
    peer.expect_transfer().await;
    peer.expect_transfer().await;
    peer.expect_nothing().await;
    sending.abort();
}

#[tokio::test(start_paused = true)]
async fn w_012_a_transfer_beyond_our_window_ends_the_session() {
    let (mut peer, session) =
        scene::session_with(SessionOptions::default().incoming_window(0), peer::begin()).await;
    let (receiver, ()) = tokio::join!(
        session.attach_receiver("node", ReceiverOptions::default()),
        async {
            peer.answer_attach().await;
            assert_eq!(peer.expect_flow().await.incoming_window, 0);
        }
    );
    peer.send_transfer(peer::transfer(0), b"x").await;
    peer.expect_end_with(condition::WINDOW_VIOLATION).await;
    assert!(receiver.unwrap().recv().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn w_013_our_window_opens_again_before_it_is_used_up() {
    let (mut peer, session) =
        scene::session_with(SessionOptions::default().incoming_window(4), peer::begin()).await;
    let options = ReceiverOptions::default();
    let receiver = scene::attach_receiver(&mut peer, &session, options).await;
    let mut left = 4;
    for id in 0..100 {
        peer.send_transfer(
            amqp10::codec::Transfer {
                settled: Some(true),
                ..peer::transfer(id)
            },
            b"\0\x53\x77\x40",
        )
        .await;
        left -= 1;
        receiver.recv().await.unwrap();
        if left == 2 {
            let flow = peer.expect_flow().await;
            assert_eq!(flow.next_incoming_id, Some(id + 1));
            assert_eq!(flow.incoming_window, 4);
            left = 4;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn w_014_only_transfers_wait_for_the_window() {
    let (mut peer, session) = scene::session_with(
        SessionOptions::default(),
        Begin {
            incoming_window: 0,
            ..peer::begin()
        },
    )
    .await;
    let receiver = scene::attach_receiver(&mut peer, &session, ReceiverOptions::default()).await;
    peer.send(window(&peer, 0, None)).await;
    peer.send_transfer(peer::transfer(0), b"x").await;
    receiver.recv().await.unwrap().accept().unwrap();
    assert_eq!(peer.expect_disposition().await, peer::accept_one(0));
    let closing = tokio::spawn(async move { receiver.close().await });
    peer.answer_detach().await;
    closing.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn w_003_w_004_w_007_w_016_our_flow_says_what_came_since_the_peers_begin() {
    let begin = Begin {
        next_outgoing_id: u32::MAX,
        ..peer::begin()
    };
    let (mut peer, session) = scene::session_with(SessionOptions::default(), begin).await;
    peer.next_outgoing_id = u32::MAX;
    let _receiver = scene::attach_receiver(&mut peer, &session, ReceiverOptions::default()).await;
    peer.send_transfer(peer::transfer(3), b"x").await;
    peer.send_transfer(peer::transfer(4), b"x").await;
    peer.send(Flow {
        echo: true,
        ..peer.flow()
    })
    .await;
    let flow = peer.expect_flow().await;
    assert_eq!(flow.next_incoming_id, Some(1));
    assert!(!flow.echo); // W-021
    // W-018: nothing of a link in a session's flow
    assert_eq!(
        (
            flow.handle,
            flow.delivery_count,
            flow.link_credit,
            flow.available
        ),
        (None, None, None, None)
    );
}

#[tokio::test(start_paused = true)]
async fn w_020_w_021_echo_is_answered_for_session_and_link_and_not_echoed() {
    let (mut peer, _sender) = scene::sender().await;
    peer.send(Flow {
        echo: true,
        ..peer.flow()
    })
    .await;
    let flow = peer.expect_flow().await;
    assert_eq!((flow.handle, flow.echo), (None, false));
    peer.send(Flow {
        echo: true,
        handle: Some(HANDLE),
        link_credit: Some(7),
        delivery_count: Some(0),
        ..peer.flow()
    })
    .await;
    let flow = peer.expect_flow().await;
    assert_eq!((flow.handle, flow.echo), (Some(0), false));
    assert_eq!((flow.delivery_count, flow.link_credit), (Some(0), Some(7)));
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn w_022_the_largest_windows_do_not_overflow() {
    let (mut peer, sender) = sender_with_window(u32::MAX, u32::MAX).await;
    for incoming_window in [u32::MAX, 1 << 31, u32::MAX - 1] {
        peer.send(window(&peer, incoming_window, None)).await;
        sender.send_settled("x").await.unwrap();
        peer.expect_transfer().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_larger_than_the_peers_whole_window_goes_through() {
    let (mut peer, sender) = sender_with_window(2, 0).await;
    sender.send_settled(vec![1; 10_000]).await.unwrap();
    let mut octets = 0;
    loop {
        let (transfer, payload) = peer.expect_transfer().await;
        octets += payload.len();
        if !transfer.more {
            break;
        }
        peer.send(window(&peer, 2, None)).await;
    }
    assert_eq!(octets, 10_000 + 8);
}

#[tokio::test(start_paused = true)]
async fn d_010_large_deliveries_of_two_links_take_turns() {
    let (mut peer, session) = session_with_window(2, 0).await;
    let first = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
    let (second, ()) = tokio::join!(
        session.attach_sender("node", SenderOptions::default()),
        async {
            let asked = peer.expect_attach().await;
            let answer = amqp10::codec::Attach {
                handle: HANDLE + 1,
                ..peer::answer_to(&asked)
            };
            peer.send(answer).await;
        }
    );
    let second = second.unwrap();
    for handle in [HANDLE, HANDLE + 1] {
        peer.send(Flow {
            handle: Some(handle),
            ..window(&peer, 2, Some(10))
        })
        .await;
    }
    let big = || vec![1; 5000];
    while first.credit() == 0 || second.credit() == 0 {
        tokio::task::yield_now().await;
    }
    let (sent, also_sent) = tokio::join!(first.send_settled(big()), second.send_settled(big()));
    sent.unwrap();
    also_sent.unwrap();
    let mut handles = Vec::new();
    for _ in 0..6 {
        handles.push(peer.expect_transfer().await.0.handle);
        peer.send(window(&peer, 1, None)).await;
    }
    assert_eq!(handles, [0, 1, 0, 1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_listener_keeps_to_the_window_of_the_peers_begin() {
    let (mut peer, connection) =
        Peer::opened_listener(peer::listener_options(), peer::open()).await;
    peer.send(Begin {
        incoming_window: 1,
        ..peer::begin()
    })
    .await;
    peer.expect_begin().await;
    let accepted = scene::accept(
        &mut peer,
        &connection,
        peer::attach_receiver("link"),
        AcceptLinkOptions::default(),
    )
    .await;
    let amqp10::AcceptedLink::Sender(sender) = accepted else {
        panic!("not a sender");
    };
    peer.expect_attach().await;
    peer.send(window(&peer, 1, Some(10))).await;
    let sending = tokio::spawn(async move {
        sender.send_settled("one").await.unwrap();
        sender.send_settled("two").await.unwrap();
    });
    peer.expect_transfer().await;
    peer.expect_nothing().await;
    peer.send(window(&peer, 1, None)).await;
    peer.expect_transfer().await;
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_settled_leaves_though_every_handle_is_dropped() {
    let (mut peer, sender) = sender_with_window(2, 0).await;
    sender.send_settled(vec![1; 10_000]).await.unwrap();
    drop(sender);
    let mut octets = 0;
    loop {
        let (transfer, payload) = peer.expect_transfer().await;
        octets += payload.len();
        if !transfer.more {
            break;
        }
        peer.send(window(&peer, 2, None)).await;
    }
    assert_eq!(octets, 10_000 + 8);
    assert!(peer.expect_detach().await.closed);
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn w_018_a_flow_without_handle_says_nothing_of_links() {
    let (mut peer, session) = session_with_window(100, 0).await;
    let echo = Flow {
        echo: true,
        // What has no meaning without a handle is passed over.
        link_credit: Some(5),
        ..peer.flow()
    };
    peer.send(echo).await;
    let flow = peer.expect_flow().await;
    assert_eq!(flow.handle, None);
    assert_eq!((flow.delivery_count, flow.link_credit), (None, None));
    assert_eq!((flow.available, flow.drain), (None, false));
    assert!(!session.is_ended());
}
