//! Two processors divide the partitions of a hub; one stops, and the other goes on where it was:
//!
//! ```sh
//! cargo run --features emulator --example processor
//! ```
//!
//! Needs neither account nor broker: the hub lives in this process, and the checkpoints in a folder. With a real namespace and
//! a store that all machines reach, the two would be two programs.

use std::error::Error;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amqp10::emulator::{Emulator, EmulatorOptions};
use amqp10::eventhubs::checkpoint::FileCheckpointStore;
use amqp10::eventhubs::processor::{
    Checkpoints, Partition, PartitionHandler, Processor, ProcessorOptions, StopReason,
};
use amqp10::eventhubs::{Client, ClientOptions, ProducerOptions, ReceivedEvent, Route};
use tokio::task::JoinHandle;

const PARTITIONS: u32 = 4;
/// Published to each partition, in each of the two halves of the run.
const EVENTS: usize = 250;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let emulator = Emulator::start(EmulatorOptions::default().hub("orders", PARTITIONS)).await?;
    let address = emulator.connection_string_for("orders");
    let folder = std::env::temp_dir().join(format!("amqp10-processor-{}", std::process::id()));
    let store = Arc::new(FileCheckpointStore::new(&folder));

    let seen = Arc::new(Seen::new());
    let (alice, alice_runs) = start("alice", &address, &store, &seen).await?;
    let (bob, bob_runs) = start("bob", &address, &store, &seen).await?;

    // The first takes all partitions; soon, each has half of them.
    tokio::time::sleep(Duration::from_secs(2)).await;
    publish(&address, 0).await?;
    seen.wait_for(EVENTS * PARTITIONS as usize).await;

    // Whoever shuts down writes a last checkpoint and gives its partitions up; the other takes them at its next look.
    alice.shutdown(Duration::from_secs(10)).await?;
    alice_runs.await?;
    println!("alice has stopped");
    publish(&address, EVENTS).await?;
    seen.wait_for(2 * EVENTS * PARTITIONS as usize).await;

    bob.shutdown(Duration::from_secs(10)).await?;
    bob_runs.await?;
    emulator.shutdown().await;
    std::fs::remove_dir_all(folder)?;

    let missing = seen.missing();
    println!(
        "published={} handled={} missing={missing}",
        2 * EVENTS * PARTITIONS as usize,
        seen.handled.load(Ordering::Relaxed),
    );
    Ok(match missing {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Starts a processor that handles each partition by a [`Counter`].
async fn start(
    name: &'static str,
    address: &str,
    store: &Arc<FileCheckpointStore>,
    seen: &Arc<Seen>,
) -> Result<(Processor, JoinHandle<()>), Box<dyn Error>> {
    let client = Client::connect(address, ClientOptions::default()).await?;
    let options = ProcessorOptions::default()
        .owner(name)
        // Fast, for a program that is watched. The defaults are 10 seconds and a minute.
        .interval(Duration::from_millis(500))
        .ownership_expiration(Duration::from_secs(3))
        // After a hundred events or a second, and when a partition is stopped.
        .checkpoints(Checkpoints::automatic(100, Duration::from_secs(1)));
    let processor = Processor::start(client, store.clone(), options)?;

    let (runner, seen) = (processor.clone(), seen.clone());
    let running = tokio::spawn(async move {
        let counter = |_: &str| Counter {
            name,
            seen: seen.clone(),
        };
        runner.run(counter).await;
    });
    Ok((processor, running))
}

/// What is done with the events of one partition.
struct Counter {
    name: &'static str,
    seen: Arc<Seen>,
}

impl PartitionHandler for Counter {
    async fn start(&mut self, partition: &mut Partition) {
        println!("{} has partition {}", self.name, partition.id());
    }

    /// `Ok` says that the events need no more work: a checkpoint may cover them. After an error they would come again.
    async fn handle(
        &mut self,
        partition: &mut Partition,
        events: &[ReceivedEvent],
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        for event in events {
            let number = std::str::from_utf8(event.body())?.parse()?;
            self.seen.note(partition.id().parse()?, number);
        }
        Ok(())
    }

    async fn stop(&mut self, partition: &mut Partition, reason: StopReason) {
        println!("{} stops partition {}: {reason}", self.name, partition.id());
    }
}

/// Publishes numbered events to each partition.
async fn publish(address: &str, first: usize) -> Result<(), Box<dyn Error>> {
    let client = Client::connect(address, ClientOptions::default()).await?;
    let producer = client.producer(ProducerOptions::default());
    for partition in 0..PARTITIONS {
        let route = Route::partition(partition.to_string());
        for number in first..first + EVENTS {
            producer.send_to(route.clone(), number.to_string()).await?;
        }
    }
    client.close().await?;
    Ok(())
}

/// Which events were handled. One may come twice: at least once is the promise.
struct Seen {
    partitions: Mutex<Vec<Vec<bool>>>,
    handled: AtomicUsize,
}

impl Seen {
    fn new() -> Self {
        Self {
            partitions: Mutex::new(vec![vec![false; 2 * EVENTS]; PARTITIONS as usize]),
            handled: AtomicUsize::new(0),
        }
    }

    fn note(&self, partition: usize, number: usize) {
        let mut partitions = self.partitions.lock().expect("no holder panics");
        partitions[partition][number] = true;
        self.handled.fetch_add(1, Ordering::Relaxed);
    }

    fn missing(&self) -> usize {
        let partitions = self.partitions.lock().expect("no holder panics");
        partitions.iter().flatten().filter(|seen| !**seen).count()
    }

    /// Waits until so many events were handled, or for half a minute.
    async fn wait_for(&self, events: usize) {
        let all = 2 * EVENTS * PARTITIONS as usize;
        for _ in 0..300 {
            if self.missing() <= all - events {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
