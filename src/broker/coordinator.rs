//! What a connection does for its transactions: requests on control links, and retirements.

use std::sync::Arc;

use bytes::Bytes;

use super::connection::{Event, Service};
use super::consumer::WatchedReceipt;
use super::nodes::{LinkEnd, LinkId};
use super::transactions::{SentKey, Transaction, rolled_back};
use crate::codec::{AmqpError, DeliveryState, Outcome, TransactionalState, condition};
use crate::lock::lock;
use crate::transaction::{ControlLink, DischargeRequest, TransactionRequest};

/// A transaction was undone; what is left is to tell the peer of the deliveries that it had acquired.
#[derive(Default)]
#[must_use = "the peer does not know of it"]
struct Rollback {
    released: Vec<WatchedReceipt>,
}

impl Rollback {
    /// Waits until the peer is told: a delivery that is half sent is aborted first.
    async fn finished(self) {
        for receipt in self.released {
            receipt.retract(Outcome::Released).await;
        }
    }
}

impl Service {
    /// Waits for the next request, behind everything that was sent before it on other links.
    pub(super) fn request_next(&mut self, id: LinkId) {
        if let Some(control) = self.controls.get(&id) {
            let control = control.clone();
            self.turns
                .push_last(async move { Event::Requested(id, control.recv().await) });
        }
    }

    pub(super) fn on_request(&mut self, id: LinkId, request: TransactionRequest) {
        match request {
            TransactionRequest::Declare(declare) if declare.global_id().is_some() => {
                let text = "distributed transactions are not supported";
                let error = AmqpError::new(condition::NOT_IMPLEMENTED, text);
                self.in_background(declare.reject(error));
            }
            TransactionRequest::Declare(declare) => match self.transactions.declare(id) {
                // If the link is gone, the transaction is rolled back with it.
                Ok(txn_id) => drop(declare.declared(txn_id)),
                Err(error) => self.in_background(declare.reject(error)),
            },
            TransactionRequest::Discharge(discharge) => self.on_discharge(id, discharge),
        }
    }

    fn on_discharge(&mut self, control: LinkId, request: DischargeRequest) {
        let txn_id = request.txn_id().clone();
        if self.is_incomplete(&txn_id) {
            let text = "a message of the transaction has not arrived completely";
            let error = AmqpError::new(condition::TRANSACTION_ROLLBACK, text);
            if let Some(control) = self.take_control(control) {
                self.in_background(async move {
                    let closed = control.close_with_error(error).await;
                    drop(request); // later than its link, so that nothing else is said of it
                    closed
                });
            }
            return;
        }
        match self.transactions.get_mut(&txn_id) {
            Ok(transaction) if transaction.control == control => {}
            Ok(_) | Err(_) => {
                let text = "this control link has declared no such transaction";
                let error = AmqpError::new(condition::TRANSACTION_UNKNOWN_ID, text);
                return self.in_background(request.reject(error));
            }
        }
        if request.is_rollback() {
            let rollback = self.roll_back(&txn_id);
            return self.in_background(async move {
                rollback.finished().await;
                request.discharged()
            });
        }
        match self.commit(&txn_id) {
            // If the link is gone, it is committed all the same.
            Ok(()) => drop(request.discharged()),
            Err(error) => {
                let rollback = self.roll_back(&txn_id);
                self.in_background(async move {
                    rollback.finished().await;
                    request.reject(error).await
                });
            }
        }
    }

    /// Whether a message of the transaction is still being received.
    fn is_incomplete(&self, txn_id: &Bytes) -> bool {
        self.publishers.values().any(|publisher| {
            matches!(
                publisher.receiver.incomplete_state(),
                Some(DeliveryState::Transactional(state)) if state.txn_id == *txn_id
            )
        })
    }

