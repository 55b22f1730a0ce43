//! What a client is told when it is made.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::auth::TokenSource;
use super::observer::ClientObserver;
use super::retry::RetryPolicy;
use super::trace_context::TraceContextSource;
use super::wire::{MAX_SESSIONS, WEBSOCKET_SUB_PROTOCOL};
use crate::websocket::WebSocketOptions;
use crate::{Clock, ConnectError, Connection, ConnectionOptions, Proxy, TlsConfig, Url};

/// Options of a [`Client`](super::Client).
///
/// ```
/// use amqp10::eventhubs::{ClientOptions, RetryPolicy};
///
/// let options = ClientOptions::default()
///     .hub("orders")
///     .application_id("billing")
///     .retry(RetryPolicy::default().max_retries(3));
/// # let _ = options;
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct ClientOptions {
    /// The hub, where the connection string names none. Where it does, both must agree. Default `None`.
    pub hub: Option<String>,
    /// Says to the service which application this is: part of the user agent. At most 64 characters count. Default
    /// `None`.
    pub application_id: Option<String>,
    /// Where tokens come from, in place of the connection string's key or signature. Default `None`.
    pub token_source: Option<Arc<dyn TokenSource>>,
    /// What AMQP travels in. Default [`Transport::Amqp`].
    pub transport: Transport,
    /// Where to connect in place of the namespace (`amqps://host:port`): a gateway, a private link. To the peer, the
    /// namespace is still called by its name, but a certificate must be for this host. A URL with `ws` or `wss` is reached
    /// by WebSocket, at its path if it has one. Default `None`.
    pub endpoint: Option<Url>,
    /// Makes connections in place of a TCP connection to the namespace. Default `None`.
    pub connector: Option<Connector>,
    /// Options of the connections: TLS, limits, time-outs. Hostname and properties are set by the client. What is left at
    /// its default is set as the service has it: 5000 sessions for as many links, and an idle time-out of two minutes.
    pub connection: ConnectionOptions,
    /// Over how many connections the links are spread, 1 to 256; what is beyond counts as the nearest. Each has its own task, so that more of them use more
    /// cores, and each its own authorizations. One is opened when the client is made, the others when there are links for
    /// them. Default 1.
    pub connections: usize,
    /// Is told what befalls the client. Default `None`.
    pub observer: Option<ClientObserver>,
    /// How failed operations are tried again.
    pub retry: RetryPolicy,
    /// What tells the time of day. Default: the system's clock.
    pub clock: Clock,
    /// Says which trace the events belong to that are published without a context of their own; see [`TraceContext`].
    /// Default `None`: such events carry none.
    ///
    /// [`TraceContext`]: super::TraceContext
    pub trace_context: Option<TraceContextSource>,
    /// The seed of the chance in pauses, for runs that can be repeated. Default `None`: a random one.
    pub seed: Option<u64>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            hub: None,
            application_id: None,
            token_source: None,
            transport: Transport::default(),
            endpoint: None,
            connector: None,
            connection: ConnectionOptions::default()
                .websocket(WebSocketOptions::default().sub_protocols([WEBSOCKET_SUB_PROTOCOL])),
            connections: 1,
            observer: None,
            retry: RetryPolicy::default(),
            clock: Clock::default(),
            trace_context: None,
            seed: None,
        }
    }
}

impl ClientOptions {
    /// Sets [`hub`](Self::hub).
    pub fn hub(mut self, hub: impl Into<String>) -> Self {
        self.hub = Some(hub.into());
        self
    }

    /// Sets [`application_id`](Self::application_id).
    pub fn application_id(mut self, id: impl Into<String>) -> Self {
        self.application_id = Some(id.into());
        self
    }

    /// Sets [`token_source`](Self::token_source).
    pub fn token_source(mut self, source: impl TokenSource + 'static) -> Self {
        self.token_source = Some(Arc::new(source));
        self
    }

    /// Sets [`transport`](Self::transport).
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Sets the HTTP proxy in [`connection`](Self::connection).
    pub fn proxy(mut self, proxy: impl Into<Option<Proxy>>) -> Self {
        self.connection.proxy = proxy.into();
        self
    }

    /// Sets how TLS is done, in [`connection`](Self::connection): with roots of the caller's own, for example.
    pub fn tls(mut self, tls: impl Into<TlsConfig>) -> Self {
        self.connection.tls = Some(tls.into());
        self
    }

    /// Sets [`endpoint`](Self::endpoint).
    pub fn endpoint(mut self, url: Url) -> Self {
        self.endpoint = Some(url);
        self
    }

    /// Sets [`connector`](Self::connector).
    pub fn connector(mut self, connector: Connector) -> Self {
        self.connector = Some(connector);
        self
    }

    /// Sets [`connection`](Self::connection).
    pub fn connection(mut self, options: ConnectionOptions) -> Self {
        self.connection = options;
        self
    }

