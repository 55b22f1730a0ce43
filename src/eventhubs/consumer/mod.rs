//! Reading the events of a partition.

mod options;
mod source;
mod watchdog;

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

pub use self::options::ConsumerOptions;

use self::source::Source;
use self::watchdog::Watchdog;
use super::error::{Cause, ErrorKind, EventHubsError, Scope};
use super::event::{LastEnqueued, ReceivedEvent};
use super::namespace::{Attached, Namespace};
use super::observer::ClientEvent;
use super::position::Position;
use super::properties::PartitionProperties;
use super::retry::Retries;
use super::wire::annotation;
use crate::codec::{Str, Value};
use crate::{Delivery, DeliveryStream, LinkError, Receiver};

/// As good as no limit, and within the range of any clock: thirty years.
const ENDLESS: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// A link that has lived for so long came back for good: what befalls it next is counted anew. Without it, the idle detaches
/// of a quiet partition would add up to the end.
const STEADY: Duration = Duration::from_secs(30);

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
    watchdog: Watchdog,
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
        options: ConsumerOptions,
    ) -> Result<Self, EventHubsError> {
        let mut source = Source::new(namespace, partition, options)?;
        if source.options.position.is_latest() {
            source.options.position = source.end().await?;
        }
        let source = Arc::new(source);
        let start = source.options.position.clone();
        let retries = source.namespace.retries();
        let attached = source
            .clone()
            .attach(start, Duration::ZERO, retries.clone())
            .await?;
        Ok(Self {
            watchdog: Watchdog::new(source.clone()),
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
    ///
    /// See [`PartitionConsumer`]. After an error that ended it, the kind is [`Closed`](super::ErrorKind::Closed).
    ///
    /// # Cancel safety
    ///
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
    ///
    /// As [`recv`](Self::recv). Events that came before the error are returned first, the error by the next call.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no event is lost: the next call of any kind gets those that had been taken.
    pub async fn recv_batch(
        &mut self,
        max: usize,
        max_wait: Duration,
    ) -> Result<Vec<ReceivedEvent>, EventHubsError> {
        let span = tracing::debug_span!("receive_batch", address = %self.source.address, max);
        self.fill(max, max_wait).instrument(span).await?;
        self.take_set_aside(max)
    }

    /// Sets events aside until there are `max`, or time or events come to an end.
    async fn fill(&mut self, max: usize, max_wait: Duration) -> Result<(), EventHubsError> {
        let deadline = Instant::now() + max_wait.min(ENDLESS);
        while self.set_aside.len() < max && !self.set_aside.back().is_some_and(Result::is_err) {
            let next = poll_fn(|context| {
                let event = self.poll_event(context).map(Some);
                // A timer would take a moment to say so, in which more may come.
                let is_over = event.is_pending() && Instant::now() >= deadline;
                if is_over { Poll::Ready(None) } else { event }
            });
            match timeout_at(deadline, next).await {
                Ok(Some(Some(event))) => self.set_aside.push_back(event),
                Ok(Some(None)) if self.set_aside.is_empty() => return Err(self.ended()),
                Ok(_) | Err(_) => break,
            }
        }
        Ok(())
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
        &self.source.partition
    }

    /// Where the partition ended when the last event was sent; known only with
    /// [`track_last_enqueued`](ConsumerOptions::track_last_enqueued) and after the first event.
    pub fn last_enqueued(&self) -> Option<&LastEnqueued> {
        self.last_enqueued.as_ref()
    }

    /// How many events the partition held beyond the last one handed out, when that was sent; known when
    /// [`last_enqueued`](Self::last_enqueued) is.
    pub fn lag(&self) -> Option<u64> {
        let (handed_out, _) = self.last.as_ref()?;
        let last = self.last_enqueued.as_ref()?.sequence_number;
        Some(u64::try_from(last.saturating_sub(*handed_out)).unwrap_or(0))
    }

    /// Detaches the link and waits for the service's answer.
    ///
    /// # Errors
    ///
    /// If the link had ended with an error, or no answer comes in time. It is detached all the same.
    ///
    /// # Cancel safety
    ///
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
                State::Receiving {
                    deliveries,
                    attached,
                    ..
                } => {
                    let cause = match Pin::new(deliveries).poll_next(context) {
                        Poll::Pending => {
                            self.source.meters.credit(|| attached.link.credit());
                            ready!(self.poll_silent(context));
                            continue;
                        }
                        Poll::Ready(Some(Ok(delivery))) => match self.take(&delivery) {
                            Some(event) => return Poll::Ready(Some(event)),
                            None => continue,
                        },
                        Poll::Ready(Some(Err(error))) => error.into(),
                        Poll::Ready(None) => Cause::Link(LinkError::LocalDetached),
                    };
                    if let Some(error) = self.recover(cause) {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
        }
    }

    /// Resolves when the link is silent and another one is being attached in its place.
    fn poll_silent(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Self {
            state,
            watchdog,
            source,
            last,
            ..
        } = self;
        let State::Receiving { attached, .. } = state else {
            return Poll::Pending;
        };
        let is_behind = |partition: &PartitionProperties| {
            // Without credit the service may not send.
            attached.link.credit() > 0
                && match &*last {
                    Some((number, _)) => partition.holds_after(*number),
                    None => source.options.position.finds_something_in(partition),
                }
        };
        let silent_for = ready!(watchdog.poll_silent(context, is_behind));
        source.namespace.tell(ClientEvent::LinkSilent {
            address: source.address.clone(),
            silent_for,
        });
        self.attach_again(Duration::ZERO);
        Poll::Ready(())
    }

    /// Reads an event and remembers it as handed out; `None` if it had been before.
    fn take(&mut self, delivery: &Delivery) -> Option<Result<ReceivedEvent, EventHubsError>> {
        self.watchdog.event_came();
        let message = delivery.message();
        let message = message.map_err(|error| self.failure(Cause::Malformed(error.to_string())));
        let event = match message.and_then(ReceivedEvent::from_message) {
            Ok(event) => event,
            Err(error) => {
                // Passed over also after a recovery.
                self.last = place_of(delivery).or(self.last.take());
                return Some(Err(error));
            }
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
        let octets = delivery.payload().len();
        self.source.meters.event(octets, self.lag());
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

    /// The link is lost: starts to attach anew, or returns the error if there were too many.
    fn recover(&mut self, cause: Cause) -> Option<EventHubsError> {
        let error = self.failure(cause);
        let namespace = self.source.namespace.clone();
        if let State::Receiving { attached, .. } = &self.state {
            namespace.give_up_link(&error, attached);
        }
        let is_steady = self.state.is_steady();
        if is_steady {
            self.retries.reset();
        }
        let Some(pause) = self.retries.next(&error, namespace.random()) else {
            return Some(self.fail(error));
        };
        // The service detaches idle links. Nothing says that it is not well.
        let is_alone = matches!(error.scope(), Scope::Link | Scope::Session);
        let is_at_once = is_steady && is_alone && error.kind() != ErrorKind::Busy;
        let pause = if is_at_once { Duration::ZERO } else { pause };
        if !pause.is_zero() {
            namespace.tell_of_retry(error, pause);
        }
        self.attach_again(pause);
        None
    }

    /// What can pass is tried afresh by the next call, after a pause; what cannot is the end.
    fn fail(&mut self, error: EventHubsError) -> EventHubsError {
        self.retries.reset();
        if error.is_retryable() {
            let policy = &self.source.namespace.options().retry;
            let pause = policy.delay(0, self.source.namespace.random());
            self.attach_again(pause);
        } else {
            self.state = State::Ended;
        }
        error
    }

    /// Gives up the link, if there is one, and attaches another after the last event that was taken.
    fn attach_again(&mut self, pause: Duration) {
        // Its place and its owner level are free before they are asked for.
        self.state = State::Ended;
        self.watchdog.link_is_gone();
        let start = self.resume();
        let retries = self.retries.clone().regaining_place();
        let span = tracing::debug_span!("recover", address = %self.source.address);
        let attaching = self.source.clone().attach(start, pause, retries);
        let attaching = attaching.instrument(span);
        self.state = State::Recovering(Box::pin(attaching));
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

/// Where an event is that cannot be read, if at least that can be.
fn place_of(delivery: &Delivery) -> Option<(i64, Str)> {
    let annotations = delivery.sections().ok()?.message_annotations().ok()??;
    let number = annotations.get(&annotation::SEQUENCE_NUMBER)?.as_i64()?;
    match annotations.get(&annotation::OFFSET)? {
        Value::String(offset) => Some((number, offset.clone())),
        _ => None,
    }
}
