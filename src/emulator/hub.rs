//! One hub: its partitions and its consumer groups (Event Hubs).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use super::config::HubOptions;
use super::namespace::no_entity;
use super::partition::Partition;
use super::partition_hash::partition_for_key;
use crate::codec::{AmqpError, Timestamp};
use crate::eventhubs::wire::{DEFAULT_CONSUMER_GROUP, condition};

/// One hub.
#[derive(Debug)]
pub(crate) struct Hub {
    options: HubOptions,
    pub(crate) created: Timestamp,
    pub(crate) partitions: Vec<Arc<Partition>>,
    /// Where it is kept, if it is.
    pub(crate) folder: Option<PathBuf>,
    round_robin: AtomicUsize,
    is_deleted: watch::Sender<bool>,
}

impl Hub {
    pub(crate) fn new(
        options: HubOptions,
        created: Timestamp,
        partitions: Vec<Arc<Partition>>,
        folder: Option<PathBuf>,
    ) -> Hub {
        Hub {
            options,
            created,
            partitions,
            folder,
            round_robin: AtomicUsize::new(0),
            is_deleted: watch::Sender::new(false),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.options.name
    }

    /// What it is made of.
    pub(crate) fn options(&self) -> HubOptions {
        self.options.clone()
    }

    /// True for the names of its consumer groups, in any case.
    pub(crate) fn has_consumer_group(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let mut groups = self.options.consumer_groups.iter().map(String::as_str);
        name == DEFAULT_CONSUMER_GROUP.to_lowercase()
            || groups.any(|group| group.to_lowercase() == name)
    }

    /// A partition by its id.
    pub(crate) fn partition(&self, id: &str) -> Result<Arc<Partition>, AmqpError> {
        let found = self
            .partitions
            .iter()
            .find(|partition| partition.id() == id);
        found.cloned().ok_or_else(|| {
            let text = format!(
                "The specified partition is invalid for an EventHub partition sender or receiver. It should be \
                 between 0 and {}.",
                self.partitions.len() - 1
            );
            AmqpError::new(condition::ARGUMENT_OUT_OF_RANGE, text)
        })
    }

    /// The partition of a key: always the same.
    pub(crate) fn partition_for_key(&self, key: &str) -> Arc<Partition> {
        Arc::clone(&self.partitions[partition_for_key(key, self.partitions.len())])
    }

    /// The next partition in turn.
    pub(crate) fn next_partition(&self) -> Arc<Partition> {
        let turn = self.round_robin.fetch_add(1, Ordering::Relaxed);
        Arc::clone(&self.partitions[turn % self.partitions.len()])
    }

    /// How many read it in a consumer group.
    pub(crate) fn reader_count(&self, group: &str) -> usize {
        let counts = self.partitions.iter();
        counts.map(|partition| partition.reader_count(group)).sum()
    }

    /// Ends its links, and takes no more events.
    pub(crate) fn delete(&self) {
        for partition in &self.partitions {
            partition.retire(no_entity(self.name()));
        }
        self.is_deleted.send_replace(true);
    }

    /// Waits until it is deleted, and says so in the words by which clients know that there is no use in trying again.
    pub(crate) async fn deleted(&self) -> AmqpError {
        let mut is_deleted = self.is_deleted.subscribe();
        // The sender is here.
        let _ = is_deleted.wait_for(|is_deleted| *is_deleted).await;
        no_entity(self.name())
    }
}
