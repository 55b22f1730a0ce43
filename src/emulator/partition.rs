//! A partition: its log, who waits for it, and who may read it (Event Hubs).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{oneshot, watch};

use super::config::Retention;
use super::event::{Position, StoredEvent};
use super::log::{Log, Placed, PositionError, ProducerClaim, Publication, Tail};
use super::producer_seat::{ProducerSeat, ProducerSeats};
use super::readers::{Candidate, Readers};
use super::selector::StartPosition;
use super::store::{Entry, Journal, Record, Segments, StoredPartition, not_stored};
use crate::Clock;
use crate::codec::{AmqpError, Timestamp};
use crate::lock::lock;
use crate::time::to_timestamp;

/// One partition of a hub.
#[derive(Debug)]
pub(crate) struct Partition {
    id: String,
    clock: Clock,
    retention: Retention,
    contents: Mutex<Contents>,
    /// Its files, if it has any.
    files: Option<Files>,
    /// The sequence number of the next event: readers wait for it to change.
    next: watch::Sender<i64>,
    /// By the consumer group's name in lower case.
    readers: Mutex<HashMap<String, Readers>>,
    /// Which links may publish for producers that number their events.
    producers: Arc<ProducerSeats>,
}

/// What is stored, and where the next event goes: behind those that are being written.
#[derive(Debug)]
struct Contents {
    tail: Tail,
    log: Log,
    /// Why nothing can be stored any more.
    failure: Option<AmqpError>,
}

#[derive(Debug)]
struct Files {
    segments: Mutex<Segments>,
    journal: Journal,
}

/// A publication on its way into the log.
#[derive(Debug)]
pub(crate) enum Storing {
    /// It is there.
    Done,
    /// It is being written to a file.
    Writing(oneshot::Receiver<Result<(), AmqpError>>),
}

impl Storing {
    /// Waits until it is stored.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, it can be called again.
    pub(crate) async fn done(&mut self) -> Result<(), AmqpError> {
        match self {
            Storing::Done => Ok(()),
            Storing::Writing(written) => written
                .await
                .unwrap_or_else(|_| Err(not_stored("the emulator is shutting down"))),
        }
    }
}

/// What `$management` tells about a partition.
#[derive(Clone, Debug)]
pub(crate) struct PartitionState {
    pub(crate) begin: i64,
    pub(crate) last: Option<Position>,
    pub(crate) is_empty: bool,
}

impl Partition {
    /// An empty one in memory.
    pub(crate) fn new(id: usize, retention: Retention, clock: Clock) -> Partition {
        let contents = Contents {
            tail: Tail::default(),
            log: Log::new(retention),
            failure: None,
        };
        Partition::with(id, retention, clock, contents, None)
    }

    /// One with files.
    pub(crate) fn stored(
        id: usize,
        stored: StoredPartition,
        retention: Retention,
        clock: Clock,
    ) -> Partition {
        let contents = Contents {
            tail: stored.tail,
            log: stored.log,
            failure: None,
        };
        let files = Files {
            segments: Mutex::new(stored.segments),
            journal: stored.journal,
        };
        Partition::with(id, retention, clock, contents, Some(files))
    }

