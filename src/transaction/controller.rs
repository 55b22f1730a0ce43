//! The controller: the side that declares transactions and works in them.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::{TransactionError, capability, request_message};
use crate::codec::transaction::{Coordinator, Declare, Discharge};
use crate::codec::{
    DeliveryState, Encode, Outcome, Rejected, Source, Symbol, TargetArchetype, TransactionalState,
    Value,
};
use crate::lock::lock;
use crate::{
    Delivery, LinkError, OutgoingMessage, Receipt, Receiver, SendError, Sender, SenderOptions,
    Session,
};

/// Options of a [`TransactionController`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionControllerOptions {
    /// What the coordinator is asked to be capable of: see [`capability`]. Default: local transactions, several at a time.
    pub desired: Vec<Symbol>,
    /// What it must be capable of, else attaching fails. Default: nothing, because some coordinators name no capability.
    pub required: Vec<Symbol>,
}

impl Default for TransactionControllerOptions {
    fn default() -> Self {
        Self {
            desired: vec![
                capability::LOCAL_TRANSACTIONS,
                capability::MULTI_TXNS_PER_SSN,
            ],
            required: Vec::new(),
        }
    }
}

impl TransactionControllerOptions {
    /// Sets [`desired`](Self::desired).
    pub fn desired(mut self, capabilities: impl IntoIterator<Item = Symbol>) -> Self {
        self.desired = capabilities.into_iter().collect();
        self
    }

    /// Sets [`required`](Self::required).
    pub fn required(mut self, capabilities: impl IntoIterator<Item = Symbol>) -> Self {
        self.required = capabilities.into_iter().collect();
        self
    }
}

/// The controller's end of a link to the peer's coordinator [4.1].
///
/// Closing it, or losing it, rolls back every transaction that was declared on it and not discharged. Clones share the link.
///
/// ```no_run
/// use amqp10::transaction::{TransactionControllerOptions, TransactionController};
///
/// # async fn transfer(session: &amqp10::Session, from: amqp10::Receiver, to: amqp10::Sender) -> Result<(), Box<dyn std::error::Error>> {
/// let controller = TransactionController::attach(session, TransactionControllerOptions::default()).await?;
///
/// // Takes a message from one node and sends it to another: both happen, or neither.
/// let transaction = controller.declare().await?;
/// let delivery = from.recv().await?;
/// transaction.send(&to, delivery.message()?).await?;
/// transaction.accept(delivery)?;
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TransactionController {
    control: Arc<Control>,
}

struct Control {
    sender: Sender,
    capabilities: Vec<Symbol>,
    live: AtomicUsize,
    /// Transactions whose handle is gone and whose rollback could not be sent yet.
    to_roll_back: Mutex<Vec<Bytes>>,
}

impl fmt::Debug for TransactionController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionController")
            .field("link", &self.control.sender)
            .field("capabilities", &self.control.capabilities)
            .finish_non_exhaustive()
    }
}

impl TransactionController {
    /// Attaches the control link.
    ///
    /// # Errors
    ///
    /// [`ControlLink`](TransactionError::ControlLink) with the peer's reason if it has no coordinator (RabbitMQ has none), and
    /// [`MissingCapability`](TransactionError::MissingCapability).
    ///
    /// # Cancel safety
    ///
    /// Dropped, the link is detached.
    pub async fn attach(
        session: &Session,
        options: TransactionControllerOptions,
    ) -> Result<Self, TransactionError> {
        let coordinator = Coordinator {
            capabilities: options.desired,
        };
        // X-012: a refusal is to come as an outcome, not as the end of the link.
        let source = Source {
            outcomes: OUTCOMES.to_vec(),
            ..Source::default()
        };
        let link_options = SenderOptions::default()
            .source(source)
            .target(TargetArchetype::Coordinator(coordinator));
        let sender = session
            .attach_sender("", link_options)
            .await
            .map_err(TransactionError::ControlLink)?;
        let capabilities = match &sender.remote_attach().target {
            Some(TargetArchetype::Coordinator(coordinator)) => coordinator.capabilities.clone(),
            _ => Vec::new(),
        };
        let missing = options
            .required
            .into_iter()
            .find(|required| !capabilities.contains(required));
        if let Some(missing) = missing {
            return Err(TransactionError::MissingCapability(missing)); // X-005
        }
        Ok(Self {
            control: Arc::new(Control {
                sender,
                capabilities,
                live: AtomicUsize::new(0),
                to_roll_back: Mutex::default(),
            }),
        })
    }

