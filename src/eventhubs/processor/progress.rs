//! How far a partition has been processed, and when that is to be written down.

use std::time::Duration;

use tokio::time::Instant;

use super::options::Checkpoints;
use crate::eventhubs::checkpoint::Checkpoint;

/// The processed events of a partition that no checkpoint covers.
#[derive(Debug)]
pub(super) struct Progress {
    policy: Checkpoints,
    /// The last processed event, if it is to be written.
    pending: Option<Checkpoint>,
    /// Events since the last checkpoint.
    events: u64,
    /// Since when there is something to write.
    since: Instant,
}

impl Progress {
    pub(super) fn new(policy: Checkpoints) -> Self {
        Self {
            policy,
            pending: None,
            events: 0,
            since: Instant::now(),
        }
    }

    /// So many more events have been processed; the last is this one.
    pub(super) fn processed(&mut self, last: Checkpoint, events: u64) {
        if self.policy == Checkpoints::Explicit {
            return;
        }
        if self.pending.is_none() {
            self.since = Instant::now();
        }
        self.pending = Some(last);
        self.events += events;
    }

    /// When the pending checkpoint must be written; `None` if there is none.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pending.as_ref()?;
        match self.policy {
            Checkpoints::Explicit => None,
            Checkpoints::Automatic { events, .. } if self.events >= events => Some(self.since),
            Checkpoints::Automatic { interval, .. } => self.since.checked_add(interval),
        }
    }

    pub(super) fn is_due(&self) -> bool {
        self.due().is_some_and(|due| due <= Instant::now())
    }

    pub(super) fn pending(&self) -> Option<&Checkpoint> {
        self.pending.as_ref()
    }

    /// A checkpoint was written: what it covers is done.
    pub(super) fn written(&mut self, checkpoint: &Checkpoint) {
        let covers =
            |pending: &mut Checkpoint| pending.sequence_number <= checkpoint.sequence_number;
        if self.pending.take_if(covers).is_some() {
            self.events = 0;
        }
    }

    /// It could not be written, and is due again only once as much more has been done.
    pub(super) fn postpone(&mut self) {
        self.events = 0;
        self.since = Instant::now();
    }
}

/// The pause that keeps a consumer from waiting for ever where there is nothing to wait for.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: i64) -> Checkpoint {
        Checkpoint::new("0", number.to_string(), number)
    }

    #[tokio::test(start_paused = true)]
    async fn a_checkpoint_is_due_after_so_many_events_or_so_much_time() {
        let interval = Duration::from_secs(5);
        let mut progress = Progress::new(Checkpoints::automatic(10, interval));
        assert_eq!(progress.due(), None);
        tokio::time::advance(interval * 2).await;
        progress.processed(at(3), 4);
        assert!(!progress.is_due(), "the time counts from the first event");
        tokio::time::advance(interval).await;
        assert!(progress.is_due());
        progress.written(&at(3));
        assert_eq!((progress.due(), progress.pending()), (None, None));
        progress.processed(at(12), 9);
        assert!(!progress.is_due());
        progress.processed(at(13), 1);
        assert!(progress.is_due());
        progress.postpone();
        assert!(!progress.is_due());
        tokio::time::advance(interval).await;
        assert!(progress.is_due());
        assert_eq!(progress.pending(), Some(&at(13)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_older_checkpoint_leaves_what_is_pending() {
        let mut progress = Progress::new(Checkpoints::automatic(2, Duration::MAX));
        progress.processed(at(7), 8);
        progress.written(&at(6));
        assert!(progress.is_due());
        progress.written(&at(8));
        assert_eq!(progress.pending(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_policy_nothing_is_ever_due() {
        let mut progress = Progress::new(Checkpoints::Explicit);
        progress.processed(at(7), 8);
        assert_eq!((progress.due(), progress.pending()), (None, None));
    }
}
