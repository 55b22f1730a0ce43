//! Producers that number their events, so that a repeat is stored once (Event Hubs).
//!
//! Known for each producer of a partition: its epoch, and the number of its last event. Of that state a claim takes hold
//! when a link is attached, and each publication is compared with it:
//!
//! ```text
//! known nothing of the id              -> what the claim says; epoch 0 and last number 0 where it says nothing
//! claim of an older epoch              -> refused: stolen
//! claim of the same epoch              -> goes on; repeats of what is stored already are seen, whatever number it names
//! claim of a newer epoch               -> goes on from the number that it names
//! ```

use std::collections::HashMap;

use crate::codec::{AmqpError, Attach, Fields, Symbol, Timestamp, Value, condition};
use crate::eventhubs::wire::{self, capability, property};

/// Most producers that a partition remembers; beyond it, the one that published longest ago is forgotten.
const MAX_PRODUCERS: usize = 4096;

/// Numbers run from 0 to this one and begin again.
const LAST_NUMBER: u32 = i32::MAX as u32;

/// The producers of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Producers {
    known: HashMap<i64, Producer>,
    /// Rises with each use of any producer.
    uses: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    last: i32,
    used: u64,
}

/// What a producer is known by, and the number of its last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProducerState {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) last: i32,
}

/// What the attach of a link says about the producer; whatever is not said is for the service to choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProducerClaim {
    pub(crate) id: Option<i64>,
    pub(crate) epoch: Option<i16>,
    pub(crate) last: Option<i32>,
}

/// The numbers of the events of one publication: `first`, and on by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) producer: i64,
    pub(crate) epoch: i16,
    pub(crate) first: i32,
    pub(crate) count: u32,
}

impl ProducerClaim {
    /// The claim in an attach; `None` if the link is not for a producer of this kind.
    pub(crate) fn of(attach: &Attach) -> Result<Option<ProducerClaim>, AmqpError> {
        if !attach
            .desired_capabilities
            .contains(&capability::IDEMPOTENT_PRODUCER)
        {
            return Ok(None);
        }
        let read = |key| integer(&attach.properties, key);
        let out_of_range = |key: Symbol| invalid(format!("the property {key} is out of range"));
        let epoch = read(property::PRODUCER_EPOCH)?
            .map(i16::try_from)
            .transpose();
        let last = read(property::PRODUCER_SEQUENCE_NUMBER)?
            .map(i32::try_from)
            .transpose();
        let claim = ProducerClaim {
            id: read(property::PRODUCER_ID)?,
            epoch: epoch.map_err(|_| out_of_range(property::PRODUCER_EPOCH))?,
            last: last.map_err(|_| out_of_range(property::PRODUCER_SEQUENCE_NUMBER))?,
        };
        let is_negative = claim.id.is_some_and(|id| id < 0)
            || claim.epoch.is_some_and(|epoch| epoch < 0)
            // One less than the first number says that none was used.
            || claim.last.is_some_and(|last| last < -1);
        if is_negative {
            return Err(invalid(
                "producer id, epoch and sequence number cannot be negative".into(),
            ));
        }
        Ok(Some(claim))
    }
}

fn integer(properties: &Fields, key: Symbol) -> Result<Option<i64>, AmqpError> {
    match properties.get(key.as_str()) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_i64()
            .map(Some)
            .ok_or_else(|| invalid(format!("the property {key} must be an integer"))),
    }
}

fn invalid(text: String) -> AmqpError {
    AmqpError::new(condition::INVALID_FIELD, text)
}

impl ProducerState {
    /// The properties of the answer to an attach, with the types of the service.
    pub(crate) fn properties(&self) -> Fields {
        Fields::new()
            .with(property::PRODUCER_ID, self.id)
            .with(property::PRODUCER_EPOCH, self.epoch)
            .with(property::PRODUCER_SEQUENCE_NUMBER, self.last)
    }
}

impl Numbers {
    /// One after the other.
    pub(crate) fn iter(&self) -> impl Iterator<Item = i32> {
        let first = self.first;
        (0..self.count).map(move |index| following(first, index))
    }

    /// The number of the last event.
    fn last(&self) -> i32 {
        following(self.first, self.count.saturating_sub(1))
    }
}

