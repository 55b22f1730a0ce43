//! A received delivery.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::codec::{
    AmqpError, DecodeError, DeliveryState, DeliveryTag, Message, Modified, Outcome, Rejected,
    Sections,
};
use crate::engine::Inbound;
use crate::error::LinkError;
use crate::link::LinkHandle;
use crate::options::OnDrop;
use crate::session::Session;

/// A message that arrived, and the duty to say what became of it [2.6.12].
///
/// Settling is a mark that needs no waiting and can be made from any task, also while another one receives; marks are
/// merged into few frames. A delivery that is dropped unsettled is settled as [`ReceiverOptions::on_drop`] says.
///
/// The payload is a slice of what was read from the stream. [`into_owned`](Self::into_owned) copies it, for a delivery that
/// is kept for long.
///
/// [`ReceiverOptions::on_drop`]: crate::ReceiverOptions::on_drop
pub struct Delivery {
    link: Arc<LinkHandle>,
    inbound: Inbound,
    on_drop: OnDrop,
    is_settled: AtomicBool,
}

/// Shows how much was received, not what.
impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("link", &self.link)
            .field("inbound", &self.inbound)
            .field("is_settled", &self.is_settled())
            .finish_non_exhaustive()
    }
}

impl Delivery {
    pub(crate) fn new(
        link: Arc<LinkHandle>,
        inbound: Inbound,
        on_drop: OnDrop,
        auto_accept: bool,
    ) -> Self {
        let is_settled = AtomicBool::new(inbound.settled || auto_accept);
        Self {
            link,
            inbound,
            on_drop,
            is_settled,
        }
    }

    /// The whole message, decoded. Strings and bodies are slices of the payload.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the payload is not a message of format 0; link and connection are unharmed.
    pub fn message(&self) -> Result<Message, DecodeError> {
        Message::decode(self.inbound.payload.clone())
    }

    /// The message's sections, found but not decoded.
    ///
    /// # Errors
    ///
    /// As [`message`](Self::message).
    pub fn sections(&self) -> Result<Sections, DecodeError> {
        Sections::scan(self.inbound.payload.clone())
    }

    /// The octets of the message as they were sent.
    pub fn payload(&self) -> &Bytes {
        &self.inbound.payload
    }

    pub(crate) fn session(&self) -> &Session {
        &self.link.session
    }

    /// The format of the payload: 0 for AMQP messages [2.8.11].
    pub fn message_format(&self) -> u32 {
        self.inbound.message_format
    }

    /// The sender's name for this delivery.
    pub fn delivery_tag(&self) -> DeliveryTag {
        self.inbound.delivery_tag
    }

    /// The number of this delivery in its session.
    pub fn delivery_id(&self) -> u32 {
        self.inbound.delivery_id
    }

    /// The state that the sender stated with the transfer.
    pub fn state(&self) -> Option<&DeliveryState> {
        self.inbound.state.as_ref()
    }

    /// Whether the sender resumes a delivery of an earlier attachment of the link [2.6.13]: its message may have been handed out
    /// before.
    pub fn is_resumed(&self) -> bool {
        self.inbound.resumed
    }

    /// Whether there is nothing left to settle: the sender sent it settled, or it was settled here.
    pub fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Acquire)
    }

    /// Whether the sender expects no outcome.
    pub(crate) fn was_sent_settled(&self) -> bool {
        self.inbound.settled
    }

    /// Accepts: the message was processed [3.4.2].
    ///
    /// # Errors
    ///
    /// Why the link ended, if it has: the sender will not learn of the outcome, and may send the message again.
    pub fn accept(&self) -> Result<(), LinkError> {
        self.settle(Outcome::Accepted)
    }

    /// Rejects: the message is invalid and cannot be processed [3.4.3].
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn reject(&self, error: Option<AmqpError>) -> Result<(), LinkError> {
        let error = error.map(Box::new);
        self.settle(Outcome::Rejected(Rejected { error }))
    }

    /// Releases: the message was not and will not be processed here [3.4.4].
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn release(&self) -> Result<(), LinkError> {
        self.settle(Outcome::Released)
    }

    /// Modifies: as release, with a change to the message or to where it may go [3.4.5].
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn modify(&self, modified: Modified) -> Result<(), LinkError> {
        self.settle(Outcome::Modified(modified))
    }

    /// Gives the delivery a state of any kind, such as an outcome within a transaction. Does nothing if it is settled.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn settle(&self, state: impl Into<DeliveryState>) -> Result<(), LinkError> {
        let state = state.into();
        self.link.shared().with(|engine| {
            if self.is_settled() {
                return Ok(());
            }
            engine.settle(self.link.key, self.inbound.delivery_id, state)?;
            self.is_settled.store(true, Ordering::Release);
            Ok(())
        })
    }

    /// States where the delivery stands without settling it: how much of it has arrived, or the outcome that it gets if a
    /// transaction succeeds [2.7.6, 4.4.2]. Does nothing if it is settled.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn update(&self, state: impl Into<DeliveryState>) -> Result<(), LinkError> {
        if self.is_settled() {
            return Ok(());
        }
        let state = state.into();
        self.link
            .shared()
            .with(|engine| engine.update(self.link.key, self.inbound.delivery_id, state))
    }

    /// Accepts, and waits until the sender has settled too: exactly once, on a link in receiver settle mode second
    /// [2.6.12]. In mode first it resolves at once. Has no time limit.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    ///
    /// # Cancel safety
    ///
    /// The outcome is sent in any case; only the wait is given up.
    pub async fn accept_confirmed(&self) -> Result<(), LinkError> {
        self.accept()?;
        let (key, delivery_id) = (self.link.key, self.inbound.delivery_id);
        self.link
            .shared()
            .wait(|engine, watcher| engine.poll_confirmed(key, delivery_id, watcher))
            .await
    }

    /// Copies the payload out of the buffer that it was read into, so that keeping it does not keep the buffer.
    pub fn into_owned(mut self) -> Self {
        self.inbound.payload = Bytes::copy_from_slice(&self.inbound.payload);
        self
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let (false, Some(outcome)) = (self.is_settled(), self.on_drop.outcome()) {
            // A link that has ended has released its deliveries: there is nobody to tell.
            let _ = self.settle(outcome);
        }
    }
}
