//! Transactions between the two sides: the controller that declares them, posts and retires in them and discharges them, and
//! the coordinator that applies or undoes what was done, also when the control link is lost [4].

use bytes::Bytes;

use super::super::{Inbound, Key, LinkKey};
use super::ledger::Ledger;
use super::links::{End, Held};
use super::random::Random;
use super::side::{Side, WANTED};
use super::waits::{Sent, Wait, Want, outbound};
use crate::codec::transaction::Declared;
use crate::codec::{AmqpError, DeliveryState, Outcome, Rejected, TransactionalState, condition};
use crate::error::SendError;

/// A transaction of the controller's.
pub(super) struct OwnTransaction {
    number: u64,
    control: LinkKey,
    /// Messages that were sent in it and of which the coordinator has not said that it has them.
    untied: Vec<u64>,
    retired: Vec<(LinkKey, Held, Outcome)>,
    acquiring: Vec<LinkKey>,
    is_discharging: bool,
}

/// What the coordinator knows of a transaction.
pub(super) struct Work {
    number: u64,
    control: LinkKey,
    /// Deliveries that came in it, with their provisional outcome.
    posted: Vec<(LinkKey, Held, Outcome)>,
    /// Deliveries of ours that were retired in it.
    retired: Vec<Retired>,
}

struct Retired {
    link: LinkKey,
    delivery: Key,
    message: u64,
    outcome: Outcome,
}

pub(super) fn transactional(txn_id: Bytes, outcome: Option<Outcome>) -> DeliveryState {
    DeliveryState::Transactional(Box::new(TransactionalState { txn_id, outcome }))
}