impl Producers {
    /// Lets a link publish for a producer; returns what is in force for it.
    pub(crate) fn claim(
        &mut self,
        claim: ProducerClaim,
        now: Timestamp,
    ) -> Result<ProducerState, AmqpError> {
        let id = claim.id.unwrap_or_else(|| self.unused_id(now));
        let known = self.known.get(&id).copied();
        let (in_force, stored) = match known {
            None => {
                let epoch = claim.epoch.unwrap_or(0);
                let last = claim.last.unwrap_or(0);
                (ProducerState { id, epoch, last }, last)
            }
            Some(known) => {
                // Without an epoch, the claim is for the producer's next run.
                let epoch = claim.epoch.unwrap_or(known.epoch.saturating_add(1));
                if epoch < known.epoch {
                    return Err(stolen(id, known.epoch));
                }
                let last = claim.last.unwrap_or(known.last);
                // The same run may have missed the answer to its last events: it will repeat them, and is told its own
                // number so that it repeats them under the same ones.
                let is_behind = epoch == known.epoch && !is_ahead(known.last, last);
                let stored = if is_behind { known.last } else { last };
                (ProducerState { id, epoch, last }, stored)
            }
        };
        self.set(ProducerState {
            last: stored,
            ..in_force
        });
        Ok(in_force)
    }

    /// How many of a publication's events, counted from its first, are stored already.
    pub(crate) fn repeated(&self, numbers: &Numbers) -> Result<u32, AmqpError> {
        let Some(known) = self.known.get(&numbers.producer) else {
            return Err(stolen(numbers.producer, numbers.epoch));
        };
        if known.epoch != numbers.epoch {
            return Err(stolen(numbers.producer, known.epoch));
        }
        match distance(known.last, numbers.first) {
            1 => Ok(0),
            _ if is_ahead(known.last, numbers.first) => {
                Err(out_of_order(known.last, numbers.first))
            }
            _ => Ok(numbers.count.min(distance(numbers.first, known.last) + 1)),
        }
    }

    /// Notes that a publication is stored.
    pub(crate) fn advance(&mut self, numbers: &Numbers) -> ProducerState {
        let state = ProducerState {
            id: numbers.producer,
            epoch: numbers.epoch,
            last: numbers.last(),
        };
        self.set(state);
        state
    }

    /// What is known of a producer.
    pub(crate) fn state(&self, id: i64) -> Option<ProducerState> {
        self.known.get(&id).map(|producer| ProducerState {
            id,
            epoch: producer.epoch,
            last: producer.last,
        })
    }

    /// What is known, the one that published longest ago first.
    pub(crate) fn states(&self) -> impl Iterator<Item = ProducerState> {
        let mut known: Vec<_> = self.known.iter().collect();
        known.sort_unstable_by_key(|(_, producer)| producer.used);
        known.into_iter().filter_map(|(id, _)| self.state(*id))
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Sets the state of a producer, over what was known of it.
    pub(crate) fn set(&mut self, state: ProducerState) {
        if self.known.len() >= MAX_PRODUCERS && !self.known.contains_key(&state.id) {
            let oldest = self.known.iter().min_by_key(|(_, producer)| producer.used);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.known.remove(&oldest);
            }
        }
        self.uses += 1;
        let producer = Producer {
            epoch: state.epoch,
            last: state.last,
            used: self.uses,
        };
        self.known.insert(state.id, producer);
    }

    /// An id that nobody has, and that an emulator started earlier or later does not give either: it comes from the
    /// clock, in microseconds. One official client reads it as a double, which holds that many.
    fn unused_id(&self, now: Timestamp) -> i64 {
        let mut id = now.0.clamp(1, i64::MAX / 2000) * 1000;
        while self.known.contains_key(&id) {
            id += 1;
        }
        id
    }
}

/// The number that comes `count` events later.
fn following(number: i32, count: u32) -> i32 {
    i32::try_from((number as u32).wrapping_add(count) & LAST_NUMBER).unwrap_or_default()
}

/// How many events lie between one number and a later one.
fn distance(from: i32, to: i32) -> u32 {
    (to as u32).wrapping_sub(from as u32) & LAST_NUMBER
}

/// True if the number is later than `last` by more than nothing: within the half of the circle in front of it.
fn is_ahead(last: i32, number: i32) -> bool {
    (1..=LAST_NUMBER / 2).contains(&distance(last, number))
}

fn stolen(id: i64, epoch: i16) -> AmqpError {
    let text = format!(
        "The producer '{id}' is in use with the epoch '{epoch}'. At any time, only the newest link of its highest epoch \
         may publish to the partition."
    );
    AmqpError::new(wire::condition::PRODUCER_EPOCH_STOLEN, text)
}

/// What the link of a producer hears that another link has taken over.
pub(crate) fn taken_over(state: &ProducerState) -> AmqpError {
    stolen(state.id, state.epoch)
}

