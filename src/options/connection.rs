//! What a connection says in its open, how it gets there, and how long it waits.

use std::time::Duration;

use super::websocket::WebSocketOptions;
use super::{Proxy, SessionOptions};
use crate::codec::{Fields, Layout, Open, Symbol};
use crate::engine::Limits;
use crate::error::ConnectError;
use crate::sasl::Credentials;
use crate::transport::tls::TlsConfig;
use crate::url::Url;

/// Options of a connection, for both roles; a listener ignores those that are marked "client only" and has its own in
/// [`ListenerOptions`](crate::ListenerOptions).
///
/// ```
/// # use amqp10::{ConnectionOptions, Credentials};
/// let options = ConnectionOptions::default()
///     .container_id("billing-7")
///     .credentials(Credentials::plain("alice", "secret"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionOptions {
    /// Our container's name in the open [2.7.1]. Default: a random UUID, made anew for each `default()`.
    pub container_id: String,
    /// The virtual host in the open and in SASL [2.7.1]. Default `None`: the host of the URL.
    pub hostname: Option<String>,
    /// The largest frame that we accept, in octets, at least 512 [2.7.1]. Default 65 536.
    pub max_frame_size: u32,
    /// The highest channel number that we accept, so sessions minus one [2.7.1]. Default 255.
    pub channel_max: u16,
    /// How long we tolerate silence of the peer [2.4.5]; what is announced is half of it. `None`: for ever. Default 60 s.
    pub idle_time_out: Option<Duration>,
    /// Extensions that we support [2.7.1]. Default none.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that we would use if the peer supports them [2.7.1]. Default none.
    pub desired_capabilities: Vec<Symbol>,
    /// Those of the desired extensions without which the connection is of no use: it is closed if the peer does not offer them.
    pub required_capabilities: Vec<Symbol>,
    /// What our open tells about us: `product`, `version` and the like [2.7.1]. Default empty.
    pub properties: Fields,
    /// Client only. As whom to log in. A user and password in the URL take precedence. Default [`Credentials::Anonymous`].
    pub credentials: Credentials,
    /// Client only. Allows to send a password over a stream that is not TLS of ours. Default `false`.
    ///
    /// Needed also for a stream that the caller opened and protects by other means: this crate cannot see how.
    pub allow_plain_without_tls: bool,
    /// Client only. How TLS is done. Default `None`: [`TlsConfig::default`] for `amqps` and `wss` URLs.
    pub tls: Option<TlsConfig>,
    /// Client only. How many times [`Connection::open`](crate::Connection::open) goes where a peer sends it that refuses the
    /// connection by `amqp:connection:redirect`. The credentials go along, TLS stays on if it was, and
    /// `connect_timeout` begins anew. Default 0: such a refusal is an error, with [`ConnectError::redirect`].
    pub follow_redirects: u32,
    /// Client only. For `ws` and `wss` URLs: how the WebSocket is opened.
    pub websocket: WebSocketOptions,
    /// Client only. The HTTP proxy to go through. Default `None`; the environment is not looked at, but see
    /// [`Proxy::from_env`].
    pub proxy: Option<Proxy>,
    /// Client only. For `amqp` URLs: negotiates TLS in-band, by the AMQP protocol header with id 2 [5.2], before anything else
    /// is said. The connection fails if the server does not agree. Default `false`.
    pub tls_upgrade: bool,
    /// Time without traffic after which TCP itself probes the peer. Default `None`: off, as AMQP has its idle time-out.
    pub tcp_keep_alive: Option<Duration>,
    /// How composites are written. [`Layout::Full`] is for peers that index fields by position. Default [`Layout::Short`].
    pub layout: Layout,
    /// Client only. The deadline of connecting: name lookup, TCP, proxy, TLS, WebSocket, SASL and the exchange of opens
    /// together. Default 30 s.
    pub connect_timeout: Duration,
    /// The limit of one begin, attach, detach, end or close. Default 10 s.
    pub operation_timeout: Duration,
    /// What we say where the peer begins a session: with a listener, every session of a client's. Sessions of our own have theirs
    /// from [`Connection::begin`](crate::Connection::begin).
    pub incoming_sessions: SessionOptions,
    /// Bounds on what the peer can make us keep.
    pub limits: Limits,
}

impl Default for ConnectionOptions {
    fn default() -> ConnectionOptions {
        ConnectionOptions {
            container_id: uuid::Uuid::new_v4().to_string(),
            hostname: None,
            max_frame_size: 65_536,
            channel_max: 255,
            idle_time_out: Some(Duration::from_secs(60)),
            offered_capabilities: Vec::new(),
            desired_capabilities: Vec::new(),
            required_capabilities: Vec::new(),
            properties: Fields::default(),
            credentials: Credentials::default(),
            allow_plain_without_tls: false,
            tls: None,
            follow_redirects: 0,
            websocket: WebSocketOptions::default(),
            proxy: None,
            tls_upgrade: false,
            tcp_keep_alive: None,
            layout: Layout::Short,
            connect_timeout: Duration::from_secs(30),
            operation_timeout: Duration::from_secs(10),
            incoming_sessions: SessionOptions::default(),
            limits: Limits::default(),
        }
    }
}

impl ConnectionOptions {
    /// Sets [`container_id`](Self::container_id).
    pub fn container_id(mut self, container_id: impl Into<String>) -> Self {
        self.container_id = container_id.into();
        self
    }

    /// Sets [`hostname`](Self::hostname).
    pub fn hostname(mut self, hostname: impl Into<String>) -> Self {
        self.hostname = Some(hostname.into());
        self
    }

