//! A message that a consumer has acquired.

use std::sync::Arc;

use tokio::time::Instant;

use super::Shared;
use super::nodes::{LinkId, Nodes, QueueId};
use super::queue::Place;
use crate::codec::Outcome;
use crate::lock::lock;

/// An acquired message. Dropped without an outcome, it gets the default outcome of the link that it was sent on (O-016).
#[derive(Debug)]
pub(super) struct Acquired {
    pub(super) shared: Arc<Shared>,
    pub(super) queue: QueueId,
    pub(super) place: Place,
    pub(super) consumer: LinkId,
    /// None once it has an outcome.
    pub(super) default_outcome: Option<Outcome>,
}

impl Acquired {
    pub(super) fn settle(self, outcome: Outcome) {
        let shared = Arc::clone(&self.shared);
        self.settle_in(&mut lock(&shared.nodes), outcome);
    }

    /// The same as one of several changes.
    pub(super) fn settle_in(mut self, nodes: &mut Nodes, outcome: Outcome) {
        self.default_outcome = None;
        self.apply(nodes, outcome);
    }

    fn apply(&self, nodes: &mut Nodes, outcome: Outcome) {
        let now = Instant::now();
        nodes.settle(self.queue, self.place, self.consumer, outcome, now);
    }

    /// Whether an outcome would still change something: the queue may have been deleted.
    pub(super) fn is_live(&self, nodes: &Nodes) -> bool {
        nodes.is_acquired(self.queue, self.place)
    }
}

impl Drop for Acquired {
    fn drop(&mut self) {
        if let Some(outcome) = self.default_outcome.take() {
            self.apply(&mut lock(&self.shared.nodes), outcome);
        }
    }
}
