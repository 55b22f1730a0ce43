//! The sending link: what is not settled is kept, and sent again on the next attachment.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};

use super::outbox::Outbox;
use super::sending::SenderAttaching;
use super::slot::LinkSlot;
use super::{ReconnectError, ReconnectingConnection, Waiting, new_name};
use crate::codec::{Outcome, Str};
use crate::{LinkError, OutgoingMessage, SendError, SenderOptions};

/// A link on which this side sends, attached again when it was lost: a [`Sender`](crate::Sender) that comes back.
///
/// Handles are cheap to clone and can be used from any task. When the last handle and the last receipt are dropped, the link is
/// closed in the background, or detached if its target is to outlive the session.
///
/// Each message is kept, encoded, until its outcome is there: memory is what is in flight.
#[derive(Clone)]
pub struct ReconnectingSender {
    link: Arc<LinkSlot<SenderAttaching>>,
}

impl ReconnectingSender {
    pub(super) fn new(
        connection: ReconnectingConnection,
        address: Str,
        mut options: SenderOptions,
    ) -> Self {
        let name = options.name.get_or_insert_with(new_name).clone();
        let link = LinkSlot::new(connection.clone(), |ending| SenderAttaching {
            connection,
            name,
            address,
            options,
            outbox: Outbox::default(),
            was_attached: AtomicBool::new(false),
            ending,
        });
        Self { link }
    }

    /// Sends a message and waits for its outcome, across lost links and connections. See the [module](super) for what is
    /// promised.
    ///
    /// # Errors
    ///
    /// What stood in the way at the last attempt; [`SendError::Unknown`] if the outcome was lost and
    /// [`retry_unknown`](super::ReconnectOptions::retry_unknown) is off; [`ReconnectError::TagOrState`] for a message with a
    /// delivery tag or a state. An error of the message alone, such as [`SendError::MessageTooLarge`], may come though an earlier
    /// attachment took the message: the peer has it or not, then.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the message may or may not have been sent; it is not sent again.
    pub async fn send(
        &self,
        message: impl Into<OutgoingMessage>,
    ) -> Result<Outcome, ReconnectError> {
        self.send_with_receipt(message).await?.await
    }

    /// Sends a message; the receipt is a future of its outcome. Many can be in flight. Once it is sent, whoever attaches the link
    /// anew sends it again, in its order, whether the receipt is polled or not.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); that an outcome was lost comes from the receipt.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing was sent. Once it resolved, the message is in the output of a link.
    pub async fn send_with_receipt(
        &self,
        message: impl Into<OutgoingMessage>,
    ) -> Result<ReconnectingReceipt, ReconnectError> {
        let message = plain(message.into())?;
        let kept = Kept {
            number: self.link.attaching.outbox.add(message),
            link: self.link.clone(),
        };
        kept.start().await?;
        Ok(ReconnectingReceipt {
            outcome: Some(Box::pin(kept.outcome())),
        })
    }

    /// Sends a message settled: at most once, without an outcome [2.6.12]. It waits for a link, and is lost if that is lost after
    /// this resolved.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing was sent. Once it resolved, the message is in the output of a link.
    pub async fn send_settled(
        &self,
        message: impl Into<OutgoingMessage>,
    ) -> Result<(), ReconnectError> {
        let message = plain(message.into())?;
        loop {
            let attached = self.link.get().await?;
            match attached.link.send_settled(message.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => self.link.on_failed(error)?,
            }
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
    /// being attached. What waits fails at once. A link that is lost is not attached again for this.
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

    /// Detaches for good without closing: the peer may keep its terminus [2.6.4]. Otherwise as [`close`](Self::close).
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

impl fmt::Debug for ReconnectingSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingSender")
            .field("name", &self.link.attaching.name)
            .field("address", &self.link.attaching.address)
            .field("unsettled", &self.link.attaching.outbox.len())
            .finish_non_exhaustive()
    }
}

/// The message ready to be sent more than once.
fn plain(message: OutgoingMessage) -> Result<OutgoingMessage, ReconnectError> {
    match message.is_plain() {
        true => Ok(message.into_encoded().map_err(SendError::from)?),
        false => Err(ReconnectError::TagOrState),
    }
}

impl LinkSlot<SenderAttaching> {
    /// `Ok` if the message may be sent on the next attachment.
    fn on_failed(&self, error: SendError) -> Result<(), ReconnectError> {
        let Some(lost) = error.link_error() else {
            return Err(error.into());
        };
        let retry_unknown = self.attaching.connection.options().retry_unknown;
        match self.on_lost(lost) {
            Err(ReconnectError::Closed) => Err(ReconnectError::Closed),
            Ok(()) if retry_unknown || matches!(error, SendError::NotSent(_)) => Ok(()),
            _ => Err(error.into()),
        }
    }
}

/// A message as long as somebody waits for its outcome.
struct Kept {
    link: Arc<LinkSlot<SenderAttaching>>,
    number: u64,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.outbox().remove(self.number);
    }
}

impl Kept {
    fn outbox(&self) -> &Outbox {
        &self.link.attaching.outbox
    }

    /// Sends the message on the link of the moment, unless whoever attached that has done so.
    async fn start(&self) -> Result<(), ReconnectError> {
        loop {
            let attached = self.link.get().await?;
            let Some(message) = self.outbox().depart(self.number) else {
                return Ok(());
            };
            match attached.link.send_with_receipt(message).await {
                Ok(receipt) => {
                    self.outbox().departed(self.number, receipt);
                    return Ok(());
                }
                Err(error) => {
                    self.outbox().stayed(self.number, &error);
                    self.link.on_failed(error)?;
                }
            }
        }
    }

    async fn outcome(self) -> Result<Outcome, ReconnectError> {
        loop {
            let conclusion = poll_fn(|cx| self.outbox().poll_conclusion(self.number, cx));
            match conclusion.await {
                Ok(outcome) => {
                    self.link.count_as_success();
                    return Ok(outcome);
                }
                Err(error) => self.link.on_failed(error)?,
            }
            if let Err(error) = self.start().await {
                // It may have been concluded on an attachment that was lost as well.
                let conclusion = self.outbox().conclusion(self.number);
                return conclusion.map_or(Err(error), |concluded| Ok(concluded?));
            }
        }
    }
}

/// A future of the outcome of one message, across lost links and connections.
///
/// It has no time limit but that of the attempts. The message is sent again only as long as the receipt is held: dropped, the
/// outcome is given up, and a message that is lost with its link stays lost.
///
/// # Cancel safety
///
/// A mutable reference to it can be polled, dropped and polled again.
#[must_use = "the outcome is lost if the receipt is dropped"]
pub struct ReconnectingReceipt {
    /// None once it was read.
    outcome: Option<Waiting<Outcome>>,
}

impl Future for ReconnectingReceipt {
    type Output = Result<Outcome, ReconnectError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(outcome) = &mut self.outcome else {
            let already_read = SendError::Unknown(LinkError::LocalDetached);
            return Poll::Ready(Err(already_read.into()));
        };
        let polled = outcome.as_mut().poll(context);
        if polled.is_ready() {
            self.outcome = None;
        }
        polled
    }
}

impl fmt::Debug for ReconnectingReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingReceipt")
            .finish_non_exhaustive()
    }
}
