//! The connection: opened anew in one place, for all links on it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;

use super::{ReconnectError, ReconnectOptions, ReconnectingReceiver, ReconnectingSender};
use crate::codec::Str;
use crate::random::Random;
use crate::{
    ConnectError, Connection, ConnectionError, ConnectionOptions, LinkError, ReceiverOptions,
    SendError, SenderOptions, Session, SessionOptions, Stage, Url,
};

type ConnectFuture = Pin<Box<dyn Future<Output = Result<Connection, ConnectError>> + Send>>;
type Connect = Box<dyn Fn() -> ConnectFuture + Send + Sync>;

/// A connection that is opened anew when it was lost, with one session for all of its links.
///
/// Clones share it. Nothing runs in the background: it is opened by the next operation on one of its links.
#[derive(Clone)]
pub struct ReconnectingConnection {
    shared: Arc<Shared>,
}

struct Shared {
    connect: Connect,
    options: ReconnectOptions,
    random: Random,
    /// Held while it is opened, so that it is opened once.
    session: Mutex<Option<Session>>,
    is_closed: AtomicBool,
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

    /// The same with connections that `connect` opens: through a tunnel, over a pipe, to one of several hosts.
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
        let random = Random::new(options.seed);
        let connection = Self {
            shared: Arc::new(Shared {
                connect: Box::new(move || Box::pin(connect())),
                options,
                random,
                session: Mutex::default(),
                is_closed: AtomicBool::new(false),
            }),
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

    /// Closes the connection; nothing opens it again.
    ///
    /// # Errors
    ///
    /// If it had ended with an error, or the peer does not answer. It is closed all the same.
    ///
    /// # Cancel safety
    ///
    /// The close is sent in any case.
    pub async fn close(&self) -> Result<(), ConnectionError> {
        self.shared.is_closed.store(true, Ordering::Release);
        match self.shared.session.lock().await.take() {
            Some(session) => session.connection().close().await,
            None => Ok(()),
        }
    }

    pub(super) fn options(&self) -> &ReconnectOptions {
        &self.shared.options
    }

    /// Waits before the next attempt. `Err` gives the error back: there were enough, or none can help.
    pub(super) async fn pause(
        &self,
        attempt: u32,
        error: ReconnectError,
    ) -> Result<(), ReconnectError> {
        let may_pass = match &error {
            // What was to be sent again is sent on the next attachment.
            ReconnectError::Send(SendError::NotSent(error) | SendError::Unknown(error)) => {
                error.is_retryable()
            }
            error => error.is_retryable(),
        };
        let random = self.shared.random.next();
        let Some(pause) = self.options().pause(attempt, random).filter(|_| may_pass) else {
            return Err(error);
        };
        tracing::warn!(%error, ?pause, "will connect or attach again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Leaves a connection that does not answer.
    pub(super) async fn give_up(&self, dead: &Session) {
        let mut slot = self.shared.session.lock().await;
        slot.take_if(|session| *session == *dead);
    }

    /// The session that lives, on a connection that is opened if none does: one attempt.
    pub(super) async fn session(&self) -> Result<Session, ReconnectError> {
        let mut slot = self.shared.session.lock().await;
        if self.shared.is_closed.load(Ordering::Acquire) {
            return Err(ReconnectError::Closed);
        }
        if let Some(session) = slot.as_ref().filter(|session| !session.is_ended()) {
            return Ok(session.clone());
        }
        *slot = None;
        let limit = self.options().attempt_timeout;
        let connecting = tokio::time::timeout(limit, (self.shared.connect)());
        let connection = connecting.await.map_err(|_| ConnectError::Timeout {
            stage: Stage::Open,
            limit,
        })??;
        let begun = connection.begin(SessionOptions::default()).await;
        let session = begun.map_err(LinkError::from)?;
        tracing::info!("connected");
        *slot = Some(session.clone());
        Ok(session)
    }
}

impl fmt::Debug for ReconnectingConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingConnection")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}
