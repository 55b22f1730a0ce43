//! A queue: messages, their states [3.3.1], and whose turn it is. It has no task and no clock of its own.
//!
//! ```text
//!          acquire                   accepted, rejected
//! AVAILABLE ─────────> ACQUIRED ─────────────────────────> ARCHIVED: gone, or a dead letter
//!     ^  └ browse: stays   │
//!     └────────────────────┘ released, modified: at its old place
//! ```
//!
//! A queue changes under the broker's lock, and so do the [bells](Bell) ring that tell consumers of it.

mod consumers;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use self::consumers::{Consumers, View};
use super::bell::Bell;
use super::filter::Filters;
use super::message::{Changes, StoredMessage};
use crate::codec::{AmqpError, Fields, Modified, Outcome, condition};

/// A consumer's number; never used twice by a broker.
pub(super) type ConsumerId = u64;

/// Priorities that are told apart; higher ones count as the highest (H-004).
const PRIORITIES: u8 = 10;

/// Where a message stands: by priority, then by arrival. It keeps its place for as long as it is in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    urgency: Reverse<u8>,
    arrival: u64,
}

/// What a queue may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueLimits {
    pub(super) messages: usize,
    pub(super) octets: usize,
    /// Of all queues together.
    pub(super) total_octets: usize,
}

/// What is to have room at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Messages for this queue.
    pub(super) messages: usize,
    /// Their octets.
    pub(super) octets: usize,
    /// Octets for all queues of the broker.
    pub(super) total: usize,
}

impl Room {
    /// Where nothing else is to come.
    pub(super) fn of(messages: usize, octets: usize) -> Self {
        Self {
            messages,
            octets,
            total: octets,
        }
    }
}

/// What has no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("it holds as much as it may")]
    Queue,
    #[error("the broker holds as much as it may")]
    Broker,
}

/// Octets of what deliveries may add to a message, its dead letter's reason included.
const MAX_CHANGES: usize = 64 << 10;

/// How a consumer takes messages [3.5.7].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DistributionMode {
    /// A message goes to one consumer.
    Move,
    /// Messages stay: the consumer browses.
    Copy,
}

/// A message in the queue, and what happened to it there.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) message: Arc<StoredMessage>,
    pub(super) changes: Changes,
    /// Consumers that cannot deliver it (O-011).
    excluded: Vec<ConsumerId>,
}

/// A message for a consumer.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    /// None if it was only looked at, and nothing that becomes of the delivery changes it.
    pub(super) place: Option<Place>,
    pub(super) message: Arc<StoredMessage>,
    pub(super) changes: Changes,
}

#[derive(Debug)]
pub(super) struct Queue {
    limits: QueueLimits,
    available: BTreeMap<Place, Entry>,
    /// The same in the order of arrival, for who browses.
    arrivals: BTreeMap<u64, Place>,
    acquired: BTreeMap<Place, Entry>,
    consumers: Consumers,
    next_arrival: u64,
    octets: usize,
    /// Octets in all queues together.
    total: Arc<AtomicUsize>,
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.total.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

impl Queue {
    pub(super) fn new(limits: QueueLimits, total: Arc<AtomicUsize>) -> Self {
        Self {
            limits,
            available: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            acquired: BTreeMap::new(),
            consumers: Consumers::default(),
            next_arrival: 0,
            octets: 0,
            total,
        }
    }

    fn add_octets(&mut self, entry: &Entry) {
        self.octets += entry.size();
        self.total.fetch_add(entry.size(), Ordering::Relaxed);
    }

    fn remove_octets(&mut self, entry: &Entry) {
        self.octets -= entry.size();
        self.total.fetch_sub(entry.size(), Ordering::Relaxed);
    }

    /// Messages that are available or acquired.
    pub(super) fn len(&self) -> usize {
        self.available.len() + self.acquired.len()
    }

    #[cfg(test)]
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes sure that there is room: what has expired goes first.
    pub(super) fn make_room(&mut self, needed: Room, now: Instant) -> Result<(), Full> {
        self.check_room(needed).or_else(|_| {
            self.drop_expired(now);
            self.check_room(needed)
        })
    }

