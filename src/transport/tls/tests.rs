//! TLS between our two sides over memory, with certificates of a test authority.

mod openssl;

use super::*;
use crate::codec::frame::ProtocolHeader;
use crate::error::{ConnectError, Stage};
use crate::options::{ConnectionOptions, ListenerOptions, SaslServerOptions};
use crate::sasl::{
    AllowEveryone, AuthenticationFailure, Authenticator, Credentials, Identity, LoginAttempt,
};
use crate::sasl::{PresentedCredentials, SaslMechanism};
use crate::transport::deadline::Deadline;
use crate::transport::handshake;
use crate::transport::memory::pipe;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CA: &[u8] = include_bytes!("../../../tests/data/ca.pem");
const OTHER_CA: &[u8] = include_bytes!("../../../tests/data/other-ca.pem");
const SERVER: &[u8] = include_bytes!("../../../tests/data/server.pem");
const SERVER_KEY: &[u8] = include_bytes!("../../../tests/data/server-key.pem");
const EXPIRED: &[u8] = include_bytes!("../../../tests/data/expired.pem");
const EXPIRED_KEY: &[u8] = include_bytes!("../../../tests/data/expired-key.pem");
const CLIENT: &[u8] = include_bytes!("../../../tests/data/client.pem");
const CLIENT_KEY: &[u8] = include_bytes!("../../../tests/data/client-key.pem");

fn trusting() -> TlsConfig {
    TlsConfig::with_root_certificates(CA).unwrap()
}

fn serving() -> TlsServerConfig {
    TlsServerConfig::from_pem(SERVER, SERVER_KEY).unwrap()
}

type Shaken = (
    Result<Box<dyn Stream>, TlsError>,
    Result<(Box<dyn Stream>, Option<Bytes>), TlsError>,
);

/// Shakes hands, dialling `host`.
async fn shake(host: &str, client: Option<&TlsConfig>, server: &TlsServerConfig) -> Shaken {
    let (near, far) = pipe(16 * 1024);
    tokio::join!(
        connect(Box::new(near), host, client),
        accept(Box::new(far), Some(server))
    )
}

async fn client_error(host: &str, client: &TlsConfig, server: &TlsServerConfig) -> TlsError {
    shake(host, Some(client), server)
        .await
        .0
        .err()
        .expect("the handshake to fail")
}

#[tokio::test]
async fn both_sides_of_ours_meet() {
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "::1"] {
        let (client, server) = shake(host, Some(&trusting()), &serving()).await;
        let (mut client, (mut server, certificate)) = (client.unwrap(), server.unwrap());
        assert_eq!(certificate, None);
        let sent = vec![7; 100_000];
        let write = async {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let (_, result) = tokio::join!(write, server.read_to_end(&mut received));
        result.unwrap();
        assert!(received == sent);
    }
}

#[tokio::test]
async fn y_005_a_wrong_name_is_refused_and_can_be_overridden() {
    match client_error("example.com", &trusting(), &serving()).await {
        TlsError::WrongName {
            expected,
            presented,
        } => {
            assert_eq!(expected, "example.com");
            assert!(
                presented.iter().any(|name| name.contains("localhost")),
                "{presented:?}"
            );
        }
        other => panic!("{other}"),
    }
    let overridden = trusting().server_name("localhost");
    assert!(
        shake("example.com", Some(&overridden), &serving())
            .await
            .0
            .is_ok()
    );
}

#[tokio::test]
async fn y_005_an_unknown_issuer_is_refused() {
    let other = TlsConfig::with_root_certificates(OTHER_CA).unwrap();
    let (client, server) = shake("localhost", Some(&other), &serving()).await;
    assert!(matches!(client.err(), Some(TlsError::UnknownIssuer)));
    assert!(matches!(server.err(), Some(TlsError::Alert { alert }) if alert == "UnknownCA"));
    let (client, _) = shake("localhost", None, &serving()).await;
    assert!(matches!(client.err(), Some(TlsError::UnknownIssuer)));
}

#[tokio::test]
async fn y_005_an_expired_certificate_is_refused() {
    let server = TlsServerConfig::from_pem(EXPIRED, EXPIRED_KEY).unwrap();
    assert!(matches!(
        client_error("localhost", &trusting(), &server).await,
        TlsError::Expired
    ));
}

#[tokio::test]
async fn a_host_that_is_no_name_is_refused() {
    let error = client_error("not a name", &trusting(), &serving()).await;
    assert!(matches!(error, TlsError::InvalidServerName { name } if name == "not a name"));
}

