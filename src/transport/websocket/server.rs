//! The listener's side of opening a WebSocket, and its answers to whoever asks for something else.

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::handshake::server::{
    Callback, ErrorResponse, Request, Response,
};
use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::{WebSocketStream, broken, config, failed, handshake_error};
use crate::error::{ConnectError, Stage, WebSocketError};
use crate::options::websocket::{HttpRequest, HttpResponse, WebSocketServerOptions};
use crate::transport::http::{self, Head, HeadError};
use crate::transport::stream::{Replayed, Stream};

const PEER: &str = "the client";

/// What to do about a request.
enum Verdict {
    /// A WebSocket, with this sub-protocol.
    Open { sub_protocol: Option<String> },
    Refuse {
        response: HttpResponse,
        error: WebSocketError,
    },
}

/// Reads the client's request, of which `read_ahead` has come already, and opens the WebSocket that it asks for.
pub(crate) async fn accept(
    mut stream: Box<dyn Stream>,
    mut read_ahead: BytesMut,
    options: &WebSocketServerOptions,
) -> Result<Box<dyn Stream>, ConnectError> {
    let head = match http::read_head(&mut stream, &mut read_ahead, b"GET ").await {
        Ok((head, _)) => head,
        Err(HeadError::Eof) => {
            let stage = Stage::WebSocket;
            return Err(ConnectError::Eof { stage });
        }
        Err(HeadError::Io(error)) => return Err(broken(error, PEER)),
        Err(HeadError::Malformed(reason)) => {
            let reason = reason.to_owned();
            return Err(failed(WebSocketError::Protocol { reason }, PEER));
        }
    };
    match judge(head, options) {
        Verdict::Open { sub_protocol } => {
            let stream = Replayed::before(stream, read_ahead);
            let choice = Choice { sub_protocol };
            let limit = options.max_message_size;
            let socket = accept_hdr_async_with_config(stream, choice, Some(config(limit))).await;
            let socket = socket.map_err(|error| handshake_error(error, PEER))?;
            Ok(Box::new(WebSocketStream::new(socket, limit)))
        }
        Verdict::Refuse { response, error } => {
            let octets = encode(&response);
            let answered = async {
                stream.write_all(octets.as_bytes()).await?;
                stream.shutdown().await
            };
            answered.await.map_err(|error| broken(error, PEER))?;
            Err(failed(error, PEER))
        }
    }
}

fn judge(head: Head, options: &WebSocketServerOptions) -> Verdict {
    let target = head
        .first_line
        .split(' ')
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    let asks_for_websocket = head
        .values("Upgrade")
        .any(|protocol| protocol.eq_ignore_ascii_case("websocket"));
    let offered = offered_by(&head);
    let request = HttpRequest {
        target,
        headers: head.headers,
    };
    let is_served = options.serves(request.path());
    if is_served && asks_for_websocket {
        let known = |name: &&String| {
            let mut all = options.sub_protocols.iter();
            all.any(|known| known.eq_ignore_ascii_case(name))
        };
        let sub_protocol = offered.iter().find(known).cloned();
        return match sub_protocol {
            None if !offered.is_empty() => no_sub_protocol(offered, options),
            sub_protocol => Verdict::Open { sub_protocol },
        };
    }
    let response = match &options.responder {
        Some(responder) if !asks_for_websocket => responder.respond(&request),
        _ if is_served => HttpResponse::new(426).body("Here is a WebSocket only."),
        _ => HttpResponse::new(404).body("Nothing is here."),
    };
    let error = WebSocketError::Http {
        target: request.path().to_owned(),
        status: response.status,
    };
    Verdict::Refuse { response, error }
}

fn offered_by(head: &Head) -> Vec<String> {
    let lists = head.values("Sec-WebSocket-Protocol");
    let names = lists.flat_map(|list| list.split(','));
    let names = names.map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

fn no_sub_protocol(offered: Vec<String>, options: &WebSocketServerOptions) -> Verdict {
    let known = options.sub_protocols.join(", ");
    let answer = format!("the listener speaks [{known}]");
    Verdict::Refuse {
        response: HttpResponse::new(400).body(format!("No sub-protocol of [{known}] is offered.")),
        error: WebSocketError::SubProtocol { offered, answer },
    }
}

fn encode(response: &HttpResponse) -> String {
    let HttpResponse {
        status,
        content_type,
        body,
    } = response;
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        426 => "Upgrade Required",
        503 => "Service Unavailable",
        _ => "",
    };
    let upgrade = match status {
        426 => "Upgrade: websocket\r\n",
        _ => "",
    };
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{upgrade}Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Names the chosen sub-protocol in the answer.
struct Choice {
    sub_protocol: Option<String>,
}

impl Callback for Choice {
    fn on_request(self, _: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        // It came in a header, so that it can go in one.
        let value = self
            .sub_protocol
            .and_then(|name| HeaderValue::try_from(name).ok());
        if let Some(value) = value {
            response
                .headers_mut()
                .insert("Sec-WebSocket-Protocol", value);
        }
        Ok(response)
    }
}
