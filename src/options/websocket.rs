//! How AMQP is carried in WebSocket messages, and what a listener answers to other requests of HTTP.

use std::fmt;
use std::sync::Arc;

/// The sub-protocol of AMQP over WebSocket, as it is registered.
pub const AMQP_SUB_PROTOCOL: &str = "amqp";
/// The sub-protocol's older name, by which Azure's clients and service call it.
pub const AMQPWSB10_SUB_PROTOCOL: &str = "AMQPWSB10";

/// A message carries one write of ours or one frame of a peer's: some are of the largest frame, and a megabyte or more.
const MAX_MESSAGE_SIZE: usize = 4 << 20;

/// How a client opens a WebSocket, for URLs with `ws` or `wss`.
#[derive(Clone)]
#[non_exhaustive]
pub struct WebSocketOptions {
    /// The sub-protocols offered, the preferred one first; the server must choose one of them. Default
    /// [`AMQP_SUB_PROTOCOL`] alone.
    pub sub_protocols: Vec<String>,
    /// More headers of the request, as names and values: what gateways before a server ask for. Those that open a WebSocket
    /// (`Host`, `Connection`, `Upgrade`, `Sec-WebSocket-...`) are set already, and refused here. Default none.
    pub headers: Vec<(String, String)>,
    /// The longest message accepted, in octets. A longer one ends the connection. Default 4 MiB.
    pub max_message_size: usize,
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        Self {
            sub_protocols: vec![AMQP_SUB_PROTOCOL.to_owned()],
            headers: Vec::new(),
            max_message_size: MAX_MESSAGE_SIZE,
        }
    }
}

impl WebSocketOptions {
    /// Sets [`sub_protocols`](Self::sub_protocols).
    pub fn sub_protocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.sub_protocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Adds one of the [`headers`](Self::headers).
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets [`max_message_size`](Self::max_message_size), in octets.
    pub fn max_message_size(mut self, octets: usize) -> Self {
        self.max_message_size = octets;
        self
    }
}

/// Shows the names of headers alone: their values may be secrets.
impl fmt::Debug for WebSocketOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("WebSocketOptions")
            .field("sub_protocols", &self.sub_protocols)
            .field("headers", &names)
            .field("max_message_size", &self.max_message_size)
            .finish()
    }
}

/// How a listener takes WebSockets on its port, beside plain AMQP: what a client speaks is seen from its first octets.
///
/// A client that offers sub-protocols must offer a known one, which is echoed; one that offers none is taken as well.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WebSocketServerOptions {
    /// The one path that WebSockets are opened at, with or without a slash at its end. Default `None`: any path.
    pub path: Option<String>,
    /// The sub-protocols known. Default [`AMQP_SUB_PROTOCOL`] and [`AMQPWSB10_SUB_PROTOCOL`].
    pub sub_protocols: Vec<String>,
    /// The longest message accepted, in octets. A longer one ends the connection. Default 4 MiB.
    pub max_message_size: usize,
    /// What answers other requests. Default `None`: they are answered 404, or 426 at the path of WebSockets.
    pub responder: Option<HttpResponder>,
}

impl Default for WebSocketServerOptions {
    fn default() -> Self {
        Self {
            path: None,
            sub_protocols: vec![
                AMQP_SUB_PROTOCOL.to_owned(),
                AMQPWSB10_SUB_PROTOCOL.to_owned(),
            ],
            max_message_size: MAX_MESSAGE_SIZE,
            responder: None,
        }
    }
}

impl WebSocketServerOptions {
    /// Sets [`path`](Self::path).
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Sets [`sub_protocols`](Self::sub_protocols).
    pub fn sub_protocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.sub_protocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets [`max_message_size`](Self::max_message_size), in octets.
    pub fn max_message_size(mut self, octets: usize) -> Self {
        self.max_message_size = octets;
        self
    }

    /// Sets [`responder`](Self::responder).
    pub fn responder(mut self, responder: HttpResponder) -> Self {
        self.responder = Some(responder);
        self
    }

    /// Whether WebSockets are opened at what a request asks for.
    #[cfg(feature = "websocket")]
    pub(crate) fn serves(&self, path: &str) -> bool {
        let without_slash = |path: &str| path.trim_end_matches('/').to_owned();
        self.path
            .as_deref()
            .is_none_or(|served| without_slash(served) == without_slash(path))
    }
}

/// Answers requests that a listener gets by HTTP and that do not ask for a WebSocket, such as `GET /health`. The connection
/// is closed behind the answer.
///
/// ```
/// use amqp10::ListenerOptions;
/// use amqp10::websocket::{HttpRequest, HttpResponder, HttpResponse, WebSocketServerOptions};
///
/// let health = HttpResponder::new(|request| match request.path() {
///     "/health" => HttpResponse::new(200).body("{}").content_type("application/json"),
///     _ => HttpResponse::new(404),
/// });
/// assert_eq!(health.respond(&HttpRequest::get("/health")).status(), 200);
/// let options = ListenerOptions::default().websocket(WebSocketServerOptions::default().responder(health));
/// # let _ = options;
/// ```
#[derive(Clone)]
pub struct HttpResponder(Arc<dyn Fn(&HttpRequest) -> HttpResponse + Send + Sync>);

impl HttpResponder {
    /// Calls `respond` for each request; it must not block.
    pub fn new(respond: impl Fn(&HttpRequest) -> HttpResponse + Send + Sync + 'static) -> Self {
        Self(Arc::new(respond))
    }

    /// What it answers.
    pub fn respond(&self, request: &HttpRequest) -> HttpResponse {
        (self.0)(request)
    }
}

impl fmt::Debug for HttpResponder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponder").finish_non_exhaustive()
    }
}

/// The head of a GET request.
#[derive(Clone)]
pub struct HttpRequest {
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl HttpRequest {
    /// A request for this path, or path and query, without headers: to try a responder with.
    pub fn get(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            headers: Vec::new(),
        }
    }

    /// What is asked for: path and query, as they were written.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The path alone.
    pub fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(&self.target, |(path, _)| path)
    }

    /// The first header of that name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Shows no headers: there may be a login among them.
impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

/// An answer to an [`HttpRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

impl HttpResponse {
    /// An answer with this status and an empty text.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: String::new(),
        }
    }

    /// Its status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets what the body is. Default plain text.
    pub fn content_type(mut self, content_type: &'static str) -> Self {
        self.content_type = content_type;
        self
    }
}
