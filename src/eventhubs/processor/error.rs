//! What can go wrong with a processor and its partitions, and what is no error: the end of an ownership.

use std::error::Error;
use std::fmt;

use crate::eventhubs::EventHubsError;
use crate::eventhubs::checkpoint::StoreError;

/// Why a processor did not start, or did not stop in peace.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessorError {
    /// The options make no sense; the text says which.
    #[error("the processor's options are wrong: {0}")]
    Options(String),
    /// The partitions could not be given up in the store: they stay without a reader until they expire.
    #[error("the processor could not give up its partitions: {0}")]
    NotReleased(StoreError),
    /// So many partitions were still being worked on at the deadline. They were given up all the same.
    #[error("{0} partitions were still being worked on at the deadline")]
    StillWorking(usize),
}

/// Why a partition is no longer read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// Another has taken it: a processor its ownership, or a consumer its link.
    OwnershipLost,
    /// The ownership could not be renewed in time: the store was not reached.
    OwnershipExpired,
    /// The processor is being shut down.
    Shutdown,
    /// The program gave it up: by [`close`](super::PartitionClient::close), by dropping the client, by
    /// [`Decision::Stop`](super::Decision::Stop), or because a handler panicked.
    GivenUp,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnershipLost => "another has taken the partition",
            Self::OwnershipExpired => "the ownership could not be renewed in time",
            Self::Shutdown => "the processor is being shut down",
            Self::GivenUp => "the program gave the partition up",
        })
    }
}

/// Why an operation on a partition did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartitionError {
    /// The partition is no longer ours. No fault: another goes on after the last checkpoint.
    #[error("the partition has ended here: {0}")]
    Ended(StopReason),
    /// Events could not be read. The next call tries again.
    #[error(transparent)]
    Receive(#[from] EventHubsError),
    /// A checkpoint could not be written.
    #[error(transparent)]
    Checkpoint(#[from] StoreError),
}

/// What a [`PartitionHandler`](super::PartitionHandler) is asked to decide about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The handler returned this error for a batch.
    #[error("the handler failed: {0}")]
    Handler(Box<dyn Error + Send + Sync>),
    /// Events could not be read, in spite of the client's own retries.
    #[error(transparent)]
    Receive(EventHubsError),
    /// An automatic checkpoint could not be written, in spite of retries.
    #[error(transparent)]
    Checkpoint(StoreError),
}

/// What to do after a [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Decision {
    /// The same again, after a pause that grows with each failure in a row: the same batch, the next events, or the checkpoint.
    Retry,
    /// Go on: the batch counts as processed; reading goes on after the last event that came; the checkpoint is left for later.
    Skip,
    /// Give the partition up. Its next owner starts after the last checkpoint; that is this processor only once the
    /// expiration of an ownership has passed.
    Stop,
}
