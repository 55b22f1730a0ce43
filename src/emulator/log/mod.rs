//! The log of one partition: events in order, from the oldest kept to the newest (Event Hubs). No clock, no lock.

mod producers;
mod tail;

use std::collections::VecDeque;
use std::fmt;

pub(crate) use self::producers::{Numbers, ProducerClaim, ProducerState, taken_over};
pub(crate) use self::tail::{Placed, Publication, Tail};
use super::config::Retention;
use super::event::{Position, StoredEvent};
use super::selector::StartPosition;
use crate::codec::Timestamp;

/// An append-only log that forgets its oldest events by count, octets and age.
pub(crate) struct Log {
    /// Sequence numbers without gaps: the event at index `i` has the first one's number plus `i`.
    events: VecDeque<StoredEvent>,
    octets: usize,
    last: Option<Position>,
    retention: Retention,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("events", &self.events.len())
            .field("octets", &self.octets)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

/// A start position that is not in the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PositionError {
    /// Behind the newest sequence number.
    #[error(
        "The supplied sequence number '{supplied}' is invalid. The last sequence number in the system is '{last}'"
    )]
    SequenceNumber { supplied: i64, last: i64 },
    /// Behind the newest offset.
    #[error(
        "The supplied offset '{supplied}' is invalid. The last offset in the system is '{last}'"
    )]
    Offset { supplied: u64, last: i128 },
}

impl Log {
    pub(crate) fn new(retention: Retention) -> Log {
        Log {
            events: VecDeque::new(),
            octets: 0,
            last: None,
            retention,
        }
    }

    /// Adds events behind those that are there.
    pub(crate) fn append(&mut self, events: Vec<StoredEvent>) {
        for event in events {
            self.octets += event.size();
            self.last = Some(event.position.clone());
            self.events.push_back(event);
        }
        self.forget();
    }

    /// Drops the oldest events beyond the retention, never the newest.
    fn forget(&mut self) {
        while self.events.len() > 1
            && (self.events.len() > self.retention.events || self.octets > self.retention.bytes)
        {
            let Some(oldest) = self.events.pop_front() else {
                return;
            };
            self.octets -= oldest.size();
        }
    }

    /// Drops the events that were stored before a moment.
    pub(crate) fn forget_before(&mut self, moment: Timestamp) {
        while let Some(oldest) = self.events.front()
            && oldest.position.enqueued < moment
        {
            self.octets -= oldest.size();
            self.events.pop_front();
        }
    }

    /// Goes on behind events that are not here any more.
    pub(crate) fn continue_from(&mut self, tail: &Tail) {
        if tail.next_sequence_number() > self.next_sequence_number() {
            self.events.clear();
            self.octets = 0;
            self.last = tail.last.clone();
        }
    }

    /// Up to `max` events from a sequence number on; what is forgotten is left out.
    pub(crate) fn read(&self, from: i64, max: usize) -> Vec<StoredEvent> {
        let index = usize::try_from(from.saturating_sub(self.begin())).unwrap_or(0);
        self.events
            .range(index.min(self.events.len())..)
            .take(max)
            .cloned()
            .collect()
    }

    /// The sequence number with which a reader begins.
    pub(crate) fn find(&self, start: &StartPosition) -> Result<i64, PositionError> {
        // A reader that waits for the first event ever may name it before it is there.
        let last = self.last.as_ref();
        match *start {
            StartPosition::Earliest => Ok(self.begin()),
            StartPosition::Latest => Ok(self.next_sequence_number()),
            StartPosition::SequenceNumber { number, inclusive } => {
                let newest = self.next_sequence_number() - 1;
                if number > newest.max(0) {
                    return Err(PositionError::SequenceNumber {
                        supplied: number,
                        last: newest,
                    });
                }
                let wanted = if inclusive {
                    number
                } else {
                    number.saturating_add(1)
                };
                Ok(wanted.clamp(self.begin(), self.next_sequence_number()))
            }
            StartPosition::Offset { offset, inclusive } => {
                if offset > last.map_or(0, |last| last.offset) {
                    let last = last.map_or(-1, |last| i128::from(last.offset));
                    return Err(PositionError::Offset {
                        supplied: offset,
                        last,
                    });
                }
                Ok(self.first_that(|event| {
                    if inclusive {
                        event.offset >= offset
                    } else {
                        event.offset > offset
                    }
                }))
            }
            StartPosition::EnqueuedTime { millis, inclusive } => Ok(self.first_that(|event| {
                if inclusive {
                    event.enqueued.0 >= millis
                } else {
                    event.enqueued.0 > millis
                }
            })),
        }
    }

