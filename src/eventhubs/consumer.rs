//! Reading the events of a partition.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::{Instant, timeout_at};

use super::error::{Cause, EventHubsError};
use super::event::{LastEnqueued, ReceivedEvent};
use super::namespace::{Attached, Namespace};
use super::position::Position;
use super::properties::PartitionProperties;
use super::retry::Retries;
use super::route::is_partition_id;
use super::wire::{self, Address, capability, property};
use crate::codec::{Fields, SenderSettleMode, Str};
use crate::{Credit, Delivery, DeliveryStream, LinkError, Receiver, ReceiverOptions};

/// As good as no limit, and within the range of any clock: thirty years.
const ENDLESS: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// A link that has lived for so long came back for good: what befalls it next is counted anew. Without it, the idle detaches
/// of a quiet partition would add up to the end.
const STEADY: Duration = Duration::from_secs(30);

/// Options of a [`PartitionConsumer`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConsumerOptions {
    /// Where to start. Default [`Position::latest`].
    pub position: Position,
    /// The consumer group. Default `$Default`.
    pub consumer_group: String,
    /// With an owner level, the consumer has the partition for itself within its group: it throws out those without level
    /// and those of a lower or the same one, which get [`OwnershipLost`](super::ErrorKind::OwnershipLost). Default `None`:
    /// shared with up to four others.
    pub owner_level: Option<i64>,
    /// How many events may wait here to be taken. Default 300.
    pub prefetch: u32,
    /// The consumer's name in the service's diagnostics. Default `None`.
    pub name: Option<String>,
    /// Whether the service tells with each event where the partition ends, for
    /// [`last_enqueued`](PartitionConsumer::last_enqueued). Default `false`.
    pub track_last_enqueued: bool,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            position: Position::latest(),
            consumer_group: wire::DEFAULT_CONSUMER_GROUP.to_owned(),
            owner_level: None,
            prefetch: 300,
            name: None,
            track_last_enqueued: false,
        }
    }
}

impl ConsumerOptions {
    /// Sets [`position`](Self::position).
    pub fn position(mut self, position: Position) -> Self {
        self.position = position;
        self
    }

    /// Sets [`consumer_group`](Self::consumer_group).
    pub fn consumer_group(mut self, group: impl Into<String>) -> Self {
        self.consumer_group = group.into();
        self
    }

    /// Sets [`owner_level`](Self::owner_level).
    pub fn owner_level(mut self, level: i64) -> Self {
        self.owner_level = Some(level);
        self
    }

    /// Sets [`prefetch`](Self::prefetch); 0 counts as 1.
    pub fn prefetch(mut self, events: u32) -> Self {
        self.prefetch = events;
        self
    }

    /// Sets [`name`](Self::name).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets [`track_last_enqueued`](Self::track_last_enqueued).
    pub fn track_last_enqueued(mut self, track: bool) -> Self {
        self.track_last_enqueued = track;
        self
    }
}

/// Reads the events of one partition, each once and in order.
///
/// Taken with [`recv`](Self::recv), with [`recv_batch`](Self::recv_batch), or as a [`Stream`]. When the link or the
/// connection is lost, it is made anew while the consumer is waited for, and goes on after the last event that was
/// handed out. A failure that outlasts the [`RetryPolicy`](super::RetryPolicy) is returned once, and the next call tries
/// again; an error that cannot pass ([`is_retryable`](EventHubsError::is_retryable) is false) ends the consumer, save
/// for a single event that cannot be read ([`Malformed`](super::ErrorKind::Malformed)), which is passed over.
///
/// Dropping the consumer detaches its link.
pub struct PartitionConsumer {
    source: Arc<Source>,
    state: State,
    retries: Retries,
    /// Of the last event that was taken from the link.
    last: Option<(i64, Str)>,
    /// After a recovery: events up to here were handed out before.
    resumed_after: Option<i64>,
    /// Whether such events have come since.
    skipping: bool,
    last_enqueued: Option<LastEnqueued>,
    /// What a batch receive took before it was dropped or met an error.
    set_aside: VecDeque<Result<ReceivedEvent, EventHubsError>>,
}

