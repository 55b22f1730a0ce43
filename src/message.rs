//! What is handed to a sender.

use bytes::Bytes;

use crate::codec::{DeliveryState, DeliveryTag, EncodeError, Message, Outcome};
use crate::engine::{Outbound, Payload, Pieces};

/// A message on its way out, with what the transfer says about it [2.7.5].
///
/// Most of the time it is made by `into()`, from a [`Message`], a string (an amqp-value section) or bytes (a data section).
#[derive(Clone, Debug, PartialEq)]
pub struct OutgoingMessage {
    pub(crate) outbound: Outbound,
}

impl OutgoingMessage {
    /// Octets in any message format, sent as they are: sections that were encoded before or received elsewhere (format 0),
    /// or a format of its own such as Event Hubs' batches.
    pub fn encoded(message_format: u32, payload: impl Into<Bytes>) -> Self {
        Self::new(Payload::Encoded(payload.into().into()), message_format)
    }

    fn new(payload: Payload, message_format: u32) -> Self {
        Self {
            outbound: Outbound {
                payload,
                message_format,
                delivery_tag: None,
                state: None,
                resume: false,
                aborted: false,
            },
        }
    }

    /// Whether it says nothing about its delivery: neither tag nor state.
    pub(crate) fn is_plain(&self) -> bool {
        let outbound = &self.outbound;
        outbound.delivery_tag.is_none() && outbound.state.is_none()
    }

    /// The same message encoded, so that it can be sent more than once at no cost.
    pub(crate) fn into_encoded(mut self) -> Result<Self, EncodeError> {
        if let Payload::Message(message) = &self.outbound.payload {
            self.outbound.payload = Payload::Encoded(Pieces::new(message.to_pieces()?));
        }
        Ok(self)
    }

    /// Names the delivery, instead of the number that the link would give it. It must differ from those of all deliveries
    /// of the link that are not settled [2.6.12].
    pub fn with_delivery_tag(mut self, delivery_tag: DeliveryTag) -> Self {
        self.outbound.delivery_tag = Some(delivery_tag);
        self
    }

    /// States the delivery's state at the sender, such as the transaction that it belongs to.
    pub fn with_state(mut self, state: impl Into<DeliveryState>) -> Self {
        self.outbound.state = Some(state.into());
        self
    }

    /// A delivery that was not settled when its link was lost, sent again on the link's new attachment [2.6.13]: under the tag
    /// that it had, which the receiver's [unsettled map](crate::codec::Attach::unsettled) must name.
    pub fn resumed(mut self, delivery_tag: DeliveryTag) -> Self {
        self.outbound.delivery_tag = Some(delivery_tag);
        self.outbound.resume = true;
        self
    }

    /// A delivery of an earlier attachment that ends with this outcome: without its message, which the receiver does not need
    /// any more [3.4.6].
    pub fn resumed_with_outcome(delivery_tag: DeliveryTag, outcome: Outcome) -> Self {
        Self::encoded(0, Bytes::new())
            .with_state(outcome)
            .resumed(delivery_tag)
    }

    /// A delivery of an earlier attachment whose message is not at hand any more [3.4.6].
    pub fn aborted(delivery_tag: DeliveryTag) -> Self {
        let mut message = Self::encoded(0, Bytes::new()).resumed(delivery_tag);
        message.outbound.aborted = true;
        message
    }
}

impl From<Message> for OutgoingMessage {
    fn from(message: Message) -> Self {
        Self::new(Payload::Message(message), 0)
    }
}

impl From<&str> for OutgoingMessage {
    fn from(text: &str) -> Self {
        Message::from(text).into()
    }
}

impl From<String> for OutgoingMessage {
    fn from(text: String) -> Self {
        Message::from(text).into()
    }
}

impl From<Bytes> for OutgoingMessage {
    fn from(octets: Bytes) -> Self {
        Message::from(octets).into()
    }
}

impl From<Vec<u8>> for OutgoingMessage {
    fn from(octets: Vec<u8>) -> Self {
        Message::from(octets).into()
    }
}
