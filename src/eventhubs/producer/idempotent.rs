//! Publishing each event once, however often it has to be sent.

use std::fmt;
use std::sync::Arc;

use tracing::Instrument;

use super::publication::Publication;
use super::{attempt, batch_limit};
use crate::codec::{Attach, Fields, Symbol, Value};
use crate::eventhubs::batch::EventBatch;
use crate::eventhubs::error::{Cause, ErrorKind, EventHubsError};
use crate::eventhubs::event::Event;
use crate::eventhubs::metrics::PublishingMeters;
use crate::eventhubs::namespace::{Attached, Namespace};
use crate::eventhubs::numbering::PartitionPublishingState;
use crate::eventhubs::retry::spares_link;
use crate::eventhubs::route::Route;
use crate::eventhubs::wire::{Address, capability, property};
use crate::{SendError, Sender, SenderOptions};

/// Options of an [`IdempotentProducer`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct IdempotentProducerOptions {
    /// Where an earlier producer ended, to go on in its name. Default `None`: the service gives a new name.
    pub resume: Option<PartitionPublishingState>,
}

impl IdempotentProducerOptions {
    /// Sets [`resume`](Self::resume).
    pub fn resume(mut self, state: PartitionPublishingState) -> Self {
        self.resume = Some(state);
        self
    }
}

/// Publishes events to one partition, each stored once however often it has to be sent: the events are numbered, and the
/// service stores no number of a producer twice.
///
/// One send is under way at a time, as the numbering demands; batches make it fast. A send whose outcome is unknown is
/// repeated under the same numbers, as often as the [`RetryPolicy`](super::super::RetryPolicy) allows. It ends in one of these ways:
/// - `Ok`: the events are stored, once.
/// - An error of the kind [`OutcomeUnknown`](ErrorKind::OutcomeUnknown): nobody knows yet. Do not send the events again: they
///   would get other numbers. The producer keeps them, and [`settle`](Self::settle) repeats them until it is known; so does
///   the next send, before its own events.
/// - [`OwnershipLost`](ErrorKind::OwnershipLost) or [`OutOfOrder`](ErrorKind::OutOfOrder): others publish in this producer's
///   name. The events are not stored, and the producer has ended: all that follows fails with that error.
/// - Any other error: the events are not stored.
///
/// # Going on later
/// [`state`](Self::state) says under which numbers events were stored. A program that saves it, and gives it to a
/// [new producer](IdempotentProducerOptions::resume), can send what came after that state again, in the same order: what was stored
/// already is not stored twice. Events that were *not* sent before must not take the place of events that were: the
/// service would take them for stored.
///
/// The service calls this a preview. Where it is not to be had, opening the producer fails with
/// [`Unsupported`](ErrorKind::Unsupported).
///
/// ```no_run
/// use amqp10::eventhubs::{Client, IdempotentProducerOptions};
///
/// # async fn run(client: &Client) -> Result<(), amqp10::eventhubs::EventHubsError> {
/// let mut producer = client.idempotent_producer("0", IdempotentProducerOptions::default()).await?;
/// let mut batch = producer.create_batch(None).await?;
/// for number in 0..100 {
///     batch.try_add(number.to_string()).expect("small events");
/// }
/// producer.send_batch(batch).await?;
/// println!("to be saved: {:?}", producer.state());
/// # Ok(())
/// # }
/// ```
pub struct IdempotentProducer {
    namespace: Arc<Namespace>,
    partition: String,
    address: Address,
    meters: PublishingMeters,
    link: Option<Attached<Sender>>,
    /// As of the last events known to be stored.
    state: PartitionPublishingState,
    /// Events whose fate is not known.
    pending: Option<Pending>,
    /// The error that ended it.
    ended: Option<EventHubsError>,
}

struct Pending {
    publication: Publication,
    /// When they are stored.
    state: PartitionPublishingState,
}

