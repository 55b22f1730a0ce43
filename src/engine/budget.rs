//! How many octets may wait on a link, as a number of deliveries: credit counts deliveries, memory does not.

/// What a delivery is taken to weigh before one has come: a frame of the usual size.
const WEIGHT_OF_THE_UNKNOWN: usize = 64 * 1024;

/// A limit in octets on what waits to be taken, and what is known of the size of deliveries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    limit: Option<usize>,
    queued: usize,
    /// Of the last deliveries, later ones counting more.
    average: usize,
}

impl Budget {
    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self {
            limit,
            queued: 0,
            average: WEIGHT_OF_THE_UNKNOWN,
        }
    }

    /// A delivery came.
    pub(crate) fn on_queued(&mut self, weight: usize) {
        self.queued += weight;
        // The first one tells more than nothing does.
        self.average = match self.average == WEIGHT_OF_THE_UNKNOWN {
            true => weight,
            false => (self.average - self.average / 8 + weight / 8).max(1),
        };
    }

    /// A delivery was taken.
    pub(crate) fn on_taken(&mut self, weight: usize) {
        self.queued = self.queued.saturating_sub(weight);
    }

    /// Nothing is queued any more.
    pub(crate) fn clear(&mut self) {
        self.queued = 0;
    }

    /// Octets of what is queued.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Deliveries that may be on their way; one at least if nothing is queued.
    pub(crate) fn room(&self) -> u32 {
        let Some(limit) = self.limit else {
            return u32::MAX;
        };
        let room = limit.saturating_sub(self.queued) / self.average.max(1);
        u32::try_from(room)
            .unwrap_or(u32::MAX)
            .max((self.queued == 0).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_what_is_left_in_deliveries_of_the_size_that_came() {
        let mut budget = Budget::new(Some(1 << 20));
        assert_eq!(budget.room(), 16, "before anything is known");
        budget.on_queued(1024);
        assert_eq!(budget.room(), 1023);
        for _ in 0..50 {
            budget.on_queued(8192);
        }
        assert_eq!(budget.queued(), 1024 + 50 * 8192);
        assert!((77..90).contains(&budget.room()), "{budget:?}");
        for _ in 0..50 {
            budget.on_taken(8192);
        }
        assert!((127..140).contains(&budget.room()), "{budget:?}");
    }

    #[test]
    fn one_delivery_has_always_room_on_an_empty_link() {
        let mut budget = Budget::new(Some(10));
        assert_eq!(budget.room(), 1);
        budget.on_queued(1000);
        assert_eq!(budget.room(), 0);
        budget.on_taken(1000);
        assert_eq!(budget.room(), 1);
    }

    #[test]
    fn without_a_limit_there_is_always_room() {
        let mut budget = Budget::new(None);
        budget.on_queued(usize::MAX / 2);
        assert_eq!(budget.room(), u32::MAX);
    }
}
