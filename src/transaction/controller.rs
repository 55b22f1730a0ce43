//! The controller: the side that declares transactions and works in them.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::work::{LiveTransaction, Transaction};
use super::{TransactionError, capability, request_message};
use crate::codec::terminus::outcomes;
use crate::codec::transaction::{Coordinator, Declare, Discharge};
use crate::codec::{Encode, Outcome, Rejected, Source, Symbol, TargetArchetype, Value};
use crate::lock::lock;
use crate::{LinkError, OutgoingMessage, Receipt, SendError, Sender, SenderOptions, Session};

/// Options of a [`TransactionController`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionControllerOptions {
    /// What the coordinator is asked to be capable of: see [`capability`]. Default: local transactions, several at a time.
    pub desired_capabilities: Vec<Symbol>,
    /// What it must be capable of, else attaching fails. Default: nothing, because some coordinators name no capability.
    pub required_capabilities: Vec<Symbol>,
}

impl Default for TransactionControllerOptions {
    fn default() -> Self {
        Self {
            desired_capabilities: vec![
                capability::LOCAL_TRANSACTIONS,
                capability::MULTI_TXNS_PER_SSN,
            ],
            required_capabilities: Vec::new(),
        }
    }
}

impl TransactionControllerOptions {
    /// Sets [`desired_capabilities`](Self::desired_capabilities).
    pub fn desired_capabilities(mut self, capabilities: impl IntoIterator<Item = Symbol>) -> Self {
        self.desired_capabilities = capabilities.into_iter().collect();
        self
    }

    /// Sets [`required_capabilities`](Self::required_capabilities).
    pub fn required_capabilities(mut self, capabilities: impl IntoIterator<Item = Symbol>) -> Self {
        self.required_capabilities = capabilities.into_iter().collect();
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

/// The control link, and the transactions that were declared on it.
pub(super) struct Control {
    sender: Sender,
    capabilities: Vec<Symbol>,
    live: AtomicUsize,
    /// Transactions whose handle is gone and whose rollback could not be sent yet.
    to_roll_back: Mutex<Vec<Bytes>>,
    /// Held by whoever sends those.
    rolling_back: tokio::sync::Mutex<()>,
}

/// A request that is on its way to the coordinator.
pub(super) struct Asked(Receipt);

impl Asked {
    pub(super) async fn answer(self) -> Result<Outcome, TransactionError> {
        self.0.await.map_err(control_link_lost)
    }
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
            capabilities: options.desired_capabilities,
        };
        // X-012: a refusal is to come as an outcome, not as the end of the link.
        let source = Source {
            outcomes: outcomes::ALL.to_vec(),
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
            .required_capabilities
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
                rolling_back: tokio::sync::Mutex::default(),
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
            Outcome::Declared(declared) => Ok(Transaction::new(lives, declared.txn_id)),
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

impl Control {
    pub(super) fn offers(&self, capability: &Symbol) -> bool {
        self.capabilities.contains(capability)
    }

    pub(super) async fn ask(&self, request: &impl Encode) -> Result<Outcome, TransactionError> {
        self.request(request).await?.answer().await
    }

    /// Hands a request over; dropped before it resolves, it was not.
    pub(super) async fn request(&self, request: &impl Encode) -> Result<Asked, TransactionError> {
        let message = OutgoingMessage::encoded(0, request_message(request)?);
        // X-009: unsettled, because the answer is its outcome.
        let sent = self.sender.send_with_receipt(message).await;
        sent.map(Asked).map_err(control_link_lost)
    }

    /// Rolls back what was dropped, before anything else is asked.
    pub(super) async fn send_rollbacks(&self) -> Result<(), TransactionError> {
        // One at a time, so that each is sent once.
        let _turn = self.rolling_back.lock().await;
        loop {
            let Some(txn_id) = lock(&self.to_roll_back).first().cloned() else {
                return Ok(());
            };
            let fail = true;
            let discharge = Discharge { txn_id, fail };
            let asked = self.request(&discharge).await?;
            // Not before: whoever asks may be dropped meanwhile.
            lock(&self.to_roll_back).retain(|txn_id| *txn_id != discharge.txn_id);
            // X-016: whatever the answer, the transaction is not committed.
            let _ = asked.answer().await?;
        }
    }

    /// Rolls back without waiting: at once if there is credit, else before the next request. The end of the link does it,
    /// too.
    pub(super) fn roll_back_soon(&self, txn_id: Bytes) {
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

    /// Counts a transaction, unless there is one and may be no other (X-007).
    pub(super) fn begin(&self) -> Result<(), TransactionError> {
        let others = self.live.fetch_add(1, Ordering::AcqRel);
        let is_known = !self.capabilities.is_empty();
        if others > 0 && is_known && !self.offers(&capability::MULTI_TXNS_PER_SSN) {
            self.end();
            return Err(TransactionError::AnotherTransactionLives);
        }
        Ok(())
    }

    pub(super) fn end(&self) {
        self.live.fetch_sub(1, Ordering::AcqRel);
    }

    /// A transaction is good in the session of its control link; in others of the connection if the coordinator says so
    /// (X-007), or says nothing at all.
    pub(super) fn check_session(&self, session: &Session) -> Result<(), TransactionError> {
        let own = self.sender.session();
        let is_lenient =
            self.capabilities.is_empty() || self.offers(&capability::MULTI_SSNS_PER_TXN);
        match session == own || (is_lenient && session.is_beside(own)) {
            true => Ok(()),
            false => Err(TransactionError::AnotherSession),
        }
    }
}

/// An answer that is not the one asked for.
pub(super) fn refusal(outcome: Outcome) -> TransactionError {
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
        // X-015: the link was ended in answer to the request. The end of what is below it answers nothing.
        SendError::Unknown(LinkError::RemoteDetached {
            error: Some(remote),
            ..
        }) => TransactionError::Refused(Some(remote)),
        SendError::Unknown(error) => TransactionError::Unknown(error),
        other => TransactionError::Send(other),
    }
}
