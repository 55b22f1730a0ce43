//! The events of one partition that wait to be sent, and which of them have their result.

use std::collections::VecDeque;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::options::BufferedProducerOptions;
use crate::eventhubs::batch::EventBatch;
use crate::eventhubs::error::EventHubsError;
use crate::eventhubs::producer::gate::Place;
use crate::eventhubs::section::EncodedEvent;

/// An event without a result.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) event: EncodedEvent,
    pub(super) since: Instant,
    pub(super) verdict: oneshot::Sender<Result<(), EventHubsError>>,
    /// In the buffer of all partitions.
    pub(super) _place: Place,
}

impl Waiting {
    /// Tells who asks, if somebody does.
    pub(super) fn resolve(self, result: Result<(), EventHubsError>) {
        let _ = self.verdict.send(result);
    }
}

/// Events that leave together.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) batch: EventBatch,
    pub(super) events: Vec<Waiting>,
    /// The first one's number.
    pub(super) first: u64,
}

/// When the next batch leaves.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Now,
    At(Instant),
    /// As soon as something comes.
    WhenFilled,
}

/// Events are numbered as they come, from 0.
#[derive(Debug, Default)]
pub(super) struct Queue {
    events: VecDeque<Waiting>,
    octets: usize,
    /// Number of the next event to come.
    next: u64,
    /// First numbers of the batches under way.
    under_way: Vec<u64>,
    /// Events before this number wait for no others.
    flushed: u64,
    /// There is a task that takes events out.
    pub(super) is_served: bool,
    /// The task has ended for good.
    pub(super) is_closed: bool,
}

impl Queue {
    pub(super) fn push(&mut self, event: Waiting) {
        self.octets += event.event.len();
        self.next += 1;
        self.events.push_back(event);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Number of the event at the head.
    fn head(&self) -> u64 {
        self.next - self.events.len() as u64
    }

    fn pop(&mut self) -> Option<Waiting> {
        let event = self.events.pop_front()?;
        self.octets -= event.event.len();
        Some(event)
    }

    pub(super) fn due(&self, options: &BufferedProducerOptions, batch_bytes: usize) -> Due {
        let Some(head) = self.events.front() else {
            return Due::WhenFilled;
        };
        let is_full = self.events.len() >= options.max_batch_count || self.octets >= batch_bytes;
        if is_full || self.head() < self.flushed || options.linger.is_zero() {
            return Due::Now;
        }
        match head.since.checked_add(options.linger) {
            Some(moment) if moment > Instant::now() => Due::At(moment),
            Some(_) => Due::Now,
            None => Due::WhenFilled,
        }
    }

    /// What is there leaves without waiting for more. Returns the number before which it all is.
    pub(super) fn flush(&mut self) -> u64 {
        self.flushed = self.next;
        self.next
    }

    /// Fills a batch; of an event that fits no batch, `refuse` makes the error.
    pub(super) fn load(
        &mut self,
        mut batch: EventBatch,
        max_count: usize,
        refuse: impl Fn(&EncodedEvent) -> EventHubsError,
    ) -> Option<Load> {
        let mut first = self.head();
        let mut events = Vec::new();
        while let Some(head) = self.events.front()
            && events.len() < max_count.max(1)
        {
            if batch.append(&head.event) {
                events.extend(self.pop());
            } else if batch.is_empty() {
                let error = refuse(&head.event);
                if let Some(event) = self.pop() {
                    event.resolve(Err(error));
                }
                first = self.head();
            } else {
                break;
            }
        }
        if events.is_empty() {
            return None;
        }
        self.under_way.push(first);
        Some(Load {
            batch,
            events,
            first,
        })
    }

    /// The batch with that first number has its result.
    pub(super) fn landed(&mut self, first: u64) {
        self.under_way.retain(|other| *other != first);
    }

    /// All that waits.
    pub(super) fn drain(&mut self) -> Vec<Waiting> {
        self.octets = 0;
        self.events.drain(..).collect()
    }

    /// Number before which all events have their result.
    pub(super) fn settled(&self) -> u64 {
        let under_way = self.under_way.iter().copied().min();
        under_way.map_or(self.head(), |first| first.min(self.head()))
    }
}
