//! What a processor is told when it is started.

use std::collections::BTreeMap;
use std::time::Duration;

use super::balancer::LoadBalancing;
use super::error::ProcessorError;
use super::observer::ProcessorObserver;
use crate::Clock;
use crate::eventhubs::wire;
use crate::eventhubs::{ConsumerOptions, Position, RetryPolicy};

/// Options of a [`Processor`](super::Processor).
///
/// ```
/// use std::time::Duration;
/// use amqp10::eventhubs::Position;
/// use amqp10::eventhubs::processor::{Checkpoints, ProcessorOptions};
///
/// let options = ProcessorOptions::default()
///     .consumer_group("billing")
///     .start(Position::latest())
///     .checkpoints(Checkpoints::automatic(1000, Duration::from_secs(5)));
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessorOptions {
    /// The consumer group whose partitions are divided among its processors. Default `$Default`.
    pub consumer_group: String,
    /// The name of the namespace in the store. Default `None`: the host name that the client uses. Needed where that is not
    /// what other processors of the group use: an alias, an emulator.
    pub namespace: Option<String>,
    /// The name under which the processor owns partitions. Two with the same name at the same time would take each other's
    /// for their own. Default `None`: a new UUID.
    pub owner: Option<String>,
    /// How fast the processor takes its share. Default [`LoadBalancing::Greedy`].
    pub load_balancing: LoadBalancing,
    /// How often it looks at the store, renews what it owns and takes or loses partitions; spread by a fifth in both
    /// directions, so that processors do not move in step. Default 10 s.
    pub interval: Duration,
    /// After how long without renewal a partition belongs to nobody. The same for all processors of a group, and longer than
    /// the interval: several times, or a store that is slow once makes partitions change hands. Default 60 s.
    pub ownership_expiration: Duration,
    /// Where reading starts in a partition without a checkpoint. Default [`Position::earliest`]: with
    /// [`latest`](Position::latest) the events are skipped that are stored between the moment when an owner is lost, before
    /// its first checkpoint, and the moment when the next one starts.
    pub start: Position,
    /// Where reading starts in single partitions without a checkpoint, in place of [`start`](Self::start).
    pub starts: BTreeMap<String, Position>,
    /// When checkpoints are written without being asked for. Default [`Checkpoints::Explicit`].
    pub checkpoints: Checkpoints,
    /// How each partition is read: prefetch, watchdog and so on. Position, consumer group, owner level and name are the
    /// processor's to say, whatever stands here.
    pub consumer: ConsumerOptions,
    /// How many events a handler gets at once at most. Default 100.
    pub max_batch: usize,
    /// How long a handler's batch waits to be full once its first event is there. Default zero: a handler gets what is there.
    pub max_wait: Duration,
    /// How checkpoints that fail are tried again, and the pauses after a failure of the store or a handler.
    pub retry: RetryPolicy,
    /// How long one call of the store may take. Default 10 s.
    pub store_timeout: Duration,
    /// What tells the time of day, for the age of the store's records: it should show what the store's clock shows. Default:
    /// the system's clock.
    pub clock: Clock,
    /// The seed of the chance by which partitions and pauses are chosen, for runs that can be repeated. Default `None`: a
    /// random one.
    pub seed: Option<u64>,
    /// Is told what befalls the processor. Default `None`.
    pub observer: Option<ProcessorObserver>,
}

impl Default for ProcessorOptions {
    fn default() -> Self {
        Self {
            consumer_group: wire::DEFAULT_CONSUMER_GROUP.to_owned(),
            namespace: None,
            owner: None,
            load_balancing: LoadBalancing::default(),
            interval: Duration::from_secs(10),
            ownership_expiration: Duration::from_secs(60),
            start: Position::earliest(),
            starts: BTreeMap::new(),
            checkpoints: Checkpoints::default(),
            consumer: ConsumerOptions::default(),
            max_batch: 100,
            max_wait: Duration::ZERO,
            retry: RetryPolicy::default(),
            store_timeout: Duration::from_secs(10),
            clock: Clock::default(),
            seed: None,
            observer: None,
        }
    }
}

