//! A processor of ours and one of azure-eventhub, Microsoft's client for Python, over one hub and one container of Azurite:
//! they divide the partitions, each takes over when the other is killed, and each goes on at the other's checkpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use amqp10::emulator::{Emulator, EmulatorOptions};
use amqp10::eventhubs::checkpoint::{
    BlobCheckpointStore, BlobCheckpointStoreOptions, CheckpointStore, ConsumerGroupId,
};
use amqp10::eventhubs::processor::{PartitionClient, Processor, ProcessorOptions};
use amqp10::eventhubs::{Client, ClientOptions, ConnectionString, ProducerOptions, Route};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::blob_store;
use super::program::Program;

const HUB: &str = "orders";
const PARTITIONS: u32 = 4;
const OURS: &str = "ours";
const THEIRS: &str = "theirs";
/// As Python's program is told to have them.
const INTERVAL: Duration = Duration::from_secs(1);
const EXPIRATION: Duration = Duration::from_secs(6);

/// The hub, the container, and what was read so far.
struct Scene {
    emulator: Emulator,
    /// Of the storage account.
    blobs: String,
    container: String,
    group: ConsumerGroupId,
    store: BlobCheckpointStore,
    python: Program,
    reads: Arc<Mutex<Vec<Read>>>,
}

/// An event that was processed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Read {
    reader: &'static str,
    partition: String,
    number: i64,
}

/// Python's processor while it runs.
struct Theirs {
    kill: Arc<Notify>,
    ended: JoinHandle<()>,
}

impl Theirs {
    /// Kills it, and reads what it had said before.
    async fn kill(self) {
        self.kill.notify_one();
        self.ended.await.unwrap();
    }
}

impl Scene {
    async fn new() -> Option<Self> {
        let blobs = blob_store::connection_string()?;
        let python = Program::python("eventhubs_client.py")?;
        let container = blob_store::container(&blobs).await;
        let options = EmulatorOptions::default().hub(HUB, PARTITIONS).port(0);
        let emulator = Emulator::start(options).await.unwrap();
        // Python's client takes host and port for the name of the namespace.
        let target: ConnectionString = emulator.connection_string().parse().unwrap();
        let namespace = format!("{}:{}", target.host(), target.port().unwrap());
        let options = BlobCheckpointStoreOptions::default();
        let store = BlobCheckpointStore::with_connection_string(&blobs, &container, options);
        Some(Self {
            group: ConsumerGroupId::new(namespace, HUB, "$Default"),
            store: store.unwrap(),
            emulator,
            blobs,
            container,
            python,
            reads: Arc::default(),
        })
    }

    async fn client(&self) -> Client {
        let target = self.emulator.connection_string();
        let options = ClientOptions::default().hub(HUB);
        Client::connect(&target, options).await.unwrap()
    }

    /// Starts a processor of ours, on threads of its own. Killed, it neither finishes nor gives up anything.
    fn start_ours(&self) -> Runtime {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let connection_string = self.emulator.connection_string();
        let options = ProcessorOptions::default()
            .owner(OURS)
            .namespace(self.group.namespace.as_str())
            .interval(INTERVAL)
            .ownership_expiration(EXPIRATION);
        let blobs = (self.blobs.clone(), self.container.clone());
        let reads = self.reads.clone();
        runtime.spawn(async move {
            let client = ClientOptions::default().hub(HUB);
            let client = Client::connect(&connection_string, client).await.unwrap();
            let store = BlobCheckpointStoreOptions::default();
            let store = BlobCheckpointStore::with_connection_string(&blobs.0, &blobs.1, store);
            let store = Arc::new(store.unwrap());
            let processor = Processor::start(client, store, options).unwrap();
            while let Some(partition) = processor.next_partition().await {
                tokio::spawn(read_ours(partition, reads.clone()));
            }
        });
        runtime
    }

    /// Starts Python's processor.
    fn start_theirs(&self) -> Theirs {
        let mut running = self.python.start(&[
            &self.emulator.connection_string(),
            HUB,
            "process",
            THEIRS,
            "--blobs",
            &self.blobs,
            "--container",
            &self.container,
        ]);
        let reads = self.reads.clone();
        let kill = Arc::new(Notify::new());
        let killed = kill.clone();
        let ended = tokio::spawn(async move {
            loop {
                let line = tokio::select! {
                    line = running.next() => line,
                    () = killed.notified() => {
                        running.kill();
                        continue;
                    }
                };
                let Some(line) = line else { break };
                let event = &line["event"];
                let partition = event["partition"].as_str();
                let number = event["sequence_number"].as_i64();
                if let (Some(partition), Some(number)) = (partition, number) {
                    record(&reads, THEIRS, partition, number);
                }
            }
        });
        Theirs { kill, ended }
    }

