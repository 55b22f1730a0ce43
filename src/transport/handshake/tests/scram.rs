//! SCRAM, our client against our server, and against servers that cheat.

use super::*;
use crate::codec::sasl::SaslChallenge;
use crate::options::SaslServerOptions;
use crate::sasl::{Identity, SaltedUsers, SaslError, ScramHash};

fn scram_and_plain() -> Vec<SaslMechanism> {
    let mut mechanisms = vec![SaslMechanism::Plain];
    mechanisms.extend(ScramHash::ALL.map(SaslMechanism::Scram));
    mechanisms
}

fn only_alice(mechanisms: impl IntoIterator<Item = SaslMechanism>) -> ListenerOptions {
    let users = SaltedUsers::new().user("alice", "secret").unwrap();
    let sasl = SaslServerOptions::default()
        .mechanisms(mechanisms)
        .authenticator(users);
    ListenerOptions::default().sasl(sasl)
}

fn log_in(credentials: Credentials) -> ConnectionOptions {
    ConnectionOptions::default().credentials(credentials)
}

#[tokio::test(start_paused = true)]
async fn y_017_y_030_the_strongest_is_used_and_the_password_stays() {
    // Without TLS: nothing but SCRAM may be used.
    for credentials in [
        Credentials::plain("alice", "secret"),
        Credentials::scram("alice", "secret"),
    ] {
        let (client, server) = meet(log_in(credentials), only_alice(scram_and_plain())).await;
        let strongest = Some(SaslMechanism::Scram(ScramHash::Sha512));
        assert_eq!(client.unwrap().identity.mechanism, strongest);
        let expected = Identity {
            mechanism: strongest,
            ..Identity::named("alice")
        };
        assert_eq!(server.unwrap().identity, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn y_030_each_hash_function() {
    for hash in ScramHash::ALL {
        let mechanism = SaslMechanism::Scram(hash);
        let credentials = Credentials::plain("alice", "secret");
        let (client, server) = meet(log_in(credentials), only_alice([mechanism])).await;
        assert_eq!(client.unwrap().identity.mechanism, Some(mechanism));
        assert_eq!(server.unwrap().identity.name.as_deref(), Some("alice"));
    }
}

#[tokio::test(start_paused = true)]
async fn y_030_wrong_names_and_passwords_look_alike() {
    let mechanism = SaslMechanism::Scram(ScramHash::Sha256);
    for (username, password) in [("alice", "wrong"), ("bob", "secret")] {
        let credentials = Credentials::scram(username, password);
        let (client, server) = meet(log_in(credentials), only_alice([mechanism])).await;
        for error in [client.unwrap_err(), server.unwrap_err()] {
            let ConnectError::Sasl(SaslError::AuthenticationFailed { mechanism: failed }) = error
            else {
                panic!("{error}")
            };
            assert_eq!(failed, mechanism);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn y_017_scram_credentials_are_never_sent_by_plain() {
    let options = log_in(Credentials::scram("alice", "secret")).allow_plain_without_tls(true);
    let (client, _) = meet(options, only_alice([SaslMechanism::Plain])).await;
    let error = client.unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::Sasl(SaslError::NoCommonMechanism { .. })
        ),
        "{error}"
    );
}

/// Everybody may enter, says a server that does not know the password.
#[tokio::test(start_paused = true)]
async fn y_022_a_server_that_cannot_sign_is_left() {
    for server_final in [None, Some("v=bm90IHRoZSBzaWduYXR1cmU=")] {
        let (task, mut peer) = start_client(log_in(Credentials::scram("alice", "secret")));
        peer.expect(SASL).await;
        peer.send(SASL).await;
        peer.send_sasl(mechanisms(&["SCRAM-SHA-256"])).await;
        let SaslFrame::Init(init) = peer.expect_sasl().await else {
            panic!("no init")
        };
        let client_first = init.initial_response.unwrap();
        let client_first = std::str::from_utf8(&client_first).unwrap();
        let nonce = client_first.split_once(",r=").unwrap().1;
        let server_first = format!("r={nonce}more,s=c2FsdA==,i=4096");
        peer.send_sasl(SaslFrame::Challenge(SaslChallenge {
            challenge: server_first.into(),
        }))
        .await;
        assert!(matches!(peer.expect_sasl().await, SaslFrame::Response(_)));
        peer.send_sasl(SaslFrame::Outcome(SaslOutcome {
            code: SaslCode::Ok,
            additional_data: server_final.map(Into::into),
        }))
        .await;
        let error = task.await.unwrap().unwrap_err();
        assert!(
            matches!(
                error,
                ConnectError::Sasl(SaslError::UnverifiedServer { .. })
            ),
            "{error}"
        );
        peer.expect_eof().await;
    }
}
