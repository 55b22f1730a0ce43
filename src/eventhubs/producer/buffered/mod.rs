//! Publishing one event at a time, sent in batches.

mod flights;
mod lane;
mod options;
mod outlet;
mod phase;
mod queue;
mod receipt;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

pub use options::BufferedProducerOptions;
pub use receipt::{EnqueueError, EventReceipt};

use self::lane::Lane;
use self::outlet::Outlet;
use self::phase::Phase;
use super::gate::Gate;
use super::{Producer, ProducerOptions};
use crate::SendError;
use crate::eventhubs::error::{Cause, EventHubsError};
use crate::eventhubs::event::Event;
use crate::eventhubs::namespace::Namespace;
use crate::eventhubs::partition_key::partition_for_key;
use crate::eventhubs::properties::HubProperties;
use crate::eventhubs::route::Route;
use crate::eventhubs::section::{EncodedEvent, Marks};
use crate::eventhubs::trace_context::TraceContextSource;

/// Takes events one at a time, and publishes them in batches from the background.
///
/// Each event goes to the buffer of one partition: the one that it is [routed](Route) to, the one of its partition key (by
/// [`partition_for_key`]), or the next in turn. A batch leaves when it is full by count or octets, or when its first event has
/// waited for the [`linger`](BufferedProducerOptions::linger) time. The buffer is bounded: [`enqueue`](Self::enqueue) waits for room,
/// [`try_enqueue`](Self::try_enqueue) gives the event back.
///
/// The events of one partition that one task enqueues are stored in this order, also across failures, unless
/// [more than one batch](BufferedProducerOptions::max_in_flight) may be under way. One that cannot be stored is left out.
///
/// Every event that was enqueued gets exactly one result, by its [`EventReceipt`]: stored, not stored, or unknown, as with
/// [`Producer`]. A failure is also logged, for those who drop it.
///
/// [`close`](Self::close) the producer at the end. Dropping its last clone is an [`abort`](Self::abort). The tasks, one for each
/// partition that is used, end with it.
///
/// ```no_run
/// use amqp10::eventhubs::{BufferedProducerOptions, Client, Route};
///
/// # async fn run(client: &Client) -> Result<(), amqp10::eventhubs::EventHubsError> {
/// let producer = client.buffered_producer(BufferedProducerOptions::default()).await?;
/// let mut results = Vec::new();
/// for number in 0..1000 {
///     results.push(producer.enqueue_to(Route::key("device-42"), number.to_string()).await?);
/// }
/// producer.close().await;
/// for result in results {
///     result.await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct BufferedProducer {
    shared: Arc<Shared>,
}

struct Shared {
    hub: String,
    options: Arc<BufferedProducerOptions>,
    trace_context: Option<TraceContextSource>,
    /// One for each partition, in the order of their ids.
    lanes: Vec<Arc<Lane>>,
    lane_count: NonZeroU32,
    /// Whose turn it is.
    turn: AtomicUsize,
    buffer: Gate,
    /// Gone with the last handle, by which the tasks see that they must end.
    phase: watch::Sender<Phase>,
}

impl BufferedProducer {
    pub(in crate::eventhubs) async fn open(
        namespace: Arc<Namespace>,
        options: BufferedProducerOptions,
    ) -> Result<Self, EventHubsError> {
        let mut partitions = HubProperties::read(&namespace).await?.partition_ids;
        // Numbers in the order of their value.
        partitions.sort_by_key(|id| (id.len(), id.clone()));
        let lane_count = u32::try_from(partitions.len()).ok();
        let lane_count = lane_count.and_then(NonZeroU32::new).ok_or_else(|| {
            let attempt = format!("send to {}", namespace.hub());
            EventHubsError::malformed(attempt, "the hub has no partitions")
        })?;
        let sending = ProducerOptions::default()
            .retry_unknown(options.retry_unknown)
            .max_in_flight_bytes(usize::MAX);
        let hub = namespace.hub().to_owned();
        let trace_context = namespace.options().trace_context.clone();
        let producer = Producer::new(namespace, sending);
        let options = Arc::new(options);
        let phase = watch::Sender::new(Phase::Open);
        let lane = |partition: &String| {
            let outlet = Outlet::new(producer.clone(), &options);
            Lane::new(partition, outlet, options.clone(), phase.subscribe())
        };
        Ok(Self {
            shared: Arc::new(Shared {
                hub,
                trace_context,
                lanes: partitions.iter().map(lane).collect(),
                lane_count,
                turn: AtomicUsize::new(0),
                buffer: Gate::new(options.max_buffered, options.max_buffered_bytes),
                options,
                phase,
            }),
        })
    }

    /// Takes an event for the partition whose turn it is; waits for room in the buffer, in turn.
    ///
    /// # Errors
    ///
    /// As [`enqueue_to`](Self::enqueue_to).
    ///
    /// # Cancel safety
    ///
    /// As [`enqueue_to`](Self::enqueue_to).
    pub async fn enqueue(&self, event: impl Into<Event>) -> Result<EventReceipt, EventHubsError> {
        self.enqueue_to(Route::Any, event).await
    }

