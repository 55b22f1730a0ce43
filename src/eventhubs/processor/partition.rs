//! A partition that is owned: its events, and how far they have been processed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::error::{PartitionError, StopReason};
use super::lease::{self, Lease};
use super::observer::ProcessorEvent;
use super::progress::{LONGEST_WAIT, Progress};
use super::shared::Shared;
use crate::eventhubs::checkpoint::{Checkpoint, StoreError};
use crate::eventhubs::{
    ErrorKind, EventHubsError, LastEnqueued, PartitionConsumer, Position, ReceivedEvent,
};

/// The level at which all processors read: of two with the same one, the service favours who came last, so that a claim of
/// the partition takes the link, too.
const OWNER_LEVEL: i64 = 0;

/// What the processor is told when nobody works on a partition any more.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) partition: String,
    pub(super) reason: StopReason,
}

/// A partition that the processor owns, as far as checkpoints go. A handler gets it with each batch.
pub struct Partition {
    id: String,
    shared: Arc<Shared>,
    lease: watch::Receiver<Lease>,
    /// Set when the partition has ended for a reason that the lease does not know.
    ended: Option<StopReason>,
    progress: Progress,
    /// Number of the last event that was handed out.
    received: Option<i64>,
    /// Number of the last event that was processed, or of the one before the first.
    processed: Option<i64>,
    last_enqueued: Option<LastEnqueued>,
    leaving: mpsc::UnboundedSender<Left>,
}

impl Partition {
    /// Id of the partition.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Number of the last event that came.
    pub fn last_received(&self) -> Option<i64> {
        self.received
    }

    /// Where the partition ended when the last event was sent; known only with
    /// [`track_last_enqueued`](crate::eventhubs::ConsumerOptions::track_last_enqueued) and after the first event.
    pub fn last_enqueued(&self) -> Option<&LastEnqueued> {
        self.last_enqueued.as_ref()
    }

    /// How many events are in the partition after the last one that came, where [`last_enqueued`](Self::last_enqueued) is known.
    pub fn lag(&self) -> Option<u64> {
        let end = self.last_enqueued.as_ref()?.sequence_number;
        u64::try_from(end.saturating_sub(self.received?)).ok()
    }

    /// Why work on the partition should end, if it should. A handler that takes long may look at it.
    pub fn stop_reason(&self) -> Option<StopReason> {
        let dropped = self.lease.has_changed().is_err();
        self.ended
            .or_else(|| self.lease.borrow().over())
            .or(dropped.then_some(StopReason::Shutdown))
    }

    /// Waits until work on the partition should end.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has changed.
    pub async fn stopped(&self) -> StopReason {
        match self.ended {
            Some(reason) => reason,
            None => lease::over(&mut self.lease.clone()).await,
        }
    }

    /// Writes down that this event and all before it need no more work: the next owner of the partition starts after it.
    ///
    /// # Errors
    ///
    /// [`Ended`](PartitionError::Ended) if the partition is no longer ours: then nothing is written, since it might be in
    /// front of what the next owner has written. [`Checkpoint`](PartitionError::Checkpoint) if the store fails more often than
    /// the options' retries allow, or the event has not been handed out here.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the checkpoint may be written or not.
    pub async fn checkpoint(&mut self, event: &ReceivedEvent) -> Result<(), PartitionError> {
        self.check_received(event)?;
        self.write(self.at(event)).await
    }

    /// Says that this event and all before it need no more work. With
    /// [automatic checkpoints](super::Checkpoints::Automatic) one is written if it is due; without, this does nothing.
    ///
    /// # Errors
    ///
    /// As [`checkpoint`](Self::checkpoint). Unless the event has not been handed out here, what was said is kept, and written
    /// later.
    ///
    /// # Cancel safety
    ///
    /// Dropped, a checkpoint that was due is written later.
    pub async fn processed(&mut self, event: &ReceivedEvent) -> Result<(), PartitionError> {
        self.check_received(event)?;
        let number = event.sequence_number();
        let before = self.processed.unwrap_or(number.saturating_sub(1));
        if let Ok(events @ 1..) = u64::try_from(number.saturating_sub(before)) {
            self.processed = Some(number);
            self.progress.processed(self.at(event), events);
        }
        match self.progress.is_due() {
            true => self.write_pending().await,
            false => Ok(()),
        }
    }

    /// Refuses an event that cannot have come from this partition: with it, the next owner would skip what has not come yet.
    fn check_received(&self, event: &ReceivedEvent) -> Result<(), StoreError> {
        let number = event.sequence_number();
        match self.received {
            Some(received) if number <= received => Ok(()),
            _ => Err(StoreError::refused(
                "write a checkpoint",
                "the event is none of those that came from this partition",
            )),
        }
    }

    fn at(&self, event: &ReceivedEvent) -> Checkpoint {
        Checkpoint::new(self.id.as_str(), event.offset(), event.sequence_number())
    }