    /// The sequence number of the first event for which `matches` holds; it must then hold for all later ones.
    fn first_that(&self, matches: impl Fn(&Position) -> bool) -> i64 {
        let index = self
            .events
            .partition_point(|event| !matches(&event.position));
        self.events
            .get(index)
            .map_or(self.next_sequence_number(), |event| {
                event.position.sequence_number
            })
    }

    /// The sequence number of the oldest event kept, or of the next one if there is none.
    pub(crate) fn begin(&self) -> i64 {
        self.events
            .front()
            .map_or(self.next_sequence_number(), |event| {
                event.position.sequence_number
            })
    }

    /// The sequence number that the next event gets.
    pub(crate) fn next_sequence_number(&self) -> i64 {
        self.last
            .as_ref()
            .map_or(0, |last| last.sequence_number + 1)
    }

    /// The newest event's position, if there ever was one.
    pub(crate) fn last(&self) -> Option<&Position> {
        self.last.as_ref()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::event;
    use super::*;

    /// A log of `count` events, one a second from second 1000 on, each of the same size.
    fn log_of(count: i64, retention: Retention) -> Log {
        let mut log = Log::new(retention);
        let mut tail = Tail::default();
        for second in 0..count {
            store(&mut log, &mut tail, "x", (1000 + second) * 1000);
        }
        log
    }

    fn store(log: &mut Log, tail: &mut Tail, body: &str, millis: i64) {
        log.append(
            tail.place(vec![event(body)].into(), Timestamp(millis))
                .unwrap()
                .events,
        );
    }

    fn offset_of(log: &Log, sequence_number: i64) -> u64 {
        log.read(sequence_number, 1)[0].position.offset
    }

    #[test]
    fn debug_shows_no_event() {
        let (mut log, mut tail) = (Log::new(Retention::default()), Tail::default());
        store(&mut log, &mut tail, "x", 0);
        store(&mut log, &mut tail, "hush", 0);
        let shown = format!("{log:?} {:?} {:?}", event("hush"), log.read(1, 1));
        assert!(!shown.contains("hush"), "{shown}");
        assert!(shown.contains("events: 2"), "{shown}");
    }

    #[test]
    fn sequence_numbers_rise_by_one_from_zero_and_offsets_rise() {
        let log = log_of(5, Retention::default());
        let events = log.read(0, 10);
        let numbers: Vec<i64> = events
            .iter()
            .map(|event| event.position.sequence_number)
            .collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        assert!(
            events
                .windows(2)
                .all(|pair| pair[0].position.offset < pair[1].position.offset)
        );
        assert_eq!(log.last(), Some(&events[4].position));
    }

    #[test]
    fn every_position_is_found() {
        let log = log_of(5, Retention::default());
        let offset = offset_of(&log, 2);
        let millis = 1_002_000;
        let table = [
            (StartPosition::Earliest, 0),
            (StartPosition::Latest, 5),
            (
                StartPosition::SequenceNumber {
                    number: 2,
                    inclusive: true,
                },
                2,
            ),
            (
                StartPosition::SequenceNumber {
                    number: 2,
                    inclusive: false,
                },
                3,
            ),
            (
                StartPosition::SequenceNumber {
                    number: -1,
                    inclusive: false,
                },
                0,
            ),
            (
                StartPosition::SequenceNumber {
                    number: 4,
                    inclusive: false,
                },
                5,
            ),
            (
                StartPosition::Offset {
                    offset,
                    inclusive: true,
                },
                2,
            ),
            (
                StartPosition::Offset {
                    offset,
                    inclusive: false,
                },
                3,
            ),
            (
                StartPosition::EnqueuedTime {
                    millis,
                    inclusive: true,
                },
                2,
            ),
            (
                StartPosition::EnqueuedTime {
                    millis,
                    inclusive: false,
                },
                3,
            ),
            (
                StartPosition::EnqueuedTime {
                    millis: 0,
                    inclusive: false,
                },
                0,
            ),
            (
                StartPosition::EnqueuedTime {
                    millis: i64::MAX,
                    inclusive: false,
                },
                5,
            ),
        ];
        for (start, found) in table {
            assert_eq!(log.find(&start), Ok(found), "{start:?}");
        }
    }

    #[test]
    fn a_position_behind_the_end_is_refused_with_the_last_one() {
        let log = log_of(5, Retention::default());
        let error = log
            .find(&StartPosition::SequenceNumber {
                number: 5,
                inclusive: true,
            })
            .unwrap_err();
        let text = "The supplied sequence number '5' is invalid. The last sequence number in the system is '4'";
        assert_eq!(error.to_string(), text);
        let beyond = StartPosition::Offset {
            offset: u64::MAX,
            inclusive: false,
        };
        assert!(matches!(
            log.find(&beyond),
            Err(PositionError::Offset { .. })
        ));
    }

    #[test]
    fn in_an_empty_log_the_first_event_may_be_named_and_no_later_one() {
        let log = Log::new(Retention::default());
        for start in [
            StartPosition::Earliest,
            StartPosition::Latest,
            StartPosition::Offset {
                offset: 0,
                inclusive: true,
            },
            StartPosition::SequenceNumber {
                number: 0,
                inclusive: true,
            },
            StartPosition::EnqueuedTime {
                millis: 5,
                inclusive: false,
            },
        ] {
            assert_eq!(log.find(&start), Ok(0), "{start:?}");
        }
        assert!(
            log.find(&StartPosition::SequenceNumber {
                number: 1,
                inclusive: true
            })
            .is_err()
        );
        assert!(
            log.find(&StartPosition::Offset {
                offset: 1,
                inclusive: true
            })
            .is_err()
        );
    }

    #[test]
    fn the_oldest_are_forgotten_by_count() {
        let log = log_of(10, Retention::default().events(3));
        assert_eq!((log.begin(), log.next_sequence_number()), (7, 10));
        assert_eq!(
            log.read(0, 10).len(),
            3,
            "a reader that was too slow goes on with the oldest kept"
        );
        let gone = StartPosition::SequenceNumber {
            number: 2,
            inclusive: false,
        };
        assert_eq!(log.find(&gone), Ok(7));
    }

    #[test]
    fn the_oldest_are_forgotten_by_octets_but_never_the_newest() {
        // Later events are a few octets longer: their offsets have more digits.
        let limit = 3 * log_of(1, Retention::default()).octets + 16;
        let log = log_of(10, Retention::default().bytes(limit));
        assert_eq!(log.begin(), 7);
        assert!(log.octets <= limit);
        let log = log_of(10, Retention::default().bytes(0));
        assert_eq!(log.begin(), 9);
    }

    #[test]
    fn the_old_are_forgotten_by_age_and_the_last_position_is_still_known() {
        let mut log = log_of(5, Retention::default());
        log.forget_before(Timestamp(1_003_000));
        assert_eq!((log.begin(), log.next_sequence_number()), (3, 5));
        log.forget_before(Timestamp(i64::MAX));
        assert!(log.is_empty());
        assert_eq!((log.begin(), log.octets), (5, 0));
        assert_eq!(log.last().unwrap().sequence_number, 4);
    }

    #[test]
    fn enqueued_time_does_not_run_backwards() {
        let (mut log, mut tail) = (Log::new(Retention::default()), Tail::default());
        store(&mut log, &mut tail, "x", 1_001_000);
        store(&mut log, &mut tail, "x", 0);
        assert_eq!(log.last().unwrap().enqueued, Timestamp(1_001_000));
    }

    #[test]
    fn reading_starts_anywhere_without_panic() {
        let log = log_of(3, Retention::default());
        assert_eq!(log.read(i64::MIN, 1)[0].position.sequence_number, 0);
        assert!(log.read(3, 1).is_empty());
        assert!(log.read(i64::MAX, 1).is_empty());
    }
}
