//! A small seeded generator, so that a failing run is replayed by its number; or a list of choices, where a fuzzer makes them.

use bytes::{Buf, Bytes};

/// Splitmix64: good enough to choose operations, and one line long. Choices that were made beforehand come first.
pub(super) struct Random {
    seed: u64,
    choices: Bytes,
}

impl Random {
    #[cfg(test)]
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            choices: Bytes::new(),
        }
    }

    /// An octet a choice, two where one is too small; when they are used up, a fixed seed goes on.
    #[cfg(fuzzing)]
    pub(super) fn of_choices(choices: &[u8]) -> Self {
        Self {
            seed: 0,
            choices: Bytes::copy_from_slice(choices),
        }
    }

    /// Whether choices are left that were made beforehand.
    #[cfg(fuzzing)]
    pub(super) fn has_choices(&self) -> bool {
        !self.choices.is_empty()
    }

    fn next(&mut self, bound: usize) -> u64 {
        match self.choices.len() {
            1.. if bound <= 256 => return self.choices.get_u8().into(),
            2.. => return self.choices.get_u16().into(),
            _ => {}
        }
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if there is none.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        match bound {
            0 => 0,
            bound => (self.next(bound) % bound as u64) as usize,
        }
    }

    /// True in `percent` of a hundred cases.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// The position of one of `count` entries, if there are any.
    pub(super) fn position(&mut self, count: usize) -> Option<usize> {
        (count > 0).then(|| self.below(count))
    }
}
