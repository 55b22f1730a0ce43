//! The task of a processor: looks at the store at intervals, claims and renews, starts and stops partitions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::balancer::View;
use super::error::{ProcessorError, StopReason};
use super::lease::Lease;
use super::observer::ProcessorEvent;
use super::partition::{Left, PartitionClient};
use super::progress::LONGEST_WAIT;
use super::shared::Shared;
use crate::backoff::spread;
use crate::eventhubs::Position;
use crate::eventhubs::checkpoint::{Checkpoint, Ownership, StoreError};

/// How often partitions are tried to be given up at the end, after the first time.
const RELEASE_RETRIES: u32 = 3;

/// How far a processor's life has come.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Running,
    /// Partitions are being stopped; those that are worked on at this moment are given up all the same.
    Stopping(Instant),
    Stopped(Option<ProcessorError>),
}

pub(super) struct Coordinator {
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    /// Where new partitions go; `None` once no more are started.
    starting: Option<mpsc::UnboundedSender<PartitionClient>>,
    leaving: mpsc::UnboundedSender<Left>,
    left: mpsc::UnboundedReceiver<Left>,
    /// Ids of all partitions, once known.
    partitions: Vec<String>,
    /// Partitions with a client.
    held: BTreeMap<String, Held>,
    /// Partitions that the program gave up, and until when they are not taken back.
    given_up: HashMap<String, Instant>,
    /// Which version of each partition's record was seen last, and since when.
    versions: HashMap<String, Version>,
    /// Failures of the store in a row.
    failures: u32,
    /// Claims under way. They go on when the look that made them is given up: the store may carry them out all the same.
    claiming: Option<JoinHandle<Claimed>>,
}

/// The claims that were won.
type Claimed = Result<Vec<Ownership>, StoreError>;

/// A version of a record, as this processor has seen it.
struct Version {
    etag: Option<String>,
    since: Instant,
}

/// A partition with a client.
struct Held {
    lease: watch::Sender<Lease>,
    /// As it was written last.
    record: Ownership,
}

impl Coordinator {
    pub(super) fn new(
        shared: Arc<Shared>,
        phase: watch::Sender<Phase>,
        starting: mpsc::UnboundedSender<PartitionClient>,
    ) -> Self {
        let (leaving, left) = mpsc::unbounded_channel();
        Self {
            shared,
            phase,
            starting: Some(starting),
            leaving,
            left,
            partitions: Vec::new(),
            held: BTreeMap::new(),
            given_up: HashMap::new(),
            versions: HashMap::new(),
            failures: 0,
            claiming: None,
        }
    }

    pub(super) async fn run(mut self) {
        let mut phase = self.phase.subscribe();
        let mut next_look = Instant::now();
        loop {
            let deadline = match *phase.borrow_and_update() {
                Phase::Running => None,
                Phase::Stopping(deadline) => Some(deadline),
                Phase::Stopped(_) => return,
            };
            if let Some(deadline) = deadline {
                self.stop_all();
                if self.held.is_empty() || deadline <= Instant::now() {
                    return self.finish().await;
                }
            }
            tokio::select! {
                biased;
                _ = phase.changed() => {}
                () = sleep_until(deadline.unwrap_or_else(far_away)) => {}
                Some(left) = self.left.recv() => {
                    if self.remove(left).await {
                        next_look = Instant::now();
                    }
                }
                () = sleep_until(next_look) => {
                    // Not waited for where there is no time left: what it claims is waited for, and given up, at the end.
                    let pause = tokio::select! {
                        biased;
                        pause = self.look() => pause,
                        _ = phase.changed() => Duration::ZERO,
                        () = sleep_until(deadline.unwrap_or_else(far_away)) => Duration::ZERO,
                    };
                    next_look = Instant::now() + pause.min(LONGEST_WAIT);
                }
            }
        }
    }

    /// Looks at the store and does what follows from that. Returns how long to wait until the next time.
    async fn look(&mut self) -> Duration {
        let interval = self.shared.options.interval;
        match self.balance().await {
            Ok(()) => {
                self.failures = 0;
                let pause = spread(interval, self.shared.random.next());
                pause.min(self.time_to_renew())
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let pause = self.shared.pause(self.failures).min(interval);
                let pause = pause.min(self.time_to_renew());
                self.shared
                    .tell(ProcessorEvent::StoreFailed { error, pause });
                pause
            }
        }
    }

