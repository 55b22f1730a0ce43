//! The receiving link, attached again when it was lost.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::{Instant, timeout};

use super::receiving::ReceiverAttaching;
use super::slot::{Attached, LinkSlot};
use super::{ReconnectError, ReconnectingConnection, Waiting, new_name};
use crate::codec::Str;
use crate::{Delivery, LinkError, Receiver, ReceiverOptions, RecvError};

/// A link on which this side receives, attached again when it was lost: a [`Receiver`] that comes back.
///
/// Handles are cheap to clone and can be used from any task; each delivery goes to one of those who wait. When the last handle is
/// dropped, the link is closed in the background, or detached if its source is to outlive the session: a subscription stays
/// until [`close`](Self::close) ends it.
///
/// On a link in receiver settle mode second whose source outlives the connection, deliveries are received exactly once: an
/// outcome that was stated when the link was lost is stated again when the sender resumes it, and the delivery is not handed out
/// again. [`Delivery::accept_confirmed`] waits for the sender besides [2.6.12].
#[derive(Clone)]
pub struct ReconnectingReceiver {
    link: Arc<LinkSlot<ReceiverAttaching>>,
}

impl ReconnectingReceiver {
    pub(super) fn new(
        connection: ReconnectingConnection,
        address: Str,
        mut options: ReceiverOptions,
    ) -> Self {
        let name = options.name.get_or_insert_with(new_name).clone();
        let link = LinkSlot::new(connection.clone(), |ending| ReceiverAttaching {
            connection,
            name,
            address,
            options,
            left: Mutex::default(),
            ending,
        });
        Self { link }
    }

    /// Waits for the next delivery, across lost links and connections. What was handed out before a loss and not settled comes
    /// again; what had arrived settled is handed out first. Has no time limit of its own but that of the attempts.
    ///
    /// # Errors
    ///
    /// What stood in the way at the last attempt to attach, or why the link ended for good.
    ///
    /// # Cancel safety
    ///
    /// No delivery is lost by dropping the future.
    pub async fn recv(&self) -> Result<Delivery, ReconnectError> {
        loop {
            let attached = match self.link.next_source().await? {
                Source::Arrived(delivery) => return Ok(delivery),
                Source::Link(attached) => attached,
            };
            match attached.link.recv().await {
                Ok(delivery) => {
                    attached.count_as_success();
                    return Ok(delivery);
                }
                Err(error) => self.link.on_failed(error)?,
            }
        }
    }

    /// Takes a delivery if one is there and nobody else waits for it. If there is no link, it is being attached from now on.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv); that attaching failed is told once.
    pub fn try_recv(&self) -> Result<Option<Delivery>, ReconnectError> {
        if let Some(delivery) = self.link.take_arrived() {
            return Ok(Some(delivery));
        }
        let Some(attached) = self.link.try_get()? else {
            return Ok(None);
        };
        match attached.link.try_recv() {
            Ok(delivery) => {
                if delivery.is_some() {
                    attached.count_as_success();
                }
                Ok(delivery)
            }
            Err(error) => self.link.on_failed(error).map(|()| None),
        }
    }

    /// Receives up to `max` deliveries: as soon as that many are there, or what is there after `max_wait`, possibly none, as when
    /// the link could not be attached by then. A batch ends early where its link is lost.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), if nothing was received before.
    ///
    /// # Cancel safety
    ///
    /// No delivery is lost by dropping the future: they stay in the link's queue until it resolves.
    pub async fn recv_batch(
        &self,
        max: usize,
        max_wait: Duration,
    ) -> Result<Vec<Delivery>, ReconnectError> {
        let start = Instant::now();
        loop {
            let left = max_wait.saturating_sub(start.elapsed());
            let source = match timeout(left, self.link.next_source()).await {
                Ok(source) => source?,
                Err(_) => return Ok(Vec::new()),
            };
            let attached = match source {
                Source::Arrived(first) => return Ok(self.link.batch_of_arrived(first, max)),
                Source::Link(attached) => attached,
            };
            let left = max_wait.saturating_sub(start.elapsed());
            match attached.link.recv_batch(max, left).await {
                Ok(mut batch) => {
                    let is_lost = attached.link.is_detached();
                    batch.retain(|delivery| !is_lost || delivery.was_sent_settled()); // the others come again
                    if !batch.is_empty() {
                        attached.count_as_success();
                    }
                    if !batch.is_empty() || !is_lost {
                        return Ok(batch);
                    }
                }
                Err(error) => self.link.on_failed(error)?,
            }
        }
    }

