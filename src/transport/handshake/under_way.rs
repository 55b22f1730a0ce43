//! Handshakes of many peers at once: those that take their time must not keep others out.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

/// Handshakes that run as tasks, with outcomes of type `T`.
pub(crate) struct HandshakesUnderWay<T> {
    tasks: JoinSet<T>,
    /// When each began, and what gives it up; oldest first. Some may be over.
    begun: VecDeque<(Instant, oneshot::Sender<()>)>,
}

impl<T> fmt::Debug for HandshakesUnderWay<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakesUnderWay")
            .field("count", &self.tasks.len())
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static> HandshakesUnderWay<T> {
    pub(crate) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            begun: VecDeque::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Starts one; if it is given up, its outcome is `given_up`.
    pub(crate) fn start(
        &mut self,
        handshake: impl Future<Output = T> + Send + 'static,
        given_up: T,
    ) {
        let (give_up, is_given_up) = oneshot::channel();
        self.begun.retain(|(_, give_up)| !give_up.is_closed());
        self.begun.push_back((Instant::now(), give_up));
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                outcome = handshake => outcome,
                Ok(()) = is_given_up => given_up,
            }
        });
    }

    /// The next outcome; None if there is no handshake. With `patience`, the oldest are given up once they have had so much
    /// time.
    ///
    /// # Cancel safety
    ///
    /// No outcome is lost.
    pub(crate) async fn next(
        &mut self,
        patience: Option<Duration>,
    ) -> Option<Result<T, JoinError>> {
        let Self { tasks, begun } = self;
        loop {
            tokio::select! {
                biased;
                outcome = tasks.join_next() => return outcome,
                () = give_up_oldest(begun, patience) => {}
            }
        }
    }
}

/// Gives the oldest up when its time has come; waits for ever if there is none, or time enough for all.
async fn give_up_oldest(
    begun: &mut VecDeque<(Instant, oneshot::Sender<()>)>,
    patience: Option<Duration>,
) {
    while begun.front().is_some_and(|(_, oldest)| oldest.is_closed()) {
        begun.pop_front();
    }
    match (begun.front(), patience) {
        (Some((since, _)), Some(patience)) => sleep_until(*since + patience).await,
        _ => std::future::pending().await,
    }
    if let Some((_, oldest)) = begun.pop_front() {
        let _ = oldest.send(()); // over just now, if it cannot be told
    }
}