    /// Half of the time that the first lease to end has left; the rest is for asking the store. Not so little that the store
    /// would be asked all the time.
    fn time_to_renew(&self) -> Duration {
        let leases = self.held.values().map(|held| *held.lease.borrow());
        let alive = leases.filter(|lease| lease.lost().is_none());
        let left = alive.map(|lease| lease.until.saturating_duration_since(Instant::now()));
        let half = left.min().map_or(Duration::MAX, |left| left / 2);
        half.max(self.shared.options.interval / 10)
    }

    async fn balance(&mut self) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        // Those of a look that was given up: what became of them is in the list.
        let _ = self.claims_made().await;
        let asked = Instant::now();
        let listing = shared.store.list_ownerships(&shared.group);
        let (partitions, ownerships) = tokio::join!(
            partitions_of(&shared),
            shared.ask("list the ownerships", listing)
        );
        if let Some(partitions) = partitions {
            self.partitions = partitions;
        }
        let ownerships = ownerships?;
        let unchanged = self.compare(&ownerships, asked);
        let claims = self.plan(&ownerships, &unchanged);
        // The time of the records will be later than this.
        let until = Instant::now() + shared.options.ownership_expiration.min(LONGEST_WAIT);
        let won = match claims.is_empty() {
            true => Vec::new(),
            false => self.claim(claims.clone()).await?,
        };
        let fresh = self.settle(&claims, won, until);
        self.start(fresh, &ownerships, until).await
    }

    async fn claim(&mut self, claims: Vec<Ownership>) -> Claimed {
        let shared = self.shared.clone();
        self.claiming = Some(tokio::spawn(async move {
            let claiming = shared.store.claim_ownerships(&shared.group, claims);
            shared.ask("claim partitions", claiming).await
        }));
        self.claims_made().await
    }

    /// Waits for the claims under way, as long as the store is given for any call.
    async fn claims_made(&mut self) -> Claimed {
        let Some(claiming) = &mut self.claiming else {
            return Ok(Vec::new());
        };
        let made = claiming.await;
        self.claiming = None;
        made.unwrap_or_else(|error| Err(StoreError::unavailable("claim partitions", error)))
    }

    /// For how long each record has been the same, if it is what it was at the moment `asked`.
    fn compare(&mut self, ownerships: &[Ownership], asked: Instant) -> HashMap<String, Duration> {
        let mut before = std::mem::take(&mut self.versions);
        let mut unchanged = HashMap::new();
        for Ownership {
            partition, etag, ..
        } in ownerships
        {
            let known = before.remove(partition);
            let version = match known.filter(|known| known.etag == *etag) {
                Some(known) => known,
                None => Version {
                    etag: etag.clone(),
                    since: Instant::now(),
                },
            };
            let age = asked.saturating_duration_since(version.since);
            unchanged.insert(partition.clone(), age);
            self.versions.insert(partition.clone(), version);
        }
        unchanged
    }

    /// What to write: renewals, releases that have not succeeded yet, and new claims.
    fn plan(
        &mut self,
        ownerships: &[Ownership],
        unchanged: &HashMap<String, Duration>,
    ) -> Vec<Ownership> {
        let now = Instant::now();
        self.given_up.retain(|_, until| *until > now);
        let options = &self.shared.options;
        let avoided: HashSet<_> = self
            .held
            .keys()
            .chain(self.given_up.keys())
            .cloned()
            .collect();
        let view = View {
            partitions: &self.partitions,
            ownerships,
            owner: &self.shared.owner,
            now: options.clock.now(),
            expiration: options.ownership_expiration,
            unchanged,
            avoided: &avoided,
        };
        let mut plan = view.renewals();
        for renewal in &mut plan {
            let partition = &renewal.partition;
            if !self.held.contains_key(partition) && self.given_up.contains_key(partition) {
                renewal.owner.clear();
            }
        }
        if self.starting.is_some() {
            plan.extend(view.claims(options.load_balancing, &self.shared.random));
        }
        plan
    }

    /// Tells those who work on partitions what became of the claims. Returns the partitions that are to be started.
    fn settle(
        &mut self,
        claims: &[Ownership],
        won: Vec<Ownership>,
        until: Instant,
    ) -> Vec<Ownership> {
        let still_ours: HashSet<_> = won.iter().map(|record| record.partition.clone()).collect();
        for (partition, held) in &self.held {
            if !still_ours.contains(partition) {
                held.take_away();
            }
        }
        for claim in claims {
            let partition = &claim.partition;
            if !still_ours.contains(partition) && !self.held.contains_key(partition) {
                let partition = partition.clone();
                self.shared.tell(ProcessorEvent::ClaimLost { partition });
            }
        }
        let mut fresh = Vec::new();
        for record in won {
            if record.owner.is_empty() {
                let partition = record.partition;
                self.shared.tell(ProcessorEvent::Released { partition });
            } else if let Some(held) = self.held.get_mut(&record.partition) {
                held.renew(record, until);
            } else {
                fresh.push(record);
            }
        }
        fresh
    }

    /// Starts partitions after their checkpoints. While the store does not tell these, the partitions are ours without being
    /// read, and started after the next look; where waiting does not help, they are left to others.
    async fn start(
        &mut self,
        fresh: Vec<Ownership>,
        before: &[Ownership],
        until: Instant,
    ) -> Result<(), StoreError> {
        if fresh.is_empty() || self.starting.is_none() {
            return Ok(());
        }
        let shared = self.shared.clone();
        let listing = shared.store.list_checkpoints(&shared.group);
        let checkpoints = match shared.ask("list the checkpoints", listing).await {
            Ok(checkpoints) => checkpoints,
            Err(error) => {
                if !error.is_retryable() {
                    self.give_up(fresh).await;
                }
                return Err(error);
            }
        };
        let mut unreadable = Vec::new();
        for record in fresh {
            let Some(position) = self.position(&record.partition, &checkpoints) else {
                unreadable.push(record);
                continue;
            };
            let of_this = |known: &&Ownership| known.partition == record.partition;
            let owner = before.iter().find(of_this).map(|known| known.owner.clone());
            shared.tell(ProcessorEvent::Claimed {
                partition: record.partition.clone(),
                previous_owner: owner.filter(|owner| !owner.is_empty()),
            });
            self.hand_out(record, position, until);
        }
        for record in &unreadable {
            let attempt = format!("start partition {}", record.partition);
            let error = StoreError::refused(attempt, "its checkpoint cannot be read");
            let pause = shared.options.ownership_expiration;
            shared.tell(ProcessorEvent::StoreFailed { error, pause });
        }
        self.give_up(unreadable).await;
        Ok(())
    }

    /// Where reading starts; `None` if there is a checkpoint and it cannot be read.
    fn position(&self, partition: &str, checkpoints: &[Checkpoint]) -> Option<Position> {
        let of_this = |checkpoint: &&Checkpoint| checkpoint.partition == partition;
        let Some(checkpoint) = checkpoints.iter().find(of_this) else {
            let options = &self.shared.options;
            let start = options.starts.get(partition);
            return Some(start.unwrap_or(&options.start).clone());
        };
        let offset = checkpoint.offset.as_deref();
        match offset.filter(|offset| !offset.is_empty()) {
            Some(offset) => Some(Position::offset(offset)),
            None => checkpoint.sequence_number.map(Position::sequence_number),
        }
    }

    fn hand_out(&mut self, record: Ownership, position: Position, until: Instant) {
        let Some(starting) = &self.starting else {
            return;
        };
        let lease = watch::Sender::new(Lease { until, stop: None });
        let id = record.partition.clone();
        let client = PartitionClient::new(
            id.clone(),
            position,
            self.shared.clone(),
            lease.subscribe(),
            self.leaving.clone(),
        );
        self.held.insert(id, Held { lease, record });
        // If nobody takes it, it is dropped, and so leaves again.
        let _ = starting.send(client);
    }

    /// Nobody works on these partitions any more. Returns whether it is worth to look at the store at once.
    async fn remove(&mut self, left: Left) -> bool {
        let mut all = vec![left];
        while let Ok(left) = self.left.try_recv() {
            all.push(left);
        }
        let mut released = Vec::new();
        let mut expired = false;
        for Left { partition, reason } in all {
            let Some(held) = self.held.remove(&partition) else {
                continue;
            };
            if matches!(reason, StopReason::GivenUp | StopReason::Shutdown) {
                released.push(held.record);
            }
            expired |= reason == StopReason::OwnershipExpired;
            self.shared
                .tell(ProcessorEvent::Stopped { partition, reason });
        }
        self.give_up(released).await;
        expired
    }

    /// Leaves partitions to others, until an ownership would have expired.
    async fn give_up(&mut self, records: Vec<Ownership>) {
        let until = Instant::now() + self.shared.options.ownership_expiration.min(LONGEST_WAIT);
        let partitions = records.iter().map(|record| record.partition.clone());
        self.given_up
            .extend(partitions.map(|partition| (partition, until)));
        // What fails here is done by the next look, or at the end.
        if let Err(error) = self.release(&records).await {
            let pause = Duration::ZERO;
            self.shared
                .tell(ProcessorEvent::StoreFailed { error, pause });
        }
    }

    async fn release(&self, records: &[Ownership]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let shared = &self.shared;
        let releases = records.iter().map(|record| record.claimed_by(""));
        let releasing = shared
            .store
            .claim_ownerships(&shared.group, releases.collect());
        for record in shared.ask("give partitions up", releasing).await? {
            let partition = record.partition;
            shared.tell(ProcessorEvent::Released { partition });
        }
        Ok(())
    }

    /// No more partitions are started, and those that are worked on should come to their end.
    fn stop_all(&mut self) {
        self.starting = None;
        for held in self.held.values() {
            held.lease.send_if_modified(|lease| {
                let goes_on = lease.stop.is_none();
                lease.stop.get_or_insert(StopReason::Shutdown);
                goes_on
            });
        }
    }

    /// Gives up whatever is left.
    async fn finish(mut self) {
        for held in self.held.values() {
            // From now on, checkpoints are the next owner's.
            held.lease
                .send_modify(|lease| lease.until = lease.until.min(Instant::now()));
        }
        // Whatever is claimed after the list is not given up.
        if let Err(error) = self.claims_made().await {
            tracing::debug!(%error, "the last claims failed");
        }
        let mut released = self.release_all().await;
        for failures in 1..=RELEASE_RETRIES {
            if !matches!(&released, Err(error) if error.is_retryable()) {
                break;
            }
            tokio::time::sleep(self.shared.pause(failures)).await;
            released = self.release_all().await;
        }
        let error = match (released, self.held.len()) {
            (Err(error), _) => Some(ProcessorError::NotReleased(error)),
            (Ok(()), 0) => None,
            (Ok(()), working) => Some(ProcessorError::StillWorking(working)),
        };
        self.phase.send_replace(Phase::Stopped(error));
    }

    /// Gives up all that is ours according to the store.
    async fn release_all(&self) -> Result<(), StoreError> {
        let shared = &self.shared;
        let listing = shared.store.list_ownerships(&shared.group);
        let mut ours = shared.ask("list the ownerships", listing).await?;
        ours.retain(|record| record.owner == shared.owner);
        self.release(&ours).await
    }
}

