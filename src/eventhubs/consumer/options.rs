//! What a consumer is told when it is made.

use std::time::Duration;

use crate::eventhubs::position::Position;
use crate::eventhubs::wire;

/// Options of a [`PartitionConsumer`](super::PartitionConsumer).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConsumerOptions {
    /// Where to start. Default [`Position::latest`].
    pub position: Position,
    /// The consumer group. Default `$Default`.
    pub consumer_group: String,
    /// With an owner level, the consumer has the partition for itself within its group: it throws out those without level
    /// and those of a lower or the same one, which get [`OwnershipLost`](crate::eventhubs::ErrorKind::OwnershipLost). Default
    /// `None`: shared with up to four others.
    pub owner_level: Option<i64>,
    /// How many events may wait here to be taken. Default 300.
    pub prefetch: u32,
    /// How many octets of events may wait here to be taken: fewer events than [`prefetch`](Self::prefetch) are asked for
    /// where those that came were large. An estimate, which the first events of unexpected size may exceed; one event is
    /// always asked for, however large. Default `None`: [`Limits::max_queued_bytes`](crate::Limits::max_queued_bytes) of the
    /// connection, 16 MiB, is the limit.
    pub prefetch_bytes: Option<usize>,
    /// The consumer's name in the service's diagnostics. Default `None`.
    pub name: Option<String>,
    /// Whether the service tells with each event where the partition ends, for
    /// [`last_enqueued`](super::PartitionConsumer::last_enqueued) and [`lag`](super::PartitionConsumer::lag). Default
    /// `false`.
    pub track_last_enqueued: bool,
    /// How long a link may bring nothing while the consumer waits, before the service is asked whether the partition holds
    /// newer events. If it does, and they do not come within a quarter of that time, the link counts as silent and is made
    /// anew: see [`ClientEvent::LinkSilent`](crate::eventhubs::ClientEvent::LinkSilent). If the service answers neither
    /// that question nor the next one, asked over a new connection, the link counts as silent, too: at the latest after two and a
    /// half times this time and two tries. Costs one small request in that time for
    /// each partition on which nothing happens. Default 60 s; `None`: a silent link is never noticed.
    pub watchdog: Option<Duration>,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            position: Position::latest(),
            consumer_group: wire::DEFAULT_CONSUMER_GROUP.to_owned(),
            owner_level: None,
            prefetch: 300,
            prefetch_bytes: None,
            name: None,
            track_last_enqueued: false,
            watchdog: Some(Duration::from_secs(60)),
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

    /// Sets [`prefetch_bytes`](Self::prefetch_bytes).
    pub fn prefetch_bytes(mut self, octets: usize) -> Self {
        self.prefetch_bytes = Some(octets);
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

    /// Sets [`watchdog`](Self::watchdog).
    pub fn watchdog(mut self, quiet: impl Into<Option<Duration>>) -> Self {
        self.watchdog = quiet.into();
        self
    }
}
