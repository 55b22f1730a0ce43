//! Ending on Ctrl-C, or when a supervisor asks for it.

use crate::failure::Failure;

/// Resolves on SIGINT or SIGTERM; Ctrl-C where there are no such signals.
pub async fn ended_from_outside() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                () = ctrl_c() => {}
            }
            return;
        }
    }
    ctrl_c().await;
}

async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the system ends the process by itself.
        std::future::pending::<()>().await;
    }
}

/// The step's result, unless it is ended from outside.
pub async fn unless_ended<T>(step: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        result = step => result,
        () = ended_from_outside() => Err(Failure::Interrupted),
    }
}