/// What a consumer reads from: all that is needed to attach again.
struct Source {
    namespace: Arc<Namespace>,
    address: Address,
    options: ConsumerOptions,
}

type Attaching = Pin<Box<dyn Future<Output = Result<Attached<Receiver>, EventHubsError>> + Send>>;

enum State {
    Receiving {
        deliveries: DeliveryStream,
        attached: Attached<Receiver>,
        since: Instant,
    },
    Recovering(Attaching),
    Ended,
}

impl State {
    fn receiving(attached: Attached<Receiver>) -> Self {
        let deliveries = attached.link.stream();
        Self::Receiving {
            deliveries,
            attached,
            since: Instant::now(),
        }
    }

    fn is_steady(&self) -> bool {
        matches!(self, Self::Receiving { since, .. } if since.elapsed() >= STEADY)
    }
}

impl PartitionConsumer {
    pub(super) async fn open(
        namespace: Arc<Namespace>,
        partition: &str,
        mut options: ConsumerOptions,
    ) -> Result<Self, EventHubsError> {
        let address = consumer_address(&namespace, partition, &options)?;
        if options.position.is_latest() {
            options.position = end_of(&namespace, partition).await?;
        }
        let source = Arc::new(Source {
            namespace,
            address,
            options,
        });
        let start = source.options.position.clone();
        let retries = source.namespace.retries();
        let attached = source
            .clone()
            .attach(start, Duration::ZERO, retries.clone())
            .await?;
        Ok(Self {
            source,
            state: State::receiving(attached),
            retries,
            last: None,
            resumed_after: None,
            skipping: false,
            last_enqueued: None,
            set_aside: VecDeque::new(),
        })
    }

    /// The next event; waits for it as long as it takes.
    ///
    /// # Errors
    /// See [`PartitionConsumer`]. After an error that ended it, the kind is [`Closed`](super::ErrorKind::Closed).
    ///
    /// # Cancel safety
    /// Dropped, no event is lost: the next call gets it. A recovery under way goes on then, too.
    pub async fn recv(&mut self) -> Result<ReceivedEvent, EventHubsError> {
        if let Some(set_aside) = self.set_aside.pop_front() {
            return set_aside;
        }
        match poll_fn(|context| self.poll_event(context)).await {
            Some(event) => event,
            None => Err(self.ended()),
        }
    }

    /// Up to `max` events: returns when there are so many, or `max_wait` has passed, or an error comes. What is there is
    /// returned at once where `max_wait` is zero. Empty if nothing came.
    ///
    /// # Errors
    /// As [`recv`](Self::recv). Events that came before the error are returned first, the error by the next call.
    ///
    /// # Cancel safety
    /// Dropped, no event is lost: the next call of any kind gets those that had been taken.
    pub async fn recv_batch(
        &mut self,
        max: usize,
        max_wait: Duration,
    ) -> Result<Vec<ReceivedEvent>, EventHubsError> {
        let deadline = Instant::now() + max_wait.min(ENDLESS);
        while self.set_aside.len() < max && !self.set_aside.back().is_some_and(Result::is_err) {
            let next = poll_fn(|context| self.poll_event(context));
            match timeout_at(deadline, next).await {
                Ok(Some(event)) => self.set_aside.push_back(event),
                Ok(None) if self.set_aside.is_empty() => return Err(self.ended()),
                Ok(None) | Err(_) => break,
            }
        }
        self.take_set_aside(max)
    }

