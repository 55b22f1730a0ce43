//! How long a partition is ours.

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::error::StopReason;

/// What the processor tells those who work on a partition. Who has it can see its end without being told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    /// The moment from which others may take the partition, unless the lease is renewed before.
    pub(super) until: Instant,
    /// Why work should end before.
    pub(super) stop: Option<StopReason>,
}

impl Lease {
    /// Why no more events are read, if that is so.
    pub(super) fn over(&self) -> Option<StopReason> {
        let expired = self.until <= Instant::now();
        self.stop
            .or(expired.then_some(StopReason::OwnershipExpired))
    }

    /// Why no more checkpoints may be written, if that is so: they would spoil those of the next owner. Until it is over with
    /// a shutdown, the partition is ours.
    pub(super) fn lost(&self) -> Option<StopReason> {
        let expired = self.until <= Instant::now();
        match self.stop {
            None => expired.then_some(StopReason::OwnershipExpired),
            Some(StopReason::Shutdown) => expired.then_some(StopReason::Shutdown),
            lost => lost,
        }
    }
}

/// Waits until no more events are to be read.
///
/// # Cancel safety
///
/// Dropped, nothing has changed.
pub(super) async fn over(lease: &mut watch::Receiver<Lease>) -> StopReason {
    loop {
        let now = *lease.borrow_and_update();
        if let Some(reason) = now.over() {
            return reason;
        }
        tokio::select! {
            biased; // no chance: runs of one seed are alike
            changed = lease.changed() => if changed.is_err() {
                // The processor was dropped.
                return StopReason::Shutdown;
            },
            () = sleep_until(now.until) => {}
        }
    }
}
