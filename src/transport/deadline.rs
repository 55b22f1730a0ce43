//! How long things may take: one deadline for many steps, or a limit for one.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use crate::error::{ConnectError, Stage, TimedOut};

/// When everything must be done, and how long that was from the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    limit: Duration,
}

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Deadline {
        // A limit beyond the clock's range is as good as none: thirty years.
        let now = Instant::now();
        let at = now
            .checked_add(limit)
            .unwrap_or_else(|| now + Duration::from_secs(60 * 60 * 24 * 365 * 30));
        Deadline { at, limit }
    }

    /// Waits for `step`, but not beyond the deadline.
    pub(crate) async fn within<T>(
        self,
        stage: Stage,
        step: impl Future<Output = T>,
    ) -> Result<T, ConnectError> {
        timeout_at(self.at, step)
            .await
            .map_err(|_| self.missed(stage))
    }

    /// The error that says the deadline passed while `stage` was going on.
    pub(crate) fn missed(self, stage: Stage) -> ConnectError {
        ConnectError::Timeout {
            stage,
            limit: self.limit,
        }
    }
}

/// Waits for the peer's answer to `operation`, at most for `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    operation: &'static str,
    answer: impl Future<Output = T>,
) -> Result<T, TimedOut> {
    timeout(limit, answer).await.map_err(|_| TimedOut {
        operation,
        after: limit,
    })
}
