//! What the application asks of links that it holds.

use std::time::Instant;

use super::super::{Key, LinkKey};
use super::ledger::Ledger;
use super::links::{End, Held, HeldLink};
use super::random::Random;
use super::side::{Side, WANTED};
use super::termini::tag;
use super::transactions::transactional;
use super::waits::{Sent, Want, empty, outbound};
use crate::codec::{AmqpError, DeliveryState, Modified, Outcome, Rejected, SenderSettleMode};
use crate::error::LinkError;

/// Messages of one kept link that may be under way: what is in doubt has to fit an attach.
const MOST_KEPT: usize = 5;

impl Side {
    pub(super) fn held_link(&self, key: LinkKey) -> &HeldLink {
        let link = self.links.iter().find(|link| link.key == key);
        link.expect("a link that is held")
    }

    pub(super) fn send(&mut self, link: usize, ledger: &mut Ledger, random: &mut Random) {
        let HeldLink {
            key, end, is_kept, ..
        } = &self.links[link];
        let (key, is_kept) = (*key, *is_kept);
        let End::Sender {
            id,
            snd_settle_mode,
        } = *end
        else {
            return;
        };
        let under_way = |want: &Want| want.link() == Some(key) && want.sent().is_some();
        let count = self
            .waits
            .iter()
            .filter(|wait| under_way(&wait.want))
            .count();
        if is_kept && count >= MOST_KEPT {
            return;
        }
        let message = ledger.new_message(id, random.pick(&[0, 0, 20, 480, 700, 5000]));
        let mut outbound = outbound(ledger.payload(message));
        if is_kept || random.chance(20) {
            outbound.delivery_tag = Some(tag(message));
        }
        let mut settled = match snd_settle_mode {
            _ if is_kept => false,
            SenderSettleMode::Settled => true,
            SenderSettleMode::Unsettled => false,
            SenderSettleMode::Mixed => random.chance(40),
        };
        let mut sent = match is_kept {
            true => Sent::Kept {
                message,
                again: false,
            },
            false => Sent::Message(message),
        };
        if !is_kept && random.chance(3) {
            outbound.aborted = true;
            outbound.payload = empty();
        } else if let Some(txn_id) = self.engine.acquired_by(key) {
            outbound.state = Some(transactional(txn_id, None));
        } else if !is_kept
            && !settled
            && random.chance(30)
            && let Some(transaction) = self.some_transaction(random)
        {
            outbound.state = Some(self.post(transaction, message));
            sent = Sent::Posted {
                message,
                transaction,
            };
        }
        settled |= outbound.aborted;
        self.wait(Want::room(key, sent, settled, outbound));
        self.poll(self.waits.len() - 1, ledger); // the first poll takes a place in the queue
    }

    pub(super) fn receive(&mut self, link: usize, random: &mut Random) {
        let HeldLink { key, end, .. } = &self.links[link];
        if !matches!(end, End::Receiver { .. }) {
            return;
        }
        let link = *key;
        let want = match random.chance(80) {
            true => Want::Delivery { link, ticket: None },
            false => Want::Batch {
                link,
                ticket: None,
                max: 1 + random.below(6),
            },
        };
        self.wait(want);
    }

    /// Settles one of the deliveries that the application holds on a link, or retires it.
    pub(super) fn settle(&mut self, link: usize, ledger: &mut Ledger, random: &mut Random) -> bool {
        let HeldLink {
            key, end, is_kept, ..
        } = &mut self.links[link];
        let (key, is_kept) = (*key, *is_kept);
        let End::Receiver { held, .. } = end else {
            return false;
        };
        let Some(position) = random.position(held.len()) else {
            return false;
        };
        let held = held.swap_remove(position);
        let outcome = random_outcome(is_kept, random);
        if !is_kept
            && random.chance(50)
            && let Some(transaction) = self.some_transaction(random)
        {
            self.retire(transaction, key, held, outcome, ledger);
            return true;
        }
        let state = DeliveryState::from(outcome.clone());
        match self.call(|engine| engine.settle(key, held.delivery_id, state)) {
            Ok(()) => {
                ledger.give(held.message, outcome.clone());
                if is_kept {
                    let name = self.links[link].name.clone();
                    self.note_decision(&name, held.message, outcome);
                }
                if is_kept || random.chance(10) {
                    self.wait(Want::Confirmed {
                        link: key,
                        delivery_id: held.delivery_id,
                        message: held.message,
                    });
                }
                true
            }
            Err(error) => {
                self.check_link_error(&error);
                if is_kept {
                    self.hold(key, held);
                    return false;
                }
                true
            }
        }
    }

    pub(super) fn hold(&mut self, key: LinkKey, delivery: Held) {
        let link = self.links.iter_mut().find(|link| link.key == key);
        if let Some(HeldLink {
            end: End::Receiver { held, .. },
            ..
        }) = link
        {
            held.push(delivery);
        }
    }

    /// Grants credit to a link without any; false if it has ended, or grants by itself.
    pub(super) fn grant(&mut self, link: usize) -> bool {
        let key = self.links[link].key;
        self.call(|engine| engine.add_credit(key, 10)).is_ok()
    }

    pub(super) fn add_credit(&mut self, link: usize, random: &mut Random) {
        let key = self.links[link].key;
        let additional = 1 + random.below(5) as u32;
        match self.call(|engine| engine.add_credit(key, additional)) {
            Ok(()) | Err(LinkError::WrongRole) => {}
            Err(error) => self.check_link_error(&error),
        }
    }

    pub(super) fn drain(&mut self, link: usize) {
        let key = self.links[link].key;
        match self.call(|engine| engine.start_drain(key)) {
            Ok(()) => self.wait(Want::Drained(key)),
            Err(LinkError::WrongRole) => {}
            Err(error) => self.check_link_error(&error),
        }
    }

    pub(super) fn detach(&mut self, link: usize, random: &mut Random) {
        let key = self.links[link].key;
        let closed = !self.links[link].is_kept && random.chance(50);
        let error = random.chance(20).then(|| AmqpError::new(WANTED, "closed"));
        self.call(|engine| engine.detach(key, closed, error));
        self.wait(Want::Detached(key));
    }

    /// Waits for the end of a link, or for the outcomes of all that was sent.
    pub(super) fn watch(&mut self, link: usize, random: &mut Random) {
        let key = self.links[link].key;
        self.wait(random.pick(&[Want::LinkEnded(key), Want::AllSettled]));
    }

    pub(super) fn end_session(&mut self, key: Key, random: &mut Random) {
        let error = random.chance(20).then(|| AmqpError::new(WANTED, "ended"));
        self.call(|engine| engine.end(key, error));
        self.wait(Want::SessionEnded(key));
    }

    pub(super) fn close(&mut self, now: Instant) {
        self.may_end = true;
        self.call(|engine| engine.close(None, now));
        self.wait(Want::Closed);
    }
}

/// What is decided on a link that is kept has to fit an attach.
fn random_outcome(is_kept: bool, random: &mut Random) -> Outcome {
    if is_kept {
        return random.pick(&[Outcome::Accepted, Outcome::Released]);
    }
    random.pick(&[
        Outcome::Accepted,
        Outcome::Accepted,
        Outcome::Released,
        Outcome::Rejected(Rejected::default()),
        Outcome::Rejected(Rejected {
            error: Some(Box::new(AmqpError::new(WANTED, "rejected"))),
        }),
        Outcome::Modified(Modified {
            delivery_failed: true,
            ..Modified::default()
        }),
    ])
}
