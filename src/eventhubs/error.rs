//! What can go wrong at Event Hubs: one error type that says what was tried, what happened, and whether to try again.

use std::fmt;
use std::time::Duration;

use super::auth::TokenError;
use super::connection_string::ConnectionStringError;
use super::retry::{Rebuild, Verdict, classify};
use crate::codec::{AmqpError, Outcome};
use crate::request::{RequestError, Status};
use crate::single_flight::Interrupted;
use crate::{ConnectError, LinkError, RecvError, SendError, SessionError};

/// Why an operation on Event Hubs failed.
///
/// [`kind`](Self::kind) is what programs decide by; the text says what was tried, what happened, and gives the service's
/// condition and description where it sent them. It holds no key, token or payload.
#[derive(Clone, Debug)]
pub struct EventHubsError {
    attempt: String,
    cause: Box<Cause>,
}

/// The kinds of errors, by what a program can do about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller asked for what cannot be: a bad connection string, partition, offset or partition key.
    InvalidArgument,
    /// The service does not take the token or the signature, or it does not allow this.
    Unauthorized,
    /// There is no such host, hub, consumer group or publisher.
    NotFound,
    /// The hub is switched off.
    Disabled,
    /// Another consumer with the same or a higher owner level has taken the partition, or another producer the
    /// identity. Never retried: whoever took it would lose it again.
    OwnershipLost,
    /// The event or the batch is larger than the service takes.
    TooLarge,
    /// A quota is used up: too many receivers, links or sessions.
    QuotaExceeded,
    /// The service is busy; it asks to wait.
    Busy,
    /// No answer came in time. For a send: nothing was stored.
    Timeout,
    /// The connection or the link was lost or cannot be made at the moment. For a send: nothing was stored.
    Unavailable,
    /// The events were sent, and whether they are stored is not known: no outcome came, or the service said that it gave up on
    /// them. Sending them again may store them twice.
    OutcomeUnknown,
    /// The numbers of an idempotent producer do not follow on those that the service has: events between are missing, or
    /// others have published in its name.
    OutOfOrder,
    /// The buffer of a buffered producer has no room at the moment.
    BufferFull,
    /// The buffered producer was aborted, or dropped without being closed, before the event was sent: it is not stored.
    Aborted,
    /// The service does not offer what was asked for.
    Unsupported,
    /// The service refused for another reason.
    Refused,
    /// What the service sent cannot be read.
    Malformed,
    /// The client, producer or consumer was closed, or has ended with an earlier error; or a result was read before.
    Closed,
}

/// How much of the way to the service died with the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// The one operation.
    Operation,
    /// The link.
    Link,
    /// The link's session.
    Session,
    /// The connection, with everything on it.
    Connection,
}