impl IdempotentProducer {
    pub(in crate::eventhubs) async fn open(
        namespace: Arc<Namespace>,
        partition: &str,
        options: IdempotentProducerOptions,
    ) -> Result<Self, EventHubsError> {
        let address = Route::partition(partition).address(namespace.hub())?;
        let mut retries = namespace.retries();
        let (link, state) = loop {
            match attach(&namespace, &address, options.resume).await {
                Ok(attached) => break attached,
                Err(error) => namespace.pause(&mut retries, error).await?,
            }
        };
        Ok(Self {
            meters: PublishingMeters::new(namespace.hub(), partition),
            namespace,
            partition: partition.to_owned(),
            address,
            link: Some(link),
            state,
            pending: None,
            ended: None,
        })
    }

    /// Id of the partition that it publishes to.
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// Whom the service takes the producer for, and the number of the last event known to be stored.
    pub fn state(&self) -> PartitionPublishingState {
        self.state
    }

    /// Whether there are events whose fate is not known; see [`settle`](Self::settle).
    pub fn is_unsettled(&self) -> bool {
        self.unsettled().is_some()
    }

    /// The state when the events are stored whose fate is not known, if there are any.
    pub(super) fn unsettled(&self) -> Option<PartitionPublishingState> {
        let pending = self.pending.as_ref();
        let unsettled = pending.filter(|pending| pending.publication.is_maybe_stored());
        unsettled.map(|pending| pending.state)
    }

    /// Publishes one event, and waits until it is stored.
    ///
    /// # Errors
    ///
    /// See [`IdempotentProducer`].
    ///
    /// # Cancel safety
    ///
    /// As [`send_batch`](Self::send_batch).
    pub async fn send(&mut self, event: impl Into<Event>) -> Result<(), EventHubsError> {
        let mut batch = self.create_batch(None).await?;
        let limit = batch.max_size_in_bytes() as u64;
        if let Err(full) = batch.try_add(event) {
            let size = full.into_event().message().body_len() as u64;
            let error = SendError::MessageTooLarge { size, limit };
            return Err(EventHubsError::new(attempt(&self.address), error));
        }
        self.send_batch(batch).await
    }

    /// An empty batch for this producer, of the size that the service takes, or of `max_bytes` octets if that is less. It has
    /// room for the number of each event.
    ///
    /// # Errors
    ///
    /// If the link cannot be attached, or the producer has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has happened.
    pub async fn create_batch(
        &mut self,
        max_bytes: Option<usize>,
    ) -> Result<EventBatch, EventHubsError> {
        self.check_end()?;
        let namespace = self.namespace.clone();
        let mut retries = namespace.retries();
        let limit = loop {
            match self.attached().await {
                Ok(attached) => break attached.link.max_message_size(),
                Err(error) => {
                    let pause = namespace.pause(&mut retries, error).await;
                    pause.map_err(|error| self.end_by(error))?;
                }
            }
        };
        let max_bytes = batch_limit(limit, max_bytes);
        let trace = self.namespace.options().trace_context.as_ref();
        Ok(EventBatch::numbered(&self.partition, max_bytes).traced(trace))
    }

    /// Publishes a batch, and waits until it is stored: all of its events, or none. An empty batch is stored at once. A batch
    /// that was published and is published again gets new numbers.
    ///
    /// # Errors
    ///
    /// See [`IdempotentProducer`]; and if the batch is not one of this producer's partition. If an earlier send has to be
    /// repeated first and that fails, this batch is not sent, and the error is of the kind
    /// [`Unavailable`](ErrorKind::Unavailable).
    ///
    /// # Cancel safety
    ///
    /// Dropped before the events were sent, they are not stored. Dropped later, they are as after an unknown outcome:
    /// [`is_unsettled`](Self::is_unsettled) tells the two apart, where no earlier events were unsettled before the call.
    pub async fn send_batch(&mut self, mut batch: EventBatch) -> Result<(), EventHubsError> {
        if !batch.is_numbered() || *batch.route() != Route::partition(&self.partition) {
            let what = "the batch was not made by an idempotent producer of this partition";
            return Err(EventHubsError::invalid_argument(
                attempt(&self.address),
                what,
            ));
        }
        self.check_end()?;
        if let Err(error) = self.settle().await {
            self.check_end()?;
            return Err(error.wrapped(Cause::Unresolved));
        }
        if batch.is_empty() {
            return Ok(());
        }
        let state = batch.number(self.state);
        self.pending = Some(Pending {
            publication: Publication::batch(batch),
            state,
        });
        self.publish_pending().await
    }

