//! What stands in for WebSocket if the feature `websocket` is off.

use bytes::BytesMut;

use crate::error::{ConnectError, WebSocketError};
use crate::options::websocket::{WebSocketOptions, WebSocketServerOptions};
use crate::transport::stream::Stream;
use crate::url::Url;

pub(crate) async fn connect(
    _stream: Box<dyn Stream>,
    url: &Url,
    _options: &WebSocketOptions,
) -> Result<Box<dyn Stream>, ConnectError> {
    Err(not_built(url.host()))
}

pub(crate) async fn accept(
    _stream: Box<dyn Stream>,
    _read_ahead: BytesMut,
    _options: &WebSocketServerOptions,
) -> Result<Box<dyn Stream>, ConnectError> {
    Err(not_built("the client"))
}

fn not_built(peer: &str) -> ConnectError {
    ConnectError::WebSocket {
        peer: peer.to_owned(),
        error: WebSocketError::NotBuilt,
    }
}
