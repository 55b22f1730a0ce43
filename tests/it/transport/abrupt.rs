//! A server that ends TCP without the end that TLS has.

use std::sync::Arc;

use amqp10::{Connection, ConnectionError, ConnectionOptions, Credentials};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{client_tls, soon};

const AMQP: &[u8] = b"AMQP\0\x01\0\0";
const OPEN: &[u8] = b"\0\0\0\x13\x02\0\0\0\0\x53\x10\xc0\x06\x01\xa1\x03raw";
const CLOSE: &[u8] = b"\0\0\0\x0c\x02\0\0\0\0\x53\x18\x45";

fn acceptor() -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(include_bytes!("../../data/server.pem"));
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../data/server-key.pem"));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key.unwrap());
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

/// A client of ours, and the server's end of its open connection.
async fn opened() -> (Connection, TlsStream<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "amqps://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let options = ConnectionOptions::default()
        .tls(client_tls())
        .credentials(Credentials::None);
    let server = async {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut stream = acceptor().accept(tcp).await.unwrap();
        let mut header = [0; 8];
        stream.read_exact(&mut header).await.unwrap();
        assert_eq!(header, AMQP);
        stream.write_all(&[AMQP, OPEN].concat()).await.unwrap();
        stream.flush().await.unwrap();
        read_frame(&mut stream).await; // the open
        stream
    };
    let (client, server) =
        soon(async { tokio::join!(Connection::open(&url, options), server) }).await;
    (client.unwrap(), server)
}

async fn read_frame(stream: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let mut size = [0; 4];
    stream.read_exact(&mut size).await.unwrap();
    let mut rest = vec![0; u32::from_be_bytes(size) as usize - 4];
    stream.read_exact(&mut rest).await.unwrap();
    rest
}

#[tokio::test]
async fn y_007_behind_the_close_no_end_of_tls_is_needed() {
    let (client, mut server) = opened().await;
    let (closed, ()) = soon(async {
        tokio::join!(client.close(), async {
            assert_eq!(read_frame(&mut server).await, CLOSE[4..]);
            server.write_all(CLOSE).await.unwrap();
            server.flush().await.unwrap();
            drop(server.into_inner().0);
        })
    })
    .await;
    closed.unwrap();
}

#[tokio::test]
async fn y_007_before_the_close_such_an_end_is_a_lost_connection() {
    let (client, server) = opened().await;
    drop(server.into_inner().0);
    let error = soon(client.closed()).await;
    assert!(matches!(error, ConnectionError::Lost(_)), "{error}");
    assert!(error.is_retryable());
}
