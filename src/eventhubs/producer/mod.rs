//! Publishing events.
//!
//! ```text
//! BufferedProducer ─┬─ Producer ─────────── PublishingLink: one for each address, behind a gate
//!                   └─ IdempotentProducer      │
//!                              └───────────────┴── Publication: one transfer, tried until its fate is known
//! ```

mod buffered;
mod gate;
mod idempotent;
mod link;
mod options;
mod publication;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

pub use buffered::{BufferedProducer, BufferedProducerOptions, EnqueueError, EventReceipt};
pub use idempotent::{IdempotentProducer, IdempotentProducerOptions};
pub use options::ProducerOptions;

use self::link::PublishingLink;
use self::publication::Publication;
use super::batch::{BatchOptions, EventBatch};
use super::error::EventHubsError;
use super::event::Event;
use super::namespace::Namespace;
use super::route::Route;
use super::wire::{Address, DEFAULT_MAX_MESSAGE_SIZE};
use crate::SendError;
use crate::lock::lock;

/// Publishes events to a hub: one by one or in batches, to a partition, by a partition key, or wherever the service
/// puts them.
///
/// Clones share the links. Many sends may be in flight at once, from one task or from many, within the limits of the
/// [`ProducerOptions`]; those of one task to one partition are stored in the order in which they were first polled. A send that fails is tried again as the
/// [`RetryPolicy`](super::RetryPolicy) says, and may then be stored after later ones: where order matters, wait for each send
/// before the next.
///
/// A send ends in one of three ways: `Ok`, the events are stored; an error of the kind
/// [`OutcomeUnknown`](super::ErrorKind::OutcomeUnknown), nobody knows (see [`ProducerOptions::retry_unknown`]); any other
/// error, they are not stored. Only where [`ProducerOptions::settled`] is set does `Ok` say less: the events were handed over.
#[derive(Clone)]
pub struct Producer {
    shared: Arc<Shared>,
}

struct Shared {
    namespace: Arc<Namespace>,
    options: ProducerOptions,
    links: Mutex<HashMap<Address, Arc<PublishingLink>>>,
}

impl Producer {
    pub(super) fn new(namespace: Arc<Namespace>, options: ProducerOptions) -> Self {
        Self {
            shared: Arc::new(Shared {
                namespace,
                options,
                links: Mutex::default(),
            }),
        }
    }

    /// Publishes one event to a partition that the service chooses, and waits until it is stored.
    ///
    /// # Errors
    ///
    /// See [`Producer`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the event may or may not be stored.
    pub async fn send(&self, event: impl Into<Event>) -> Result<(), EventHubsError> {
        self.send_to(Route::Any, event).await
    }

    /// Publishes one event along a route, and waits until it is stored.
    ///
    /// ```no_run
    /// use amqp10::eventhubs::Route;
    /// # async fn run(producer: &amqp10::eventhubs::Producer) -> Result<(), amqp10::eventhubs::EventHubsError> {
    /// producer.send_to(Route::key("device-42"), "21.5").await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Producer`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the event may or may not be stored.
    pub async fn send_to(
        &self,
        route: Route,
        event: impl Into<Event>,
    ) -> Result<(), EventHubsError> {
        let link = self.link(&route)?;
        let mut event = event.into();
        event.trace(self.shared.namespace.options().trace_context.as_ref());
        if let Route::Key(key) = &route {
            event.set_partition_key(key);
        }
        let encoded = Publication::event(event);
        let mut publication = encoded.map_err(|error| {
            let attempt = format!("send to {}", self.shared.namespace.hub());
            EventHubsError::new(attempt, SendError::from(error))
        })?;
        let retry_unknown = self.shared.options.retry_unknown;
        link.publish(&mut publication, retry_unknown).await
    }

    /// An empty batch, of the size that the service takes on this route.
    ///
    /// # Errors
    ///
    /// If the link cannot be attached: its size limit says how large a batch may be.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has happened.
    pub async fn create_batch(&self, options: BatchOptions) -> Result<EventBatch, EventHubsError> {
        let link = self.link(&options.route)?;
        let limit = link.max_message_size().await?;
        let max_bytes = batch_limit(limit, options.max_bytes);
        let trace = self.shared.namespace.options().trace_context.as_ref();
        Ok(EventBatch::new(options.route, max_bytes).traced(trace))
    }

    /// Publishes a batch, and waits until it is stored: all of its events, or none. An empty batch is stored at once.
    ///
    /// # Errors
    ///
    /// See [`Producer`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the events may or may not be stored, but all alike.
    pub async fn send_batch(&self, batch: EventBatch) -> Result<(), EventHubsError> {
        if batch.is_numbered() {
            return Err(EventHubsError::invalid_argument(
                format!("send to {}", self.shared.namespace.hub()),
                "the batch was made by an idempotent producer, which must send it",
            ));
        }
        if batch.is_empty() {
            return Ok(());
        }
        let link = self.link(batch.route())?;
        let retry_unknown = self.shared.options.retry_unknown;
        link.publish(&mut Publication::batch(batch), retry_unknown)
            .await
    }

    fn link(&self, route: &Route) -> Result<Arc<PublishingLink>, EventHubsError> {
        let Shared {
            namespace,
            options,
            links,
        } = &*self.shared;
        let address = route.address(namespace.hub())?;
        let mut links = lock(links);
        if let Some(link) = links.get(&address) {
            return Ok(link.clone());
        }
        // There may be any number of publishers in the course of time.
        links.retain(|_, link| Arc::strong_count(link) > 1 || link.is_attached());
        let link = PublishingLink::new(namespace.clone(), address.clone(), options);
        Ok(links.entry(address).or_insert(Arc::new(link)).clone())
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("hub", &self.shared.namespace.hub())
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

fn attempt(address: &Address) -> String {
    format!("send to {address}")
}

/// Most octets of a batch, where the peer takes `max_message_size` and the caller wants no more than `max_bytes`.
fn batch_limit(max_message_size: Option<u64>, max_bytes: Option<usize>) -> usize {
    let limit = max_message_size.unwrap_or(DEFAULT_MAX_MESSAGE_SIZE);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    max_bytes.map_or(limit, |max| max.min(limit))
}
