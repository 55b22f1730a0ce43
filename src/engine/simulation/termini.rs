//! What both ends of some links keep when the link, its session or the connection is lost, and how they resume it [2.6.13].
//!
//! These links have receiver settle mode second, so that each message arrives, is decided and is concluded exactly once.

use std::task::{Poll, Waker};

use super::super::LinkKey;
use super::ledger::Ledger;
use super::links::{End, HeldLink};
use super::side::Side;
use super::waits::{Sent, Want, empty, outbound};
use crate::codec::{
    DeliveryState, DeliveryTag, Outcome, Role, SenderSettleMode, Str, UnsettledMap,
};
use crate::error::SendError;

pub(super) enum Terminus {
    Sender {
        id: u64,
        /// Messages whose outcome was lost.
        in_doubt: Vec<u64>,
    },
    Receiver {
        from: Option<u64>,
        received: Vec<u64>,
        /// Messages that arrived and that the sender may not have concluded, with what was decided.
        undecided_or_unconfirmed: Vec<(u64, Option<Outcome>)>,
    },
}

/// The tag of a message: its number.
pub(super) fn tag(message: u64) -> DeliveryTag {
    DeliveryTag::try_from(&message.to_be_bytes()[..]).expect("eight octets")
}

fn message(tag: &DeliveryTag) -> u64 {
    u64::from_be_bytes(tag.as_bytes().try_into().expect("a message's number"))
}

/// The receiver's view of a message; None if it does not know it.
fn view(map: Option<&UnsettledMap>, wanted: u64) -> Option<Option<Outcome>> {
    let (_, state) = map?.0.iter().find(|(tag, _)| message(tag) == wanted)?;
    Some(state.as_ref().and_then(DeliveryState::outcome).cloned())
}

impl Side {
    /// The end of a link that goes on where its terminus is.
    pub(super) fn kept_end(&mut self, name: &Str, role: Role, ledger: &mut Ledger) -> End {
        let terminus = self
            .termini
            .entry(name.clone())
            .or_insert_with(|| match role {
                Role::Sender => Terminus::Sender {
                    id: ledger.new_sender(),
                    in_doubt: Vec::new(),
                },
                Role::Receiver => Terminus::Receiver {
                    from: None,
                    received: Vec::new(),
                    undecided_or_unconfirmed: Vec::new(),
                },
            });
        match terminus {
            Terminus::Sender { id, .. } => End::Sender {
                id: *id,
                snd_settle_mode: SenderSettleMode::Mixed,
            },
            Terminus::Receiver { from, received, .. } => End::Receiver {
                held: Vec::new(),
                from: *from,
                received: received.clone(),
                auto_accept: false,
            },
        }
    }

    /// What our attach says of earlier attachments (L-035).
    pub(super) fn unsettled_map(&self, name: &Str) -> Option<UnsettledMap> {
        let entries = match self.termini.get(name)? {
            Terminus::Sender { in_doubt, .. } => in_doubt
                .iter()
                .map(|message| (tag(*message), None))
                .collect(),
            Terminus::Receiver {
                undecided_or_unconfirmed,
                ..
            } => undecided_or_unconfirmed
                .iter()
                .map(|(message, outcome)| (tag(*message), outcome.clone().map(Into::into)))
                .collect(),
        };
        Some(UnsettledMap(entries))
    }

    /// What the sender does not name any more it has concluded.
    pub(super) fn prune(&mut self, name: &Str, sender: Option<&UnsettledMap>) {
        if let Some(Terminus::Receiver {
            undecided_or_unconfirmed,
            ..
        }) = self.termini.get_mut(name)
        {
            undecided_or_unconfirmed.retain(|(message, _)| view(sender, *message).is_some());
        }
    }

    pub(super) fn in_doubt(&mut self, link: LinkKey, message: u64) {
        let name = self.held_link(link).name.clone();
        match self.termini.get_mut(&name) {
            Some(Terminus::Sender { in_doubt, .. }) => in_doubt.push(message),
            _ => panic!("{}: {name} has no terminus that sends", self.name),
        }
    }

    /// Takes a decision of the receiver's down, until the sender has confirmed it.
    pub(super) fn note_decision(&mut self, name: &Str, message: u64, outcome: Outcome) {
        if let Some(Terminus::Receiver {
            undecided_or_unconfirmed,
            ..
        }) = self.termini.get_mut(name)
        {
            undecided_or_unconfirmed.push((message, Some(outcome)));
        }
    }

