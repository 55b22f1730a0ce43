//! The way of the events of one partition: a queue, and a task that empties it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use super::flights::Flights;
use super::options::BufferedProducerOptions;
use super::outlet::{Outlet, aborted};
use super::phase::{self, Phase};
use super::queue::{Due, Load, Queue, Waiting};
use super::receipt::EventReceipt;
use crate::SendError;
use crate::eventhubs::error::EventHubsError;
use crate::eventhubs::producer::gate::Place;
use crate::eventhubs::section::EncodedEvent;
use crate::eventhubs::wire::DEFAULT_MAX_MESSAGE_SIZE;
use crate::lock::lock;

/// All of one partition. The task begins with the first event, and ends with the producer.
pub(super) struct Lane {
    pub(super) partition: Arc<str>,
    outlet: Outlet,
    options: Arc<BufferedProducerOptions>,
    queue: Mutex<Queue>,
    /// Something came, or the phase has changed.
    wake: Notify,
    /// All events before this number have their result.
    settled: watch::Sender<u64>,
    phase: watch::Receiver<Phase>,
    /// Octets of a full batch, as far as is known.
    batch_bytes: AtomicUsize,
}

impl Lane {
    pub(super) fn new(
        partition: &str,
        outlet: Outlet,
        options: Arc<BufferedProducerOptions>,
        phase: watch::Receiver<Phase>,
    ) -> Arc<Self> {
        let batch_bytes = options
            .max_batch_bytes
            .unwrap_or(DEFAULT_MAX_MESSAGE_SIZE as usize);
        Arc::new(Self {
            partition: partition.into(),
            outlet,
            options,
            queue: Mutex::default(),
            wake: Notify::new(),
            settled: watch::Sender::new(0),
            phase,
            batch_bytes: AtomicUsize::new(batch_bytes),
        })
    }

    /// Takes an event over, or says that the lane is closed.
    pub(super) fn push(
        self: &Arc<Self>,
        event: EncodedEvent,
        place: Place,
    ) -> Option<EventReceipt> {
        let (verdict, result) = oneshot::channel();
        let is_served = {
            let mut queue = lock(&self.queue);
            if queue.is_closed || *self.phase.borrow() != Phase::Open {
                return None;
            }
            queue.push(Waiting {
                event,
                since: Instant::now(),
                verdict,
                _place: place,
            });
            std::mem::replace(&mut queue.is_served, true)
        };
        match is_served {
            true => self.wake.notify_one(),
            false => drop(tokio::spawn(self.clone().run())),
        }
        Some(EventReceipt::new(self.partition.clone(), result))
    }

    /// Has what is there leave at once, and waits until all of it has its result.
    pub(super) fn flushed(&self) -> impl Future<Output = ()> + use<> {
        let number = lock(&self.queue).flush();
        self.wake.notify_one();
        let mut settled = self.settled.subscribe();
        async move {
            // The lane is gone only if everything has its result.
            let _ = settled.wait_for(|settled| *settled >= number).await;
        }
    }

    /// Has the task look at the phase.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    async fn run(self: Arc<Self>) {
        let mut phase = self.phase.clone();
        let mut flights = Flights::default();
        loop {
            let has_room = flights.len() < self.options.flights();
            tokio::select! {
                biased;
                () = phase::aborted(&mut phase) => break,
                () = flights.landed(), if !flights.is_empty() => {}
                load = self.next_load(), if has_room => match load {
                    Some(load) => flights.start(self.clone().publish(load)),
                    None => break,
                },
            }
        }
        while !flights.is_empty() {
            flights.landed().await;
        }
        let mut queue = lock(&self.queue);
        queue.is_closed = true;
        self.fail(&mut queue, &aborted());
    }

    /// The next batch when it is due; `None` when the producer is closed and nothing is left. Dropped, nothing was taken
    /// from the queue.
    async fn next_load(&self) -> Option<Load> {
        while self.is_due().await {
            let max_bytes = self.options.max_batch_bytes;
            let batch = self.outlet.batch(&self.partition, max_bytes).await;
            let mut queue = lock(&self.queue);
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    tracing::warn!(%error, partition = %self.partition, "events were not published");
                    self.fail(&mut queue, &error);
                    continue;
                }
            };
            let limit = batch.max_size_in_bytes();
            self.batch_bytes.store(limit, Ordering::Relaxed);
            let refuse = |event: &EncodedEvent| {
                let (size, limit) = (event.len() as u64, limit as u64);
                let error = SendError::MessageTooLarge { size, limit };
                EventHubsError::new(format!("send to partition {}", self.partition), error)
            };
            let load = queue.load(batch, self.options.max_batch_count, refuse);
            self.settled.send_replace(queue.settled());
            if load.is_some() {
                return load;
            }
        }
        None
    }

    /// Waits until a batch should leave. `false` once the producer is closed and nothing is left.
    async fn is_due(&self) -> bool {
        loop {
            let due = {
                let mut queue = lock(&self.queue);
                let is_closing = *self.phase.borrow() != Phase::Open;
                if is_closing && queue.is_empty() {
                    queue.is_closed = true;
                    return false;
                }
                match is_closing {
                    true => Due::Now,
                    false => queue.due(&self.options, self.batch_bytes.load(Ordering::Relaxed)),
                }
            };
            match due {
                Due::Now => return true,
                Due::WhenFilled => self.wake.notified().await,
                Due::At(moment) => tokio::select! {
                    biased; // no chance: runs of one seed are alike
                    () = tokio::time::sleep_until(moment) => {}
                    () = self.wake.notified() => {}
                },
            }
        }
    }

    async fn publish(self: Arc<Self>, load: Load) {
        let mut phase = self.phase.clone();
        let published = self.outlet.publish(load.batch, &mut phase).await;
        if let Err(error) = &published {
            let events = load.events.len();
            tracing::warn!(%error, events, partition = %self.partition, "a batch was not published");
        }
        for event in load.events {
            event.resolve(published.clone());
        }
        let mut queue = lock(&self.queue);
        queue.landed(load.first);
        self.settled.send_replace(queue.settled());
    }

    /// Nothing that waits is sent.
    fn fail(&self, queue: &mut Queue, error: &EventHubsError) {
        for event in queue.drain() {
            event.resolve(Err(error.clone()));
        }
        self.settled.send_replace(queue.settled());
    }
}
