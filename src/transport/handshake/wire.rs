//! Protocol headers and SASL frames on a stream, each step within the deadline.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::codec::frame::{self, ProtocolHeader};
use crate::codec::sasl::SaslFrame;
use crate::error::{ConnectError, PeerProtocol, Stage, TlsError, WebSocketError};
use crate::sasl::SaslError;
use crate::transport::deadline::Deadline;
use crate::transport::stream::{Replayed, Stream};
use crate::transport::tls;

const READ_SIZE: usize = 4096;
/// How much and how long a refused peer's input is read to its end (V-010).
const DRAIN_SIZE: usize = 64 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);

pub(super) struct Wire {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
    deadline: Deadline,
    /// For errors: the host, or "the client".
    peer: String,
}

impl Wire {
    pub(super) fn new(
        stream: Box<dyn Stream>,
        peer: impl Into<String>,
        deadline: Deadline,
    ) -> Wire {
        Wire {
            stream,
            buffer: BytesMut::new(),
            deadline,
            peer: peer.into(),
        }
    }

    /// The stream and what was read too early.
    pub(super) fn into_parts(self) -> (Box<dyn Stream>, BytesMut) {
        (self.stream, self.buffer)
    }

    /// The stream with what was read too early put back: a TLS peer may write its hello right behind the header.
    pub(super) fn into_stream(self) -> Box<dyn Stream> {
        Replayed::before(self.stream, self.buffer)
    }

    pub(super) async fn send_header(&mut self, header: ProtocolHeader) -> Result<(), ConnectError> {
        self.send(&header.to_bytes(), Stage::ProtocolHeader).await
    }

    /// What the peer begins with. A header is taken from the input, all else stays in it (V-012).
    ///
    /// The first octet that cannot belong to a header decides: whoever sends other things may send fewer than eight.
    pub(super) async fn read_header(&mut self) -> Result<PeerProtocol, ConnectError> {
        const MAGIC: &[u8] = b"AMQP";
        const HTTP: &[u8] = b"GET ";
        loop {
            let length = self.buffer.len();
            let may_be = |start: &[u8]| self.buffer.starts_with(&start[..length.min(start.len())]);
            let may_be_header = may_be(MAGIC) || length < HTTP.len() && may_be(HTTP);
            if length >= 8 || !may_be_header {
                let protocol = PeerProtocol::of(&self.buffer[..length.min(8)]);
                if let PeerProtocol::Amqp(_) = protocol {
                    self.buffer.advance(8);
                }
                return Ok(protocol);
            }
            self.read_more(Stage::ProtocolHeader).await?;
        }
    }

    pub(super) async fn send_sasl(&mut self, frame: &SaslFrame) -> Result<(), ConnectError> {
        let mut octets = BytesMut::new();
        frame::encode_sasl(&mut octets, frame);
        self.send(&octets, Stage::Sasl).await
    }

    pub(super) async fn read_sasl(
        &mut self,
        max_frame_size: u32,
    ) -> Result<SaslFrame, ConnectError> {
        let invalid = |reason: String| ConnectError::Sasl(SaslError::InvalidFrame { reason });
        loop {
            match frame::split(&mut self.buffer, max_frame_size)
                .map_err(|error| invalid(error.to_string()))?
            {
                // Y-011, Y-012: the codec refuses empty frames and those of another type.
                Some(raw) => {
                    return frame::decode_sasl(raw).map_err(|error| invalid(error.to_string()));
                }
                None => self.read_more(Stage::Sasl).await?,
            }
        }
    }

    /// Says that nothing more will be written.
    pub(super) async fn shut_down(&mut self) {
        // The peer is given up: whether it hears of it no longer matters.
        let _ = timeout(DRAIN_TIME, self.stream.shutdown()).await;
    }

    /// Says that nothing more will be written and reads to the end, within bounds: a socket that is closed with unread input
    /// is reset, and the peer may then never see what was written last (V-010, Y-002).
    pub(super) async fn close(mut self) {
        self.shut_down().await;
        let drain = async {
            let mut discarded = [0; READ_SIZE];
            let mut total = 0;
            while let Ok(length @ 1..) = self.stream.read(&mut discarded).await {
                total += length;
                if total > DRAIN_SIZE {
                    break;
                }
            }
        };
        let _ = timeout(DRAIN_TIME, drain).await;
    }

    async fn send(&mut self, octets: &[u8], stage: Stage) -> Result<(), ConnectError> {
        let write = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        let result = self.deadline.within(stage, write).await?;
        result.map_err(|error| self.broken(error, stage))
    }

    async fn read_more(&mut self, stage: Stage) -> Result<(), ConnectError> {
        self.buffer.reserve(READ_SIZE);
        let result = self
            .deadline
            .within(stage, self.stream.read_buf(&mut self.buffer))
            .await?;
        match result {
            Ok(0) => Err(ConnectError::Eof { stage }),
            Ok(_) => Ok(()),
            Err(error) => Err(self.broken(error, stage)),
        }
    }

    fn broken(&self, error: io::Error, stage: Stage) -> ConnectError {
        if let Some(error) = WebSocketError::of(&error) {
            let (peer, error) = (self.peer.clone(), error.clone());
            return ConnectError::WebSocket { peer, error };
        }
        match tls::error_within(&error) {
            // With TLS 1.3 a server's verdict on our certificate arrives after the handshake.
            Some(error) => self.tls_failed(error),
            None if error.kind() == io::ErrorKind::UnexpectedEof => ConnectError::Eof { stage },
            None => ConnectError::Io {
                stage,
                error: Arc::new(error),
            },
        }
    }

    fn tls_failed(&self, error: TlsError) -> ConnectError {
        ConnectError::Tls {
            peer: self.peer.clone(),
            error,
        }
    }
}
