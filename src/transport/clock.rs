//! The time that the engine is told: tokio's clock, which tests pause.

use std::time::Instant;

pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