    /// Sets [`connections`](Self::connections).
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Sets [`observer`](Self::observer).
    pub fn observer(mut self, observer: ClientObserver) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Sets [`retry`](Self::retry).
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets [`clock`](Self::clock).
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets [`trace_context`](Self::trace_context).
    pub fn trace_context(mut self, source: TraceContextSource) -> Self {
        self.trace_context = Some(source);
        self
    }

    /// Sets [`seed`](Self::seed).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The options of connection `number`: what the caller left alone is set as the service has it.
    pub(super) fn connection_options(&self, number: usize) -> ConnectionOptions {
        let untouched = ConnectionOptions::default();
        let mut options = self.connection.clone();
        // A session per link, so that links do not wait for one another.
        if options.channel_max == untouched.channel_max {
            options.channel_max = MAX_SESSIONS - 1;
        }
        if options.limits.max_sessions == untouched.limits.max_sessions {
            options.limits.max_sessions = MAX_SESSIONS.into();
        }
        // What is announced is half of it: the minute that Microsoft's clients announce.
        if options.idle_time_out == untouched.idle_time_out {
            options.idle_time_out = Some(Duration::from_secs(120));
        }
        if number > 0 {
            options.container_id = format!("{}-{number}", options.container_id);
        }
        options
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("hub", &self.hub)
            .field("application_id", &self.application_id)
            .field("transport", &self.transport)
            .field("endpoint", &self.endpoint)
            .field("connection", &self.connection)
            .field("connections", &self.connections)
            .field("retry", &self.retry)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// What AMQP travels in, from a client to the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// TLS, on port 5671.
    #[default]
    Amqp,
    /// WebSocket within TLS, on port 443: for networks that let nothing else through. Needs the feature `websocket`.
    ///
    /// Where the connection string says that it is an emulator's: WebSocket without TLS, on port 80 unless it names another.
    WebSocket,
}

/// The future that a [`Connector`] returns.
type ConnectFuture = Pin<Box<dyn Future<Output = Result<Connection, ConnectError>> + Send>>;

/// Opens connections by other means than TCP: over a pipe in memory, through a proxy, in a simulation.
///
/// ```no_run
/// use amqp10::eventhubs::{ClientOptions, Connector};
/// use amqp10::Connection;
///
/// let connector = Connector::new(|options| async move {
///     let stream = tokio::net::TcpStream::connect("proxy:5671").await.expect("the proxy is there");
///     Connection::open_with_stream(stream, options).await
/// });
/// let options = ClientOptions::default().connector(connector);
/// # let _ = options;
/// ```
#[derive(Clone)]
pub struct Connector(Arc<dyn Fn(ConnectionOptions) -> ConnectFuture + Send + Sync>);

impl Connector {
    /// Calls `connect` for each connection, with the options that it must be opened with.
    pub fn new<F, R>(connect: F) -> Self
    where
        F: Fn(ConnectionOptions) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Connection, ConnectError>> + Send + 'static,
    {
        Self(Arc::new(move |options| Box::pin(connect(options))))
    }

    /// Connects over the streams that `open` returns, without TLS: those of an emulator within the process, say.
    ///
    /// ```
    /// use amqp10::eventhubs::Connector;
    ///
    /// let (ours, theirs) = amqp10::memory::pipe(4096);
    /// # drop(theirs);
    /// let ours = std::sync::Mutex::new(Some(ours));
    /// let connector = Connector::streams(move || ours.lock().unwrap().take().expect("one connection is enough"));
    /// # let _ = connector;
    /// ```
    pub fn streams<F, S>(open: F) -> Self
    where
        F: Fn() -> S + Send + Sync + 'static,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::new(move |options| Connection::open_with_stream(open(), options))
    }

    pub(super) fn connect(&self, options: ConnectionOptions) -> ConnectFuture {
        (self.0)(options)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_carries_five_thousand_sessions_whatever_else_is_set() {
        let other = ConnectionOptions::default().connect_timeout(Duration::from_secs(5));
        for connection in [ConnectionOptions::default(), other] {
            let options = ClientOptions::default().connection(connection);
            let open = options.connection_options(0).to_open();
            assert_eq!(open.channel_max, 4999);
            assert_eq!(open.idle_time_out, Some(60_000));
        }
        let few = ConnectionOptions::default().channel_max(9);
        let options = ClientOptions::default().connection(few);
        assert_eq!(options.connection_options(0).to_open().channel_max, 9);
    }

    #[test]
    fn connections_have_names_of_their_own() {
        let options = ClientOptions::default();
        let name = |number| options.connection_options(number).container_id;
        assert_eq!(name(0), options.connection.container_id);
        assert_ne!(name(1), name(2));
    }

    #[test]
    fn debug_hides_the_password_of_an_endpoint() {
        let endpoint = "amqps://alice:hush@proxy:5671".parse().unwrap();
        let shown = format!("{:?}", ClientOptions::default().endpoint(endpoint));
        assert!(
            shown.contains("proxy") && !shown.contains("hush"),
            "{shown}"
        );
    }
}