impl ProcessorOptions {
    /// Sets [`consumer_group`](Self::consumer_group).
    pub fn consumer_group(mut self, group: impl Into<String>) -> Self {
        self.consumer_group = group.into();
        self
    }

    /// Sets [`namespace`](Self::namespace).
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespace = Some(name.into());
        self
    }

    /// Sets [`owner`](Self::owner).
    pub fn owner(mut self, name: impl Into<String>) -> Self {
        self.owner = Some(name.into());
        self
    }

    /// Sets [`load_balancing`](Self::load_balancing).
    pub fn load_balancing(mut self, how: LoadBalancing) -> Self {
        self.load_balancing = how;
        self
    }

    /// Sets [`interval`](Self::interval).
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets [`ownership_expiration`](Self::ownership_expiration).
    pub fn ownership_expiration(mut self, expiration: Duration) -> Self {
        self.ownership_expiration = expiration;
        self
    }

    /// Sets [`start`](Self::start).
    pub fn start(mut self, position: Position) -> Self {
        self.start = position;
        self
    }

    /// Sets where a single partition [starts](Self::starts).
    pub fn start_partition(mut self, partition: impl Into<String>, position: Position) -> Self {
        self.starts.insert(partition.into(), position);
        self
    }

    /// Sets [`checkpoints`](Self::checkpoints).
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.checkpoints = checkpoints;
        self
    }

    /// Sets [`consumer`](Self::consumer).
    pub fn consumer(mut self, options: ConsumerOptions) -> Self {
        self.consumer = options;
        self
    }

    /// Sets [`max_batch`](Self::max_batch).
    pub fn max_batch(mut self, events: usize) -> Self {
        self.max_batch = events;
        self
    }

    /// Sets [`max_wait`](Self::max_wait).
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// Sets [`retry`](Self::retry).
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets [`store_timeout`](Self::store_timeout).
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// Sets [`clock`](Self::clock).
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets [`seed`](Self::seed).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets [`observer`](Self::observer).
    pub fn observer(mut self, observer: ProcessorObserver) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Refuses what cannot work.
    pub(super) fn check(&self) -> Result<(), ProcessorError> {
        let refused = |what: &str| Err(ProcessorError::Options(what.to_owned()));
        if self.interval.is_zero() {
            return refused("the interval is zero");
        }
        if self.ownership_expiration <= self.interval {
            return refused(
                "ownerships expire before they are renewed: expected an expiration longer than the interval",
            );
        }
        if self.max_batch == 0 {
            return refused("no event fits into a batch: expected a max_batch of at least 1");
        }
        match self.owner.as_deref() {
            // In the store, it means that nobody owns the partition.
            Some("") => refused("the owner's name is empty"),
            _ => Ok(()),
        }
    }
}

/// When checkpoints are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checkpoints {
    /// When the program says so, by [`checkpoint`](super::Partition::checkpoint).
    #[default]
    Explicit,
    /// For events that have been [processed](super::Partition::processed): a handler's when it has returned `Ok`. Written
    /// when one of the two limits is reached, and when the partition is stopped in peace.
    #[non_exhaustive]
    Automatic {
        /// So many events were processed since the last checkpoint.
        events: u64,
        /// So much time has passed since the first event that no checkpoint covers.
        interval: Duration,
    },
}

impl Checkpoints {
    /// After this many events or this much time, whichever comes first.
    pub const fn automatic(events: u64, interval: Duration) -> Self {
        Self::Automatic { events, interval }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused() {
        let options = ProcessorOptions::default;
        assert!(options().check().is_ok());
        let expiration = options().interval;
        for (wrong, word) in [
            (options().ownership_expiration(expiration), "expiration"),
            (options().interval(Duration::ZERO), "interval"),
            (options().owner(""), "owner"),
            (options().max_batch(0), "max_batch"),
        ] {
            let error = wrong.check().unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