    fn with(
        id: usize,
        retention: Retention,
        clock: Clock,
        contents: Contents,
        files: Option<Files>,
    ) -> Partition {
        Partition {
            id: id.to_string(),
            clock,
            retention,
            next: watch::Sender::new(contents.log.next_sequence_number()),
            contents: Mutex::new(contents),
            files,
            readers: Mutex::default(),
            producers: Arc::default(),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    fn now(&self) -> Timestamp {
        to_timestamp(self.clock.now())
    }

    /// What is stored, without what is too old by now.
    fn contents(&self) -> MutexGuard<'_, Contents> {
        let mut contents = lock(&self.contents);
        if let Some(age) = self.retention.age {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            let moment = Timestamp(self.now().0.saturating_sub(age));
            contents.log.forget_before(moment);
        }
        contents
    }

    /// Stores the events of a publication, all together, and wakes readers; those that are stored already are left out.
    pub(crate) fn append(self: &Arc<Self>, publication: Publication) -> Result<Storing, AmqpError> {
        let mut contents = self.contents();
        if let Some(failure) = &contents.failure {
            return Err(failure.clone());
        }
        let Placed { events, producer } = contents.tail.place(publication, self.now())?;
        let Some(files) = &self.files else {
            self.show(&mut contents, events);
            return Ok(Storing::Done);
        };
        let next_offset = contents.tail.next_offset;
        // Without events this waits for those that are being written: they may be the very ones that are repeated.
        let record = (!events.is_empty()).then_some(Record::Publication {
            events,
            next_offset,
            producer,
        });
        // Handed in under the lock, so that the order is that of the positions.
        Ok(Storing::Writing(files.journal.hand_in(self, record)))
    }

    /// Lets readers see events.
    fn show(&self, contents: &mut Contents, events: Vec<StoredEvent>) {
        contents.log.append(events);
        // Inside the lock, so that the number never goes back.
        self.next.send_replace(contents.log.next_sequence_number());
    }

    /// Writes to the files what was handed in, shows it to readers and tells those who wait. Blocks.
    pub(crate) fn write(&self, entries: Vec<Entry>) {
        let Some(files) = &self.files else {
            return;
        };
        let mut segments = lock(&files.segments);
        let failure = self.contents().failure.clone();
        let written = match failure {
            Some(failure) => Err(failure),
            None => segments
                .write_entries(&entries)
                .map_err(|error| not_stored(&error.to_string())),
        };
        let mut contents = self.contents();
        if let Err(error) = &written {
            tracing::error!(partition = %self.id, ?error, "a partition cannot be written; it takes no more events");
            // The positions given since then would be missing in the files.
            contents.failure.get_or_insert(error.clone());
        }
        for entry in entries {
            if let (Ok(()), Some(Record::Publication { events, .. })) = (&written, entry.record) {
                self.show(&mut contents, events);
            }
            // A publisher that is gone needs no answer.
            let _ = entry.done.send(written.clone());
        }
        segments.forget(contents.log.begin());
    }

    #[cfg(test)]
    pub(crate) fn fill_the_disk(&self) {
        let files = self.files.as_ref().unwrap();
        lock(&files.segments).fill_the_disk();
    }

    /// Takes no more events, for this reason.
    pub(crate) fn retire(&self, reason: AmqpError) {
        lock(&self.contents).failure = Some(reason);
    }

    /// Whether events can be stored.
    pub(crate) fn is_healthy(&self) -> bool {
        lock(&self.contents).failure.is_none()
    }

    /// Lets a link publish for a producer, instead of the one that did so far.
    pub(crate) fn claim_producer(
        self: &Arc<Self>,
        claim: ProducerClaim,
    ) -> Result<ProducerSeat, AmqpError> {
        let mut contents = self.contents();
        let state = contents.tail.producers.claim(claim, self.now())?;
        if let Some(files) = &self.files
            && let Some(known) = contents.tail.producers.state(state.id)
        {
            // Written ahead of whatever the producer publishes: nobody has to wait for it.
            drop(files.journal.hand_in(self, Some(Record::Producer(known))));
        }
        // Inside the lock, so that the newest claim has the seat.
        Ok(self.producers.take(state))
    }

    /// All events that are kept, oldest first.
    pub(crate) fn events(&self) -> Vec<StoredEvent> {
        let contents = self.contents();
        contents.log.read(contents.log.begin(), usize::MAX)
    }

    pub(crate) fn find(&self, start: &StartPosition) -> Result<i64, PositionError> {
        self.contents().log.find(start)
    }

    pub(crate) fn state(&self) -> PartitionState {
        let log = &self.contents().log;
        PartitionState {
            begin: log.begin(),
            last: log.last().cloned(),
            is_empty: log.is_empty(),
        }
    }

    /// How many read the partition in a consumer group.
    pub(crate) fn reader_count(&self, group: &str) -> usize {
        lock(&self.readers)
            .get(&group.to_lowercase())
            .map_or(0, Readers::len)
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
            let events = self.partition.contents().log.read(self.from, max);
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
        self.partition.contents().log.last().cloned()
    }
}
