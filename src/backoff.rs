//! Pauses between tries.

use std::time::Duration;

/// `first`, doubled `times` times, but at most `longest`.
pub(crate) fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    let factor = 1_u32.checked_shl(times).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

/// From 80 % to 120 % of a pause, by `random`, so that those who failed together do not come back together.
pub(crate) fn spread(pause: Duration, random: u64) -> Duration {
    pause.mul_f64(0.8 + 0.4 * (random % 1024) as f64 / 1024.0)
}
