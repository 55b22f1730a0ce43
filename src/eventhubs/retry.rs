//! Whether to try again, after how long, and what to make anew before: one pure function over all errors.

use std::time::Duration;

use super::error::{Cause, ErrorKind, EventHubsError};
use super::wire::condition as eventhubs;
use super::wire::status;
use crate::codec::{AmqpError, Outcome, Symbol, condition as amqp};
use crate::request::{RequestError, Status};
use crate::{ConnectError, ConnectionError, LinkError, SendError, SessionError};

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
    /// How long one try may take.
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
        let factor = 1_u32.checked_shl(retry).unwrap_or(u32::MAX);
        let delay = self.first_delay.saturating_mul(factor).min(self.max_delay);
        let spread = 0.8 + 0.4 * (random % 1024) as f64 / 1024.0;
        delay.mul_f64(spread)
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
    repeat_unknown: bool,
}

impl Retries {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            done: 0,
            token_renewed: false,
            repeat_unknown: false,
        }
    }

    pub(super) fn repeat_unknown(mut self, allow: bool) -> Self {
        self.repeat_unknown = allow;
        self
    }

    /// The pause before the next try, or `None` if the error stands.
    pub(super) fn next(&mut self, error: &EventHubsError, random: u64) -> Option<Duration> {
        let verdict = match classify(error.cause()) {
            (ErrorKind::OutcomeUnknown, _) if self.repeat_unknown => again(Rebuild::Link),
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

/// What kind of failure this is, and whether to try again.
pub(super) fn classify(cause: &Cause) -> (ErrorKind, Verdict) {
    match cause {
        Cause::ConnectionString(_) | Cause::InvalidArgument(_) => {
            (ErrorKind::InvalidArgument, Verdict::Never)
        }
        Cause::Token(error) if error.is_retryable() => {
            (ErrorKind::Unavailable, again(Rebuild::Nothing))
        }
        Cause::Token(_) => (ErrorKind::Unauthorized, Verdict::Never),
        Cause::Connect(error) => match error.remote_error() {
            Some(remote) => at_least(Rebuild::Connection, of_remote(remote)),
            None if error.is_retryable() => (ErrorKind::Unavailable, again(Rebuild::Connection)),
            None => (connect_kind(error), Verdict::Never),
        },
        Cause::Link(error) => of_link(error),
        Cause::Send(error) => of_send(error),
        Cause::Request(error) => of_request(error),
        Cause::NotAccepted(outcome) => of_outcome(outcome),
        Cause::TimedOut(_) => (ErrorKind::TimedOut, again(Rebuild::Link)),
        Cause::OutcomeTimedOut(_) => (ErrorKind::OutcomeUnknown, Verdict::Never),
        Cause::Malformed(_) => (ErrorKind::Malformed, Verdict::Never),
        Cause::Closed(_) => (ErrorKind::Closed, Verdict::Never),
        Cause::AfterUnknown(_) => (ErrorKind::OutcomeUnknown, Verdict::Never),
        Cause::Unresolved(_) => (ErrorKind::Unavailable, again(Rebuild::Nothing)),
        Cause::BufferFull => (ErrorKind::BufferFull, again(Rebuild::Nothing)),
        Cause::Aborted => (ErrorKind::Aborted, Verdict::Never),
        Cause::NotOffered(_) => (ErrorKind::Unsupported, Verdict::Never),
    }
}

/// Widens what a condition asks to be rebuilt to what is known to be dead.
fn at_least(dead: Rebuild, (kind, verdict): (ErrorKind, Verdict)) -> (ErrorKind, Verdict) {
    let verdict = match verdict {
        // A token that was refused is put anew, and a dead link or connection is noticed without being told.
        Verdict::Again { rebuild, at_least } if rebuild != Rebuild::Token => Verdict::Again {
            rebuild: rebuild.max(dead),
            at_least,
        },
        other => other,
    };
    (kind, verdict)
}

/// Whether a link on which a send failed so can carry the next one.
pub(super) fn spares_link(cause: &Cause) -> bool {
    match classify(cause).1 {
        Verdict::Again { rebuild, .. } => rebuild == Rebuild::Nothing,
        Verdict::Never => !matches!(cause, Cause::OutcomeTimedOut(_)),
    }
}

fn connect_kind(error: &ConnectError) -> ErrorKind {
    match error {
        ConnectError::Url(_) => ErrorKind::InvalidArgument,
        ConnectError::Sasl(_) => ErrorKind::Unauthorized,
        _ => ErrorKind::Refused,
    }
}

fn of_link(error: &LinkError) -> (ErrorKind, Verdict) {
    match error {
        LinkError::Session(SessionError::Connection(error)) => of_connection(error),
        LinkError::Session(error) => of_session(error),
        LinkError::Refused(Some(remote))
        | LinkError::RemoteDetached {
            error: Some(remote),
            ..
        } => at_least(Rebuild::Link, of_remote(remote)),
        LinkError::Refused(None)
        | LinkError::RemoteDetached { error: None, .. }
        | LinkError::LocalDetached
        | LinkError::Violation(_)
        | LinkError::NameInUse => (ErrorKind::Unavailable, again(Rebuild::Link)),
        // A peer that does not answer an attach is not there any more.
        LinkError::Timeout { .. } => (ErrorKind::TimedOut, again(Rebuild::Connection)),
        LinkError::TooManyLinks { .. } => (ErrorKind::QuotaExceeded, Verdict::Never),
        _ => (ErrorKind::InvalidArgument, Verdict::Never),
    }
}

fn of_session(error: &SessionError) -> (ErrorKind, Verdict) {
    match error {
        SessionError::Connection(error) => of_connection(error),
        SessionError::RemoteEnded(Some(remote)) => at_least(Rebuild::Link, of_remote(remote)),
        SessionError::Timeout { .. } => (ErrorKind::TimedOut, again(Rebuild::Connection)),
        SessionError::TooManySessions { .. } => (ErrorKind::QuotaExceeded, Verdict::Never),
        SessionError::FrameTooLarge { .. } => (ErrorKind::InvalidArgument, Verdict::Never),
        _ => (ErrorKind::Unavailable, again(Rebuild::Link)),
    }
}

fn of_connection(error: &ConnectionError) -> (ErrorKind, Verdict) {
    match error {
        ConnectionError::RemoteClosed(Some(remote)) => {
            at_least(Rebuild::Connection, of_remote(remote))
        }
        ConnectionError::OpenTooLarge { .. } => (ErrorKind::InvalidArgument, Verdict::Never),
        ConnectionError::Timeout { .. } => (ErrorKind::TimedOut, again(Rebuild::Connection)),
        _ => (ErrorKind::Unavailable, again(Rebuild::Connection)),
    }
}

fn of_send(error: &SendError) -> (ErrorKind, Verdict) {
    match error {
        SendError::NotSent(error) => of_link(error),
        SendError::MessageTooLarge { .. } => (ErrorKind::TooLarge, Verdict::Never),
        SendError::Unknown(_) | SendError::NoOutcome => (ErrorKind::OutcomeUnknown, Verdict::Never),
        _ => (ErrorKind::InvalidArgument, Verdict::Never),
    }
}

/// Every request made here may be repeated, so an unknown outcome is no obstacle.
fn of_request(error: &RequestError) -> (ErrorKind, Verdict) {
    match error {
        RequestError::Link(error) => of_link(error),
        RequestError::Send(SendError::Unknown(error)) => of_link(error),
        RequestError::Send(SendError::NoOutcome) => {
            (ErrorKind::Unavailable, again(Rebuild::Nothing))
        }
        RequestError::Send(error) => of_send(error),
        RequestError::NotAccepted(outcome) => of_outcome(outcome),
        RequestError::TimedOut(_) => (ErrorKind::TimedOut, again(Rebuild::Connection)),
        RequestError::Refused(status) => of_status(status),
        RequestError::Malformed(_) => (ErrorKind::Malformed, Verdict::Never),
    }
}

fn of_outcome(outcome: &Outcome) -> (ErrorKind, Verdict) {
    match outcome {
        Outcome::Rejected(rejected) => match rejected.error.as_deref() {
            Some(error) => of_remote(error),
            None => (ErrorKind::Refused, Verdict::Never),
        },
        Outcome::Modified(modified) if modified.undeliverable_here => {
            (ErrorKind::Refused, Verdict::Never)
        }
        Outcome::Released | Outcome::Modified(_) => {
            (ErrorKind::Unavailable, again(Rebuild::Nothing))
        }
        _ => (ErrorKind::Refused, Verdict::Never),
    }
}

fn of_status(status: &Status) -> (ErrorKind, Verdict) {
    let known = status.condition.as_ref().and_then(|condition| {
        of_condition(condition, status.description.as_deref().unwrap_or_default())
    });
    known.unwrap_or(match status.code {
        status::BAD_REQUEST => (ErrorKind::InvalidArgument, Verdict::Never),
        status::UNAUTHORIZED => (ErrorKind::Unauthorized, again(Rebuild::Token)),
        status::FORBIDDEN => (ErrorKind::Unauthorized, Verdict::Never),
        status::NOT_FOUND => (ErrorKind::NotFound, Verdict::Never),
        status::GONE => (ErrorKind::OwnershipLost, Verdict::Never),
        status::TIMEOUT | status::GATEWAY_TIMEOUT => (ErrorKind::TimedOut, again(Rebuild::Nothing)),
        status::TOO_MANY_REQUESTS | status::SERVICE_UNAVAILABLE => (ErrorKind::Busy, BUSY),
        status::INTERNAL_ERROR | status::BAD_GATEWAY => {
            (ErrorKind::Unavailable, again(Rebuild::Nothing))
        }
        _ => (ErrorKind::Refused, Verdict::Never),
    })
}

fn of_remote(error: &AmqpError) -> (ErrorKind, Verdict) {
    let description = error.description.as_deref().unwrap_or_default();
    // The service may learn new conditions that pass; the policy bounds the tries.
    of_condition(&error.condition, description)
        .unwrap_or((ErrorKind::Refused, again(Rebuild::Link)))
}

fn of_condition(condition: &str, description: &str) -> Option<(ErrorKind, Verdict)> {
    // The service says the same while it moves a hub; only the text tells that there is none.
    if amqp::NOT_FOUND == *condition && !description.contains("messaging entity") {
        return Some((ErrorKind::NotFound, again(Rebuild::Link)));
    }
    let row = CONDITIONS.iter().find(|(known, ..)| *known == *condition);
    row.map(|(_, kind, verdict)| (*kind, *verdict))
}

/// What each condition means, and what to do about it.
static CONDITIONS: [(Symbol, ErrorKind, Verdict); 37] = {
    use ErrorKind::*;
    use Rebuild::*;
    use Verdict::Never;
    [
        (amqp::STOLEN, OwnershipLost, Never),
        (eventhubs::PRODUCER_EPOCH_STOLEN, OwnershipLost, Never),
        (eventhubs::PARTITION_NOT_OWNED, OwnershipLost, Never),
        (eventhubs::SERVER_BUSY, Busy, BUSY),
        (eventhubs::TIMEOUT, TimedOut, again(Nothing)),
        (eventhubs::OPERATION_CANCELLED, Unavailable, again(Nothing)),
        (amqp::INTERNAL_ERROR, Unavailable, again(Link)),
        (amqp::DETACH_FORCED, Unavailable, again(Link)),
        (amqp::TRANSFER_LIMIT_EXCEEDED, Unavailable, again(Link)),
        (amqp::WINDOW_VIOLATION, Unavailable, again(Link)),
        (amqp::ERRANT_LINK, Unavailable, again(Link)),
        (amqp::HANDLE_IN_USE, Unavailable, again(Link)),
        (amqp::UNATTACHED_HANDLE, Unavailable, again(Link)),
        (eventhubs::ENTITY_UPDATED, Unavailable, again(Link)),
        (amqp::CONNECTION_FORCED, Unavailable, again(Connection)),
        (amqp::FRAMING_ERROR, Unavailable, again(Connection)),
        (eventhubs::CONTAINER_CLOSE, Unavailable, again(Connection)),
        (amqp::RESOURCE_LIMIT_EXCEEDED, QuotaExceeded, Never),
        (eventhubs::ARGUMENT_ERROR, InvalidArgument, Never),
        (eventhubs::ARGUMENT_OUT_OF_RANGE, InvalidArgument, Never),
        (eventhubs::INVALID_OFFSET, InvalidArgument, Never),
        (amqp::INVALID_FIELD, InvalidArgument, Never),
        (amqp::UNAUTHORIZED_ACCESS, Unauthorized, again(Token)),
        (eventhubs::AUTH_FAILED, Unauthorized, again(Token)),
        (eventhubs::PUBLISHER_REVOKED, Unauthorized, Never),
        (amqp::MESSAGE_SIZE_EXCEEDED, TooLarge, Never),
        (eventhubs::ENTITY_DISABLED, Disabled, Never),
        (amqp::NOT_FOUND, NotFound, Never),
        (amqp::NOT_ALLOWED, Refused, Never),
        (amqp::ILLEGAL_STATE, Refused, Never),
        (amqp::NOT_IMPLEMENTED, Refused, Never),
        (amqp::DECODE_ERROR, Refused, Never),
        (amqp::PRECONDITION_FAILED, Refused, Never),
        (amqp::RESOURCE_DELETED, NotFound, Never),
        (eventhubs::ENTITY_ALREADY_EXISTS, Refused, Never),
        (eventhubs::PRECONDITION_FAILED, Refused, Never),
        (eventhubs::OUT_OF_ORDER_SEQUENCE, OutOfOrder, Never),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Modified, Rejected};

    fn remote(condition: Symbol) -> AmqpError {
        AmqpError::new(condition, "said the service")
    }

    fn rejected(condition: Symbol) -> Cause {
        let error = Some(Box::new(remote(condition)));
        Cause::NotAccepted(Outcome::Rejected(Rejected { error }))
    }

    fn detached(condition: Symbol) -> Cause {
        Cause::Link(LinkError::RemoteDetached {
            closed: true,
            error: Some(remote(condition)),
        })
    }

    fn rebuild(cause: &Cause) -> Option<Rebuild> {
        match classify(cause).1 {
            Verdict::Never => None,
            Verdict::Again { rebuild, .. } => Some(rebuild),
        }
    }

    #[test]
    fn final_conditions_are_never_retried() {
        for condition in [
            "amqp:link:stolen",
            "com.microsoft:argument-error",
            "com.microsoft:argument-out-of-range",
            "com.microsoft:georeplication:invalid-offset",
            "com.microsoft:entity-disabled",
            "com.microsoft:entity-already-exists",
            "com.microsoft:precondition-failed",
            "com.microsoft:partition-not-owned",
            "amqp:resource-limit-exceeded",
            "amqp:link:message-size-exceeded",
            "amqp:not-allowed",
            "amqp:illegal-state",
            "amqp:invalid-field",
            "amqp:not-implemented",
            "amqp:decode-error",
            "com.microsoft:publisher-revoked",
            "com.microsoft:producer-epoch-stolen",
            "com.microsoft:out-of-order-sequence",
        ] {
            let condition = Symbol::from_static(condition);
            for cause in [rejected(condition.clone()), detached(condition.clone())] {
                assert_eq!(classify(&cause).1, Verdict::Never, "{condition}");
            }
        }
    }

    #[test]
    fn passing_conditions_are_retried_at_their_scope() {
        use Rebuild::*;
        let table = [
            ("amqp:link:detach-forced", Link),
            ("amqp:link:transfer-limit-exceeded", Link),
            ("amqp:internal-error", Link),
            ("amqp:connection:forced", Connection),
            ("amqp:connection:framing-error", Connection),
            ("com.microsoft:container-close", Connection),
            ("com.microsoft:server-busy", Nothing),
            ("com.microsoft:timeout", Nothing),
            ("com.microsoft:operation-cancelled", Nothing),
            ("amqp:unauthorized-access", Token),
            ("com.microsoft:auth-failed", Token),
            ("com.example:nobody-knows", Link),
        ];
        for (condition, expected) in table {
            let condition = Symbol::from_static(condition);
            assert_eq!(
                rebuild(&rejected(condition.clone())),
                Some(expected),
                "{condition}"
            );
            // What ended a link needs at least a new link.
            let expected = if expected == Token {
                Token
            } else {
                expected.max(Link)
            };
            assert_eq!(
                rebuild(&detached(condition.clone())),
                Some(expected),
                "{condition}"
            );
        }
    }

    #[test]
    fn a_busy_service_is_given_time() {
        let (kind, verdict) = classify(&rejected(eventhubs::SERVER_BUSY));
        assert_eq!((kind, verdict), (ErrorKind::Busy, BUSY));
    }

    #[test]
    fn a_missing_hub_is_told_from_one_that_moves() {
        let missing = AmqpError::new(
            amqp::NOT_FOUND,
            "The messaging entity 'sb://ns/nope' could not be found.",
        );
        let refused = Cause::Link(LinkError::Refused(Some(missing)));
        assert_eq!(classify(&refused), (ErrorKind::NotFound, Verdict::Never));
        assert_eq!(rebuild(&detached(amqp::NOT_FOUND)), Some(Rebuild::Link));
    }

    #[test]
    fn status_codes_are_told_apart() {
        use ErrorKind::*;
        let table = [
            (400, InvalidArgument, false),
            (401, Unauthorized, true),
            (403, Unauthorized, false),
            (404, NotFound, false),
            (408, TimedOut, true),
            (410, OwnershipLost, false),
            (429, Busy, true),
            (500, Unavailable, true),
            (501, Refused, false),
            (502, Unavailable, true),
            (503, Busy, true),
            (504, TimedOut, true),
            (418, Refused, false),
        ];
        for (code, expected, retried) in table {
            let status = Status {
                code,
                description: None,
                condition: None,
            };
            let (kind, verdict) = classify(&Cause::Request(RequestError::Refused(status)));
            assert_eq!(
                (kind, verdict != Verdict::Never),
                (expected, retried),
                "{code}"
            );
        }
    }

    #[test]
    fn a_condition_in_a_reply_says_more_than_its_code() {
        let status = Status {
            code: 400,
            description: None,
            condition: Some(eventhubs::SERVER_BUSY),
        };
        let (kind, _) = classify(&Cause::Request(RequestError::Refused(status)));
        assert_eq!(kind, ErrorKind::Busy);
    }

    #[test]
    fn an_unknown_outcome_is_never_repeated_but_by_requests() {
        let lost = LinkError::from(ConnectionError::RemoteClosed(None));
        let unknown = SendError::Unknown(lost.clone());
        let send = Cause::Send(unknown.clone());
        assert_eq!(classify(&send), (ErrorKind::OutcomeUnknown, Verdict::Never));
        assert_eq!(
            rebuild(&Cause::Send(SendError::NotSent(lost))),
            Some(Rebuild::Connection)
        );
        let request = Cause::Request(RequestError::Send(unknown));
        assert_eq!(rebuild(&request), Some(Rebuild::Connection));
    }

    #[test]
    fn outcomes_other_than_accepted_are_told_apart() {
        let modified = |undeliverable_here| {
            Cause::NotAccepted(Outcome::Modified(Modified {
                undeliverable_here,
                ..Modified::default()
            }))
        };
        assert_eq!(
            rebuild(&Cause::NotAccepted(Outcome::Released)),
            Some(Rebuild::Nothing)
        );
        assert_eq!(rebuild(&modified(false)), Some(Rebuild::Nothing));
        assert_eq!(rebuild(&modified(true)), None);
        let plain = Cause::NotAccepted(Outcome::Rejected(Rejected { error: None }));
        assert_eq!(rebuild(&plain), None);
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
        let cause = Cause::OutcomeTimedOut(Duration::from_secs(60));
        let unknown = EventHubsError::new("send", cause);
        let mut retries = Retries::new(RetryPolicy::default());
        assert_eq!(retries.next(&unknown, 0), None);
        let mut retries = retries.repeat_unknown(true);
        assert!(retries.next(&unknown, 0).is_some());
    }

    #[test]
    fn a_link_is_spared_by_what_concerns_one_message_only() {
        let limit = Duration::from_secs(60);
        let large = SendError::MessageTooLarge { size: 2, limit: 1 };
        assert!(spares_link(&Cause::Send(large)));
        assert!(spares_link(&rejected(eventhubs::ARGUMENT_ERROR)));
        assert!(spares_link(&rejected(eventhubs::SERVER_BUSY)));
        assert!(!spares_link(&rejected(amqp::UNAUTHORIZED_ACCESS)));
        assert!(!spares_link(&Cause::TimedOut(limit)));
        assert!(!spares_link(&Cause::OutcomeTimedOut(limit)));
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
