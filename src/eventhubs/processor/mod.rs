//! Processors: the partitions of a consumer group divided among any number of processes, each of which goes on where the last
//! owner of a partition stopped.
//!
//! ```text
//! Processor ── coordinator ── balancer        which partitions are ours
//!    │             └── CheckpointStore        where all processors of the group write that down
//!    │
//!    ├── PartitionClient ── Partition         pull: ask for events, partition by partition
//!    └── PartitionHandler ── pump             push: an object for each partition gets them
//! ```
//!
//! # At least once
//!
//! Each event is processed at least once. A partition starts after its last checkpoint, so events that were processed but not
//! covered by a checkpoint come again when it changes hands: after a crash, a shutdown without checkpoint, or when another
//! processor takes it for the sake of balance. An old owner may be busy with its last batch when the new one starts.
//! Nothing is skipped, as long as checkpoints are only written for what has been processed;
//! [automatic](Checkpoints::Automatic) ones are.
//!
//! # Who owns a partition
//!
//! A processor [claims](crate::eventhubs::checkpoint::CheckpointStore::claim_ownerships) a partition in the store and renews its
//! claim at each [interval](ProcessorOptions::interval). What was not renewed for the
//! [expiration](ProcessorOptions::ownership_expiration) belongs to nobody; what was given up is free at once. Shares of the living
//! processors differ by one partition at most. Losing a partition is no error: its client ends with a
//! [`StopReason`]. A processor that does not reach the store stops reading before others may take its partitions.
//!
//! The age of records is judged by the processors' [clock](ProcessorOptions::clock) against the store's: keep them within a few
//! seconds of each other.

mod balancer;
mod coordinator;
mod error;
mod handler;
mod lease;
mod observer;
mod options;
mod partition;
mod progress;
mod pump;
mod shared;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::Instant;

pub use self::balancer::LoadBalancing;
use self::coordinator::{Coordinator, Phase};
pub use self::error::{Decision, Failure, PartitionError, ProcessorError, StopReason};
pub use self::handler::PartitionHandler;
pub use self::observer::{ProcessorEvent, ProcessorObserver};
pub use self::options::{Checkpoints, ProcessorOptions};
pub use self::partition::{Partition, PartitionClient};
use self::progress::LONGEST_WAIT;
use self::pump::Pump;
use self::shared::Shared;
use super::Client;
use super::checkpoint::CheckpointStore;

/// Reads its share of the partitions of a hub, together with the other processors of its consumer group.
///
/// Take the partitions one by one with [`next_partition`](Self::next_partition), or give each to a handler with
/// [`run`](Self::run). All partitions share the connections of the client.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use amqp10::eventhubs::checkpoint::MemoryCheckpointStore;
/// use amqp10::eventhubs::processor::{PartitionError, Processor, ProcessorOptions};
/// use amqp10::eventhubs::Client;
///
/// async fn read(client: Client) -> Result<(), Box<dyn std::error::Error>> {
///     let store = Arc::new(MemoryCheckpointStore::new());
///     let processor = Processor::start(client, store, ProcessorOptions::default())?;
///     while let Some(mut partition) = processor.next_partition().await {
///         tokio::spawn(async move {
///             while let Ok(events) = partition.recv_batch(100, Duration::from_secs(1)).await {
///                 // Work on them, then:
///                 if let Some(last) = events.last() {
///                     partition.checkpoint(last).await?;
///                 }
///             }
///             partition.close().await
///         });
///     }
///     Ok(())
/// }
/// ```
///
/// Clones are the same processor. When the last is dropped without [`shutdown`](Self::shutdown), its partitions stay owned
/// in the store until they expire, as if the process had been killed.
#[derive(Clone)]
pub struct Processor {
    running: Arc<Running>,
}

struct Running {
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    /// Partitions that were claimed and are not worked on yet.
    waiting: Mutex<mpsc::UnboundedReceiver<PartitionClient>>,
    coordinator: AbortHandle,
}

