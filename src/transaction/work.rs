//! A transaction from the controller's side: work that succeeds or fails as a whole.

use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::TransactionError;
use super::controller::{Control, refusal};
use crate::codec::transaction::Discharge;
use crate::codec::{Outcome, TransactionalState};
use crate::lock::lock;
use crate::{Delivery, OutgoingMessage, Receipt, Receiver, Sender};

/// A piece of work that succeeds or fails as a whole. Dropping it without [`commit`](Self::commit) rolls it back [4.4].
///
/// What it does is provisional until the commit: messages sent are visible to nobody, deliveries retired are still ours.
pub struct Transaction {
    lives: LiveTransaction,
    id: Bytes,
    is_discharged: bool,
    work: Mutex<Work>,
}

/// What is to be ended with the transaction.
#[derive(Default)]
struct Work {
    posted: Vec<(Receipt, Outcome)>,
    retired: Vec<(Delivery, Outcome)>,
    acquiring: Vec<Receiver>,
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Transaction {
    pub(super) fn new(lives: LiveTransaction, id: Bytes) -> Self {
        Self {
            lives,
            id,
            is_discharged: false,
            work: Mutex::default(),
        }
    }

    /// The name that the resource gave the transaction, at most 32 octets [4.5.5].
    pub fn id(&self) -> &Bytes {
        &self.id
    }

    /// Sends a message as part of the transaction [4.4.1], and waits until the peer says what will become of it if the
    /// transaction succeeds.
    ///
    /// # Errors
    ///
    /// As [`Sender::send`]; and if the link belongs to another session and the coordinator does not allow that.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the message may or may not be part of the transaction.
    pub async fn send(
        &self,
        sender: &Sender,
        message: impl Into<OutgoingMessage>,
    ) -> Result<Outcome, TransactionError> {
        self.lives.control.check_session(sender.session())?;
        let message = message.into().with_state(self.state(None));
        let mut receipt = sender.send_with_receipt(message).await?;
        while let Some(state) = receipt.transactional_state().await {
            if let Some(outcome) = state.outcome {
                lock(&self.work).posted.push((receipt, outcome.clone()));
                return Ok(outcome);
            }
        }
        Ok(receipt.await?)
    }

    /// Sends a message settled as part of the transaction. If the peer cannot take it, the commit fails [4.4.4.1].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing was sent.
    pub async fn send_settled(
        &self,
        sender: &Sender,
        message: impl Into<OutgoingMessage>,
    ) -> Result<(), TransactionError> {
        self.lives.control.check_session(sender.session())?;
        let message = message.into().with_state(self.state(None));
        Ok(sender.send_settled(message).await?)
    }

    /// Gives a delivery an outcome that holds if the transaction succeeds [4.4.2]. The transaction keeps the delivery:
    /// a delivery can be part of one transaction only.
    ///
    /// # Errors
    ///
    /// [`AlreadySettled`](TransactionError::AlreadySettled), by whichever side;
    /// [`AnotherSession`](TransactionError::AnotherSession), if the coordinator does not allow that; why the delivery's link has
    /// ended. The delivery is dropped then.
    pub fn retire(&self, delivery: Delivery, outcome: Outcome) -> Result<(), TransactionError> {
        self.lives.control.check_session(delivery.session())?;
        if delivery.is_settled() {
            return Err(TransactionError::AlreadySettled);
        }
        delivery.update(self.state(Some(outcome.clone())))?;
        lock(&self.work).retired.push((delivery, outcome));
        Ok(())
    }

    /// Accepts a delivery if the transaction succeeds: [`retire`](Self::retire) with that outcome.
    ///
    /// # Errors
    ///
    /// As [`retire`](Self::retire).
    pub fn accept(&self, delivery: Delivery) -> Result<(), TransactionError> {
        self.retire(delivery, Outcome::Accepted)
    }

    /// Has the peer send what comes on this link from now on as part of the transaction [4.4.3], until the transaction ends
    /// or the link is [drained](Receiver::drain). A peer that cannot do that detaches the link. Deliveries so acquired are to
    /// be [retired](Self::retire) in the same transaction.
    ///
    /// # Errors
    ///
    /// Why the link has ended; [`AnotherSession`](TransactionError::AnotherSession), if the coordinator does not allow that.
    pub fn acquire(&self, receiver: &Receiver) -> Result<(), TransactionError> {
        self.lives.control.check_session(receiver.session())?;
        receiver.acquire_for(Some(self.id.clone()))?;
        lock(&self.work).acquiring.push(receiver.clone());
        Ok(())
    }

    /// Commits: everything happens [4.3]. Waits for the coordinator without a time limit.
    ///
    /// # Errors
    ///
    /// [`Refused`](TransactionError::Refused) if the resource rolled it back instead,
    /// [`Unknown`](TransactionError::Unknown) if the answer was lost. Deliveries that were retired go back to the peer.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the transaction may be committed or rolled back; but as a whole.
    pub async fn commit(mut self) -> Result<(), TransactionError> {
        self.stop_acquiring().await;
        match self.discharge(false).await? {
            Outcome::Accepted => {}
            other => return Err(refusal(other)),
        }
        let work = self.take_work();
        for (delivery, outcome) in work.retired {
            // The peer may have settled, or the link ended: the outcome is applied all the same.
            let _ = delivery.settle(outcome);
        }
        for (receipt, outcome) in work.posted {
            receipt.settle(outcome);
        }
        Ok(())
    }

    /// Rolls back: nothing happens [4.3]. Gives back the deliveries that were retired: they are unsettled again, and can be
    /// settled or retired in another transaction [4.4.2].
    ///
    /// # Errors
    ///
    /// If the control link has ended, which rolls the transaction back, too.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the transaction is rolled back.
    pub async fn rollback(mut self) -> Result<Vec<Delivery>, TransactionError> {
        self.stop_acquiring().await;
        match self.discharge(true).await? {
            Outcome::Accepted => {}
            other => return Err(refusal(other)),
        }
        let work = self.take_work();
        for (receipt, _) in work.posted {
            receipt.settle(Outcome::Released);
        }
        Ok(work
            .retired
            .into_iter()
            .map(|(delivery, _)| delivery)
            .collect())
    }

    fn state(&self, outcome: Option<Outcome>) -> TransactionalState {
        TransactionalState {
            txn_id: self.id.clone(),
            outcome,
        }
    }

    /// Takes back the credit of links that acquire, so that nothing more comes than what is part of the work.
    async fn stop_acquiring(&self) {
        let acquiring = lock(&self.work).acquiring.clone();
        for receiver in acquiring {
            // A link that has ended, or a peer that does not answer, sends nothing more.
            let _ = receiver.drain().await;
            let _ = receiver.acquire_for(None);
        }
        lock(&self.work).acquiring.clear();
    }

    async fn discharge(&mut self, fail: bool) -> Result<Outcome, TransactionError> {
        let discharge = Discharge {
            txn_id: self.id.clone(),
            fail,
        };
        let control = self.lives.control.clone();
        control.send_rollbacks().await?;
        let asked = control.request(&discharge).await?;
        // Whether or not anybody waits for the answer.
        self.is_discharged = true;
        asked.answer().await
    }

    fn take_work(&mut self) -> Work {
        std::mem::take(&mut *lock(&self.work))
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        for receiver in self.take_work().acquiring {
            // A link that has ended acquires nothing.
            let _ = receiver.acquire_for(None);
        }
        if !self.is_discharged {
            self.lives.control.roll_back_soon(self.id.clone());
        }
    }
}

/// Counts a transaction as long as it lives.
pub(super) struct LiveTransaction {
    control: Arc<Control>,
}

impl LiveTransaction {
    pub(super) fn begin(control: Arc<Control>) -> Result<Self, TransactionError> {
        control.begin()?;
        Ok(Self { control })
    }
}

impl Drop for LiveTransaction {
    fn drop(&mut self) {
        self.control.end();
    }
}
