//! Whether to try again, after how long, and what to make anew before.

mod verdict;

use std::time::Duration;

pub(super) use self::verdict::classify;

use self::verdict::of_outcome;
use super::error::{Cause, ErrorKind, EventHubsError};
use crate::backoff::{doubled, spread};
use crate::codec::condition;

/// How often and how patiently failed operations are tried again.
///
/// By default 8 times, after 0.2 s, 0.4 s and so on up to 30 s, each a little more or less by chance: about 50 seconds
/// in all, which outlasts the usual fail-over of the service.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Tries after the first one.
    pub max_retries: u32,
    /// Pause before the first retry; doubled for each further one.
    pub first_delay: Duration,
    /// Longest pause.
    pub max_delay: Duration,
    /// How long one try may take; the answer to a question that is a part of it, such as for a token, half as long.
    pub try_timeout: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_retries: 8,
            first_delay: Duration::from_millis(200),
            max_delay: Duration::from_secs(30),
            try_timeout: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// One try only.
    pub fn never() -> Self {
        Self::default().max_retries(0)
    }

    /// Sets [`max_retries`](Self::max_retries).
    pub fn max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = max_retries;
        self
    }

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

    /// Sets [`try_timeout`](Self::try_timeout).
    pub fn try_timeout(mut self, timeout: Duration) -> Self {
        self.try_timeout = timeout;
        self
    }

    /// The pause before retry number `retry` (from 0): doubled each time, then spread from 80 % to 120 % by `random`,
    /// so that clients that failed together do not come back together.
    pub fn delay(&self, retry: u32, random: u64) -> Duration {
        spread(doubled(self.first_delay, retry, self.max_delay), random)
    }
}

/// Whether an operation is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It cannot succeed, or must not be repeated.
    Never,
    /// After the policy's pause, but at least this one, with this made anew before.
    Again {
        rebuild: Rebuild,
        at_least: Duration,
    },
}

/// What is made anew before an operation is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rebuild {
    Nothing,
    /// The authorization: put a token once more. Helps once or not at all.
    Token,
    /// The link, with the session that it has for itself.
    Link,
    Connection,
}

const fn again(rebuild: Rebuild) -> Verdict {
    Verdict::Again {
        rebuild,
        at_least: Duration::ZERO,
    }
}

/// The service means it when it says that it is busy.
const BUSY: Verdict = Verdict::Again {
    rebuild: Rebuild::Nothing,
    at_least: Duration::from_secs(4),
};

/// The tries of one operation, counted.
#[derive(Clone, Debug)]
pub(super) struct Retries {
    policy: RetryPolicy,
    done: u32,
    token_renewed: bool,
    /// Whether an operation whose outcome is unknown may be repeated.
    retry_unknown: bool,
    /// Whether a place is asked for again that the service may still take for used.
    regains_place: bool,
}

impl Retries {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            done: 0,
            token_renewed: false,
            retry_unknown: false,
            regains_place: false,
        }
    }

    pub(super) fn retry_unknown(mut self, allow: bool) -> Self {
        self.retry_unknown = allow;
        self
    }

    /// For a link that takes the place of one that was lost: the service counts that one until it notices, and refuses what
    /// seems to be one too many.
    pub(super) fn regaining_place(mut self) -> Self {
        self.regains_place = true;
        self
    }

    /// The pause before the next try, or `None` if the error stands.
    pub(super) fn next(&mut self, error: &EventHubsError, random: u64) -> Option<Duration> {
        let verdict = match classify(error.cause()) {
            (ErrorKind::OutcomeUnknown, _) if self.retry_unknown => again(Rebuild::Link),
            (ErrorKind::QuotaExceeded, _) if self.regains_place && is_limit(error) => {
                again(Rebuild::Nothing)
            }
            (_, verdict) => verdict,
        };
        let Verdict::Again { rebuild, at_least } = verdict else {
            return None;
        };
        let token = rebuild == Rebuild::Token;
        if self.done >= self.policy.max_retries || (token && self.token_renewed) {
            return None;
        }
        self.token_renewed |= token;
        let pause = self.policy.delay(self.done, random).max(at_least);
        self.done += 1;
        Some(pause)
    }

    /// Something went well: failures to come are counted anew.
    pub(super) fn reset(&mut self) {
        self.done = 0;
        self.token_renewed = false;
    }
}

