//! The transactions of one connection, from the side of the resource [4].
//!
//! Work is noted when it comes, and done when its transaction is committed: what was posted is in no queue before, and what was
//! retired stays acquired. Everything is then done under one lock, or nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::time::Instant;

use super::address::NodeName;
use super::message::StoredMessage;
use super::nodes::{LinkId, Load, Nodes, limit_exceeded};
use crate::Delivery;
use crate::codec::{AmqpError, Outcome, Rejected, TransactionalState, condition};
use crate::lock::lock;

/// Transactions that a connection may have at once.
const MAX_TRANSACTIONS: usize = 64;

/// A number of a delivery that was sent on this connection.
pub(super) type SentKey = u64;

/// Ids of transactions that are not discharged.
pub(super) type LiveTransactions = Arc<Mutex<HashSet<Bytes>>>;

#[derive(Debug, Default)]
pub(super) struct Transactions {
    by_id: HashMap<Bytes, Transaction>,
    /// The same ids, for tasks that only ask whether there is one.
    live: LiveTransactions,
    next_id: u64,
}

/// What was done in a transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    /// The control link that declared it.
    pub(super) control: LinkId,
    pub(super) postings: Vec<Posting>,
    /// Deliveries and the outcomes that they get.
    pub(super) retirements: BTreeMap<SentKey, Outcome>,
    /// Deliveries that were acquired for it.
    pub(super) acquisitions: BTreeSet<SentKey>,
    /// Why it cannot be committed any more.
    failure: Option<AmqpError>,
    load: Load,
}

/// A message that was sent in a transaction.
#[derive(Debug)]
pub(super) struct Posting {
    delivery: Delivery,
    /// Where it goes, or why it goes nowhere.
    route: Result<(NodeName, Arc<StoredMessage>), AmqpError>,
}

impl Posting {
    fn outcome(&self) -> Outcome {
        match &self.route {
            Ok(_) => Outcome::Accepted,
            Err(error) => Rejected::new(error.clone()).into(),
        }
    }
}

impl Transactions {
    pub(super) fn new(live: LiveTransactions) -> Self {
        Self {
            live,
            ..Self::default()
        }
    }

    /// Declares one.
    pub(super) fn declare(&mut self, control: LinkId) -> Result<Bytes, AmqpError> {
        if self.by_id.len() >= MAX_TRANSACTIONS {
            return Err(limit_exceeded("there are too many transactions"));
        }
        self.next_id += 1;
        let id = Bytes::copy_from_slice(&self.next_id.to_be_bytes());
        let transaction = Transaction {
            control,
            postings: Vec::new(),
            retirements: BTreeMap::new(),
            acquisitions: BTreeSet::new(),
            failure: None,
            load: Load::default(),
        };
        self.by_id.insert(id.clone(), transaction);
        lock(&self.live).insert(id.clone());
        Ok(id)
    }

    pub(super) fn get_mut(&mut self, id: &Bytes) -> Result<&mut Transaction, AmqpError> {
        self.by_id.get_mut(id).ok_or_else(unknown_id)
    }

    /// Ends one; what it held is in the hands of the caller.
    pub(super) fn remove(&mut self, id: &Bytes) -> Result<Transaction, AmqpError> {
        lock(&self.live).remove(id);
        self.by_id.remove(id).ok_or_else(unknown_id)
    }

    /// Those that a control link has declared and not discharged.
    pub(super) fn of(&self, control: LinkId) -> Vec<Bytes> {
        let declared = self
            .by_id
            .iter()
            .filter(|(_, known)| known.control == control);
        declared.map(|(id, _)| id.clone()).collect()
    }

    /// The transaction that a delivery is tied to.
    pub(super) fn tied_to(&self, delivery: SentKey) -> Option<&Bytes> {
        let tied = |known: &Transaction| known.retirements.contains_key(&delivery);
        self.by_id
            .iter()
            .find(|(_, known)| tied(known))
            .map(|(id, _)| id)
    }
}

impl Transaction {
    /// Notes a posting. Unsettled, it is told what outcome it will have; settled, what cannot be done is a reason not
    /// to commit.
    pub(super) fn post(
        &mut self,
        nodes: &mut Nodes,
        state: &TransactionalState,
        delivery: Delivery,
        route: Result<(NodeName, Arc<StoredMessage>), AmqpError>,
    ) {
        let route = route.and_then(|(node, message)| {
            let octets = self.load.octets + message.size();
            if octets > nodes.options().max_transaction_octets {
                return Err(limit_exceeded("the transaction holds as much as it may"));
            }
            nodes.check(&node, &message, &self.load, Instant::now())?;
            Ok((node, message))
        });
        if let Ok((_, message)) = &route {
            self.load.messages += 1;
            self.load.octets += message.size();
        }
        let posting = Posting { delivery, route };
        match (&posting.route, posting.delivery.is_settled()) {
            (Err(error), true) => self.failure = Some(error.clone()),
            (_, true) => {}
            (_, false) => {
                let provisional = TransactionalState {
                    txn_id: state.txn_id.clone(),
                    outcome: Some(posting.outcome()),
                };
                let provisional = crate::DeliveryState::Transactional(Box::new(provisional));
                // If the link is gone, nobody waits for it.
                let _ = posting.delivery.update(provisional);
            }
        }
        self.postings.push(posting);
    }

    /// Whether everything that was promised can still be done.
    pub(super) fn check(&self, nodes: &mut Nodes) -> Result<(), AmqpError> {
        if let Some(error) = &self.failure {
            return Err(rolled_back(error));
        }
        let (now, mut load) = (Instant::now(), Load::default());
        for (node, message) in self.routes() {
            let checked = nodes.check(node, message, &load, now);
            checked.map_err(|error| rolled_back(&error))?;
            load.messages += 1;
            load.octets += message.size();
        }
        Ok(())
    }

    /// Hands what was posted to its nodes.
    pub(super) fn publish(&self, nodes: &mut Nodes) {
        for (node, message) in self.routes() {
            nodes.publish(node, message);
        }
    }

    fn routes(&self) -> impl Iterator<Item = &(NodeName, Arc<StoredMessage>)> {
        self.postings.iter().flat_map(|posting| &posting.route)
    }

    /// Tells what became of the postings.
    pub(super) fn settle_postings(&self, is_committed: bool) {
        for posting in &self.postings {
            let outcome = match is_committed {
                true => posting.outcome(),
                false => Outcome::Released,
            };
            // If the link is gone, nobody waits for it.
            let _ = posting.delivery.settle(outcome);
        }
    }
}

fn unknown_id() -> AmqpError {
    let text = "there is no such transaction: it was never declared here, or is discharged";
    AmqpError::new(condition::TRANSACTION_UNKNOWN_ID, text)
}

/// Why a commit is refused.
pub(super) fn rolled_back(reason: &AmqpError) -> AmqpError {
    let text = format!("rolled back: {reason}");
    AmqpError::new(condition::TRANSACTION_ROLLBACK, text)
}