    /// What the peer's coordinator says that it is capable of.
    pub fn capabilities(&self) -> &[Symbol] {
        &self.control.capabilities
    }

    /// Declares a transaction [4.2]. Waits for the coordinator without a time limit.
    ///
    /// # Errors
    ///
    /// If the coordinator refuses, if it allows one transaction at a time and one lives, or if the link has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped, a transaction may have been declared; it ends with the control link.
    pub async fn declare(&self) -> Result<Transaction, TransactionError> {
        self.declare_as(Declare::default()).await
    }

    /// Declares the part of this resource in a global transaction [4.5.2].
    ///
    /// # Errors
    ///
    /// As [`declare`](Self::declare), and if the coordinator offers no distributed transactions.
    ///
    /// # Cancel safety
    ///
    /// As [`declare`](Self::declare).
    pub async fn declare_global(
        &self,
        global_id: impl Into<Value>,
    ) -> Result<Transaction, TransactionError> {
        if !self.control.offers(&capability::DISTRIBUTED_TRANSACTIONS) {
            let missing = capability::DISTRIBUTED_TRANSACTIONS;
            return Err(TransactionError::MissingCapability(missing)); // X-013
        }
        self.declare_as(Declare {
            global_id: Some(global_id.into()),
        })
        .await
    }

    async fn declare_as(&self, declare: Declare) -> Result<Transaction, TransactionError> {
        let control = &self.control;
        control.send_rollbacks().await?;
        // Counted before the answer, so that two declares at once cannot both be the only one.
        let lives = LiveTransaction::begin(control.clone())?;
        match control.ask(&declare).await? {
            Outcome::Declared(declared) => Ok(Transaction {
                lives,
                id: declared.txn_id,
                is_discharged: false,
                work: Mutex::default(),
            }),
            other => Err(refusal(other)),
        }
    }

    /// Detaches the control link, which rolls back what was not discharged.
    ///
    /// # Errors
    ///
    /// If the link had ended with an error, or the peer does not answer.
    ///
    /// # Cancel safety
    ///
    /// The detach is sent in any case.
    pub async fn close(&self) -> Result<(), LinkError> {
        self.control.sender.close().await
    }
}

/// The outcomes that the coordinator may answer with.
const OUTCOMES: [Symbol; 4] = [
    Symbol::from_static("amqp:accepted:list"),
    Symbol::from_static("amqp:rejected:list"),
    Symbol::from_static("amqp:released:list"),
    Symbol::from_static("amqp:modified:list"),
];

impl Control {
    fn offers(&self, capability: &Symbol) -> bool {
        self.capabilities.contains(capability)
    }

    async fn ask(&self, request: &impl Encode) -> Result<Outcome, TransactionError> {
        let message = OutgoingMessage::encoded(0, request_message(request)?);
        // X-009: unsettled, because the answer is its outcome.
        self.sender.send(message).await.map_err(control_link_lost)
    }

    /// Rolls back what was dropped, before anything else is asked.
    async fn send_rollbacks(&self) -> Result<(), TransactionError> {
        loop {
            let Some(txn_id) = lock(&self.to_roll_back).first().cloned() else {
                return Ok(());
            };
            let fail = true;
            let discharge = Discharge { txn_id, fail };
            // X-016: whatever the answer, the transaction is not committed.
            let _ = self.ask(&discharge).await?;
            // Not before: whoever asks may be dropped meanwhile.
            lock(&self.to_roll_back).retain(|txn_id| *txn_id != discharge.txn_id);
        }
    }

