//! Locking a mutex.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. What this crate guards by a mutex is whole between any two statements under the lock, so a holder that panicked is
/// no reason for the others to panic as well.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
