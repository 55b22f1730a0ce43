//! How a peer refuses: by ending a link, a session or the connection, with a reason or without.

use std::fmt;

use crate::codec::{AmqpError, Performative};

/// What a refusal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// By detach.
    Link,
    /// By end.
    Session,
    /// By close, or by the end of the stream.
    Connection,
}

/// A peer's word that it will not go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// What it ends.
    pub scope: Scope,
    /// Why, if it says.
    pub error: Option<AmqpError>,
    /// Whether it said so by a frame, or just ended the stream.
    pub is_said: bool,
}

impl Refusal {
    /// The end of the stream.
    pub(super) const SILENT: Self = Self {
        scope: Scope::Connection,
        error: None,
        is_said: false,
    };

    /// What a detach, end or close says; `None` for all others.
    pub(in crate::conform) fn of(performative: &Performative) -> Option<Self> {
        let (scope, error) = match performative {
            Performative::Detach(detach) => (Scope::Link, &detach.error),
            Performative::End(end) => (Scope::Session, &end.error),
            Performative::Close(close) => (Scope::Connection, &close.error),
            _ => return None,
        };
        Some(Self {
            scope,
            error: error.clone(),
            is_said: true,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.scope, self.is_said) {
            (Scope::Link, _) => "detach",
            (Scope::Session, _) => "end",
            (Scope::Connection, true) => "close",
            (Scope::Connection, false) => "the end of the stream",
        };
        match &self.error {
            Some(error) => write!(f, "{what} with {error}"),
            None => write!(f, "{what} without an error"),
        }
    }
}
