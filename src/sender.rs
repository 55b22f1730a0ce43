//! A sending link as an application holds it.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::codec::{AmqpError, Attach, Outcome, Str, TransactionalState};
use crate::engine::{Key, Outbound, Payload, Pieces};
use crate::error::{LinkError, SendError};
use crate::link::{LinkHandle, PlaceInQueue};
use crate::message::OutgoingMessage;
use crate::session::Session;

/// What a transfer's performative may take of a frame. A body that leaves less room is not copied: the
/// message is cut into pieces outside the lock.
const PERFORMATIVE_ROOM: usize = 512;

/// A link on which this side sends [2.6].
///
/// Handles are cheap to clone and can be used from any task; messages leave in the order in which their sends were first
/// polled. When the last handle and the last receipt are dropped, the link is closed in the background; one whose target was
/// asked to be durable, or not to expire with its session, is detached, and the peer keeps the target.
///
/// Sending waits for link credit [2.6.7], for the session's window and for room in the output, in turn with other senders
/// of the link and without a time limit of its own: wrap it in [`tokio::time::timeout`] where one is wanted. What waits can
/// be dropped at no cost.
#[derive(Clone)]
pub struct Sender {
    link: Arc<LinkHandle>,
    remote: Arc<Attach>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

impl Sender {
    pub(crate) fn new(link: Arc<LinkHandle>, remote: Arc<Attach>) -> Self {
        Self { link, remote }
    }

    /// Sends a message and waits for its outcome [3.4].
    ///
    /// ```no_run
    /// # async fn example(sender: amqp10::Sender) -> Result<(), amqp10::SendError> {
    /// use amqp10::Outcome;
    ///
    /// match sender.send("hello").await? {
    ///     Outcome::Accepted => println!("the peer has it"),
    ///     other => println!("not accepted: {other:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SendError::NotSent`] and [`SendError::Unknown`] tell what became of the message when the link ended;
    /// [`SendError::MessageTooLarge`], [`SendError::Encode`] and [`SendError::SettleMode`] leave the link unharmed.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits for room, nothing was sent. Dropped later, the message is sent and its outcome given up. To
    /// tell the two apart, use [`send_with_receipt`](Self::send_with_receipt).
    pub async fn send(&self, message: impl Into<OutgoingMessage>) -> Result<Outcome, SendError> {
        self.send_with_receipt(message).await?.await
    }

    /// Sends a message; the receipt is a future of its outcome. Many can be in flight.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), but never [`SendError::Unknown`]: that comes from the receipt.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing was sent. Once it resolved, the message is in the output.
    pub async fn send_with_receipt(
        &self,
        message: impl Into<OutgoingMessage>,
    ) -> Result<Receipt, SendError> {
        let mut message = message.into();
        self.encode_large(&mut message.outbound)?;
        let delivery = self.transfer(&message.outbound, false).await?;
        Ok(Receipt {
            link: self.link.clone(),
            delivery,
        })
    }

    /// Sends a message if that needs no waiting: there is credit and room, and nobody waits before. `None` if it does, and
    /// nothing was sent.
    ///
    /// # Errors
    ///
    /// As [`send_with_receipt`](Self::send_with_receipt).
    pub fn try_send_with_receipt(
        &self,
        message: impl Into<OutgoingMessage>,
    ) -> Result<Option<Receipt>, SendError> {
        let mut message = message.into();
        self.encode_large(&mut message.outbound)?;
        let mut place = PlaceInQueue::new(&*self.link);
        let polled = place.with(|engine, key, ticket| {
            engine.poll_transfer(key, ticket, &message.outbound, false, Waker::noop())
        });
        match polled {
            Poll::Ready(delivery) => Ok(Some(Receipt {
                link: self.link.clone(),
                delivery: delivery?,
            })),
            Poll::Pending => Ok(None),
        }
    }

    /// Sends a message settled: at most once, without an outcome [2.6.12].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); never [`SendError::Unknown`], because nothing is known of a settled message.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing was sent. Once it resolved, the message is in the output.
    pub async fn send_settled(&self, message: impl Into<OutgoingMessage>) -> Result<(), SendError> {
        let mut message = message.into();
        self.encode_large(&mut message.outbound)?;
        self.transfer(&message.outbound, true).await.map(|_| ())
    }

