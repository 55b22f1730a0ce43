//! What kind of failure something is, and whether to try again: one pure function over all causes.

use super::{BUSY, Rebuild, Verdict, again};
use crate::codec::{AmqpError, Outcome, Symbol, condition as amqp};
use crate::eventhubs::error::{Cause, ErrorKind};
use crate::eventhubs::wire::condition as eventhubs;
use crate::eventhubs::wire::status;
use crate::request::{RequestError, Status};
use crate::{ConnectError, ConnectionError, LinkError, SendError, SessionError};

/// What kind of failure this is, and whether to try again.
pub(in crate::eventhubs) fn classify(cause: &Cause) -> (ErrorKind, Verdict) {
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
        Cause::NotAccepted(outcome) if is_doubtful(outcome) => {
            (ErrorKind::OutcomeUnknown, Verdict::Never)
        }
        Cause::NotAccepted(outcome) => of_outcome(outcome),
        Cause::Timeout(_) => (ErrorKind::Timeout, again(Rebuild::Link)),
        Cause::OutcomeTimeout(_) => (ErrorKind::OutcomeUnknown, Verdict::Never),
        Cause::Malformed(_) => (ErrorKind::Malformed, Verdict::Never),
        Cause::Closed(_) => (ErrorKind::Closed, Verdict::Never),
        Cause::AfterUnknown(_) => (ErrorKind::OutcomeUnknown, Verdict::Never),
        Cause::Unresolved(_) => (ErrorKind::Unavailable, again(Rebuild::Nothing)),
        Cause::Interrupted(_) => (ErrorKind::Unavailable, again(Rebuild::Nothing)),
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
        LinkError::Timeout { .. } => (ErrorKind::Timeout, again(Rebuild::Connection)),
        LinkError::TooManyLinks { .. } => (ErrorKind::QuotaExceeded, Verdict::Never),
        _ => (ErrorKind::InvalidArgument, Verdict::Never),
    }
}

fn of_session(error: &SessionError) -> (ErrorKind, Verdict) {
    match error {
        SessionError::Connection(error) => of_connection(error),
        SessionError::RemoteEnded(Some(remote)) => at_least(Rebuild::Link, of_remote(remote)),
        SessionError::Timeout { .. } => (ErrorKind::Timeout, again(Rebuild::Connection)),
        SessionError::TooManySessions { .. } => (ErrorKind::QuotaExceeded, Verdict::Never),
        SessionError::FrameTooLarge { .. } => (ErrorKind::InvalidArgument, Verdict::Never),
        _ => (ErrorKind::Unavailable, again(Rebuild::Link)),
    }
}

fn of_connection(error: &ConnectionError) -> (ErrorKind, Verdict) {
    match error {
        // So most peers end a connection that was silent for too long (C-014).
        ConnectionError::RemoteClosed(Some(remote))
            if remote.condition == amqp::RESOURCE_LIMIT_EXCEEDED =>
        {
            (ErrorKind::Unavailable, again(Rebuild::Connection))
        }
        ConnectionError::RemoteClosed(Some(remote)) => {
            at_least(Rebuild::Connection, of_remote(remote))
        }
        ConnectionError::OpenTooLarge { .. } => (ErrorKind::InvalidArgument, Verdict::Never),
        ConnectionError::Timeout { .. } => (ErrorKind::Timeout, again(Rebuild::Connection)),
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
        RequestError::Timeout(_) => (ErrorKind::Timeout, again(Rebuild::Connection)),
        RequestError::Refused(status) => of_status(status),
        RequestError::Malformed(_) => (ErrorKind::Malformed, Verdict::Never),
    }
}

/// Whether events with this outcome may be stored all the same: the service gave up on them, or failed, and nothing says
/// how far it had come.
fn is_doubtful(outcome: &Outcome) -> bool {
    let Outcome::Rejected(rejected) = outcome else {
        return false;
    };
    rejected.error.as_ref().is_some_and(|error| {
        [
            eventhubs::TIMEOUT,
            eventhubs::OPERATION_CANCELLED,
            amqp::INTERNAL_ERROR,
        ]
        .contains(&error.condition)
    })
}

