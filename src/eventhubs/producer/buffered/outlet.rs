//! How the batches of one partition leave.

use tokio::sync::{Mutex, watch};

use super::options::BufferedProducerOptions;
use super::phase::{Phase, unless_aborted};
use crate::eventhubs::batch::{BatchOptions, EventBatch};
use crate::eventhubs::error::{Cause, EventHubsError};
use crate::eventhubs::producer::publication::Publication;
use crate::eventhubs::producer::{IdempotentOptions, IdempotentProducer, Producer};

pub(super) enum Outlet {
    Plain(Producer),
    /// Opened with the first batch.
    Idempotent(Producer, Mutex<Option<Box<IdempotentProducer>>>),
}

impl Outlet {
    pub(super) fn new(producer: Producer, options: &BufferedProducerOptions) -> Self {
        match options.idempotent {
            true => Self::Idempotent(producer, Mutex::default()),
            false => Self::Plain(producer),
        }
    }

    /// An empty batch for that partition.
    pub(super) async fn batch(
        &self,
        partition: &str,
        max_bytes: Option<usize>,
    ) -> Result<EventBatch, EventHubsError> {
        match self {
            Self::Plain(producer) => {
                let mut options = BatchOptions::partition(partition);
                options.max_bytes = max_bytes;
                producer.create_batch(options).await
            }
            Self::Idempotent(producer, slot) => {
                let mut slot = slot.lock().await;
                let numbering = match slot.take() {
                    Some(numbering) => numbering,
                    None => {
                        let namespace = producer.shared.namespace.clone();
                        let options = IdempotentOptions::default();
                        Box::new(IdempotentProducer::open(namespace, partition, options).await?)
                    }
                };
                slot.insert(numbering).create_batch(max_bytes).await
            }
        }
    }

    /// Publishes a batch, unless the producer is aborted.
    pub(super) async fn publish(
        &self,
        batch: EventBatch,
        phase: &mut watch::Receiver<Phase>,
    ) -> Result<(), EventHubsError> {
        match self {
            Self::Plain(producer) => publish_plain(producer, batch, phase).await,
            Self::Idempotent(_, slot) => match &mut *slot.lock().await {
                Some(numbering) => publish_numbered(numbering, batch, phase).await,
                None => Err(aborted()), // No batch was made without a producer.
            },
        }
    }
}

pub(super) fn aborted() -> EventHubsError {
    EventHubsError::new("send", Cause::Aborted)
}

async fn publish_plain(
    producer: &Producer,
    batch: EventBatch,
    phase: &mut watch::Receiver<Phase>,
) -> Result<(), EventHubsError> {
    let link = producer.link(batch.route())?;
    let mut publication = Publication::batch(batch);
    let retry_unknown = producer.shared.options.retry_unknown;
    match unless_aborted(phase, link.publish(&mut publication, retry_unknown)).await {
        Some(published) => published,
        None => Err(publication.explain(aborted())),
    }
}

async fn publish_numbered(
    producer: &mut IdempotentProducer,
    batch: EventBatch,
    phase: &mut watch::Receiver<Phase>,
) -> Result<(), EventHubsError> {
    let unsettled_before = producer.unsettled();
    if let Some(published) = unless_aborted(phase, producer.send_batch(batch)).await {
        return published;
    }
    match producer.unsettled() {
        unsettled if unsettled.is_some() && unsettled != unsettled_before => {
            Err(aborted().wrapped(Cause::AfterUnknown))
        }
        _ => Err(aborted()),
    }
}
