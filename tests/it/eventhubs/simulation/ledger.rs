//! What was reported of each event, and what is to be found in the end.

use std::collections::BTreeMap;

/// What a producer reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Accepted,
    NotSent,
    Unknown,
}

/// How often a producer stores what it sends: so many times "once".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    AtMost,
    AtLeast,
    /// And its producer goes on asking until the fate is known.
    Exactly,
}

impl Promise {
    /// How often an event may be stored of which that was reported.
    fn allows(self, fate: Fate, stored: usize) -> bool {
        match (fate, self) {
            (Fate::Accepted, Promise::AtMost | Promise::Exactly) => stored == 1,
            (Fate::Accepted, Promise::AtLeast) => stored >= 1,
            (Fate::NotSent, _) => stored == 0,
            (Fate::Unknown, Promise::AtMost) => stored <= 1,
            (Fate::Unknown, Promise::AtLeast) => true,
            (Fate::Unknown, Promise::Exactly) => false,
        }
    }
}

#[derive(Default)]
pub(super) struct Ledger {
    reported: BTreeMap<String, (Fate, Promise)>,
    /// By partition, what its consumer got: sequence number and body.
    received: BTreeMap<String, Vec<(i64, String)>>,
}

impl Ledger {
    pub(super) fn report(&mut self, body: String, fate: Fate, promise: Promise) {
        let earlier = self.reported.insert(body, (fate, promise));
        assert_eq!(earlier, None, "bodies are unique");
    }

    /// A consumer got an event: it must be the one after the last.
    pub(super) fn receive(&mut self, partition: &str, number: i64, body: String) {
        let received = self.received.entry(partition.to_owned()).or_default();
        let expected = received.last().map_or(0, |(last, _)| last + 1);
        assert_eq!(
            number, expected,
            "partition {partition}: each event comes once and in order"
        );
        received.push((number, body));
    }

    /// The number of the last event that came.
    pub(super) fn last(&self, partition: &str) -> Option<i64> {
        Some(self.received.get(partition)?.last()?.0)
    }

    /// Compares what was reported and received with what is stored.
    pub(super) fn check(&self, stored: &BTreeMap<String, Vec<String>>) {
        for (partition, bodies) in stored {
            let received = self.received.get(partition).into_iter().flatten();
            let received: Vec<_> = received.map(|(_, body)| body).collect();
            assert_eq!(received, bodies.iter().collect::<Vec<_>>(), "{partition}");
        }
        let bodies: Vec<_> = stored.values().flatten().collect();
        for (body, (fate, promise)) in &self.reported {
            let count = bodies.iter().filter(|stored| **stored == body).count();
            assert!(
                promise.allows(*fate, count),
                "{body} was reported as {fate:?}, with {promise:?}, and is stored {count} times"
            );
        }
        for body in bodies {
            assert!(self.reported.contains_key(body), "nobody sent {body}");
        }
    }
}
