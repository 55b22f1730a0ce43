//! A store for the processors of one process: for tests, and where nothing needs to outlive the process.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Mutex;
use std::time::SystemTime;

use super::{Checkpoint, CheckpointStore, ConsumerGroupId, Ownership, StoreFuture};
use crate::Clock;
use crate::lock::lock;

/// Keeps ownerships and checkpoints in memory. Share it between processors by an `Arc`.
///
/// Each group holds as many records as it has partitions; none is ever removed.
#[derive(Default)]
pub struct MemoryCheckpointStore {
    clock: Clock,
    groups: Mutex<HashMap<ConsumerGroupId, Records>>,
}

#[derive(Default)]
struct Records {
    ownerships: BTreeMap<String, Ownership>,
    checkpoints: BTreeMap<String, Checkpoint>,
    /// Counts the writes of ownerships: each version gets a number that no other had.
    version: u64,
}

impl MemoryCheckpointStore {
    /// An empty store that writes the system's time into its records.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store with its own clock. The processors that share it should have the same one.
    pub fn with_clock(clock: Clock) -> Self {
        Self {
            clock,
            ..Self::default()
        }
    }

    fn with_records<T>(
        &self,
        group: &ConsumerGroupId,
        access: impl FnOnce(&mut Records) -> T,
    ) -> T {
        access(lock(&self.groups).entry(group.lower_case()).or_default())
    }
}

impl Records {
    fn claim(&mut self, claim: Ownership, now: SystemTime) -> Option<Ownership> {
        let stored = self.ownerships.get(&claim.partition);
        if claim.etag != stored.and_then(|record| record.etag.clone()) {
            return None;
        }
        self.version += 1;
        let record = Ownership {
            etag: Some(self.version.to_string()),
            last_modified: Some(now),
            ..claim
        };
        self.ownerships
            .insert(record.partition.clone(), record.clone());
        Some(record)
    }
}

impl CheckpointStore for MemoryCheckpointStore {
    fn list_ownerships<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
    ) -> StoreFuture<'a, Vec<Ownership>> {
        Box::pin(async move {
            Ok(self.with_records(group, |records| {
                records.ownerships.values().cloned().collect()
            }))
        })
    }

    fn claim_ownerships<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
        claims: Vec<Ownership>,
    ) -> StoreFuture<'a, Vec<Ownership>> {
        Box::pin(async move {
            let now = self.clock.now();
            Ok(self.with_records(group, |records| {
                claims
                    .into_iter()
                    .filter_map(|claim| records.claim(claim, now))
                    .collect()
            }))
        })
    }

    fn list_checkpoints<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
    ) -> StoreFuture<'a, Vec<Checkpoint>> {
        Box::pin(async move {
            Ok(self.with_records(group, |records| {
                records.checkpoints.values().cloned().collect()
            }))
        })
    }

    fn update_checkpoint<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
        checkpoint: Checkpoint,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.with_records(group, |records| {
                records
                    .checkpoints
                    .insert(checkpoint.partition.clone(), checkpoint)
            });
            Ok(())
        })
    }
}

impl fmt::Debug for MemoryCheckpointStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCheckpointStore")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::conformance;
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn the_store_conforms() {
        let store = Arc::new(MemoryCheckpointStore::new());
        conformance::check(store).await.unwrap();
    }

    #[tokio::test]
    async fn records_carry_the_time_of_the_given_clock() {
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        let store = MemoryCheckpointStore::with_clock(Clock::new(move || time));
        let group = ConsumerGroupId::new("ns", "hub", "$Default");
        let claims = vec![Ownership::new("0", "me")];
        let claimed = store.claim_ownerships(&group, claims).await.unwrap();
        assert_eq!(claimed[0].last_modified, Some(time));
    }
}