impl Drop for Coordinator {
    /// Whoever waits for the end must see it, even if the task was aborted.
    fn drop(&mut self) {
        self.phase.send_if_modified(|phase| {
            let unfinished = !matches!(phase, Phase::Stopped(_));
            if unfinished {
                *phase = Phase::Stopped(None);
            }
            unfinished
        });
    }
}

impl Held {
    fn renew(&mut self, record: Ownership, until: Instant) {
        self.record = record;
        self.lease.send_modify(|lease| match lease.lost() {
            None => lease.until = until,
            // Whoever works on it has seen the end already, or will.
            Some(reason) => {
                lease.stop.get_or_insert(reason);
            }
        });
    }

    /// The partition is another's.
    fn take_away(&self) {
        self.lease.send_if_modified(|lease| {
            let lost = lease.lost().is_none();
            if lost {
                lease.stop = Some(StopReason::OwnershipLost);
            }
            lost
        });
    }
}

/// The partitions of the hub, if the service tells them soon; their number may have grown.
async fn partitions_of(shared: &Shared) -> Option<Vec<String>> {
    let patience = shared.options.interval / 2;
    match tokio::time::timeout(patience, shared.client.hub_properties()).await {
        Ok(Ok(properties)) => Some(properties.partition_ids),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the partitions of the hub are not known");
            None
        }
        Err(_) => {
            tracing::debug!("the service did not tell the partitions of the hub in time");
            None
        }
    }
}

/// A moment that does not come.
fn far_away() -> Instant {
    Instant::now() + LONGEST_WAIT
}