/// Whether the service says that a limit of its own is reached.
fn is_limit(error: &EventHubsError) -> bool {
    error.condition() == Some(condition::RESOURCE_LIMIT_EXCEEDED.as_str())
}

/// Whether a link on which a send failed so can carry the next one.
pub(super) fn spares_link(cause: &Cause) -> bool {
    let verdict = match cause {
        // Also one that leaves open what became of the events was given by a link that works.
        Cause::NotAccepted(outcome) => of_outcome(outcome).1,
        _ => classify(cause).1,
    };
    match verdict {
        Verdict::Again { rebuild, .. } => rebuild == Rebuild::Nothing,
        Verdict::Never => !matches!(cause, Cause::OutcomeTimeout(_)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{AmqpError, Outcome, Rejected, Symbol, condition as amqp};
    use crate::eventhubs::wire::condition as eventhubs;
    use crate::{LinkError, SendError};

    fn rejected(condition: Symbol) -> Cause {
        let error = Some(Box::new(AmqpError::new(condition, "said the service")));
        Cause::NotAccepted(Outcome::Rejected(Rejected { error }))
    }

    #[test]
    fn tries_are_counted_until_something_goes_well() {
        let busy = EventHubsError::new("send", rejected(eventhubs::SERVER_BUSY));
        let mut retries = Retries::new(RetryPolicy::default().max_retries(2));
        assert_eq!(retries.next(&busy, 0), Some(Duration::from_secs(4)));
        assert!(retries.next(&busy, 0).is_some());
        assert_eq!(retries.next(&busy, 0), None);
        retries.reset();
        assert!(retries.next(&busy, 0).is_some());
    }

    #[test]
    fn a_refused_token_is_put_anew_once() {
        let refused = EventHubsError::new("send", rejected(amqp::UNAUTHORIZED_ACCESS));
        let mut retries = Retries::new(RetryPolicy::default());
        assert!(retries.next(&refused, 0).is_some());
        assert_eq!(retries.next(&refused, 0), None);
    }

    #[test]
    fn an_unknown_outcome_is_repeated_only_where_that_was_allowed() {
        let cause = Cause::OutcomeTimeout(Duration::from_secs(60));
        let unknown = EventHubsError::new("send", cause);
        let mut retries = Retries::new(RetryPolicy::default());
        assert_eq!(retries.next(&unknown, 0), None);
        let mut retries = retries.retry_unknown(true);
        assert!(retries.next(&unknown, 0).is_some());
    }

    #[test]
    fn a_place_that_was_lost_is_asked_for_again_though_all_seem_to_be_taken() {
        let full = AmqpError::new(amqp::RESOURCE_LIMIT_EXCEEDED, "said the service");
        let refused = Cause::Link(LinkError::Refused(Some(full)));
        let refused = EventHubsError::new("attach", refused);
        let mut retries = Retries::new(RetryPolicy::default().max_retries(1));
        assert_eq!(retries.next(&refused, 0), None);
        let mut retries = retries.regaining_place();
        assert!(retries.next(&refused, 0).is_some());
        assert_eq!(retries.next(&refused, 0), None, "within the policy");
    }

    #[test]
    fn a_link_is_spared_by_what_concerns_one_message_only() {
        let limit = Duration::from_secs(60);
        let large = SendError::MessageTooLarge { size: 2, limit: 1 };
        assert!(spares_link(&Cause::Send(large)));
        assert!(spares_link(&rejected(eventhubs::ARGUMENT_ERROR)));
        assert!(spares_link(&rejected(eventhubs::SERVER_BUSY)));
        assert!(spares_link(&rejected(eventhubs::TIMEOUT)));
        assert!(!spares_link(&rejected(amqp::INTERNAL_ERROR)));
        assert!(!spares_link(&rejected(amqp::UNAUTHORIZED_ACCESS)));
        assert!(!spares_link(&Cause::Timeout(limit)));
        assert!(!spares_link(&Cause::OutcomeTimeout(limit)));
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_spread() {
        let policy = RetryPolicy::default();
        let exact = |retry| policy.delay(retry, 512);
        assert_eq!(exact(0), Duration::from_millis(200));
        assert_eq!(exact(3), Duration::from_millis(1600));
        assert_eq!(exact(20), Duration::from_secs(30));
        assert_eq!(exact(u32::MAX), Duration::from_secs(30));
        for random in 0..2000 {
            let delay = policy.delay(0, random).as_secs_f64();
            assert!((0.16..0.24).contains(&delay), "{delay}");
        }
    }
}
