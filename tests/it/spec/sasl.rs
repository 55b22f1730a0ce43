//! The SASL layer in front of a connection [5.3]. The exchange itself is tested where it lives, in `src/transport/handshake`.

use amqp10::codec::frame::ProtocolHeader;
use amqp10::codec::sasl::{SaslCode, SaslFrame, SaslInit};
use amqp10::codec::{Symbol, condition};
use amqp10::sasl::{SaslMechanism, StaticUsers};
use amqp10::{ConnectError, ListenerOptions, SaslServerOptions};
use bytes::{Bytes, BytesMut};

use crate::support::peer::{self, Peer, encode};

const ANONYMOUS: Symbol = Symbol::from_static("ANONYMOUS");

fn anonymous() -> SaslFrame {
    SaslFrame::Init(SaslInit {
        mechanism: ANONYMOUS,
        initial_response: None,
        hostname: None,
    })
}

fn sasl(frame: &SaslFrame) -> BytesMut {
    let mut octets = BytesMut::new();
    amqp10::codec::frame::encode_sasl(&mut octets, frame);
    octets
}

fn listener() -> ListenerOptions {
    ListenerOptions::default()
}

#[tokio::test(start_paused = true)]
async fn y_026_an_open_after_a_failed_login_is_never_read() {
    let users = StaticUsers::new().user("alice", "secret");
    let options = listener().sasl(
        SaslServerOptions::default()
            .mechanisms([SaslMechanism::Plain])
            .authenticator(users),
    );
    let (mut peer, opening) = Peer::of_listener(options);
    let wrong = SaslFrame::Init(SaslInit {
        mechanism: Symbol::from_static("PLAIN"),
        initial_response: Some(Bytes::from_static(b"\0alice\0wrong")),
        hostname: None,
    });
    let all = [
        ProtocolHeader::SASL.to_bytes().as_slice(),
        &sasl(&wrong),
        &ProtocolHeader::AMQP.to_bytes(),
        &encode(0, &peer::open().into(), b""),
    ]
    .concat();
    peer.send_bytes(&all).await;
    peer.expect_header(ProtocolHeader::SASL).await;
    peer.expect_sasl().await;
    match peer.expect_sasl().await {
        SaslFrame::Outcome(outcome) => assert_eq!(outcome.code, SaslCode::Auth),
        other => panic!("{other:?}"),
    }
    peer.expect_eof().await;
    let error = opening.await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectError::Sasl(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn y_012_a_sasl_frame_after_the_layer_is_fatal() {
    let (mut peer, connection) =
        Peer::opened_listener(peer::listener_options(), peer::open()).await;
    peer.send_sasl(&anonymous()).await;
    peer.expect_close_with(condition::FRAMING_ERROR).await;
    assert!(connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn y_012_an_amqp_frame_in_place_of_a_sasl_frame_is_fatal() {
    let (mut peer, opening) = Peer::of_listener(listener());
    peer.send_bytes(&ProtocolHeader::SASL.to_bytes()).await;
    peer.expect_header(ProtocolHeader::SASL).await;
    peer.expect_sasl().await;
    peer.send_on(0, peer::open()).await;
    assert!(opening.await.unwrap().is_err());
}