fn txn_id(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// The transaction whose discharge a request asks for.
pub(super) fn discharged(request: &Bytes) -> Option<Bytes> {
    matches!(request.first(), Some(b'C' | b'R')).then(|| request.slice(1..))
}

fn number(txn_id: &[u8]) -> u64 {
    u64::from_be_bytes(txn_id.try_into().expect("a transaction's number"))
}

fn unknown_transaction() -> Outcome {
    Outcome::Rejected(Rejected {
        error: Some(Box::new(AmqpError::new(WANTED, "no such transaction"))),
    })
}

// ---- the controller

impl Side {
    /// A random operation on a control link.
    pub(super) fn control(&mut self, link: usize, ledger: &mut Ledger, random: &mut Random) {
        let key = self.links[link].key;
        let own = self.transactions.iter().filter(|own| own.control == key);
        let numbers: Vec<u64> = own.map(|own| own.number).collect();
        match random.position(numbers.len()) {
            Some(position) if random.chance(25) => {
                let number = numbers[position];
                match random.chance(30) {
                    true => self.acquire(number, random),
                    false => drop(self.discharge(number, random.chance(30), ledger)),
                }
            }
            _ if numbers.len() < 3 => self.ask(key, Sent::Declare, b"D", ledger),
            _ => {}
        }
    }

    fn ask(&mut self, link: LinkKey, sent: Sent, request: &[u8], ledger: &mut Ledger) {
        let request = outbound(Bytes::copy_from_slice(request));
        self.wait(Want::room(link, sent, false, request));
        self.poll(self.waits.len() - 1, ledger);
    }

    /// Asks for the end of a transaction; false if that is not the time.
    fn discharge(&mut self, number: u64, fail: bool, ledger: &mut Ledger) -> bool {
        let own = self
            .transactions
            .iter_mut()
            .find(|own| own.number == number);
        let Some(own) = own.filter(|own| !own.is_discharging && (fail || own.untied.is_empty()))
        else {
            return false;
        };
        own.is_discharging = true;
        let (control, acquiring) = (own.control, std::mem::take(&mut own.acquiring));
        for link in acquiring {
            let _ = self.call(|engine| engine.set_acquisition(link, None));
        }
        let request = [if fail { b"R" } else { b"C" }, &number.to_be_bytes()[..]].concat();
        let sent = Sent::Discharge {
            transaction: number,
            fail,
        };
        self.ask(control, sent, &request, ledger);
        true
    }

    /// Ends what can be ended; false if there was nothing.
    pub(super) fn discharge_all(&mut self, ledger: &mut Ledger) -> bool {
        let numbers: Vec<u64> = self.transactions.iter().map(|own| own.number).collect();
        let mut is_busy = false;
        for number in numbers {
            is_busy |= self.discharge(number, number.is_multiple_of(2), ledger);
        }
        is_busy
    }

    pub(super) fn some_transaction(&self, random: &mut Random) -> Option<u64> {
        let live = self.transactions.iter().filter(|own| !own.is_discharging);
        let numbers: Vec<u64> = live.map(|own| own.number).collect();
        random
            .position(numbers.len())
            .map(|position| numbers[position])
    }

    /// The state of a message that is sent as part of a transaction.
    pub(super) fn post(&mut self, transaction: u64, message: u64) -> DeliveryState {
        let own = self
            .transactions
            .iter_mut()
            .find(|own| own.number == transaction);
        own.expect("a transaction that lives").untied.push(message);
        transactional(txn_id(transaction), None)
    }

    pub(super) fn retire(
        &mut self,
        transaction: u64,
        link: LinkKey,
        held: Held,
        outcome: Outcome,
        ledger: &mut Ledger,
    ) {
        let state = transactional(txn_id(transaction), Some(outcome.clone()));
        if let Err(error) = self.call(|engine| engine.update(link, held.delivery_id, state)) {
            return self.check_link_error(&error);
        }
        ledger.counts.retired += 1;
        ledger.tie(held.message, transaction, outcome.clone());
        let own = self
            .transactions
            .iter_mut()
            .find(|own| own.number == transaction);
        let own = own.expect("a transaction that lives");
        own.retired.push((link, held, outcome));
    }

    fn acquire(&mut self, transaction: u64, random: &mut Random) {
        let is_receiver = |end: &End| {
            matches!(
                end,
                End::Receiver {
                    auto_accept: false,
                    ..
                }
            )
        };
        let receivers: Vec<LinkKey> = self
            .links
            .iter()
            .filter(|link| is_receiver(&link.end) && link.is_attached && !link.is_kept)
            .map(|link| link.key)
            .collect();
        let Some(position) = random.position(receivers.len()) else {
            return;
        };
        let link = receivers[position];
        let own = self
            .transactions
            .iter_mut()
            .find(|own| own.number == transaction);
        let own = own.expect("a transaction that lives");
        if own.is_discharging || own.acquiring.contains(&link) {
            return;
        }
        own.acquiring.push(link);
        let _ = self.call(|engine| engine.set_acquisition(link, Some(txn_id(transaction))));
    }

    /// The coordinator's answer, or why there is none.
    pub(super) fn on_answer(
        &mut self,
        link: LinkKey,
        sent: &Sent,
        result: Result<Outcome, SendError>,
        ledger: &mut Ledger,
    ) {
        match (sent, result) {
            (Sent::Declare, Ok(Outcome::Declared(declared))) => {
                self.transactions.push(OwnTransaction {
                    number: number(&declared.txn_id),
                    control: link,
                    untied: Vec::new(),
                    retired: Vec::new(),
                    acquiring: Vec::new(),
                    is_discharging: false,
                });
            }
            (Sent::Discharge { transaction, fail }, result) => {
                let is_committed = match result {
                    Ok(Outcome::Accepted) | Err(SendError::Unknown(_)) => !fail,
                    _ => false,
                };
                self.conclude(*transaction, is_committed, ledger);
            }
            (_, Ok(outcome)) => panic!("{}: {outcome:?} to {sent:?}", self.name),
            (_, Err(_)) => {}
        }
    }

    /// Our part of a transaction that is over. Retired deliveries get the outcome that they have in it, if it may have been
    /// committed; else they are held as before.
    fn conclude(&mut self, transaction: u64, is_committed: bool, ledger: &mut Ledger) {
        let position = self
            .transactions
            .iter()
            .position(|own| own.number == transaction);
        let Some(position) = position else {
            return;
        };
        let own = self.transactions.swap_remove(position);
        for (link, held, outcome) in own.retired {
            if !is_committed {
                self.hold(link, held);
                continue;
            }
            let state = outcome.clone().into();
            if self
                .call(|engine| engine.settle(link, held.delivery_id, state))
                .is_ok()
            {
                ledger.give_again(held.message, outcome);
            }
        }
        for link in own.acquiring {
            let _ = self.call(|engine| engine.set_acquisition(link, None));
        }
    }

    /// Nobody asks any more what became of a delivery; it may have been sent.
    pub(super) fn on_given_up(&mut self, sent: &Sent, is_sent: bool, ledger: &mut Ledger) {
        match sent {
            Sent::Discharge { transaction, fail } => {
                self.conclude(*transaction, is_sent && !fail, ledger);
            }
            Sent::Posted { message, .. } => self.on_tied_or_lost(*message),
            _ => {}
        }
    }

    fn on_tied_or_lost(&mut self, message: u64) {
        for own in &mut self.transactions {
            own.untied.retain(|untied| *untied != message);
        }
    }

    /// A delivery of ours was tied to a transaction: one of ours, in which it was sent, or one of the other side's.
    pub(super) fn on_tied(
        &mut self,
        link: LinkKey,
        delivery: Key,
        sent: &Sent,
        state: TransactionalState,
        ledger: &mut Ledger,
    ) {
        let found = number(&state.txn_id);
        let outcome = state.outcome.expect("a provisional outcome");
        match sent {
            Sent::Posted {
                message,
                transaction,
            } if found == *transaction => {
                ledger.check_tie(*message, found, &outcome);
                self.on_tied_or_lost(*message);
            }
            Sent::Message(message) | Sent::Posted { message, .. } => {
                ledger.check_tie(*message, found, &outcome);
                if let Some(work) = self.work.iter_mut().find(|work| work.number == found) {
                    work.retired.push(Retired {
                        link,
                        delivery,
                        message: *message,
                        outcome,
                    });
                }
            }
            other => panic!("{}: {other:?} is tied to {found}", self.name),
        }
    }

    // ---- the coordinator

    /// A delivery that the other side sent in a transaction of its own; false if it is none.
    pub(super) fn on_posted(
        &mut self,
        key: LinkKey,
        inbound: &Inbound,
        message: u64,
        ledger: &mut Ledger,
    ) -> bool {
        let Some(DeliveryState::Transactional(state)) = &inbound.state else {
            return false;
        };
        let found = number(&state.txn_id);
        if self.transactions.iter().any(|own| own.number == found) {
            return false; // acquired by us
        }
        let held = Held {
            message,
            delivery_id: inbound.delivery_id,
        };
        let Some(position) = self.work.iter().position(|work| work.number == found) else {
            self.settle_as(key, held, unknown_transaction(), ledger);
            return true;
        };
        let outcome = match message.is_multiple_of(3) {
            true => Outcome::Released,
            false => Outcome::Accepted,
        };
        let state = transactional(state.txn_id.clone(), Some(outcome.clone()));
        if self
            .call(|engine| engine.update(key, held.delivery_id, state))
            .is_ok()
        {
            ledger.tie(message, found, outcome.clone());
            self.work[position].posted.push((key, held, outcome));
        }
        true
    }

    fn settle_as(&mut self, key: LinkKey, held: Held, outcome: Outcome, ledger: &mut Ledger) {
        let state = outcome.clone().into();
        if self
            .call(|engine| engine.settle(key, held.delivery_id, state))
            .is_ok()
        {
            ledger.give(held.message, outcome);
        }
    }

    /// What the controller asks for on a control link.
    pub(super) fn on_request(&mut self, key: LinkKey, inbound: &Inbound, ledger: &mut Ledger) {
        let answer = match inbound.payload.split_first() {
            Some((b'D', _)) => {
                let number = ledger.new_transaction();
                self.work.push(Work {
                    number,
                    control: key,
                    posted: Vec::new(),
                    retired: Vec::new(),
                });
                Outcome::Declared(Declared {
                    txn_id: txn_id(number),
                })
            }
            Some((request, txn_id)) => {
                let found = number(txn_id);
                // A controller that is gone is not told, so nothing may happen.
                let is_gone = self.engine.link_ended(key).is_some();
                let is_committed = *request == b'C' && !is_gone;
                match self.end_work(found, is_committed, ledger) {
                    true => Outcome::Accepted,
                    false => unknown_transaction(),
                }
            }
            None => panic!("{}: an empty request", self.name),
        };
        let _ = self.call(|engine| engine.settle(key, inbound.delivery_id, answer.into()));
    }

    /// Applies or undoes what was done in a transaction; false if there is none of that number.
    fn end_work(&mut self, number: u64, is_committed: bool, ledger: &mut Ledger) -> bool {
        let Some(position) = self.work.iter().position(|work| work.number == number) else {
            return false;
        };
        let work = self.work.swap_remove(position);
        match is_committed {
            true => ledger.counts.commits += 1,
            false => ledger.counts.rollbacks += 1,
        }
        for (link, held, outcome) in work.posted {
            let outcome = match is_committed {
                true => outcome,
                false => rolled_back(),
            };
            self.settle_as(link, held, outcome, ledger);
        }
        if is_committed {
            for retired in work.retired {
                self.settle_retired(retired, ledger);
            }
        }
        for link in 0..self.links.len() {
            let key = self.links[link].key;
            if self
                .engine
                .acquired_by(key)
                .is_some_and(|txn_id| self::number(&txn_id) == number)
            {
                self.call(|engine| engine.clear_acquisition(key));
            }
        }
        true
    }

    /// Settles what we sent with the outcome that it got in the transaction, if its receipt is still there.
    fn settle_retired(&mut self, retired: Retired, ledger: &mut Ledger) {
        let Retired {
            link,
            delivery: wanted,
            message,
            outcome,
        } = retired;
        let is_receipt = |wait: &Wait| matches!(&wait.want, Want::Outcome { link: key, delivery, .. } if *key == link && *delivery == wanted);
        let Some(position) = self.waits.iter().position(is_receipt) else {
            return;
        };
        self.poll(position, ledger); // it may have its outcome already, or know that there will be none
        let Some(position) = self.waits.iter().position(is_receipt) else {
            return;
        };
        let wait = self.waits.swap_remove(position);
        self.forget(wait);
        let settled = outcome.clone();
        self.call(|engine| engine.settle_sent(link.session, wanted, settled));
        ledger.give_again(message, outcome.clone());
        ledger.resolve(message, Ok(outcome));
    }

    /// A link is gone: what was declared on it and not discharged is rolled back, on either side.
    pub(super) fn lose_control_link(&mut self, key: LinkKey, ledger: &mut Ledger) {
        let is_lost = |own: &&OwnTransaction| own.control == key && !own.is_discharging;
        let ours = self.transactions.iter().filter(is_lost);
        let ours: Vec<u64> = ours.map(|own| own.number).collect();
        for number in ours {
            self.conclude(number, false, ledger);
        }
        let theirs = self.work.iter().filter(|work| work.control == key);
        let theirs: Vec<u64> = theirs.map(|work| work.number).collect();
        for number in theirs {
            self.end_work(number, false, ledger);
        }
    }
}

fn rolled_back() -> Outcome {
    Outcome::Rejected(Rejected {
        error: Some(Box::new(AmqpError::new(
            condition::TRANSACTION_ROLLBACK,
            "rolled back",
        ))),
    })
}
