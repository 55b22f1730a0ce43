//! How a queue tells a consumer's task that there may be something for it.
//!
//! Bells are rung under the broker's lock and take that of a connection's engine for a moment. Nothing takes the two the other
//! way round: an engine calls nobody under its lock.

use std::sync::OnceLock;

use tokio::sync::Notify;

use crate::Sender;

/// Rung when a message becomes available and it is this consumer's turn.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Notify,
    sender: OnceLock<Sender>,
}

impl Bell {
    /// The link that is to know at once: a drain that arrives after the message waits for it (K-013).
    pub(super) fn hang_at(&self, sender: &Sender) {
        // A second link cannot come: each consumer has a bell of its own.
        let _ = self.sender.set(sender.clone());
    }

    /// Wakes the consumer's task. Whether the link has credit for what there is: else its task has only that to wait for.
    pub(super) fn ring(&self) -> bool {
        let has_credit = self.sender.get().is_none_or(|link| link.credit() > 0);
        if has_credit {
            self.say(true);
        }
        self.rung.notify_one();
        has_credit
    }

    /// Tells the link whether there is something for it.
    pub(super) fn say(&self, is_available: bool) {
        if let Some(sender) = self.sender.get() {
            sender.set_available(is_available.into());
        }
    }

    pub(super) async fn rung(&self) {
        self.rung.notified().await;
    }
}
