//! Where the processors of a consumer group write down which partitions they own, and how far they have come.
//!
//! A store of one's own is a [`CheckpointStore`] that passes [`conformance::check`].

#[cfg(feature = "blob")]
mod blob;
pub mod conformance;
mod file;
mod memory;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

#[cfg(feature = "blob")]
pub use self::blob::{BlobCheckpointStore, BlobCheckpointStoreOptions, BlobNames};
pub use self::file::FileCheckpointStore;
pub use self::memory::MemoryCheckpointStore;

/// The consumer group that ownerships and checkpoints belong to. The service does not tell the three names by case, and
/// neither does a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ConsumerGroupId {
    /// Host name of the namespace, as `example.servicebus.windows.net`.
    pub namespace: String,
    /// Name of the hub.
    pub hub: String,
    /// Name of the consumer group.
    pub consumer_group: String,
}

impl ConsumerGroupId {
    /// A group by its three names.
    pub fn new(
        namespace: impl Into<String>,
        hub: impl Into<String>,
        consumer_group: impl Into<String>,
    ) -> Self {
        Self {
            namespace: namespace.into(),
            hub: hub.into(),
            consumer_group: consumer_group.into(),
        }
    }

    /// The names as stores compare them.
    pub(super) fn lower_case(&self) -> Self {
        Self {
            namespace: self.namespace.to_lowercase(),
            hub: self.hub.to_lowercase(),
            consumer_group: self.consumer_group.to_lowercase(),
        }
    }
}

/// Who reads a partition, as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ownership {
    /// Id of the partition.
    pub partition: String,
    /// Who owns it; empty if the last owner has given it up.
    pub owner: String,
    /// Which version of the record this is. A claim succeeds only on the version that it names; without one, only where there
    /// is no record yet.
    pub etag: Option<String>,
    /// When the record was written, by the store's clock. `None` in a claim.
    pub last_modified: Option<SystemTime>,
}

impl Ownership {
    /// A claim on a partition of which there is no record yet.
    pub fn new(partition: impl Into<String>, owner: impl Into<String>) -> Self {
        Self {
            partition: partition.into(),
            owner: owner.into(),
            etag: None,
            last_modified: None,
        }
    }

    /// A claim by `owner` on this version of the record.
    pub fn claimed_by(&self, owner: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            last_modified: None,
            ..self.clone()
        }
    }
}

/// How far a group has come in a partition: the last event that needs no more work.
///
/// One with neither an offset nor a number stands for a record that cannot be read: the partition is not started, so that
/// no event is skipped or handled again unnoticed, until somebody repairs or deletes the record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Id of the partition.
    pub partition: String,
    /// The event's offset: opaque. Preferred over the number where both are there.
    pub offset: Option<String>,
    /// The event's sequence number.
    pub sequence_number: Option<i64>,
}

impl Checkpoint {
    /// A record of a partition that cannot be read.
    fn unreadable(partition: &str) -> Self {
        Self {
            partition: partition.to_owned(),
            offset: None,
            sequence_number: None,
        }
    }

    /// Whether it says how far the group has come.
    pub fn is_readable(&self) -> bool {
        let offset = self.offset.as_deref().unwrap_or_default();
        !offset.is_empty() || self.sequence_number.is_some()
    }

    /// A checkpoint at an event of a partition.
    pub fn new(
        partition: impl Into<String>,
        offset: impl Into<String>,
        sequence_number: i64,
    ) -> Self {
        Self {
            partition: partition.into(),
            offset: Some(offset.into()),
            sequence_number: Some(sequence_number),
        }
    }
}

/// The future that a [`CheckpointStore`] returns.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Holds ownerships and checkpoints for all processors of a group, wherever they run.
///
/// A store decides who wins when two claim the same partition: each record has a version, and a claim names the version that
/// it replaces.
pub trait CheckpointStore: Send + Sync {
    /// All ownership records of a group, given up ones included.
    ///
    /// # Cancel safety
    /// Dropped, nothing has changed.
    fn list_ownerships<'a>(&'a self, group: &'a ConsumerGroupId)
    -> StoreFuture<'a, Vec<Ownership>>;

    /// Writes the claims whose version is still the stored one, and returns those, with their new version and time. A claim
    /// that came too late is left out; it is no error. A claim with an empty owner gives the partition up.
    ///
    /// # Cancel safety
    /// Dropped, each of the claims may be written or not: the list tells.
    fn claim_ownerships<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
        claims: Vec<Ownership>,
    ) -> StoreFuture<'a, Vec<Ownership>>;

    /// All checkpoints of a group. A record that cannot be read is no failure of the others: it is a checkpoint without offset
    /// and number.
    ///
    /// # Cancel safety
    /// Dropped, nothing has changed.
    fn list_checkpoints<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
    ) -> StoreFuture<'a, Vec<Checkpoint>>;

    /// Writes a checkpoint, whatever was there before.
    ///
    /// # Cancel safety
    /// Dropped, it may be written or not; a store should see to it that it does not replace one that it is given later.
    fn update_checkpoint<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
        checkpoint: Checkpoint,
    ) -> StoreFuture<'a, ()>;
}

/// Why a store could not do what it was asked.
#[derive(Clone, Debug)]
pub struct StoreError {
    attempt: String,
    retryable: bool,
    source: Arc<dyn Error + Send + Sync>,
}

impl StoreError {
    /// A failure that may pass: the store was not reached, or was busy.
    pub fn unavailable(
        attempt: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            attempt: attempt.into(),
            retryable: true,
            source: Arc::from(source.into()),
        }
    }

    /// A failure that stays until somebody changes something: no such container, not allowed, a record that cannot be read.
    pub fn refused(
        attempt: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            retryable: false,
            ..Self::unavailable(attempt, source)
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: {}", self.attempt, self.source)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}
