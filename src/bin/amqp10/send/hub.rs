//! Sending to a hub, in batches.

use std::future::poll_fn;
use std::task::Poll;

use amqp10::Outcome;
use amqp10::eventhubs::{
    BatchOptions, ConnectionString, ErrorKind, Event, EventBatch, EventHubsError, Producer,
    ProducerOptions, Route,
};
use tokio::task::JoinSet;

use super::bodies::Bodies;
use super::{Arguments, Tally};
use crate::failure::{Context, Failure};
use crate::progress::Progress;
use crate::signals::unless_ended;

const DEFAULT_WINDOW: usize = 16_384;

/// The window is shared out to so many batches.
const BATCHES_IN_FLIGHT: usize = 4;

pub async fn send(
    arguments: &Arguments,
    hub: ConnectionString,
    tally: &mut Tally,
    progress: &Progress,
) -> Result<(), Failure> {
    let client = unless_ended(arguments.connecting.open_client(hub)).await?;
    let window = arguments.window_or(DEFAULT_WINDOW);
    let max_batches = window.min(BATCHES_IN_FLIGHT);
    let mut publishing = Publishing {
        producer: client.producer(ProducerOptions::default().settled(arguments.settled)),
        route: arguments.route(),
        events_per_batch: window / max_batches,
        max_batches,
        bodies: arguments.bodies(),
        in_flight: JoinSet::new(),
        tally,
        progress,
    };
    let sent = unless_ended(publishing.run()).await;
    let closed = client.close().await;
    sent?;
    match arguments.settled {
        // The peer's close tells that all before ours was handed over.
        true => closed.context("it is not known whether all was handed over"),
        // All has its outcome: a connection that fails to close changes nothing.
        false => Ok(()),
    }
}

impl Arguments {
    fn route(&self) -> Route {
        match (&self.partition, &self.key) {
            (Some(partition), _) => Route::partition(partition),
            (None, Some(key)) => Route::key(key),
            (None, None) => Route::Any,
        }
    }
}

struct Publishing<'a> {
    producer: Producer,
    route: Route,
    events_per_batch: usize,
    max_batches: usize,
    bodies: Bodies,
    /// Each with its number of events.
    in_flight: JoinSet<(u64, Result<(), EventHubsError>)>,
    tally: &'a mut Tally,
    progress: &'a Progress,
}

impl Publishing<'_> {
    async fn run(&mut self) -> Result<(), Failure> {
        let sent = self.send_all().await;
        let mut settled = Ok(());
        while let Some(result) = self.settle_one().await {
            settled = settled.and(result);
        }
        sent.and(settled)
    }

    async fn send_all(&mut self) -> Result<(), Failure> {
        // Before the first line is read, so that a wrong key or hub is told at once.
        let mut batch = self.new_batch().await?;
        self.tally.start();
        let mut held_back = None;
        loop {
            let first = match held_back.take() {
                Some(event) => event,
                None => match self.bodies.next().await? {
                    Some(body) => Event::new(body),
                    None => return Ok(()),
                },
            };
            held_back = self.fill(&mut batch, first)?;
            while self.in_flight.len() >= self.max_batches {
                self.settle_one().await.unwrap_or(Ok(()))?;
            }
            self.send_batch(batch).await;
            batch = self.new_batch().await?;
        }
    }

    async fn new_batch(&self) -> Result<EventBatch, Failure> {
        let options = BatchOptions::to(self.route.clone());
        Ok(self.producer.create_batch(options).await?)
    }

    /// Adds what is there without waiting, and gives back the event that had no room any more.
    fn fill(&mut self, batch: &mut EventBatch, first: Event) -> Result<Option<Event>, Failure> {
        let mut next = Some(first);
        while let Some(event) = next {
            if let Err(full) = batch.try_add(event) {
                return match full.into_event() {
                    event if batch.is_empty() => Err(self.too_large(&event, batch)),
                    event => Ok(Some(event)),
                };
            }
            next = match batch.len() < self.events_per_batch {
                true => self.bodies.next_ready()?.map(Event::new),
                false => None,
            };
        }
        Ok(None)
    }

    fn too_large(&self, event: &Event, batch: &EventBatch) -> Failure {
        Failure::new(format!(
            "message {} has {} octets, too many for the hub: it takes {} in all",
            self.tally.sent + 1,
            event.body().len(),
            batch.max_size_in_bytes()
        ))
    }

    /// Hands a batch to the link at once, which keeps the order, and leaves the rest of its way to a task.
    async fn send_batch(&mut self, batch: EventBatch) {
        let producer = self.producer.clone();
        let count = batch.len() as u64;
        let mut sending = Box::pin(async move { (count, producer.send_batch(batch).await) });
        let at_once = poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx))).await;
        match at_once {
            Poll::Ready(result) => self.in_flight.spawn(std::future::ready(result)),
            Poll::Pending => self.in_flight.spawn(sending),
        };
        self.tally.sent += count;
        self.progress.reach(self.tally.sent);
    }

    /// Waits for the next outcome of a batch; None if none is in flight.
    async fn settle_one(&mut self) -> Option<Result<(), Failure>> {
        let (count, result) = match self.in_flight.join_next().await? {
            Ok(sent) => sent,
            Err(error) => return Some(Err(error.into())),
        };
        let Err(error) = result else {
            self.tally.count(count, &Outcome::Accepted);
            return Some(Ok(()));
        };
        match error.outcome() {
            Some(outcome) => self.tally.count(count, outcome),
            None if error.kind() == ErrorKind::OutcomeUnknown => {}
            None => self.tally.sent -= count,
        }
        Some(Err(error.into()))
    }
}