    /// Writes the checkpoint of the processed events, if there is something to write.
    pub(super) async fn write_pending(&mut self) -> Result<(), PartitionError> {
        match self.progress.pending().cloned() {
            Some(checkpoint) => self.write(checkpoint).await,
            None => Ok(()),
        }
    }

    /// The pending checkpoint is left for later.
    pub(super) fn postpone_checkpoint(&mut self) {
        self.progress.postpone();
    }

    async fn write(&mut self, checkpoint: Checkpoint) -> Result<(), PartitionError> {
        let (shared, attempt) = (self.shared.clone(), "write a checkpoint");
        let mut failures = 0;
        loop {
            let lost = self.ended.or_else(|| self.lease.borrow().lost());
            if let Some(reason) = lost {
                return Err(PartitionError::Ended(reason));
            }
            let update = shared
                .store
                .update_checkpoint(&shared.group, checkpoint.clone());
            let Err(error) = shared.ask(attempt, update).await else {
                break;
            };
            failures += 1;
            if !error.is_retryable() || failures > shared.options.retry.max_retries {
                return Err(error.into());
            }
            tokio::time::sleep(shared.pause(failures)).await;
        }
        self.progress.written(&checkpoint);
        shared.tell(ProcessorEvent::Checkpointed {
            partition: checkpoint.partition,
            sequence_number: checkpoint.sequence_number.unwrap_or_default(),
        });
        Ok(())
    }

    fn hand_out(&mut self, events: &[ReceivedEvent]) {
        if let (Some(first), Some(last)) = (events.first(), events.last()) {
            self.processed
                .get_or_insert(first.sequence_number().saturating_sub(1));
            self.received = Some(last.sequence_number());
        }
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        let reason = self.stop_reason().unwrap_or(StopReason::GivenUp);
        // Without a processor, nobody needs to know.
        let _ = self.leaving.send(Left {
            partition: self.id.clone(),
            reason,
        });
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partition")
            .field("id", &self.id)
            .field("received", &self.received)
            .field("processed", &self.processed)
            .field("stop_reason", &self.stop_reason())
            .finish_non_exhaustive()
    }
}

/// Reads a partition that the processor owns, from after its checkpoint on.
///
/// When the partition is lost, or the processor shuts down, every call ends with [`PartitionError::Ended`]; then it is time
/// to [`close`](Self::close) or drop the client. Until that is done the processor does not start the partition again.
pub struct PartitionClient {
    // Dropped first: the link is detached before the partition is given up.
    consumer: Option<PartitionConsumer>,
    /// Where reading starts, or goes on.
    position: Position,
    /// An error that came after the first event of a batch.
    set_aside: Option<PartitionError>,
    partition: Partition,
}

impl PartitionClient {
    pub(super) fn new(
        id: String,
        position: Position,
        shared: Arc<Shared>,
        lease: watch::Receiver<Lease>,
        leaving: mpsc::UnboundedSender<Left>,
    ) -> Self {
        let progress = Progress::new(shared.options.checkpoints);
        let partition = Partition {
            id,
            shared,
            lease,
            ended: None,
            progress,
            received: None,
            processed: None,
            last_enqueued: None,
            leaving,
        };
        Self {
            consumer: None,
            position,
            set_aside: None,
            partition,
        }
    }

    /// Id of the partition.
    pub fn id(&self) -> &str {
        self.partition.id()
    }

    /// The partition without its events.
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    pub(super) fn partition_mut(&mut self) -> &mut Partition {
        &mut self.partition
    }

    /// The next event; waits for it as long as it takes.
    ///
    /// # Errors
    ///
    /// As [`recv_batch`](Self::recv_batch).
    ///
    /// # Cancel safety
    ///
    /// Dropped, no event is lost.
    pub async fn recv(&mut self) -> Result<ReceivedEvent, PartitionError> {
        loop {
            let mut events = self.recv_batch(1, LONGEST_WAIT).await?;
            if let Some(event) = events.pop() {
                return Ok(event);
            }
        }
    }

    /// Up to `max` events: returns when there are so many, or `max_wait` has passed. Empty if none came. Attaching the link,
    /// which the first call does, is not part of the wait.
    ///
    /// # Errors
    ///
    /// [`Ended`](PartitionError::Ended) when the partition is no longer to be read here.
    /// [`Receive`](PartitionError::Receive) if reading failed in spite of the client's retries; the next call goes on after the last
    /// event that was handed out. [`Checkpoint`](PartitionError::Checkpoint) if an automatic checkpoint that is due cannot be
    /// written; the next call tries again.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no event is lost: the next call gets it.
    pub async fn recv_batch(
        &mut self,
        max: usize,
        max_wait: Duration,
    ) -> Result<Vec<ReceivedEvent>, PartitionError> {
        if let Some(error) = self.set_aside.take() {
            return Err(error);
        }
        let deadline = Instant::now() + max_wait.min(LONGEST_WAIT);
        loop {
            if self.partition.progress.is_due() {
                self.partition.write_pending().await?;
            }
            let due = self.partition.progress.due();
            let until = due.map_or(deadline, |due| due.min(deadline));
            let events = self.receive_until(max.max(1), until).await?;
            if !events.is_empty() || Instant::now() >= deadline {
                return Ok(events);
            }
        }
    }