/// What happened, as the layer below told it.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error(transparent)]
    ConnectionString(#[from] ConnectionStringError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Request(#[from] RequestError),
    /// An outcome other than accepted.
    #[error("the service did not accept it: {0}")]
    NotAccepted(Outcome),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// Events were handed to the stream, and no outcome came.
    #[error("no outcome within {0:?}; the events may or may not be stored")]
    OutcomeTimeout(Duration),
    #[error("{0}")]
    InvalidArgument(String),
    #[error("{0}")]
    Malformed(String),
    #[error("the {0} is closed")]
    Closed(&'static str),
    /// How the last try failed, after one that may have stored the events.
    #[error("{0}; an earlier try may have stored the events")]
    AfterUnknown(Box<Cause>),
    /// Nothing was tried, because events sent before come first.
    #[error("an earlier send has to be repeated first: {0}")]
    Unresolved(Box<Cause>),
    #[error("the buffer is full")]
    BufferFull,
    #[error("the producer was aborted")]
    Aborted,
    #[error("the service does not offer {0}")]
    NotOffered(&'static str),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Cause {
    /// What happened at first hand.
    fn root(&self) -> &Self {
        match self {
            Self::AfterUnknown(cause) | Self::Unresolved(cause) => cause.root(),
            other => other,
        }
    }
}

impl From<SessionError> for Cause {
    fn from(error: SessionError) -> Self {
        Self::Link(error.into())
    }
}

impl From<RecvError> for Cause {
    fn from(error: RecvError) -> Self {
        let RecvError::Link(error) = error;
        Self::Link(error)
    }
}

impl EventHubsError {
    /// `attempt` completes "could not …".
    pub(super) fn new(attempt: impl Into<String>, cause: impl Into<Cause>) -> Self {
        Self {
            attempt: attempt.into(),
            cause: Box::new(cause.into()),
        }
    }

    pub(super) fn invalid_argument(attempt: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(attempt, Cause::InvalidArgument(what.into()))
    }

    pub(super) fn malformed(attempt: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(attempt, Cause::Malformed(what.into()))
    }

    pub(super) fn cause(&self) -> &Cause {
        &self.cause
    }

    /// The same failure, told as what `wrap` makes of it.
    pub(super) fn wrapped(self, wrap: impl FnOnce(Box<Cause>) -> Cause) -> Self {
        Self {
            cause: Box::new(wrap(self.cause)),
            ..self
        }
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        classify(&self.cause).0
    }

    /// Whether the same operation may succeed later. The client has tried as often as its
    /// [`RetryPolicy`](super::RetryPolicy) allows before it returned the error.
    pub fn is_retryable(&self) -> bool {
        match classify(&self.cause).1 {
            // A token that is refused twice is bad.
            Verdict::Never
            | Verdict::Again {
                rebuild: Rebuild::Token,
                ..
            } => false,
            Verdict::Again { .. } => true,
        }
    }

    /// How much of the way to the service died.
    pub fn scope(&self) -> Scope {
        match self.cause.root() {
            Cause::Connect(_) => Scope::Connection,
            Cause::Link(error) | Cause::Request(RequestError::Link(error)) => scope_of(error),
            Cause::Send(error) | Cause::Request(RequestError::Send(error)) => {
                error.link_error().map_or(Scope::Operation, scope_of)
            }
            _ => Scope::Operation,
        }
    }

    /// The condition that the service gave, for example `com.microsoft:server-busy`.
    pub fn condition(&self) -> Option<&str> {
        match self.status() {
            Some(status) => status.condition.as_deref(),
            None => self.remote_error().map(|error| error.condition.as_str()),
        }
    }

    /// The description that the service gave.
    pub fn description(&self) -> Option<&str> {
        match self.status() {
            Some(status) => status.description.as_deref(),
            None => self.remote_error()?.description.as_deref(),
        }
    }

    fn status(&self) -> Option<&Status> {
        match self.cause.root() {
            Cause::Request(RequestError::Refused(status)) => Some(status),
            _ => None,
        }
    }

    /// What became of the events that were sent, if the service said so and did not accept them.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self.cause.root() {
            Cause::NotAccepted(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// The error that the service gave when it ended or refused a link, a connection or an event. What `$cbs` and
    /// `$management` answered is not such an error; [`condition`](Self::condition) and
    /// [`description`](Self::description) tell it as well.
    pub fn remote_error(&self) -> Option<&AmqpError> {
        match self.cause.root() {
            Cause::Connect(error) => error.remote_error(),
            Cause::Link(error) => error.remote_error(),
            Cause::Send(error) => error.remote_error(),
            Cause::Request(error) => error.remote_error(),
            Cause::NotAccepted(Outcome::Rejected(rejected)) => rejected.error.as_deref(),
            _ => None,
        }
    }
}

fn scope_of(error: &LinkError) -> Scope {
    match error {
        LinkError::Session(SessionError::Connection(_)) => Scope::Connection,
        LinkError::Session(_) => Scope::Session,
        _ => Scope::Link,
    }
}

impl fmt::Display for EventHubsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: {}", self.attempt, self.cause)
    }
}

/// There is no `source`: the text holds those of all causes.
impl std::error::Error for EventHubsError {}

impl From<Interrupted> for EventHubsError {
    fn from(interrupted: Interrupted) -> Self {
        Self::new("reach the service", interrupted)
    }
}

impl From<ConnectionStringError> for EventHubsError {
    fn from(error: ConnectionStringError) -> Self {
        Self::new("read the connection string", error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{ApplicationProperties, Message, Rejected, Value, condition};

    #[test]
    fn what_the_service_gave_is_told_once() {
        let given = AmqpError::new(condition::NOT_FOUND, "no such hub");
        let rejected = Outcome::Rejected(Rejected {
            error: Some(Box::new(given.clone())),
        });
        let refused = LinkError::Refused(Some(given.clone()));
        for cause in [
            Cause::NotAccepted(rejected),
            Cause::Send(SendError::NotSent(refused.clone())),
            Cause::Request(refused.clone().into()),
            Cause::Link(refused),
        ] {
            let error = EventHubsError::new("send", cause);
            assert_eq!(error.remote_error(), Some(&given), "{error}");
            assert_eq!(error.condition(), Some("amqp:not-found"));
            assert_eq!(error.description(), Some("no such hub"));
            assert_eq!(error.to_string().matches("no such hub").count(), 1);
            assert!(std::error::Error::source(&error).is_none());
        }
    }

    #[test]
    fn what_a_node_answered_is_told_too() {
        let properties = ApplicationProperties::new()
            .with("status-code", 404)
            .with("error-condition", "amqp:not-found");
        let reply = Message::value(Value::Null).with_application_properties(properties);
        let status = Status::of(&reply).unwrap();
        let error = EventHubsError::new("read", RequestError::Refused(status));
        assert_eq!(error.condition(), Some("amqp:not-found"));
        assert_eq!(error.remote_error(), None);
    }
}
