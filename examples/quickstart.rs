//! Events through the whole stack, on a machine without an account, a broker or a container:
//!
//! ```sh
//! cargo run --release --features emulator --example quickstart
//! ```
//!
//! Starts an Event Hubs namespace in this process, publishes 100 000 events to it over TCP, reads them back, and checks that
//! each came once, and in order among those of its partition key.

use std::collections::HashMap;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use amqp10::emulator::{Emulator, EmulatorOptions};
use amqp10::eventhubs::{
    BatchOptions, Client, ClientOptions, ConsumerOptions, EventHubsError, Position, Producer,
    ProducerOptions,
};
use tokio::task::JoinSet;

const PARTITIONS: u32 = 4;
const KEYS: u32 = 100;
const BATCHES_PER_KEY: u32 = 10;
const EVENTS_PER_BATCH: u32 = 100;
const EVENTS: u32 = KEYS * BATCHES_PER_KEY * EVENTS_PER_BATCH;

/// The longest pause between two events; in it, all that is there has come.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    // With an account, this is the only line that is different: the connection string comes from the portal.
    let emulator =
        Emulator::start(EmulatorOptions::default().hub("quickstart", PARTITIONS)).await?;
    let connection_string = emulator.connection_string_for("quickstart");

    // One connection; producers and consumers are links on it. The client proves who it is by a signed token.
    let client = Client::connect(&connection_string, ClientOptions::default()).await?;

    let start = Instant::now();
    publish_all(&client).await?;
    let published_in = start.elapsed();

    let start = Instant::now();
    let report = read_all(&client).await?;
    let received_in = start.elapsed();

    client.close().await?;
    emulator.shutdown().await;

    let rate = |time: Duration| (f64::from(EVENTS) / time.as_secs_f64()).round();
    println!(
        "published={EVENTS} received={} lost={} duplicated={} out_of_order={} published_per_s={} received_per_s={}",
        report.received,
        report.lost(),
        report.duplicated,
        report.out_of_order,
        rate(published_in),
        rate(received_in),
    );
    Ok(if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Publishes the events of all keys at once.
async fn publish_all(client: &Client) -> Result<(), Box<dyn Error>> {
    let producer = client.producer(ProducerOptions::default());
    let mut publishers = JoinSet::new();
    for key in 0..KEYS {
        publishers.spawn(publish_key(producer.clone(), format!("device-{key}")));
    }
    while let Some(published) = publishers.join_next().await {
        published??;
    }
    Ok(())
}

/// Publishes the events of one key. Each batch is stored before the next one is sent, so that they stay in order, come what
/// may.
async fn publish_key(producer: Producer, key: String) -> Result<(), EventHubsError> {
    let mut number = 0_u32;
    for _ in 0..BATCHES_PER_KEY {
        // The events of one key go to one partition, which the service chooses.
        let mut batch = producer.create_batch(BatchOptions::key(&key)).await?;
        for _ in 0..EVENTS_PER_BATCH {
            batch
                .try_add(number.to_string())
                .expect("a hundred small events fit a batch");
            number += 1;
        }
        producer.send_batch(batch).await?;
    }
    Ok(())
}

/// Reads all partitions at once, each from its beginning to where it ends now.
async fn read_all(client: &Client) -> Result<Report, Box<dyn Error>> {
    let mut readers = JoinSet::new();
    for partition in client.hub_properties().await?.partition_ids {
        readers.spawn(read_partition(client.clone(), partition));
    }
    let mut report = Report::default();
    while let Some(read) = readers.join_next().await {
        report.add(read??);
    }
    Ok(report)
}

async fn read_partition(client: Client, partition: String) -> Result<Report, EventHubsError> {
    let end = client.partition_properties(&partition).await?;
    let from_start = ConsumerOptions::default().position(Position::earliest());
    let mut consumer = client.consumer(&partition, from_start).await?;

    let mut report = Report::default();
    let mut position = -1;
    while position < end.last_enqueued_sequence_number {
        let events = consumer.recv_batch(1000, PATIENCE).await?;
        if events.is_empty() {
            break; // The rest is lost.
        }
        for event in events {
            position = event.sequence_number();
            let key = event.partition_key().unwrap_or_default();
            let number = std::str::from_utf8(event.body())
                .ok()
                .and_then(|text| text.parse().ok());
            report.count(key, number.unwrap_or(u32::MAX));
        }
    }
    Ok(report)
}

/// What came, compared with what was published.
#[derive(Default)]
struct Report {
    received: u32,
    duplicated: u32,
    out_of_order: u32,
    /// For each key, which of its numbers came, and the highest.
    keys: HashMap<String, (Vec<bool>, u32)>,
}

impl Report {
    fn count(&mut self, key: &str, number: u32) {
        self.received += 1;
        if !self.keys.contains_key(key) {
            let none_came = vec![false; (BATCHES_PER_KEY * EVENTS_PER_BATCH) as usize];
            self.keys.insert(key.to_owned(), (none_came, 0));
        }
        let Some((came, highest)) = self.keys.get_mut(key) else {
            return;
        };
        match came.get_mut(number as usize) {
            // Not one of ours, so one of ours is missing.
            None => {}
            Some(true) => self.duplicated += 1,
            Some(first_time) => {
                *first_time = true;
                self.out_of_order += u32::from(number < *highest);
                *highest = number.max(*highest);
            }
        }
    }

    /// Adds what another partition held: other keys.
    fn add(&mut self, other: Report) {
        self.received += other.received;
        self.duplicated += other.duplicated;
        self.out_of_order += other.out_of_order;
        self.keys.extend(other.keys);
    }

    fn lost(&self) -> u32 {
        let came = self.keys.values().flat_map(|(came, _)| came);
        EVENTS - came.filter(|came| **came).count() as u32
    }

    fn is_clean(&self) -> bool {
        self.received == EVENTS
            && self.lost() == 0
            && self.duplicated == 0
            && self.out_of_order == 0
    }
}
