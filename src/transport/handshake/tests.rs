//! Handshakes against scripted peers, and of our two sides with each other, over memory streams and paused time.

mod client;
mod mechanisms;
#[cfg(feature = "scram")]
mod scram;
mod server;

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::codec::Symbol;
use crate::codec::frame::{self, ProtocolHeader};
use crate::codec::sasl::{SaslCode, SaslFrame, SaslInit, SaslMechanisms, SaslOutcome};
use crate::error::ConnectError;
use crate::options::{ConnectionOptions, ListenerOptions};
use crate::sasl::{Credentials, SaslMechanism};

const AMQP: &[u8] = b"AMQP\x00\x01\x00\x00";
const TLS: &[u8] = b"AMQP\x02\x01\x00\x00";
const SASL: &[u8] = b"AMQP\x03\x01\x00\x00";

/// The far end of a handshake under test.
struct Peer {
    stream: DuplexStream,
    buffer: BytesMut,
}

impl Peer {
    fn new(stream: DuplexStream) -> Peer {
        Peer {
            stream,
            buffer: BytesMut::new(),
        }
    }

    async fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.unwrap();
    }

    async fn send_sasl(&mut self, frame: SaslFrame) {
        self.send(&sasl(frame)).await;
    }

    async fn expect(&mut self, octets: &[u8]) {
        let mut read = vec![0; octets.len()];
        self.stream.read_exact(&mut read).await.unwrap();
        assert_eq!(
            read.escape_ascii().to_string(),
            octets.escape_ascii().to_string()
        );
    }

    async fn expect_sasl(&mut self) -> SaslFrame {
        loop {
            if let Some(raw) = frame::split(&mut self.buffer, 65_536).unwrap() {
                return frame::decode_sasl(raw).unwrap();
            }
            // Octet by octet: what follows the frame is for somebody else to read.
            let octet = self.stream.read_u8().await.expect("a SASL frame");
            self.buffer.extend_from_slice(&[octet]);
        }
    }

    async fn expect_outcome(&mut self) -> SaslCode {
        match self.expect_sasl().await {
            SaslFrame::Outcome(outcome) => outcome.code,
            other => panic!("{other:?}"),
        }
    }

    async fn expect_eof(&mut self) {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty(), "{}", rest.escape_ascii());
    }
}

fn sasl(frame: SaslFrame) -> Vec<u8> {
    let mut octets = BytesMut::new();
    frame::encode_sasl(&mut octets, &frame);
    octets.to_vec()
}

fn mechanisms(names: &[&'static str]) -> SaslFrame {
    let sasl_server_mechanisms = names.iter().map(|name| Symbol::from_static(name)).collect();
    SaslFrame::Mechanisms(SaslMechanisms {
        sasl_server_mechanisms,
    })
}

fn init(mechanism: &'static str, response: &'static [u8]) -> SaslFrame {
    let initial_response = Some(bytes::Bytes::from_static(response));
    SaslFrame::Init(SaslInit {
        mechanism: Symbol::from_static(mechanism),
        initial_response,
        hostname: None,
    })
}

fn outcome(code: SaslCode) -> SaslFrame {
    SaslFrame::Outcome(SaslOutcome {
        code,
        additional_data: None,
    })
}

/// A client under test and the scripted server that it talks to.
fn start_client(
    options: ConnectionOptions,
) -> (
    tokio::task::JoinHandle<Result<Handshaken, ConnectError>>,
    Peer,
) {
    let (near, far) = duplex(4096);
    let deadline = Deadline::after(options.connect_timeout);
    let task = tokio::spawn(async move { client(Box::new(near), false, &options, deadline).await });
    (task, Peer::new(far))
}

/// A server under test and the scripted client that it talks to.
fn start_server(
    options: ListenerOptions,
) -> (
    tokio::task::JoinHandle<Result<Handshaken, ConnectError>>,
    Peer,
) {
    let (near, far) = duplex(4096);
    let task = tokio::spawn(async move { server(Box::new(near), &options).await });
    (task, Peer::new(far))
}

/// Our client against our server.
async fn meet(
    client_options: ConnectionOptions,
    server_options: ListenerOptions,
) -> (
    Result<Handshaken, ConnectError>,
    Result<Handshaken, ConnectError>,
) {
    let (near, far) = duplex(4096);
    let deadline = Deadline::after(client_options.connect_timeout);
    tokio::join!(
        client(Box::new(near), false, &client_options, deadline),
        server(Box::new(far), &server_options)
    )
}