    /// Sets [`max_frame_size`](Self::max_frame_size), in octets.
    pub fn max_frame_size(mut self, octets: u32) -> Self {
        self.max_frame_size = octets;
        self
    }

    /// Sets [`channel_max`](Self::channel_max).
    pub fn channel_max(mut self, channel_max: u16) -> Self {
        self.channel_max = channel_max;
        self
    }

    /// Sets [`idle_time_out`](Self::idle_time_out).
    pub fn idle_time_out(mut self, idle_time_out: impl Into<Option<Duration>>) -> Self {
        self.idle_time_out = idle_time_out.into();
        self
    }

    /// Sets [`offered_capabilities`](Self::offered_capabilities).
    pub fn offered_capabilities(mut self, capabilities: impl IntoIterator<Item = Symbol>) -> Self {
        self.offered_capabilities = capabilities.into_iter().collect();
        self
    }

    /// Sets [`desired_capabilities`](Self::desired_capabilities).
    pub fn desired_capabilities(mut self, capabilities: impl IntoIterator<Item = Symbol>) -> Self {
        self.desired_capabilities = capabilities.into_iter().collect();
        self
    }

    /// Sets [`required_capabilities`](Self::required_capabilities): they are desired, too.
    pub fn required_capabilities(mut self, capabilities: impl IntoIterator<Item = Symbol>) -> Self {
        self.required_capabilities = capabilities.into_iter().collect();
        self
    }

    /// Sets [`properties`](Self::properties).
    pub fn properties(mut self, properties: Fields) -> Self {
        self.properties = properties;
        self
    }

    /// Sets [`credentials`](Self::credentials).
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Sets [`allow_plain_without_tls`](Self::allow_plain_without_tls).
    pub fn allow_plain_without_tls(mut self, allow: bool) -> Self {
        self.allow_plain_without_tls = allow;
        self
    }

    /// Sets [`tls`](Self::tls).
    pub fn tls(mut self, tls: impl Into<TlsConfig>) -> Self {
        self.tls = Some(tls.into());
        self
    }

    /// Sets [`follow_redirects`](Self::follow_redirects).
    pub fn follow_redirects(mut self, times: u32) -> Self {
        self.follow_redirects = times;
        self
    }

    /// Sets [`websocket`](Self::websocket).
    pub fn websocket(mut self, options: WebSocketOptions) -> Self {
        self.websocket = options;
        self
    }

    /// Sets [`proxy`](Self::proxy).
    pub fn proxy(mut self, proxy: impl Into<Option<Proxy>>) -> Self {
        self.proxy = proxy.into();
        self
    }

    /// Sets [`tls_upgrade`](Self::tls_upgrade).
    pub fn tls_upgrade(mut self, upgrade: bool) -> Self {
        self.tls_upgrade = upgrade;
        self
    }

    /// Sets [`tcp_keep_alive`](Self::tcp_keep_alive).
    pub fn tcp_keep_alive(mut self, idle: impl Into<Option<Duration>>) -> Self {
        self.tcp_keep_alive = idle.into();
        self
    }

    /// Sets [`layout`](Self::layout).
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Sets [`connect_timeout`](Self::connect_timeout).
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets [`operation_timeout`](Self::operation_timeout).
    pub fn operation_timeout(mut self, limit: Duration) -> Self {
        self.operation_timeout = limit;
        self
    }

    /// Sets [`incoming_sessions`](Self::incoming_sessions).
    pub fn incoming_sessions(mut self, options: SessionOptions) -> Self {
        self.incoming_sessions = options;
        self
    }

    /// Sets [`limits`](Self::limits).
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The open that these options make.
    pub(crate) fn to_open(&self) -> Open {
        let sessions = self.limits.max_sessions.saturating_sub(1);
        let half = self.idle_time_out.map(|tolerated| tolerated / 2); // C-012
        Open {
            container_id: self.container_id.as_str().into(),
            hostname: self.hostname.as_deref().map(Into::into),
            max_frame_size: self.max_frame_size,
            channel_max: self
                .channel_max
                .min(u16::try_from(sessions).unwrap_or(u16::MAX)),
            idle_time_out: half.map(|half| u32::try_from(half.as_millis()).unwrap_or(u32::MAX)), // T-070
            offered_capabilities: self.offered_capabilities.clone(),
            desired_capabilities: self.all_desired(),
            properties: self.properties.clone(),
            ..Open::default()
        }
    }

    /// Fills in what the URL says: its host where no hostname is set, its user and password.
    pub(crate) fn for_url(mut self, url: &Url) -> Self {
        self.hostname.get_or_insert_with(|| url.host().to_owned());
        if let (Some(username), Some(password)) = (url.username(), url.password()) {
            self.credentials = Credentials::plain(username, password);
        }
        self
    }

    fn all_desired(&self) -> Vec<Symbol> {
        let required = self.required_capabilities.iter();
        let desired = self.desired_capabilities.iter();
        let more = required.filter(|capability| !self.desired_capabilities.contains(capability));
        desired.chain(more).cloned().collect()
    }

    /// Whether the peer offers what we cannot do without (C-021).
    pub(crate) fn check_offered(&self, remote: &Open) -> Result<(), ConnectError> {
        let mut required = self.required_capabilities.iter();
        match required.find(|capability| !remote.offered_capabilities.contains(capability)) {
            Some(missing) => Err(ConnectError::MissingCapability(missing.clone())),
            None => Ok(()),
        }
    }

    /// Whether an extension may be used: we desired it and the peer offers it (C-022).
    pub(crate) fn may_use(&self, capability: &Symbol, remote: &Open) -> bool {
        self.all_desired().contains(capability) && remote.offered_capabilities.contains(capability)
    }
}
