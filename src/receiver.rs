//! A receiving link as an application holds it.

use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;

use crate::codec::{AmqpError, Attach, DeliveryState, UnsettledMap};
use crate::delivery::Delivery;
use crate::engine::Inbound;
use crate::error::{LinkError, RecvError};
use crate::link::{LinkHandle, PlaceInQueue};
use crate::options::OnDrop;
use crate::session::Session;
use crate::transport::deadline::{Deadline, within};

/// A link on which this side receives [2.6].
///
/// Handles are cheap to clone and can be used from any task; each delivery goes to one of those who wait, in turn. When the
/// last handle is dropped, credit is taken back and what waits in the queue is released; when the last delivery is, too, the
/// link is closed in the background. One whose source was asked to be durable, or not to expire with its session, is detached
/// instead: a subscription stays until [`close`](Self::close) ends it (A-028).
#[derive(Clone)]
pub struct Receiver {
    handle: Arc<ReceiverHandle>,
}

/// What the handles of one receiver share; deliveries hold the link alone.
struct ReceiverHandle {
    link: Arc<LinkHandle>,
    remote: Arc<Attach>,
    on_drop: OnDrop,
    auto_accept: bool,
}

impl Drop for ReceiverHandle {
    fn drop(&mut self) {
        // Else the link is closed with its last handle, which is this one.
        if Arc::strong_count(&self.link) > 1 {
            self.link
                .shared()
                .with(|engine| engine.stop_receiving(self.link.key));
        }
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("link", self.link())
            .finish_non_exhaustive()
    }
}

impl Receiver {
    pub(crate) fn new(link: Arc<LinkHandle>, remote: Arc<Attach>, on_drop: OnDrop) -> Self {
        let on_drop = on_drop.allowed_by(remote.source.as_ref());
        let auto_accept = link
            .shared()
            .with(|engine| engine.is_auto_accepting(link.key));
        Self {
            handle: Arc::new(ReceiverHandle {
                link,
                remote,
                on_drop,
                auto_accept,
            }),
        }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.link().session
    }

    pub(crate) fn link(&self) -> &LinkHandle {
        &self.handle.link
    }

    /// Deliveries with an outcome that the sender has not confirmed, once the link is over.
    pub(crate) fn unconfirmed(&self) -> UnsettledMap {
        let link = self.link();
        let unconfirmed = link.shared().with(|engine| engine.unconfirmed(link.key));
        unconfirmed.unwrap_or_default()
    }

    fn delivery(&self, inbound: Inbound) -> Delivery {
        let ReceiverHandle {
            link,
            on_drop,
            auto_accept,
            ..
        } = &*self.handle;
        Delivery::new(link.clone(), inbound, *on_drop, *auto_accept)
    }

    /// Waits for the next delivery. Has no time limit of its own.
    ///
    /// ```no_run
    /// # async fn example(receiver: amqp10::Receiver) -> Result<(), Box<dyn std::error::Error>> {
    /// loop {
    ///     let delivery = receiver.recv().await?;
    ///     println!("{:?}", delivery.message()?.body);
    ///     delivery.accept()?;
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Why the link ended; what had arrived before is handed out first.
    ///
    /// # Cancel safety
    ///
    /// No delivery is lost by dropping the future: taking one is the last thing it does.
    pub async fn recv(&self) -> Result<Delivery, RecvError> {
        let mut place = PlaceInQueue::new(self.link());
        let inbound = poll_fn(|cx| poll_recv(&mut place, cx.waker())).await?;
        Ok(self.delivery(inbound))
    }

