//! A buffered producer while faults fall by chance: what its receipts say is what the emulator holds.
//!
//! `AMQP10_SEED=n` replays one run of each kind, `AMQP10_SEEDS=n` makes n runs.

use std::collections::BTreeSet;
use std::time::UNIX_EPOCH;

use amqp10::Clock;
use amqp10::emulator::{FaultRates, Faults};
use amqp10::eventhubs::{BufferedProducerOptions, ErrorKind};

use super::*;

const EVENTS: usize = 300;
const RUNS: u64 = 40;

/// What became of the events of one run.
#[derive(Default)]
struct Told {
    stored: BTreeSet<usize>,
    unknown: BTreeSet<usize>,
    faults: usize,
}

/// A batch is one operation, so that there are few of them.
fn rates() -> FaultRates {
    FaultRates::default()
        .throttle(200)
        .detach(400)
        .cut(400)
        .delay_outcomes(200)
        .lose_outcomes(200)
        .lose_events(200)
        .expire_tokens(100)
}

async fn emulator_with(seed: u64, clock: &Clock) -> Arc<Emulator> {
    let options = EmulatorOptions::default()
        .hub(HUB, 2)
        .clock(clock.clone())
        .faults(Faults::seed(seed).rates(rates()));
    Arc::new(Emulator::in_process(options).await.unwrap())
}

async fn client_of(emulator: &Arc<Emulator>, seed: u64, clock: &Clock) -> Client {
    loop {
        let options = options(emulator).seed(seed).clock(clock.clone());
        let address = emulator.connection_string();
        match Client::connect(&address, options).await {
            Ok(client) => return client,
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

/// Publishes numbers to two partitions in turn, and compares what the receipts say with what is stored.
async fn run(seed: u64, buffering: BufferedProducerOptions) -> Told {
    let clock = Clock::simulated(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    let emulator = emulator_with(seed, &clock).await;
    let client = client_of(&emulator, seed, &clock).await;
    let producer = loop {
        if let Ok(producer) = client.buffered_producer(buffering.clone()).await {
            break producer;
        }
    };
    let mut receipts = Vec::new();
    for number in 0..EVENTS {
        let route = to(&(number % 2).to_string());
        receipts.push(
            producer
                .enqueue_to(route, number.to_string())
                .await
                .unwrap(),
        );
        if number % 7 == 0 {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
    producer.close().await;
    let mut told = Told {
        faults: emulator.fault_records().len(),
        ..Told::default()
    };
    for (number, receipt) in receipts.into_iter().enumerate() {
        match receipt.await {
            Ok(()) => told.stored.insert(number),
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => told.unknown.insert(number),
            Err(_) => continue,
        };
    }
    for partition in 0..2 {
        check(&emulator, partition, &told, buffering.max_in_flight == 1);
    }
    told
}

fn check(emulator: &Emulator, partition: usize, told: &Told, in_order: bool) {
    let stored = emulator.stored(HUB, &partition.to_string());
    let numbers: Vec<usize> = stored
        .iter()
        .map(|event| {
            let body = event.body.as_data().unwrap();
            std::str::from_utf8(body).unwrap().parse().unwrap()
        })
        .collect();
    let found: BTreeSet<usize> = numbers.iter().copied().collect();
    assert_eq!(found.len(), numbers.len(), "none is stored twice");
    assert!(!in_order || numbers.is_sorted(), "order: {numbers:?}");
    for number in told.stored.iter().filter(|number| *number % 2 == partition) {
        assert!(found.contains(number), "{number} was said to be stored");
    }
    for number in &found {
        let is_told = told.stored.contains(number) || told.unknown.contains(number);
        assert!(is_told, "{number} was said not to be stored");
    }
}

/// Runs all seeds, each in a runtime for itself. Of all events, at most so many in a hundred may not be reported as
/// stored: a producer that never knows tells the truth, too.
fn runs(buffering: &BufferedProducerOptions, most: usize) {
    let mut faults = 0;
    let mut not_stored = 0;
    let seeds = seeds(RUNS);
    let all = seeds.clone().count() * EVENTS;
    for seed in seeds {
        // The last one that is shown is the one that failed.
        println!("seed {seed}");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let deadline = Duration::from_secs(24 * 60 * 60);
        let run = runtime
            .block_on(async { tokio::time::timeout(deadline, run(seed, buffering.clone())).await });
        let told = run.unwrap_or_else(|_| panic!("seed {seed}: somebody waits for ever"));
        faults += told.faults;
        not_stored += EVENTS - told.stored.len();
    }
    println!("events={all} faults={faults} not reported as stored={not_stored}");
    assert!(faults > 0, "too little happened to tell anything");
    assert!(not_stored * 100 <= all * most, "{not_stored} of {all}");
}

fn buffering() -> BufferedProducerOptions {
    BufferedProducerOptions::default().max_batch_count(10)
}

#[test]
fn receipts_of_plain_events_tell_the_truth() {
    runs(&buffering(), 40);
}

#[test]
fn receipts_tell_the_truth_with_many_batches_under_way() {
    runs(&buffering().linger(Duration::ZERO).max_in_flight(4), 40);
}

#[test]
fn numbered_events_are_stored_once_whatever_happens() {
    runs(&buffering().idempotent(true), 2);
}
