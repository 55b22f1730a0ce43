//! A limit on what is under way, in count and in octets.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::unconstrained;

/// Lets through as many as there is room for; the others wait, first come, first served.
///
/// What is larger than all the room takes all of it: it waits until nothing else is inside, and nothing enters until it
/// has left.
#[derive(Debug)]
pub(super) struct Gate {
    count: Arc<Semaphore>,
    octets: Arc<Semaphore>,
    max_octets: u32,
}

/// Room that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _count: OwnedSemaphorePermit,
    _octets: OwnedSemaphorePermit,
}

/// The gate was closed.
#[derive(Debug)]
pub(super) struct Closed;

impl Gate {
    /// A limit of 0 counts as 1.
    pub(super) fn new(max_count: usize, max_octets: usize) -> Self {
        let max_count = max_count.clamp(1, Semaphore::MAX_PERMITS);
        let max_octets = max_octets.clamp(1, Semaphore::MAX_PERMITS);
        let max_octets = u32::try_from(max_octets).unwrap_or(u32::MAX);
        Self {
            count: Arc::new(Semaphore::new(max_count)),
            octets: Arc::new(Semaphore::new(max_octets as usize)),
            max_octets,
        }
    }

    fn share(&self, octets: usize) -> u32 {
        u32::try_from(octets).map_or(self.max_octets, |octets| octets.min(self.max_octets))
    }

    /// Waits for room. Dropped, the place in the queue is given up.
    pub(super) async fn enter(&self, octets: usize) -> Result<Place, Closed> {
        // Constrained, a task that has done much would be sent to the queue's end though there is room, and others
        // would overtake it.
        unconstrained(async {
            let count = self.count.clone().acquire_owned().await;
            let octets = self.octets.clone().acquire_many_owned(self.share(octets));
            Ok(Place {
                _count: count.map_err(|_| Closed)?,
                _octets: octets.await.map_err(|_| Closed)?,
            })
        })
        .await
    }

    /// A place, if there is room now and nobody waits for it.
    pub(super) fn try_enter(&self, octets: usize) -> Option<Place> {
        let count = self.count.clone().try_acquire_owned().ok()?;
        let octets = self
            .octets
            .clone()
            .try_acquire_many_owned(self.share(octets));
        Some(Place {
            _count: count,
            _octets: octets.ok()?,
        })
    }

    /// Lets nobody in any more, and sends away those who wait.
    pub(super) fn close(&self) {
        self.count.close();
        self.octets.close();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    fn is_waiting<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        matches!(future.poll(&mut context), Poll::Pending)
    }

    #[tokio::test]
    async fn both_limits_hold_and_room_comes_back() {
        let gate = Gate::new(2, 10);
        let first = gate.enter(6).await.unwrap();
        assert!(gate.try_enter(5).is_none(), "octets");
        let second = gate.enter(4).await.unwrap();
        drop(first);
        let third = gate.enter(0).await.unwrap();
        assert!(gate.try_enter(0).is_none(), "count");
        drop((second, third));
        assert!(gate.try_enter(10).is_some());
    }

    #[tokio::test]
    async fn what_is_too_large_goes_alone() {
        let gate = Gate::new(5, 10);
        let small = gate.enter(1).await.unwrap();
        let mut large = std::pin::pin!(gate.enter(1_000_000));
        assert!(is_waiting(large.as_mut()));
        let mut later = std::pin::pin!(gate.enter(1));
        assert!(is_waiting(later.as_mut()), "nobody overtakes");
        drop(small);
        let large = large.await.unwrap();
        assert!(is_waiting(later.as_mut()));
        drop(large);
        later.await.unwrap();
    }

    #[tokio::test]
    async fn who_gives_up_leaves_no_trace() {
        let gate = Gate::new(5, 10);
        let inside = gate.enter(8).await.unwrap();
        {
            let mut large = std::pin::pin!(gate.enter(10));
            assert!(is_waiting(large.as_mut()));
        }
        let mut small = std::pin::pin!(gate.enter(2));
        assert!(!is_waiting(small.as_mut()));
        drop(inside);
        assert!(gate.try_enter(10).is_some());
    }

    #[tokio::test]
    async fn a_closed_gate_sends_away_who_waits() {
        let gate = Gate::new(1, 10);
        let inside = gate.enter(1).await.unwrap();
        let mut waiting = std::pin::pin!(gate.enter(1));
        assert!(is_waiting(waiting.as_mut()));
        gate.close();
        assert!(waiting.await.is_err());
        drop(inside);
        assert!(gate.enter(1).await.is_err());
        assert!(gate.try_enter(1).is_none());
    }
}
