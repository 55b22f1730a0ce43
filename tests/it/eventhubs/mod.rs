//! The Event Hubs client against the emulator.

mod authorization;
mod buffered;
mod buffered_faults;
mod connections;
#[cfg(feature = "metrics")]
mod counting;
#[cfg(feature = "entra")]
mod entra;
mod fault_example;
mod faults;
mod file_store;
mod georeplication;
mod idempotent;
mod idleness;
mod in_flight;
mod large;
mod live;
mod logging;
mod processor;
mod publishing;
mod reading;
mod recovery;
mod renewal;
mod script;
mod scripted;
mod simulation;
mod trace_context;
#[cfg(feature = "websocket")]
mod transport;
mod watching;

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use amqp10::emulator::{Emulator, EmulatorOptions};
use amqp10::eventhubs::{
    Client, ClientObserver, ClientOptions, Connector, ConsumerOptions, PartitionConsumer, Position,
    Producer, ProducerOptions, ReceivedEvent, RetryPolicy, Route,
};
use amqp10::{Clock, Connection};

const HUB: &str = "orders";
const PARTITIONS: u32 = 4;

/// An emulator that outlives the client's connector.
async fn emulator() -> Arc<Emulator> {
    start(EmulatorOptions::default()).await
}

async fn start(options: EmulatorOptions) -> Arc<Emulator> {
    let groups = (0..4).fold(options.hub(HUB, PARTITIONS), |options, number| {
        options.consumer_group(HUB, format!("group-{number}"))
    });
    let options = groups.port(0);
    Arc::new(Emulator::start(options).await.unwrap())
}

/// A clock that runs with the runtime's time. Those that are made in the same moment are alike.
fn simulated_clock() -> Clock {
    Clock::simulated(UNIX_EPOCH + Duration::from_secs(1_800_000_000))
}

/// Options that reach an emulator within the process, and do not lose time.
fn options(emulator: &Arc<Emulator>) -> ClientOptions {
    let retry = RetryPolicy::default()
        .first_delay(Duration::from_millis(10))
        .max_delay(Duration::from_millis(100));
    let emulator = emulator.clone();
    let connector = Connector::new(move |options| {
        let stream = emulator.connect();
        async move { Connection::open_with_stream(stream, options).await }
    });
    ClientOptions::default()
        .hub(HUB)
        .retry(retry)
        .connector(connector)
}

async fn client(emulator: &Arc<Emulator>) -> Client {
    Client::connect(&emulator.connection_string(), options(emulator))
        .await
        .unwrap()
}

fn producer(client: &Client) -> Producer {
    client.producer(ProducerOptions::default())
}

fn to(partition: &str) -> Route {
    Route::partition(partition)
}

async fn from_start(client: &Client, partition: &str) -> PartitionConsumer {
    let options = ConsumerOptions::default().position(Position::earliest());
    client.consumer(partition, options).await.unwrap()
}

/// The next event, which must come soon.
async fn next(consumer: &mut PartitionConsumer) -> ReceivedEvent {
    soon(consumer.recv()).await.unwrap()
}

/// Whatever is waited for must come soon.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("it should have come by now")
}

fn text(event: &ReceivedEvent) -> &str {
    std::str::from_utf8(event.body()).unwrap()
}

/// Publishes `count` numbered events to partition 0, starting with `first`.
async fn publish_numbers(producer: &Producer, first: u32, count: u32) {
    for number in first..first + count {
        producer.send_to(to("0"), number.to_string()).await.unwrap();
    }
}

/// A number in the environment.
fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a seed, or a number of seeds"))
}

/// The seeds to run: `AMQP10_SEED=n` is one, `AMQP10_SEEDS=n` is the first n; so many otherwise.
fn seeds(count: u64) -> Range<u64> {
    match variable("AMQP10_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..variable("AMQP10_SEEDS").unwrap_or(count),
    }
}

/// What a client told, as the names of the events.
type Notes = Arc<Mutex<Vec<String>>>;

/// An observer that notes what it is told.
fn notes() -> (ClientObserver, Notes) {
    let notes = Notes::default();
    let book = notes.clone();
    let observer = ClientObserver::new(move |event| {
        let text = format!("{event:?}");
        let name = text.split([' ', '{']).next().unwrap();
        book.lock().unwrap().push(name.to_owned());
    });
    (observer, notes)
}

fn count(notes: &Notes, name: &str) -> usize {
    let notes = notes.lock().unwrap();
    notes.iter().filter(|note| *note == name).count()
}