    /// The deliveries as a stream; it ends after an error.
    pub fn stream(&self) -> ReconnectingDeliveryStream {
        ReconnectingDeliveryStream {
            receiver: self.clone(),
            next: None,
            has_ended: false,
        }
    }

    /// The link's name, the same on each attachment [2.6.1].
    pub fn name(&self) -> &str {
        &self.link.attaching.name
    }

    /// Whether this side has closed or detached the link, or closed the connection. That the link is lost at the moment does not
    /// show: it comes back.
    pub fn is_detached(&self) -> bool {
        self.link.ending().is_reached()
    }

    /// Waits until [`is_detached`](Self::is_detached). Has no time limit.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping the future.
    pub async fn detached(&self) -> ReconnectError {
        self.link.ending().reached().await;
        ReconnectError::Closed
    }

    /// Closes the link for good, and waits for the peer's detach [2.6.6]: at most `operation_timeout`, and as long again if it is
    /// being attached. What waits fails at once. The peer deletes its terminus: a durable subscription ends. A link that
    /// is lost is not attached again for this, so that the peer keeps the terminus then.
    ///
    /// # Errors
    ///
    /// If the link ends with an error meanwhile, or the peer does not answer.
    ///
    /// # Cancel safety
    ///
    /// The detach is sent in any case.
    pub async fn close(&self) -> Result<(), LinkError> {
        self.link.end(true).await
    }

    /// Detaches for good without closing: the peer keeps a durable terminus, and a link of the same name finds it again
    /// [2.6.4]. Otherwise as [`close`](Self::close).
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    ///
    /// # Cancel safety
    ///
    /// The detach is sent in any case.
    pub async fn detach(&self) -> Result<(), LinkError> {
        self.link.end(false).await
    }
}

impl fmt::Debug for ReconnectingReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingReceiver")
            .field("name", &self.link.attaching.name)
            .field("address", &self.link.attaching.address)
            .finish_non_exhaustive()
    }
}

/// Where the next delivery comes from.
enum Source {
    /// From a link that is lost.
    Arrived(Delivery),
    Link(Arc<Attached<Receiver>>),
}

impl LinkSlot<ReceiverAttaching> {
    async fn next_source(&self) -> Result<Source, ReconnectError> {
        match self.take_arrived() {
            Some(delivery) => Ok(Source::Arrived(delivery)),
            None => Ok(Source::Link(self.get().await?)),
        }
    }

    fn take_arrived(&self) -> Option<Delivery> {
        if self.living().is_none() {
            self.attaching.save_arrived();
        }
        self.attaching.take_arrived()
    }

    fn batch_of_arrived(&self, first: Delivery, max: usize) -> Vec<Delivery> {
        let mut batch = vec![first];
        while batch.len() < max
            && let Some(delivery) = self.attaching.take_arrived()
        {
            batch.push(delivery);
        }
        batch
    }

    /// `Ok` if the next attachment may bring what this one did not.
    fn on_failed(&self, RecvError::Link(error): RecvError) -> Result<(), ReconnectError> {
        self.on_lost(&error)
    }
}

/// The deliveries of a [`ReconnectingReceiver`] as a stream.
///
/// # Cancel safety
///
/// No delivery is lost by dropping a poll of it.
pub struct ReconnectingDeliveryStream {
    receiver: ReconnectingReceiver,
    /// Who waits for the next one.
    next: Option<Waiting<Delivery>>,
    has_ended: bool,
}

impl Stream for ReconnectingDeliveryStream {
    type Item = Result<Delivery, ReconnectError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let receiver = self.receiver.clone();
        let next = self
            .next
            .get_or_insert_with(|| Box::pin(async move { receiver.recv().await }));
        let received = ready!(next.as_mut().poll(context));
        self.next = None;
        self.has_ended = received.is_err();
        Poll::Ready(Some(received))
    }
}

impl fmt::Debug for ReconnectingDeliveryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingDeliveryStream")
            .field("receiver", &self.receiver)
            .finish_non_exhaustive()
    }
}