    /// Waits for credit, the session's window and room in the output without having a message: for a node whose consumers
    /// compete, which picks the message once it is known who can take one.
    ///
    /// # Errors
    ///
    /// Why the link ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the place among those who wait to the next.
    pub async fn reserve(&self) -> Result<SendPermit, LinkError> {
        let mut place = PlaceInQueue::new(self.link.clone());
        poll_fn(|cx| place.with(|engine, key, ticket| engine.poll_ready(key, ticket, cx.waker())))
            .await?;
        Ok(SendPermit {
            sender: self.clone(),
            place,
        })
    }

    /// How many messages there are for this link that wait for nothing but credit. Flows tell the peer, and when it drains
    /// the link its credit is used up only once this is zero [2.6.7]. Where it is never said, they are the sends that wait.
    pub fn set_available(&self, messages: u32) {
        self.link
            .shared()
            .with(|engine| engine.set_available(self.link.key, messages));
    }

    /// Waits for its turn and sends. The message stays where it is: it is large, and moved for nothing otherwise.
    async fn transfer(&self, outbound: &Outbound, settled: bool) -> Result<Option<Key>, SendError> {
        let mut place = PlaceInQueue::new(&*self.link);
        poll_fn(|cx| {
            place.with(|engine, key, ticket| {
                engine.poll_transfer(key, ticket, outbound, settled, cx.waker())
            })
        })
        .await
    }

    /// What surely needs several frames is encoded here, outside the lock.
    fn encode_large(&self, outbound: &mut Outbound) -> Result<(), SendError> {
        let max_frame_size = self.link.session.connection().handle.max_frame_size();
        if let Payload::Message(message) = &outbound.payload
            && message.body_len() + PERFORMATIVE_ROOM > max_frame_size
        {
            outbound.payload = Payload::Encoded(Pieces::new(message.to_pieces()?));
        }
        Ok(())
    }

    /// The transaction of the peer's that acquires what is sent now: deliveries are then sent with its
    /// [`TransactionalState`] [4.4.3]. Always `None` on a link that was not accepted with
    /// [`transactional_acquisition`](crate::AcceptLinkOptions::transactional_acquisition).
    pub fn acquired_by(&self) -> Option<Bytes> {
        self.link
            .shared()
            .with(|engine| engine.acquired_by(self.link.key))
    }

    /// Forgets the acquiring transaction, because it was discharged; credit stays [4.4.3].
    pub fn clear_acquisition(&self) {
        self.link
            .shared()
            .with(|engine| engine.clear_acquisition(self.link.key));
    }

    pub(crate) fn link(&self) -> &LinkHandle {
        &self.link
    }

    pub(crate) fn session(&self) -> &Session {
        &self.link.session
    }

    /// Deliveries that the peer's credit allows now.
    pub fn credit(&self) -> u32 {
        self.link.credit()
    }

    /// The largest message that the peer takes, in octets; None is no limit [2.7.3].
    pub fn max_message_size(&self) -> Option<u64> {
        self.remote.max_message_size.filter(|limit| *limit > 0)
    }

    /// The peer's attach: its target, its limits, its properties [2.7.3].
    pub fn remote_attach(&self) -> &Attach {
        &self.remote
    }

    /// The address of the peer's target, such as one that it generated.
    pub fn address(&self) -> Option<&str> {
        self.remote.target.as_ref()?.address().map(Str::as_str)
    }

    /// The link's name [2.6.1].
    pub fn name(&self) -> &str {
        self.link.name.as_str()
    }

    /// Whether the link has ended, or is being detached: closed or not.
    pub fn is_detached(&self) -> bool {
        self.link.is_detached()
    }

    /// Waits until the link has ended, and says why. Has no time limit.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping the future.
    pub async fn detached(&self) -> LinkError {
        self.link.detached().await
    }

    /// Closes the link and waits for the peer's detach, at most `operation_timeout` [2.6.6]. A delivery that is being sent
    /// is sent to its end first; outcomes that arrive before the peer's detach still resolve their receipts.
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

/// The right to send the next message of a link, see [`Sender::reserve`]. Dropped, it goes to the next who waits.
#[derive(Debug)]
#[must_use = "others who send on the link wait for it"]
pub struct SendPermit {
    sender: Sender,
    place: PlaceInQueue<Arc<LinkHandle>>,
}

impl SendPermit {
    /// Sends a message; the receipt is a future of its outcome. It waits only if the credit was taken back meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Sender::send_with_receipt`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing was sent. Once it resolved, the message is in the output.
    pub async fn send_with_receipt(
        self,
        message: impl Into<OutgoingMessage>,
    ) -> Result<Receipt, SendError> {
        let Sender { link, .. } = self.sender.clone();
        let delivery = self.transfer(message.into(), false).await?;
        Ok(Receipt { link, delivery })
    }