    /// Repeats the events of a send whose outcome is unknown, and waits until they are stored. Does nothing if there are
    /// none.
    ///
    /// # Errors
    ///
    /// [`OutcomeUnknown`](ErrorKind::OutcomeUnknown): still nobody knows. Otherwise as [`IdempotentProducer`] says.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the events still wait to be repeated.
    pub async fn settle(&mut self) -> Result<(), EventHubsError> {
        self.check_end()?;
        // Given up before anything was sent.
        self.pending
            .take_if(|pending| !pending.publication.is_maybe_stored());
        self.publish_pending().await
    }

    async fn publish_pending(&mut self) -> Result<(), EventHubsError> {
        let Some(pending) = &self.pending else {
            return Ok(());
        };
        let load = pending.publication.load();
        let span = tracing::debug_span!("send", address = %self.address, events = load.events);
        let meters = self.meters.clone();
        let in_flight = meters.begin(load);
        let published = self.publish_until_known().instrument(span).await;
        in_flight.end(published.is_ok());
        published
    }

    async fn publish_until_known(&mut self) -> Result<(), EventHubsError> {
        let namespace = self.namespace.clone();
        let mut retries = namespace.retries().retry_unknown(true);
        loop {
            let Err(error) = self.try_publish_pending().await else {
                return Ok(());
            };
            if let Err(error) = namespace.pause(&mut retries, error).await {
                return Err(self.fail(error));
            }
        }
    }

    async fn try_publish_pending(&mut self) -> Result<(), EventHubsError> {
        self.attached().await?;
        let (Some(attached), Some(pending)) = (&self.link, &mut self.pending) else {
            return Ok(());
        };
        let limit = self.namespace.options().retry.try_timeout;
        let Err(cause) = pending.publication.send(&attached.link, limit).await else {
            self.meters.credit(|| attached.link.credit());
            self.state = pending.state;
            self.pending = None;
            return Ok(());
        };
        let error = EventHubsError::new(attempt(&self.address), cause);
        self.namespace.give_up_link(&error, attached);
        if !spares_link(error.cause()) {
            self.link = None;
        }
        Err(error)
    }

    /// No further try: what is known of the events now.
    fn fail(&mut self, error: EventHubsError) -> EventHubsError {
        let told = match &self.pending {
            Some(pending) => pending.publication.explain(error.clone()),
            None => error.clone(),
        };
        self.end_by(error);
        if self.ended.is_some() || told.kind() != ErrorKind::OutcomeUnknown {
            self.pending = None;
        }
        told
    }

    /// Remembers an error after which nothing can follow.
    fn end_by(&mut self, error: EventHubsError) -> EventHubsError {
        if let ErrorKind::OwnershipLost | ErrorKind::OutOfOrder = error.kind() {
            self.ended = Some(error.clone());
            self.link = None;
        }
        error
    }

    fn check_end(&self) -> Result<(), EventHubsError> {
        match &self.ended {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// The link, attached in the same name if there is none that lives.
    async fn attached(&mut self) -> Result<&Attached<Sender>, EventHubsError> {
        self.link.take_if(|attached| attached.link.is_detached());
        let attached = match self.link.take() {
            Some(attached) => attached,
            None => {
                let (attached, state) =
                    attach(&self.namespace, &self.address, Some(self.state)).await?;
                if !state.is_same_producer(&self.state) {
                    let what = "the service took the producer for another one";
                    return Err(EventHubsError::malformed(attempt(&self.address), what));
                }
                attached
            }
        };
        Ok(self.link.insert(attached))
    }
}

impl fmt::Debug for IdempotentProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotentProducer")
            .field("address", &self.address)
            .field("state", &self.state)
            .field("is_unsettled", &self.is_unsettled())
            .finish_non_exhaustive()
    }
}

