//! How a request went: what a node answered, and why there is no answer.

use std::time::Duration;

use super::{key, status};
use crate::codec::{AmqpError, Message, Outcome, Str, Symbol};
use crate::error::is_transient;
use crate::{LinkError, RecvError, SendError};

/// Why there is no reply, or not the wanted one. The text holds the whole story: there is no further `source`.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A link of the pair ended.
    #[error("the link to the node ended: {0}")]
    Link(LinkError),
    /// The request could not be sent, or its fate is not known.
    #[error("the request failed: {0}")]
    Send(SendError),
    /// The node did not accept the request.
    #[error("the node did not accept the request: {0}")]
    NotAccepted(Outcome),
    /// No reply came within the time allowed.
    #[error("no reply within {0:?}")]
    Timeout(Duration),
    /// The node answered that it failed.
    #[error("the node answered {0}")]
    Refused(Status),
    /// The reply is not what it should be.
    #[error("the reply is malformed: {0}")]
    Malformed(String),
}

impl RequestError {
    /// The error that the peer gave for the end of a link or for refusing the request, if it did. What a node answered is a
    /// [`Status`] instead.
    pub fn remote_error(&self) -> Option<&AmqpError> {
        match self {
            Self::Link(error) => error.remote_error(),
            Self::Send(error) => error.remote_error(),
            Self::NotAccepted(Outcome::Rejected(rejected)) => rejected.error.as_deref(),
            Self::NotAccepted(_) | Self::Timeout(_) | Self::Refused(_) | Self::Malformed(_) => None,
        }
    }

    /// What the node answered, if that is the error.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Refused(status) => Some(status),
            _ => None,
        }
    }

    /// Whether the node answered that the thing does not exist.
    pub fn is_not_found(&self) -> bool {
        self.status()
            .is_some_and(|status| status.code == status::NOT_FOUND)
    }

    /// The condition that the peer or the node gave, for example `amqp:not-found`.
    pub fn condition(&self) -> Option<&str> {
        match self {
            Self::Refused(status) => status.condition.as_deref(),
            _ => self.remote_error().map(|error| error.condition.as_str()),
        }
    }

    /// Whether the same request may succeed later. Whether it was carried out already is not known where the error is
    /// [`Timeout`](Self::Timeout) or [`Link`](Self::Link), so that only a request that may be repeated should be.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Link(error) => error.is_retryable(),
            Self::Send(error) => error.is_retryable(),
            Self::NotAccepted(outcome) => match outcome {
                Outcome::Released => true,
                Outcome::Modified(modified) => !modified.undeliverable_here,
                // A rejection without a reason says that the request is wrong.
                Outcome::Rejected(rejected) => {
                    rejected.error.is_some() && is_transient(rejected.error.as_deref())
                }
                _ => false,
            },
            Self::Timeout(_) => true,
            Self::Refused(status) => status.is_transient(),
            Self::Malformed(_) => false,
        }
    }
}

impl From<LinkError> for RequestError {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

impl From<SendError> for RequestError {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

impl From<RecvError> for RequestError {
    fn from(error: RecvError) -> Self {
        let RecvError::Link(error) = error;
        Self::Link(error)
    }
}

/// How a request went, as the reply tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// A code as in HTTP, see [`status`].
    pub code: i32,
    /// The same in words.
    pub description: Option<Str>,
    /// An error's condition.
    pub condition: Option<Symbol>,
}

impl Status {
    /// Reads the status from a reply's application properties, in either spelling.
    pub fn of(reply: &Message) -> Option<Self> {
        let properties = reply.application_properties.as_ref()?;
        let find = |name: &str, alternative: &str| {
            properties.get(name).or_else(|| properties.get(alternative))
        };
        let code = find(key::STATUS_CODE, key::STATUS_CODE_ALTERNATIVE)?.as_i64()?;
        let description = find(key::STATUS_DESCRIPTION, key::STATUS_DESCRIPTION_ALTERNATIVE);
        let condition = find(key::ERROR_CONDITION, key::ERROR_CONDITION_ALTERNATIVE);
        Some(Self {
            code: i32::try_from(code).ok()?,
            description: description.and_then(|text| text.as_str()).map(Str::from),
            condition: condition
                .and_then(|text| text.as_str())
                .and_then(|text| Symbol::try_from(text).ok()),
        })
    }

    /// Whether the code says that all went well.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// Whether the code names a passing state of the node.
    fn is_transient(&self) -> bool {
        matches!(
            self.code,
            status::TIMEOUT
                | status::TOO_MANY_REQUESTS
                | status::INTERNAL_ERROR
                | status::BAD_GATEWAY
                | status::SERVICE_UNAVAILABLE
                | status::GATEWAY_TIMEOUT
        )
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status {}", self.code)?;
        if let Some(condition) = &self.condition {
            write!(f, " ({condition})")?;
        }
        if let Some(description) = &self.description {
            write!(f, ": {description}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{ApplicationProperties, Rejected, Value};

    fn reply(properties: ApplicationProperties) -> Message {
        Message::value(Value::Null).with_application_properties(properties)
    }

    #[test]
    fn errors_tell_the_condition_and_whether_to_ask_again_and_say_it_once() {
        let busy = AmqpError::new(Symbol::from_static("amqp:internal-error"), "later");
        let rejected = Outcome::Rejected(Rejected {
            error: Some(Box::new(busy.clone())),
        });
        let status = |code| Status {
            code,
            description: None,
            condition: Some(Symbol::from_static("x:y")),
        };
        let table = [
            (
                RequestError::NotAccepted(rejected),
                Some("amqp:internal-error"),
                true,
            ),
            (RequestError::NotAccepted(Outcome::Released), None, true),
            (
                LinkError::Refused(Some(busy)).into(),
                Some("amqp:internal-error"),
                true,
            ),
            (RequestError::Refused(status(404)), Some("x:y"), false),
            (RequestError::Refused(status(503)), Some("x:y"), true),
            (RequestError::Malformed("what".into()), None, false),
        ];
        for (error, condition, is_retryable) in table {
            assert_eq!(error.condition(), condition, "{error}");
            assert_eq!(error.is_retryable(), is_retryable, "{error}");
            assert!(std::error::Error::source(&error).is_none(), "{error}");
        }
    }

    #[test]
    fn a_status_is_read_in_both_spellings() {
        let spellings = [
            ["status-code", "status-description", "error-condition"],
            ["statusCode", "statusDescription", "errorCondition"],
        ];
        for [code, description, condition] in spellings {
            let status = Status::of(&reply(
                ApplicationProperties::new()
                    .with(code, 404)
                    .with(description, "no hub")
                    .with(condition, Symbol::from_static("amqp:not-found")),
            ))
            .unwrap();
            assert!(!status.is_success());
            assert_eq!(status.to_string(), "status 404 (amqp:not-found): no hub");
        }
    }

    #[test]
    fn a_reply_without_status_has_none() {
        assert_eq!(Status::of(&reply(ApplicationProperties::new())), None);
        assert_eq!(Status::of(&Message::value("x")), None);
    }
}
