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
}

#[derive(Clone, Debug)]
struct Fate {
    sender: u64,
    is_committed: bool,
    is_received: bool,
    given: Option<Outcome>,
    verdict: Option<Verdict>,
}

/// Every message by its number; numbers grow in the order of sending.
#[derive(Default)]
pub(super) struct Ledger {
    fates: HashMap<u64, Fate>,
    next_message: u64,
    next_sender: u64,
}

impl Ledger {
    /// A number for one incarnation of a sending link.
    pub(super) fn new_sender(&mut self) -> u64 {
        self.next_sender += 1;
        self.next_sender
    }

    /// A message of `filler` octets beside its number.
    pub(super) fn new_message(&mut self, sender: u64, filler: usize) -> (u64, Bytes) {
        self.next_message += 1;
        let number = self.next_message;
        self.fates.insert(
            number,
            Fate {
                sender,
                is_committed: false,
                is_received: false,
                given: None,
                verdict: None,
            },
        );
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(8 + filler, number as u8);
        (number, payload.into())
    }

    fn fate(&mut self, message: u64) -> &mut Fate {
        self.fates.get_mut(&message).expect("a message of this run")
    }

    pub(super) fn commit(&mut self, message: u64) {
        self.fate(message).is_committed = true;
    }

    /// Checks a message that arrived; returns its number and that of the link that sent it.
    pub(super) fn receive(&mut self, payload: &[u8]) -> (u64, u64) {
        let (number, filler) = payload.split_first_chunk().expect("a message's number");
        let message = u64::from_be_bytes(*number);
        assert!(
            filler.iter().all(|octet| *octet == message as u8),
            "message {message} is not what was sent"
        );
        let fate = self.fate(message);
        assert!(fate.is_committed, "message {message} was never sent");
        assert!(!fate.is_received, "message {message} arrived twice");
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

    /// Messages that a link committed, in order.
    pub(super) fn committed_by(&self, sender: u64) -> Vec<u64> {
        let mut committed: Vec<u64> = self
            .fates
            .iter()
            .filter(|(_, fate)| fate.sender == sender && fate.is_committed)
            .map(|(message, _)| *message)
            .collect();
        committed.sort_unstable();
        committed
    }
}
