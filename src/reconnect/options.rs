//! How persistently a connection comes back.

use std::time::Duration;

use crate::backoff::{doubled, spread};

/// Options of a [`ReconnectingConnection`](super::ReconnectingConnection).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReconnectOptions {
    /// Pause before the first new attempt, after one that failed or a link that was lost; doubled for each further one. Default
    /// 0.2 s.
    pub first_delay: Duration,
    /// Longest pause. Default 30 s. An attempt counts as failed, too, if its link brings neither an outcome nor a delivery and
    /// ends before this time.
    pub max_delay: Duration,
    /// New attempts after which waiting operations fail; the next operation begins anew. `None`: they wait for as long as it
    /// takes. Default 10, which is about two minutes.
    pub max_attempts: Option<u32>,
    /// How long one attempt to connect may take, whoever makes it. Default 60 s.
    pub attempt_timeout: Duration,
    /// Whether a message is sent again whose outcome was lost: at least once instead of at most once. Default `true`.
    pub retry_unknown: bool,
    /// The seed of the chance in pauses, for runs that can be repeated. Default `None`: a random one.
    pub seed: Option<u64>,
}

impl Default for ReconnectOptions {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(200),
            max_delay: Duration::from_secs(30),
            max_attempts: Some(10),
            attempt_timeout: Duration::from_secs(60),
            retry_unknown: true,
            seed: None,
        }
    }
}

impl ReconnectOptions {
    /// Sets [`first_delay`](Self::first_delay).
    pub fn first_delay(mut self, delay: Duration) -> Self {
        self.first_delay = delay;
        self
    }

    /// Sets [`max_delay`](Self::max_delay).
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Sets [`max_attempts`](Self::max_attempts).
    pub fn max_attempts(mut self, attempts: impl Into<Option<u32>>) -> Self {
        self.max_attempts = attempts.into();
        self
    }

    /// Sets [`attempt_timeout`](Self::attempt_timeout).
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// Sets [`retry_unknown`](Self::retry_unknown).
    pub fn retry_unknown(mut self, retry: bool) -> Self {
        self.retry_unknown = retry;
        self
    }

    /// Sets [`seed`](Self::seed).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The pause before new attempt number `attempt` (from 0), from 80 % to 120 % of its length by `random`; `None` once there
    /// were enough.
    pub(super) fn pause(&self, attempt: u32, random: u64) -> Option<Duration> {
        if self.max_attempts.is_some_and(|most| attempt >= most) {
            return None;
        }
        let pause = doubled(self.first_delay, attempt, self.max_delay);
        Some(spread(pause, random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end() {
        let options = ReconnectOptions::default();
        let exact = |attempt| options.pause(attempt, 512);
        assert_eq!(exact(0), Some(Duration::from_millis(200)));
        assert_eq!(exact(3), Some(Duration::from_millis(1600)));
        assert_eq!(exact(9), Some(Duration::from_secs(30)));
        assert_eq!(exact(10), None);
        let endless = options.max_attempts(None);
        assert_eq!(endless.pause(u32::MAX, 512), Some(Duration::from_secs(30)));
    }
}
