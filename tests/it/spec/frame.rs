//! Protocol headers and frames [2.2, 2.3].

use amqp10::codec::frame::ProtocolHeader;
use amqp10::codec::{Begin, condition};
use amqp10::{LinkError, SenderOptions, SessionOptions, Symbol};

use crate::support::peer::{self, CHANNEL, Peer, encode};
use crate::support::scene;

/// Frames that cannot be framed, or do not decode.
async fn expect_refused(octets: &[u8], condition: Symbol) {
    let (mut peer, connection) =
        Peer::opened_listener(peer::listener_options(), peer::open()).await;
    peer.send_bytes(octets).await;
    peer.expect_close_with(condition.clone()).await;
    let amqp10::ConnectionError::Violation(violation) = connection.closed().await else {
        panic!("not a violation");
    };
    assert_eq!(violation.condition, condition);
}

#[tokio::test(start_paused = true)]
async fn v_012_header_and_frames_in_one_segment() {
    let (mut peer, opening) = Peer::of_listener(peer::listener_options());
    let mut octets = ProtocolHeader::AMQP.to_bytes().to_vec();
    octets.extend_from_slice(&encode(0, &peer::open().into(), b""));
    octets.extend_from_slice(&encode(CHANNEL, &peer::begin().into(), b""));
    octets.extend_from_slice(&encode(CHANNEL, &peer::attach_sender("link").into(), b""));
    peer.exchange_headers_with(&octets).await;
    peer.expect_open().await;
    assert_eq!(peer.expect_begin().await.1.remote_channel, Some(CHANNEL));
    let connection = opening.await.unwrap().unwrap();
    let link = connection.accept_link().await.unwrap();
    assert_eq!(link.attach().name.as_str(), "link");
}

#[tokio::test(start_paused = true)]
async fn v_012_frames_one_octet_at_a_time() {
    let (mut peer, connection) =
        Peer::opened_listener(peer::listener_options(), peer::open()).await;
    let mut octets = encode(CHANNEL, &peer::begin().into(), b"").to_vec();
    octets.extend_from_slice(&encode(CHANNEL, &peer::attach_sender("link").into(), b""));
    for octet in octets {
        peer.send_bytes(&[octet]).await;
        tokio::task::yield_now().await;
    }
    peer.expect_begin().await;
    assert_eq!(
        connection
            .accept_link()
            .await
            .unwrap()
            .attach()
            .name
            .as_str(),
        "link"
    );
}

#[tokio::test(start_paused = true)]
async fn f_002_a_size_below_the_header_is_a_framing_error() {
    expect_refused(b"\0\0\0\x07\x02\0\0\0", condition::FRAMING_ERROR).await;
}

