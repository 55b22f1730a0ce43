//! The listener's handshake: each layer is chosen by the client's next header, and refused if it is not that layer's turn.

use bytes::Bytes;

use super::Handshaken;
use super::wire::Wire;
use crate::codec::frame::ProtocolHeader;
use crate::codec::sasl::SaslCode;
use crate::error::{ConnectError, PeerProtocol, Stage};
use crate::options::{ListenerOptions, WebSocketServerOptions};
use crate::sasl::server::{Presented, Step, offer, outcome};
use crate::sasl::{Identity, LoginAttempt};
use crate::transport::deadline::Deadline;
use crate::transport::stream::Stream;
use crate::transport::{tls, websocket};

const PEER: &str = "the client";

/// Shakes hands with a client; `options.handshake_timeout` begins now. V-013
pub(crate) async fn server(
    stream: Box<dyn Stream>,
    options: &ListenerOptions,
) -> Result<Handshaken, ConnectError> {
    let deadline = Deadline::after(options.handshake_timeout);
    let mut wire = Wire::new(stream, PEER, deadline);
    let mut reached = Reached::default();
    loop {
        let theirs = match wire.read_header().await {
            Ok(theirs) => theirs,
            Err(error) => return Err(give_up(wire, error).await),
        };
        match reached.next(&theirs, options) {
            Next::Tls { header } => {
                if let Some(header) = header {
                    wire.send_header(header).await?;
                }
                let (stream, certificate) =
                    start_tls(wire.into_stream(), options, deadline).await?;
                wire = Wire::new(stream, PEER, deadline);
                reached.is_secure = true;
                reached.certificate = certificate;
            }
            Next::WebSocket { options } => {
                let (stream, read_ahead) = wire.into_parts();
                let opened = websocket::accept(stream, read_ahead, options);
                let stream = deadline.within(Stage::WebSocket, opened).await??;
                wire = Wire::new(stream, PEER, deadline);
                reached.is_websocket = true;
            }
            Next::Sasl => {
                wire.send_header(ProtocolHeader::SASL).await?; // V-005
                match authenticate(&mut wire, &reached, options, deadline).await {
                    Ok(identity) => reached.identity = Some(identity),
                    Err(error) => return Err(give_up(wire, error).await),
                }
            }
            Next::Amqp => {
                wire.send_header(ProtocolHeader::AMQP).await?;
                let (stream, read_ahead) = wire.into_parts();
                let identity = reached.identity.unwrap_or_default();
                return Ok(Handshaken {
                    stream,
                    read_ahead,
                    identity,
                    is_secure: reached.is_secure,
                    deadline,
                });
            }
            Next::Refuse { ours } => {
                wire.send_header(ours).await?; // V-006, V-008, V-009
                return Err(give_up(wire, ConnectError::ProtocolMismatch { ours, theirs }).await);
            }
        }
    }
}

/// The layers that stand so far.
#[derive(Default)]
struct Reached {
    is_secure: bool,
    /// The TLS client's certificate, verified.
    certificate: Option<Bytes>,
    /// AMQP travels in WebSocket messages.
    is_websocket: bool,
    /// Who the client is, once SASL succeeded.
    identity: Option<Identity>,
}

/// What to do about a client's header.
enum Next<'a> {
    /// TLS; with a header to answer if it was asked for in-band.
    Tls {
        header: Option<ProtocolHeader>,
    },
    /// HTTP, which is to become a WebSocket.
    WebSocket {
        options: &'a WebSocketServerOptions,
    },
    Sasl,
    Amqp,
    /// It is not this protocol's turn, or no protocol of ours.
    Refuse {
        ours: ProtocolHeader,
    },
}