    /// Who owns which partitions, by the container. Python's processors have other names each time.
    async fn shares(&self) -> BTreeMap<&'static str, BTreeSet<String>> {
        let mut shares = BTreeMap::<_, BTreeSet<_>>::new();
        for record in self.store.list_ownerships(&self.group).await.unwrap() {
            let owner = match record.owner.as_str() {
                OURS => OURS,
                _ => THEIRS,
            };
            shares.entry(owner).or_default().insert(record.partition);
        }
        shares
    }

    /// Waits until both own as many partitions, and read those that they own.
    async fn divided(&self) {
        self.until("the partitions are divided", async || {
            let shares = self.shares().await;
            shares.len() == 2 && shares.values().all(|share| share.len() == 2)
        })
        .await;
        let shares = self.shares().await;
        self.until("each reads what it owns", async || {
            let before = self.reads().len();
            sleep(INTERVAL).await;
            let mut readers = BTreeMap::<_, BTreeSet<_>>::new();
            for read in &self.reads()[before..] {
                let partitions = readers.entry(read.reader).or_default();
                partitions.insert(read.partition.clone());
            }
            readers == shares
        })
        .await;
        assert_eq!(self.shares().await, shares, "they have come to rest");
    }

    /// `left` has been killed: waits until the other reads all partitions. In those that it took over, it must have begun after
    /// the checkpoints that `left` had written.
    async fn taken_over(&self, left: &'static str) {
        let killed = Instant::now();
        // A request that was sent before the kill may still have its effect.
        sleep(Duration::from_millis(300)).await;
        let taken = self.shares().await.remove(left).unwrap();
        let checkpoints = self.store.list_checkpoints(&self.group).await.unwrap();
        let before = self.reads().len();
        let first = |partition: &str| {
            let reads = self.reads();
            let mut later = reads[before..].iter();
            let first = later.find(|read| read.reader != left && read.partition == partition);
            first.map(|read| read.number)
        };
        self.until("the other has taken over", async || {
            let all = self.shares().await.into_values().next().unwrap();
            all.len() == PARTITIONS as usize && taken.iter().all(|id| first(id).is_some())
        })
        .await;
        eprintln!(
            "partitions of {left} taken over {:?} after its end",
            killed.elapsed()
        );
        for checkpoint in checkpoints {
            let number = checkpoint.sequence_number.unwrap();
            if taken.contains(&checkpoint.partition) {
                assert!(number > 0, "{checkpoint:?}");
                assert_eq!(
                    first(&checkpoint.partition),
                    Some(number + 1),
                    "{checkpoint:?}"
                );
            }
        }
    }

    fn reads(&self) -> Vec<Read> {
        self.reads.lock().unwrap().clone()
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let began = Instant::now();
        while !holds().await {
            let shares = self.shares().await;
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "{what}: {shares:?}"
            );
            sleep(Duration::from_millis(200)).await;
        }
    }
}

async fn read_ours(mut partition: PartitionClient, reads: Arc<Mutex<Vec<Read>>>) {
    while let Ok(events) = partition.recv_batch(10, Duration::from_millis(100)).await {
        for event in &events {
            record(&reads, OURS, partition.id(), event.sequence_number());
        }
        if let Some(last) = events.last()
            && partition.checkpoint(last).await.is_err()
        {
            break;
        }
    }
    let _ = partition.close().await;
}

fn record(reads: &Mutex<Vec<Read>>, reader: &'static str, partition: &str, number: i64) {
    reads.lock().unwrap().push(Read {
        reader,
        partition: partition.to_owned(),
        number,
    });
}

/// Publishes to all partitions in turn until it is told to stop; says how many events each has then.
async fn publish(client: Client, stop: Arc<AtomicBool>) -> i64 {
    let producer = client.producer(ProducerOptions::default());
    let mut published = 0;
    while !stop.load(Ordering::Relaxed) {
        for partition in 0..PARTITIONS {
            let route = Route::partition(partition.to_string());
            let event = format!("event {published}");
            producer.send_to(route, event).await.unwrap();
        }
        published += 1;
        // Python's client hands out the first of its events when 300 have come, or none for 0.2 s, and so for each further one.
        sleep(Duration::from_millis(400)).await;
    }
    published
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_divided_and_taken_over_between_our_processor_and_pythons() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let stop = Arc::new(AtomicBool::new(false));
    let publishing = tokio::spawn(publish(scene.client().await, stop.clone()));

    let theirs = scene.start_theirs();
    let ours = scene.start_ours();
    scene.divided().await;

    theirs.kill().await;
    scene.taken_over(THEIRS).await;

    let theirs = scene.start_theirs();
    scene.divided().await;

    ours.shutdown_background();
    scene.taken_over(OURS).await;

    stop.store(true, Ordering::Relaxed);
    let published = publishing.await.unwrap();
    let all: BTreeSet<_> = (0..PARTITIONS)
        .flat_map(|partition| (0..published).map(move |number| (partition.to_string(), number)))
        .collect();
    scene
        .until("every event was processed", async || {
            let reads = scene.reads().into_iter();
            reads
                .map(|read| (read.partition, read.number))
                .collect::<BTreeSet<_>>()
                == all
        })
        .await;
    theirs.kill().await;
    let (reads, events) = (scene.reads().len(), all.len());
    eprintln!(
        "{events} events published, each processed; {} of them twice",
        reads - events
    );
}
