//! The link of the moment: attached by a task of its own when it is first needed, and anew when it was lost.

use std::future::{Future, ready};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{ReconnectError, ReconnectOptions, ReconnectingConnection};
use crate::link::LinkHandle;
use crate::lock::lock;
use crate::single_flight::SingleFlight;
use crate::{LinkError, Receiver, Sender};

/// A link of either role.
pub(super) trait Link: Clone + Send + Sync + 'static {
    fn handle(&self) -> &LinkHandle;
}

impl Link for Sender {
    fn handle(&self) -> &LinkHandle {
        self.link()
    }
}

impl Link for Receiver {
    fn handle(&self) -> &LinkHandle {
        self.link()
    }
}

/// How a link is attached.
pub(super) trait Attaching: Send + Sync + 'static {
    type Link: Link;

    /// One attempt.
    fn attach(self: Arc<Self>) -> impl Future<Output = Result<Self::Link, ReconnectError>> + Send;
}

/// Where the link is, once somebody has asked for it.
pub(super) struct LinkSlot<A: Attaching> {
    pub(super) attaching: Arc<A>,
    connection: ReconnectingConnection,
    /// Attached in a task that runs to its end: who stops waiting leaves neither a name reserved nor messages half replayed.
    attached: SingleFlight<Arc<Attached<A::Link>>, ReconnectError>,
    /// Why it could not be attached, as long as nobody has heard it.
    unheard: Arc<Mutex<Option<ReconnectError>>>,
    /// Set when this side has ended the link. It is ended, too, when this is dropped.
    is_ended: watch::Sender<bool>,
    ending: Ending,
}

/// A link that was attached.
pub(super) struct Attached<L> {
    pub(super) link: L,
    since: Instant,
    /// Attempts that failed since the last one that was a success.
    failures: u32,
    was_success: AtomicBool,
}

impl<L> Attached<L> {
    fn new(link: L, failures: u32) -> Self {
        Self {
            link,
            since: Instant::now(),
            failures,
            was_success: AtomicBool::new(false),
        }
    }

    /// An outcome or a delivery came by it.
    pub(super) fn count_as_success(&self) {
        self.was_success.store(true, Ordering::Release);
    }

    /// The failures up to now, this link's end among them. A peer that ends it at once, again and again, adds to them.
    fn failures_with_its_end(&self, options: &ReconnectOptions) -> u32 {
        let lasted = self.since.elapsed() >= options.max_delay;
        match lasted || self.was_success.load(Ordering::Acquire) {
            true => 1,
            false => self.failures.saturating_add(1),
        }
    }
}

impl<A: Attaching> LinkSlot<A> {
    /// `attaching` is told how it learns that the link is ended.
    pub(super) fn new(
        connection: ReconnectingConnection,
        attaching: impl FnOnce(Ending) -> A,
    ) -> Arc<Self> {
        let is_ended = watch::Sender::new(false);
        let ending = Ending {
            link: is_ended.subscribe(),
            connection: connection.closing(),
        };
        Arc::new(Self {
            attaching: Arc::new(attaching(ending.clone())),
            connection,
            // Whoever comes after a failure begins anew.
            attached: SingleFlight::new(Duration::ZERO).always_landing(),
            unheard: Arc::default(),
            is_ended,
            ending,
        })
    }

    pub(super) fn ending(&self) -> &Ending {
        &self.ending
    }

    /// The link, if there is one that lives.
    pub(super) fn living(&self) -> Option<Arc<Attached<A::Link>>> {
        let attached = self.attached.made();
        attached.filter(|attached| is_alive(attached) && !self.ending.is_reached())
    }

    /// The link, attached if there is none that lives, as often as the connection's options allow.
    pub(super) async fn get(&self) -> Result<Arc<Attached<A::Link>>, ReconnectError> {
        if let Some(attached) = self.living() {
            return Ok(attached);
        }
        let attach = |dead| {
            let (connection, attaching) = (self.connection.clone(), self.attaching.clone());
            let (ending, unheard) = (self.ending.clone(), self.unheard.clone());
            async move {
                let attached = attach_persistently(&connection, &ending, dead, &attaching).await;
                *lock(&unheard) = attached.as_ref().err().cloned();
                attached
            }
        };
        let attached = self.attached.get(is_alive, attach);
        let attached = self.ending.unless(attached).await?;
        attached.inspect_err(|_| *lock(&self.unheard) = None)
    }

