//! The end of a partition's log: what the next event is called, and which producers wrote the last ones (Event Hubs).

use super::super::event::{NewEvent, Position, StoredEvent};
use super::producers::{Numbers, ProducerState, Producers};
use crate::codec::{AmqpError, Timestamp};

/// Gives events their positions. No event is kept here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    /// The newest event, if there ever was one.
    pub(crate) last: Option<Position>,
    pub(crate) next_offset: u64,
    pub(crate) producers: Producers,
}

/// What one message brings: one event, or those of a batch.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) events: Vec<NewEvent>,
    /// Their numbers, on the link of a producer that numbers them.
    pub(crate) numbers: Option<Numbers>,
}

/// The events of a publication in their places.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    /// Those that were not stored yet.
    pub(crate) events: Vec<StoredEvent>,
    /// What is known of their producer now, where they have numbers.
    pub(crate) producer: Option<ProducerState>,
}

impl Tail {
    /// The sequence number that the next event gets.
    pub(crate) fn next_sequence_number(&self) -> i64 {
        self.last
            .as_ref()
            .map_or(0, |last| last.sequence_number + 1)
    }

    /// Gives the events of a publication their positions, save those that are stored already. Time never runs backwards in
    /// a log, even if `now` does.
    pub(crate) fn place(
        &mut self,
        publication: Publication,
        now: Timestamp,
    ) -> Result<Placed, AmqpError> {
        let Publication {
            mut events,
            numbers,
        } = publication;
        let mut producer = None;
        if let Some(numbers) = &numbers {
            let repeated = self.producers.repeated(numbers)? as usize;
            events.drain(..repeated.min(events.len()));
            if events.is_empty() {
                return Ok(Placed::default());
            }
            producer = Some(self.producers.advance(numbers));
        }
        let enqueued = self
            .last
            .as_ref()
            .map_or(now, |last| Timestamp(last.enqueued.0.max(now.0)));
        let place = |event: NewEvent| {
            let position = Position {
                sequence_number: self.next_sequence_number(),
                offset: self.next_offset,
                enqueued,
            };
            let stored = event.store(position.clone());
            self.next_offset += stored.size() as u64;
            self.last = Some(position);
            stored
        };
        let events = events.into_iter().map(place).collect();
        Ok(Placed { events, producer })
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
