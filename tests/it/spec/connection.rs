//! Connections [2.4, 2.7.1, 2.7.9].

use std::time::Duration;

use amqp10::codec::{Close, End, Fields, Open, condition};
use amqp10::{AmqpError, ConnectError, ConnectionError, SessionError, SessionOptions, Symbol};
use tokio::time::Instant;

use crate::support::peer::{self, CHANNEL, Peer};
use crate::support::scene;

fn error() -> AmqpError {
    AmqpError::new(condition::CONNECTION_FORCED, "maintenance")
}

fn close_with(error: AmqpError) -> Close {
    Close { error: Some(error) }
}

#[tokio::test(start_paused = true)]
async fn c_001_a_first_frame_other_than_open_is_refused_after_our_open() {
    let (mut peer, opening) = Peer::of_listener(peer::listener_options());
    peer.exchange_headers().await;
    peer.send_on(0, peer::begin()).await;
    peer.expect_open().await;
    peer.expect_close_with(condition::ILLEGAL_STATE).await;
    assert!(opening.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn c_002_open_on_another_channel_is_refused_after_our_open() {
    let (mut peer, opening) = Peer::of_listener(peer::listener_options());
    peer.exchange_headers().await;
    peer.send_on(1, peer::open()).await;
    peer.expect_open().await;
    peer.expect_close_with(condition::FRAMING_ERROR).await;
    assert!(opening.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn c_003_a_second_open_is_refused() {
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), peer::open()).await;
    peer.send_on(0, peer::open()).await;
    peer.expect_close_with(condition::ILLEGAL_STATE).await;
    assert!(matches!(
        connection.closed().await,
        ConnectionError::Violation(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn c_004_open_without_container_id_is_refused() {
    let (mut peer, opening) = Peer::of_listener(peer::listener_options());
    peer.exchange_headers().await;
    peer.send_bytes(b"\0\0\0\x0c\x02\0\0\0\0\x53\x10\x45").await;
    peer.expect_open().await;
    let error = peer.expect_close().await.error.unwrap();
    assert!(
        [condition::DECODE_ERROR, condition::INVALID_FIELD].contains(&error.condition),
        "{error:?}"
    );
    assert!(opening.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn c_004_an_empty_container_id_is_legal() {
    let open = Open {
        container_id: "".into(),
        ..peer::open()
    };
    let (_peer, connection) = Peer::opened_listener(peer::listener_options(), open).await;
    assert_eq!(connection.remote_open().container_id.as_str(), "");
}

#[tokio::test(start_paused = true)]
async fn c_005_c_012_our_open_names_the_host_and_half_of_the_patience() {
    let options = peer::client_options()
        .hostname("broker.example")
        .idle_time_out(Duration::from_secs(10))
        .channel_max(9)
        .max_frame_size(4096);
    let (mut peer, opening) = Peer::of_client(options);
    peer.exchange_headers().await;
    let open = peer.expect_open().await;
    assert_eq!(open.container_id.as_str(), "client");
    assert_eq!(open.hostname.as_deref(), Some("broker.example"));
    assert_eq!(open.idle_time_out, Some(5000));
    assert_eq!((open.channel_max, open.max_frame_size), (9, 4096));
    peer.send_on(0, peer::open()).await;
    opening.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn c_007_c_008_channel_max_zero_is_one_session() {
    let open = Open {
        channel_max: 0,
        ..peer::open()
    };
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), open).await;
    let (session, _) = tokio::join!(
        connection.begin(SessionOptions::default()),
        peer.answer_begin(peer::begin())
    );
    let _session = session.unwrap();
    let error = connection
        .begin(SessionOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(error, SessionError::TooManySessions { limit: 1 }),
        "{error:?}"
    );
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn c_010_an_idle_time_out_of_zero_is_none() {
    let open = Open {
        idle_time_out: Some(0),
        ..peer::open()
    };
    let options = peer::client_options().idle_time_out(None);
    let (mut peer, connection) = Peer::opened_client(options, open).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    peer.expect_nothing().await;
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn c_011_c_013_c_016_heartbeats_at_half_of_what_the_peer_tolerates() {
    let open = Open {
        idle_time_out: Some(500),
        ..peer::open()
    };
    let options = peer::client_options().idle_time_out(None);
    let (mut peer, _connection) = Peer::opened_client(options, open).await;
    let mut last = Instant::now();
    for _ in 0..20 {
        let frame = peer.next_frame().await.unwrap();
        assert_eq!((frame.channel, frame.performative), (0, None));
        assert!(last.elapsed() <= Duration::from_millis(255), "{last:?}");
        last = Instant::now();
    }
}

/// Who doesn't read gets no pile of them, and one as soon as there is room.
#[tokio::test(start_paused = true)]
async fn c_011_heartbeats_do_not_pile_up() {
    let open = Open {
        idle_time_out: Some(20),
        ..peer::open()
    };
    let options = peer::client_options().idle_time_out(None);
    let (mut peer, _connection) = Peer::opened_client(options, open).await;
    tokio::time::sleep(Duration::from_secs(2000)).await;
    let mut piled_up = 0;
    let at_once = Instant::now();
    while at_once.elapsed().is_zero() {
        peer.next_frame().await.unwrap();
        piled_up += 1;
    }
    assert!(
        piled_up < 140_000,
        "{piled_up} empty frames: the stream takes 131 072"
    );
    for _ in 0..20 {
        let last = Instant::now();
        peer.next_frame().await.unwrap();
        assert!(last.elapsed() <= Duration::from_millis(20), "{last:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn c_014_a_silent_peer_gets_a_close_and_then_the_end() {
    let options = peer::client_options().idle_time_out(Duration::from_secs(4));
    let (mut peer, connection) = Peer::opened_client(options, peer::open()).await;
    let started = Instant::now();
    let close = peer.expect_close().await;
    assert_eq!(
        close.error.unwrap().condition,
        condition::RESOURCE_LIMIT_EXCEEDED
    );
    assert!(started.elapsed() >= Duration::from_secs(4));
    assert!(started.elapsed() < Duration::from_millis(4100));
    assert!(matches!(
        connection.closed().await,
        ConnectionError::IdleTimeout(_)
    ));
    tokio::time::sleep(Duration::from_secs(10)).await;
    peer.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn c_015_an_idle_time_out_that_cannot_be_honoured_is_refused() {
    let open = Open {
        idle_time_out: Some(1),
        ..peer::open()
    };
    let (mut peer, opening) = Peer::of_listener(peer::listener_options());
    peer.exchange_headers().await;
    peer.send_on(0, open).await;
    peer.expect_open().await;
    peer.expect_close_with(condition::NOT_ALLOWED).await;
    assert!(opening.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn c_017_empty_frames_keep_the_connection_up() {
    let options = peer::client_options().idle_time_out(Duration::from_secs(4));
    let (mut peer, connection) = Peer::opened_client(options, peer::open()).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        peer.send_bytes(b"\0\0\0\x08\x02\0\0\0").await;
    }
    peer.expect_nothing().await;
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn c_018_no_heartbeat_before_our_open() {
    let (near, far) = amqp10::memory::pipe(1 << 16);
    let mut options = peer::listener_options();
    options.handshake_timeout = Duration::from_secs(60);
    let incoming = tokio::spawn(async move {
        amqp10::Listener::accept_stream(near, &options)
            .await
            .unwrap()
    });
    let mut peer = Peer::new(far);
    peer.exchange_headers().await;
    let open = Open {
        idle_time_out: Some(100),
        ..peer::open()
    };
    peer.send_on(0, open).await;
    let incoming = incoming.await.unwrap();
    peer.expect_nothing().await;
    incoming.accept().await.unwrap();
    peer.expect_open().await;
}

#[tokio::test(start_paused = true)]
async fn c_019_octets_of_a_slow_frame_count_as_life() {
    let options = peer::client_options().idle_time_out(Duration::from_secs(4));
    let options = peer::listener_options().connection(options);
    let (mut peer, connection) = Peer::opened_listener(options, peer::open()).await;
    for octet in peer::encode(CHANNEL, &peer::begin().into(), b"") {
        peer.send_bytes(&[octet]).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    peer.expect_begin().await;
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn c_023_properties_of_the_peers_open_are_readable() {
    let open = Open {
        properties: Fields::new()
            .with(Symbol::from_static("product"), "test")
            .with(Symbol::from_static("x-unknown"), 7u32),
        ..peer::open()
    };
    let (_peer, connection) = Peer::opened_client(peer::client_options(), open).await;
    let remote = connection.remote_open();
    assert_eq!(
        remote.properties.get("product").unwrap().as_str(),
        Some("test")
    );
    assert!(remote.properties.get("x-unknown").is_some());
}

#[tokio::test(start_paused = true)]
async fn c_026_c_027_c_030_c_037_we_close_and_wait_for_the_peers_close() {
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), peer::open()).await;
    let closing = tokio::spawn(async move { connection.close_with_error(error()).await });
    assert_eq!(peer.expect_close().await.error, Some(error()));
    peer.expect_nothing().await;
    assert!(!closing.is_finished());
    peer.send_on(0, Close::default()).await;
    peer.expect_eof().await;
    closing.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn c_027_a_peer_that_never_answers_close_is_left_after_the_deadline() {
    let options = peer::client_options().operation_timeout(Duration::from_secs(3));
    let (mut peer, connection) = Peer::opened_client(options, peer::open()).await;
    let started = Instant::now();
    let closing = tokio::spawn(async move { connection.close().await });
    peer.expect_close().await;
    peer.expect_eof().await;
    assert_eq!(started.elapsed().as_secs(), 3);
    let error = closing.await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            ConnectionError::Timeout {
                operation: "close",
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn c_028_c_036_c_042_the_peers_close_is_answered_and_its_error_kept() {
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), peer::open()).await;
    peer.send_on(0, close_with(error())).await;
    assert_eq!(peer.expect_close().await.error, None);
    peer.expect_eof().await;
    assert_eq!(connection.closed().await.remote_error(), Some(&error()));
    assert!(connection.closed().await.is_retryable()); // C-042
    let after = connection.begin(SessionOptions::default()).await;
    assert_eq!(after.unwrap_err().remote_error(), Some(&error()));
}

#[tokio::test(start_paused = true)]
async fn c_029_close_is_taken_on_any_channel() {
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), peer::open()).await;
    peer.send_on(5, Close::default()).await;
    peer.expect_close().await;
    peer.expect_eof().await;
    assert!(matches!(
        connection.closed().await,
        ConnectionError::RemoteClosed(None)
    ));
}

#[tokio::test(start_paused = true)]
async fn c_031_closes_that_cross_answer_each_other() {
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), peer::open()).await;
    let closing = tokio::spawn(async move { connection.close().await });
    peer.send_on(0, close_with(error())).await;
    peer.expect_close().await;
    peer.expect_eof().await;
    let _ = closing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn c_028_close_twice_does_no_harm() {
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), peer::open()).await;
    let twice = [
        peer::encode(0, &Close::default().into(), b""),
        peer::encode(0, &Close::default().into(), b""),
    ]
    .concat();
    peer.send_bytes(&twice).await;
    peer.expect_close().await;
    peer.expect_eof().await;
    connection.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn c_032_after_our_error_close_everything_but_close_is_dropped() {
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), peer::open()).await;
    peer.send_on(0, peer::open()).await;
    peer.expect_close().await;
    peer.send(peer::begin()).await;
    peer.send(peer::transfer(0)).await;
    peer.send_on(0, peer::open()).await;
    peer.expect_nothing().await;
    peer.send_on(0, Close::default()).await;
    peer.expect_eof().await;
    assert!(connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn c_040_a_lost_stream_is_told_apart_from_a_close() {
    let (peer, connection) = Peer::opened_client(peer::client_options(), peer::open()).await;
    peer.hang_up();
    let error = connection.closed().await;
    assert!(matches!(error, ConnectionError::Lost(_)), "{error:?}");
    assert!(error.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn c_041_a_redirect_is_shown_with_its_info() {
    let redirect = AmqpError {
        info: Fields::new()
            .with(Symbol::from_static("network-host"), "other.example")
            .with(Symbol::from_static("port"), 5671u16),
        ..AmqpError::new(condition::CONNECTION_REDIRECT, "go there")
    };
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), peer::open()).await;
    peer.send_on(0, close_with(redirect.clone())).await;
    peer.expect_close().await;
    assert_eq!(connection.closed().await.remote_error(), Some(&redirect));
}

#[tokio::test(start_paused = true)]
async fn c_043_an_open_that_announces_failure_is_a_refusal() {
    let (mut peer, opening) = Peer::of_client(peer::client_options());
    peer.exchange_headers().await;
    peer.expect_open().await;
    let open = Open {
        properties: Fields::new().with(
            Symbol::from_static("amqp:connection-establishment-failed"),
            true,
        ),
        ..peer::open()
    };
    peer.send_on(0, open).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let error = AmqpError::new(condition::UNAUTHORIZED_ACCESS, "who are you");
    peer.send_on(0, close_with(error.clone())).await;
    peer.expect_close().await;
    match opening.await.unwrap().unwrap_err() {
        ConnectError::Refused(refused) => assert_eq!(refused, error),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn c_043_c_044_our_refusal_is_an_open_that_says_so_and_a_close() {
    let (near, far) = amqp10::memory::pipe(1 << 16);
    let refusing = tokio::spawn(async move {
        let incoming = amqp10::Listener::accept_stream(near, &peer::listener_options())
            .await
            .unwrap();
        incoming.refuse(error()).await
    });
    let mut peer = Peer::new(far);
    peer.exchange_headers().await;
    peer.send_on(0, peer::open()).await;
    let open = peer.expect_open().await;
    let failed = open.properties.get("amqp:connection-establishment-failed");
    assert_eq!(failed, Some(&true.into()));
    peer.expect_close_with(condition::CONNECTION_FORCED).await;
    refusing.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_opens_meets_the_deadline() {
    let options = peer::client_options().connect_timeout(Duration::from_secs(3));
    let (mut peer, opening) = Peer::of_client(options);
    peer.exchange_headers().await;
    peer.expect_open().await;
    let error = opening.await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error:?}");
    peer.expect_close().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_opens_meets_the_deadline() {
    let (mut peer, opening) = Peer::of_listener(peer::listener_options());
    peer.exchange_headers().await;
    let error = opening.await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error:?}");
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_closes_the_connection() {
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), peer::open()).await;
    let another = connection.clone();
    drop(connection);
    peer.expect_nothing().await;
    drop(another);
    assert_eq!(peer.expect_close().await.error, None);
    peer.send_on(0, Close::default()).await;
    peer.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn an_incoming_connection_that_is_dropped_is_opened_and_closed() {
    let (near, far) = amqp10::memory::pipe(1 << 16);
    let accepting = tokio::spawn(async move {
        amqp10::Listener::accept_stream(near, &peer::listener_options()).await
    });
    let mut peer = Peer::new(far);
    peer.exchange_headers().await;
    peer.send_on(0, peer::open()).await;
    drop(accepting.await.unwrap().unwrap());
    peer.expect_open().await;
    peer.expect_close().await;
    peer.send_on(0, Close::default()).await;
    peer.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_client_sends_before_its_open_is_answered_waits_for_that() {
    let (near, far) = amqp10::memory::pipe(1 << 16);
    let accepting = tokio::spawn(async move {
        amqp10::Listener::accept_stream(near, &peer::listener_options())
            .await
            .unwrap()
    });
    let mut peer = Peer::new(far);
    peer.exchange_headers().await;
    peer.send_on(0, peer::open()).await;
    peer.send(peer::begin()).await;
    peer.send(peer::attach_sender("early")).await;
    let incoming = accepting.await.unwrap();
    assert_eq!(incoming.open().container_id.as_str(), "peer");
    peer.expect_nothing().await;
    let connection = incoming.accept().await.unwrap();
    peer.expect_open().await;
    peer.expect_begin().await;
    let link = connection.accept_link().await.unwrap();
    assert_eq!(link.attach().name.as_str(), "early");
}

#[tokio::test(start_paused = true)]
async fn an_open_that_is_given_up_closes_the_connection() {
    let (mut peer, opening) = Peer::of_client(peer::client_options());
    peer.exchange_headers().await;
    peer.expect_open().await;
    opening.abort();
    peer.expect_close().await;
    peer.send_on(0, peer::open()).await;
    peer.send_on(0, Close::default()).await;
    peer.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn c_006_a_peer_that_names_no_frame_size_takes_any() {
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), peer::open()).await;
    assert_eq!(connection.remote_open().max_frame_size, u32::MAX);
    let (session, _) = tokio::join!(
        connection.begin(SessionOptions::default()),
        peer.answer_begin(peer::begin())
    );
    let session = session.unwrap();
    let sender = scene::attach_sender(&mut peer, &session, Default::default()).await;
    peer.grant(0, 1).await;
    let body = vec![0; 100_000];
    sender.send_settled(body).await.unwrap();
    let (transfer, payload) = peer.expect_transfer().await;
    assert!(!transfer.more && payload.len() > 100_000);
}

#[tokio::test(start_paused = true)]
async fn c_020_locales_are_optional() {
    let locale = Symbol::from_static("de-DE");
    let open = Open {
        outgoing_locales: vec![locale.clone()],
        incoming_locales: vec![locale.clone()],
        ..peer::open()
    };
    let (mut peer, opening) = Peer::of_client(peer::client_options());
    peer.exchange_headers().await;
    let ours = peer.expect_open().await;
    assert!(ours.outgoing_locales.is_empty() && ours.incoming_locales.is_empty());
    peer.send_on(0, open).await;
    let connection = opening.await.unwrap().unwrap();
    assert_eq!(connection.remote_open().outgoing_locales, [locale]);
}

#[tokio::test(start_paused = true)]
async fn c_021_a_required_extension_that_is_not_offered_closes_the_connection() {
    let required = Symbol::from_static("ANONYMOUS-RELAY");
    let options = peer::client_options().required_capabilities([required.clone()]);
    let (mut peer, opening) = Peer::of_client(options);
    peer.exchange_headers().await;
    let open = peer.expect_open().await;
    assert_eq!(open.desired_capabilities, std::slice::from_ref(&required));
    peer.send_on(0, peer::open()).await;
    let error = opening.await.unwrap().unwrap_err();
    assert!(
        matches!(&error, ConnectError::MissingCapability(missing) if *missing == required),
        "{error}"
    );
    assert!(!error.is_retryable());
    peer.expect_close().await;
}

#[tokio::test(start_paused = true)]
async fn c_022_an_extension_is_used_if_it_is_desired_and_offered() {
    let [both, desired, offered] = ["both", "desired", "offered"].map(Symbol::from_static);
    let options = peer::client_options().desired_capabilities([both.clone(), desired.clone()]);
    let open = Open {
        offered_capabilities: vec![both.clone(), offered.clone()],
        ..peer::open()
    };
    let (_peer, connection) = Peer::opened_client(options, open).await;
    assert!(connection.may_use(&both));
    assert!(!connection.may_use(&desired) && !connection.may_use(&offered));
}

/// What a peer can say after the headers.
#[derive(Clone, Copy, Debug)]
enum Said {
    Open,
    Begin,
    Close,
    Empty,
    End,
}

/// Every input in every state that a peer can bring about: after each sequence of up to four the connection is as the standard's
/// table has it, and nothing hangs.
#[tokio::test(start_paused = true)]
async fn c_033_every_input_in_every_state_is_answered_or_refused() {
    const INPUTS: [Said; 5] = [Said::Open, Said::Begin, Said::Close, Said::Empty, Said::End];
    for sequence in 0..5_usize.pow(4) {
        let said: Vec<Said> = (0..4)
            .map(|place| INPUTS[sequence / 5_usize.pow(place) % 5])
            .collect();
        let (mut peer, opening) = Peer::of_client(peer::client_options());
        peer.exchange_headers().await;
        for input in &said {
            let octets = match input {
                Said::Open => peer::encode(0, &peer::open().into(), b""),
                Said::Begin => peer::encode(0, &peer::begin().into(), b""),
                Said::Close => peer::encode(0, &Close::default().into(), b""),
                Said::End => peer::encode(0, &End::default().into(), b""),
                Said::Empty => bytes::BytesMut::from(&[0, 0, 0, 8, 2, 0, 0, 0][..]),
            };
            peer.send_if_read(&octets).await;
        }
        let first = said[0];
        let opened = opening.await.unwrap();
        let opens = matches!(first, Said::Open);
        // C-001: the first frame is open. What comes after it may end the connection before it is handed out.
        if !opens {
            assert!(opened.is_err(), "{said:?}");
        }
        let ends = said
            .iter()
            .any(|input| matches!(input, Said::Close | Said::End))
            || said[1..].iter().any(|input| matches!(input, Said::Open))
            || said
                .iter()
                .filter(|input| matches!(input, Said::Begin))
                .count()
                > 1;
        if let (Ok(connection), true) = (&opened, opens && ends) {
            connection.closed().await;
        }
        if let (Ok(connection), true) = (&opened, opens && !ends) {
            assert!(!connection.is_closed(), "{said:?}");
        }
    }
}