fn out_of_order(last: i32, first: i32) -> AmqpError {
    let text = format!(
        "The sequence number '{first}' does not follow the last published one, '{last}': '{}' was expected.",
        following(last, 1)
    );
    AmqpError::new(wire::condition::OUT_OF_ORDER_SEQUENCE, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn claim(id: i64, epoch: i16, last: i32) -> ProducerClaim {
        ProducerClaim {
            id: Some(id),
            epoch: Some(epoch),
            last: Some(last),
        }
    }

    fn numbers(epoch: i16, first: i32, count: u32) -> Numbers {
        Numbers {
            producer: 7,
            epoch,
            first,
            count,
        }
    }

    /// Producers that know one of id 7, epoch 2, last number `last`.
    fn producers(last: i32) -> Producers {
        let mut producers = Producers::default();
        producers.claim(claim(7, 2, last), NOW).unwrap();
        producers
    }

    #[test]
    fn who_asks_with_nothing_gets_an_id_of_its_own_and_the_beginning() {
        let mut producers = Producers::default();
        let first = producers.claim(ProducerClaim::default(), NOW).unwrap();
        let second = producers.claim(ProducerClaim::default(), NOW).unwrap();
        assert_eq!((first.epoch, first.last), (0, 0));
        assert_ne!(first.id, second.id);
        assert!(second.id < 1 << 53, "a double holds it");
    }

    #[test]
    fn repeats_are_counted_and_gaps_refused() {
        let producers = producers(9);
        let table = [
            (numbers(2, 10, 3), Some(0)),
            (numbers(2, 9, 1), Some(1)),
            (numbers(2, 5, 3), Some(3)),
            (numbers(2, 8, 5), Some(2)),
            (numbers(2, 11, 1), None),
        ];
        for (numbers, repeated) in table {
            assert_eq!(producers.repeated(&numbers).ok(), repeated, "{numbers:?}");
        }
        let error = producers.repeated(&numbers(2, 11, 1)).unwrap_err();
        assert_eq!(error.condition, wire::condition::OUT_OF_ORDER_SEQUENCE);
    }

    #[test]
    fn numbers_begin_again_behind_the_last() {
        let mut producers = producers(i32::MAX - 1);
        assert_eq!(producers.repeated(&numbers(2, i32::MAX, 2)).unwrap(), 0);
        assert_eq!(producers.advance(&numbers(2, i32::MAX, 2)).last, 0);
        assert_eq!(producers.repeated(&numbers(2, i32::MAX, 2)).unwrap(), 2);
        assert_eq!(producers.repeated(&numbers(2, 1, 1)).unwrap(), 0);
        assert!(producers.repeated(&numbers(2, 2, 1)).is_err());
    }

    #[test]
    fn before_the_first_number_there_is_minus_one() {
        assert_eq!(producers(-1).repeated(&numbers(2, 0, 2)).unwrap(), 0);
    }

    #[test]
    fn another_epoch_than_the_one_in_force_is_stolen() {
        for other in [1, 3] {
            let error = producers(9).repeated(&numbers(other, 10, 1)).unwrap_err();
            assert_eq!(error.condition, wire::condition::PRODUCER_EPOCH_STOLEN);
        }
        let error = producers(9).claim(claim(7, 1, 9), NOW).unwrap_err();
        assert_eq!(error.condition, wire::condition::PRODUCER_EPOCH_STOLEN);
    }

    #[test]
    fn the_same_epoch_goes_on_and_is_told_its_own_number() {
        let mut producers = producers(9);
        assert_eq!(producers.claim(claim(7, 2, 6), NOW).unwrap().last, 6);
        assert_eq!(
            producers.repeated(&numbers(2, 7, 4)).unwrap(),
            3,
            "what was stored is still known"
        );
        let unsaid = ProducerClaim {
            last: None,
            ..claim(7, 2, 0)
        };
        assert_eq!(producers.claim(unsaid, NOW).unwrap().last, 9);
    }

    #[test]
    fn a_newer_epoch_goes_on_from_its_own_number() {
        let mut producers = producers(9);
        assert_eq!(producers.claim(claim(7, 3, 4), NOW).unwrap().last, 4);
        assert_eq!(producers.repeated(&numbers(3, 5, 1)).unwrap(), 0);
        let unsaid = ProducerClaim {
            id: Some(7),
            ..ProducerClaim::default()
        };
        assert_eq!(producers.claim(unsaid, NOW).unwrap().epoch, 4);
    }

    #[test]
    fn the_number_of_producers_is_bounded() {
        let mut producers = producers(9);
        for id in 0..2 * MAX_PRODUCERS as i64 {
            producers.claim(claim(100 + id, 0, 0), NOW).unwrap();
        }
        assert_eq!(producers.known.len(), MAX_PRODUCERS);
        assert!(producers.repeated(&numbers(2, 10, 1)).is_err());
    }
}
