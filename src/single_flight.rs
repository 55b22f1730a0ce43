//! What many need and one task makes.

use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::Instrument;

use crate::lock::lock;

/// Something that many share and that can die: made when it is first needed, and made anew after its death, by a task of its
/// own while those who need it wait. Those who wait share the failure if it cannot be made, instead of each waiting for a
/// time-out in turn; so do those who come within a moment.
///
/// Who waits holds up nobody, whether his future is polled or not. When nobody waits any more, the task ends, unless it is to
/// [land](Self::always_landing) in any case.
pub(crate) struct SingleFlight<T, E> {
    state: Arc<Mutex<State<T, E>>>,
    /// How long a failure speaks for an attempt of one's own.
    moment: Duration,
    always_lands: bool,
}

/// What was waited for will not be made: its task has panicked, or the runtime ends.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the attempt was interrupted")]
pub(crate) struct Interrupted;

struct State<T, E> {
    made: Option<T>,
    /// When the last attempt failed, and why.
    failure: Option<(Instant, E)>,
    /// Kept alive by those who wait for it.
    under_way: Weak<Flight<T, E>>,
}

/// One attempt to make it.
struct Flight<T, E> {
    result: OnceLock<Result<T, E>>,
    /// Told when there is a result. Wakes those who wait in the order in which they came.
    landed: Notify,
    task: OnceLock<AbortHandle>,
}

impl<T, E> SingleFlight<T, E>
where
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + From<Interrupted> + 'static,
{
    /// A failure answers those who come within `moment` after it, too.
    pub(crate) fn new(moment: Duration) -> Self {
        let state = State {
            made: None,
            failure: None,
            under_way: Weak::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            moment,
            always_lands: false,
        }
    }

    /// An attempt that was begun goes on when nobody waits for it any more: what it does must not stop half way.
    pub(crate) fn always_landing(mut self) -> Self {
        self.always_lands = true;
        self
    }

    /// What was made, if it is `alive`; else `make` makes it and is given what died. How long that may take is for `make` to
    /// limit.
    pub(crate) async fn get<F>(
        &self,
        alive: impl Fn(&T) -> bool,
        make: impl FnOnce(Option<T>) -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let flight = {
            let mut state = lock(&self.state);
            if let Some(made) = state.made.as_ref().filter(|made| alive(made)) {
                return Ok(made.clone());
            }
            match state.under_way() {
                Some(flight) => flight,
                None => {
                    if let Some((at, error)) = &state.failure
                        && at.elapsed() < self.moment
                    {
                        return Err(error.clone());
                    }
                    let making = make(state.made.take());
                    let flight = Flight::start(self.state.clone(), making, self.always_lands);
                    state.under_way = Arc::downgrade(&flight);
                    flight
                }
            }
        };
        flight.landing().await
    }

    /// Whether there is something that is `alive`, or it is being made.
    pub(crate) fn is_in_use(&self, alive: impl Fn(&T) -> bool) -> bool {
        let state = lock(&self.state);
        state.made.as_ref().is_some_and(alive) || state.under_way().is_some()
    }

    /// What was made last, dead or alive.
    pub(crate) fn made(&self) -> Option<T> {
        lock(&self.state).made.clone()
    }

    /// Has what was made be made anew, if it `is_bad`.
    pub(crate) fn discard(&self, is_bad: impl Fn(&T) -> bool) {
        let bad = lock(&self.state).made.take_if(|made| is_bad(made));
        // Not under the lock: what this ends may take its time.
        drop(bad);
    }
}

impl<T, E> State<T, E> {
    fn under_way(&self) -> Option<Arc<Flight<T, E>>> {
        let flight = self.under_way.upgrade();
        flight.filter(|flight| flight.result.get().is_none())
    }
}

impl<T, E> Flight<T, E>
where
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + From<Interrupted> + 'static,
{
    fn start(
        state: Arc<Mutex<State<T, E>>>,
        making: impl Future<Output = Result<T, E>> + Send + 'static,
        always_lands: bool,
    ) -> Arc<Self> {
        let flight = Arc::new(Self {
            result: OnceLock::new(),
            landed: Notify::new(),
            task: OnceLock::new(),
        });
        let pilot = Pilot(Arc::downgrade(&flight));
        let passenger = always_lands.then(|| flight.clone());
        let flying = async move {
            let result = making.await;
            pilot.land(&state, result);
            drop(passenger);
        };
        let task = tokio::spawn(flying.in_current_span());
        flight.task.get_or_init(|| task.abort_handle());
        flight
    }

    async fn landing(&self) -> Result<T, E> {
        loop {
            let landed = self.landed.notified();
            if let Some(result) = self.result.get() {
                return result.clone();
            }
            landed.await;
        }
    }
}

