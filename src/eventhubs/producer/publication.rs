//! What is published in one transfer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use crate::codec::{EncodeError, Message, Outcome};
use crate::eventhubs::batch::EventBatch;
use crate::eventhubs::error::{Cause, ErrorKind, EventHubsError};
use crate::eventhubs::event::Event;
use crate::eventhubs::metrics::Load;
use crate::eventhubs::retry::classify;
use crate::eventhubs::wire::BATCH_MESSAGE_FORMAT;
use crate::{OutgoingMessage, Sender};

/// Bodies from this size on are not copied to be encoded.
const LARGE_BODY: usize = 32 * 1024;

/// An event or a batch on its way, and what is known of its fate.
pub(super) struct Publication {
    content: Content,
    load: Load,
    /// Whether a try may have stored it, as far as is known.
    maybe_stored: bool,
}

/// What is cheap to send as often as it takes.
enum Content {
    Encoded {
        message_format: u32,
        octets: Bytes,
    },
    /// Its body is shared by all tries.
    Message(Box<Message>),
}

impl Publication {
    fn new(content: Content, load: Load) -> Self {
        Self {
            content,
            load,
            maybe_stored: false,
        }
    }

    pub(super) fn event(event: Event) -> Result<Self, EncodeError> {
        let body_len = event.message().body_len();
        if body_len >= LARGE_BODY {
            let message = Box::new(event.into_message());
            return Ok(Self::new(
                Content::Message(message),
                Load::of_event(body_len),
            ));
        }
        let mut octets = BytesMut::new();
        event.encode(&mut octets)?;
        let load = Load::of_event(octets.len());
        let content = Content::Encoded {
            message_format: 0,
            octets: octets.freeze(),
        };
        Ok(Self::new(content, load))
    }

    pub(super) fn batch(batch: EventBatch) -> Self {
        let load = Load {
            events: batch.len(),
            bytes: batch.size_in_bytes(),
            capacity: Some(batch.max_size_in_bytes()),
        };
        let content = Content::Encoded {
            message_format: BATCH_MESSAGE_FORMAT,
            octets: batch.into_payload(),
        };
        Self::new(content, load)
    }

    /// What it holds.
    pub(super) fn load(&self) -> Load {
        self.load
    }

    /// Octets that it holds, those of a large event without its properties.
    pub(super) fn len(&self) -> usize {
        self.load.bytes
    }

    /// Whether it may be stored though no try was seen to succeed.
    pub(super) fn is_maybe_stored(&self) -> bool {
        self.maybe_stored
    }

    fn outgoing(&self) -> OutgoingMessage {
        match &self.content {
            Content::Encoded {
                message_format,
                octets,
            } => OutgoingMessage::encoded(*message_format, octets.clone()),
            Content::Message(message) => Message::clone(message).into(),
        }
    }

    /// One try on one link, each step of it within `limit`. Dropped, [`is_maybe_stored`](Self::is_maybe_stored) tells
    /// whether something was sent.
    pub(super) async fn send(&mut self, sender: &Sender, limit: Duration) -> Result<(), Cause> {
        // Nothing is sent as long as this has not resolved, and something is after.
        let receipt = timeout(limit, sender.send_with_receipt(self.outgoing())).await;
        let receipt = receipt.map_err(|_| Cause::Timeout(limit))??;
        let was_maybe_stored = std::mem::replace(&mut self.maybe_stored, true);
        let cause = match timeout(limit, receipt).await {
            Ok(Ok(Outcome::Accepted)) => return Ok(()),
            Ok(Ok(outcome)) => Cause::NotAccepted(outcome),
            Ok(Err(error)) => error.into(),
            Err(_) => Cause::OutcomeTimeout(limit),
        };
        self.maybe_stored = was_maybe_stored || classify(&cause).0 == ErrorKind::OutcomeUnknown;
        Err(cause)
    }

    /// The same without waiting for an outcome.
    pub(super) async fn send_settled(&self, sender: &Sender, limit: Duration) -> Result<(), Cause> {
        let sent = timeout(limit, sender.send_settled(self.outgoing())).await;
        Ok(sent.map_err(|_| Cause::Timeout(limit))??)
    }

    /// The error for all tries together, of which this one ended the last.
    pub(super) fn explain(&self, error: EventHubsError) -> EventHubsError {
        if self.maybe_stored && error.kind() != ErrorKind::OutcomeUnknown {
            return error.wrapped(Cause::AfterUnknown);
        }
        error
    }
}
