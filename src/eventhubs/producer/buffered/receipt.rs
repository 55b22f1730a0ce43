//! What comes of one event.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::eventhubs::error::{Cause, ErrorKind, EventHubsError};
use crate::eventhubs::event::Event;

/// A future of what comes of an event that was given to a [`BufferedProducer`](super::BufferedProducer): `Ok` once it is
/// stored, or an error as [`Producer`](super::super::Producer) says, or one of the kind [`Aborted`](ErrorKind::Aborted). It may
/// be dropped: the event is published all the same.
///
/// # Cancel safety
///
/// A mutable reference to it can be polled, dropped and polled again.
#[derive(Debug)]
#[must_use = "without it, nobody is told whether the event is stored"]
pub struct EventReceipt {
    partition: Arc<str>,
    /// None once it was read.
    result: Option<oneshot::Receiver<Result<(), EventHubsError>>>,
}

impl EventReceipt {
    pub(super) fn new(
        partition: Arc<str>,
        result: oneshot::Receiver<Result<(), EventHubsError>>,
    ) -> Self {
        Self {
            partition,
            result: Some(result),
        }
    }

    /// Id of the partition that the event goes to.
    pub fn partition(&self) -> &str {
        &self.partition
    }

    fn lost(&self, cause: Cause) -> EventHubsError {
        EventHubsError::new(format!("send to partition {}", self.partition), cause)
    }
}

impl Future for EventReceipt {
    type Output = Result<(), EventHubsError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(result) = &mut self.result else {
            return Poll::Ready(Err(self.lost(Cause::Closed("receipt"))));
        };
        let Poll::Ready(result) = Pin::new(result).poll(cx) else {
            return Poll::Pending;
        };
        self.result = None;
        // Without a result, the task has died with its runtime, at no one knows what point.
        let died = |_| Err(self.lost(Cause::AfterUnknown(Box::new(Cause::Aborted))));
        Poll::Ready(result.unwrap_or_else(died))
    }
}

/// An event was not taken into the buffer, and is given back. `Debug` shows no event.
#[derive(Clone)]
pub struct EnqueueError {
    event: Box<Event>,
    error: EventHubsError,
}

impl EnqueueError {
    pub(super) fn new(event: Event, error: EventHubsError) -> Self {
        Self {
            event: Box::new(event),
            error,
        }
    }

    /// The event.
    pub fn into_event(self) -> Event {
        *self.event
    }

    /// Why it was not taken.
    pub fn error(&self) -> &EventHubsError {
        &self.error
    }

    /// What kind of error that is: [`BufferFull`](ErrorKind::BufferFull) if there may be room later.
    pub fn kind(&self) -> ErrorKind {
        self.error.kind()
    }
}

impl fmt::Debug for EnqueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnqueueError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for EnqueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for EnqueueError {}

impl From<EnqueueError> for EventHubsError {
    fn from(error: EnqueueError) -> Self {
        error.error
    }
}
