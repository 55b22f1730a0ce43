//! The numbers under which an idempotent producer publishes its events.
//!
//! Each event carries the state of its producer as it is once the event is published: the service stores it once.
//!
//! Events are encoded when they are added to a batch, and numbered when the batch is sent. So each is encoded with
//! annotations whose values take their widest encoding, and these are overwritten in place later: the size of a batch is
//! exact from the start, and nothing is encoded twice.

use super::wire::property;
use crate::codec::{Annotations, Symbol, Value};

/// Who publishes to a partition, and how far it has come: what an
/// [`IdempotentProducer`](super::IdempotentProducer) needs to go on where another one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PartitionPublishingState {
    /// Whom the service takes the producer for.
    pub producer_id: i64,
    /// Which one of those that have published in this name: the highest is served.
    pub epoch: i16,
    /// Number of the event that was published last; 0 before the first. After `i32::MAX` comes 0.
    pub last_sequence: i32,
}

impl PartitionPublishingState {
    /// A state that was saved.
    pub fn new(producer_id: i64, epoch: i16, last_sequence: i32) -> Self {
        Self {
            producer_id,
            epoch,
            last_sequence,
        }
    }

    /// The state when one more event is published.
    pub(super) fn next(self) -> Self {
        Self {
            last_sequence: self.last_sequence.checked_add(1).unwrap_or(0),
            ..self
        }
    }

    pub(super) fn is_same_producer(&self, other: &Self) -> bool {
        (self.producer_id, self.epoch) == (other.producer_id, other.epoch)
    }
}

/// Adds the three annotations at the end, with values of the width that any value may need.
pub(super) fn reserve(mut annotations: Annotations) -> Annotations {
    let widest = [
        (property::PRODUCER_ID, Value::Long(i64::MAX)),
        (property::PRODUCER_EPOCH, Value::Short(i16::MAX)),
        (property::PRODUCER_SEQUENCE_NUMBER, Value::Int(i32::MAX)),
    ];
    for (key, value) in widest {
        annotations.remove(&key);
        annotations.insert(key, value);
    }
    annotations
}

/// Where in a payload the values of one event stand, by the end of its annotations.
#[derive(Clone, Copy, Debug)]
pub(super) struct NumberPlace {
    end: usize,
}

/// Octets from the end of one value to the end of the next: the next one's key (format code, length, text), its format code
/// and its octets.
fn step(key: &Symbol, width: usize) -> usize {
    2 + key.as_str().len() + 1 + width
}

impl NumberPlace {
    pub(super) fn at_end_of_annotations(end: usize) -> Self {
        Self { end }
    }

    pub(super) fn moved_up(self, octets: usize) -> Self {
        Self {
            end: self.end - octets,
        }
    }

    pub(super) fn moved_down(self, octets: usize) -> Self {
        Self {
            end: self.end + octets,
        }
    }

    /// Overwrites the values that [`reserve`] had written.
    pub(super) fn write(self, number: PartitionPublishingState, payload: &mut [u8]) {
        let end_of_sequence = self.end;
        let end_of_epoch = end_of_sequence - step(&property::PRODUCER_SEQUENCE_NUMBER, 4);
        let end_of_id = end_of_epoch - step(&property::PRODUCER_EPOCH, 2);
        payload[end_of_sequence - 4..end_of_sequence]
            .copy_from_slice(&number.last_sequence.to_be_bytes());
        payload[end_of_epoch - 2..end_of_epoch].copy_from_slice(&number.epoch.to_be_bytes());
        payload[end_of_id - 8..end_of_id].copy_from_slice(&number.producer_id.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_after_the_greatest_is_zero() {
        let state = |last| PartitionPublishingState::new(7, 1, last);
        assert_eq!(state(0).next(), state(1));
        assert_eq!(state(i32::MAX).next(), state(0));
    }
}
