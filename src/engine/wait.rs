//! Who waits for what. The engine stores wakers and hands the due ones out; it never calls one.

use std::collections::VecDeque;
use std::task::Waker;

use super::key::{Key, Slab};

/// Wakers to be called, in order, and wakers to be dropped, by whoever holds the lock once it is released.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    due: VecDeque<Waker>,
    discarded: Vec<Waker>,
    /// Everybody who watches for something; [`Watchers`] hold the keys.
    watching: Slab<Option<Waker>>,
}

impl Wakes {
    pub(crate) fn push(&mut self, waker: Option<Waker>) {
        self.due.extend(waker);
    }

    /// Dropping a waker may run foreign code, so it waits for the end of the lock too.
    pub(crate) fn discard(&mut self, waker: Option<Waker>) {
        self.discarded.extend(waker);
    }

    pub(crate) fn pop(&mut self) -> Option<Waker> {
        self.due.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    pub(crate) fn take_discarded(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.discarded)
    }
}

/// Replaces `slot` by `waker` unless it wakes the same task already.
pub(crate) fn store_waker(slot: &mut Option<Waker>, waker: &Waker, replaced: &mut Wakes) {
    if slot.as_ref().is_some_and(|stored| stored.will_wake(waker)) {
        return;
    }
    replaced.discard(slot.replace(waker.clone()));
}

/// Somebody who watches for a change of state: its waker, and the place that it has taken, if it has had to wait. A place
/// serves one wait, and whoever owns it gives it back with [`Wakes::forget`].
pub(crate) struct Watcher<'a> {
    pub(crate) place: &'a mut Option<WatchPlace>,
    pub(crate) waker: &'a Waker,
}

/// A place among those who watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WatchPlace(Key);

impl Wakes {
    /// Stores the waker at the watcher's place, which it takes if it has none. The place's key, if no [`Watchers`] have it.
    fn watch(&mut self, watcher: &mut Watcher<'_>) -> Option<Key> {
        let WatchPlace(key) = *watcher
            .place
            .get_or_insert_with(|| WatchPlace(self.watching.insert(None)));
        let mut stored = self.watching.get_mut(key)?.take();
        let is_new = stored.is_none();
        store_waker(&mut stored, watcher.waker, self);
        *self.watching.get_mut(key)? = stored;
        is_new.then_some(key)
    }

    /// Forgets a watcher: its waker must not stay behind for as long as what it watched.
    pub(crate) fn forget(&mut self, place: &mut Option<WatchPlace>) {
        let waker = place
            .take()
            .and_then(|WatchPlace(key)| self.watching.remove(key));
        self.discard(waker.flatten());
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn watching(&self) -> usize {
        self.watching.len()
    }
}

/// Everybody who watches for one change of state; all are woken by it. Those who have left are swept now and then.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    places: Vec<Key>,
    /// Places that the last sweep left.
    swept: usize,
}

impl Watchers {
    pub(crate) fn register(&mut self, watcher: &mut Watcher<'_>, wakes: &mut Wakes) {
        if let Some(key) = wakes.watch(watcher) {
            self.sweep(wakes);
            self.places.push(key);
        }
    }

    fn sweep(&mut self, wakes: &Wakes) {
        if self.places.len() > 2 * self.swept + 16 {
            self.places.retain(|key| wakes.watching.get(*key).is_some());
            self.swept = self.places.len();
        }
    }

    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        for key in self.places.drain(..) {
            let waker = wakes.watching.get_mut(key).and_then(Option::take);
            wakes.push(waker);
        }
        self.swept = 0;
    }
}

#[derive(Debug)]
struct Waiter {
    waker: Option<Waker>,
    /// How much must be there before it is worth waking this one.
    wanted: usize,
}

/// A fair queue: first come, first served. Only the head may take; as many from the front are woken as there is room
/// for, so that those who follow find their turn come when they run.
#[derive(Debug)]
pub(crate) struct WaitQueue {
    waiters: Slab<Waiter>,
    order: VecDeque<Key>,
}

