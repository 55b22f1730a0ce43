//! How long a buffered producer goes on.

use tokio::sync::watch;

/// What the handles want of the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// Nothing comes any more; what is there is published.
    Closing,
    /// Nothing is sent any more.
    Aborted,
}

/// Waits until the producer is aborted, or its last handle dropped.
pub(super) async fn aborted(phase: &mut watch::Receiver<Phase>) {
    // Without a handle there is nobody to change it.
    let _ = phase.wait_for(|phase| *phase == Phase::Aborted).await;
}

/// What `work` comes to, or `None` if the producer is aborted first; `work` is not begun if it is already.
pub(super) async fn unless_aborted<T>(
    phase: &mut watch::Receiver<Phase>,
    work: impl Future<Output = T>,
) -> Option<T> {
    if *phase.borrow() == Phase::Aborted || phase.has_changed().is_err() {
        return None;
    }
    tokio::select! {
        biased; // A result that is there counts.
        result = work => Some(result),
        () = aborted(phase) => None,
    }
}
