//! Publishing events.

use std::collections::HashMap;
use std::fmt;
use std::sync::{self, Arc};

use bytes::{Bytes, BytesMut};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::batch::{BatchOptions, EventBatch, Route};
use super::error::{Cause, EventHubsError};
use super::event::Event;
use super::namespace::{Attached, Namespace};
use super::retry::spares_link;
use super::wire::{self, Address};
use crate::codec::Outcome;
use crate::lock::lock;
use crate::{OutgoingMessage, SendError, Sender, SenderOptions};

/// Options of a [`Producer`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ProducerOptions {
    /// Whether events whose fate is unknown are sent again. Then each event is stored at least once instead of at most
    /// once; some may be stored twice. Default `false`.
    pub retry_unknown: bool,
    /// Whether events are sent settled: each is stored at most once, and nobody says whether it was. A send then returns when
    /// the event is in the connection's output; what the service refuses or an outage takes is lost in silence. Default
    /// `false`.
    pub settled: bool,
}

impl ProducerOptions {
    /// Sets [`retry_unknown`](Self::retry_unknown).
    pub fn retry_unknown(mut self, retry: bool) -> Self {
        self.retry_unknown = retry;
        self
    }

    /// Sets [`settled`](Self::settled).
    pub fn settled(mut self, settled: bool) -> Self {
        self.settled = settled;
        self
    }
}

/// Publishes events to a hub: one by one or in batches, to a partition, by a partition key, or wherever the service
/// puts them.
///
/// Clones share the links. Many sends may be in flight at once, from one task or from many; those of one task to one
/// partition are stored in the order in which they were first polled. A send that fails is tried again as the
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
    links: sync::Mutex<HashMap<Address, Arc<LinkSlot>>>,
}

/// The link to one address. The lock is held while it is attached, so that it is attached once.
type LinkSlot = Mutex<Option<Arc<Attached<Sender>>>>;

impl Producer {
    pub(super) fn new(namespace: Arc<Namespace>, options: ProducerOptions) -> Self {
        Self {
            shared: Arc::new(Shared {
                namespace,
                options,
                links: sync::Mutex::default(),
            }),
        }
    }

    /// Publishes one event to a partition that the service chooses, and waits until it is stored.
    ///
    /// # Errors
    /// See [`Producer`].
    ///
    /// # Cancel safety
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
    /// See [`Producer`].
    ///
    /// # Cancel safety
    /// Dropped, the event may or may not be stored.
    pub async fn send_to(
        &self,
        route: Route,
        event: impl Into<Event>,
    ) -> Result<(), EventHubsError> {
        let address = self.address(&route)?;
        let mut event = event.into();
        if let Route::Key(key) = &route {
            event.set_partition_key(&key.as_str().into());
        }
        let mut payload = BytesMut::new();
        event
            .encode(&mut payload)
            .map_err(|error| EventHubsError::new(attempt(&address), SendError::from(error)))?;
        self.deliver(&address, 0, payload.freeze()).await
    }

    /// An empty batch, of the size that the service takes on this route.
    ///
    /// # Errors
    /// If the link cannot be attached: its size limit says how large a batch may be.
    ///
    /// # Cancel safety
    /// Dropped, nothing has happened.
    pub async fn create_batch(&self, options: BatchOptions) -> Result<EventBatch, EventHubsError> {
        let address = self.address(&options.route)?;
        let namespace = &self.shared.namespace;
        let mut retries = namespace.retries();
        let attached = loop {
            match self.attached(&address).await {
                Ok(attached) => break attached,
                Err(error) => namespace.pause(&mut retries, error).await?,
            }
        };
        let limit = attached.link.max_message_size();
        let limit = limit.unwrap_or(wire::DEFAULT_MAX_MESSAGE_SIZE);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let max_bytes = options.max_bytes.map_or(limit, |max| max.min(limit));
        Ok(EventBatch::new(options.route, max_bytes))
    }

    /// Publishes a batch, and waits until it is stored: all of its events, or none. An empty batch is stored at once.
    ///
    /// # Errors
    /// See [`Producer`].
    ///
    /// # Cancel safety
    /// Dropped, the events may or may not be stored, but all alike.
    pub async fn send_batch(&self, batch: EventBatch) -> Result<(), EventHubsError> {
        if batch.is_empty() {
            return Ok(());
        }
        let (route, payload) = batch.into_payload();
        let address = self.address(&route)?;
        self.deliver(&address, wire::BATCH_MESSAGE_FORMAT, payload)
            .await
    }