impl Processor {
    /// Starts to claim partitions, in a task of its own. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the options make no sense. That the service or the store cannot be reached shows to the
    /// [observer](ProcessorOptions::observer); it is tried again for ever.
    pub fn start(
        client: Client,
        store: Arc<dyn CheckpointStore>,
        options: ProcessorOptions,
    ) -> Result<Self, ProcessorError> {
        options.check()?;
        let shared = Shared::new(client, store, options);
        let phase = watch::Sender::new(Phase::Running);
        let (starting, waiting) = mpsc::unbounded_channel();
        let coordinator = Coordinator::new(shared.clone(), phase.clone(), starting);
        let coordinator = tokio::spawn(coordinator.run()).abort_handle();
        let running = Running {
            shared,
            phase,
            waiting: Mutex::new(waiting),
            coordinator,
        };
        Ok(Self {
            running: Arc::new(running),
        })
    }

    /// The name under which the processor owns partitions.
    pub fn owner(&self) -> &str {
        &self.running.shared.owner
    }

    /// The next partition that was claimed; waits for it as long as it takes. `None` once the processor is being shut down.
    ///
    /// A partition is the processor's from its claim on: take it soon, and do not keep the client without using it.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no partition is lost.
    pub async fn next_partition(&self) -> Option<PartitionClient> {
        let mut waiting = self.running.waiting.lock().await;
        loop {
            let client = waiting.recv().await?;
            // It may have been lost while nobody took it.
            if client.partition().stop_reason().is_none() {
                return Some(client);
            }
        }
    }

    /// Gives each partition to a handler that `handler_for` makes for its id, and runs it in a task of its own. Returns when
    /// the processor has been [shut down](Self::shutdown) and all handlers have ended.
    ///
    /// A handler that panics ends its partition, which is given up; other partitions go on.
    ///
    /// # Cancel safety
    ///
    /// Dropped, all handlers are dropped where they are, and their partitions given up.
    pub async fn run<H: PartitionHandler>(&self, mut handler_for: impl FnMut(&str) -> H) {
        let mut pumps = JoinSet::new();
        loop {
            tokio::select! {
                biased; // no chance: runs of one seed are alike
                client = self.next_partition() => match client {
                    Some(client) => {
                        let handler = handler_for(client.id());
                        let pump = Pump::new(self.running.shared.clone(), client, handler);
                        pumps.spawn(pump.run());
                    }
                    None => break,
                },
                Some(ended) = pumps.join_next() => tell_of_panic(ended),
            }
        }
        let all_ended = async {
            while let Some(ended) = pumps.join_next().await {
                tell_of_panic(ended);
            }
        };
        let mut phase = self.running.phase.subscribe();
        tokio::select! {
            biased;
            () = all_ended => {}
            // Handlers that are still at work are dropped.
            _ = phase.wait_for(|phase| matches!(phase, Phase::Stopped(_))) => {}
        }
    }

    /// Stops in peace: no more events are handed out; partitions that are worked on come to their end, with a last
    /// automatic checkpoint; each is given up in the store as soon as nobody works on it. After `timeout` the rest is given up
    /// all the same, and what still works on it cannot write checkpoints any more.
    ///
    /// # Errors
    ///
    /// If some were still worked on, or the store could not be told.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the shutdown goes on as long as a clone of the processor lives.
    pub async fn shutdown(&self, timeout: Duration) -> Result<(), ProcessorError> {
        let running = &self.running;
        let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
        running.phase.send_if_modified(|phase| {
            let runs = matches!(phase, Phase::Running);
            if runs {
                *phase = Phase::Stopping(deadline);
            }
            runs
        });
        let mut phase = running.phase.subscribe();
        tokio::select! {
            biased; // no chance: runs of one seed are alike
            stopped = phase.wait_for(|phase| matches!(phase, Phase::Stopped(_))) => match stopped.as_deref() {
                Ok(Phase::Stopped(Some(error))) => Err(error.clone()),
                _ => Ok(()),
            },
            // Whoever waits for partitions gets `None`; what nobody has taken leaves again.
            never = self.drop_waiting() => never,
        }
    }

    async fn drop_waiting(&self) -> Result<(), ProcessorError> {
        while self.next_partition().await.is_some() {}
        std::future::pending().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.coordinator.abort();
    }
}

impl fmt::Debug for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processor")
            .field("owner", &self.running.shared.owner)
            .field("group", &self.running.shared.group)
            .field("phase", &*self.running.phase.borrow())
            .finish_non_exhaustive()
    }
}

fn tell_of_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a handler panicked; its partition is given up");
    }
}
