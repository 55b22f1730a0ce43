//! Processors over the emulator, under a simulated clock: they join, leave, stall, fail and are killed.

mod handling;
mod ownership;
mod pulling;
mod seeds;
mod store;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use amqp10::emulator::{Emulator, EmulatorOptions};
use amqp10::eventhubs::checkpoint::{
    CheckpointStore, ConsumerGroupId, MemoryCheckpointStore, Ownership,
};
use amqp10::eventhubs::processor::{
    Partition, PartitionHandler, Processor, ProcessorEvent, ProcessorObserver, ProcessorOptions,
};
use amqp10::eventhubs::{Client, Clock, ReceivedEvent};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use self::store::UnreliableStore;
use super::{HUB, PARTITIONS, client, producer, start, text, to};

const INTERVAL: Duration = Duration::from_secs(10);
const EXPIRATION: Duration = Duration::from_secs(60);

/// In this time, processors have come to rest after anything but a death.
const SETTLED: Duration = Duration::from_secs(45);

/// A hub, a store and a clock, and what processors have seen so far.
struct Scene {
    emulator: Arc<Emulator>,
    client: Client,
    store: Arc<MemoryCheckpointStore>,
    clock: Clock,
    seen: Arc<Seen>,
}

/// The events that were processed, and what befell the processors.
#[derive(Default)]
struct Seen {
    /// How often each event of each partition was handled.
    handled: Mutex<BTreeMap<(String, i64), usize>>,
    told: Mutex<Vec<(String, ProcessorEvent)>>,
    /// Events that did not follow the one before.
    disorder: Mutex<Vec<String>>,
}

impl Scene {
    async fn new() -> Self {
        Self::with(EmulatorOptions::default()).await
    }

