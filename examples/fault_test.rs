//! A test that finds a bug which shows only when something goes wrong, and finds it again from its seed:
//!
//! ```sh
//! cargo run --features emulator --example fault_test
//! cargo run --features emulator --example fault_test -- 7     # one seed
//! ```
//!
//! The program under test sends an invoice for each order. It marks an order as done before it is: if the invoice cannot be
//! sent then, and the program starts anew from its checkpoint, the order never gets one. As long as nothing goes wrong,
//! every test is green.

use std::cell::Cell;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use amqp10::emulator::{Emulator, EmulatorOptions, Faults};
use amqp10::eventhubs::{
    Client, ClientOptions, Connector, ConsumerOptions, EventHubsError, Position, ProducerOptions,
};
use amqp10::{Body, Clock};
use tokio::runtime::Builder;

/// When the program marks an order as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// The bug.
    BeforeProcessing,
    /// As it should be: after a failure an order may get two invoices, but none gets none.
    AfterProcessing,
}

/// The program under test. `done` stands for what it keeps on disk.
async fn send_invoices(
    orders: &Client,
    invoices: &Client,
    done: &Cell<i64>,
    checkpoint: Checkpoint,
) -> Result<(), EventHubsError> {
    let invoices = invoices.producer(ProducerOptions::default());
    let after_the_last = ConsumerOptions::default().position(Position::sequence_number(done.get()));
    let mut orders = orders.consumer("0", after_the_last).await?;
    loop {
        let order = orders.recv().await?;
        if checkpoint == Checkpoint::BeforeProcessing {
            done.set(order.sequence_number());
        }
        invoices.send(order.body().to_vec()).await?;
        done.set(order.sequence_number());
    }
}

// The test begins.
/// Runs one seed; returns the orders that never got an invoice.
async fn orders_without_invoice(seed: u64, checkpoint: Checkpoint) -> Vec<String> {
    let clock = Clock::simulated(UNIX_EPOCH);
    let hubs = EmulatorOptions::default()
        .hub("orders", 1)
        .hub("invoices", 1);
    let options = hubs.clock(clock.clone()).faults(Faults::seed(seed));
    let emulator = Arc::new(Emulator::in_process(options).await.unwrap());
    let connect = async |hub| {
        let streams = emulator.clone();
        let options = ClientOptions::default().clock(clock.clone()).seed(seed);
        let options = options.connector(Connector::streams(move || streams.connect()));
        let address = emulator.connection_string_for(hub);
        Client::connect(&address, options).await.unwrap()
    };
    let (orders, invoices) = (connect("orders").await, connect("invoices").await);
    let producer = orders.producer(ProducerOptions::default().retry_unknown(true));
    let all: Vec<String> = (0..30).map(|number| format!("order {number}")).collect();
    for order in &all {
        while producer.send(order.as_str()).await.is_err() {}
    }
    // Whenever the program fails, it is started again; after a quiet hour it has nothing left to do.
    let (done, hour) = (Cell::new(-1), Duration::from_secs(3600));
    let program = || send_invoices(&orders, &invoices, &done, checkpoint);
    while tokio::time::timeout(hour, program()).await.is_ok() {}
    let invoices = emulator.stored("invoices", "0").into_iter();
    let invoices: Vec<Body> = invoices.map(|invoice| invoice.body).collect();
    let has_none = |order: &String| !invoices.contains(&Body::Data(order.clone().into()));
    all.into_iter().filter(has_none).collect()
}
// The test ends.

/// In a runtime of its own, on virtual time.
pub fn run(seed: u64, checkpoint: Checkpoint) -> Vec<String> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    let runtime = runtime.expect("a runtime that is all in one thread");
    runtime.block_on(orders_without_invoice(seed, checkpoint))
}

/// The first of many seeds that shows the bug, and what was lost.
pub fn find() -> Option<(u64, Vec<String>)> {
    let runs = (0..1000).map(|seed| (seed, run(seed, Checkpoint::BeforeProcessing)));
    runs.into_iter().find(|(_, lost)| !lost.is_empty())
}

fn main() -> ExitCode {
    if let Some(seed) = std::env::args().nth(1) {
        let seed = seed.parse().expect("a seed is a number");
        println!(
            "seed={seed} lost={:?}",
            run(seed, Checkpoint::BeforeProcessing)
        );
        return ExitCode::SUCCESS;
    }
    let Some((seed, lost)) = find() else {
        println!("no seed shows the bug");
        return ExitCode::FAILURE;
    };
    println!("seed={seed} lost={lost:?}");
    println!("replay: cargo run --features emulator --example fault_test -- {seed}");
    let again = run(seed, Checkpoint::BeforeProcessing);
    println!("the same seed again: lost={again:?}");
    let mended = (0..=seed).find(|seed| !run(*seed, Checkpoint::AfterProcessing).is_empty());
    println!(
        "seeds up to {seed}, bug mended: {}",
        if mended.is_none() {
            "nothing lost"
        } else {
            "lost"
        }
    );
    match again == lost && mended.is_none() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