    /// Takes a delivery if one is there and nobody else waits for it.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<Option<Delivery>, RecvError> {
        let mut place = PlaceInQueue::new(self.link());
        match poll_recv(&mut place, Waker::noop()) {
            Poll::Ready(inbound) => Ok(Some(self.delivery(inbound?))),
            Poll::Pending => Ok(None),
        }
    }

    /// Receives up to `max` deliveries: as soon as that many are there, or what is there after `max_wait`, possibly none.
    /// It ends early when no more can come: with manual credit, or when what is queued in the session has reached
    /// [`Limits::max_queued_bytes`](crate::Limits::max_queued_bytes). A `max` above the prefetch raises the credit for this call.
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
    ) -> Result<Vec<Delivery>, RecvError> {
        let deadline = Deadline::after(max_wait);
        let mut place = PlaceInQueue::new(self.link());
        let mut batch = Vec::new();
        let mut poll = |is_over: bool, waker: &Waker| {
            place.with(|engine, key, ticket| {
                engine.poll_recv_batch(key, ticket, max, is_over, &mut batch, waker)
            })
        };
        let whole = poll_fn(|cx| poll(false, cx.waker()));
        match tokio::time::timeout_at(deadline.at, whole).await {
            Ok(received) => received?,
            Err(_) => poll_fn(|cx| poll(true, cx.waker())).await?,
        }
        Ok(batch
            .into_iter()
            .map(|inbound| self.delivery(inbound))
            .collect())
    }

    /// The deliveries as a stream; it ends after the error that says why the link ended.
    pub fn stream(&self) -> DeliveryStream {
        DeliveryStream {
            receiver: self.clone(),
            place: PlaceInQueue::new(self.handle.link.clone()),
            has_ended: false,
        }
    }

    /// Grants credit for `additional` deliveries more [2.6.7]: how a receiver with [`Credit::Manual`](crate::Credit::Manual)
    /// gets any.
    ///
    /// # Errors
    ///
    /// Why the link ended.
    pub fn add_credit(&self, additional: u32) -> Result<(), LinkError> {
        self.link()
            .shared()
            .with(|engine| engine.add_credit(self.link().key, additional))
    }

    /// Asks the sender to use up its credit or to give it back, and waits until it has [2.6.7]. What it sent is in the
    /// queue then. With automatic credit the next flow grants again afterwards. Waits `operation_timeout` at most.
    ///
    /// # Errors
    ///
    /// Why the link ended, or that the sender did not answer in time.
    ///
    /// # Cancel safety
    ///
    /// The sender is asked in any case; only the wait is given up.
    pub async fn drain(&self) -> Result<(), LinkError> {
        let link = self.link();
        link.shared().with(|engine| engine.start_drain(link.key))?;
        let drained = link
            .shared()
            .wait(|engine, watcher| engine.poll_drained(link.key, watcher));
        within(link.session.operation_timeout(), "drain", drained).await?
    }

    /// The state of a delivery of which the first frames have arrived and the last has not: what a resource looks at before it
    /// discharges a transaction [4.4.1].
    pub fn incomplete_state(&self) -> Option<DeliveryState> {
        self.link()
            .shared()
            .with(|engine| engine.incomplete_state(self.link().key))
    }

    /// Has the sender tie what it sends from now on to a transaction, or to none [4.4.3].
    pub(crate) fn acquire_for(&self, txn_id: Option<Bytes>) -> Result<(), LinkError> {
        self.link()
            .shared()
            .with(|engine| engine.set_acquisition(self.link().key, txn_id))
    }

    /// Deliveries that the sender may still start.
    pub fn credit(&self) -> u32 {
        self.link().credit()
    }

    /// The peer's attach: its source, its limits, its properties [2.7.3].
    pub fn remote_attach(&self) -> &Attach {
        &self.handle.remote
    }

    /// The address of the peer's source, such as one that it generated.
    pub fn address(&self) -> Option<&str> {
        self.handle.remote.source.as_ref()?.address.as_deref()
    }

    /// The link's name [2.6.1].
    pub fn name(&self) -> &str {
        self.link().name.as_str()
    }

    /// Whether the link has ended, or is being detached: closed or not.
    pub fn is_detached(&self) -> bool {
        self.link().is_detached()
    }

    /// Waits until the link has ended, and says why. Has no time limit.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping the future.
    pub async fn detached(&self) -> LinkError {
        self.link().detached().await
    }

    /// Closes the link and waits for the peer's detach, at most `operation_timeout` [2.6.6]. What was not settled goes back
    /// to the sender.
    ///
    /// # Errors
    ///
    /// Why it ended, if it had ended otherwise or the peer did not answer.
    ///
    /// # Cancel safety
    ///
    /// The detach is sent in any case.
    pub async fn close(&self) -> Result<(), LinkError> {
        self.link().detach(true, None).await
    }

    /// As [`close`](Self::close), telling the peer why.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    ///
    /// # Cancel safety
    ///
    /// The detach is sent in any case.
    pub async fn close_with_error(&self, error: AmqpError) -> Result<(), LinkError> {
        self.link().detach(true, Some(error)).await
    }

    /// Detaches without closing: the peer may keep its terminus [2.6.4].
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    ///
    /// # Cancel safety
    ///
    /// The detach is sent in any case.
    pub async fn detach(&self) -> Result<(), LinkError> {
        self.link().detach(false, None).await
    }
}

fn poll_recv<L: Deref<Target = LinkHandle>>(
    place: &mut PlaceInQueue<L>,
    waker: &Waker,
) -> Poll<Result<Inbound, LinkError>> {
    place.with(|engine, key, ticket| engine.poll_recv(key, ticket, waker))
}

/// The deliveries of a [`Receiver`] as a stream.
///
/// # Cancel safety
///
/// No delivery is lost by dropping a poll of it.
#[derive(Debug)]
pub struct DeliveryStream {
    place: PlaceInQueue<Arc<LinkHandle>>,
    receiver: Receiver,
    has_ended: bool,
}

impl Stream for DeliveryStream {
    type Item = Result<Delivery, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        poll_recv(&mut self.place, cx.waker()).map(|received| {
            self.has_ended = received.is_err();
            let delivery = received.map(|inbound| self.receiver.delivery(inbound));
            Some(delivery.map_err(RecvError::from))
        })
    }
}
