//! The engine behind its lock, and the rule that nothing foreign runs while it is held.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use crate::engine::{Engine, WatchPlace, Watcher};
use crate::error::ConnectionError;

/// Wakers taken out of the engine per lock. More are rare; they cost another lock, not an allocation.
const BATCH: usize = 16;

struct Locked {
    engine: Engine,
    /// The parked driver; None while it runs or has been woken.
    driver: Option<Waker>,
}

/// One connection, shared by its handles and its driver.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Locked>>);

/// Shows nothing: the engine holds what was sent and received, passwords and tokens among it.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// A watcher's place in the engine; given back when the wait is over or dropped.
struct Watch<'a> {
    shared: &'a Shared,
    place: Option<WatchPlace>,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if self.place.is_some() {
            self.shared
                .with(|engine| engine.forget_watcher(&mut self.place));
        }
    }
}

impl Shared {
    pub(crate) fn new(engine: Engine) -> Self {
        Self(Arc::new(Mutex::new(Locked {
            engine,
            driver: None,
        })))
    }

    /// Runs one engine call under the lock, then releases it and wakes whoever became due: the driver too, if it is
    /// parked and there is work for it.
    pub(crate) fn with<R>(&self, command: impl FnOnce(&mut Engine) -> R) -> R {
        let mut locked = self.acquire();
        let result = command(&mut locked.engine);
        let is_due = locked.engine.has_due_work() || locked.engine.is_over();
        let driver = if is_due { locked.driver.take() } else { None };
        self.release(locked, driver);
        result
    }

    /// Waits until `poll`, a `poll_*` of the engine, has an answer.
    pub(crate) async fn wait<R>(
        &self,
        mut poll: impl FnMut(&mut Engine, &mut Watcher<'_>) -> Poll<R>,
    ) -> R {
        let mut watch = Watch {
            shared: self,
            place: None,
        };
        poll_fn(|cx| {
            let mut watcher = Watcher {
                place: &mut watch.place,
                waker: cx.waker(),
            };
            self.with(|engine| poll(engine, &mut watcher))
        })
        .await
    }

    /// The same as [`with`](Self::with) for the driver, which is awake. `command` says whether it wants to rest until `waker` is called: it has
    /// seen, in this very critical section, that there is nothing to do.
    pub(crate) fn with_driver<R>(
        &self,
        waker: &Waker,
        command: impl FnOnce(&mut Engine) -> (R, bool),
    ) -> R {
        let mut locked = self.acquire();
        let (result, rests) = command(&mut locked.engine);
        let replaced = match (rests, &locked.driver) {
            (true, Some(stored)) if stored.will_wake(waker) => None,
            (true, _) => locked.driver.replace(waker.clone()),
            (false, _) => locked.driver.take(),
        };
        self.release(locked, None);
        drop(replaced);
        result
    }

    /// A panic under the lock may have left the engine half changed: what it carried is over, with an error that says so.
    fn acquire(&self) -> MutexGuard<'_, Locked> {
        self.0.lock().unwrap_or_else(|poisoned| {
            let mut locked = poisoned.into_inner();
            if locked.engine.ended().is_none() {
                locked.engine.handle_cut(ConnectionError::DriverGone);
            }
            locked
        })
    }

    fn release<'a>(&'a self, mut locked: MutexGuard<'a, Locked>, driver: Option<Waker>) {
        let garbage = locked.engine.take_garbage();
        while locked.engine.has_wakers() {
            let wakers: [_; BATCH] = std::array::from_fn(|_| locked.engine.pop_waker());
            drop(locked);
            wakers.into_iter().flatten().for_each(Waker::wake);
            locked = self.acquire();
        }
        let discarded = locked.engine.take_discarded_wakers();
        drop(locked);
        drop((garbage, discarded));
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}