    /// Takes an event for the partition of a route; waits for room in the buffer, in turn. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// If there is no such partition; if the route is a publisher's, which has no partition of its own; if the event cannot be
    /// encoded; if the producer is closed. What comes of the event later, [`EventReceipt`] tells.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the event was not taken.
    pub async fn enqueue_to(
        &self,
        route: Route,
        event: impl Into<Event>,
    ) -> Result<EventReceipt, EventHubsError> {
        let (lane, event) = self.encode(&route, &mut event.into())?;
        let place = self.shared.buffer.enter(event.len()).await;
        let place = place.map_err(|_| self.closed())?;
        lane.push(event, place).ok_or_else(|| self.closed())
    }

    /// Takes an event for the partition whose turn it is, if there is room in the buffer.
    ///
    /// # Errors
    ///
    /// As [`try_enqueue_to`](Self::try_enqueue_to).
    pub fn try_enqueue(&self, event: impl Into<Event>) -> Result<EventReceipt, EnqueueError> {
        self.try_enqueue_to(Route::Any, event)
    }

    /// Takes an event for the partition of a route, if there is room in the buffer. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// As [`enqueue_to`](Self::enqueue_to), and [`BufferFull`](super::super::ErrorKind::BufferFull) if there is no room. The event is
    /// given back.
    pub fn try_enqueue_to(
        &self,
        route: Route,
        event: impl Into<Event>,
    ) -> Result<EventReceipt, EnqueueError> {
        let mut event = event.into();
        let enqueued = self.encode(&route, &mut event).and_then(|(lane, encoded)| {
            if *self.shared.phase.borrow() != Phase::Open {
                return Err(self.closed());
            }
            let place = self.shared.buffer.try_enter(encoded.len());
            let full = || EventHubsError::new(self.attempt(), Cause::BufferFull);
            let place = place.ok_or_else(full)?;
            lane.push(encoded, place).ok_or_else(|| self.closed())
        });
        enqueued.map_err(|error| EnqueueError::new(event, error))
    }

    /// Sends what is in the buffer without waiting for more, and waits until every event that was enqueued before has its
    /// result.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the events are published all the same.
    pub async fn flush(&self) {
        // All at once, then one after the other.
        let lanes = self.shared.lanes.iter();
        let flushed: Vec<_> = lanes.map(|lane| lane.flushed()).collect();
        for flushed in flushed {
            flushed.await;
        }
    }

    /// Takes no more events, and waits until every event that was enqueued has its result.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the producer is closed, and the events are published as long as a clone of it is there.
    pub async fn close(&self) {
        self.advance(Phase::Closing);
        self.flush().await;
    }

    /// Takes no more events, and sends none: those that were not sent get the result
    /// [`Aborted`](super::super::ErrorKind::Aborted), those under way whose outcome did not come yet
    /// [`OutcomeUnknown`](super::super::ErrorKind::OutcomeUnknown).
    pub fn abort(&self) {
        self.advance(Phase::Aborted);
    }

    fn advance(&self, to: Phase) {
        let shared = &*self.shared;
        shared.phase.send_if_modified(|phase| {
            let is_later = *phase != Phase::Aborted && *phase != to;
            if is_later {
                *phase = to;
            }
            is_later
        });
        shared.buffer.close();
        shared.lanes.iter().for_each(|lane| lane.wake());
    }

    /// Chooses the lane, and encodes the event for it.
    fn encode(
        &self,
        route: &Route,
        event: &mut Event,
    ) -> Result<(&Arc<Lane>, EncodedEvent), EventHubsError> {
        let lane = self.lane(route)?;
        let Shared {
            options,
            trace_context,
            ..
        } = &*self.shared;
        let marks = Marks::of_route(route)
            .numbered(options.idempotent)
            .traced(trace_context.as_ref());
        let encoded = marks
            .encode(event)
            .map_err(|error| EventHubsError::new(self.attempt(), SendError::from(error)))?;
        Ok((lane, encoded))
    }

    fn lane(&self, route: &Route) -> Result<&Arc<Lane>, EventHubsError> {
        let Shared {
            lanes, lane_count, ..
        } = &*self.shared;
        route.address(&self.shared.hub)?;
        let refused = |what: String| Err(EventHubsError::invalid_argument(self.attempt(), what));
        match route {
            Route::Any => {
                let turn = self.shared.turn.fetch_add(1, Ordering::Relaxed);
                Ok(&lanes[turn % lanes.len()])
            }
            Route::Key(key) => Ok(&lanes[partition_for_key(key, *lane_count) as usize]),
            Route::Partition(id) => match lanes.iter().find(|lane| *lane.partition == **id) {
                Some(lane) => Ok(lane),
                None => refused(format!("there is no partition {id:?}")),
            },
            Route::Publisher(_) => {
                refused("a buffered producer publishes to partitions, not as a publisher".into())
            }
        }
    }

    fn attempt(&self) -> String {
        format!("send to {}", self.shared.hub)
    }

    fn closed(&self) -> EventHubsError {
        EventHubsError::new(self.attempt(), Cause::Closed("producer"))
    }
}

impl fmt::Debug for BufferedProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferedProducer")
            .field("hub", &self.shared.hub)
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}