    /// Sends a message settled. It waits only if the credit was taken back meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Sender::send_settled`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing was sent. Once it resolved, the message is in the output.
    pub async fn send_settled(self, message: impl Into<OutgoingMessage>) -> Result<(), SendError> {
        self.transfer(message.into(), true).await.map(|_| ())
    }

    async fn transfer(
        mut self,
        mut message: OutgoingMessage,
        settled: bool,
    ) -> Result<Option<Key>, SendError> {
        self.sender.encode_large(&mut message.outbound)?;
        poll_fn(|cx| {
            self.place.with(|engine, key, ticket| {
                engine.poll_transfer(key, ticket, &message.outbound, settled, cx.waker())
            })
        })
        .await
    }
}

/// A future of the outcome of one delivery [3.4]. Needs no task; dropping it gives the outcome up, not the message.
///
/// It has no time limit: the outcome comes when the peer settles, or when the link ends.
///
/// # Cancel safety
///
/// A mutable reference to it can be polled, dropped and polled again.
#[derive(Debug)]
#[must_use = "the outcome is lost if the receipt is dropped"]
pub struct Receipt {
    link: Arc<LinkHandle>,
    /// None once the outcome was read.
    delivery: Option<Key>,
}

impl Receipt {
    /// Waits until the peer ties the delivery to a transaction, and says to which and with what outcome; `None` once it
    /// cannot any more, because the outcome has come [4.4.2]. For the transactional resource: the delivery is settled with
    /// [`settle`](Self::settle) when the transaction was discharged, unless the peer settled it with the outcome.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping the future.
    pub async fn transactional_state(&mut self) -> Option<TransactionalState> {
        let delivery = self.delivery?;
        let session = self.link.key.session;
        poll_fn(|cx| {
            self.link
                .shared()
                .with(|engine| engine.poll_transactional(session, delivery, cx.waker()))
        })
        .await
    }

    /// Settles the delivery from this side, with the outcome that it has here. The peer hears it; if it had settled before,
    /// nothing happens [2.6.12].
    pub fn settle(mut self, outcome: Outcome) {
        if let Some(delivery) = self.delivery.take() {
            let session = self.link.key.session;
            self.link
                .shared()
                .with(|engine| engine.settle_sent(session, delivery, outcome));
        }
    }

    /// Takes the delivery back. If it has not been sent completely, it is aborted [2.6.14], and this resolves once the frame
    /// that says so is in the output; else it is settled with `outcome`, as by [`settle`](Self::settle). For the transactional
    /// resource whose rollback meets a delivery that is still being sent [4.4.3].
    ///
    /// # Cancel safety
    ///
    /// From the first poll on the delivery is taken back, whether the future is dropped or not.
    pub async fn retract(mut self, outcome: Outcome) {
        let Some(delivery) = self.delivery else {
            return;
        };
        let session = self.link.key.session;
        let is_aborting = self
            .link
            .shared()
            .with(|engine| engine.retract_sent(session, delivery, outcome));
        match is_aborting {
            // The link may end first, which is as good.
            true => drop(self.await),
            false => self.delivery = None,
        }
    }

    fn poll_outcome(&mut self, waker: &Waker) -> Poll<Result<Outcome, SendError>> {
        let already_read = || SendError::Unknown(LinkError::LocalDetached);
        let Some(delivery) = self.delivery else {
            return Poll::Ready(Err(already_read()));
        };
        let session = self.link.key.session;
        let polled = self
            .link
            .shared()
            .with(|engine| engine.poll_outcome(session, delivery, waker));
        polled.map(|outcome| {
            self.delivery = None;
            outcome.unwrap_or_else(|| Err(already_read()))
        })
    }
}

impl Future for Receipt {
    type Output = Result<Outcome, SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_outcome(cx.waker())
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            let session = self.link.key.session;
            self.link
                .shared()
                .with(|engine| engine.abandon_outcome(session, delivery));
        }
    }
}
