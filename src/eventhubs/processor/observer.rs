//! What befalls a processor: told to the log, and to whoever observes it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::error::{Decision, StopReason};
use crate::eventhubs::checkpoint::StoreError;

/// Something that befell a processor, and that it takes care of by itself.
///
/// Told to the [`ProcessorObserver`] and to `tracing`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ProcessorEvent {
    /// The processor has become the owner of a partition.
    #[non_exhaustive]
    Claimed {
        /// Id of the partition.
        partition: String,
        /// Whose it was: another's that held too many or has expired, or the processor's own of an earlier life. `None` if
        /// nobody's.
        previous_owner: Option<String>,
    },
    /// A claim came too late: another was faster.
    #[non_exhaustive]
    ClaimLost {
        /// Id of the partition.
        partition: String,
    },
    /// Nobody works on the partition here any more.
    #[non_exhaustive]
    Stopped {
        /// Id of the partition.
        partition: String,
        /// Why not.
        reason: StopReason,
    },
    /// The processor has given the partition up in the store: it is free for others at once.
    #[non_exhaustive]
    Released {
        /// Id of the partition.
        partition: String,
    },
    /// A checkpoint was written.
    #[non_exhaustive]
    Checkpointed {
        /// Id of the partition.
        partition: String,
        /// Of the last event that needs no more work.
        sequence_number: i64,
    },
    /// The store failed; ownerships are not renewed until it works again.
    #[non_exhaustive]
    StoreFailed {
        /// How it failed.
        error: StoreError,
        /// How long the processor waits before it tries again.
        pause: Duration,
    },
    /// A handler, reading or an automatic checkpoint failed, and the handler has decided what to do.
    #[non_exhaustive]
    Failed {
        /// Id of the partition.
        partition: String,
        /// The failure as text.
        failure: String,
        /// What is done about it.
        decision: Decision,
    },
}

impl ProcessorEvent {
    fn log(&self) {
        match self {
            Self::Claimed {
                partition,
                previous_owner,
            } => tracing::info!(partition, previous_owner, "claimed a partition"),
            Self::ClaimLost { partition } => tracing::debug!(partition, "a claim came too late"),
            Self::Stopped { partition, reason } => {
                tracing::info!(partition, %reason, "stopped a partition");
            }
            Self::Released { partition } => tracing::info!(partition, "released a partition"),
            Self::Checkpointed {
                partition,
                sequence_number,
            } => tracing::debug!(partition, sequence_number, "wrote a checkpoint"),
            Self::StoreFailed { error, pause } => {
                tracing::warn!(%error, ?pause, "the checkpoint store failed; will try again");
            }
            Self::Failed {
                partition,
                failure,
                decision,
            } => tracing::warn!(partition, failure, ?decision, "a partition failed"),
        }
    }
}

/// Is told what befalls a processor; see [`ProcessorEvent`].
///
/// It is called where and when things happen, between two steps of the processor: it should count or note, and not wait.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use amqp10::eventhubs::processor::{ProcessorEvent, ProcessorObserver, ProcessorOptions};
///
/// let claims = Arc::new(AtomicU64::new(0));
/// let count = claims.clone();
/// let options = ProcessorOptions::default().observer(ProcessorObserver::new(move |event| {
///     if let ProcessorEvent::Claimed { .. } = event {
///         count.fetch_add(1, Ordering::Relaxed);
///     }
/// }));
/// # let _ = options;
/// ```
#[derive(Clone)]
pub struct ProcessorObserver(Arc<dyn Fn(&ProcessorEvent) + Send + Sync>);

impl ProcessorObserver {
    /// Calls `observe` for each event.
    pub fn new(observe: impl Fn(&ProcessorEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }

    /// Says to the log and to the observer, if there is one, what happened: the one place from which it becomes known.
    pub(super) fn tell(observer: Option<&Self>, event: &ProcessorEvent) {
        event.log();
        if let Some(Self(observe)) = observer {
            observe(event);
        }
    }
}

impl fmt::Debug for ProcessorObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessorObserver").finish_non_exhaustive()
    }
}
