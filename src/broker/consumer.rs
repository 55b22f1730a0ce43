//! A link on which a peer gets messages from the broker.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use tokio::time::Instant;

use super::acquired::Acquired;
use super::bell::Bell;
use super::connection::Peer;
use super::nodes::{LinkId, QueueId};
use super::queue::Offer;
use crate::codec::{AmqpError, Modified, Outcome, TransactionalState, condition};
use crate::lock::lock;
use crate::{LinkError, OutgoingMessage, Receipt, SendError, SendPermit, Sender};

/// A link on which a peer receives.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) id: LinkId,
    pub(super) sender: Sender,
    pub(super) bell: Arc<Bell>,
    /// Whether deliveries are sent settled: at most once.
    pub(super) is_settled: bool,
    /// What becomes of a message whose delivery ends without an outcome.
    pub(super) default_outcome: Outcome,
}

/// A delivery that is under way.
#[derive(Debug)]
pub(super) struct SentDelivery {
    pub(super) consumer: LinkId,
    pub(super) acquired: Acquired,
    pub(super) receipt: WatchedReceipt,
    /// The transaction that acquired it.
    pub(super) acquired_by: Option<Bytes>,
}

/// A message that is to be sent now.
struct Taken {
    permit: SendPermit,
    /// The transaction that acquires it.
    acquired_by: Option<Bytes>,
    queue: QueueId,
    offer: Offer,
}

/// Why no more is sent on a link.
#[derive(Debug)]
pub(super) enum ConsumerEnd {
    /// It has ended.
    Link(LinkError),
    /// It has to end, with this reason.
    Refused(AmqpError),
}

impl From<LinkError> for ConsumerEnd {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

impl Consumer {
    /// Waits for credit and for a message, and sends that. None if nothing that becomes of the delivery matters.
    pub(super) async fn send_next(
        &self,
        peer: &Arc<Peer>,
    ) -> Result<Option<SentDelivery>, ConsumerEnd> {
        let taken = tokio::select! {
            biased;
            error = self.sender.detached() => return Err(error.into()),
            taken = self.take_next(peer) => taken?,
        };
        let Taken {
            permit,
            acquired_by,
            queue,
            offer,
        } = taken;
        let acquired = offer.place.map(|place| Acquired {
            shared: Arc::clone(&peer.shared),
            queue,
            place,
            consumer: self.id,
            default_outcome: Some(self.default_outcome.clone()),
        });
        let payload = offer
            .message
            .with_changes(&offer.changes, Instant::now())
            .map_err(ConsumerEnd::Refused)?;
        let mut message = OutgoingMessage::encoded(offer.message.format(), payload);
        if let Some(txn_id) = &acquired_by {
            let state = TransactionalState {
                txn_id: txn_id.clone(),
                outcome: None,
            };
            message = message.with_state(state);
        }
        self.send(permit, message, acquired, acquired_by).await
    }

    /// Waits for credit first: only who can send takes a message from the others. Whoever waits for a message gives its turn
    /// on the link back, so that a drain does not wait for it.
    async fn take_next(&self, peer: &Arc<Peer>) -> Result<Taken, ConsumerEnd> {
        loop {
            let permit = self.permit(peer).await?;
            let acquired_by = self.acquired_by(peer)?;
            let taken = lock(&peer.shared.nodes).take(self.id, &self.bell, Instant::now());
            if let Some((queue, offer)) = taken {
                return Ok(Taken {
                    permit,
                    acquired_by,
                    queue,
                    offer,
                });
            }
            drop(permit);
            self.bell.rung().await;
        }
    }

    /// Waits for credit and room; while it does, messages are for others.
    async fn permit(&self, peer: &Peer) -> Result<SendPermit, LinkError> {
        let mut reserve = pin!(self.sender.reserve());
        tokio::select! {
            biased;
            permit = &mut reserve => return permit,
            () = std::future::ready(()) => {}
        }
        lock(&peer.shared.nodes).decline(self.id, &self.bell, Instant::now());
        reserve.await
    }

    /// The transaction that acquires what is sent now.
    fn acquired_by(&self, peer: &Peer) -> Result<Option<Bytes>, ConsumerEnd> {
        let acquired_by = self.sender.acquired_by();
        if let Some(txn_id) = &acquired_by
            && !lock(&peer.live_transactions).contains(txn_id)
        {
            let text = "there is no transaction of that id to acquire messages for";
            let error = AmqpError::new(condition::TRANSACTION_UNKNOWN_ID, text);
            return Err(ConsumerEnd::Refused(error));
        }
        Ok(acquired_by)
    }

    async fn send(
        &self,
        permit: SendPermit,
        message: OutgoingMessage,
        acquired: Option<Acquired>,
        acquired_by: Option<Bytes>,
    ) -> Result<Option<SentDelivery>, ConsumerEnd> {
        let sent = match self.is_settled {
            true => permit.send_settled(message).await.map(|()| None),
            false => permit.send_with_receipt(message).await.map(Some),
        };
        match (sent, acquired) {
            (Ok(Some(receipt)), Some(acquired)) => Ok(Some(SentDelivery {
                consumer: self.id,
                acquired,
                receipt: WatchedReceipt::new(receipt),
                acquired_by,
            })),
            (Ok(None), Some(acquired)) => {
                acquired.settle(Outcome::Accepted);
                Ok(None)
            }
            (Ok(_), None) => Ok(None), // only looked at
            (Err(SendError::NotSent(error) | SendError::Unknown(error)), _) => Err(error.into()),
            (Err(error), acquired) => {
                // It is too large for this peer, for example: others may get it.
                tracing::debug!(%error, "a message cannot be sent to this consumer");
                if let Some(acquired) = acquired {
                    let undeliverable = Modified {
                        undeliverable_here: true,
                        ..Modified::default()
                    };
                    acquired.settle(undeliverable.into());
                }
                Ok(None)
            }
        }
    }
}

/// A receipt that one future watches, and that can be settled meanwhile.
#[derive(Clone, Debug)]
pub(super) struct WatchedReceipt(Arc<Mutex<Option<Receipt>>>);

impl WatchedReceipt {
    fn new(receipt: Receipt) -> Self {
        Self(Arc::new(Mutex::new(Some(receipt))))
    }

    /// The next transaction that the peer ties the delivery to; None once there is an outcome.
    pub(super) async fn transactional_state(&self) -> Option<TransactionalState> {
        std::future::poll_fn(|context| match lock(&self.0).as_mut() {
            Some(receipt) => pin!(receipt.transactional_state()).poll(context),
            None => Poll::Ready(None),
        })
        .await
    }

    /// The outcome; None if the delivery was settled from this side.
    pub(super) async fn outcome(&self) -> Option<Result<Outcome, SendError>> {
        let outcome = std::future::poll_fn(|context| match lock(&self.0).as_mut() {
            Some(receipt) => pin!(receipt).poll(context).map(Some),
            None => Poll::Ready(None),
        })
        .await;
        lock(&self.0).take();
        outcome
    }

    /// Whether the peer waits for it to be settled from this side.
    pub(super) fn is_open(&self) -> bool {
        lock(&self.0).is_some()
    }

    /// Takes the delivery back from this side; waits until the peer is told.
    pub(super) async fn retract(&self, outcome: Outcome) {
        let receipt = lock(&self.0).take();
        if let Some(receipt) = receipt {
            receipt.retract(outcome).await;
        }
    }

    /// Settles from this side.
    pub(super) fn settle(&self, outcome: Outcome) {
        let receipt = lock(&self.0).take();
        if let Some(receipt) = receipt {
            receipt.settle(outcome);
        }
    }
}
