//! Chance that can be repeated.

use std::sync::atomic::{AtomicU64, Ordering};

/// The splitmix64 generator: good enough to spread pauses, and shared without a lock.
pub(crate) struct Random(AtomicU64);

impl Random {
    /// The same seed gives the same numbers; without one they are new each time.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        let seed = seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
        Self(AtomicU64::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        mixed(self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
    }
}

/// How far a state of splitmix64 is from the next.
pub(crate) const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The number that a state of splitmix64 gives.
pub(crate) fn mixed(state: u64) -> u64 {
    let once = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let twice = (once ^ (once >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    twice ^ (twice >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_numbers_of_the_published_generator() {
        let random = Random::new(Some(1_234_567));
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }
}
