//! What befalls a client: told to the log, and to whoever observes it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::error::EventHubsError;
use super::wire::Address;

/// Something that befell a client on its way to the service, and that it takes care of by itself.
///
/// Told to the [`ClientObserver`] of the client and to `tracing`. None of it needs an action; it says what goes on where an
/// operation takes longer than usual, and what will hurt soon if nobody looks after it
/// ([`TokenRenewalFailed`](Self::TokenRenewalFailed)).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientEvent {
    /// A connection was opened for the first time.
    #[non_exhaustive]
    Connected {
        /// Which of the client's [connections](super::ClientOptions::connections), from 0.
        connection: usize,
    },
    /// A connection was opened in place of one that was lost.
    #[non_exhaustive]
    Reconnected {
        /// Which of the client's connections, from 0.
        connection: usize,
    },
    /// A connection could not be opened.
    #[non_exhaustive]
    ConnectFailed {
        /// Which of the client's connections, from 0.
        connection: usize,
        /// Why.
        error: EventHubsError,
    },
    /// A connection has ended, or was given up because it did not answer. Told when the client notices.
    #[non_exhaustive]
    ConnectionLost {
        /// Which of the client's connections, from 0.
        connection: usize,
        /// How it ended.
        error: EventHubsError,
    },
    /// A link was attached.
    #[non_exhaustive]
    LinkAttached {
        /// To what.
        address: Address,
        /// On which of the client's connections, from 0.
        connection: usize,
    },
    /// A link has ended without our doing, or was given up. Told when the client notices.
    #[non_exhaustive]
    LinkLost {
        /// To what it was attached.
        address: Address,
        /// How it ended.
        error: EventHubsError,
    },
    /// A consumer's link brought nothing though the partition holds newer events, or though the service did not say that it
    /// holds none; it is made anew. See
    /// [`ConsumerOptions::watchdog`](super::ConsumerOptions::watchdog).
    #[non_exhaustive]
    LinkSilent {
        /// To what the link is attached.
        address: Address,
        /// How long nothing came.
        silent_for: Duration,
    },
    /// The service took a new token in place of one that ends soon.
    #[non_exhaustive]
    TokenRenewed {
        /// What the token is for.
        audience: String,
        /// When the new one ends, if it does.
        expires_at: Option<SystemTime>,
    },
    /// There is no new token, or the service did not take it. It is tried again, ever more slowly; when the present token
    /// ends, the links that stand on it are detached.
    #[non_exhaustive]
    TokenRenewalFailed {
        /// What the token is for.
        audience: String,
        /// Why.
        error: EventHubsError,
        /// How long the present token is still good; zero where it has ended.
        left: Duration,
    },
    /// The service is busy and asks to wait; the operation is tried again.
    #[non_exhaustive]
    Throttled {
        /// What it said.
        error: EventHubsError,
        /// How long the client waits.
        pause: Duration,
    },
    /// An operation failed in a way that can pass; it is tried again.
    #[non_exhaustive]
    Retrying {
        /// How it failed.
        error: EventHubsError,
        /// How long the client waits before.
        pause: Duration,
    },
}

impl ClientEvent {
    fn log(&self) {
        match self {
            Self::Connected { connection } => tracing::info!(connection, "connected"),
            Self::Reconnected { connection } => tracing::info!(connection, "connected again"),
            Self::ConnectFailed { connection, error } => {
                tracing::warn!(connection, %error, "could not connect");
            }
            Self::ConnectionLost { connection, error } => {
                tracing::warn!(connection, %error, "lost a connection");
            }
            Self::LinkAttached {
                address,
                connection,
            } => tracing::debug!(%address, connection, "attached"),
            Self::LinkLost { address, error } => tracing::info!(%address, %error, "lost a link"),
            Self::LinkSilent {
                address,
                silent_for,
            } => tracing::warn!(%address, ?silent_for, "a link is silent, and is made anew"),
            Self::TokenRenewed { audience, .. } => tracing::debug!(audience, "renewed a token"),
            Self::TokenRenewalFailed {
                audience,
                error,
                left,
            } => tracing::warn!(audience, %error, ?left, "could not renew a token"),
            Self::Throttled { error, pause } => {
                tracing::warn!(%error, ?pause, "the service is busy; will try again");
            }
            Self::Retrying { error, pause } => tracing::warn!(%error, ?pause, "will try again"),
        }
    }
}

/// Is told what befalls a client; see [`ClientEvent`].
///
/// It is called where and when things happen, between two steps of the client: it should count or note, and not wait.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use amqp10::eventhubs::{ClientEvent, ClientOptions, ClientObserver};
///
/// let reconnects = Arc::new(AtomicU64::new(0));
/// let count = reconnects.clone();
/// let options = ClientOptions::default().observer(ClientObserver::new(move |event| {
///     if let ClientEvent::Reconnected { .. } = event {
///         count.fetch_add(1, Ordering::Relaxed);
///     }
/// }));
/// # let _ = options;
/// ```
#[derive(Clone)]
pub struct ClientObserver(Arc<dyn Fn(&ClientEvent) + Send + Sync>);

impl ClientObserver {
    /// Calls `observe` for each event.
    pub fn new(observe: impl Fn(&ClientEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }

    /// Says to the log and to the observer, if there is one, what happened: the one place from which it becomes known.
    pub(super) fn tell(observer: Option<&Self>, event: &ClientEvent) {
        event.log();
        if let Some(Self(observe)) = observer {
            observe(event);
        }
    }
}

impl fmt::Debug for ClientObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientObserver").finish_non_exhaustive()
    }
}