impl<T, E> Drop for Flight<T, E> {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

/// Sees to it that a flight has a result, also when its task panics.
struct Pilot<T, E: From<Interrupted>>(Weak<Flight<T, E>>);

impl<T: Clone, E: Clone + From<Interrupted>> Pilot<T, E> {
    fn land(self, state: &Mutex<State<T, E>>, result: Result<T, E>) {
        let mut state = lock(state);
        // Nobody waits, and somebody else may be under way already.
        let Some(flight) = self.0.upgrade() else {
            return;
        };
        match &result {
            Ok(made) => {
                state.made = Some(made.clone());
                state.failure = None;
            }
            Err(error) => state.failure = Some((Instant::now(), error.clone())),
        }
        flight.result.get_or_init(|| result);
        drop(state);
        flight.landed.notify_waiters();
    }
}

impl<T, E: From<Interrupted>> Drop for Pilot<T, E> {
    fn drop(&mut self) {
        if let Some(flight) = self.0.upgrade() {
            flight.result.get_or_init(|| Err(Interrupted.into()));
            flight.landed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Waker};

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    enum Failure {
        OnPurpose,
        Interrupted,
    }

    impl From<Interrupted> for Failure {
        fn from(_: Interrupted) -> Self {
            Self::Interrupted
        }
    }

    const MOMENT: Duration = Duration::from_millis(100);

    /// Asks once a second on `shared`; `make` takes a second, fails while `fails`, and numbers what it makes.
    async fn ask(
        shared: &SingleFlight<u32, Failure>,
        attempts: &Arc<AtomicU32>,
        fails: bool,
    ) -> Result<u32, Failure> {
        let attempts = attempts.clone();
        let make = move |_| async move {
            let number = attempts.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            match fails {
                true => Err(Failure::OnPurpose),
                false => Ok(number),
            }
        };
        shared.get(|number| *number != 0, make).await
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_share_what_one_makes_or_fails_to_make() {
        for fails in [false, true] {
            let shared = Arc::new(SingleFlight::new(MOMENT));
            let attempts = Arc::new(AtomicU32::new(1));
            let tasks: Vec<_> = (0..10)
                .map(|_| {
                    let (shared, attempts) = (shared.clone(), attempts.clone());
                    tokio::spawn(async move { ask(&shared, &attempts, fails).await })
                })
                .collect();
            for task in tasks {
                assert_eq!(task.await.unwrap().is_err(), fails);
            }
            assert_eq!(attempts.load(Ordering::Relaxed), 2, "one attempt");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_speaks_for_a_moment_and_then_one_tries_again() {
        let shared = SingleFlight::new(MOMENT);
        let attempts = Arc::new(AtomicU32::new(1));
        assert!(ask(&shared, &attempts, true).await.is_err());
        assert!(ask(&shared, &attempts, false).await.is_err());
        tokio::time::sleep(MOMENT).await;
        assert_eq!(ask(&shared, &attempts, false).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_died_is_made_anew() {
        let shared = SingleFlight::new(MOMENT);
        let attempts = Arc::new(AtomicU32::new(0));
        assert_eq!(ask(&shared, &attempts, false).await.unwrap(), 0);
        assert_eq!(ask(&shared, &attempts, false).await.unwrap(), 1);
        assert_eq!(ask(&shared, &attempts, false).await.unwrap(), 1);
    }

    /// Polled once.
    fn begin<T>(future: &mut std::pin::Pin<Box<impl Future<Output = T>>>) {
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_polled_holds_up_nobody() {
        let shared = SingleFlight::new(MOMENT);
        let attempts = Arc::new(AtomicU32::new(1));
        let mut first = Box::pin(ask(&shared, &attempts, false));
        let mut second = Box::pin(ask(&shared, &attempts, false));
        begin(&mut first);
        begin(&mut second);
        let third = tokio::time::timeout(Duration::from_secs(2), ask(&shared, &attempts, false));
        assert_eq!(third.await.unwrap().unwrap(), 1);
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_is_not_made() {
        let shared = SingleFlight::new(MOMENT);
        let attempts = Arc::new(AtomicU32::new(1));
        let mut first = Box::pin(ask(&shared, &attempts, false));
        begin(&mut first);
        tokio::task::yield_now().await;
        drop(first);
        assert!(!shared.is_in_use(|_| true));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!shared.is_in_use(|_| true));
        assert_eq!(ask(&shared, &attempts, false).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_always_lands_is_made_though_nobody_waits() {
        let shared = SingleFlight::new(MOMENT).always_landing();
        let attempts = Arc::new(AtomicU32::new(1));
        let mut first = Box::pin(ask(&shared, &attempts, false));
        begin(&mut first);
        drop(first);
        assert_eq!(ask(&shared, &attempts, false).await.unwrap(), 1);
        assert_eq!(shared.made(), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_a_failure() {
        let shared = SingleFlight::<u32, Failure>::new(MOMENT);
        let make = |_| async { panic!("on purpose") };
        let error = shared.get(|_| true, make).await.unwrap_err();
        assert_eq!(error, Failure::Interrupted);
        let attempts = Arc::new(AtomicU32::new(1));
        assert_eq!(ask(&shared, &attempts, false).await.unwrap(), 1);
    }
}