#[tokio::test(start_paused = true)]
async fn f_003_a_data_offset_inside_of_the_header_is_a_framing_error() {
    expect_refused(
        b"\0\0\0\x0e\x01\0\0\0\0\0\0\0\0\0",
        condition::FRAMING_ERROR,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn f_004_a_data_offset_behind_the_frame_is_a_framing_error() {
    expect_refused(
        b"\0\0\0\x0e\x04\0\0\0\0\0\0\0\0\0",
        condition::FRAMING_ERROR,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn f_007_an_unknown_frame_type_is_a_framing_error() {
    expect_refused(b"\0\0\0\x08\x02\x02\0\0", condition::FRAMING_ERROR).await;
}

#[tokio::test(start_paused = true)]
async fn f_011_what_is_no_performative_is_a_decode_error() {
    for body in [b"\x40".as_slice(), b"\0\x53\x19\x45", b"\x45"] {
        let mut octets = (8 + body.len() as u32).to_be_bytes().to_vec();
        octets.extend_from_slice(&[2, 0, 0, 0]);
        octets.extend_from_slice(body);
        let (mut peer, connection) =
            Peer::opened_listener(peer::listener_options(), peer::open()).await;
        peer.send_bytes(&octets).await;
        let error = peer.expect_close().await.error.unwrap();
        assert!(
            [condition::DECODE_ERROR, condition::NOT_IMPLEMENTED].contains(&error.condition),
            "{error:?}"
        );
        assert!(connection.is_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn f_012_c_017_empty_frames_are_taken_on_any_channel() {
    let (mut peer, connection) =
        Peer::opened_listener(peer::listener_options(), peer::open()).await;
    peer.send_bytes(b"\0\0\0\x08\x02\0\0\0").await;
    peer.send_bytes(b"\0\0\0\x08\x02\0\0\x09").await;
    peer.expect_nothing().await;
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn f_013_an_open_above_512_octets_is_refused() {
    let (mut peer, opening) = Peer::of_listener(peer::listener_options());
    peer.exchange_headers().await;
    let open = amqp10::codec::Open {
        container_id: "x".repeat(600).into(),
        ..peer::open()
    };
    peer.send_on(0, open).await;
    peer.expect_open().await;
    peer.expect_close_with(condition::FRAMING_ERROR).await;
    assert!(opening.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn f_013_an_open_of_ours_above_512_octets_fails_before_it_is_sent() {
    let (mut peer, opening) = Peer::of_client(peer::client_options().container_id("x".repeat(600)));
    peer.exchange_headers().await;
    peer.expect_eof().await;
    let error = opening.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("512"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn f_015_a_frame_above_our_limit_is_refused_from_its_size_alone() {
    expect_refused(b"\x7f\xff\xff\xff", condition::FRAMING_ERROR).await;
}

#[tokio::test(start_paused = true)]
async fn f_015_a_frame_just_above_our_limit_is_refused_and_one_at_the_limit_is_taken() {
    let options = peer::listener_options().connection(peer::client_options().max_frame_size(1000));
    for (size, is_taken) in [(1000, true), (1001, false)] {
        let (mut peer, connection) = Peer::opened_listener(options.clone(), peer::open()).await;
        let named = |name: String| {
            encode(
                CHANNEL,
                &Begin {
                    properties: amqp10::codec::Fields::new()
                        .with(Symbol::from_static("name"), name),
                    ..peer::begin()
                }
                .into(),
                b"",
            )
        };
        // Long enough for the wide encodings, so that each octet of the name is one of the frame.
        let overhead = named("x".repeat(900)).len() - 900;
        peer.send_bytes(&named("x".repeat(size - overhead))).await;
        if is_taken {
            peer.expect_begin().await;
            assert!(!connection.is_closed());
        } else {
            peer.expect_close_with(condition::FRAMING_ERROR).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn f_017_a_max_frame_size_below_512_is_refused_after_our_open() {
    for max_frame_size in [0, 1, 511] {
        let (mut peer, opening) = Peer::of_listener(peer::listener_options());
        peer.exchange_headers().await;
        let open = amqp10::codec::Open {
            max_frame_size,
            ..peer::open()
        };
        peer.send_on(0, open).await;
        peer.expect_open().await;
        peer.expect_close_with(condition::FRAMING_ERROR).await;
        assert!(opening.await.unwrap().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn f_018_an_attach_that_cannot_fit_fails_here_and_leaves_the_session_usable() {
    let open = amqp10::codec::Open {
        max_frame_size: 512,
        ..peer::open()
    };
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), open).await;
    let beginning = tokio::spawn(async move { connection.begin(SessionOptions::default()).await });
    peer.answer_begin(peer::begin()).await;
    let session = beginning.await.unwrap().unwrap();
    let too_long = SenderOptions::default().name("x".repeat(600));
    let error = session.attach_sender("node", too_long).await.unwrap_err();
    assert!(
        matches!(error, LinkError::FrameTooLarge { limit: 512, .. }),
        "{error:?}"
    );
    peer.expect_nothing().await;
    scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
}
