//! What a connection waits for, all at once and in one task, and served in the order in which it happened.
//!
//! Order matters where one link speaks of what was sent on others: a transaction is discharged over the work that came before.
//! A peer's frames wake what waits for them in their order, and who is woken first is served first. What has to come after
//! everything else that has happened is pushed with [`Turns::push_last`].

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use crate::lock::lock;

/// How many futures are polled before other tasks get their turn.
const AT_ONCE: usize = 128;

type TurnKey = u64;

type BoxedFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A set of futures.
pub(super) struct Turns<T> {
    futures: HashMap<TurnKey, (BoxedFuture<T>, Arc<Turn>)>,
    ready: Arc<Mutex<Ready>>,
    next_key: TurnKey,
}

#[derive(Debug, Default)]
struct Ready {
    first: VecDeque<TurnKey>,
    last: VecDeque<TurnKey>,
    task: Option<Waker>,
}

/// Puts its future in the line of those that can go on.
#[derive(Debug)]
struct Turn {
    key: TurnKey,
    is_last: bool,
    is_in_line: AtomicBool,
    ready: Arc<Mutex<Ready>>,
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_in_line.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut ready = lock(&self.ready);
        match self.is_last {
            true => ready.last.push_back(self.key),
            false => ready.first.push_back(self.key),
        }
        let task = ready.task.take();
        drop(ready);
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<T> Turns<T> {
    pub(super) fn new() -> Self {
        Self {
            futures: HashMap::new(),
            ready: Arc::default(),
            next_key: 0,
        }
    }

    /// Adds a future.
    pub(super) fn push(&mut self, future: impl Future<Output = T> + Send + 'static) {
        self.insert(Box::pin(future), false);
    }

    /// Adds a future that is polled only when no other can go on.
    pub(super) fn push_last(&mut self, future: impl Future<Output = T> + Send + 'static) {
        self.insert(Box::pin(future), true);
    }

    fn insert(&mut self, future: BoxedFuture<T>, is_last: bool) {
        let key = self.next_key;
        self.next_key += 1;
        let turn = Arc::new(Turn {
            key,
            is_last,
            is_in_line: AtomicBool::new(false),
            ready: Arc::clone(&self.ready),
        });
        turn.wake_by_ref();
        self.futures.insert(key, (future, turn));
    }

    /// What the next future comes to; waits for ever if there is none.
    pub(super) async fn next(&mut self) -> T {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The same without waiting: None if no future can go on.
    pub(super) async fn next_ready(&mut self) -> Option<T> {
        std::future::poll_fn(|context| match self.poll_next(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.is_anything_ready() => Poll::Pending,
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    fn is_anything_ready(&self) -> bool {
        let ready = lock(&self.ready);
        !ready.first.is_empty() || !ready.last.is_empty()
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<T> {
        for _ in 0..AT_ONCE {
            let key = {
                let mut ready = lock(&self.ready);
                let key = ready.first.pop_front();
                match key.or_else(|| ready.last.pop_front()) {
                    Some(key) => key,
                    None => {
                        ready.task = Some(context.waker().clone());
                        return Poll::Pending;
                    }
                }
            };
            let Some((future, turn)) = self.futures.get_mut(&key) else {
                continue;
            };
            turn.is_in_line.store(false, Ordering::Release);
            let waker = Waker::from(Arc::clone(turn));
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                self.futures.remove(&key);
                return Poll::Ready(output);
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn who_is_woken_first_is_served_first_and_the_last_waits_for_all() {
        let mut turns = Turns::new();
        let (wake_a, a) = oneshot::channel::<()>();
        let (wake_b, b) = oneshot::channel::<()>();
        let (wake_last, last) = oneshot::channel::<()>();
        turns.push_last(async { last.await.map(|()| "last") });
        turns.push(async { a.await.map(|()| "a") });
        turns.push(async { b.await.map(|()| "b") });
        assert!(matches!(
            turns.poll_next(&mut Context::from_waker(Waker::noop())),
            Poll::Pending
        ));
        wake_last.send(()).unwrap();
        wake_b.send(()).unwrap();
        wake_a.send(()).unwrap();
        for expected in ["b", "a", "last"] {
            assert_eq!(turns.next().await, Ok(expected));
        }
    }

    #[tokio::test]
    async fn what_is_ready_comes_and_nobody_waits_for_the_rest() {
        let mut turns = Turns::new();
        turns.push(std::future::pending());
        turns.push(ready(1));
        assert_eq!(turns.next_ready().await, Some(1));
        assert_eq!(turns.next_ready().await, None);
    }
}
