//! Which link may publish for a producer that numbers its events: the newest (Event Hubs).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::log::{ProducerState, taken_over};
use crate::codec::AmqpError;
use crate::lock::lock;

/// The links of one partition's producers.
#[derive(Debug, Default)]
pub(crate) struct ProducerSeats(Mutex<Seats>);

#[derive(Debug, Default)]
struct Seats {
    /// By the producer's id.
    taken: HashMap<i64, Taken>,
    next: u64,
}

#[derive(Debug)]
struct Taken {
    number: u64,
    evict: watch::Sender<Option<AmqpError>>,
}

/// A link's right to publish for a producer; given up when dropped.
#[derive(Debug)]
pub(crate) struct ProducerSeat {
    seats: Arc<ProducerSeats>,
    /// What is in force since the link was attached.
    pub(crate) state: ProducerState,
    number: u64,
    evicted: watch::Receiver<Option<AmqpError>>,
}

impl ProducerSeats {
    /// Gives the producer's seat to a new link; the one that had it hears so.
    pub(crate) fn take(self: &Arc<Self>, state: ProducerState) -> ProducerSeat {
        let mut seats = lock(&self.0);
        let number = seats.next;
        seats.next += 1;
        let (evict, evicted) = watch::channel(None);
        if let Some(old) = seats.taken.insert(state.id, Taken { number, evict }) {
            // A link that has just ended by itself no longer listens.
            let _ = old.evict.send(Some(taken_over(&state)));
        }
        ProducerSeat {
            seats: Arc::clone(self),
            state,
            number,
            evicted,
        }
    }
}

impl ProducerSeat {
    /// Waits until another link takes over, and says so in the words for the client.
    pub(crate) async fn stolen(&self) -> AmqpError {
        let mut evicted = self.evicted.clone();
        let reason = evicted.wait_for(Option::is_some).await.ok();
        match reason.and_then(|reason| reason.clone()) {
            Some(error) => error,
            // The seat cannot be lost without a word while it is held.
            None => std::future::pending().await,
        }
    }
}

impl Drop for ProducerSeat {
    fn drop(&mut self) {
        let mut seats = lock(&self.seats.0);
        let taken = seats.taken.get(&self.state.id);
        if taken.is_some_and(|taken| taken.number == self.number) {
            seats.taken.remove(&self.state.id);
        }
    }
}
