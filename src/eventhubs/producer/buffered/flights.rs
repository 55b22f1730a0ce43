//! Batches under way.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// Work that is polled in the order in which it was begun, so that batches leave in it.
#[derive(Default)]
pub(super) struct Flights {
    under_way: Vec<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Flights {
    pub(super) fn start(&mut self, flight: impl Future<Output = ()> + Send + 'static) {
        self.under_way.push(Box::pin(flight));
    }

    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Waits until one of them has come to its end, or several. Must not be called without any.
    pub(super) async fn landed(&mut self) {
        poll_fn(|cx| {
            let before = self.under_way.len();
            self.under_way
                .retain_mut(|flight| flight.as_mut().poll(cx).is_pending());
            match self.under_way.len() < before {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}