pub(super) fn of_outcome(outcome: &Outcome) -> (ErrorKind, Verdict) {
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
        status::TIMEOUT | status::GATEWAY_TIMEOUT => (ErrorKind::Timeout, again(Rebuild::Nothing)),
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
        (eventhubs::TIMEOUT, Timeout, again(Nothing)),
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

    /// What the service's documentation and its clients say of each condition: one row each.
    #[test]
    fn every_condition_of_the_service_has_its_row() {
        use ErrorKind::*;
        use Rebuild::*;
        let table = [
            ("amqp:link:stolen", OwnershipLost, None),
            ("amqp:link:detach-forced", Unavailable, Some(Link)),
            ("amqp:connection:forced", Unavailable, Some(Connection)),
            (
                "com.microsoft:container-close",
                Unavailable,
                Some(Connection),
            ),
            ("com.microsoft:server-busy", Busy, Some(Nothing)),
            ("com.microsoft:timeout", Timeout, Some(Nothing)),
            (
                "com.microsoft:operation-cancelled",
                Unavailable,
                Some(Nothing),
            ),
            ("amqp:internal-error", Unavailable, Some(Link)),
            ("amqp:resource-limit-exceeded", QuotaExceeded, None),
            ("com.microsoft:argument-error", InvalidArgument, None),
            ("com.microsoft:argument-out-of-range", InvalidArgument, None),
            (
                "com.microsoft:georeplication:invalid-offset",
                InvalidArgument,
                None,
            ),
            ("com.microsoft:entity-disabled", Disabled, None),
            ("com.microsoft:entity-updated", Unavailable, Some(Link)),
            ("com.microsoft:entity-already-exists", Refused, None),
            ("com.microsoft:precondition-failed", Refused, None),
            ("com.microsoft:partition-not-owned", OwnershipLost, None),
            ("com.microsoft:auth-failed", Unauthorized, Some(Token)),
            ("amqp:unauthorized-access", Unauthorized, Some(Token)),
            ("amqp:link:message-size-exceeded", TooLarge, None),
            ("amqp:link:transfer-limit-exceeded", Unavailable, Some(Link)),
            ("amqp:not-allowed", Refused, None),
            ("amqp:illegal-state", Refused, None),
            ("amqp:invalid-field", InvalidArgument, None),
            ("amqp:not-implemented", Refused, None),
            ("amqp:decode-error", Refused, None),
            ("com.microsoft:publisher-revoked", Unauthorized, None),
            ("com.microsoft:producer-epoch-stolen", OwnershipLost, None),
            ("com.microsoft:out-of-order-sequence", OutOfOrder, None),
            // What the standard has beside.
            (
                "amqp:connection:framing-error",
                Unavailable,
                Some(Connection),
            ),
            ("amqp:session:window-violation", Unavailable, Some(Link)),
            ("amqp:session:errant-link", Unavailable, Some(Link)),
            ("amqp:session:handle-in-use", Unavailable, Some(Link)),
            ("amqp:session:unattached-handle", Unavailable, Some(Link)),
            ("amqp:precondition-failed", Refused, None),
            ("amqp:resource-deleted", NotFound, None),
            ("com.example:nobody-knows", Refused, Some(Link)),
        ];
        for (condition, kind, scope) in table {
            let condition = Symbol::from_static(condition);
            // Of a request, which may be repeated.
            let error = Some(Box::new(remote(condition.clone())));
            let outcome = Outcome::Rejected(Rejected { error });
            let cause = Cause::Request(RequestError::NotAccepted(outcome));
            assert_eq!(
                (classify(&cause).0, rebuild(&cause)),
                (kind, scope),
                "{condition}"
            );
            // What ended a link, a session or a connection needs a new one at least; a refused token a new token.
            let at_least = |dead| {
                scope.map(|scope| {
                    if scope == Token {
                        Token
                    } else {
                        scope.max(dead)
                    }
                })
            };
            let remote = Some(remote(condition.clone()));
            let session = LinkError::from(SessionError::RemoteEnded(remote.clone()));
            let connection = Cause::Link(ConnectionError::RemoteClosed(remote.clone()).into());
            let of_connection = match condition == amqp::RESOURCE_LIMIT_EXCEEDED {
                true => (Unavailable, Some(Connection)),
                false => (kind, at_least(Connection)),
            };
            assert_eq!(
                (classify(&connection).0, rebuild(&connection)),
                of_connection,
                "{condition}"
            );
            for cause in [
                detached(condition.clone()),
                Cause::Link(LinkError::Refused(remote)),
                Cause::Link(session),
            ] {
                let of_link = (kind, at_least(Link));
                assert_eq!(
                    (classify(&cause).0, rebuild(&cause)),
                    of_link,
                    "{condition}"
                );
            }
        }
        for (known, ..) in &CONDITIONS {
            assert!(
                table.iter().any(|(condition, ..)| *known == **condition)
                    || *known == amqp::NOT_FOUND,
                "{known} has no row"
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
            (408, Timeout, true),
            (410, OwnershipLost, false),
            (429, Busy, true),
            (500, Unavailable, true),
            (501, Refused, false),
            (502, Unavailable, true),
            (503, Busy, true),
            (504, Timeout, true),
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
    fn what_the_service_gave_up_on_may_be_stored() {
        for condition in [
            eventhubs::TIMEOUT,
            eventhubs::OPERATION_CANCELLED,
            amqp::INTERNAL_ERROR,
        ] {
            let expected = (ErrorKind::OutcomeUnknown, Verdict::Never);
            assert_eq!(classify(&rejected(condition)), expected);
        }
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
}