    async fn with(options: EmulatorOptions) -> Self {
        let emulator = start(options).await;
        let clock = Clock::simulated(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        Self {
            client: client(&emulator).await,
            emulator,
            store: Arc::new(MemoryCheckpointStore::with_clock(clock.clone())),
            clock,
            seen: Arc::default(),
        }
    }

    fn options(&self, owner: &str) -> ProcessorOptions {
        let (seen, who) = (self.seen.clone(), owner.to_owned());
        let observer = ProcessorObserver::new(move |event| {
            let told = (who.clone(), event.clone());
            seen.told.lock().unwrap().push(told);
        });
        ProcessorOptions::default()
            .owner(owner)
            .interval(INTERVAL)
            .ownership_expiration(EXPIRATION)
            .clock(self.clock.clone())
            .seed(7)
            .observer(observer)
    }

    async fn start(&self, options: ProcessorOptions) -> Processor {
        self.start_on(self.store.clone(), options).await
    }

    async fn start_on(
        &self,
        store: Arc<dyn CheckpointStore>,
        options: ProcessorOptions,
    ) -> Processor {
        // A connection of its own, as another process would have.
        let client = loop {
            let options = super::options(&self.emulator);
            let string = self.emulator.connection_string();
            // One try only: a fault may befall it.
            if let Ok(client) = Client::connect(&string, options).await {
                break client;
            }
        };
        Processor::start(client, store, options).unwrap()
    }

    /// A processor that counts each event and writes a checkpoint after each batch.
    async fn worker(&self, owner: &str) -> Worker {
        let store = Arc::new(UnreliableStore::new(self.store.clone()));
        let options = self.options(owner).max_batch(3);
        let processor = self.start_on(store.clone(), options).await;
        let (runner, seen) = (processor.clone(), self.seen.clone());
        let running = tokio::spawn(async move {
            let counting = |_: &str| Counting::new(seen.clone());
            runner.run(counting).await;
        });
        Worker {
            store,
            processor,
            running,
        }
    }

    /// Publishes so many events to each partition; fewer where faults do not let it.
    async fn publish(&self, count: usize) {
        let producer = producer(&self.client);
        for partition in 0..PARTITIONS {
            for _ in 0..count {
                let _ = producer.send_to(to(&partition.to_string()), "x").await;
            }
        }
    }

    /// Who owns the partitions according to the store, in their order.
    async fn owners(&self) -> Vec<String> {
        let mut records = self.ownerships().await;
        records.sort_by(|a, b| a.partition.cmp(&b.partition));
        records.into_iter().map(|record| record.owner).collect()
    }

    async fn ownerships(&self) -> Vec<Ownership> {
        self.store.list_ownerships(&self.group()).await.unwrap()
    }

    /// How many partitions each of these owns.
    async fn shares(&self, names: &[&str]) -> Vec<usize> {
        let owners = self.owners().await;
        let share = |name: &&str| owners.iter().filter(|owner| owner == name).count();
        names.iter().map(share).collect()
    }

    fn group(&self) -> ConsumerGroupId {
        ConsumerGroupId::new(self.client.host(), HUB, "$Default")
    }

    /// The number in the last checkpoint of each partition.
    async fn checkpoints(&self) -> BTreeMap<String, i64> {
        let group = self.group();
        let all = self.store.list_checkpoints(&group).await.unwrap();
        let number = |checkpoint: amqp10::eventhubs::checkpoint::Checkpoint| {
            (checkpoint.partition, checkpoint.sequence_number.unwrap())
        };
        all.into_iter().map(number).collect()
    }

    fn told(&self, owner: &str, wanted: impl Fn(&ProcessorEvent) -> bool) -> usize {
        let told = self.seen.told.lock().unwrap();
        let of_this = told
            .iter()
            .filter(|(who, event)| who == owner && wanted(event));
        of_this.count()
    }

    /// Every event of every partition must have been handled, in order.
    async fn assert_all_handled(&self) {
        assert_eq!(*self.seen.disorder.lock().unwrap(), [""; 0]);
        for partition in 0..PARTITIONS {
            let partition = partition.to_string();
            let properties = self.client.partition_properties(&partition).await.unwrap();
            for number in 0..=properties.last_enqueued_sequence_number {
                let key = (partition.clone(), number);
                let handled = self.seen.handled.lock().unwrap();
                assert!(handled.contains_key(&key), "{key:?} was never handled");
            }
        }
    }

    /// How many events were handled more than once.
    fn duplicates(&self) -> usize {
        let handled = self.seen.handled.lock().unwrap();
        handled.values().map(|times| times - 1).sum()
    }
}

impl Seen {
    fn handled(&self, partition: &str, event: &ReceivedEvent) {
        let key = (partition.to_owned(), event.sequence_number());
        *self.handled.lock().unwrap().entry(key).or_default() += 1;
    }
}

struct Worker {
    store: Arc<UnreliableStore>,
    processor: Processor,
    running: JoinHandle<()>,
}

impl Worker {
    async fn shutdown(self) {
        self.processor.shutdown(EXPIRATION).await.unwrap();
        self.running.await.unwrap();
    }

    /// As if its process had been killed.
    async fn kill(self) {
        drop(self.processor);
        self.running.abort();
        let _ = self.running.await;
    }
}

/// Counts events, and sees that they come in order and without gaps.
struct Counting {
    seen: Arc<Seen>,
    /// The last event of the last batch that succeeded.
    last: Option<i64>,
}

impl Counting {
    fn new(seen: Arc<Seen>) -> Self {
        Self { seen, last: None }
    }
}

impl PartitionHandler for Counting {
    async fn handle(
        &mut self,
        partition: &mut Partition,
        events: &[ReceivedEvent],
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut last = self.last;
        for event in events {
            let number = event.sequence_number();
            if last.is_some_and(|last| number != last + 1) {
                let what = format!("partition {}: {number} after {last:?}", partition.id());
                self.seen.disorder.lock().unwrap().push(what);
            }
            last = Some(number);
            self.seen.handled(partition.id(), event);
        }
        sleep(Duration::from_millis(100)).await;
        partition.checkpoint(&events[events.len() - 1]).await?;
        self.last = last;
        Ok(())
    }
}
