//! Whom a listener lets in, and how.

use std::sync::Arc;
use std::time::Duration;

use super::ConnectionOptions;
use super::websocket::WebSocketServerOptions;
use crate::sasl::{AllowEveryone, Authenticator, SaslMechanism, SaslServerMechanism};
use crate::transport::tls::TlsServerConfig;

/// Options of a listener. The default listens without TLS and lets everyone in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenerOptions {
    /// What our open says to each client, the layout we write and the limits of each connection.
    pub connection: ConnectionOptions,
    /// Our certificate. With it the port takes TLS from the first byte [5.2.1] and in-band by the AMQP protocol header with
    /// id 2 [5.2]; which one a client speaks is seen from its first byte. Default `None`: no TLS.
    pub tls: Option<TlsServerConfig>,
    /// With [`tls`](Self::tls): clients that do not use it are refused. Default `true`.
    pub require_tls: bool,
    /// Takes WebSockets too, on the same port; with [`tls`](Self::tls), within TLS. Needs the feature `websocket`. Default
    /// `None`: HTTP is refused.
    pub websocket: Option<WebSocketServerOptions>,
    /// How clients log in.
    pub sasl: SaslServerOptions,
    /// The deadline of one client for TLS, WebSocket, SASL and its open together. Default 10 s.
    pub handshake_timeout: Duration,
    /// Handshakes that run at once; further clients wait in the system's backlog, and a handshake that others wait for has a
    /// tenth of [`handshake_timeout`](Self::handshake_timeout). Default 256, of some 16 KiB each, and 64 KiB with TLS.
    pub max_handshakes: usize,
}

impl Default for ListenerOptions {
    fn default() -> ListenerOptions {
        ListenerOptions {
            connection: ConnectionOptions::default(),
            tls: None,
            require_tls: true,
            websocket: None,
            sasl: SaslServerOptions::default(),
            handshake_timeout: Duration::from_secs(10), // V-013
            max_handshakes: 256,
        }
    }
}

impl ListenerOptions {
    /// Sets [`connection`](Self::connection).
    pub fn connection(mut self, connection: ConnectionOptions) -> Self {
        self.connection = connection;
        self
    }

    /// Sets [`tls`](Self::tls).
    pub fn tls(mut self, tls: impl Into<TlsServerConfig>) -> Self {
        self.tls = Some(tls.into());
        self
    }

    /// Sets [`require_tls`](Self::require_tls).
    pub fn require_tls(mut self, require: bool) -> Self {
        self.require_tls = require;
        self
    }

    /// Sets [`websocket`](Self::websocket).
    pub fn websocket(mut self, options: WebSocketServerOptions) -> Self {
        self.websocket = Some(options);
        self
    }

    /// Sets [`sasl`](Self::sasl).
    pub fn sasl(mut self, sasl: SaslServerOptions) -> Self {
        self.sasl = sasl;
        self
    }

    /// Sets [`handshake_timeout`](Self::handshake_timeout).
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.handshake_timeout = limit;
        self
    }

    /// Sets [`max_handshakes`](Self::max_handshakes).
    pub fn max_handshakes(mut self, count: usize) -> Self {
        self.max_handshakes = count;
        self
    }
}

/// How clients log in to a listener.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SaslServerOptions {
    /// The mechanisms offered, the preferred one first [5.3.3.1]. Default ANONYMOUS alone. Empty, and no
    /// [`custom_mechanisms`](Self::custom_mechanisms) either: there is no SASL layer.
    pub mechanisms: Vec<SaslMechanism>,
    /// Mechanisms of the application, offered before the others. Default none.
    pub custom_mechanisms: Vec<Arc<dyn SaslServerMechanism>>,
    /// Who decides whether a client may enter. Default [`AllowEveryone`].
    pub authenticator: Arc<dyn Authenticator>,
    /// Refuses clients that skip SASL. Default `true`.
    pub require: bool,
    /// The largest SASL frame accepted, in octets. The standard says 512 [5.3.1]; tokens are longer. Default 65 536.
    pub max_frame_size: u32,
}

impl Default for SaslServerOptions {
    fn default() -> SaslServerOptions {
        SaslServerOptions {
            mechanisms: vec![SaslMechanism::Anonymous],
            custom_mechanisms: Vec::new(),
            authenticator: Arc::new(AllowEveryone),
            require: true,
            max_frame_size: 65_536,
        }
    }
}

impl SaslServerOptions {
    /// Whether there is anything to offer.
    pub(crate) fn is_empty(&self) -> bool {
        self.mechanisms.is_empty() && self.custom_mechanisms.is_empty()
    }

    /// Sets [`mechanisms`](Self::mechanisms).
    pub fn mechanisms(mut self, mechanisms: impl IntoIterator<Item = SaslMechanism>) -> Self {
        self.mechanisms = mechanisms.into_iter().collect();
        self
    }

    /// Adds one to [`custom_mechanisms`](Self::custom_mechanisms).
    pub fn custom_mechanism(mut self, mechanism: impl SaslServerMechanism) -> Self {
        self.custom_mechanisms.push(Arc::new(mechanism));
        self
    }

    /// Sets [`authenticator`](Self::authenticator).
    pub fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = Arc::new(authenticator);
        self
    }

    /// Sets [`require`](Self::require).
    pub fn require(mut self, require: bool) -> Self {
        self.require = require;
        self
    }

    /// Sets [`max_frame_size`](Self::max_frame_size), in octets.
    pub fn max_frame_size(mut self, octets: u32) -> Self {
        self.max_frame_size = octets;
        self
    }
}
