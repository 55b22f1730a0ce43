//! Processors over the emulator, under a simulated clock: they join, leave, stall, fail and are killed.

mod handling;
mod ownership;
mod pulling;
mod store;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    store: Arc<UnreliableStore>,
    clock: Clock,
    seen: Arc<Seen>,
    published: Mutex<BTreeMap<String, i64>>,
}

/// The events that were processed, and what befell the processors.
#[derive(Default)]
struct Seen {
    /// How often each event of each partition was handled.
    handled: Mutex<BTreeMap<(String, i64), usize>>,
    told: Mutex<Vec<(String, ProcessorEvent)>>,
}

impl Scene {
    async fn new() -> Self {
        let emulator = start(EmulatorOptions::new()).await;
        let began = Instant::now();
        let clock = Clock::new(move || {
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + began.elapsed()
        });
        let store = MemoryCheckpointStore::with_clock(clock.clone());
        Self {
            client: client(&emulator).await,
            emulator,
            store: Arc::new(UnreliableStore::new(store)),
            clock,
            seen: Arc::default(),
            published: Mutex::default(),
        }
    }

    fn options(&self, owner: &'static str) -> ProcessorOptions {
        let seen = self.seen.clone();
        let observer = ProcessorObserver::new(move |event| {
            let told = (owner.to_owned(), event.clone());
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
        // A connection of its own, as another process would have.
        let client = client(&self.emulator).await;
        Processor::start(client, self.store.clone(), options).unwrap()
    }

    /// A processor that counts each event and writes a checkpoint after each batch.
    async fn worker(&self, owner: &'static str) -> Worker {
        let processor = self.start(self.options(owner).max_batch(3)).await;
        let (runner, seen) = (processor.clone(), self.seen.clone());
        let handlers = Arc::new(AtomicUsize::new(0));
        let running = tokio::spawn(async move {
            let counting = |_: &str| Counting::new(seen.clone(), handlers.clone());
            runner.run(counting).await;
        });
        Worker { processor, running }
    }

    /// Publishes so many events to each partition.
    async fn publish(&self, count: i64) {
        let producer = producer(&self.client);
        for partition in 0..PARTITIONS {
            let partition = partition.to_string();
            for _ in 0..count {
                producer.send_to(to(&partition), "x").await.unwrap();
            }
            let mut published = self.published.lock().unwrap();
            *published.entry(partition).or_default() += count;
        }
    }

    /// Who owns the partitions according to the store, in their order.
    async fn owners(&self) -> Vec<String> {
        let mut records = self.ownerships().await;
        records.sort_by(|a, b| a.partition.cmp(&b.partition));
        records.into_iter().map(|record| record.owner).collect()
    }

    async fn ownerships(&self) -> Vec<Ownership> {
        self.store
            .good
            .list_ownerships(&self.group())
            .await
            .unwrap()
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
        let all = self.store.good.list_checkpoints(&group).await.unwrap();
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

    /// Every event of every partition must have been handled.
    fn assert_all_handled(&self) {
        let handled = self.seen.handled.lock().unwrap();
        for (partition, count) in &*self.published.lock().unwrap() {
            for number in 0..*count {
                let key = (partition.clone(), number);
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
        self.running.abort();
        let _ = self.running.await;
    }
}

/// Counts events, and sees that they come in order and without gaps.
struct Counting {
    seen: Arc<Seen>,
    /// Handlers of the processor that are at work.
    at_work: Arc<AtomicUsize>,
    last: Option<i64>,
}

impl Counting {
    fn new(seen: Arc<Seen>, at_work: Arc<AtomicUsize>) -> Self {
        at_work.fetch_add(1, Ordering::Relaxed);
        Self {
            seen,
            at_work,
            last: None,
        }
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.at_work.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PartitionHandler for Counting {
    async fn handle(
        &mut self,
        partition: &mut Partition,
        events: &[ReceivedEvent],
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        for event in events {
            let number = event.sequence_number();
            assert!(
                self.last.is_none_or(|last| number == last + 1),
                "{number} after {:?}",
                self.last
            );
            self.last = Some(number);
            self.seen.handled(partition.id(), event);
        }
        sleep(Duration::from_millis(100)).await;
        partition.checkpoint(&events[events.len() - 1]).await?;
        Ok(())
    }
}
