//! The client's side of opening a WebSocket.

use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::{ProtocolError, SubProtocolError};
use tokio_tungstenite::tungstenite::handshake::client::{Request, generate_key};
use tokio_tungstenite::tungstenite::http;

use super::{WebSocketStream, config, failed, handshake_error};
use crate::error::{ConnectError, WebSocketError};
use crate::options::websocket::WebSocketOptions;
use crate::transport::stream::Stream;
use crate::url::Url;

/// Asks the server at the other end of `stream` for a WebSocket at the URL's path.
pub(crate) async fn connect(
    stream: Box<dyn Stream>,
    url: &Url,
    options: &WebSocketOptions,
) -> Result<Box<dyn Stream>, ConnectError> {
    let peer = url.host();
    let unusable = |reason| failed(WebSocketError::Configuration { reason }, peer);
    if let Some((name, _)) = options.headers.iter().find(|(name, _)| is_own_header(name)) {
        return Err(unusable(format!("the header {name:?} is set already")));
    }
    let request = request(url, options).map_err(|error| unusable(error.to_string()))?;
    let config = config(options.max_message_size);
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((socket, _)) => {
            tracing::debug!(%url, "WebSocket opened");
            let limit = options.max_message_size;
            Ok(Box::new(WebSocketStream::new(socket, limit)))
        }
        Err(Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(error))) => {
            let answer = match error {
                SubProtocolError::NoSubProtocol => "the server chose none",
                SubProtocolError::InvalidSubProtocol => "the server chose another",
                SubProtocolError::ServerSentSubProtocolNoneRequested => "the server chose one",
            };
            let offered = options.sub_protocols.clone();
            let answer = answer.to_owned();
            Err(failed(
                WebSocketError::SubProtocol { offered, answer },
                peer,
            ))
        }
        Err(error) => Err(handshake_error(error, peer)),
    }
}

/// Whether the request has a header of that name of its own accord.
fn is_own_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(&*name, "host" | "connection" | "upgrade") || name.starts_with("sec-websocket-")
}

fn request(url: &Url, options: &WebSocketOptions) -> Result<Request, http::Error> {
    let host = url.http_host();
    let mut request = http::Request::builder()
        .uri(format!(
            "{}://{host}{}",
            url.scheme().as_str(),
            url.request_target()
        ))
        .header("Host", host)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key());
    if !options.sub_protocols.is_empty() {
        let offered = options.sub_protocols.join(", ");
        request = request.header("Sec-WebSocket-Protocol", offered);
    }
    for (name, value) in &options.headers {
        request = request.header(name, value);
    }
    request.body(())
}
