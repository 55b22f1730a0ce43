//! Who is tested, and how to reach it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::case::{Need, Side};
use crate::transport::stream::Stream;
use crate::transport::tls::{self, TlsConfig, TlsServerConfig};

pub(super) type BoxStream = Box<dyn Stream>;
type Connecting = Pin<Box<dyn Future<Output = io::Result<BoxStream>> + Send>>;

/// The peer that is tested: a listener to connect to, or clients that connect to this program.
#[derive(Clone)]
pub struct Target {
    pub(super) side: Side,
    pub(super) node: String,
    pub(super) login: Option<Login>,
    pub(super) lacks: Vec<Need>,
    connect: Arc<dyn Fn() -> Connecting + Send + Sync>,
    /// Whether the listener was seen to insist on a SASL layer.
    wants_sasl: Arc<AtomicBool>,
}

/// User and password, for SASL PLAIN.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

impl Target {
    /// A listener at this host and port.
    pub fn listener(host: impl Into<String>, port: u16) -> Self {
        let host: String = host.into();
        Self::listener_by(move || {
            let host = host.clone();
            async move { dial(&host, port).await }
        })
    }

    /// A listener that speaks TLS from the first octet, with a certificate for `host` that `config` trusts.
    pub fn tls_listener(host: impl Into<String>, port: u16, config: TlsConfig) -> Self {
        let host: String = host.into();
        Self::listener_by(move || {
            let (host, config) = (host.clone(), config.clone());
            async move {
                let stream = Box::new(dial(&host, port).await?);
                let secured = tls::connect(stream, &host, Some(&config)).await;
                secured.map_err(io::Error::other)
            }
        })
    }

    /// A listener that is reached by a closure which gives one new connection at each call, such as one end of a
    /// [memory pipe](crate::memory).
    pub fn listener_by<S, F>(connect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: Future<Output = io::Result<S>> + Send + 'static,
    {
        Self::by(Side::Listener, connect)
    }

    /// Clients that connect to this address; gives the address too, for a port of 0.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing listens.
    pub async fn clients(address: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let listener = Arc::new(TcpListener::bind(address).await?);
        let address = listener.local_addr()?;
        let target = Self::clients_by(move || accept(Arc::clone(&listener)));
        Ok((target, address))
    }

    /// The same, for clients that speak TLS from the first octet.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing listens.
    pub async fn tls_clients(
        address: SocketAddr,
        config: TlsServerConfig,
    ) -> io::Result<(Self, SocketAddr)> {
        let listener = Arc::new(TcpListener::bind(address).await?);
        let address = listener.local_addr()?;
        let target = Self::clients_by(move || {
            let (listener, config) = (Arc::clone(&listener), config.clone());
            async move {
                let stream = Box::new(accept(listener).await?);
                let secured = tls::accept(stream, Some(&config)).await;
                secured.map(|(stream, _)| stream).map_err(io::Error::other)
            }
        });
        Ok((target, address))
    }

    /// Clients of which a closure gives the next connection at each call.
    pub fn clients_by<S, F>(accept: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: Future<Output = io::Result<S>> + Send + 'static,
    {
        Self::by(Side::Client, accept)
    }

    fn by<S, F>(side: Side, connect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: Future<Output = io::Result<S>> + Send + 'static,
    {
        let connect = move || -> Connecting {
            let connecting = connect();
            Box::pin(async move { Ok(Box::new(connecting.await?) as BoxStream) })
        };
        Self {
            side,
            node: "conform".to_owned(),
            login: None,
            lacks: Vec::new(),
            connect: Arc::new(connect),
            wants_sasl: Arc::default(),
        }
    }

    /// The address of the node that links are attached to; `conform` unless it is set.
    pub fn node(mut self, address: impl Into<String>) -> Self {
        self.node = address.into();
        self
    }

    /// Logs in to a listener by SASL PLAIN. Without this there is no SASL layer, or ANONYMOUS where a listener insists.
    pub fn login(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.login = Some(Login {
            user: user.into(),
            password: password.into(),
        });
        self
    }

    /// What the peer does not do or have: cases that need it are skipped without waiting for it.
    pub fn without(mut self, needs: impl IntoIterator<Item = Need>) -> Self {
        self.lacks.extend(needs);
        self
    }

    /// Who is tested.
    pub fn side(&self) -> Side {
        self.side
    }

    pub(super) async fn connect(&self) -> io::Result<BoxStream> {
        (self.connect)().await
    }

    pub(super) fn wants_sasl(&self) -> bool {
        self.login.is_some() || self.wants_sasl.load(Ordering::Relaxed)
    }

    /// The listener answered with the SASL header: from now on it gets one.
    pub(super) fn insists_on_sasl(&self) {
        self.wants_sasl.store(true, Ordering::Relaxed);
    }
}

/// How often, and after which pauses, a connection is tried that is refused: a listener that a case has ended may be started
/// again by whoever looks after it.
const DIALS: u32 = 20;
const DIAL_PAUSE: Duration = Duration::from_millis(100);

async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut left = DIALS;
    let stream = loop {
        match TcpStream::connect((host, port)).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && left > 0 => {
                left -= 1;
                tokio::time::sleep(DIAL_PAUSE).await;
            }
            connected => break connected?,
        }
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn accept(listener: Arc<TcpListener>) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("side", &self.side)
            .field("node", &self.node)
            .field("has_login", &self.login.is_some())
            .finish_non_exhaustive()
    }
}
