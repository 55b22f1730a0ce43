//! How much may be published now (Event Hubs: throughput units).

use tokio::time::Instant;

use super::config::Throughput;
use crate::codec::AmqpError;
use crate::eventhubs::wire::condition;

/// What is left of a second's events and octets. What goes beyond it is owed, so that no batch is too large for ever.
#[derive(Debug)]
pub(crate) struct Allowance {
    limit: Throughput,
    events: f64,
    bytes: f64,
    at: Instant,
}

impl Allowance {
    pub(crate) fn new(limit: Throughput, now: Instant) -> Allowance {
        Allowance {
            limit,
            events: limit.events as f64,
            bytes: limit.bytes as f64,
            at: now,
        }
    }

    /// Takes a publication off what is left, or says that the service is busy.
    pub(crate) fn take(
        &mut self,
        events: usize,
        bytes: usize,
        now: Instant,
    ) -> Result<(), AmqpError> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        let refill = |left: f64, limit: u64| (left + limit as f64 * passed).min(limit as f64);
        self.events = refill(self.events, self.limit.events);
        self.bytes = refill(self.bytes, self.limit.bytes);
        if self.events <= 0.0 || self.bytes <= 0.0 {
            let text = "The request was terminated because the namespace is being throttled. Wait 4 seconds and try again.";
            return Err(AmqpError::new(condition::SERVER_BUSY, text));
        }
        self.events -= events as f64;
        self.bytes -= bytes as f64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_beyond_the_limit_is_refused_until_time_has_passed() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut allowance = Allowance::new(Throughput::default().events(10), start);
        assert!(allowance.take(10, 1, at(0)).is_ok());
        assert!(allowance.take(1, 1, at(0)).is_err());
        assert!(
            allowance.take(1, 1, at(50)).is_ok(),
            "half an event is something"
        );
        assert!(allowance.take(1, 1, at(50)).is_err());
        // A batch of three seconds' worth passes, and is paid for.
        assert!(allowance.take(30, 1, at(10_000)).is_ok());
        assert!(allowance.take(1, 1, at(11_900)).is_err());
        assert!(allowance.take(1, 1, at(12_100)).is_ok());
    }

    #[test]
    fn octets_count_as_events_do() {
        let now = Instant::now();
        let mut allowance = Allowance::new(Throughput::default().bytes(100), now);
        assert!(allowance.take(1, 100, now).is_ok());
        assert!(allowance.take(1, 1, now).is_err());
    }
}
