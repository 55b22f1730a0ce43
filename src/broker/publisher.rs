//! A link on which a peer sends messages to the broker.

use std::sync::Arc;

use tokio::time::Instant;

use super::address::NodeName;
use super::message::StoredMessage;
use crate::codec::{AmqpError, DeliveryState, Symbol, TransactionalState, condition};
use crate::{Delivery, Receiver};

/// Where a link's messages go.
#[derive(Clone, Debug)]
pub(super) enum Destination {
    Node(NodeName),
    /// Where its `to` says: the link ends at the anonymous terminus (Z-011).
    OfEachMessage,
}

/// A message, and the node that it is for.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) node: NodeName,
    pub(super) message: Arc<StoredMessage>,
}

/// A link on which a peer sends.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    pub(super) receiver: Receiver,
    pub(super) destination: Destination,
    /// Whether the peer's source lets a delivery be rejected.
    pub(super) takes_rejected: bool,
}

impl Publisher {
    /// The message of a delivery, and the node that it is for.
    pub(super) fn route(&self, delivery: &Delivery, connection: u64) -> Result<Route, AmqpError> {
        let message = StoredMessage::new(
            delivery.message_format(),
            delivery.payload().clone(),
            connection,
            Instant::now(),
        )
        .map_err(|error| AmqpError::new(condition::DECODE_ERROR, error.to_string()))?;
        let node = match &self.destination {
            Destination::Node(node) => node.clone(),
            Destination::OfEachMessage => {
                let to = message.view().properties.to.as_deref().ok_or_else(|| {
                    let text = "a message to the anonymous terminus needs the property to";
                    AmqpError::new(condition::PRECONDITION_FAILED, text)
                })?;
                NodeName::parse(to, &[])?
            }
        };
        Ok(Route {
            node,
            message: Arc::new(message),
        })
    }

    /// Refuses a delivery: as an outcome if the peer takes that, and otherwise with the error that the link has to end with
    /// (H-003, Z-013).
    pub(super) fn refuse(&self, refused: RefusedDelivery) -> Option<AmqpError> {
        let RefusedDelivery {
            delivery,
            mut error,
        } = refused;
        if self.takes_rejected && !delivery.is_settled() {
            // A peer that is gone needs no answer.
            let _ = delivery.reject(Some(error));
            return None;
        }
        let tag = bytes::Bytes::copy_from_slice(delivery.delivery_tag().as_bytes());
        error.info.insert(Symbol::from_static("delivery-tag"), tag); // Z-014
        Some(error)
    }
}

/// A delivery that is not taken, and why.
#[derive(Debug)]
pub(super) struct RefusedDelivery {
    pub(super) delivery: Delivery,
    pub(super) error: AmqpError,
}

/// The transaction that a delivery was posted in.
pub(super) fn transaction_of(delivery: &Delivery) -> Option<&TransactionalState> {
    match delivery.state() {
        Some(DeliveryState::Transactional(state)) => Some(state),
        _ => None,
    }
}