    fn take_set_aside(&mut self, max: usize) -> Result<Vec<ReceivedEvent>, EventHubsError> {
        if self.set_aside.front().is_some_and(Result::is_err)
            && let Some(Err(error)) = self.set_aside.pop_front()
        {
            return Err(error);
        }
        let events = self.set_aside.iter().take(max);
        let count = events.take_while(|event| event.is_ok()).count();
        Ok(self.set_aside.drain(..count).flatten().collect())
    }

    /// Id of the partition.
    pub fn partition(&self) -> &str {
        match &self.source.address {
            Address::ConsumerPartition { partition, .. } => partition,
            _ => "",
        }
    }

    /// Where the partition ended when the last event was sent; known only with
    /// [`track_last_enqueued`](ConsumerOptions::track_last_enqueued) and after the first event.
    pub fn last_enqueued(&self) -> Option<&LastEnqueued> {
        self.last_enqueued.as_ref()
    }

    /// Detaches the link and waits for the service's answer.
    ///
    /// # Errors
    /// If the link had ended with an error, or no answer comes in time. It is detached all the same.
    ///
    /// # Cancel safety
    /// Dropped, the link is still detached.
    pub async fn close(self) -> Result<(), EventHubsError> {
        let State::Receiving { attached, .. } = &self.state else {
            return Ok(());
        };
        let closed = attached.link.close().await;
        closed.map_err(|error| {
            EventHubsError::new(format!("detach from {}", self.source.address), error)
        })
    }

    fn ended(&self) -> EventHubsError {
        self.failure(Cause::Closed("consumer"))
    }

    fn failure(&self, cause: impl Into<Cause>) -> EventHubsError {
        EventHubsError::new(format!("receive from {}", self.source.address), cause)
    }

