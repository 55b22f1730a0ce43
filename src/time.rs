//! The time of day, and the wire's way to write it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::codec::Timestamp;

/// What tells the time of day: for the ends of tokens, and for when an event was stored. Time that passes is measured by the
/// runtime.
///
/// The default is the system's clock. A test that wants a token to end passes its own:
///
/// ```
/// use amqp10::Clock;
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let clock = Clock::new(|| UNIX_EPOCH + Duration::from_secs(1_700_000_000));
/// assert_eq!(clock.now(), UNIX_EPOCH + Duration::from_secs(1_700_000_000));
/// ```
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// A clock that shows what `now` returns.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// A clock that shows `start` now, and goes as the runtime's time goes: where tests pause that, it stands still and
    /// jumps with it, so that tokens end in virtual time. Give the same one to the client and to the emulator.
    ///
    /// Make it within the runtime, for its time begins when it is made.
    ///
    /// ```
    /// use amqp10::Clock;
    /// use std::time::{Duration, UNIX_EPOCH};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let clock = Clock::simulated(UNIX_EPOCH);
    /// tokio::time::sleep(Duration::from_secs(3600)).await; // takes no time
    /// assert_eq!(clock.now(), UNIX_EPOCH + Duration::from_secs(3600));
    /// # }
    /// ```
    pub fn simulated(start: SystemTime) -> Self {
        let began = Instant::now();
        // Beyond the end of time it stands still.
        Self::new(move || start.checked_add(began.elapsed()).unwrap_or(start))
    }

    /// The time of day.
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl Default for Clock {
    /// The system's clock.
    fn default() -> Self {
        Self::new(SystemTime::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}

/// Whole milliseconds since 1970; times beyond what the wire can hold become its first or last moment.
pub(crate) fn to_timestamp(time: SystemTime) -> Timestamp {
    let millis = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    };
    Timestamp(millis)
}

/// The moment, if the platform's time reaches so far.
pub(crate) fn from_timestamp(timestamp: Timestamp) -> Option<SystemTime> {
    let distance = Duration::from_millis(timestamp.0.unsigned_abs());
    if timestamp.0 < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_before_and_after_1970_survive() {
        for millis in [0, 1, -1, 1_700_000_000_123, -86_400_000] {
            let time = from_timestamp(Timestamp(millis)).unwrap();
            assert_eq!(to_timestamp(time).0, millis);
        }
    }

    #[test]
    fn no_timestamp_of_a_peer_panics() {
        for millis in [i64::MIN, i64::MAX] {
            if let Some(time) = from_timestamp(Timestamp(millis)) {
                to_timestamp(time);
            }
        }
    }
}
