//! The one place where the time is read: tokio's clock, which tests pause and simulations drive.

use std::time::Instant;

pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
