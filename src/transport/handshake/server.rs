//! The listener's handshake: each layer is chosen by the client's next header, and refused if it is not that layer's turn.

use bytes::Bytes;

use super::Handshaken;
use super::wire::Wire;
use crate::codec::frame::ProtocolHeader;
use crate::codec::sasl::{SaslCode, SaslFrame};
use crate::error::{ConnectError, PeerProtocol, Stage};
use crate::options::ListenerOptions;
use crate::options::websocket::WebSocketServerOptions;
use crate::sasl::server::{CustomLogin, Presented, Step, challenge, offer, outcome};
#[cfg(feature = "scram")]
use crate::sasl::{AuthenticationFailure, SaslMechanism};
use crate::sasl::{Identity, LoginAttempt, MAX_CHALLENGES, SaslError, SaslServerStep};
use crate::transport::deadline::Deadline;
use crate::transport::stream::Stream;
use crate::transport::{tls, websocket};

const PEER: &str = "the client";

/// Shakes hands with a client; `options.handshake_timeout` begins now (V-013).
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
        let has_sasl = !options.sasl.is_empty() && self.identity.is_none();
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

/// Who the client is, and what it is told along with the outcome.
type Entry = (Identity, Option<Bytes>);

/// The whole SASL exchange, its outcome included. A broken exchange gets none: it is cut (Y-015).
async fn authenticate(
    wire: &mut Wire,
    reached: &Reached,
    options: &ListenerOptions,
    deadline: Deadline,
) -> Result<Identity, ConnectError> {
    match exchange(wire, reached, options, deadline).await {
        Ok((identity, additional_data)) => {
            wire.send_sasl(&outcome(SaslCode::Ok, additional_data))
                .await?;
            tracing::debug!(?identity, "client authenticated");
            Ok(identity)
        }
        Err(ConnectError::Sasl(error)) => {
            tracing::debug!(%error, "client refused");
            if let Some(code) = error.outcome() {
                wire.send_sasl(&outcome(code, None)).await?;
            }
            Err(ConnectError::Sasl(error))
        }
        Err(error) => Err(error),
    }
}

async fn exchange(
    wire: &mut Wire,
    reached: &Reached,
    options: &ListenerOptions,
    deadline: Deadline,
) -> Result<Entry, ConnectError> {
    let max_frame_size = options.sasl.max_frame_size;
    let (mechanisms, state) = offer(&options.sasl.mechanisms, &options.sasl.custom_mechanisms);
    wire.send_sasl(&mechanisms).await?;
    let init = wire.read_sasl(max_frame_size).await?;
    let mut step = state.handle(init, reached.certificate.as_ref())?;
    loop {
        step = match step {
            Step::Decide(presented) => return decide(presented, reached, options, deadline).await,
            Step::Custom(login) => return custom(wire, login, max_frame_size, deadline).await,
            #[cfg(feature = "scram")]
            Step::FindKeys(state) => {
                let (username, hash) = (state.client.username(), state.client.hash());
                let keys = options.sasl.authenticator.scram_keys(username, hash);
                let failed = |failure: AuthenticationFailure| {
                    failure.into_sasl_error(SaslMechanism::Scram(hash))
                };
                let keys = deadline.within(Stage::Sasl, keys).await?.map_err(failed)?;
                state.found(keys)
            }
            Step::Challenge(challenge, state) => {
                wire.send_sasl(&challenge).await?;
                state.handle(wire.read_sasl(max_frame_size).await?)?
            }
        }
    }
}

async fn decide(
    presented: Presented,
    reached: &Reached,
    options: &ListenerOptions,
    deadline: Deadline,
) -> Result<Entry, ConnectError> {
    let attempt = LoginAttempt {
        credentials: presented.credentials,
        hostname: presented
            .hostname
            .map(|hostname| hostname.as_str().to_owned()),
        is_secure: reached.is_secure,
    };
    let decision = options.sasl.authenticator.authenticate(&attempt);
    match deadline.within(Stage::Sasl, decision).await? {
        Ok(identity) => {
            let mechanism = Some(presented.mechanism);
            let identity = Identity {
                mechanism,
                ..identity
            };
            Ok((identity, presented.additional_data))
        }
        Err(failure) => Err(ConnectError::Sasl(
            failure.into_sasl_error(presented.mechanism),
        )),
    }
}

/// A mechanism of the application, to its end (Y-031).
async fn custom(
    wire: &mut Wire,
    login: CustomLogin,
    max_frame_size: u32,
    deadline: Deadline,
) -> Result<Entry, ConnectError> {
    let CustomLogin {
        mechanism,
        mut exchange,
        initial_response,
    } = login;
    let mut response = initial_response;
    for _ in 0..=MAX_CHALLENGES {
        let step = exchange.handle(response.as_deref());
        let step = deadline.within(Stage::Sasl, step).await?;
        match step.map_err(|failure| failure.into_sasl_error(mechanism))? {
            SaslServerStep::Challenge(octets) => {
                wire.send_sasl(&challenge(octets)).await?;
                response = Some(read_response(wire, max_frame_size).await?);
            }
            SaslServerStep::Success {
                identity,
                additional_data,
            } => {
                let mechanism = Some(mechanism);
                let identity = Identity {
                    mechanism,
                    ..identity
                };
                return Ok((identity, additional_data));
            }
        }
    }
    Err(ConnectError::Sasl(SaslError::TooManyChallenges))
}

async fn read_response(wire: &mut Wire, max_frame_size: u32) -> Result<Bytes, ConnectError> {
    match wire.read_sasl(max_frame_size).await? {
        SaslFrame::Response(response) => Ok(response.response),
        other => Err(SaslError::unexpected("sasl-response", &other).into()),
    }
}
