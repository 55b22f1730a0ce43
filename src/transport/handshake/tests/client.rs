//! Our client against a scripted server.

use super::*;
use crate::codec::sasl::SaslChallenge;
use crate::error::{PeerProtocol, Stage};
use crate::sasl::SaslError;

fn anonymous() -> ConnectionOptions {
    ConnectionOptions::default()
}

fn plain() -> ConnectionOptions {
    anonymous()
        .credentials(Credentials::plain("alice", "secret"))
        .allow_plain_without_tls(true)
}

async fn offer(peer: &mut Peer, names: &[&'static str]) {
    peer.expect(SASL).await;
    peer.send(SASL).await;
    peer.send_sasl(mechanisms(names)).await;
}

#[tokio::test(start_paused = true)]
async fn y_008_y_014_the_sasl_header_a_choice_and_its_outcome_lead_to_the_amqp_header() {
    let (task, mut peer) = start_client(anonymous().hostname("example.com"));
    offer(&mut peer, &["MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"]).await;
    let SaslFrame::Init(init) = peer.expect_sasl().await else {
        panic!("no init")
    };
    assert_eq!(init.mechanism.as_str(), "ANONYMOUS");
    assert_eq!(init.hostname.unwrap().as_str(), "example.com");
    peer.send_sasl(outcome(SaslCode::Ok)).await;
    peer.expect(AMQP).await;
    peer.send(AMQP).await;
    let handshaken = task.await.unwrap().unwrap();
    assert!(handshaken.read_ahead.is_empty() && !handshaken.is_secure);
    assert_eq!(
        handshaken.identity.mechanism,
        Some(SaslMechanism::Anonymous)
    );
}

#[tokio::test(start_paused = true)]
async fn v_012_one_octet_at_a_time() {
    let (task, mut peer) = start_client(plain());
    let all = [
        SASL,
        &sasl(mechanisms(&["PLAIN"])),
        &sasl(outcome(SaslCode::Ok)),
        AMQP,
        b"frame",
    ]
    .concat();
    for octet in all {
        peer.send(&[octet]).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let handshaken = task.await.unwrap().unwrap();
    let (mut stream, mut frames) = (handshaken.stream, handshaken.read_ahead.to_vec());
    drop(peer);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    frames.append(&mut rest);
    assert_eq!(frames, b"frame");
}

#[tokio::test(start_paused = true)]
async fn v_012_everything_in_one_segment() {
    let (task, mut peer) = start_client(plain());
    let all = [
        SASL,
        &sasl(mechanisms(&["PLAIN"])),
        &sasl(outcome(SaslCode::Ok)),
        AMQP,
        b"frame",
    ]
    .concat();
    peer.send(&all).await;
    assert_eq!(task.await.unwrap().unwrap().read_ahead, &b"frame"[..]);
}

#[tokio::test(start_paused = true)]
async fn v_003_v_013_a_silent_server_sees_our_header_and_time_runs_out() {
    let limit = Duration::from_secs(3);
    let (task, mut peer) = start_client(anonymous().connect_timeout(limit));
    peer.expect(SASL).await;
    let error = task.await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::Timeout {
                stage: Stage::ProtocolHeader,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_trickles_cannot_stretch_the_deadline() {
    let (task, mut peer) = start_client(anonymous().connect_timeout(Duration::from_secs(10)));
    peer.send(SASL).await;
    // A frame of 64 KiB, an octet a second.
    let frame = [&65_536_u32.to_be_bytes()[..], &[2, 1, 0, 0], &[0; 64]].concat();
    for octet in frame {
        if peer.stream.write_all(&[octet]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let error = task.await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::Timeout {
                stage: Stage::Sasl,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn v_011_other_answers_are_named() {
    let answers: [(&[u8], &str); 5] = [
        (b"HTTP/1.1 400 Bad Request\r\n", "HTTP/1.1"),
        (b"AMQP\x00\x00\x09\x01", "another version"),
        (TLS, "TLS is required"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "TLS"),
        (b"SSH-2.0-OpenSSH\r\n", "SSH-2.0-"),
    ];
    for (answer, named) in answers {
        let (task, mut peer) = start_client(anonymous().credentials(Credentials::None));
        peer.expect(AMQP).await;
        peer.send(answer).await;
        let error = task.await.unwrap().unwrap_err();
        assert!(
            matches!(error, ConnectError::ProtocolMismatch { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(named), "{error}");
        peer.expect_eof().await; // V-010
    }
}

#[tokio::test(start_paused = true)]
async fn v_014_no_fall_back_when_the_server_has_no_sasl() {
    let (task, mut peer) = start_client(plain());
    peer.expect(SASL).await;
    peer.send(AMQP).await;
    match task.await.unwrap().unwrap_err() {
        ConnectError::ProtocolMismatch { ours, theirs } => {
            assert_eq!(
                (ours, theirs),
                (
                    ProtocolHeader::SASL,
                    PeerProtocol::Amqp(ProtocolHeader::AMQP)
                )
            );
        }
        other => panic!("{other}"),
    }
    peer.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn y_034_credentials_none_skip_sasl() {
    let (task, mut peer) = start_client(anonymous().credentials(Credentials::None));
    peer.expect(AMQP).await;
    peer.send(SASL).await;
    let error = task.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("SASL is required"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn y_017_nothing_is_sent_if_a_password_would_travel_in_the_clear() {
    let (task, mut peer) = start_client(plain().allow_plain_without_tls(false));
    if cfg!(feature = "scram") {
        offer(&mut peer, &["ANONYMOUS", "PLAIN"]).await; // only now it is seen that it would
    }
    let error = task.await.unwrap().unwrap_err();
    assert!(
        matches!(error, ConnectError::Sasl(SaslError::PlainWithoutTls)),
        "{error}"
    );
    peer.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn y_002_y_024_every_outcome_is_told_apart() {
    let expected = [
        (
            SaslCode::Auth,
            SaslError::AuthenticationFailed {
                mechanism: SaslMechanism::Plain,
            },
        ),
        (SaslCode::Sys, SaslError::SystemError),
        (SaslCode::SysPerm, SaslError::PermanentSystemError),
        (SaslCode::SysTemp, SaslError::TemporarySystemError),
    ];
    for (code, sasl_error) in expected {
        let (task, mut peer) = start_client(plain());
        offer(&mut peer, &["PLAIN"]).await;
        peer.expect_sasl().await;
        peer.send_sasl(outcome(code)).await;
        let error = task.await.unwrap().unwrap_err();
        assert!(
            matches!(&error, ConnectError::Sasl(error) if *error == sasl_error),
            "{error}"
        );
        assert!(!error.to_string().contains("secret"));
        peer.expect_eof().await; // no AMQP header follows
    }
}

#[tokio::test(start_paused = true)]
async fn y_033_endless_challenges_are_given_up() {
    let (task, mut peer) = start_client(anonymous());
    offer(&mut peer, &["ANONYMOUS"]).await;
    peer.expect_sasl().await;
    let challenge = sasl(SaslFrame::Challenge(SaslChallenge {
        challenge: bytes::Bytes::new(),
    }));
    while peer.stream.write_all(&challenge).await.is_ok() && !task.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let error = task.await.unwrap().unwrap_err();
    assert!(
        matches!(error, ConnectError::Sasl(SaslError::TooManyChallenges)),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn y_010_y_011_y_012_what_is_not_a_sasl_frame_is_fatal() {
    let wrong: [&[u8]; 5] = [
        b"\x00\x00\x00\x08\x02\x01\x00\x00",                 // empty
        b"\x00\x00\x00\x08\x02\x00\x00\x00",                 // AMQP
        b"\x00\x00\x00\x04\x02\x01\x00\x00",                 // shorter than its header
        b"\x7f\xff\xff\xff\x02\x01\x00\x00",                 // refused before its body arrives
        b"\x00\x00\x00\x0c\x02\x01\x00\x00\x00\x53\x40\x45", // mechanisms without mechanisms
    ];
    for frame in wrong {
        let (task, mut peer) = start_client(anonymous());
        peer.expect(SASL).await;
        peer.send(SASL).await;
        peer.send(frame).await;
        let error = task.await.unwrap().unwrap_err();
        assert!(matches!(error, ConnectError::Sasl(_)), "{frame:?}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_is_an_eof_with_its_stage() {
    let (task, peer) = start_client(anonymous());
    drop(peer);
    let error = task.await.unwrap().unwrap_err();
    assert!(
        matches!(error, ConnectError::Eof { .. } | ConnectError::Io { .. }),
        "{error}"
    );
    let (task, mut peer) = start_client(anonymous());
    offer(&mut peer, &["ANONYMOUS"]).await;
    peer.expect_sasl().await;
    drop(peer);
    let error = task.await.unwrap().unwrap_err();
    assert!(
        matches!(error, ConnectError::Eof { stage: Stage::Sasl }),
        "{error}"
    );
}
