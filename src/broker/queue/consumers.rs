//! Who consumes from a queue, and who of them is told when a message becomes available: one that can take it, not all.
//!
//! ```text
//!            finds nothing           a message comes
//! SERVING ───────────────────> IDLE ─────────────────> TOLD
//!    ^                                                  │
//!    └──────────────────────────────────────────────────┘ takes something, or cannot: then the next idle one is told
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ConsumerId, DistributionMode, Entry, Place};
use crate::broker::bell::Bell;
use crate::broker::filter::Filters;

/// When a consumer became idle.
type Turn = u64;

/// What a consumer does about messages that become available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attention {
    /// It looks before it waits for them.
    Serving,
    /// It waits to be told, since this turn.
    Idle(Turn),
    /// It was told of this one and has not looked since: nobody else was.
    Told(Place),
}

#[derive(Debug)]
struct Consumer {
    mode: DistributionMode,
    filters: Filters,
    bell: Arc<Bell>,
    attention: Attention,
    /// When browsing: the arrival that comes next.
    next_arrival: u64,
}

/// All consumers of a queue.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    by_id: BTreeMap<ConsumerId, Consumer>,
    /// Those that wait for a message of their own, who has waited longest first.
    idle: BTreeMap<Turn, ConsumerId>,
    /// Those that wait for a message to look at.
    idle_browsers: BTreeMap<Turn, ConsumerId>,
    next_turn: Turn,
    /// Of consumers that have passed messages over: none before this place is for them.
    passed_over: BTreeMap<ConsumerId, Place>,
}

/// Where a consumer looks for its next message.
#[derive(Clone, Copy, Debug)]
pub(super) enum View {
    /// In the order of arrival, from this one on.
    Arrivals(u64),
    /// In the order of places, from this one on.
    Places(Place),
}

impl Consumers {
    pub(super) fn add(
        &mut self,
        id: ConsumerId,
        mode: DistributionMode,
        filters: Filters,
        bell: Arc<Bell>,
    ) {
        let consumer = Consumer {
            mode,
            filters,
            bell,
            attention: Attention::Serving,
            next_arrival: 0,
        };
        self.by_id.insert(id, consumer);
    }

    /// Forgets a consumer. Gives back what it was told of and has not looked at: another one is to be told.
    pub(super) fn remove(&mut self, id: ConsumerId) -> Option<Place> {
        let told_of = self.decline(id);
        self.passed_over.remove(&id);
        self.by_id.remove(&id);
        told_of
    }

    pub(super) fn contains(&self, id: ConsumerId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(super) fn view(&self, id: ConsumerId) -> Option<View> {
        let consumer = self.by_id.get(&id)?;
        Some(match consumer.mode {
            DistributionMode::Copy => View::Arrivals(consumer.next_arrival),
            DistributionMode::Move => {
                View::Places(self.passed_over.get(&id).copied().unwrap_or(Place::FIRST))
            }
        })
    }

    /// Whether a consumer would have a message.
    pub(super) fn wants(&self, id: ConsumerId, entry: &Entry) -> bool {
        self.by_id
            .get(&id)
            .is_some_and(|consumer| consumer.wants(id, entry))
    }

    /// A consumer that takes messages away has found its next one at `place`, or none; `first` is the first that there is.
    pub(super) fn found(&mut self, id: ConsumerId, place: Option<Place>, first: Option<Place>) {
        match place == first {
            true => self.passed_over.remove(&id),
            false => self.passed_over.insert(id, place.unwrap_or(Place::LAST)),
        };
    }

    /// A consumer has looked at the message of this arrival (A-017).
    pub(super) fn browsed(&mut self, id: ConsumerId, arrival: u64) {
        if let Some(consumer) = self.by_id.get_mut(&id) {
            consumer.next_arrival = arrival + 1;
        }
    }

    /// A consumer has found nothing and waits to be told.
    pub(super) fn wait(&mut self, id: ConsumerId) {
        self.decline(id);
        if let Some(consumer) = self.by_id.get_mut(&id) {
            let turn = self.next_turn;
            self.next_turn += 1;
            consumer.attention = Attention::Idle(turn);
            match consumer.mode {
                DistributionMode::Move => self.idle.insert(turn, id),
                DistributionMode::Copy => self.idle_browsers.insert(turn, id),
            };
        }
    }

    /// A consumer will look by itself before it waits again. Gives back what it was told of meanwhile.
    pub(super) fn decline(&mut self, id: ConsumerId) -> Option<Place> {
        let consumer = self.by_id.get_mut(&id)?;
        match std::mem::replace(&mut consumer.attention, Attention::Serving) {
            Attention::Serving => None,
            Attention::Idle(turn) => {
                self.idle.remove(&turn);
                self.idle_browsers.remove(&turn);
                None
            }
            Attention::Told(place) => Some(place),
        }
    }

    /// A message becomes available: tells all who only look, and the one who has waited longest of those that can take it.
    pub(super) fn tell(&mut self, place: Place, entry: &Entry) {
        for seen in self.passed_over.values_mut() {
            *seen = place.min(*seen);
        }
        self.tell_browsers(place, entry);
        let mut from = 0;
        while let Some((turn, id)) = self.next_idle(from, entry) {
            from = turn;
            self.idle.remove(&turn);
            let Some(consumer) = self.by_id.get_mut(&id) else {
                continue;
            };
            if consumer.bell.ring() {
                consumer.attention = Attention::Told(place);
                return;
            }
            consumer.attention = Attention::Serving; // it waits for credit now, and looks when that comes
        }
    }

    fn next_idle(&self, from: Turn, entry: &Entry) -> Option<(Turn, ConsumerId)> {
        let mut idle = self.idle.range(from..);
        idle.find(|(_, id)| self.wants(**id, entry))
            .map(|(turn, id)| (*turn, *id))
    }

    fn tell_browsers(&mut self, place: Place, entry: &Entry) {
        self.idle_browsers.retain(|_, id| {
            let Some(browser) = self.by_id.get_mut(id) else {
                return false;
            };
            let is_new = place.arrival >= browser.next_arrival && browser.wants(*id, entry);
            if is_new {
                browser.attention = Attention::Serving;
                browser.bell.ring();
            }
            !is_new
        });
    }
}

impl Consumer {
    fn wants(&self, id: ConsumerId, entry: &Entry) -> bool {
        !entry.excluded.contains(&id) && self.filters.pass(&entry.message, &entry.changes)
    }
}