/// A place in a [`WaitQueue`]; its owner gives it back with [`WaitQueue::leave`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(Key);

impl WaitQueue {
    pub(crate) fn new() -> Self {
        Self {
            waiters: Slab::new(),
            order: VecDeque::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether the holder of `ticket` (or a newcomer without one) is next.
    pub(crate) fn is_next(&self, ticket: Option<Ticket>) -> bool {
        self.order.front().copied() == ticket.map(|Ticket(key)| key)
    }

    /// How much the one who is next waits for.
    pub(crate) fn next_wanted(&self) -> Option<usize> {
        Some(self.waiters.get(*self.order.front()?)?.wanted)
    }

    /// How much the holder of `ticket` waits for.
    pub(crate) fn wanted(&self, ticket: Option<Ticket>) -> usize {
        let waiter = ticket.and_then(|Ticket(key)| self.waiters.get(key));
        waiter.map_or(0, |waiter| waiter.wanted)
    }

    /// Takes a place at the end, or renews the waker of the place already held.
    pub(crate) fn wait(
        &mut self,
        ticket: &mut Option<Ticket>,
        wanted: usize,
        waker: &Waker,
        wakes: &mut Wakes,
    ) {
        if let Some(waiter) = ticket.and_then(|Ticket(key)| self.waiters.get_mut(key)) {
            store_waker(&mut waiter.waker, waker, wakes);
            return;
        }
        let key = self.waiters.insert(Waiter {
            waker: Some(waker.clone()),
            wanted,
        });
        self.order.push_back(key);
        *ticket = Some(Ticket(key));
    }

    /// Gives a place back.
    pub(crate) fn leave(&mut self, ticket: &mut Option<Ticket>, wakes: &mut Wakes) {
        let Some(Ticket(key)) = ticket.take() else {
            return;
        };
        let Some(waiter) = self.waiters.remove(key) else {
            return;
        };
        wakes.discard(waiter.waker);
        while let Some(head) = self.order.front()
            && self.waiters.get(*head).is_none()
        {
            self.order.pop_front();
        }
        // Places left in the middle are swept when they outnumber the rest: leaving is cheap for a crowd, too.
        if self.order.len() > 2 * self.waiters.len() + 16 {
            self.order.retain(|key| self.waiters.get(*key).is_some());
        }
    }

    /// Wakes as many from the front as `available` satisfies. One that was woken before and has not run keeps its claim.
    pub(crate) fn wake(&mut self, mut available: usize, wakes: &mut Wakes) {
        for key in &self.order {
            let Some(waiter) = self.waiters.get_mut(*key) else {
                continue;
            };
            if available == 0 || waiter.wanted > available {
                return;
            }
            available -= waiter.wanted;
            wakes.push(waiter.waker.take());
        }
    }

    /// Wakes the head, unless it was woken before. Enough after the former head took its share: whoever else there is room
    /// for has been woken together with it.
    pub(crate) fn wake_next(&mut self, wakes: &mut Wakes) {
        if let Some(waiter) = self
            .order
            .front()
            .and_then(|key| self.waiters.get_mut(*key))
        {
            wakes.push(waiter.waker.take());
        }
    }

    /// Wakes everybody: what they wait for will not come.
    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        for (_, waiter) in self.waiters.iter_mut() {
            wakes.push(waiter.waker.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stops_watching_leaves_nothing_behind() {
        let (mut watchers, mut wakes) = (Watchers::default(), Wakes::default());
        for _ in 0..1000 {
            let mut place = None;
            let mut watcher = Watcher {
                place: &mut place,
                waker: Waker::noop(),
            };
            watchers.register(&mut watcher, &mut wakes);
            watchers.register(&mut watcher, &mut wakes);
            wakes.forget(&mut place);
        }
        assert_eq!(wakes.watching(), 0);
        assert!(watchers.places.len() < 50, "{}", watchers.places.len());
        watchers.wake_all(&mut wakes);
        assert!(wakes.is_empty());
    }
}