    /// Rolls back without waiting: at once if there is credit, else before the next request. The end of the link does it,
    /// too.
    fn roll_back_soon(&self, txn_id: Bytes) {
        let discharge = Discharge {
            txn_id: txn_id.clone(),
            fail: true,
        };
        let sent = request_message(&discharge)
            .map_err(SendError::from)
            .and_then(|message| {
                self.sender
                    .try_send_with_receipt(OutgoingMessage::encoded(0, message))
            });
        if let Ok(None) = sent {
            lock(&self.to_roll_back).push(txn_id);
        }
    }
}

/// Counts a transaction as long as it lives.
struct LiveTransaction {
    control: Arc<Control>,
}

impl LiveTransaction {
    fn begin(control: Arc<Control>) -> Result<Self, TransactionError> {
        let others = control.live.fetch_add(1, Ordering::AcqRel);
        let transaction = Self { control };
        let is_known = !transaction.control.capabilities.is_empty();
        if others > 0 && is_known && !transaction.control.offers(&capability::MULTI_TXNS_PER_SSN) {
            return Err(TransactionError::AnotherTransactionLives); // X-007
        }
        Ok(transaction)
    }
}

impl Drop for LiveTransaction {
    fn drop(&mut self) {
        self.control.live.fetch_sub(1, Ordering::AcqRel);
    }
}

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
        self.check_session(sender)?;
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
        self.check_session(sender)?;
        let message = message.into().with_state(self.state(None));
        Ok(sender.send_settled(message).await?)
    }

    /// Gives a delivery an outcome that holds if the transaction succeeds [4.4.2]. The transaction keeps the delivery:
    /// a delivery can be part of one transaction only.
    ///
    /// # Errors
    ///
    /// Why the delivery's link has ended. The delivery goes back to the peer then.
    pub fn retire(&self, delivery: Delivery, outcome: Outcome) -> Result<(), TransactionError> {
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
    /// Why the link has ended.
    pub fn acquire(&self, receiver: &Receiver) -> Result<(), TransactionError> {
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
            receipt.settle(outcome); // X-036
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

    fn state(&self, outcome: Option<Outcome>) -> DeliveryState {
        DeliveryState::Transactional(Box::new(TransactionalState {
            txn_id: self.id.clone(),
            outcome,
        }))
    }

    fn check_session(&self, sender: &Sender) -> Result<(), TransactionError> {
        let control = &self.lives.control;
        let is_own = sender.session().is_same(control.sender.session());
        let is_known = !control.capabilities.is_empty();
        if is_own || !is_known || control.offers(&capability::MULTI_SSNS_PER_TXN) {
            return Ok(());
        }
        Err(TransactionError::AnotherSession) // X-007
    }

    /// Takes back the credit of links that acquire, so that nothing more comes than what is part of the work (X-031).
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
        let outcome = control.ask(&discharge).await;
        self.is_discharged = true;
        outcome
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
            self.lives.control.roll_back_soon(self.id.clone()); // X-041
        }
    }
}

fn refusal(outcome: Outcome) -> TransactionError {
    match outcome {
        Outcome::Rejected(Rejected { error }) => {
            TransactionError::Refused(error.map(|error| *error))
        }
        other => TransactionError::UnexpectedOutcome(other),
    }
}

/// A request was not answered.
fn control_link_lost(error: SendError) -> TransactionError {
    match error {
        SendError::NotSent(error) => TransactionError::ControlLink(error),
        SendError::Unknown(error) => match error.remote_error() {
            // X-015: the link was ended in answer to the request.
            Some(remote) => TransactionError::Refused(Some(remote.clone())),
            None => TransactionError::Unknown(error),
        },
        other => TransactionError::Send(other),
    }
}
