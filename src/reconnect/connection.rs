//! The connection: opened anew in one place, for all links on it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::watch;

use super::{ReconnectError, ReconnectOptions, ReconnectingReceiver, ReconnectingSender};
use crate::codec::Str;
use crate::connection::ConnectionHandle;
use crate::error::Stage;
use crate::lock::lock;
use crate::random::Random;
use crate::single_flight::SingleFlight;
use crate::{
    ConnectError, Connection, ConnectionError, ConnectionOptions, LinkError, ReceiverOptions,
    SenderOptions, Session, SessionOptions, Url,
};

type ConnectFuture = Pin<Box<dyn Future<Output = Result<Connection, ConnectError>> + Send>>;
type Connect = Box<dyn Fn() -> ConnectFuture + Send + Sync>;

/// A connection that is opened anew when it was lost, with one session for all of its links.
///
/// Clones share it. A lost connection is opened by the next operation on one of its links, in a task of its own: an operation
/// that is dropped, or not polled, holds up no other.
#[derive(Clone)]
pub struct ReconnectingConnection {
    shared: Arc<Shared>,
}

struct Shared {
    connect: Connect,
    options: ReconnectOptions,
    random: Random,
    session: SingleFlight<Session, ReconnectError>,
    /// All that were opened here and are held: the current one, and those that were left while other links go on there.
    opened: Mutex<Vec<Weak<ConnectionHandle>>>,
    is_closed: watch::Sender<bool>,
}

impl ReconnectingConnection {
    /// Opens a connection to the URL as [`Connection::open`] does, with one attempt, so that a wrong address shows at once.
    ///
    /// # Errors
    ///
    /// As [`Connection::open`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the connection is closed.
    pub async fn open(
        url: &str,
        connection: ConnectionOptions,
        options: ReconnectOptions,
    ) -> Result<Self, ReconnectError> {
        let url = Url::parse(url).map_err(ConnectError::from)?;
        let connect = move || {
            let (url, connection) = (url.clone(), connection.clone());
            async move { Connection::open_url(&url, connection).await }
        };
        Self::open_with(connect, options).await
    }

    /// As [`open`](Self::open), with connections that `connect` opens: through a tunnel, over a pipe, to one of several hosts.
    ///
    /// # Errors
    ///
    /// What `connect` returns the first time.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the connection is closed.
    pub async fn open_with<F, R>(
        connect: F,
        options: ReconnectOptions,
    ) -> Result<Self, ReconnectError>
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Connection, ConnectError>> + Send + 'static,
    {
        let shared = Shared {
            connect: Box::new(move || Box::pin(connect())),
            random: Random::new(options.seed),
            // Links that failed together try again together, and one attempt is enough for them.
            session: SingleFlight::new(options.first_delay / 2),
            options,
            opened: Mutex::default(),
            is_closed: watch::Sender::new(false),
        };
        let connection = Self {
            shared: Arc::new(shared),
        };
        connection.session().await?;
        Ok(connection)
    }

    /// A link on which this side sends. It is attached when it is first used. A link without a name gets one, which it keeps.
    pub fn sender(&self, address: impl Into<Str>, options: SenderOptions) -> ReconnectingSender {
        ReconnectingSender::new(self.clone(), address.into(), options)
    }

    /// A link on which this side receives. It is attached when it is first used. A link without a name gets one, which it
    /// keeps.
    pub fn receiver(
        &self,
        address: impl Into<Str>,
        options: ReceiverOptions,
    ) -> ReconnectingReceiver {
        ReconnectingReceiver::new(self.clone(), address.into(), options)
    }

    /// Whether it was closed by this side. That it is lost at the moment does not show: it comes back.
    pub fn is_closed(&self) -> bool {
        *self.shared.is_closed.borrow()
    }

    /// Closes the connection, also one that is being opened; nothing opens it again. What waits on its links fails at once. Waits
    /// for the peer's close, at most `operation_timeout`.
    ///
    /// # Errors
    ///
    /// If it ends with an error, or the peer does not answer. It is closed all the same.
    ///
    /// # Cancel safety
    ///
    /// The close is sent in any case.
    pub async fn close(&self) -> Result<(), ConnectionError> {
        self.shared.is_closed.send_replace(true);
        // In tasks, so that all are closed whoever stops waiting for that.
        let living = self.shared.living().into_iter();
        let closing =
            living.map(|connection| tokio::spawn(async move { connection.close().await }));
        let mut result = Ok(());
        for closed in closing.collect::<Vec<_>>() {
            // A task that panicked has told so by itself.
            result = result.and(closed.await.unwrap_or(Ok(())));
        }
        result
    }

    pub(super) fn options(&self) -> &ReconnectOptions {
        &self.shared.options
    }

    pub(super) fn random(&self) -> u64 {
        self.shared.random.next()
    }

    /// Says when this side has closed it.
    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.shared.is_closed.subscribe()
    }

    /// Leaves a connection that does not answer. Links on it that work go on.
    pub(super) fn give_up(&self, dead: &Session) {
        self.shared.session.discard(|session| *session == *dead);
    }

    /// The session that lives, on a connection that is opened if none does: one attempt.
    pub(super) async fn session(&self) -> Result<Session, ReconnectError> {
        let open = |_| {
            let shared = self.shared.clone();
            async move {
                let mut is_closed = shared.is_closed.subscribe();
                tokio::select! {
                    biased;
                    _ = is_closed.wait_for(|is_closed| *is_closed) => Err(ReconnectError::Closed),
                    opened = shared.open() => opened,
                }
            }
        };
        self.shared
            .session
            .get(|session| !session.is_ended(), open)
            .await
    }
}

impl Shared {
    async fn open(&self) -> Result<Session, ReconnectError> {
        let limit = self.options.attempt_timeout;
        let connecting = tokio::time::timeout(limit, (self.connect)());
        let connection = connecting.await.map_err(|_| ConnectError::Timeout {
            stage: Stage::Open,
            limit,
        })??;
        lock(&self.opened).push(Arc::downgrade(&connection.handle));
        // Who closes has either seen this one, or is seen here.
        if *self.is_closed.borrow() {
            return Err(ReconnectError::Closed);
        }
        let begun = connection.begin(SessionOptions::default()).await;
        let session = begun.map_err(LinkError::from)?;
        tracing::info!("connected");
        Ok(session)
    }

    fn living(&self) -> Vec<Connection> {
        let mut opened = lock(&self.opened);
        opened.retain(|handle| handle.strong_count() > 0);
        let handles = opened.iter().filter_map(Weak::upgrade);
        handles
            .map(|handle| Connection { handle })
            .filter(|connection| !connection.is_closed())
            .collect()
    }
}

impl fmt::Debug for ReconnectingConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingConnection")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}