    /// A message is confirmed, or comes again: it is not the terminus' any more.
    pub(super) fn take_from_terminus(&mut self, name: &Str, message: u64) -> bool {
        let Some(Terminus::Receiver {
            undecided_or_unconfirmed,
            ..
        }) = self.termini.get_mut(name)
        else {
            return false;
        };
        let before = undecided_or_unconfirmed.len();
        undecided_or_unconfirmed.retain(|(kept, _)| *kept != message);
        undecided_or_unconfirmed.len() < before
    }

    /// Sends again what the receiver may not have, and concludes what it has decided.
    pub(super) fn replay(
        &mut self,
        link: LinkKey,
        receiver: Option<&UnsettledMap>,
        ledger: &mut Ledger,
    ) {
        let name = self.held_link(link).name.clone();
        let Some(Terminus::Sender { in_doubt, .. }) = self.termini.get_mut(&name) else {
            return;
        };
        let mut in_doubt = std::mem::take(in_doubt);
        in_doubt.sort_unstable();
        for message in in_doubt {
            let known = view(receiver, message);
            let mut again = outbound(ledger.payload(message));
            again.delivery_tag = Some(tag(message));
            again.resume = known.is_some();
            let sent = match known {
                Some(Some(outcome)) if message.is_multiple_of(2) => {
                    again.payload = empty();
                    again.state = Some(outcome.clone().into());
                    ledger.resolve(message, Ok(outcome));
                    Sent::Conclusion
                }
                Some(None) if message.is_multiple_of(7) => {
                    again.payload = empty();
                    again.aborted = true;
                    ledger.give_up(message);
                    Sent::Conclusion
                }
                _ => Sent::Kept {
                    message,
                    again: true,
                },
            };
            let settled = sent == Sent::Conclusion;
            self.wait(Want::room(link, sent, settled, again));
            self.poll(self.waits.len() - 1, ledger); // before anything new
        }
    }

    /// What became of a message that is kept.
    pub(super) fn on_kept_outcome(
        &mut self,
        link: LinkKey,
        message: u64,
        again: bool,
        result: Result<Outcome, SendError>,
        ledger: &mut Ledger,
    ) {
        match result {
            Err(SendError::Unknown(_)) => self.in_doubt(link, message),
            Err(SendError::NotSent(_)) if again => self.in_doubt(link, message),
            result => ledger.resolve(message, result),
        }
    }

    /// Puts what is left of a link that has ended into its terminus; false if it lives, or something may still come of it.
    pub(super) fn collect(&mut self, name: &Str, ledger: &mut Ledger) -> bool {
        let is_named = |link: &HeldLink| link.name == *name;
        let Some(key) = self
            .links
            .iter()
            .find(|link| is_named(link))
            .map(|link| link.key)
        else {
            return true;
        };
        if self.engine.link_ended(key).is_none() {
            return false;
        }
        self.run(ledger);
        let is_sent = |want: &Want| want.link() == Some(key) && want.sent().is_some();
        if !self.links.iter().any(|link| link.key == key) {
            return true; // its attach failed just now
        }
        if self.waits.iter().any(|wait| is_sent(&wait.want)) {
            return false;
        }
        self.cancel_receives(key);
        let mut ticket = None;
        while let Poll::Ready(Ok(inbound)) =
            self.call(|engine| engine.poll_recv(key, &mut ticket, Waker::noop()))
        {
            self.on_delivery(key, inbound, ledger);
        }
        let link = self.drop_link(key, ledger);
        self.save(link);
        true
    }

    fn save(&mut self, link: HeldLink) {
        let End::Receiver {
            held,
            from: last_from,
            received: all_received,
            ..
        } = link.end
        else {
            return;
        };
        if let Some(Terminus::Receiver {
            from,
            received,
            undecided_or_unconfirmed,
        }) = self.termini.get_mut(&link.name)
        {
            *from = last_from;
            *received = all_received;
            undecided_or_unconfirmed.extend(held.into_iter().map(|held| (held.message, None)));
        }
    }

    /// Numbers of the links of ours that have something to resume, or must be attached for the other side's sake.
    pub(super) fn doubtful(&self) -> Vec<usize> {
        let is_doubtful = |number: &usize| {
            let name = Str::from(format!("{}-kept-{number}", self.name));
            let is_alive = |link: &HeldLink| {
                link.name == name && link.is_attached && self.engine.link_ended(link.key).is_none()
            };
            !self.links.iter().any(is_alive) && self.termini.contains_key(&name)
        };
        (0..2).filter(is_doubtful).collect()
    }

    /// Messages whose outcome nobody has.
    pub(super) fn all_in_doubt(&self) -> usize {
        let of = |terminus: &Terminus| match terminus {
            Terminus::Sender { in_doubt, .. } => in_doubt.len(),
            Terminus::Receiver { .. } => 0,
        };
        self.termini.values().map(of).sum()
    }
}