impl Reached {
    fn next<'a>(&self, theirs: &PeerProtocol, options: &'a ListenerOptions) -> Next<'a> {
        let is_first = !self.is_websocket && self.identity.is_none();
        let has_tls = options.tls.is_some() && !self.is_secure && is_first;
        let has_sasl = !options.sasl.mechanisms.is_empty() && self.identity.is_none();
        let needs_tls = has_tls && options.require_tls;
        let needs_sasl = has_sasl && options.sasl.require;
        let websocket = options
            .websocket
            .as_ref()
            .filter(|_| is_first && !needs_tls);
        if let (PeerProtocol::Http, Some(options)) = (theirs, websocket) {
            return Next::WebSocket { options };
        }
        match theirs {
            PeerProtocol::Tls if has_tls => Next::Tls { header: None }, // Y-004
            PeerProtocol::Amqp(header) if *header == ProtocolHeader::TLS && has_tls => {
                Next::Tls {
                    header: Some(ProtocolHeader::TLS),
                } // Y-003
            }
            PeerProtocol::Amqp(header)
                if *header == ProtocolHeader::SASL && has_sasl && !needs_tls =>
            {
                Next::Sasl
            }
            PeerProtocol::Amqp(header)
                if *header == ProtocolHeader::AMQP && !needs_sasl && !needs_tls =>
            {
                Next::Amqp
            }
            _ if needs_tls => Next::Refuse {
                ours: ProtocolHeader::TLS,
            },
            _ if needs_sasl => Next::Refuse {
                ours: ProtocolHeader::SASL,
            }, // Y-026
            _ => Next::Refuse {
                ours: ProtocolHeader::AMQP,
            },
        }
    }
}

async fn give_up(wire: Wire, error: ConnectError) -> ConnectError {
    wire.close().await;
    error
}

async fn start_tls(
    stream: Box<dyn Stream>,
    options: &ListenerOptions,
    deadline: Deadline,
) -> Result<(Box<dyn Stream>, Option<Bytes>), ConnectError> {
    let failed = |error| ConnectError::Tls {
        peer: PEER.to_owned(),
        error,
    };
    deadline
        .within(Stage::Tls, tls::accept(stream, options.tls.as_ref()))
        .await?
        .map_err(failed)
}

/// The whole SASL exchange, its outcome included. A broken exchange gets none: it is cut. Y-015
async fn authenticate(
    wire: &mut Wire,
    reached: &Reached,
    options: &ListenerOptions,
    deadline: Deadline,
) -> Result<Identity, ConnectError> {
    let result = match present(wire, reached, options).await {
        Ok(presented) => decide(presented, reached, options, deadline).await,
        Err(error) => Err(error),
    };
    let code = match &result {
        Ok(_) => Some(SaslCode::Ok),
        Err(ConnectError::Sasl(error)) => error.outcome(),
        Err(_) => None,
    };
    if let Some(code) = code {
        wire.send_sasl(&outcome(code)).await?;
    }
    result
}

async fn present(
    wire: &mut Wire,
    reached: &Reached,
    options: &ListenerOptions,
) -> Result<Presented, ConnectError> {
    let max_frame_size = options.sasl.max_frame_size;
    let (mechanisms, state) = offer(&options.sasl.mechanisms);
    wire.send_sasl(&mechanisms).await?;
    let init = wire.read_sasl(max_frame_size).await?;
    let mut step = state.handle(init, reached.certificate.as_ref())?;
    loop {
        match step {
            Step::Decide(presented) => return Ok(presented),
            Step::Challenge(challenge, state) => {
                wire.send_sasl(&challenge).await?;
                step = state.handle(wire.read_sasl(max_frame_size).await?)?;
            }
        }
    }
}

async fn decide(
    presented: Presented,
    reached: &Reached,
    options: &ListenerOptions,
    deadline: Deadline,
) -> Result<Identity, ConnectError> {
    let Presented {
        mechanism,
        credentials,
        hostname,
    } = presented;
    let hostname = hostname.map(|hostname| hostname.as_str().to_owned());
    let attempt = LoginAttempt {
        credentials,
        hostname,
        is_secure: reached.is_secure,
    };
    match deadline
        .within(
            Stage::Sasl,
            options.sasl.authenticator.authenticate(&attempt),
        )
        .await?
    {
        Ok(identity) => {
            tracing::debug!(%mechanism, name = identity.name.as_deref(), "client authenticated");
            Ok(Identity {
                mechanism: Some(mechanism),
                ..identity
            })
        }
        Err(failure) => {
            tracing::debug!(%mechanism, %failure, "client refused");
            Err(ConnectError::Sasl(failure.into_sasl_error(mechanism)))
        }
    }
}
