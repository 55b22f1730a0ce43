//! HTTP/1.1 to one server: requests without a body over connections that are kept for the next one.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Method};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};

use super::BlobCheckpointStoreOptions;
use super::error::BlobError;
use crate::eventhubs::auth::Secret;
use crate::lock::lock;
use crate::transport::deadline::Deadline;
use crate::transport::{proxy, stream::Stream, tcp, tls};
use crate::{ConnectError, Proxy, TlsConfig, percent};

/// Connections that are kept while nobody needs them.
const MAX_IDLE: usize = 16;
/// How long: servers and gateways forget silent connections after minutes.
const MAX_IDLE_TIME: Duration = Duration::from_secs(60);
/// The largest body of an answer. A page of a list has up to 5000 blobs.
const MAX_BODY: usize = 32 << 20;

/// Where the server is.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
    /// Host and port as the URL has them.
    pub(super) authority: String,
    pub(super) is_secure: bool,
}

impl Endpoint {
    /// Whether nobody on the way can read what is sent: TLS, or this machine.
    pub(super) fn is_private(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.is_secure || self.host == "localhost" || address.is_ok_and(|ip| ip.is_loopback())
    }
}

/// A request without a body.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    /// As it is sent: percent-encoded.
    pub(super) path: String,
    /// Not encoded.
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) headers: HeaderMap,
    /// Goes to the end of the query as it is.
    pub(super) signature: Option<Secret>,
}

impl Request {
    pub(super) fn new(method: Method, path: String) -> Self {
        Self {
            method,
            path,
            query: Vec::new(),
            headers: HeaderMap::new(),
            signature: None,
        }
    }

    pub(super) fn set(&mut self, name: HeaderName, value: &str) -> Result<(), BlobError> {
        let value = HeaderValue::from_str(value).map_err(|_| BlobError::Malformed {
            part: "owner or offset",
            expected: "a text that a header can hold: visible ASCII",
        })?;
        self.headers.insert(name, value);
        Ok(())
    }

    fn target(&self) -> String {
        let pairs = self.query.iter();
        let pairs = pairs.map(|(name, value)| format!("{name}={}", percent::encode(value)));
        let signature = self
            .signature
            .iter()
            .map(|secret| secret.expose().to_owned());
        let query: Vec<_> = pairs.chain(signature).collect();
        match query.is_empty() {
            true => self.path.clone(),
            false => format!("{}?{}", self.path, query.join("&")),
        }
    }
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    /// How long the server wants to be left alone.
    pub(super) fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let text = self.header(RETRY_AFTER.as_str());
        match text.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => {
                let at = httpdate::parse_http_date(text).ok()?;
                Some(at.duration_since(now).unwrap_or_default())
            }
        }
    }
}

type Connection = SendRequest<Empty<Bytes>>;

/// The connections to one server.
pub(super) struct HttpClient {
    endpoint: Endpoint,
    tls: Option<TlsConfig>,
    proxy: Option<Proxy>,
    /// For each request with its answer, and for connecting where that is needed.
    limit: Duration,
    idle: Mutex<Vec<(Instant, Connection)>>,
}

impl HttpClient {
    pub(super) fn new(endpoint: Endpoint, options: &BlobCheckpointStoreOptions) -> Self {
        let is_for_it = |proxy: &&Proxy| proxy.is_for(&endpoint.host);
        Self {
            tls: options.tls.clone(),
            proxy: options.proxy.as_ref().filter(is_for_it).cloned(),
            limit: options.retry.try_timeout,
            endpoint,
            idle: Mutex::default(),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends a request and reads the answer. Dropped, the connection is given up with it.
    pub(super) async fn send(&self, request: &Request) -> Result<Reply, BlobError> {
        let exchange = timeout(self.limit, self.exchange(request));
        exchange.await.unwrap_or_else(|_| {
            // What is idle is probably dead as well.
            lock(&self.idle).clear();
            Err(BlobError::Timeout(self.limit))
        })
    }

    async fn exchange(&self, request: &Request) -> Result<Reply, BlobError> {
        let mut builder = hyper::Request::builder()
            .method(request.method.clone())
            .uri(request.target())
            .header(HOST, &self.endpoint.authority);
        if request.method == Method::PUT {
            builder = builder.header(CONTENT_LENGTH, 0);
        }
        let mut message = builder
            .body(Empty::new())
            .map_err(|_| BlobError::Malformed {
                part: "container URL",
                expected: "a URL that can be sent",
            })?;
        message.headers_mut().extend(request.headers.clone());

        let broken = |error| BlobError::Exchange(Arc::new(error));
        let mut connection = self.connection().await?;
        let reply = connection.send_request(message).await.map_err(broken)?;
        let (head, body) = reply.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => broken(*error),
            Err(_) => BlobError::Answer(format!("it has more than {MAX_BODY} octets")),
        })?;
        self.keep(connection);
        Ok(Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.to_bytes(),
        })
    }

    /// A connection that waits for a request: a kept one if it still lives.
    async fn connection(&self) -> Result<Connection, BlobError> {
        loop {
            let kept = lock(&self.idle).pop();
            match kept {
                None => return self.connect().await,
                Some((since, mut connection)) if since.elapsed() < MAX_IDLE_TIME => {
                    if connection.ready().await.is_ok() {
                        return Ok(connection);
                    }
                }
                Some(_) => {}
            }
        }
    }

    fn keep(&self, connection: Connection) {
        let mut idle = lock(&self.idle);
        if idle.len() < MAX_IDLE && !connection.is_closed() {
            idle.push((Instant::now(), connection));
        }
    }

    async fn connect(&self) -> Result<Connection, BlobError> {
        let Endpoint {
            host,
            port,
            is_secure,
            ..
        } = &self.endpoint;
        let deadline = Deadline::after(self.limit);
        let mut stream: Box<dyn Stream> = match &self.proxy {
            Some(proxy) => proxy::connect(proxy, host, *port, None, deadline).await?,
            None => Box::new(tcp::connect(host, *port, None, deadline).await?),
        };
        if *is_secure {
            let secured = tls::connect(stream, host, self.tls.as_ref()).await;
            stream = secured.map_err(|error| ConnectError::Tls {
                peer: host.clone(),
                error,
            })?;
        }
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| BlobError::Exchange(Arc::new(error)))?;
        // It ends when its sender is dropped, or the server closes it.
        tokio::spawn(connection);
        Ok(sender)
    }
}