    fn check_room(&self, needed: Room) -> Result<(), Full> {
        let total = self.total.load(Ordering::Relaxed);
        if total.saturating_add(needed.total) > self.limits.total_octets {
            return Err(Full::Broker);
        }
        let has_room = self.len().saturating_add(needed.messages) <= self.limits.messages
            && self.octets.saturating_add(needed.octets) <= self.limits.octets;
        match has_room {
            true => Ok(()),
            false => Err(Full::Queue),
        }
    }

    /// Adds a message at the end of those of its priority. Whether there is room was asked before.
    pub(super) fn push(&mut self, message: Arc<StoredMessage>, changes: Changes) {
        let place = Place {
            urgency: Reverse(message.header.priority.min(PRIORITIES - 1)),
            arrival: self.next_arrival,
        };
        self.next_arrival += 1;
        let entry = Entry {
            message,
            changes,
            excluded: Vec::new(),
        };
        self.add_octets(&entry);
        self.make_available(place, entry);
    }

    fn make_available(&mut self, place: Place, mut entry: Entry) {
        // Consumers may have gone while it was acquired.
        let consumers = &mut self.consumers;
        entry
            .excluded
            .retain(|excluded| consumers.contains(*excluded));
        consumers.tell(place, &entry);
        self.arrivals.insert(place.arrival, place);
        self.available.insert(place, entry);
    }

    fn take_available(&mut self, place: Place) -> Option<Entry> {
        self.arrivals.remove(&place.arrival);
        self.available.remove(&place)
    }

    /// Throws away what has expired (H-005). Looks at every message.
    fn drop_expired(&mut self, now: Instant) {
        let expired: Vec<Place> = self
            .available
            .iter()
            .filter(|(_, entry)| entry.is_expired(now))
            .map(|(place, _)| *place)
            .collect();
        for place in expired {
            self.drop_available(place);
        }
    }

    fn drop_available(&mut self, place: Place) {
        if let Some(entry) = self.take_available(place) {
            self.remove_octets(&entry);
        }
    }

    pub(super) fn add_consumer(
        &mut self,
        id: ConsumerId,
        mode: DistributionMode,
        filters: Filters,
        bell: Arc<Bell>,
    ) {
        self.consumers.add(id, mode, filters, bell);
    }

    /// Forgets a consumer. What it has acquired stays so until its deliveries are settled.
    pub(super) fn remove_consumer(&mut self, id: ConsumerId) {
        let told_of = self.consumers.remove(id);
        self.tell_another(told_of);
    }

    /// A consumer has no credit or no window, and looks again once it has. Whether there is a message for it.
    pub(super) fn decline(&mut self, id: ConsumerId, now: Instant) -> bool {
        let told_of = self.consumers.decline(id);
        self.tell_another(told_of);
        self.find(id, now).is_some()
    }

    fn tell_another(&mut self, place: Option<Place>) {
        if let Some(place) = place
            && let Some(entry) = self.available.get(&place)
        {
            self.consumers.tell(place, entry);
        }
    }

    /// The next message for a consumer: acquired by it (O-015), unless it browses. If there is none, the consumer is told of
    /// the next that comes.
    pub(super) fn take(&mut self, id: ConsumerId, now: Instant) -> Option<Offer> {
        match self.find(id, now) {
            None => {
                self.consumers.wait(id);
                None
            }
            Some((place, DistributionMode::Copy)) => {
                self.consumers.browsed(id, place.arrival);
                let entry = self.available.get(&place)?;
                Some(entry.offer(None))
            }
            Some((place, DistributionMode::Move)) => {
                let mut entry = self.take_available(place)?;
                let offer = entry.offer(Some(place));
                entry.changes.was_acquired = true;
                self.acquired.insert(place, entry);
                Some(offer)
            }
        }
    }

