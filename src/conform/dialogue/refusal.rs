//! How a peer refuses: by ending a link, a session or the connection, with a reason or without.

use std::fmt;

use tokio::time::Instant;

use super::hears::{Next, unexpected};
use super::{Dialogue, frames};
use crate::codec::{AmqpError, Detach, Performative, Symbol};
use crate::conform::case::{Side, Stop};

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

    /// Whether it is a detach or an end that complains of nothing.
    fn is_farewell(&self) -> bool {
        self.error.is_none() && self.scope != Scope::Connection
    }

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

impl Dialogue {
    /// A detach with one of these conditions; another condition is remarked. The handle must be handed back by it.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, nothing in time, or a detach without an error.
    pub async fn expect_detach_with(&mut self, conditions: &[Symbol]) -> Result<Detach, Stop> {
        let detach = self.expect_detach().await?;
        let error = detach.error.as_ref();
        let came = error.map(|error| &error.condition);
        self.check_condition("detach", came, conditions)?;
        Ok(detach)
    }

    /// An end with one of these conditions; another condition is remarked.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, nothing in time, or an end without an error.
    pub async fn expect_end_with(&mut self, conditions: &[Symbol]) -> Result<(), Stop> {
        let error = self.expect_end().await?.error;
        let came = error.as_ref().map(|error| &error.condition);
        self.check_condition("end", came, conditions)
    }

    /// A close with one of these conditions, and after this program's answer the end of the stream. Another condition is
    /// remarked, and so is a stream that ends without a close: the peer has refused, but the other side does not learn why.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn expect_close_with(&mut self, conditions: &[Symbol]) -> Result<(), Stop> {
        let refusal = self.expect_complaint().await?;
        match (refusal.scope, refusal.is_said) {
            (Scope::Connection, false) => {
                self.remark("the stream ended without a close");
                return Ok(());
            }
            (Scope::Connection, true) => {}
            _ => return Err(unexpected("close", &refusal.to_string())),
        }
        let came = refusal.error.as_ref().map(|error| &error.condition);
        self.check_condition("close", came, conditions)?;
        self.send_on(0, frames::close()).await?;
        self.half_close().await?;
        self.expect_eof_or_remark().await
    }

    /// The peer refuses, whatever it says before: by a detach, end or close, or by the end of the stream. A peer that ends in
    /// another scope than one expects is not wrong by that alone.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if none comes in time.
    pub async fn expect_refusal(&mut self) -> Result<Refusal, Stop> {
        let deadline = Instant::now() + self.waits.patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let frame = match self.frame_within(left).await? {
                Next::Frame(frame) => frame,
                Next::End => return Ok(Refusal::SILENT),
                Next::Nothing => return Err(unexpected("a refusal", "nothing")),
            };
            if let Some(refusal) = frame.performative.as_ref().and_then(Refusal::of) {
                return Ok(refusal);
            }
        }
    }

    /// The same, passing over a detach or an end without an error of a client, which may have come to the end of its work.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if none comes in time.
    pub async fn expect_complaint(&mut self) -> Result<Refusal, Stop> {
        loop {
            let refusal = self.expect_refusal().await?;
            if self.target.side == Side::Listener || !refusal.is_farewell() {
                return Ok(refusal);
            }
        }
    }

    fn check_condition(
        &mut self,
        by: &str,
        came: Option<&Symbol>,
        conditions: &[Symbol],
    ) -> Result<(), Stop> {
        let Some(came) = came else {
            let wanted = format!("{by} with an error");
            return Err(unexpected(&wanted, &format!("{by} without an error")));
        };
        if !conditions.contains(came) {
            let names: Vec<&str> = conditions.iter().map(Symbol::as_str).collect();
            self.remark(format!(
                "{by} with {came} in place of {}",
                names.join(" or ")
            ));
        }
        Ok(())
    }
}