    /// Does everything that was asked for in the transaction, or nothing.
    fn commit(&mut self, txn_id: &Bytes) -> Result<(), AmqpError> {
        let shared = self.peer.shared.clone();
        let mut nodes = lock(&shared.nodes);
        let transaction = self.transactions.get_mut(txn_id)?;
        transaction.check(&mut nodes)?;
        for key in transaction.retirements.keys() {
            let delivery = self.sent.get(key);
            if delivery.is_none_or(|delivery| !delivery.acquired.is_live(&nodes)) {
                let text = "a message is not there any more";
                let error = AmqpError::new(condition::RESOURCE_DELETED, text);
                return Err(rolled_back(&error));
            }
        }
        let transaction = self.transactions.remove(txn_id)?;
        transaction.publish(&mut nodes);
        let mut receipts = Vec::new();
        for (key, outcome) in &transaction.retirements {
            if let Some(delivery) = self.sent.remove(key) {
                delivery.acquired.settle_in(&mut nodes, outcome.clone());
                receipts.push((delivery.receipt, outcome.clone()));
            }
        }
        drop(nodes);
        transaction.settle_postings(true);
        for (receipt, outcome) in receipts {
            receipt.settle(outcome);
        }
        self.clear_acquisitions(txn_id);
        Ok(())
    }

    /// Undoes a transaction: what was posted is gone, what was retired is acquired as before, and what was acquired
    /// for it is available again.
    fn roll_back(&mut self, txn_id: &Bytes) -> Rollback {
        let Ok(transaction) = self.transactions.remove(txn_id) else {
            return Rollback::default();
        };
        transaction.settle_postings(false);
        let released = self.release_acquisitions(&transaction);
        for key in transaction.retirements.keys() {
            let is_over = self
                .sent
                .get(key)
                .is_some_and(|delivery| !delivery.receipt.is_open());
            if is_over {
                self.sent.remove(key); // with the default outcome
            }
        }
        self.clear_acquisitions(txn_id);
        Rollback { released }
    }

    fn release_acquisitions(&mut self, transaction: &Transaction) -> Vec<WatchedReceipt> {
        let acquisitions = transaction.acquisitions.iter();
        acquisitions
            .filter_map(|key| self.sent.remove(key))
            .map(|delivery| {
                delivery.acquired.settle(Outcome::Released);
                delivery.receipt
            })
            .collect()
    }

    /// Links that acquired for the transaction go on without.
    fn clear_acquisitions(&mut self, txn_id: &Bytes) {
        for consumer in self.consumers.values() {
            if consumer.sender.acquired_by().as_ref() == Some(txn_id) {
                consumer.sender.clear_acquisition();
            }
        }
    }

    /// The peer ties a delivery to a transaction, with the outcome that it is to have.
    pub(super) fn on_tied(&mut self, key: SentKey, state: TransactionalState) {
        let Some(delivery) = self.sent.get(&key) else {
            return;
        };
        let consumer = delivery.consumer;
        let tied_to = self.transactions.tied_to(key).cloned();
        match self.transactions.get_mut(&state.txn_id) {
            Err(error) => self.expel(consumer, error),
            Ok(transaction) if tied_to.is_some_and(|other| other != state.txn_id) => {
                let control = transaction.control;
                let text = "a delivery is retired in another transaction already";
                let error = AmqpError::new(condition::TRANSACTION_ROLLBACK, text);
                self.end_control(control, Some(error));
            }
            Ok(transaction) => {
                if let Some(outcome) = state.outcome {
                    transaction.retire(&lock(&self.peer.shared.nodes), key, outcome);
                }
            }
        }
        self.watch(key);
    }

    /// A control link ends: its transactions are rolled back.
    pub(super) fn end_control(&mut self, id: LinkId, error: Option<AmqpError>) {
        if let (Some(control), Some(error)) = (self.take_control(id), error) {
            self.in_background(async move { control.close_with_error(error).await });
        }
    }

    fn take_control(&mut self, id: LinkId) -> Option<Arc<ControlLink>> {
        let control = self.controls.remove(&id)?;
        for txn_id in self.transactions.of(id) {
            let rollback = self.roll_back(&txn_id);
            self.in_background(async move {
                rollback.finished().await;
                Ok(())
            });
        }
        self.peer.shared.end_link(id, LinkEnd::Closed);
        Some(control)
    }
}
