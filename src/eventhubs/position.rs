//! Where in a partition a consumer starts.

use std::cmp::Ordering;
use std::time::SystemTime;

use super::properties::PartitionProperties;
use super::wire::filter;
use crate::codec::{Described, FilterSet, Value};
use crate::time::to_timestamp;

/// Where in a partition a consumer starts.
///
/// ```
/// use amqp10::eventhubs::Position;
///
/// let position = Position::sequence_number(41).inclusive();
/// assert_eq!(position.expression(), "amqp.annotation.x-opt-sequence-number >= '41'");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    start: Start,
    inclusive: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Start {
    Earliest,
    Latest,
    Offset(String),
    SequenceNumber(i64),
    EnqueuedTime(SystemTime),
}

impl Position {
    const fn at(start: Start) -> Self {
        Self {
            start,
            inclusive: false,
        }
    }

    /// The oldest event that the partition still holds.
    pub const fn earliest() -> Self {
        Self::at(Start::Earliest)
    }

    /// Only events that are stored from now on.
    pub const fn latest() -> Self {
        Self::at(Start::Latest)
    }

    /// After the event with this offset, as a received event named it. Offsets are opaque: do not make them up.
    pub fn offset(offset: impl Into<String>) -> Self {
        Self::at(Start::Offset(offset.into()))
    }

    /// After the event with this sequence number.
    pub const fn sequence_number(sequence_number: i64) -> Self {
        Self::at(Start::SequenceNumber(sequence_number))
    }

    /// After the events that were stored up to this moment; milliseconds count.
    pub const fn enqueued_time(time: SystemTime) -> Self {
        Self::at(Start::EnqueuedTime(time))
    }

    /// Starts with the event at the position itself, not with the next. Changes nothing for
    /// [`earliest`](Self::earliest) and [`latest`](Self::latest).
    pub const fn inclusive(mut self) -> Self {
        self.inclusive = true;
        self
    }

    /// The position as the text of the service's filter.
    pub fn expression(&self) -> String {
        let (field, value) = match &self.start {
            Start::Earliest => (filter::OFFSET, filter::OFFSET_EARLIEST.to_owned()),
            Start::Latest => (filter::OFFSET, filter::OFFSET_LATEST.to_owned()),
            // A quote within a text is doubled, as in SQL, so that an offset cannot end it.
            Start::Offset(offset) => (filter::OFFSET, offset.replace('\'', "''")),
            Start::SequenceNumber(number) => (filter::SEQUENCE_NUMBER, number.to_string()),
            Start::EnqueuedTime(time) => (filter::ENQUEUED_TIME, to_timestamp(*time).0.to_string()),
        };
        let ends = matches!(self.start, Start::Earliest | Start::Latest);
        let operator = if self.inclusive && !ends { ">=" } else { ">" };
        format!("{field} {operator} '{value}'")
    }

    /// The position as the filter of a link's source.
    pub fn filter(&self) -> FilterSet {
        let expression = Value::from(self.expression());
        let described = Described {
            descriptor: Value::Ulong(filter::SELECTOR_CODE),
            value: expression,
        };
        let mut filters = FilterSet::new();
        filters.insert(filter::SELECTOR, Value::Described(Box::new(described)));
        filters
    }

    pub(super) fn is_latest(&self) -> bool {
        self.start == Start::Latest
    }

    /// Whether a partition with these properties holds something for a link that starts here.
    pub(super) fn finds_something_in(&self, partition: &PartitionProperties) -> bool {
        let is_found = |end: Ordering| match end {
            Ordering::Greater => true,
            Ordering::Equal => self.inclusive,
            Ordering::Less => false,
        };
        let last_number = partition.last_enqueued_sequence_number;
        !partition.is_empty
            && match &self.start {
                Start::Earliest => true,
                Start::Latest => false,
                // Which of two offsets is the later one, only the service knows.
                Start::Offset(offset) => {
                    self.inclusive || *offset != partition.last_enqueued_offset
                }
                Start::SequenceNumber(number) => is_found(last_number.cmp(number)),
                Start::EnqueuedTime(time) => partition
                    .last_enqueued_time
                    .is_some_and(|last| is_found(to_timestamp(last).0.cmp(&to_timestamp(*time).0))),
            }
    }
}

impl Default for Position {
    /// [`latest`](Self::latest).
    fn default() -> Self {
        Self::latest()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn every_position_has_its_expression() {
        let time = UNIX_EPOCH + Duration::from_millis(1_700_000_000_000);
        let table = [
            (
                Position::earliest().inclusive(),
                "amqp.annotation.x-opt-offset > '-1'",
            ),
            (
                Position::latest().inclusive(),
                "amqp.annotation.x-opt-offset > '@latest'",
            ),
            (
                Position::offset("123"),
                "amqp.annotation.x-opt-offset > '123'",
            ),
            (
                Position::offset("123").inclusive(),
                "amqp.annotation.x-opt-offset >= '123'",
            ),
            (
                Position::offset("' OR '1"),
                "amqp.annotation.x-opt-offset > ''' OR ''1'",
            ),
            (
                Position::sequence_number(5),
                "amqp.annotation.x-opt-sequence-number > '5'",
            ),
            (
                Position::enqueued_time(time),
                "amqp.annotation.x-opt-enqueued-time > '1700000000000'",
            ),
            (
                Position::enqueued_time(time).inclusive(),
                "amqp.annotation.x-opt-enqueued-time >= '1700000000000'",
            ),
        ];
        for (position, expression) in table {
            assert_eq!(position.expression(), expression);
        }
    }

    #[test]
    fn a_position_knows_whether_there_is_something_for_it() {
        let at = |millis| UNIX_EPOCH + Duration::from_millis(millis);
        let partition = PartitionProperties {
            hub: "orders".into(),
            id: "0".into(),
            beginning_sequence_number: 0,
            last_enqueued_sequence_number: 41,
            last_enqueued_offset: "1:4100:x".into(),
            last_enqueued_time: Some(at(1000)),
            is_empty: false,
        };
        let table = [
            (Position::earliest(), true),
            (Position::latest(), false),
            (Position::offset("1:4000:x"), true),
            (Position::offset("1:4100:x"), false),
            (Position::offset("1:4100:x").inclusive(), true),
            (Position::sequence_number(40), true),
            (Position::sequence_number(41), false),
            (Position::sequence_number(41).inclusive(), true),
            (Position::sequence_number(42).inclusive(), false),
            (Position::enqueued_time(at(999)), true),
            (Position::enqueued_time(at(1000)), false),
            (Position::enqueued_time(at(1000)).inclusive(), true),
            (Position::enqueued_time(at(2000)).inclusive(), false),
        ];
        let empty = PartitionProperties {
            is_empty: true,
            ..partition.clone()
        };
        for (position, expected) in table {
            assert_eq!(
                position.finds_something_in(&partition),
                expected,
                "{position:?}"
            );
            assert!(!position.finds_something_in(&empty), "{position:?}");
        }
    }

    #[test]
    fn the_filter_is_described_by_the_registered_code() {
        let filters = Position::earliest().filter();
        let Some(Value::Described(described)) = filters.get("apache.org:selector-filter:string")
        else {
            panic!("no described filter in {filters:?}");
        };
        assert_eq!(described.descriptor, Value::Ulong(0x0000_468C_0000_0004));
        assert_eq!(
            described.value,
            Value::from("amqp.annotation.x-opt-offset > '-1'")
        );
    }
}
