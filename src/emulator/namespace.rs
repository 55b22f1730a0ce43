//! The namespace: hubs, and what the addresses of links lead to (Event Hubs).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::config::EmulatorOptions;
use super::faults::Board;
use super::partition::Partition;
use super::partition_hash::partition_for_key;
use crate::codec::{AmqpError, Timestamp, condition};
use crate::eventhubs::wire::{self, Address, DEFAULT_CONSUMER_GROUP};
use crate::time::to_timestamp;

/// All hubs, and the options that hold for all of them.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) options: EmulatorOptions,
    pub(crate) faults: Arc<Board>,
    /// By name in lower case.
    hubs: HashMap<String, Arc<Hub>>,
}

/// One hub.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    pub(crate) partitions: Vec<Arc<Partition>>,
    /// In lower case.
    consumer_groups: Vec<String>,
    round_robin: AtomicUsize,
}

/// Which partition a publisher's events go to.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    /// Always this one.
    Fixed(Arc<Partition>),
    /// The one that the partition key names, or the next in turn without a key.
    AnyOf(Arc<Hub>),
}

impl Namespace {
    pub(crate) fn new(options: EmulatorOptions) -> Namespace {
        let mut hubs = HashMap::new();
        for hub in &options.hubs {
            let groups = hub
                .consumer_groups
                .iter()
                .map(String::as_str)
                .chain([DEFAULT_CONSUMER_GROUP]);
            let partitions = (0..hub.partitions as usize)
                .map(|id| Arc::new(Partition::new(id, options.retention)));
            let built = Hub {
                name: hub.name.clone(),
                created: to_timestamp(options.clock.now()),
                partitions: partitions.collect(),
                consumer_groups: groups.map(str::to_lowercase).collect(),
                round_robin: AtomicUsize::new(0),
            };
            hubs.insert(hub.name.to_lowercase(), Arc::new(built));
        }
        let faults = Arc::new(Board::new(options.faults.clone()));
        Namespace {
            options,
            faults,
            hubs,
        }
    }

    /// The time by the emulator's clock.
    pub(crate) fn now(&self) -> Timestamp {
        to_timestamp(self.options.clock.now())
    }

    /// A hub by its name in any case.
    pub(crate) fn hub(&self, name: &str) -> Result<Arc<Hub>, AmqpError> {
        self.hubs
            .get(&name.to_lowercase())
            .cloned()
            .ok_or_else(|| no_entity(name))
    }

    /// What a publisher's link leads to.
    pub(crate) fn destination(&self, address: &Address) -> Result<Destination, AmqpError> {
        match address {
            Address::Hub { hub } => Ok(Destination::AnyOf(self.hub(hub)?)),
            Address::Partition { hub, partition } => {
                Ok(Destination::Fixed(self.hub(hub)?.partition(partition)?))
            }
            // One publisher's events stay together, as those of one key do.
            Address::Publisher { hub, publisher } => {
                let hub = self.hub(hub)?;
                Ok(Destination::Fixed(hub.partition_for_key(publisher)))
            }
            Address::ConsumerPartition { .. } => Err(AmqpError::new(
                condition::NOT_ALLOWED,
                "a partition of a consumer group takes no messages",
            )),
            Address::Management { .. } | Address::Cbs => Err(AmqpError::new(
                condition::NOT_ALLOWED,
                "the node takes requests, not events",
            )),
        }
    }

    /// The partition that a reader's link leads to, and its consumer group.
    pub(crate) fn source(&self, address: &Address) -> Result<(Arc<Partition>, String), AmqpError> {
        let Address::ConsumerPartition {
            hub: hub_name,
            consumer_group,
            partition,
        } = address
        else {
            let text = format!(
                "'{address}' cannot be read from; expected hub/ConsumerGroups/group/Partitions/id"
            );
            return Err(AmqpError::new(condition::NOT_ALLOWED, text));
        };
        let hub = self.hub(hub_name)?;
        if !hub.consumer_groups.contains(&consumer_group.to_lowercase()) {
            return Err(no_entity(&format!(
                "{hub_name}/ConsumerGroups/{consumer_group}"
            )));
        }
        Ok((hub.partition(partition)?, consumer_group.clone()))
    }
}

impl Hub {
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
            AmqpError::new(wire::condition::ARGUMENT_OUT_OF_RANGE, text)
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
}

/// The text by which official clients tell a missing entity from a passing failure.
pub(crate) fn no_entity(name: &str) -> AmqpError {
    AmqpError::new(
        condition::NOT_FOUND,
        format!("The messaging entity '{name}' could not be found."),
    )
}
