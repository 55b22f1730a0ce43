//! One deadline for many steps.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::error::{ConnectError, Stage};

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
