//! The transactions of one connection, from the side of the resource [4].
//!
//! Work is noted when it comes, and done when its transaction is committed: what was posted is in no queue before, and what was
//! retired stays acquired. Everything is then done under one lock, or nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::time::Instant;

use super::nodes::{LinkId, Load, Nodes, limit_exceeded};
use super::publisher::{RefusedDelivery, Route};
use crate::Delivery;
use crate::codec::{
    AmqpError, Outcome, ReceiverSettleMode, TransactionalState, condition, encode_value,
};
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
    postings: Vec<Posting>,
    /// Deliveries and the outcomes that they get.
    pub(super) retirements: BTreeMap<SentKey, Outcome>,
    /// Deliveries that were acquired for it.
    pub(super) acquisitions: BTreeSet<SentKey>,
    /// Why it cannot be committed any more.
    failure: Option<AmqpError>,
    /// Of the postings.
    load: Load,
    /// Of the outcomes of retirements.
    retired_octets: usize,
}

/// A message that was sent in a transaction and can be taken. Its delivery waits for the discharge.
#[derive(Debug)]
pub(super) struct Posting {
    delivery: Delivery,
    route: Route,
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
            retired_octets: 0,
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

    /// Notes a posting. Only what can be done is kept: of it the peer is told so. What cannot is given back to be
    /// refused at once, or, if it came settled, is a reason not to commit.
    ///
    /// In mode first the delivery is settled with that, as every other on such a link is: controllers wait for it before they
    /// discharge. In mode second it is settled when it is known what became of it.
    pub(super) fn post(
        &mut self,
        nodes: &mut Nodes,
        state: &TransactionalState,
        delivery: Delivery,
        mode: ReceiverSettleMode,
        route: Result<Route, AmqpError>,
    ) -> Option<RefusedDelivery> {
        let transaction = match self.get_mut(&state.txn_id) {
            Ok(transaction) => transaction,
            Err(error) => return Some(RefusedDelivery { delivery, error }),
        };
        let admitted = route.and_then(|route| transaction.admit(nodes, route));
        match admitted {
            Ok(route) => {
                if !delivery.is_settled() {
                    let provisional = TransactionalState {
                        txn_id: state.txn_id.clone(),
                        outcome: Some(Outcome::Accepted),
                    };
                    // If the link is gone, nobody waits for it.
                    let _ = match mode {
                        ReceiverSettleMode::First => delivery.settle(provisional),
                        ReceiverSettleMode::Second => delivery.update(provisional),
                    };
                }
                transaction.postings.push(Posting { delivery, route });
            }
            Err(error) if delivery.is_settled() => transaction.fail(error),
            Err(error) => return Some(RefusedDelivery { delivery, error }),
        }
        None
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
    /// Counts a message among those that are to be taken, if it can be.
    fn admit(&mut self, nodes: &mut Nodes, route: Route) -> Result<Route, AmqpError> {
        if let Some(error) = &self.failure {
            return Err(rolled_back(error)); // it would be kept for nothing
        }
        self.check_room(nodes, route.message.size())?;
        nodes.check(&route, &self.load, Instant::now())?;
        nodes.count(&route, &mut self.load);
        Ok(route)
    }

    fn check_room(&self, nodes: &Nodes, octets: usize) -> Result<(), AmqpError> {
        let held = self.load.octets + self.retired_octets;
        match held.saturating_add(octets) <= nodes.options().max_transaction_bytes {
            true => Ok(()),
            false => Err(limit_exceeded("the transaction holds as much as it may")),
        }
    }

    /// Notes the outcome that a delivery is to get.
    pub(super) fn retire(&mut self, nodes: &Nodes, delivery: SentKey, outcome: Outcome) {
        let octets = encode_value(&outcome).map_or(usize::MAX, |encoded| encoded.len());
        match self.check_room(nodes, octets) {
            Ok(()) => {
                self.retired_octets += octets;
                self.retirements.insert(delivery, outcome);
            }
            Err(error) => self.fail(error),
        }
    }

    /// It cannot be committed any more.
    fn fail(&mut self, reason: AmqpError) {
        self.failure.get_or_insert(reason);
    }

    /// Whether everything that was promised can still be done.
    pub(super) fn check(&self, nodes: &mut Nodes) -> Result<(), AmqpError> {
        if let Some(error) = &self.failure {
            return Err(rolled_back(error));
        }
        let (now, mut load) = (Instant::now(), Load::default());
        for Posting { route, .. } in &self.postings {
            let checked = nodes.check(route, &load, now);
            checked.map_err(|error| rolled_back(&error))?;
            nodes.count(route, &mut load);
        }
        Ok(())
    }

    /// Hands what was posted to its nodes.
    pub(super) fn publish(&self, nodes: &mut Nodes) {
        for posting in &self.postings {
            nodes.publish(&posting.route);
        }
    }

    /// Tells what became of the postings that are not settled yet.
    pub(super) fn settle_postings(&self, is_committed: bool) {
        for posting in &self.postings {
            let outcome = match is_committed {
                true => Outcome::Accepted,
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
