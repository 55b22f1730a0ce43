//! What a consumer reads from.

use std::sync::Arc;
use std::time::Duration;

use super::ConsumerOptions;
use crate::codec::{Fields, SenderSettleMode};
use crate::eventhubs::error::EventHubsError;
use crate::eventhubs::metrics::ConsumerMeters;
use crate::eventhubs::namespace::{Attached, Namespace};
use crate::eventhubs::position::Position;
use crate::eventhubs::properties::PartitionProperties;
use crate::eventhubs::retry::Retries;
use crate::eventhubs::route::is_partition_id;
use crate::eventhubs::wire::{Address, capability, property};
use crate::{Credit, Receiver, ReceiverOptions};

/// What a consumer reads from: all that is needed to attach again.
pub(super) struct Source {
    pub(super) namespace: Arc<Namespace>,
    pub(super) partition: String,
    pub(super) address: Address,
    pub(super) options: ConsumerOptions,
    pub(super) meters: ConsumerMeters,
}

impl Source {
    pub(super) fn new(
        namespace: Arc<Namespace>,
        partition: &str,
        options: ConsumerOptions,
    ) -> Result<Self, EventHubsError> {
        let address = address(&namespace, partition, &options)?;
        let group = options.consumer_group.as_str();
        Ok(Self {
            meters: ConsumerMeters::new(namespace.hub(), partition, group),
            namespace,
            partition: partition.to_owned(),
            address,
            options,
        })
    }

    /// Attaches the link after a pause, with as many tries as are left.
    pub(super) async fn attach(
        self: Arc<Self>,
        start: Position,
        pause: Duration,
        mut retries: Retries,
    ) -> Result<Attached<Receiver>, EventHubsError> {
        self.namespace.sleep(pause).await;
        loop {
            let options = self.receiver_options(&start);
            let attached = self.namespace.attach_receiver(&self.address, options).await;
            match attached {
                Ok(attached) => return Ok(attached),
                Err(error) => self.namespace.pause(&mut retries, error).await?,
            }
        }
    }

    /// The end of the partition as it is now. Asked for before the link is attached: if "latest" were left to the service,
    /// events between a lost link and its successor would be skipped as long as none was received before.
    pub(super) async fn end(&self) -> Result<Position, EventHubsError> {
        let properties = PartitionProperties::read(&self.namespace, &self.partition).await?;
        if properties.last_enqueued_sequence_number < 0 {
            return Ok(Position::earliest());
        }
        Ok(Position::offset(properties.last_enqueued_offset))
    }

    /// The partition's properties, if they can be had with one try.
    pub(super) async fn properties(&self) -> Option<PartitionProperties> {
        let read = PartitionProperties::read_once(&self.namespace, &self.partition).await;
        read.inspect_err(|error| tracing::debug!(%error, "cannot tell whether a link is silent"))
            .ok()
    }

    fn receiver_options(&self, start: &Position) -> ReceiverOptions {
        let mut properties = Fields::new();
        if let Some(level) = self.options.owner_level {
            properties.insert(property::EPOCH, level);
        }
        if let Some(name) = &self.options.name {
            properties.insert(property::RECEIVER_NAME, name.as_str());
        }
        let mut desired_capabilities = vec![capability::GEOREPLICATION];
        if self.options.track_last_enqueued {
            desired_capabilities.push(capability::RECEIVER_RUNTIME_METRIC);
        }
        ReceiverOptions {
            filter: start.filter(),
            // A partition is a log: outcomes change nothing, so the service need not wait for them. Where it sends unsettled
            // all the same, they are settled without us.
            snd_settle_mode: SenderSettleMode::Settled,
            auto_accept: true,
            credit: Credit::Auto(self.options.prefetch.max(1)),
            prefetch_bytes: self.options.prefetch_bytes,
            properties,
            desired_capabilities,
            ..ReceiverOptions::default()
        }
    }
}

fn address(
    namespace: &Namespace,
    partition: &str,
    options: &ConsumerOptions,
) -> Result<Address, EventHubsError> {
    let hub = namespace.hub();
    let group = &options.consumer_group;
    let refused = |what| {
        let attempt = format!("receive from partition {partition:?} of {hub}");
        EventHubsError::invalid_argument(attempt, what)
    };
    if !is_partition_id(partition) {
        return Err(refused("expected the partition's id, a decimal number"));
    }
    if group.is_empty() || group.contains('/') {
        return Err(refused("expected the name of a consumer group"));
    }
    Ok(Address::ConsumerPartition {
        hub: hub.to_owned(),
        consumer_group: group.clone(),
        partition: partition.to_owned(),
    })
}
