//! The client's handshake.

use bytes::BytesMut;

use super::Handshaken;
use super::wire::Wire;
use crate::codec::Str;
use crate::codec::frame::ProtocolHeader;
use crate::error::{ConnectError, PeerProtocol, Stage};
use crate::options::ConnectionOptions;
use crate::sasl::client::{AwaitMechanisms, Step};
use crate::sasl::{Credentials, Identity, MAX_CLIENT_FRAME_SIZE};
use crate::transport::deadline::Deadline;
use crate::transport::stream::Stream;
use crate::transport::{proxy, tcp, tls, websocket};
use crate::url::{Scheme, Url};

/// Connects to the URL's host and shakes hands; `options.connect_timeout` begins now.
///
/// The caller fills `options` by [`ConnectionOptions::for_url`] first, as the open needs the same hostname.
pub(crate) async fn connect(
    url: &Url,
    options: &ConnectionOptions,
) -> Result<Handshaken, ConnectError> {
    let deadline = Deadline::after(options.connect_timeout);
    let stream = reach(url, options, deadline).await?;
    raise(stream, url, options, deadline).await
}

/// Lays what the URL's scheme says over a stream that is connected to its host, and shakes hands on that.
pub(crate) async fn raise(
    mut stream: Box<dyn Stream>,
    url: &Url,
    options: &ConnectionOptions,
    deadline: Deadline,
) -> Result<Handshaken, ConnectError> {
    if url.scheme().is_tls() {
        stream = start_tls(stream, url.host(), options, deadline).await?;
    }
    if url.scheme().is_websocket() {
        let opened = websocket::connect(stream, url, &options.websocket);
        stream = deadline.within(Stage::WebSocket, opened).await??;
    }
    let is_upgraded = options.tls_upgrade && url.scheme() == Scheme::Amqp;
    if is_upgraded {
        let mut wire = Wire::new(stream, url.host(), deadline);
        exchange_header(&mut wire, ProtocolHeader::TLS).await?; // Y-003
        stream = start_tls(wire.into_stream(), url.host(), options, deadline).await?;
    }
    let is_secure = url.scheme().is_tls() || is_upgraded;
    client(stream, is_secure, options, deadline).await
}

/// A stream to the URL's host, by way of the proxy if there is one for it.
async fn reach(
    url: &Url,
    options: &ConnectionOptions,
    deadline: Deadline,
) -> Result<Box<dyn Stream>, ConnectError> {
    let (host, port, keep_alive) = (url.host(), url.port(), options.tcp_keep_alive);
    match options.proxy.as_ref().filter(|proxy| proxy.is_for(host)) {
        Some(proxy) => proxy::connect(proxy, host, port, keep_alive, deadline).await,
        None => Ok(Box::new(
            tcp::connect(host, port, keep_alive, deadline).await?,
        )),
    }
}

/// Shakes hands on a stream that is connected. `is_secure`: it is TLS of ours, fit for a password.
pub(crate) async fn client(
    stream: Box<dyn Stream>,
    is_secure: bool,
    options: &ConnectionOptions,
    deadline: Deadline,
) -> Result<Handshaken, ConnectError> {
    let peer = options.hostname.as_deref().unwrap_or("the server");
    let mut wire = Wire::new(stream, peer, deadline);
    match enter(&mut wire, is_secure, options).await {
        Ok(identity) => {
            let (stream, read_ahead): (_, BytesMut) = wire.into_parts();
            Ok(Handshaken {
                stream,
                read_ahead,
                identity,
                is_secure,
                deadline,
            })
        }
        Err(error) => {
            wire.shut_down().await; // V-010
            Err(error)
        }
    }
}

pub(super) async fn start_tls(
    stream: Box<dyn Stream>,
    host: &str,
    options: &ConnectionOptions,
    deadline: Deadline,
) -> Result<Box<dyn Stream>, ConnectError> {
    let failed = |error| ConnectError::Tls {
        peer: host.to_owned(),
        error,
    };
    deadline
        .within(Stage::Tls, tls::connect(stream, host, options.tls.as_ref()))
        .await?
        .map_err(failed)
}

async fn enter(
    wire: &mut Wire,
    is_secure: bool,
    options: &ConnectionOptions,
) -> Result<Identity, ConnectError> {
    let identity = match options.credentials {
        Credentials::None => Identity::anonymous(),
        _ => authenticate(wire, is_secure, options).await?,
    };
    exchange_header(wire, ProtocolHeader::AMQP).await?; // Y-023
    Ok(identity)
}

/// Sends the header at once, without waiting for the server's (V-003); any other answer ends it (V-011, V-014).
async fn exchange_header(wire: &mut Wire, ours: ProtocolHeader) -> Result<(), ConnectError> {
    wire.send_header(ours).await?;
    match wire.read_header().await? {
        PeerProtocol::Amqp(theirs) if theirs == ours => Ok(()),
        theirs => Err(ConnectError::ProtocolMismatch { ours, theirs }),
    }
}

async fn authenticate(
    wire: &mut Wire,
    is_secure: bool,
    options: &ConnectionOptions,
) -> Result<Identity, ConnectError> {
    let plain_is_allowed = is_secure || options.allow_plain_without_tls;
    let hostname = options.hostname.as_deref().map(Str::from);
    let state = AwaitMechanisms::new(&options.credentials, plain_is_allowed, hostname)?;
    exchange_header(wire, ProtocolHeader::SASL).await?;
    let (init, mut state) = state.handle(wire.read_sasl(MAX_CLIENT_FRAME_SIZE).await?)?;
    wire.send_sasl(&init).await?;
    loop {
        match state.handle(wire.read_sasl(MAX_CLIENT_FRAME_SIZE).await?)? {
            Step::Respond(response, next) => {
                wire.send_sasl(&response).await?;
                state = next;
            }
            Step::Authenticated(mechanism) => {
                tracing::debug!(%mechanism, "SASL succeeded");
                return Ok(Identity {
                    name: None,
                    mechanism: Some(mechanism),
                });
            }
        }
    }
}
