//! The namespace: hubs, and what the addresses of links lead to (Event Hubs).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::config::{EmulatorOptions, HubOptions};
use super::error::EmulatorError;
use super::faults::Board;
pub(crate) use super::hub::Hub;
use super::partition::Partition;
use super::store::{Store, StoredHub};
use super::throughput::Allowance;
use crate::codec::{AmqpError, Timestamp, condition};
use crate::eventhubs::wire::Address;
use crate::lock::lock;
use crate::time::to_timestamp;

/// All hubs, and the options that hold for all of them.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) options: EmulatorOptions,
    pub(crate) faults: Arc<Board>,
    /// By name in lower case.
    hubs: Mutex<HashMap<String, Arc<Hub>>>,
    /// Where hubs are kept, if the options say so.
    store: Option<Store>,
    /// Held while a hub is made or deleted.
    changing: Arc<tokio::sync::Mutex<()>>,
    throughput: Option<Mutex<Allowance>>,
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
    /// A namespace in memory.
    pub(crate) fn new(options: EmulatorOptions) -> Namespace {
        let namespace = Namespace::empty(options, None);
        for hub in &namespace.options.hubs {
            namespace.add(namespace.hub_in_memory(hub.clone()));
        }
        namespace
    }

    /// The namespace that the options describe, with what their folder holds. The task, if there is one, writes to the
    /// folder; it ends soon after the namespace is dropped.
    pub(crate) async fn open(
        options: EmulatorOptions,
    ) -> Result<(Namespace, Option<JoinHandle<()>>), EmulatorError> {
        let Some(settings) = options.persistence.clone() else {
            return Ok((Namespace::new(options), None));
        };
        let opened = tokio::task::spawn_blocking(move || {
            let (store, hubs, writer) = Store::open(&settings, options.retention)?;
            let namespace = Namespace::empty(options, Some(store));
            hubs.into_iter()
                .for_each(|hub| namespace.add(namespace.hub_of(hub)));
            namespace.add_configured_hubs()?;
            Ok((namespace, writer))
        });
        let opened = opened.await;
        let (namespace, writer) = opened.unwrap_or_else(|failed| Err(interrupted(&failed)))?;
        Ok((namespace, Some(writer.start())))
    }

    fn empty(options: EmulatorOptions, store: Option<Store>) -> Namespace {
        let allowance = |limit| Mutex::new(Allowance::new(limit, Instant::now()));
        Namespace {
            throughput: options.throughput.map(allowance),
            faults: Arc::new(Board::new(options.faults.clone())),
            options,
            hubs: Mutex::default(),
            store,
            changing: Arc::default(),
        }
    }

    /// Makes the hubs of the options that are not there yet, and the consumer groups of those that are.
    fn add_configured_hubs(&self) -> Result<(), EmulatorError> {
        for wanted in &self.options.hubs {
            let Ok(present) = self.hub(&wanted.name) else {
                self.add(self.build(wanted.clone())?);
                continue;
            };
            let options = present.options();
            if options.partitions != wanted.partitions {
                return Err(EmulatorError::Options(format!(
                    "the hub '{}' has {} partitions in its folder and {} in the options",
                    wanted.name, options.partitions, wanted.partitions
                )));
            }
            let groups = wanted.consumer_groups.iter();
            let extended = groups.fold(options.clone(), HubOptions::consumer_group);
            if extended != options {
                self.add(self.extend(&present, extended)?);
            }
        }
        Ok(())
    }

    fn extend(&self, hub: &Hub, options: HubOptions) -> Result<Hub, EmulatorError> {
        if let (Some(store), Some(folder)) = (&self.store, &hub.folder) {
            store.describe_hub(folder, &options, hub.created)?;
        }
        Ok(Hub::new(
            options,
            hub.created,
            hub.partitions.clone(),
            hub.folder.clone(),
        ))
    }

    fn hub_in_memory(&self, options: HubOptions) -> Hub {
        let partition = |id| {
            let EmulatorOptions {
                retention, clock, ..
            } = &self.options;
            Arc::new(Partition::new(id, *retention, clock.clone()))
        };
        let partitions = (0..options.partitions as usize).map(partition).collect();
        Hub::new(options, self.now(), partitions, None)
    }

    fn hub_of(&self, stored: StoredHub) -> Hub {
        let EmulatorOptions {
            retention, clock, ..
        } = &self.options;
        let partitions = stored.partitions.into_iter().enumerate();
        let partitions = partitions.map(|(id, partition)| {
            Arc::new(Partition::stored(id, partition, *retention, clock.clone()))
        });
        Hub::new(
            stored.options,
            stored.created,
            partitions.collect(),
            Some(stored.folder),
        )
    }

    /// A new hub, with its folder if there is to be one. Blocks.
    fn build(&self, options: HubOptions) -> Result<Hub, EmulatorError> {
        let Some(store) = &self.store else {
            return Ok(self.hub_in_memory(options));
        };
        let stored = store.create_hub(&options, self.now(), self.options.retention)?;
        Ok(self.hub_of(stored))
    }

    fn add(&self, hub: Hub) {
        let name = hub.name().to_lowercase();
        lock(&self.hubs).insert(name, Arc::new(hub));
    }

    /// Makes a hub.
    pub(crate) async fn create_hub(
        self: &Arc<Self>,
        options: HubOptions,
    ) -> Result<(), EmulatorError> {
        options
            .check(self.options.max_consumer_groups)
            .map_err(EmulatorError::Options)?;
        self.change(move |namespace| {
            if namespace.hub(&options.name).is_ok() {
                return Err(EmulatorError::HubExists(options.name));
            }
            namespace.add(namespace.build(options)?);
            Ok(())
        })
        .await
    }

    /// Deletes a hub and ends its links.
    pub(crate) async fn delete_hub(self: &Arc<Self>, name: &str) -> Result<(), EmulatorError> {
        let name = name.to_owned();
        self.change(move |namespace| {
            let Some(hub) = lock(&namespace.hubs).remove(&name.to_lowercase()) else {
                return Err(EmulatorError::HubMissing(name));
            };
            hub.delete();
            match (&namespace.store, &hub.folder) {
                (Some(store), Some(folder)) => store.delete_hub(folder),
                _ => Ok(()),
            }
        })
        .await
    }

    /// Makes one change after the other, to its end even if nobody waits for it.
    async fn change(
        self: &Arc<Self>,
        change: impl FnOnce(&Namespace) -> Result<(), EmulatorError> + Send + 'static,
    ) -> Result<(), EmulatorError> {
        let turn = Arc::clone(&self.changing).lock_owned().await;
        if self.store.is_none() {
            return change(self);
        }
        let namespace = Arc::clone(self);
        let changed = tokio::task::spawn_blocking(move || {
            let changed = change(&namespace);
            drop(turn);
            changed
        });
        changed
            .await
            .unwrap_or_else(|failed| Err(interrupted(&failed)))
    }

    /// The hubs by name.
    pub(crate) fn hubs(&self) -> Vec<Arc<Hub>> {
        let mut hubs: Vec<_> = lock(&self.hubs).values().cloned().collect();
        hubs.sort_by(|a, b| a.name().cmp(b.name()));
        hubs
    }

    /// The time by the emulator's clock.
    pub(crate) fn now(&self) -> Timestamp {
        to_timestamp(self.options.clock.now())
    }

    /// A hub by its name in any case.
    pub(crate) fn hub(&self, name: &str) -> Result<Arc<Hub>, AmqpError> {
        lock(&self.hubs)
            .get(&name.to_lowercase())
            .cloned()
            .ok_or_else(|| no_entity(name))
    }

    /// Takes a publication off the namespace's throughput, or says that the service is busy.
    pub(crate) fn take_throughput(&self, events: usize, bytes: usize) -> Result<(), AmqpError> {
        match &self.throughput {
            Some(allowance) => lock(allowance).take(events, bytes, Instant::now()),
            None => Ok(()),
        }
    }

    /// Whether every partition can store events.
    pub(crate) fn is_healthy(&self) -> bool {
        let hubs = self.hubs();
        let mut partitions = hubs.iter().flat_map(|hub| &hub.partitions);
        partitions.all(|partition| partition.is_healthy())
    }

    /// Says so if a consumer group has as many receivers as the options allow.
    pub(crate) fn check_group_has_room(
        &self,
        address: &Address,
        group: &str,
    ) -> Result<(), AmqpError> {
        let limit = self.options.max_receivers_per_group;
        let hub = self.hub(address.hub().unwrap_or_default())?;
        if limit == usize::MAX || hub.reader_count(group) < limit {
            return Ok(());
        }
        let text = format!(
            "Exceeded the maximum number of allowed receivers in the consumer group '{group}', which is {limit}."
        );
        Err(AmqpError::new(condition::RESOURCE_LIMIT_EXCEEDED, text))
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
        if !hub.has_consumer_group(consumer_group) {
            return Err(no_entity(&format!(
                "{hub_name}/ConsumerGroups/{consumer_group}"
            )));
        }
        Ok((hub.partition(partition)?, consumer_group.clone()))
    }
}

/// The text by which official clients tell a missing entity from a passing failure.
pub(crate) fn no_entity(name: &str) -> AmqpError {
    AmqpError::new(
        condition::NOT_FOUND,
        format!("The messaging entity '{name}' could not be found."),
    )
}

/// A task that was to end by itself did not: the runtime is shutting down.
fn interrupted(failed: &tokio::task::JoinError) -> EmulatorError {
    EmulatorError::Storage {
        path: std::path::PathBuf::new(),
        error: std::io::Error::other(failed.to_string()),
    }
}
