//! A receiving link as an application holds it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use amqp10_codec::{AmqpError, Attach, Str};
use futures_core::Stream;

use crate::delivery::Delivery;
use crate::engine::{Inbound, Ticket};
use crate::error::{LinkError, RecvError};
use crate::link::LinkHandle;
use crate::options::OnDrop;
use crate::transport::deadline::Deadline;

/// A link on which this side receives [2.6].
///
/// Handles are cheap to clone and can be used from any task; each delivery goes to one of those who wait, in turn. When the
/// last handle and the last delivery are dropped, the link is closed in the background.
#[derive(Clone, Debug)]
pub struct Receiver {
    link: Arc<LinkHandle>,
    remote: Arc<Attach>,
    on_drop: OnDrop,
    auto_accept: bool,
}

impl Receiver {
    pub(crate) fn new(link: Arc<LinkHandle>, remote: Arc<Attach>, on_drop: OnDrop) -> Self {
        let auto_accept = link
            .shared()
            .with(|engine| engine.is_auto_accepting(link.key));
        Self {
            link,
            remote,
            on_drop,
            auto_accept,
        }
    }

    fn delivery(&self, inbound: Inbound) -> Delivery {
        Delivery::new(self.link.clone(), inbound, self.on_drop, self.auto_accept)
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
        let mut place = PlaceInQueue {
            link: &self.link,
            ticket: None,
        };
        let inbound = poll_fn(|cx| place.poll(cx.waker())).await?;
        Ok(self.delivery(inbound))
    }

    /// Takes a delivery if one is there and nobody else waits for it.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<Option<Delivery>, RecvError> {
        let mut place = PlaceInQueue {
            link: &self.link,
            ticket: None,
        };
        match place.poll(Waker::noop()) {
            Poll::Ready(inbound) => Ok(Some(self.delivery(inbound?))),
            Poll::Pending => Ok(None),
        }
    }

    /// Receives up to `max` deliveries: as soon as that many are there, or what is there after `max_wait`, possibly none.
    /// With manual credit it ends early when no more can come. A `max` above the prefetch raises the credit for this call.
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
        let mut place = PlaceInQueue {
            link: &self.link,
            ticket: None,
        };
        let mut batch = Vec::new();
        let whole = poll_fn(|cx| place.poll_batch(max, false, &mut batch, cx.waker()));
        match tokio::time::timeout_at(deadline.at, whole).await {
            Ok(received) => received?,
            Err(_) => poll_fn(|cx| place.poll_batch(max, true, &mut batch, cx.waker())).await?,
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
            ticket: None,
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
        self.link
            .shared()
            .with(|engine| engine.add_credit(self.link.key, additional))
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
        let limit = self.link.session.operation_timeout();
        self.link
            .shared()
            .with(|engine| engine.start_drain(self.link.key))?;
        let drained = poll_fn(|cx| {
            self.link
                .shared()
                .with(|engine| engine.poll_drained(self.link.key, cx.waker()))
        });
        match tokio::time::timeout(limit, drained).await {
            Ok(drained) => drained,
            Err(_) => Err(LinkError::Timeout {
                operation: "drain",
                after: limit,
            }),
        }
    }

    /// Deliveries that the sender may still start.
    pub fn credit(&self) -> u32 {
        self.link
            .shared()
            .with(|engine| engine.link_credit(self.link.key))
    }

    /// The peer's attach: its source, its limits, its properties [2.7.3].
    pub fn remote_attach(&self) -> Arc<Attach> {
        self.remote.clone()
    }

    /// The address of the peer's source, such as one that it generated.
    pub fn address(&self) -> Option<Str> {
        self.remote.source.as_ref()?.address.clone()
    }

    /// The link's name [2.6.1].
    pub fn name(&self) -> &str {
        self.link.name.as_str()
    }

    /// Whether the link has ended, or is being detached.
    pub fn is_closed(&self) -> bool {
        self.link.is_closed()
    }

    /// Waits until the link has ended, and says why. Has no time limit.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping the future.
    pub async fn closed(&self) -> LinkError {
        self.link.ended().await
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
        self.link.detach(true, None).await
    }

    /// The same, telling the peer why.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    ///
    /// # Cancel safety
    ///
    /// The detach is sent in any case.
    pub async fn close_with_error(&self, error: AmqpError) -> Result<(), LinkError> {
        self.link.detach(true, Some(error)).await
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
        self.link.detach(false, None).await
    }
}

/// A place among those who wait to receive; given back when the wait is over or dropped.
struct PlaceInQueue<'a> {
    link: &'a LinkHandle,
    ticket: Option<Ticket>,
}

impl PlaceInQueue<'_> {
    fn poll(&mut self, waker: &Waker) -> Poll<Result<Inbound, LinkError>> {
        let Self { link, ticket } = self;
        link.shared()
            .with(|engine| engine.poll_recv(link.key, ticket, waker))
    }

    fn poll_batch(
        &mut self,
        max: usize,
        is_over: bool,
        batch: &mut Vec<Inbound>,
        waker: &Waker,
    ) -> Poll<Result<(), LinkError>> {
        let Self { link, ticket } = self;
        link.shared()
            .with(|engine| engine.poll_recv_batch(link.key, ticket, max, is_over, batch, waker))
    }
}

impl Drop for PlaceInQueue<'_> {
    fn drop(&mut self) {
        leave(self.link, &mut self.ticket);
    }
}

fn leave(link: &LinkHandle, ticket: &mut Option<Ticket>) {
    if ticket.is_some() {
        link.shared()
            .with(|engine| engine.leave_receivers(link.key, ticket));
    }
}

/// The deliveries of a [`Receiver`] as a stream.
///
/// # Cancel safety
///
/// No delivery is lost by dropping a poll of it.
#[derive(Debug)]
pub struct DeliveryStream {
    receiver: Receiver,
    ticket: Option<Ticket>,
    has_ended: bool,
}

impl Stream for DeliveryStream {
    type Item = Result<Delivery, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self {
            receiver,
            ticket,
            has_ended,
        } = &mut *self;
        if *has_ended {
            return Poll::Ready(None);
        }
        let link = &receiver.link;
        let polled = link
            .shared()
            .with(|engine| engine.poll_recv(link.key, ticket, cx.waker()));
        polled.map(|received| {
            *has_ended = received.is_err();
            Some(
                received
                    .map(|inbound| receiver.delivery(inbound))
                    .map_err(RecvError::from),
            )
        })
    }
}

impl Drop for DeliveryStream {
    fn drop(&mut self) {
        let Self {
            receiver, ticket, ..
        } = self;
        leave(&receiver.link, ticket);
    }
}
