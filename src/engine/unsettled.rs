//! Deliveries by delivery-id: what a disposition over a range must find without a hash map or a walk over the peer's numbers.

use std::collections::VecDeque;

use super::serial;

/// Entries in serial order of their delivery-id. Removed ones leave a gap that is closed when gaps outnumber entries, so
/// that one old unsettled delivery does not hold the memory of all that came after it.
#[derive(Debug)]
pub(crate) struct Unsettled<T> {
    entries: VecDeque<(u32, Option<T>)>,
    live: usize,
}

impl<T> Unsettled<T> {
    pub(crate) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            live: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// The ids of live entries, in order.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn ids(&self) -> Vec<u32> {
        let live = self.entries.iter().filter(|(_, entry)| entry.is_some());
        live.map(|(id, _)| *id).collect()
    }

    /// Adds a delivery; ids are handed in in serial order.
    pub(crate) fn push(&mut self, delivery_id: u32, entry: T) {
        self.entries.push_back((delivery_id, Some(entry)));
        self.live += 1;
    }

    fn position(&self, delivery_id: u32) -> usize {
        let Some(&(first, _)) = self.entries.front() else {
            return 0;
        };
        if serial::is_before(delivery_id, first) {
            return 0;
        }
        // Dense is the usual case: then the distance is the index.
        let guess = delivery_id.wrapping_sub(first) as usize;
        if self
            .entries
            .get(guess)
            .is_some_and(|(id, _)| *id == delivery_id)
        {
            return guess;
        }
        self.entries
            .partition_point(|(id, _)| serial::is_before(*id, delivery_id))
    }

    pub(crate) fn get_mut(&mut self, delivery_id: u32) -> Option<&mut T> {
        let position = self.position(delivery_id);
        let (id, entry) = self.entries.get_mut(position)?;
        if *id == delivery_id {
            entry.as_mut()
        } else {
            None
        }
    }

    pub(crate) fn remove(&mut self, delivery_id: u32) -> Option<T> {
        let position = self.position(delivery_id);
        let (id, entry) = self.entries.get_mut(position)?;
        let removed = if *id == delivery_id {
            entry.take()
        } else {
            None
        }?;
        self.live -= 1;
        self.close_gaps();
        Some(removed)
    }

    /// Visits the live entries of `first..=last`, clamped to what is here: its cost is bounded by our own state (P-004).
    /// An entry for which `keep` answers false is removed.
    pub(crate) fn retain_range(
        &mut self,
        first: u32,
        last: u32,
        mut keep: impl FnMut(u32, &mut T) -> bool,
    ) {
        let mut position = self.position(first);
        while let Some((id, entry)) = self.entries.get_mut(position) {
            if serial::is_before(last, *id) || serial::is_before(*id, first) {
                break;
            }
            if entry.as_mut().is_some_and(|live| !keep(*id, live)) {
                *entry = None;
                self.live -= 1;
            }
            position += 1;
        }
        self.close_gaps();
    }

    /// Visits all live entries and removes those for which `keep` answers false.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(u32, &mut T) -> bool) {
        for (id, entry) in &mut self.entries {
            if entry.as_mut().is_some_and(|live| !keep(*id, live)) {
                *entry = None;
                self.live -= 1;
            }
        }
        self.close_gaps();
    }

    fn close_gaps(&mut self) {
        while matches!(self.entries.front(), Some((_, None))) {
            self.entries.pop_front();
        }
        while matches!(self.entries.back(), Some((_, None))) {
            self.entries.pop_back();
        }
        if self.entries.len() > 64 && self.entries.len() > 2 * self.live {
            self.entries.retain(|(_, entry)| entry.is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(unsettled: &mut Unsettled<u32>, first: u32, last: u32) -> Vec<u32> {
        let mut seen = Vec::new();
        unsettled.retain_range(first, last, |id, _| {
            seen.push(id);
            true
        });
        seen
    }

    fn filled(first: u32, count: u32) -> Unsettled<u32> {
        let mut unsettled = Unsettled::new();
        for n in 0..count {
            unsettled.push(first.wrapping_add(n), n);
        }
        unsettled
    }

    #[test]
    fn p_002_a_range_crosses_the_wrap() {
        let mut unsettled = filled(u32::MAX - 1, 4);
        assert_eq!(ids(&mut unsettled, u32::MAX, 0), [u32::MAX, 0]);
    }

    #[test]
    fn p_003_unknown_ids_in_a_range_are_skipped() {
        let mut unsettled = filled(10, 5);
        assert_eq!(unsettled.remove(12), Some(2));
        assert_eq!(ids(&mut unsettled, 0, 100), [10, 11, 13, 14]);
    }

    #[test]
    fn p_004_the_whole_number_range_costs_what_is_outstanding() {
        let mut unsettled = filled(5, 3);
        unsettled.retain_range(5, 5u32.wrapping_add(0x7fff_ffff), |_, _| false);
        assert_eq!(unsettled.len(), 0);
        assert!(unsettled.entries.is_empty());
    }

    #[test]
    fn one_old_delivery_does_not_pin_the_rest() {
        let mut unsettled = filled(0, 10_000);
        for id in 1..10_000 {
            assert!(unsettled.remove(id).is_some());
        }
        assert!(unsettled.entries.len() <= 64, "{}", unsettled.entries.len());
        assert_eq!(unsettled.remove(0), Some(0));
    }

    #[test]
    fn sparse_ids_are_found() {
        let mut unsettled = Unsettled::new();
        for id in [3, 9, 27, 81] {
            unsettled.push(id, id);
        }
        assert_eq!(unsettled.get_mut(27), Some(&mut 27));
        assert_eq!(unsettled.get_mut(28), None);
        assert_eq!(ids(&mut unsettled, 4, 30), [9, 27]);
    }
}
