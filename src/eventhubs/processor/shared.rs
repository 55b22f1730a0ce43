//! What a processor and its partitions share.

use std::sync::Arc;
use std::time::Duration;

use super::observer::{ProcessorEvent, ProcessorObserver};
use super::options::ProcessorOptions;
use crate::eventhubs::Client;
use crate::eventhubs::checkpoint::{CheckpointStore, ConsumerGroupId, StoreError, StoreFuture};
use crate::eventhubs::metrics::ProcessorMeters;
use crate::random::Random;

pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) store: Arc<dyn CheckpointStore>,
    pub(super) group: ConsumerGroupId,
    /// The processor's name in the store.
    pub(super) owner: String,
    pub(super) options: ProcessorOptions,
    pub(super) random: Random,
    meters: ProcessorMeters,
}

impl Shared {
    pub(super) fn new(
        client: Client,
        store: Arc<dyn CheckpointStore>,
        options: ProcessorOptions,
    ) -> Arc<Self> {
        let namespace = options.namespace.as_deref().unwrap_or(client.host());
        let group = ConsumerGroupId::new(namespace, client.hub(), &options.consumer_group);
        let new_name = || uuid::Uuid::new_v4().to_string();
        Arc::new(Self {
            meters: ProcessorMeters::new(client.hub(), &options.consumer_group),
            group,
            owner: options.owner.clone().unwrap_or_else(new_name),
            random: Random::new(options.seed),
            client,
            store,
            options,
        })
    }

    pub(super) fn tell(&self, event: ProcessorEvent) {
        self.meters.count(&event);
        ProcessorObserver::tell(self.options.observer.as_ref(), &event);
    }

    /// A call of the store, with its deadline.
    pub(super) async fn ask<T>(
        &self,
        attempt: &str,
        call: StoreFuture<'_, T>,
    ) -> Result<T, StoreError> {
        let timeout = self.options.store_timeout;
        match tokio::time::timeout(timeout, call).await {
            Ok(answer) => answer,
            Err(_) => Err(StoreError::unavailable(
                attempt,
                format!("no answer within {timeout:?}"),
            )),
        }
    }

    /// The pause after so many failures in a row.
    pub(super) fn pause(&self, failures: u32) -> Duration {
        let random = self.random.next();
        self.options.retry.delay(failures.saturating_sub(1), random)
    }
}