/// Attaches in the name that `resume` gives, or in one that the service gives, once; returns the state in force.
async fn attach(
    namespace: &Arc<Namespace>,
    address: &Address,
    resume: Option<PartitionPublishingState>,
) -> Result<(Attached<Sender>, PartitionPublishingState), EventHubsError> {
    let options = SenderOptions::default()
        .desired_capabilities([capability::GEOREPLICATION, capability::IDEMPOTENT_PRODUCER])
        .properties(link_properties(resume));
    let attached = namespace.attach_sender(address, options).await?;
    match state_in_force(attached.link.remote_attach(), resume) {
        Ok(state) => Ok((attached, state)),
        Err(cause) => Err(EventHubsError::new(format!("attach to {address}"), cause)),
    }
}

fn link_properties(resume: Option<PartitionPublishingState>) -> Fields {
    let (id, epoch, sequence) = match resume {
        Some(state) => (
            state.producer_id.into(),
            state.epoch.into(),
            state.last_sequence.into(),
        ),
        None => (Value::Null, Value::Null, Value::Null),
    };
    Fields::new()
        .with(property::PRODUCER_ID, id)
        .with(property::PRODUCER_EPOCH, epoch)
        .with(property::PRODUCER_SEQUENCE_NUMBER, sequence)
}

/// What the service answered, except that a producer goes on after the number that it gave: what it sends again must
/// get the numbers that it had, even if the service knows of later ones.
fn state_in_force(
    attach: &Attach,
    resume: Option<PartitionPublishingState>,
) -> Result<PartitionPublishingState, Cause> {
    let offered = attach
        .offered_capabilities
        .contains(&capability::IDEMPOTENT_PRODUCER);
    match (answered_state(&attach.properties), resume) {
        (Some(state), Some(resume)) if state.is_same_producer(&resume) => Ok(resume),
        (Some(state), _) => Ok(state),
        (None, _) if !offered => Err(Cause::NotOffered("idempotent publishing")),
        (None, _) => Err(Cause::Malformed(
            "the service did not say which producer this is".into(),
        )),
    }
}

fn answered_state(properties: &Fields) -> Option<PartitionPublishingState> {
    let number = |key: Symbol| properties.get(&key).and_then(Value::as_i64);
    Some(PartitionPublishingState::new(
        number(property::PRODUCER_ID)?,
        i16::try_from(number(property::PRODUCER_EPOCH)?).ok()?,
        i32::try_from(number(property::PRODUCER_SEQUENCE_NUMBER)?).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Role;

    fn answer(offered: bool, properties: Fields) -> Attach {
        Attach {
            offered_capabilities: match offered {
                true => vec![capability::IDEMPOTENT_PRODUCER],
                false => Vec::new(),
            },
            properties,
            ..Attach::new("link", 0, Role::Receiver)
        }
    }

    #[test]
    fn the_service_gives_an_identity_or_confirms_one() {
        let given = PartitionPublishingState::new(7, 1, 40);
        let answered = answer(true, link_properties(Some(given)));
        assert_eq!(state_in_force(&answered, None).unwrap(), given);
        // The service knows of later events: they may be sent again.
        let saved = PartitionPublishingState::new(7, 1, 38);
        assert_eq!(state_in_force(&answered, Some(saved)).unwrap(), saved);
        // Under another epoch the numbers begin as the service says.
        let old = PartitionPublishingState::new(7, 0, 38);
        assert_eq!(state_in_force(&answered, Some(old)).unwrap(), given);
    }

    #[test]
    fn what_the_service_does_not_offer_is_said() {
        let silent = answer(false, Fields::new());
        let cause = state_in_force(&silent, None).unwrap_err();
        assert!(matches!(cause, Cause::NotOffered(_)), "{cause}");
        for properties in [link_properties(None), Fields::new()] {
            let cause = state_in_force(&answer(true, properties), None).unwrap_err();
            assert!(matches!(cause, Cause::Malformed(_)), "{cause}");
        }
    }
}
