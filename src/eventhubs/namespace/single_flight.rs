//! What many need and one makes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::eventhubs::error::Cause;

/// Something that many tasks share and that can die: made when it is first needed, and made anew after its death, by one of
/// them while the others wait. Those who waited while it could not be made share that failure, instead of each waiting for a
/// time-out in turn; so do those who come within a moment.
pub(super) struct SingleFlight<T> {
    state: Mutex<State<T>>,
    /// Counts failed attempts.
    failures: AtomicU64,
    /// How long a failure speaks for an attempt of one's own.
    moment: Duration,
}

struct State<T> {
    made: Option<T>,
    /// The last failed attempt.
    failure: Option<Failure>,
}

struct Failure {
    number: u64,
    at: Instant,
    cause: Cause,
}

impl<T: Clone> SingleFlight<T> {
    /// A failure answers those who come within `moment` after it, too.
    pub(super) fn new(moment: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                made: None,
                failure: None,
            }),
            failures: AtomicU64::new(0),
            moment,
        }
    }

    /// What was made, if it is `alive`; else `make` makes it and is given what died.
    pub(super) async fn get<F>(
        &self,
        alive: impl Fn(&T) -> bool,
        make: impl FnOnce(Option<T>) -> F,
    ) -> Result<T, Cause>
    where
        F: Future<Output = Result<T, Cause>>,
    {
        let seen = self.failures.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if let Some(made) = state.made.as_ref().filter(|made| alive(made)) {
            return Ok(made.clone());
        }
        if let Some(failure) = &state.failure
            && (failure.number > seen || failure.at.elapsed() < self.moment)
        {
            return Err(failure.cause.clone());
        }
        let dead = state.made.take();
        match make(dead).await {
            Ok(made) => {
                state.made = Some(made.clone());
                state.failure = None;
                Ok(made)
            }
            Err(cause) => {
                state.failure = Some(Failure {
                    number: self.failures.fetch_add(1, Ordering::AcqRel) + 1,
                    at: Instant::now(),
                    cause: cause.clone(),
                });
                Err(cause)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(100);

    /// Asks once a second on `shared`; `make` takes a second, fails while `fails`, and numbers what it makes.
    async fn ask(
        shared: &SingleFlight<u32>,
        attempts: &AtomicU32,
        fails: bool,
    ) -> Result<u32, Cause> {
        let make = |_| async {
            let number = attempts.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            match fails {
                true => Err(Cause::TimedOut(Duration::from_secs(1))),
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
        let attempts = AtomicU32::new(1);
        assert!(ask(&shared, &attempts, true).await.is_err());
        assert!(ask(&shared, &attempts, false).await.is_err());
        tokio::time::sleep(MOMENT).await;
        assert_eq!(ask(&shared, &attempts, false).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_died_is_made_anew() {
        let shared = SingleFlight::new(MOMENT);
        let attempts = AtomicU32::new(0);
        assert_eq!(ask(&shared, &attempts, false).await.unwrap(), 0);
        assert_eq!(ask(&shared, &attempts, false).await.unwrap(), 1);
        assert_eq!(ask(&shared, &attempts, false).await.unwrap(), 1);
    }
}
