//! Merging what was settled one by one into ranges of equal states (P-015).

use super::serial;
use crate::codec::{DeliveryState, Disposition, Role};

#[derive(Clone, Debug, PartialEq)]
struct Run {
    first: u32,
    last: u32,
    settled: bool,
    state: Option<DeliveryState>,
}

impl Run {
    fn is_followed_by(&self, next: &Run) -> bool {
        self.last.wrapping_add(1) == next.first
            && self.settled == next.settled
            && self.state == next.state
    }
}

/// Dispositions that wait for the next flush.
#[derive(Debug)]
pub(crate) struct DispositionQueue {
    role: Role,
    runs: Vec<Run>,
}

impl DispositionQueue {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            role,
            runs: Vec::new(),
        }
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Adds one delivery; extends the last run where it fits.
    pub(crate) fn push(&mut self, delivery_id: u32, settled: bool, state: Option<DeliveryState>) {
        let next = Run {
            first: delivery_id,
            last: delivery_id,
            settled,
            state,
        };
        match self.runs.last_mut() {
            Some(run) if run.is_followed_by(&next) => run.last = delivery_id,
            _ => self.runs.push(next),
        }
    }

    /// Hands out the merged dispositions, in serial order of their deliveries; in the order in which they were given where
    /// one delivery has several, since the last one counts.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Disposition> + '_ {
        self.merge();
        let role = self.role;
        self.runs.drain(..).map(move |run| Disposition {
            role,
            first: run.first,
            last: (run.last != run.first).then_some(run.last),
            settled: run.settled,
            state: run.state,
            batchable: false,
        })
    }

    /// Tasks settle in any order: sort, then join neighbours.
    fn merge(&mut self) {
        let Some(base) = self.runs.first().map(|run| run.first) else {
            return;
        };
        let in_order = self
            .runs
            .is_sorted_by(|a, b| serial::distance(a.first, b.first) >= 0);
        if !in_order {
            let mut sorted = self.runs.clone();
            sorted.sort_by_key(|run| serial::distance(base, run.first));
            let is_apart = |pair: &[Run]| serial::is_before(pair[0].last, pair[1].first);
            if sorted.windows(2).all(is_apart) {
                self.runs = sorted;
            }
        }
        self.runs.dedup_by(|next, run| {
            let joins = run.is_followed_by(next);
            if joins {
                run.last = next.last;
            }
            joins
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Outcome;

    fn ranges(queue: &mut DispositionQueue) -> Vec<(u32, u32)> {
        queue
            .drain()
            .map(|d| (d.first, d.last.unwrap_or(d.first)))
            .collect()
    }

    fn accept(queue: &mut DispositionQueue, ids: impl IntoIterator<Item = u32>) {
        ids.into_iter()
            .for_each(|id| queue.push(id, true, Some(Outcome::Accepted.into())));
    }

    #[test]
    fn p_015_a_thousand_accepts_are_one_range() {
        let mut queue = DispositionQueue::new(Role::Receiver);
        accept(&mut queue, 0..1000);
        assert_eq!(ranges(&mut queue), [(0, 999)]);
        assert!(queue.is_empty());
    }

    #[test]
    fn any_order_merges_also_across_the_wrap() {
        let mut queue = DispositionQueue::new(Role::Receiver);
        accept(&mut queue, [1, u32::MAX, 3, 0, 5]);
        assert_eq!(ranges(&mut queue), [(u32::MAX, 1), (3, 3), (5, 5)]);
    }

    #[test]
    fn p_013_the_last_of_several_states_of_a_delivery_is_written_last() {
        let mut queue = DispositionQueue::new(Role::Receiver);
        queue.push(7, false, Some(Outcome::Accepted.into()));
        queue.push(8, false, Some(Outcome::Released.into()));
        accept(&mut queue, [7, 8]);
        assert_eq!(ranges(&mut queue), [(7, 7), (8, 8), (7, 8)]);
    }

    #[test]
    fn different_states_are_never_merged() {
        let mut queue = DispositionQueue::new(Role::Receiver);
        queue.push(0, true, Some(Outcome::Accepted.into()));
        queue.push(1, true, Some(Outcome::Released.into()));
        queue.push(2, false, Some(Outcome::Released.into()));
        assert_eq!(ranges(&mut queue), [(0, 0), (1, 1), (2, 2)]);
    }
}
