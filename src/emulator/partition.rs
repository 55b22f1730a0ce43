//! A partition: its log, who waits for it, and who may read it (Event Hubs).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{oneshot, watch};

use super::config::Retention;
use super::event::{Position, StoredEvent};
use super::log::{Log, PositionError};
use super::producer_seat::{ProducerSeat, ProducerSeats};
use super::producers::ProducerClaim;
use super::readers::{Candidate, Readers};
use super::selector::StartPosition;
use super::tail::{Publication, Tail};
use crate::codec::{AmqpError, Timestamp};
use crate::lock::lock;

/// One partition of a hub.
#[derive(Debug)]
pub(crate) struct Partition {
    id: String,
    contents: Mutex<Contents>,
    /// The sequence number of the next event: readers wait for it to change.
    next: watch::Sender<i64>,
    /// By the consumer group's name in lower case.
    readers: Mutex<HashMap<String, Readers>>,
    /// Which links may publish for producers that number their events.
    producers: Arc<ProducerSeats>,
}

/// What is stored, and where the next event goes.
#[derive(Debug)]
struct Contents {
    tail: Tail,
    log: Log,
}

/// What `$management` tells about a partition.
#[derive(Clone, Debug)]
pub(crate) struct PartitionState {
    pub(crate) begin: i64,
    pub(crate) last: Option<Position>,
    pub(crate) is_empty: bool,
}

impl Partition {
    pub(crate) fn new(id: usize, retention: Retention) -> Partition {
        Partition {
            id: id.to_string(),
            contents: Mutex::new(Contents {
                tail: Tail::default(),
                log: Log::new(retention),
            }),
            next: watch::Sender::new(0),
            readers: Mutex::default(),
            producers: Arc::default(),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Stores the events of a publication, all together, and wakes readers; those that are stored already are left out.
    pub(crate) fn append(&self, publication: Publication, now: Timestamp) -> Result<(), AmqpError> {
        let mut contents = lock(&self.contents);
        let events = contents.tail.place(publication, now)?;
        contents.log.append(events);
        // Inside the lock, so that the number never goes back.
        self.next.send_replace(contents.log.next_sequence_number());
        Ok(())
    }

    /// Lets a link publish for a producer, instead of the one that did so far.
    pub(crate) fn claim_producer(
        &self,
        claim: ProducerClaim,
        now: Timestamp,
    ) -> Result<ProducerSeat, AmqpError> {
        let mut contents = lock(&self.contents);
        let state = contents.tail.producers.claim(claim, now)?;
        // Inside the lock, so that the newest claim has the seat.
        Ok(self.producers.take(state))
    }

    /// All events that are kept, oldest first.
    pub(crate) fn events(&self) -> Vec<StoredEvent> {
        let contents = lock(&self.contents);
        contents.log.read(contents.log.begin(), usize::MAX)
    }

    pub(crate) fn find(&self, start: &StartPosition) -> Result<i64, PositionError> {
        lock(&self.contents).log.find(start)
    }

    pub(crate) fn state(&self) -> PartitionState {
        let log = &lock(&self.contents).log;
        PartitionState {
            begin: log.begin(),
            last: log.last().cloned(),
            is_empty: log.is_empty(),
        }
    }

    /// A view on the log that begins at a sequence number.
    pub(crate) fn cursor(self: &Arc<Self>, from: i64) -> Cursor {
        Cursor {
            partition: Arc::clone(self),
            next: self.next.subscribe(),
            from,
        }
    }

    /// Admits a reader of a consumer group, by the group's rules.
    pub(crate) fn admit(
        self: &Arc<Self>,
        group: &str,
        candidate: Candidate,
        max_shared: usize,
    ) -> Result<Seat, AmqpError> {
        let group = group.to_lowercase();
        let mut groups = lock(&self.readers);
        let admission = groups
            .entry(group.clone())
            .or_default()
            .admit(candidate, max_shared)?;
        Ok(Seat {
            partition: Arc::clone(self),
            group,
            id: admission.id,
            evicted: admission.evicted,
        })
    }
}

/// A reader's place in its consumer group; given up when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    partition: Arc<Partition>,
    group: String,
    id: u64,
    evicted: oneshot::Receiver<AmqpError>,
}

impl Seat {
    /// Waits until another reader takes the place, and says so in the words for the client.
    pub(crate) async fn stolen(&mut self) -> AmqpError {
        match (&mut self.evicted).await {
            Ok(error) => error,
            // The place cannot be lost without a word while it is held.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(readers) = lock(&self.partition.readers).get_mut(&self.group) {
            readers.leave(self.id);
        }
    }
}

/// Where one reader is in a partition's log.
#[derive(Debug)]
pub(crate) struct Cursor {
    partition: Arc<Partition>,
    next: watch::Receiver<i64>,
    from: i64,
}

impl Cursor {
    /// The next events, at least one and at most `max`; waits for the first.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, no event is skipped.
    pub(crate) async fn read(&mut self, max: usize) -> Vec<StoredEvent> {
        loop {
            // Marked as seen before the log is looked at: an event in between is noticed.
            self.next.borrow_and_update();
            let events = lock(&self.partition.contents).log.read(self.from, max);
            if let Some(last) = events.last() {
                self.from = last.position.sequence_number + 1;
                return events;
            }
            if self.next.changed().await.is_err() {
                // The partition owns the sender, and the cursor the partition.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The newest event's position.
    pub(crate) fn last(&self) -> Option<Position> {
        lock(&self.partition.contents).log.last().cloned()
    }
}
