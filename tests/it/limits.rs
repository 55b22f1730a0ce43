//! Hostile, broken and merely odd peers: what they send is refused or taken, and costs bounded time and memory.

use std::time::Duration;

use amqp10::codec::{
    Attach, Begin, Detach, End, Fields, Flow, Performative, Symbol, Transfer, Value, condition,
};
use amqp10::{
    AcceptLinkOptions, ConnectionError, Credit, LinkError, OnDrop, Outcome, Receiver,
    ReceiverOptions, SendError, SenderOptions, SessionOptions,
};
use tokio::time::Instant;

use crate::support::peer::{self, CHANNEL, HANDLE, Peer, encode};
use crate::support::scene;

fn more(transfer: Transfer) -> Transfer {
    Transfer {
        more: true,
        ..transfer
    }
}

fn settled(delivery_id: u32) -> Transfer {
    Transfer {
        settled: Some(true),
        ..peer::transfer(delivery_id)
    }
}

fn detach() -> Detach {
    Detach {
        handle: HANDLE,
        closed: true,
        error: None,
    }
}

/// Our receiver on a connection with these options.
async fn receiver_with(
    options: amqp10::ConnectionOptions,
    link: ReceiverOptions,
) -> (Peer, Receiver) {
    let (peer, connection) = Peer::opened_client(options, peer::open()).await;
    let (mut peer, session) =
        scene::begin(peer, connection, SessionOptions::default(), peer::begin()).await;
    let receiver = scene::attach_receiver(&mut peer, &session, link).await;
    (peer, receiver)
}

/// A second receiver in the session, at the peer's next handle.
async fn second_receiver(peer: &mut Peer, session: &amqp10::Session) -> Receiver {
    let (receiver, ()) = tokio::join!(
        session.attach_receiver("node", ReceiverOptions::default()),
        async {
            let asked = peer.expect_attach().await;
            peer.send(Attach {
                handle: HANDLE + 1,
                ..peer::answer_to(&asked)
            })
            .await;
            peer.expect_flow().await;
        }
    );
    receiver.unwrap()
}

// ---- octets

/// The octets of a list of lists, this many deep.
fn nested(depth: usize) -> Vec<u8> {
    let mut octets = vec![0x45];
    for _ in 0..depth {
        let mut outer = vec![0xd0];
        outer.extend_from_slice(&(octets.len() as u32 + 4).to_be_bytes());
        outer.extend_from_slice(&1u32.to_be_bytes());
        outer.extend_from_slice(&octets);
        octets = outer;
    }
    octets
}

/// A frame on channel 0 with this body.
fn frame(body: &[u8]) -> Vec<u8> {
    let mut octets = (body.len() as u32 + 8).to_be_bytes().to_vec();
    octets.extend_from_slice(&[2, 0, 0, 0]);
    octets.extend_from_slice(body);
    octets
}

