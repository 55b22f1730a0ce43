//! The end of a partition's log: what the next event is called, and which producers wrote the last ones (Event Hubs).

use super::event::{NewEvent, Position, StoredEvent};
use super::producers::{Numbers, Producers};
use crate::codec::{AmqpError, Timestamp};

/// Gives events their positions. No event is kept here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    pub(crate) next_sequence_number: i64,
    pub(crate) next_offset: u64,
    pub(crate) last_enqueued: Option<Timestamp>,
    pub(crate) producers: Producers,
}

/// What one message brings: one event, or those of a batch.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) events: Vec<NewEvent>,
    /// Their numbers, on the link of a producer that numbers them.
    pub(crate) numbers: Option<Numbers>,
}

impl Tail {
    /// Gives the events of a publication their positions, save those that are stored already. Time never runs backwards in
    /// a log, even if `now` does.
    pub(crate) fn place(
        &mut self,
        publication: Publication,
        now: Timestamp,
    ) -> Result<Vec<StoredEvent>, AmqpError> {
        let Publication {
            mut events,
            numbers,
        } = publication;
        if let Some(numbers) = &numbers {
            let repeated = self.producers.repeated(numbers)? as usize;
            events.drain(..repeated.min(events.len()));
            if !events.is_empty() {
                self.producers.advance(numbers);
            }
        }
        let enqueued = self
            .last_enqueued
            .map_or(now, |last| Timestamp(last.0.max(now.0)));
        let place = |event: NewEvent| {
            let stored = event.store(Position {
                sequence_number: self.next_sequence_number,
                offset: self.next_offset,
                enqueued,
            });
            self.next_sequence_number += 1;
            self.next_offset += stored.size() as u64;
            self.last_enqueued = Some(enqueued);
            stored
        };
        Ok(events.into_iter().map(place).collect())
    }
}

impl From<Vec<NewEvent>> for Publication {
    /// Events without numbers.
    fn from(events: Vec<NewEvent>) -> Publication {
        Publication {
            events,
            numbers: None,
        }
    }
}
