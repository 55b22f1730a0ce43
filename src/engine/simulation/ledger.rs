//! What became of every message of a run: the judge of what both sides claim.

use std::collections::HashMap;

use bytes::Bytes;

use crate::codec::Outcome;
use crate::error::SendError;

/// What the sending application knows in the end.
#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    Outcome(Outcome),
    NotSent,
    Unknown,
    /// It did not want to know any more.
    GivenUp,
}

#[derive(Clone, Debug)]
struct Fate {
    sender: u64,
    filler: usize,
    is_committed: bool,
    is_aborted: bool,
    is_received: bool,
    /// What the receiving application decided, or a transaction of its.
    given: Option<Outcome>,
    /// What it will be if a transaction that it is part of succeeds, by the number of that.
    provisional: HashMap<u64, Outcome>,
    verdict: Option<Verdict>,
}

/// Every message by its number; numbers grow in the order of sending.
#[derive(Default)]
pub(super) struct Ledger {
    fates: HashMap<u64, Fate>,
    next_message: u64,
    next_sender: u64,
    next_transaction: u64,
    pub(super) counts: Counts,
}

/// How often what happened: so that it can be told whether a kind of operation was simulated at all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) committed: u64,
    pub(super) received: u64,
    pub(super) resumed: u64,
    pub(super) aborted: u64,
    pub(super) stolen: u64,
    pub(super) commits: u64,
    pub(super) rollbacks: u64,
    pub(super) retired: u64,
    pub(super) connections: u64,
}

impl Counts {
    #[cfg(test)]
    pub(super) fn add(&mut self, other: &Self) {
        self.committed += other.committed;
        self.received += other.received;
        self.resumed += other.resumed;
        self.aborted += other.aborted;
        self.stolen += other.stolen;
        self.commits += other.commits;
        self.rollbacks += other.rollbacks;
        self.retired += other.retired;
        self.connections += other.connections;
    }
}

impl Ledger {
    /// A number for one incarnation of a sending link.
    pub(super) fn new_sender(&mut self) -> u64 {
        self.next_sender += 1;
        self.next_sender
    }

    /// A number for a transaction.
    pub(super) fn new_transaction(&mut self) -> u64 {
        self.next_transaction += 1;
        self.next_transaction
    }

    /// A message of `filler` octets beside its number.
    pub(super) fn new_message(&mut self, sender: u64, filler: usize) -> u64 {
        self.next_message += 1;
        let number = self.next_message;
        self.fates.insert(
            number,
            Fate {
                sender,
                filler,
                is_committed: false,
                is_aborted: false,
                is_received: false,
                given: None,
                provisional: HashMap::new(),
                verdict: None,
            },
        );
        number
    }

    /// The octets of a message, the same each time.
    pub(super) fn payload(&mut self, message: u64) -> Bytes {
        let mut payload = message.to_be_bytes().to_vec();
        payload.resize(8 + self.fate(message).filler, message as u8);
        payload.into()
    }

    fn fate(&mut self, message: u64) -> &mut Fate {
        self.fates.get_mut(&message).expect("a message of this run")
    }

    pub(super) fn commit(&mut self, message: u64, is_aborted: bool) {
        self.counts.committed += 1;
        self.counts.aborted += u64::from(is_aborted);
        let fate = self.fate(message);
        fate.is_committed = true;
        fate.is_aborted |= is_aborted;
    }

    /// Checks a message that arrived; returns its number and that of the link that sent it. One that is resumed has arrived
    /// before, and no other has.
    pub(super) fn receive(&mut self, payload: &[u8], is_resumed: bool) -> (u64, u64) {
        let (number, filler) = payload.split_first_chunk().expect("a message's number");
        let message = u64::from_be_bytes(*number);
        assert!(
            filler.iter().all(|octet| *octet == message as u8),
            "message {message} is not what was sent"
        );
        self.counts.received += 1;
        self.counts.resumed += u64::from(is_resumed);
        let fate = self.fate(message);
        assert_eq!(filler.len(), fate.filler, "message {message} is cut off");
        assert!(fate.is_committed, "message {message} was never sent");
        assert!(
            !fate.is_aborted,
            "message {message} arrived, and was aborted"
        );
        assert_eq!(
            fate.is_received, is_resumed,
            "message {message}: whether it has arrived before, and whether it is resumed"
        );
        assert_ne!(
            fate.verdict,
            Some(Verdict::NotSent),
            "message {message} arrived, and is said not to have been sent"
        );
        fate.is_received = true;
        (message, fate.sender)
    }

    /// The receiving application gave an outcome.
    pub(super) fn give(&mut self, message: u64, outcome: Outcome) {
        let given = self.fate(message).given.replace(outcome);
        assert_eq!(given, None, "message {message} was settled twice");
    }

    /// The same outcome by another way: as part of a transaction that both sides conclude.
    pub(super) fn give_again(&mut self, message: u64, outcome: Outcome) {
        let given = self.fate(message).given.replace(outcome.clone());
        assert!(
            given.is_none_or(|given| given == outcome),
            "message {message} was settled in two ways"
        );
    }

    /// The receiving application said what a message will be if a transaction succeeds.
    pub(super) fn tie(&mut self, message: u64, transaction: u64, outcome: Outcome) {
        self.fate(message).provisional.insert(transaction, outcome);
    }

    /// The sending application learned the same.
    pub(super) fn check_tie(&mut self, message: u64, transaction: u64, outcome: &Outcome) {
        let said = self.fate(message).provisional.get(&transaction);
        assert_eq!(said, Some(outcome), "message {message} in {transaction}");
    }

    /// The receipt of a message resolved.
    pub(super) fn resolve(&mut self, message: u64, result: Result<Outcome, SendError>) {
        let fate = self.fate(message);
        assert_eq!(fate.verdict, None, "message {message} resolved twice");
        let verdict = match result {
            Ok(outcome) => Verdict::Outcome(outcome),
            Err(SendError::NotSent(_)) => Verdict::NotSent,
            Err(SendError::Unknown(_)) => Verdict::Unknown,
            Err(error) => panic!("message {message}: {error}"),
        };
        if let Verdict::Outcome(outcome) = &verdict {
            assert_eq!(
                fate.given.as_ref(),
                Some(outcome),
                "message {message} has another outcome than it was given"
            );
        }
        assert!(
            !(fate.is_received && verdict == Verdict::NotSent),
            "message {message} arrived, and is said not to have been sent"
        );
        fate.verdict = Some(verdict);
    }

    pub(super) fn give_up(&mut self, message: u64) {
        self.fate(message).verdict = Some(Verdict::GivenUp);
    }

    /// Messages that a link committed and that have to arrive, in order.
    pub(super) fn committed_by(&self, sender: u64) -> Vec<u64> {
        let is_to_arrive = |fate: &Fate| {
            fate.sender == sender
                && fate.is_committed
                && !fate.is_aborted
                && fate.verdict != Some(Verdict::NotSent)
        };
        let mut committed: Vec<u64> = self
            .fates
            .iter()
            .filter(|(_, fate)| is_to_arrive(fate))
            .map(|(message, _)| *message)
            .collect();
        committed.sort_unstable();
        committed
    }
}