/// A close that says that a frame could not be decoded, or that a field of it is wrong: whichever is noticed first.
async fn expect_undecodable(peer: &mut Peer) {
    let error = peer.expect_close().await.error.unwrap();
    assert!(
        [condition::DECODE_ERROR, condition::INVALID_FIELD].contains(&error.condition),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_nested_lists_in_a_performative_are_refused() {
    let options =
        peer::listener_options().connection(peer::client_options().max_frame_size(1 << 20));
    let (mut peer, _connection) = Peer::opened_listener(options, peer::open()).await;
    // A property of a begin: seven nulls, and a map of one key.
    let mut fields = vec![0x40; 7];
    let nested = nested(10_000);
    fields.push(0xd1);
    fields.extend_from_slice(&(nested.len() as u32 + 7).to_be_bytes());
    fields.extend_from_slice(b"\0\0\0\x02\xa3\x01x");
    fields.extend_from_slice(&nested);
    let mut body = vec![0, 0x53, 0x11, 0xd0];
    body.extend_from_slice(&(fields.len() as u32 + 4).to_be_bytes());
    body.extend_from_slice(b"\0\0\0\x08");
    body.extend_from_slice(&fields);
    peer.send_bytes(&frame(&body)).await;
    expect_undecodable(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_nested_lists_in_a_message_are_an_error_of_the_message_alone() {
    let (mut peer, receiver) = scene::receiver(ReceiverOptions::default()).await;
    let mut body = vec![0, 0x53, 0x77];
    body.extend_from_slice(&nested(10_000));
    peer.send_transfer(more(peer::transfer(0)), &body[..50_000])
        .await;
    peer.send_transfer(peer::continuation(), &body[50_000..])
        .await;
    let delivery = receiver.recv().await.unwrap();
    assert!(delivery.message().is_err());
    delivery.reject(None).unwrap();
    peer.expect_disposition().await;
}

#[tokio::test(start_paused = true)]
async fn lengths_and_counts_of_four_gigabytes_are_refused() {
    for begin in [
        // a list of 2^32-1 octets; one of 2^32-1 fields; an array of 2^32-1 nulls as a field
        b"\0\x53\x11\xd0\xff\xff\xff\xff\0\0\0\x01".as_slice(),
        b"\0\x53\x11\xd0\0\0\0\x04\xff\xff\xff\xff",
        b"\0\x53\x11\xd0\0\0\0\x0e\0\0\0\x01\xf0\0\0\0\x05\xff\xff\xff\xff\x40",
        // a binary of 2^32-1 octets
        b"\0\x53\x11\xd0\0\0\0\x09\0\0\0\x01\xb0\xff\xff\xff\xff",
    ] {
        let (mut peer, _connection) =
            Peer::opened_listener(peer::listener_options(), peer::open()).await;
        peer.send_bytes(&frame(begin)).await;
        expect_undecodable(&mut peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nulls_after_values_and_unknown_properties_are_taken() {
    let (mut peer, connection) =
        Peer::opened_listener(peer::listener_options(), peer::open()).await;
    let properties = Fields::new()
        .with(Symbol::from_static("zero"), "\0")
        .with(Symbol::from_static("large"), u64::MAX)
        .with(Symbol::from_static("list"), Value::List(vec![]));
    peer.send(Begin {
        properties,
        ..peer::begin()
    })
    .await;
    peer.expect_begin().await;
    // next-outgoing-id, windows and handle-max, then nulls to the end of the list
    let end_with_null = b"\0\x53\x17\xc0\x02\x01\x40";
    let mut octets = frame(end_with_null);
    octets[7] = CHANNEL as u8;
    peer.send_bytes(&octets).await;
    assert_eq!(peer.expect_end().await.error, None);
    assert!(!connection.is_closed());
}

// ---- deliveries

#[tokio::test(start_paused = true)]
async fn endless_more_is_bounded() {
    let mut options = peer::client_options();
    options.limits.max_partial_delivery_bytes = 100_000;
    let (mut peer, receiver) = receiver_with(options, ReceiverOptions::default()).await;
    peer.send_transfer(more(peer::transfer(0)), &[0; 10_000])
        .await;
    let mut sent = 1;
    let detached = loop {
        peer.send_transfer(more(peer::continuation()), &[0; 10_000])
            .await;
        sent += 1;
        tokio::task::yield_now().await;
        if receiver.is_closed() {
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
    let mut options = peer::client_options();
    options.limits.max_unsettled_deliveries = 10;
    let link = ReceiverOptions::default().on_drop(OnDrop::LeaveUnsettled);
    let (mut peer, receiver) = receiver_with(options, link).await;
    for id in 0..10 {
        peer.send_transfer(peer::transfer(id), b"x").await;
        drop(receiver.recv().await.unwrap());
    }
    assert!(!receiver.is_closed());
    peer.send_transfer(peer::transfer(10), b"x").await;
    peer.expect_detach_with(condition::RESOURCE_LIMIT_EXCEEDED)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_detach_an_end_and_a_cut_in_mid_delivery_deliver_nothing() {
    for ending in 0..3 {
        let (mut peer, receiver) = scene::receiver(ReceiverOptions::default()).await;
        peer.send_transfer(more(peer::transfer(0)), b"half").await;
        match ending {
            0 => peer.send(detach()).await,
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
    peer.send(detach()).await;
    peer.expect_detach().await;
    assert_eq!(receiver.recv().await.unwrap().payload().as_ref(), b"whole");
    assert!(receiver.recv().await.is_err());
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
async fn a_slow_consumer_stops_neither_other_links_nor_heartbeats() {
    let open = amqp10::codec::Open {
        idle_time_out: Some(2000),
        ..peer::open()
    };
    let (peer, connection) = Peer::opened_client(peer::client_options(), open).await;
    let (mut peer, session) =
        scene::begin(peer, connection, SessionOptions::default(), peer::begin()).await;
    let options = ReceiverOptions::default().credit(Credit::Auto(50));
    let slow = scene::attach_receiver(&mut peer, &session, options).await;
    let quick = second_receiver(&mut peer, &session).await;
    for id in 0..50 {
        peer.send_transfer(settled(id), &[0; 1000]).await;
    }
    for id in 50..1000 {
        let transfer = Transfer {
            handle: HANDLE + 1,
            ..settled(id)
        };
        peer.send_transfer(transfer, &[0; 1000]).await;
        assert_eq!(quick.recv().await.unwrap().delivery_id(), id);
    }
    let mut heartbeats = 0;
    while heartbeats < 3 {
        heartbeats += usize::from(peer.next_frame().await.unwrap().performative.is_none());
    }
    for id in 0..50 {
        assert_eq!(slow.recv().await.unwrap().delivery_id(), id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_makes_senders_wait_and_is_still_heard() {
    let (near, far) = amqp10::memory::pipe(1000);
    let options = peer::client_options();
    let high_water = options.limits.max_output_bytes;
    let opening = tokio::spawn(amqp10::Connection::open_with_stream(near, options));
    let mut peer = Peer::new(far);
    peer.exchange_headers().await;
    peer.expect_open().await;
    peer.send_on(0, peer::open()).await;
    let connection = opening.await.unwrap().unwrap();
    let options = SessionOptions::default();
    let (mut peer, session) = scene::begin(peer, connection, options, peer::begin()).await;
    let sender = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
    peer.grant(0, 10_000).await;
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let sending = tokio::spawn({
        let sent = sent.clone();
        async move {
            while sender.send_settled(vec![0; 10_000]).await.is_ok() {
                sent.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    let octets = sent.load(std::sync::atomic::Ordering::Relaxed) * 10_000;
    assert!(octets > 0 && octets < 3 * high_water, "{octets}");
    peer.send(End::default()).await;
    sending.await.unwrap();
    assert!(matches!(
        session.closed().await,
        amqp10::SessionError::RemoteEnded(None)
    ));
}

// ---- numbers

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
async fn dispositions_for_what_was_never_sent_are_ignored() {
    let (mut peer, sender) = scene::sender().await;
    for (first, last) in [(0, 0), (5, 900), (0, 0x7fff_ffff), (u32::MAX, 5)] {
        peer.send(peer::accept(first, last)).await;
        peer.send(amqp10::codec::Disposition {
            role: amqp10::codec::Role::Sender,
            ..peer::accept(first, last)
        })
        .await;
    }
    peer.expect_nothing().await;
    assert!(!sender.is_closed());
}

// ---- churn

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_sessions_begun_and_ended() {
    let (mut peer, connection) =
        Peer::opened_listener(peer::listener_options(), peer::open()).await;
    let both = [
        encode(CHANNEL, &peer::begin().into(), b""),
        encode(CHANNEL, &End::default().into(), b""),
    ]
    .concat();
    let chunk = both.repeat(200);
    for _ in 0..500 {
        peer.send_bytes(&chunk).await;
        let (mut begins, mut ends) = (0, 0);
        while ends < 200 {
            match peer.expect().await {
                (channel, Performative::Begin(_), _) => {
                    assert!(channel <= 255);
                    begins += 1;
                }
                (_, Performative::End(end), _) => {
                    assert_eq!(end.error, None);
                    ends += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(begins, 200);
    }
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_links_attached_and_detached() {
    let (mut peer, connection) = scene::incoming_session().await;
    let both = [
        encode(CHANNEL, &peer::attach_sender("link").into(), b""),
        encode(CHANNEL, &detach().into(), b""),
    ]
    .concat();
    let chunk = both.repeat(20);
    for _ in 0..5000 {
        peer.send_bytes(&chunk).await;
        let (mut attaches, mut detaches) = (0, 0);
        while detaches < 20 {
            match peer.expect().await.1 {
                Performative::Attach(attach) => {
                    assert!(attach.handle < 1024);
                    attaches += 1;
                }
                Performative::Detach(_) => detaches += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(attaches, 20);
    }
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn our_links_and_sessions_come_and_go_on_the_same_numbers() {
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), peer::open()).await;
    for _ in 0..500 {
        let (session, channel) = tokio::join!(
            connection.begin(SessionOptions::default()),
            peer.answer_begin(peer::begin())
        );
        assert_eq!(channel, 0);
        let session = session.unwrap();
        for _ in 0..3 {
            let sender = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
            let (closed, answered) = tokio::join!(sender.close(), peer.answer_detach());
            closed.unwrap();
            assert_eq!(answered.handle, 0);
        }
        let (ended, ()) = tokio::join!(session.end(), peer.answer_end());
        ended.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn attaches_that_cannot_be_answered_end_the_session() {
    // The peer attaches two links, but lets us use one handle only.
    let (mut peer, connection) =
        Peer::opened_listener(peer::listener_options(), peer::open()).await;
    peer.send(Begin {
        handle_max: 0,
        ..peer::begin()
    })
    .await;
    peer.expect_begin().await;
    let attach = peer::attach_sender("one");
    let _one = scene::accept(&mut peer, &connection, attach, AcceptLinkOptions::default()).await;
    peer.expect_attach().await;
    peer.expect_flow().await;
    peer.send(Attach {
        handle: HANDLE + 1,
        ..peer::attach_sender("two")
    })
    .await;
    let two = connection.accept_link().await.unwrap();
    assert!(two.accept(AcceptLinkOptions::default()).await.is_err());
    peer.expect_end_with(condition::RESOURCE_LIMIT_EXCEEDED)
        .await;
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn attaches_and_detaches_of_a_peer_that_does_not_read_are_bounded() {
    let (near, far) = amqp10::memory::pipe(1000);
    let accepting = tokio::spawn(async move {
        let options = peer::listener_options();
        let incoming = amqp10::Listener::accept_stream(near, &options).await?;
        incoming.accept().await
    });
    let mut peer = Peer::new(far);
    peer.exchange_headers().await;
    peer.send_on(0, peer::open()).await;
    peer.expect_open().await;
    let connection = accepting.await.unwrap().unwrap();
    peer.begin_session().await;
    for number in 0..20_000 {
        peer.send(peer::attach_sender(&format!("link {number}")))
            .await;
        peer.send(detach()).await;
    }
    // Whatever could be answered is; then the session ends, or all was.
    let mut answers = 0;
    loop {
        match peer.expect().await.1 {
            Performative::Attach(_) | Performative::Detach(_) => answers += 1,
            Performative::End(end) => {
                let error = end.error.unwrap();
                assert_eq!(error.condition, condition::RESOURCE_LIMIT_EXCEEDED);
                break;
            }
            other => panic!("{other:?}"),
        }
        if answers == 40_000 {
            break;
        }
    }
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn echoes_for_a_peer_that_does_not_read_are_merged() {
    let (near, far) = amqp10::memory::pipe(1000);
    let accepting = tokio::spawn(async move {
        let options = peer::listener_options();
        let incoming = amqp10::Listener::accept_stream(near, &options).await?;
        incoming.accept().await
    });
    let mut peer = Peer::new(far);
    peer.exchange_headers().await;
    peer.send_on(0, peer::open()).await;
    peer.expect_open().await;
    let _connection = accepting.await.unwrap().unwrap();
    peer.begin_session().await;
    for _ in 0..50_000 {
        peer.send(Flow {
            echo: true,
            ..peer.flow()
        })
        .await;
    }
    peer.send(End::default()).await;
    let mut answers = 0;
    while let (_, Performative::Flow(_), _) = peer.expect().await {
        answers += 1;
    }
    assert!((1..25_000).contains(&answers), "{answers}");
}

#[tokio::test(start_paused = true)]
async fn more_sessions_than_the_limit_close_the_connection() {
    let mut options = peer::client_options();
    options.limits.max_sessions = 3;
    let options = peer::listener_options().connection(options);
    let (mut peer, opening) = Peer::of_listener(options);
    peer.exchange_headers().await;
    peer.send_on(0, peer::open()).await;
    assert_eq!(peer.expect_open().await.channel_max, 2);
    let _connection = opening.await.unwrap().unwrap();
    for channel in 0..3 {
        peer.send_on(channel, peer::begin()).await;
        peer.expect_begin().await;
    }
    peer.send_on(3, peer::begin()).await;
    peer.expect_close_with(condition::FRAMING_ERROR).await;
}

// ---- time

#[tokio::test(start_paused = true)]
async fn a_server_that_trickles_its_open_cannot_stretch_the_deadline() {
    let options = peer::client_options().connect_timeout(Duration::from_secs(10));
    let (mut peer, opening) = Peer::of_client(options);
    peer.exchange_headers().await;
    peer.expect_open().await;
    let started = Instant::now();
    let trickling = tokio::spawn(async move {
        for octet in encode(0, &peer::open().into(), b"") {
            peer.send_bytes(&[octet]).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    assert!(opening.await.unwrap().is_err());
    assert_eq!(started.elapsed().as_secs(), 10);
    trickling.abort();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_only_sends_heartbeats_ends_no_wait_of_ours_late() {
    let (mut peer, session) = scene::session().await;
    let beating = async {
        loop {
            peer.send_bytes(b"\0\0\0\x08\x02\0\0\0").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let started = Instant::now();
    tokio::select! {
        attached = session.attach_sender("node", SenderOptions::default()) => {
            assert!(matches!(attached, Err(LinkError::Timeout { .. })));
        }
        () = beating => {}
    }
    assert_eq!(started.elapsed().as_secs(), 10);
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
async fn frames_after_end_close_the_connection() {
    let (mut peer, connection) = scene::incoming_session().await;
    peer.send(End::default()).await;
    peer.expect_end().await;
    peer.send(peer.flow()).await;
    peer.expect_close_with(condition::FRAMING_ERROR).await;
    assert!(matches!(
        connection.closed().await,
        ConnectionError::Violation(_)
    ));
}
