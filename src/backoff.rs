//! Pauses between tries.

use std::time::Duration;

/// `first`, doubled `times` times, but at most `longest`.
pub(crate) fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    let factor = 1_u32.checked_shl(times).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

/// From 80 % to 120 % of a pause, by `random`, so that those who failed together do not come back together.
pub(crate) fn spread(pause: Duration, random: u64) -> Duration {
    let factor = 0.8 + 0.4 * (random % 1024) as f64 / 1024.0;
    Duration::try_from_secs_f64(pause.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_spread_by_a_fifth() {
        let pause = Duration::from_secs(10);
        assert_eq!(spread(pause, 0), Duration::from_secs(8));
        assert_eq!(spread(pause, 512), pause);
        assert!(spread(pause, 1023) < Duration::from_secs(12));
    }

    #[test]
    fn the_longest_pause_stays_the_longest() {
        assert_eq!(spread(Duration::MAX, 1023), Duration::MAX);
    }
}