    /// The first message that a consumer can have; those before it are not looked at again until something comes back.
    fn find(&mut self, id: ConsumerId, now: Instant) -> Option<(Place, DistributionMode)> {
        loop {
            let is_for_it =
                |entry: &Entry| entry.is_expired(now) || self.consumers.wants(id, entry);
            let (place, mode) = match self.consumers.view(id)? {
                View::Arrivals(from) => {
                    let mut places = self.arrivals.range(from..).map(|(_, place)| *place);
                    let place =
                        places.find(|place| self.available.get(place).is_some_and(is_for_it));
                    (place?, DistributionMode::Copy)
                }
                View::Places(from) => {
                    let mut entries = self.available.range(from..);
                    let place = entries.find(|(_, entry)| is_for_it(entry));
                    let place = place.map(|(place, _)| *place);
                    let first = self.available.first_key_value().map(|(place, _)| *place);
                    self.consumers.found(id, place, first);
                    (place?, DistributionMode::Move)
                }
            };
            if !self.available.get(&place)?.is_expired(now) {
                return Some((place, mode));
            }
            self.drop_available(place);
        }
    }

    /// Applies an outcome to a message that `consumer` has acquired. Gives back what was rejected, with the reason: it is a
    /// dead letter.
    pub(super) fn settle(
        &mut self,
        place: Place,
        consumer: ConsumerId,
        outcome: Outcome,
    ) -> Option<Entry> {
        let mut entry = self.acquired.remove(&place)?;
        match outcome {
            Outcome::Released | Outcome::Declared(_) => self.make_available(place, entry),
            Outcome::Modified(modified) => {
                entry.modify(&modified, consumer);
                self.annotate(&mut entry, &modified.message_annotations);
                self.make_available(place, entry);
            }
            Outcome::Accepted => self.remove_octets(&entry),
            Outcome::Rejected(rejected) => {
                self.remove_octets(&entry);
                let reason = rejected.error.map(|error| *error);
                entry.changes.reject(
                    reason.unwrap_or_else(|| AmqpError::from_condition(condition::INTERNAL_ERROR)),
                );
                return Some(entry);
            }
        }
        None
    }

    /// Adds annotations to a message (O-012), as far as there is room for them.
    fn annotate(&mut self, entry: &mut Entry, annotations: &Fields) {
        if annotations.is_empty() {
            return;
        }
        let mut changes = entry.changes.clone();
        changes.annotate(annotations);
        let added = changes.size().saturating_sub(entry.changes.size());
        if changes.size() > MAX_CHANGES || self.check_room(Room::of(0, added)).is_err() {
            tracing::debug!("the annotations of a modified outcome have no room");
            return;
        }
        self.remove_octets(entry);
        entry.changes = changes;
        self.add_octets(entry);
    }

    /// Whether a message is still acquired.
    pub(super) fn is_acquired(&self, place: Place) -> bool {
        self.acquired.contains_key(&place)
    }
}

impl Entry {
    fn offer(&self, place: Option<Place>) -> Offer {
        Offer {
            place,
            message: Arc::clone(&self.message),
            changes: self.changes.clone(),
        }
    }

    /// What it costs to keep, in octets.
    pub(super) fn size(&self) -> usize {
        self.message.size() + self.changes.size()
    }

    /// A dead letter does not expire: somebody is to look at it.
    fn is_expired(&self, now: Instant) -> bool {
        self.changes.rejected().is_none() && self.message.is_expired(now)
    }

    fn modify(&mut self, modified: &Modified, consumer: ConsumerId) {
        if modified.delivery_failed {
            self.changes.failures = self.changes.failures.saturating_add(1); // O-010
        }
        if modified.undeliverable_here && !self.excluded.contains(&consumer) {
            self.excluded.push(consumer);
        }
    }
}

impl Place {
    const FIRST: Place = Place {
        urgency: Reverse(u8::MAX),
        arrival: 0,
    };
    const LAST: Place = Place {
        urgency: Reverse(0),
        arrival: u64::MAX,
    };
}

#[cfg(test)]
mod tests;
