//! Our server against a scripted client, and against our own.

use super::*;
use crate::error::{PeerProtocol, Stage};
use crate::options::SaslServerOptions;
use crate::sasl::{Identity, SaslError, StaticUsers};

const EVERYTHING: [SaslMechanism; 4] = [
    SaslMechanism::Mssbcbs,
    SaslMechanism::Plain,
    SaslMechanism::Anonymous,
    SaslMechanism::External,
];

fn everyone() -> ListenerOptions {
    ListenerOptions::default().sasl(SaslServerOptions::default().mechanisms(EVERYTHING))
}

fn only_alice() -> ListenerOptions {
    let users = StaticUsers::new().user("alice", "secret");
    ListenerOptions::default().sasl(
        SaslServerOptions::default()
            .mechanisms(EVERYTHING)
            .authenticator(users),
    )
}

fn without_sasl() -> ListenerOptions {
    ListenerOptions::default().sasl(SaslServerOptions::default().mechanisms([]))
}

async fn start_sasl(peer: &mut Peer) {
    peer.send(SASL).await;
    peer.expect(SASL).await;
    assert!(matches!(peer.expect_sasl().await, SaslFrame::Mechanisms(_)));
}

#[tokio::test(start_paused = true)]
async fn both_sides_of_ours_meet() {
    let (client, server) = meet(ConnectionOptions::default(), everyone()).await;
    assert_eq!(
        client.unwrap().identity.mechanism,
        Some(SaslMechanism::Anonymous)
    );
    assert_eq!(server.unwrap().identity.name, None);
    let alice = ConnectionOptions::default()
        .credentials(Credentials::plain("alice", "secret"))
        .allow_plain_without_tls(true);
    let (client, server) = meet(alice.clone(), only_alice()).await;
    assert_eq!(
        client.unwrap().identity.mechanism,
        Some(SaslMechanism::Plain)
    );
    let expected = Identity {
        mechanism: Some(SaslMechanism::Plain),
        ..Identity::named("alice")
    };
    assert_eq!(server.unwrap().identity, expected);
    let (client, server) = meet(
        ConnectionOptions::default().credentials(Credentials::None),
        without_sasl(),
    )
    .await;
    assert_eq!(client.unwrap().identity, server.unwrap().identity);
    let (client, server) = meet(
        alice.credentials(Credentials::plain("alice", "wrong")),
        only_alice(),
    )
    .await;
    let failed = |error: &ConnectError| {
        matches!(
            error,
            ConnectError::Sasl(SaslError::AuthenticationFailed {
                mechanism: SaslMechanism::Plain
            })
        )
    };
    assert!(failed(&client.unwrap_err()) && failed(&server.unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn v_006_v_007_other_versions_get_ours_and_the_end() {
    for asked in [
        b"AMQP\x00\x02\x00\x00",
        b"AMQP\x00\x00\x09\x01",
        b"AMQP\x00\x01\x00\x01",
    ] {
        let (task, mut peer) = start_server(without_sasl());
        peer.send(asked).await;
        peer.expect(AMQP).await;
        peer.expect_eof().await;
        drop(peer);
        let error = task.await.unwrap().unwrap_err();
        assert!(
            matches!(
                error,
                ConnectError::ProtocolMismatch {
                    theirs: PeerProtocol::Amqp(_),
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn v_008_garbage_gets_a_header_and_the_end() {
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"AMQX\x00\x01\x00\x00",
        b"hi",
    ] {
        let (task, mut peer) = start_server(without_sasl());
        peer.send(garbage).await;
        peer.expect(AMQP).await;
        peer.expect_eof().await;
        drop(peer);
        let error = task.await.unwrap().unwrap_err();
        assert!(
            matches!(error, ConnectError::ProtocolMismatch { .. }),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn v_009_y_026_skipping_sasl_is_refused() {
    let (task, mut peer) = start_server(only_alice());
    peer.send(&[AMQP, b"\x00\x00\x00\x08\x02\x00\x00\x00"].concat())
        .await;
    peer.expect(SASL).await;
    peer.expect_eof().await;
    drop(peer);
    assert!(task.await.unwrap().is_err());
    let (task, mut peer) = start_server(only_alice());
    peer.send(TLS).await;
    peer.expect(SASL).await;
    peer.expect_eof().await;
    drop(peer);
    assert!(task.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn sasl_may_be_skipped_if_the_listener_says_so() {
    let options = ListenerOptions::default().sasl(SaslServerOptions::default().require(false));
    let (client, server) = meet(
        ConnectionOptions::default().credentials(Credentials::None),
        options,
    )
    .await;
    assert!(client.is_ok());
    assert_eq!(server.unwrap().identity, Identity::anonymous());
}

#[tokio::test(start_paused = true)]
async fn y_002_v_010_a_refused_client_is_drained_but_not_for_ever() {
    let (task, mut peer) = start_server(without_sasl());
    peer.send(b"GET / HTTP/1.1\r\n\r\n").await;
    peer.expect(AMQP).await;
    // It never closes: the server still ends, within a second.
    let started = tokio::time::Instant::now();
    assert!(task.await.unwrap().is_err());
    assert!(started.elapsed() <= Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn v_013_silent_clients_are_dropped() {
    for said in [&b""[..], b"AMQ", SASL] {
        let (task, mut peer) = start_server(everyone().handshake_timeout(Duration::from_secs(5)));
        peer.send(said).await;
        let error = task.await.unwrap().unwrap_err();
        assert!(matches!(error, ConnectError::Timeout { .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn y_025_a_client_may_pipeline_everything() {
    let (task, mut peer) = start_server(only_alice());
    peer.send(
        &[
            SASL,
            &sasl(init("PLAIN", b"\0alice\0secret")),
            AMQP,
            b"open",
        ]
        .concat(),
    )
    .await;
    peer.expect(SASL).await;
    peer.expect_sasl().await;
    assert_eq!(peer.expect_outcome().await, SaslCode::Ok);
    peer.expect(AMQP).await;
    let handshaken = task.await.unwrap().unwrap();
    assert_eq!(handshaken.read_ahead, &b"open"[..]);
    assert_eq!(handshaken.identity.name.as_deref(), Some("alice"));
}

#[tokio::test(start_paused = true)]
async fn v_012_one_octet_at_a_time() {
    let (task, mut peer) = start_server(only_alice());
    let all = [SASL, &sasl(init("PLAIN", b"\0alice\0secret")), AMQP].concat();
    for octet in all {
        peer.send(&[octet]).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(task.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn y_018_y_028_refusals_are_outcome_auth_and_the_end() {
    let refused: [(&'static str, &'static [u8]); 4] = [
        ("SCRAM-SHA-256", b"n,,n=alice,r=x"),
        ("PLAIN", b"alice secret"),
        ("PLAIN", b"\0alice\0wrong"),
        ("ANONYMOUS", b""),
    ];
    for (mechanism, response) in refused {
        let (task, mut peer) = start_server(only_alice());
        start_sasl(&mut peer).await;
        // Pipelined: none of it may be answered.
        peer.send(&[&sasl(init(mechanism, response)), AMQP].concat())
            .await;
        assert_eq!(peer.expect_outcome().await, SaslCode::Auth);
        peer.expect_eof().await;
        drop(peer);
        let error = task.await.unwrap().unwrap_err();
        assert!(matches!(error, ConnectError::Sasl(_)), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn y_012_y_015_y_026_frames_out_of_turn_cut_the_connection() {
    let wrong = [
        sasl(mechanisms(&["PLAIN"])),
        sasl(outcome(SaslCode::Ok)),
        b"\x00\x00\x00\x08\x02\x01\x00\x00".to_vec(), // Y-011
        b"\x00\x00\x00\x0c\x02\x00\x00\x00\x00\x53\x10\x45".to_vec(), // an open
        AMQP.to_vec(),
    ];
    for octets in wrong {
        let (task, mut peer) = start_server(everyone());
        start_sasl(&mut peer).await;
        peer.send(&octets).await;
        peer.expect_eof().await;
        drop(peer);
        let error = task.await.unwrap().unwrap_err();
        assert!(matches!(error, ConnectError::Sasl(_)), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn y_010_long_tokens_are_taken_up_to_the_limit() {
    let long: &'static [u8] = vec![b'x'; 20_000].leak();
    let (task, mut peer) = start_server(everyone());
    start_sasl(&mut peer).await;
    peer.send_sasl(init("ANONYMOUS", long)).await;
    assert_eq!(peer.expect_outcome().await, SaslCode::Ok);
    peer.send(AMQP).await;
    peer.expect(AMQP).await;
    assert!(task.await.unwrap().is_ok());
    let mut options = everyone();
    options.sasl.max_frame_size = 512;
    let (task, mut peer) = start_server(options);
    start_sasl(&mut peer).await;
    peer.send(&sasl(init("ANONYMOUS", long))[..1000]).await;
    peer.expect_eof().await;
    drop(peer);
    let error = task.await.unwrap().unwrap_err();
    assert!(
        matches!(error, ConnectError::Sasl(SaslError::InvalidFrame { .. })),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn y_032_an_authenticator_that_never_answers_meets_the_deadline() {
    use crate::sasl::{AuthenticationFailure, Authenticator, LoginAttempt};
    use std::pin::Pin;

    #[derive(Debug)]
    struct Asleep;
    impl Authenticator for Asleep {
        fn authenticate<'a>(
            &'a self,
            _attempt: &'a LoginAttempt,
        ) -> Pin<Box<dyn Future<Output = Result<Identity, AuthenticationFailure>> + Send + 'a>>
        {
            Box::pin(std::future::pending())
        }
    }

    let options =
        ListenerOptions::default().sasl(SaslServerOptions::default().authenticator(Asleep));
    let (task, mut peer) = start_server(options);
    start_sasl(&mut peer).await;
    peer.send_sasl(init("ANONYMOUS", b"")).await;
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