    /// The one place where the consumer's state changes: what it holds is kept between polls, so that dropping a future
    /// loses nothing.
    fn poll_event(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<ReceivedEvent, EventHubsError>>> {
        loop {
            match &mut self.state {
                State::Ended => return Poll::Ready(None),
                State::Recovering(attaching) => match ready!(attaching.as_mut().poll(context)) {
                    Ok(attached) => self.state = State::receiving(attached),
                    Err(error) => return Poll::Ready(Some(Err(self.fail(error)))),
                },
                State::Receiving { deliveries, .. } => {
                    let delivery = ready!(Pin::new(deliveries).poll_next(context));
                    let cause = match delivery {
                        Some(Ok(delivery)) => match self.take(&delivery) {
                            Some(event) => return Poll::Ready(Some(event)),
                            None => continue,
                        },
                        Some(Err(error)) => error.into(),
                        None => Cause::Link(LinkError::LocalDetached),
                    };
                    if let Some(error) = self.recover(cause) {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
        }
    }

    /// Reads an event and remembers it as handed out; `None` if it had been before.
    fn take(&mut self, delivery: &Delivery) -> Option<Result<ReceivedEvent, EventHubsError>> {
        let message = match delivery.message() {
            Ok(message) => message,
            Err(error) => {
                return Some(Err(self.failure(Cause::Malformed(error.to_string()))));
            }
        };
        let event = match ReceivedEvent::from_message(message) {
            Ok(event) => event,
            Err(error) => return Some(Err(error)),
        };
        let number = event.sequence_number();
        if self
            .resumed_after
            .is_some_and(|handed_out| number <= handed_out)
        {
            self.tell_of_skipping(number);
            return None;
        }
        self.resumed_after = None;
        self.last = Some((number, event.offset_text()));
        self.retries.reset();
        if self.source.options.track_last_enqueued {
            self.last_enqueued = event.last_enqueued().or(self.last_enqueued.take());
        }
        Some(Ok(event))
    }

    /// Once after each recovery: such events are rare, and where the hub was made anew under its name, they are lost.
    fn tell_of_skipping(&mut self, number: i64) {
        if std::mem::replace(&mut self.skipping, true) {
            return;
        }
        let address = &self.source.address;
        tracing::warn!(
            %address,
            number,
            handed_out = self.resumed_after,
            "events come whose numbers were handed out before, and are skipped; was the hub made anew?"
        );
    }

    /// Starts to attach anew, or returns the error if there were too many.
    fn recover(&mut self, cause: Cause) -> Option<EventHubsError> {
        let error = self.failure(cause);
        if self.state.is_steady() {
            self.retries.reset();
        }
        let random = self.source.namespace.random();
        let Some(pause) = self.retries.next(&error, random) else {
            return Some(self.fail(error));
        };
        tracing::warn!(%error, ?pause, "will attach again");
        self.attach_again(error, pause);
        None
    }

    /// What can pass is tried afresh by the next call, after a pause; what cannot is the end.
    fn fail(&mut self, error: EventHubsError) -> EventHubsError {
        self.retries.reset();
        if error.is_retryable() {
            let policy = &self.source.namespace.options().retry;
            let pause = policy.delay(0, self.source.namespace.random());
            self.attach_again(error.clone(), pause);
        } else {
            self.state = State::Ended;
        }
        error
    }

    /// Gives up what the error says is dead, and attaches after the last event that was taken.
    fn attach_again(&mut self, error: EventHubsError, pause: Duration) {
        let start = self.resume();
        let source = self.source.clone();
        let retries = self.retries.clone();
        let dead = std::mem::replace(&mut self.state, State::Ended);
        self.state = State::Recovering(Box::pin(async move {
            if let State::Receiving { attached, .. } = dead {
                source.namespace.give_up_link(&error, &attached).await;
            }
            source.attach(start, pause, retries).await
        }));
    }

    /// Where to go on: after the last event that was taken.
    fn resume(&mut self) -> Position {
        match &self.last {
            Some((number, offset)) => {
                self.resumed_after = Some(*number);
                self.skipping = false;
                Position::offset(offset.as_str())
            }
            None => self.source.options.position.clone(),
        }
    }
}

impl Source {
    /// Attaches the link after a pause, with as many tries as are left.
    async fn attach(
        self: Arc<Self>,
        start: Position,
        pause: Duration,
        mut retries: Retries,
    ) -> Result<Attached<Receiver>, EventHubsError> {
        tokio::time::sleep(pause).await;
        loop {
            let options = self.receiver_options(&start);
            let attached = self.namespace.attach_receiver(&self.address, options).await;
            match attached {
                Ok(attached) => return Ok(attached),
                Err(error) => self.namespace.pause(&mut retries, error).await?,
            }
        }
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
            properties,
            desired_capabilities,
            ..ReceiverOptions::default()
        }
    }
}

impl Stream for PartitionConsumer {
    type Item = Result<ReceivedEvent, EventHubsError>;

    /// Ends after an error that cannot pass.
    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<ReceivedEvent, EventHubsError>>> {
        match self.set_aside.pop_front() {
            Some(set_aside) => Poll::Ready(Some(set_aside)),
            None => self.poll_event(context),
        }
    }
}

impl fmt::Debug for PartitionConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionConsumer")
            .field("address", &self.source.address)
            .field("options", &self.source.options)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

fn consumer_address(
    namespace: &Namespace,
    partition: &str,
    options: &ConsumerOptions,
) -> Result<Address, EventHubsError> {
    let hub = namespace.hub();
    let group = &options.consumer_group;
    let refused = |what| {
        EventHubsError::invalid_argument(
            format!("receive from partition {partition:?} of {hub}"),
            what,
        )
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

/// The end of the partition as it is now. Asked for before the link is attached: if "latest" were left to the service, events
/// between a lost link and its successor would be skipped as long as none was received before.
async fn end_of(namespace: &Namespace, partition: &str) -> Result<Position, EventHubsError> {
    let properties = PartitionProperties::read(namespace, partition).await?;
    if properties.last_enqueued_sequence_number < 0 {
        return Ok(Position::earliest());
    }
    Ok(Position::offset(properties.last_enqueued_offset))
}