#[tokio::test]
async fn a_server_without_tls_is_recognised() {
    let (near, mut far) = pipe(16 * 1024);
    let answer = async {
        far.write_all(b"AMQP\x00\x01\x00\x00").await.unwrap();
        std::future::pending::<()>().await;
    };
    let config = trusting();
    let result = tokio::select! {
        result = connect(Box::new(near), "localhost", Some(&config)) => result,
        () = answer => unreachable!(),
    };
    assert!(matches!(result.err(), Some(TlsError::NotTls)));
}

#[test]
fn keys_must_fit_and_given_configurations_stay_as_they_are() {
    let error = TlsServerConfig::from_pem(SERVER, CLIENT_KEY).err();
    assert!(
        matches!(error, Some(TlsError::Configuration { .. })),
        "{error:?}"
    );
    let given = TlsConfig::from(trusting().rustls().unwrap());
    assert!(matches!(
        given.clone().root_certificates(CA),
        Err(TlsError::Configuration { .. })
    ));
    assert_eq!(given.server_name("x").name_to_verify("y"), "x");
    let given = TlsServerConfig::from(serving().rustls());
    assert!(matches!(
        given.key_log_file(),
        Err(TlsError::Configuration { .. })
    ));
    let shown = format!(
        "{:?}",
        trusting().client_certificate(CLIENT, CLIENT_KEY).unwrap()
    );
    assert!(shown.contains("has_client_certificate: true"), "{shown}");
}

#[test]
fn clones_share_the_session_cache() {
    let config = trusting();
    let clone = config.clone();
    assert!(Arc::ptr_eq(
        &config.rustls().unwrap(),
        &clone.rustls().unwrap()
    ));
}

/// Names a client by what its certificate holds.
#[derive(Debug)]
struct ByCertificate;

impl Authenticator for ByCertificate {
    fn authenticate<'a>(
        &'a self,
        attempt: &'a LoginAttempt,
    ) -> Pin<Box<dyn Future<Output = Result<Identity, AuthenticationFailure>> + Send + 'a>> {
        let result = match &attempt.credentials {
            PresentedCredentials::External {
                certificate: Some(der),
                ..
            } if attempt.is_secure => {
                assert!(der.windows(6).any(|window| window == b"client"));
                Ok(Identity::named("client"))
            }
            _ => Err(AuthenticationFailure::WrongCredentials),
        };
        Box::pin(std::future::ready(result))
    }
}

fn listener(tls: TlsServerConfig, authenticator: impl Authenticator) -> ListenerOptions {
    let mechanisms = [
        SaslMechanism::Anonymous,
        SaslMechanism::Plain,
        SaslMechanism::External,
    ];
    let sasl = SaslServerOptions::default()
        .mechanisms(mechanisms)
        .authenticator(authenticator);
    ListenerOptions::default().tls(tls).sasl(sasl)
}

type Met = (
    Result<handshake::Handshaken, ConnectError>,
    Result<handshake::Handshaken, ConnectError>,
);

/// A whole handshake over TCP to `scheme://localhost`.
async fn meet(scheme: &str, client: ConnectionOptions, server: ListenerOptions) -> Met {
    let listener = crate::transport::tcp::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "{scheme}://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let url = crate::url::Url::parse(&url).unwrap();
    let client = client.connect_timeout(Duration::from_secs(5)).for_url(&url);
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        handshake::server(Box::new(stream), &server).await
    };
    tokio::join!(handshake::connect(&url, &client), serve)
}

#[tokio::test]
async fn y_001_y_004_y_029_amqps_with_a_client_certificate() {
    let server = serving().require_client_certificates(CA).unwrap();
    let tls = trusting().client_certificate(CLIENT, CLIENT_KEY).unwrap();
    let options = ConnectionOptions::default()
        .tls(tls)
        .credentials(Credentials::External);
    let (client, server) = meet("amqps", options, listener(server, ByCertificate)).await;
    assert!(client.unwrap().is_secure);
    let server = server.unwrap();
    assert!(server.is_secure);
    assert_eq!(server.identity.name.as_deref(), Some("client"));
}

/// Remembers the name that the client indicates, and has no certificate for it.
#[derive(Debug, Default)]
struct Indicated(std::sync::Mutex<Option<String>>);

impl rustls::server::ResolvesServerCert for Indicated {
    fn resolve(
        &self,
        hello: rustls::server::ClientHello<'_>,
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        *self.0.lock().unwrap() = hello.server_name().map(str::to_owned);
        None
    }
}

#[tokio::test]
async fn y_006_the_host_is_indicated_to_the_server() {
    let indicated = Arc::new(Indicated::default());
    let given = serving().rustls();
    let provider = given.crypto_provider().clone();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(indicated.clone());
    let options = ConnectionOptions::default().tls(trusting());
    let server = listener(TlsServerConfig::from(Arc::new(config)), AllowEveryone);
    let (client, _) = meet("amqps", options, server).await;
    assert!(client.is_err());
    assert_eq!(indicated.0.lock().unwrap().as_deref(), Some("localhost"));
}

