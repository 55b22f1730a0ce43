//! The one place where connections, authorizations and links are made, and made anew after a failure.
//!
//! ```text
//! attach ── links ── seats          which connection
//!             │
//!             ├── connections       opened once, given up, closed      ┐
//!             ├── authorization     $cbs, grants, renewals             ├ each made by one task for all: `SingleFlight`
//!             └── management        $management                        ┘
//! ```

mod authorization;
mod connections;
mod grants;
mod links;
mod management;
mod seats;

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

pub(super) use self::links::Attached;

use self::connections::{Live, Slot};
use self::seats::Seats;
use super::auth::TokenSource;
use super::error::{Cause, ErrorKind, EventHubsError};
use super::metrics::ClientMeters;
use super::observer::{ClientEvent, ClientObserver};
use super::options::ClientOptions;
use super::retry::{Rebuild, Retries, Verdict, classify};
use super::wire::Address;
use crate::Url;
use crate::random::Random;
use crate::request::RequestOptions;

/// The connection over which properties are asked for, and which is opened first.
const FIRST: usize = 0;

/// More connections than any machine has cores for.
const MAX_CONNECTIONS: usize = 256;

/// What the handles of one client share.
pub(super) struct Namespace {
    host: String,
    hub: String,
    /// What is dialled.
    url: Url,
    tokens: Arc<dyn TokenSource>,
    options: ClientOptions,
    slots: Vec<Slot>,
    seats: Arc<Seats>,
    /// Whether the client was closed.
    closed: watch::Sender<bool>,
    random: Random,
    meters: ClientMeters,
    /// Wakes the task that renews tokens.
    renewal: Arc<Notify>,
}

impl Namespace {
    pub(super) fn new(
        host: String,
        hub: String,
        url: Url,
        tokens: Arc<dyn TokenSource>,
        options: ClientOptions,
    ) -> Arc<Self> {
        let random = Random::new(options.seed);
        let connections = options.connections.clamp(1, MAX_CONNECTIONS);
        // Shorter than the shortest pause of the policy, so that nobody is given his own failure for a try.
        let moment = options.retry.first_delay / 2;
        let namespace = Arc::new(Self {
            meters: ClientMeters::new(&hub),
            host,
            hub,
            url,
            tokens,
            options,
            slots: (0..connections).map(|_| Slot::new(moment)).collect(),
            seats: Seats::new(connections),
            closed: watch::Sender::new(false),
            random,
            renewal: Arc::default(),
        });
        let renewal = namespace.renewal.clone();
        tokio::spawn(renew_tokens(Arc::downgrade(&namespace), renewal));
        namespace
    }

    /// Opens the first connection.
    pub(super) async fn connect(self: &Arc<Self>) -> Result<(), EventHubsError> {
        self.live(FIRST).await.map(drop)
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn hub(&self) -> &str {
        &self.hub
    }

    pub(super) fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// Fresh chance for a pause.
    pub(super) fn random(&self) -> u64 {
        self.random.next()
    }

    pub(super) fn retries(&self) -> Retries {
        Retries::new(self.options.retry.clone())
    }

    /// Says what happened. The end of all connections is no news after the client was closed.
    pub(super) fn tell(&self, event: ClientEvent) {
        if *self.closed.borrow() {
            return;
        }
        self.meters.count(&event);
        ClientObserver::tell(self.options.observer.as_ref(), &event);
    }

    /// Waits for the next try, or gives the error back if there is none.
    pub(super) async fn pause(
        &self,
        retries: &mut Retries,
        error: EventHubsError,
    ) -> Result<(), EventHubsError> {
        let Some(pause) = retries.next(&error, self.random()) else {
            return Err(error);
        };
        self.tell_of_retry(error, pause);
        self.sleep(pause).await;
        Ok(())
    }

    pub(super) fn tell_of_retry(&self, error: EventHubsError, pause: Duration) {
        self.tell(match error.kind() {
            ErrorKind::Busy => ClientEvent::Throttled { error, pause },
            _ => ClientEvent::Retrying { error, pause },
        });
    }

    /// Lets time pass, but not beyond the end of the client: whoever tries again then learns of that.
    pub(super) async fn sleep(&self, pause: Duration) {
        if pause.is_zero() {
            return;
        }
        tokio::select! {
            biased; // no chance: runs of one seed are alike
            () = self.closed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Waits until the client is closed.
    async fn closed(&self) {
        // The sender lives as long as this future.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// One step, which may not take longer than one try.
    async fn within_a_try<T>(
        &self,
        step: impl Future<Output = Result<T, Cause>>,
    ) -> Result<T, Cause> {
        let limit = self.options.retry.try_timeout;
        timeout(limit, step)
            .await
            .unwrap_or(Err(Cause::Timeout(limit)))
    }

    /// Makes sure that the next try does not meet what failed: the one place where that is decided.
    fn give_up(&self, error: &EventHubsError, live: &Live, audience: &str) {
        match classify(error.cause()).1 {
            Verdict::Again {
                rebuild: Rebuild::Connection,
                ..
            } => self.give_up_connection(live, error),
            Verdict::Again {
                rebuild: Rebuild::Token,
                ..
            } => live.grants.revoke(audience),
            _ => {}
        }
    }

    /// How long one question may go without an answer: less than the whole try, which then fails for the reason.
    fn answer_limit(&self) -> Duration {
        self.options.retry.try_timeout / 2
    }

    fn request_options(&self) -> RequestOptions {
        RequestOptions::default().timeout(self.answer_limit())
    }

    /// What a token is put for. The service takes any scheme.
    fn audience(&self, address: &Address) -> String {
        format!("sb://{}/{address}", self.host)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The task finds nobody left, and ends.
        self.renewal.notify_one();
    }
}

/// Renews tokens until the last handle of the client is gone.
async fn renew_tokens(namespace: Weak<Namespace>, wake: Arc<Notify>) {
    while let Some(alive) = namespace.upgrade() {
        let pause = Namespace::renew_due(&alive).await;
        drop(alive);
        tokio::select! {
            biased; // no chance: runs of one seed are alike
            () = tokio::time::sleep(pause) => {}
            () = wake.notified() => {}
        }
    }
}