    /// The address of a route, checked as far as that can be done here.
    fn address(&self, route: &Route) -> Result<Address, EventHubsError> {
        let hub = self.shared.namespace.hub().to_owned();
        match route {
            Route::Any => Ok(Address::Hub { hub }),
            Route::Key(key) if key.chars().count() > wire::MAX_PARTITION_KEY_LENGTH => {
                Err(EventHubsError::invalid_argument(
                    format!("send to {hub}"),
                    format!(
                        "the partition key is longer than {} characters",
                        wire::MAX_PARTITION_KEY_LENGTH
                    ),
                ))
            }
            Route::Key(_) => Ok(Address::Hub { hub }),
            Route::Partition(partition) => partition_address(hub, partition),
        }
    }

    async fn deliver(
        &self,
        address: &Address,
        message_format: u32,
        payload: Bytes,
    ) -> Result<(), EventHubsError> {
        let namespace = &self.shared.namespace;
        let mut retries = namespace
            .retries()
            .repeat_unknown(self.shared.options.retry_unknown);
        loop {
            let message = OutgoingMessage::encoded(message_format, payload.clone());
            match self.try_deliver(address, message).await {
                Ok(()) => return Ok(()),
                Err(error) => namespace.pause(&mut retries, error).await?,
            }
        }
    }

    async fn try_deliver(
        &self,
        address: &Address,
        message: OutgoingMessage,
    ) -> Result<(), EventHubsError> {
        let attached = self.attached(address).await?;
        let Err(cause) = self.transfer(&attached.link, message).await else {
            return Ok(());
        };
        let error = EventHubsError::new(attempt(address), cause);
        if !spares_link(error.cause()) {
            self.detach(address, &attached).await;
        }
        self.shared.namespace.give_up_link(&error, &attached);
        Err(error)
    }

    /// One try on one link.
    async fn transfer(&self, sender: &Sender, message: OutgoingMessage) -> Result<(), Cause> {
        let limit = self.shared.namespace.options().retry.try_timeout;
        if self.shared.options.settled {
            let sent = timeout(limit, sender.send_settled(message)).await;
            sent.map_err(|_| Cause::TimedOut(limit))??;
            return Ok(());
        }
        // Nothing is sent as long as this has not resolved, and something is after.
        let receipt = timeout(limit, sender.send_with_receipt(message)).await;
        let receipt = receipt.map_err(|_| Cause::TimedOut(limit))??;
        match timeout(limit, receipt).await {
            Ok(Ok(Outcome::Accepted)) => Ok(()),
            Ok(Ok(outcome)) => Err(Cause::NotAccepted(outcome)),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Cause::OutcomeTimedOut(limit)),
        }
    }

    /// The link to an address, attached if there is none that lives.
    async fn attached(&self, address: &Address) -> Result<Arc<Attached<Sender>>, EventHubsError> {
        let slot = self.slot(address);
        // `lock` alone may have a task wait that has done much, though the lock is free, and others overtake it.
        let mut slot = match slot.try_lock() {
            Ok(slot) => slot,
            Err(_) => slot.lock().await,
        };
        if let Some(attached) = &*slot
            && !attached.link.is_closed()
        {
            return Ok(attached.clone());
        }
        *slot = None;
        let options = SenderOptions {
            desired_capabilities: vec![wire::capability::GEOREPLICATION],
            ..SenderOptions::default()
        };
        let attached = self
            .shared
            .namespace
            .attach_sender(address, options)
            .await?;
        let attached = Arc::new(attached);
        *slot = Some(attached.clone());
        Ok(attached)
    }

    /// Has the next send attach a new link. Sends under way on this one go on.
    async fn detach(&self, address: &Address, failed: &Arc<Attached<Sender>>) {
        let slot = self.slot(address);
        let mut slot = slot.lock().await;
        slot.take_if(|attached| Arc::ptr_eq(attached, failed));
    }

    fn slot(&self, address: &Address) -> Arc<LinkSlot> {
        let mut links = lock(&self.shared.links);
        match links.get(address) {
            Some(slot) => slot.clone(),
            None => links.entry(address.clone()).or_default().clone(),
        }
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

fn partition_address(hub: String, partition: &str) -> Result<Address, EventHubsError> {
    if is_partition_id(partition) {
        return Ok(Address::Partition {
            hub,
            partition: partition.to_owned(),
        });
    }
    Err(EventHubsError::invalid_argument(
        format!("send to {hub}"),
        format!("{partition:?} is not the id of a partition: expected a decimal number"),
    ))
}

/// Whether a text can be the id of a partition, so that it cannot change the address that it becomes a part of.
pub(super) fn is_partition_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventhubs::ErrorKind;

    #[test]
    fn only_decimal_numbers_are_ids_of_partitions() {
        let address = partition_address("hub".into(), "12").unwrap();
        assert_eq!(address.to_string(), "hub/Partitions/12");
        for wrong in ["", "-1", "0/../1", "zero", " 1"] {
            let error = partition_address("hub".into(), wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        }
    }
}