    /// Waits for an event, then as long as `max_wait` for more. Never empty.
    pub(super) async fn recv_some(
        &mut self,
        max: usize,
        max_wait: Duration,
    ) -> Result<Vec<ReceivedEvent>, PartitionError> {
        let mut events = vec![self.recv().await?];
        if max > 1 {
            match self.recv_batch(max - 1, max_wait).await {
                Ok(more) => events.extend(more),
                Err(error) => self.set_aside = Some(error),
            }
        }
        Ok(events)
    }

    /// See [`Partition::checkpoint`].
    ///
    /// # Errors
    ///
    /// As [`Partition::checkpoint`].
    ///
    /// # Cancel safety
    ///
    /// As [`Partition::checkpoint`].
    pub async fn checkpoint(&mut self, event: &ReceivedEvent) -> Result<(), PartitionError> {
        self.partition.checkpoint(event).await
    }

    /// See [`Partition::processed`].
    ///
    /// # Errors
    ///
    /// As [`Partition::processed`].
    ///
    /// # Cancel safety
    ///
    /// As [`Partition::processed`].
    pub async fn processed(&mut self, event: &ReceivedEvent) -> Result<(), PartitionError> {
        self.partition.processed(event).await
    }

    /// Ends work on the partition: writes the checkpoint of what was [processed](Self::processed), where that is automatic and
    /// the partition is still ours, and detaches the link. Then the processor gives the partition up in the store, if it is its
    /// own; it takes it back only after the expiration of an ownership.
    ///
    /// Dropping the client does the same, save for the checkpoint.
    ///
    /// # Errors
    ///
    /// If the checkpoint could not be written. The rest is done all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the client is dropped.
    pub async fn close(mut self) -> Result<(), PartitionError> {
        let written = match self.partition.write_pending().await {
            // What is lost is no failure.
            Err(PartitionError::Ended(_)) => Ok(()),
            written => written,
        };
        if let Some(consumer) = self.consumer.take()
            && let Err(error) = consumer.close().await
        {
            tracing::debug!(partition = self.id(), %error, "the link had ended");
        }
        written
    }

    async fn receive_until(
        &mut self,
        max: usize,
        until: Instant,
    ) -> Result<Vec<ReceivedEvent>, PartitionError> {
        if let Some(reason) = self.partition.ended {
            return Err(PartitionError::Ended(reason));
        }
        let mut lease = self.partition.lease.clone();
        let received = tokio::select! {
            biased;
            reason = lease::over(&mut lease) => return Err(PartitionError::Ended(reason)),
            received = self.receive(max, until) => received,
        };
        match received {
            Ok(events) => {
                self.partition.hand_out(&events);
                if let Some(last) = events.last() {
                    self.position = Position::offset(last.offset());
                }
                Ok(events)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Attaches the link if there is none, and receives.
    async fn receive(
        &mut self,
        max: usize,
        until: Instant,
    ) -> Result<Vec<ReceivedEvent>, EventHubsError> {
        let consumer = match &mut self.consumer {
            Some(consumer) => consumer,
            none => none.insert(open(&self.partition, &self.position).await?),
        };
        let wait = until.saturating_duration_since(Instant::now());
        let events = consumer.recv_batch(max, wait).await?;
        if let Some(last_enqueued) = consumer.last_enqueued() {
            self.partition.last_enqueued = Some(last_enqueued.clone());
        }
        Ok(events)
    }

    fn failed(&mut self, error: EventHubsError) -> PartitionError {
        match error.kind() {
            ErrorKind::OwnershipLost => {
                self.consumer = None;
                self.partition.ended = Some(StopReason::OwnershipLost);
                return PartitionError::Ended(StopReason::OwnershipLost);
            }
            // One event was passed over; the consumer goes on.
            ErrorKind::Malformed => {}
            _ if error.is_retryable() => {}
            // The consumer has ended; another takes its place.
            _ => self.consumer = None,
        }
        PartitionError::Receive(error)
    }
}

async fn open(
    partition: &Partition,
    position: &Position,
) -> Result<PartitionConsumer, EventHubsError> {
    let shared = &partition.shared;
    let options = shared.options.consumer.clone();
    let options = options
        .position(position.clone())
        .consumer_group(&shared.options.consumer_group)
        .owner_level(OWNER_LEVEL)
        .name(&shared.owner);
    shared.client.consumer(partition.id(), options).await
}

impl fmt::Debug for PartitionClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionClient")
            .field("partition", &self.partition)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