    /// The link if it is there; else it is being attached from now on, and why that failed is told once.
    pub(super) fn try_get(&self) -> Result<Option<Arc<Attached<A::Link>>>, ReconnectError> {
        if let Some(error) = lock(&self.unheard).take() {
            return Err(error);
        }
        let mut context = Context::from_waker(Waker::noop());
        match pin!(self.get()).poll(&mut context) {
            Poll::Ready(attached) => attached.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    /// An outcome came by it.
    pub(super) fn count_as_success(&self) {
        if let Some(attached) = self.attached.made() {
            attached.count_as_success();
        }
    }

    /// What became of an operation that failed with the link: `Ok` if it may go on with the next one.
    pub(super) fn on_lost(&self, error: &LinkError) -> Result<(), ReconnectError> {
        if self.ending.is_reached() {
            return Err(ReconnectError::Closed);
        }
        if error.is_retryable() {
            tracing::debug!(%error, "a link is lost and will be attached again");
            return Ok(());
        }
        // The next operation begins anew.
        self.attached.discard(|attached| !is_alive(attached));
        Err(error.clone().into())
    }

    /// Closes the link, or detaches it so that the peer keeps its terminus; nobody gets it any more. In a task, so that it is done
    /// whoever stops waiting for it.
    pub(super) async fn end(self: &Arc<Self>, closed: bool) -> Result<(), LinkError> {
        let link = self.clone();
        let ending = tokio::spawn(async move { link.end_now(closed).await });
        // A task that panicked has told so by itself.
        ending.await.unwrap_or(Ok(()))
    }

    async fn end_now(&self, closed: bool) -> Result<(), LinkError> {
        self.is_ended.send_replace(true);
        if !self.attached.is_in_use(|_| true) {
            return Ok(());
        }
        // One that is being attached is awaited: the peer knows its name already.
        let nothing = |_| ready(Err(ReconnectError::Closed));
        match self.attached.get(|_| true, nothing).await {
            Ok(attached) if is_alive(&attached) => {
                attached.link.handle().detach(closed, None).await
            }
            _ => Ok(()),
        }
    }
}

fn is_alive<L: Link>(attached: &Arc<Attached<L>>) -> bool {
    !attached.link.handle().is_detached()
}

/// Attaches, with a pause before each new attempt, until there were enough.
async fn attach_persistently<A: Attaching>(
    connection: &ReconnectingConnection,
    ending: &Ending,
    dead: Option<Arc<Attached<A::Link>>>,
    attaching: &Arc<A>,
) -> Result<Arc<Attached<A::Link>>, ReconnectError> {
    let mut failures = 0;
    if let Some(dead) = dead {
        failures = dead.failures_with_its_end(connection.options());
        let error = dead.link.handle().detached().await;
        pause(connection, ending, failures, error.into()).await?;
    }
    loop {
        match attaching.clone().attach().await {
            Ok(link) => return Ok(Arc::new(Attached::new(link, failures))),
            Err(error) if error.is_retryable() => {
                failures = failures.saturating_add(1);
                pause(connection, ending, failures, error).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Waits before the next attempt. Gives the error back if there were enough.
async fn pause(
    connection: &ReconnectingConnection,
    ending: &Ending,
    failures: u32,
    error: ReconnectError,
) -> Result<(), ReconnectError> {
    let pause = connection
        .options()
        .pause(failures.saturating_sub(1), connection.random());
    let Some(pause) = pause else {
        return Err(error);
    };
    tracing::warn!(%error, ?pause, "will connect or attach again");
    ending.unless(sleep(pause)).await
}

/// Tells when this side has ended the link, or the connection with all its links.
#[derive(Clone)]
pub(super) struct Ending {
    link: watch::Receiver<bool>,
    connection: watch::Receiver<bool>,
}

impl Ending {
    pub(super) fn is_reached(&self) -> bool {
        *self.link.borrow() || *self.connection.borrow()
    }

    /// Waits until it is reached, or nobody holds the link any more.
    pub(super) async fn reached(&self) {
        let Self {
            mut link,
            mut connection,
        } = self.clone();
        tokio::select! {
            biased;
            _ = link.wait_for(|is_ended| *is_ended) => {}
            _ = connection.wait_for(|is_closed| *is_closed) => {}
        }
    }

    /// Goes on with `step` until the end.
    pub(super) async fn unless<T>(
        &self,
        step: impl Future<Output = T>,
    ) -> Result<T, ReconnectError> {
        tokio::select! {
            biased;
            () = self.reached() => Err(ReconnectError::Closed),
            done = step => Ok(done),
        }
    }
}