#[tokio::test]
async fn a_missing_client_certificate_is_an_error_on_both_sides() {
    let server = serving().require_client_certificates(CA).unwrap();
    let options = ConnectionOptions::default().tls(trusting());
    let (client, server) = meet("amqps", options, listener(server, AllowEveryone)).await;
    // With TLS 1.3 the client has long finished its handshake when it hears of it; a reset may overtake the alert.
    let client = client.unwrap_err();
    assert!(
        matches!(
            client,
            ConnectError::Tls { .. } | ConnectError::Io { .. } | ConnectError::Eof { .. }
        ),
        "{client}"
    );
    let server = server.unwrap_err();
    assert!(
        matches!(
            server,
            ConnectError::Tls {
                error: TlsError::NoCertificate,
                ..
            }
        ),
        "{server}"
    );
}

#[tokio::test]
async fn y_003_tls_in_band() {
    let options = ConnectionOptions::default()
        .tls(trusting())
        .tls_upgrade(true)
        .credentials(Credentials::plain("alice", "secret"));
    let (client, server) = meet("amqp", options, listener(serving(), AllowEveryone)).await;
    assert!(client.unwrap().is_secure);
    let server = server.unwrap();
    assert!(server.is_secure);
    assert_eq!(server.identity.name.as_deref(), Some("alice"));
}

#[tokio::test]
async fn v_009_a_client_in_the_clear_is_told_that_tls_is_required() {
    let (client, _) = meet(
        "amqp",
        ConnectionOptions::default(),
        listener(serving(), AllowEveryone),
    )
    .await;
    let error = client.unwrap_err();
    assert!(error.to_string().contains("TLS is required"), "{error}");
    let both = listener(serving(), AllowEveryone).require_tls(false);
    let (client, server) = meet("amqp", ConnectionOptions::default(), both).await;
    assert!(!client.unwrap().is_secure && !server.unwrap().is_secure);
}

#[tokio::test]
async fn an_upgrade_that_the_server_refuses_is_a_mismatch() {
    let options = ConnectionOptions::default()
        .tls(trusting())
        .tls_upgrade(true);
    let (client, _) = meet("amqp", options, ListenerOptions::default()).await;
    let error = client.unwrap_err();
    assert!(
        matches!(error, ConnectError::ProtocolMismatch { ours, .. } if ours == ProtocolHeader::TLS),
        "{error}"
    );
}

#[tokio::test]
async fn a_hello_behind_the_header_is_not_lost() {
    let (near, far) = pipe(16 * 1024);
    let options = listener(serving(), AllowEveryone);
    let client = async {
        let mut near: Box<dyn Stream> = Box::new(near);
        near.write_all(&ProtocolHeader::TLS.to_bytes())
            .await
            .unwrap();
        // The server's header is read only after our hello is out: both may be in one read of the server.
        let near = SkipFirst {
            stream: near,
            skip: 8,
        };
        let stream = connect(Box::new(near), "localhost", Some(&trusting()))
            .await
            .unwrap();
        let deadline = Deadline::after(Duration::from_secs(5));
        handshake::client(stream, true, &ConnectionOptions::default(), deadline).await
    };
    let (client, server) = tokio::join!(client, handshake::server(Box::new(far), &options));
    assert!(client.is_ok() && server.unwrap().is_secure);
}

/// A stream whose first octets are not passed on.
struct SkipFirst {
    stream: Box<dyn Stream>,
    skip: usize,
}

impl tokio::io::AsyncRead for SkipFirst {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        target: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        while self.skip > 0 {
            let mut octets = [0; 8];
            let skip = self.skip;
            let mut skipped = tokio::io::ReadBuf::new(&mut octets[..skip]);
            std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut skipped))?;
            let length = skipped.filled().len();
            self.skip -= length;
        }
        Pin::new(&mut self.stream).poll_read(cx, target)
    }
}

impl tokio::io::AsyncWrite for SkipFirst {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        octets: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_tls_handshake_meets_the_deadline() {
    let (near, _far) = pipe(16 * 1024);
    let mut stream: Box<dyn Stream> = Box::new(near);
    stream.write_all(b"").await.unwrap();
    let deadline = Deadline::after(Duration::from_secs(1));
    let config = trusting();
    let error = deadline
        .within(Stage::Tls, connect(stream, "localhost", Some(&config)))
        .await
        .err()
        .unwrap();
    assert!(
        matches!(
            error,
            ConnectError::Timeout {
                stage: Stage::Tls,
                ..
            }
        ),
        "{error}"
    );
}
