//! Throughput to a namespace that is far away, beside that of Microsoft's Rust client:
//!
//! ```sh
//! cargo run --release --features emulator --example latency -- PROGRAM
//! ```
//!
//! PROGRAM is that of `tests/interop/microsoft_rust`; without it only our own throughput is measured. A proxy before the
//! emulator adds 20 ms each way, and limits nothing else. Both clients publish batches of 100 events of 1 KiB to one
//! partition over one connection, and both are asked for 64 batches at a time. Fails if ours is less than ten times as fast.

#[path = "../tests/it/support/delay.rs"]
mod delay;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use amqp10::emulator::{Emulator, EmulatorOptions, Retention};
use amqp10::eventhubs::{
    BatchOptions, Client, ClientOptions, Event, EventHubsError, Producer, ProducerOptions,
};
use tokio::process::Command;
use tokio::task::JoinSet;

use self::delay::DelayProxy;

const DELAY: Duration = Duration::from_millis(20);
const EVENTS_PER_BATCH: usize = 100;
const EVENT_SIZE: usize = 1024;
const BATCHES_AT_A_TIME: usize = 64;

const OUR_BATCHES: usize = 4000;
/// Theirs take longer.
const THEIR_BATCHES: usize = 200;

const WANTED_RATIO: f64 = 10.0;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    // Nobody reads: what is stored need not be kept.
    let retention = Retention::default().events(1000);
    let options = EmulatorOptions::default()
        .hub("latency", 1)
        .retention(retention);
    let emulator = Emulator::start(options).await?;
    let address = emulator.local_addr().ok_or("the emulator has no address")?;
    let proxy = DelayProxy::start(address, DELAY).await?;
    let (near, far) = (proxy.local_addr().port(), address.port());
    let connection_string = emulator.connection_string();
    let connection_string = connection_string.replace(&format!(":{far};"), &format!(":{near};"));

    let ours = our_rate(&connection_string).await?;
    println!("ours={ours:.0} events/s");
    let Some(program) = std::env::args().nth(1) else {
        return Ok(ExitCode::SUCCESS);
    };
    let theirs = their_rate(&program, &connection_string).await?;
    let ratio = ours / theirs;
    println!("ours={ours:.0} theirs={theirs:.0} events/s ratio={ratio:.1}");
    Ok(if ratio < WANTED_RATIO {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn rate(batches: usize, seconds: f64) -> f64 {
    (batches * EVENTS_PER_BATCH) as f64 / seconds
}

/// Events a second, from the first batch to the last acknowledgement; connection and link are there before.
async fn our_rate(connection_string: &str) -> Result<f64, Box<dyn Error>> {
    let client =
        Client::connect(connection_string, ClientOptions::default().hub("latency")).await?;
    let producer = client.producer(ProducerOptions::default());
    send_batch(producer.clone()).await?;
    let began = Instant::now();
    let mut under_way = JoinSet::new();
    for _ in 0..OUR_BATCHES {
        if under_way.len() == BATCHES_AT_A_TIME {
            under_way.join_next().await.transpose()?.transpose()?;
        }
        under_way.spawn(send_batch(producer.clone()));
    }
    while let Some(sent) = under_way.join_next().await {
        sent??;
    }
    let seconds = began.elapsed().as_secs_f64();
    client.close().await?;
    Ok(rate(OUR_BATCHES, seconds))
}

async fn send_batch(producer: Producer) -> Result<(), EventHubsError> {
    let mut batch = producer.create_batch(BatchOptions::partition("0")).await?;
    for _ in 0..EVENTS_PER_BATCH {
        let event = Event::from(vec![b'.'; EVENT_SIZE]);
        batch
            .try_add(event)
            .expect("a tenth of what a batch may hold");
    }
    producer.send_batch(batch).await
}

/// The same by Microsoft's client, which measures in the same way.
async fn their_rate(program: &str, connection_string: &str) -> Result<f64, Box<dyn Error>> {
    let mut command = Command::new(program);
    command.args([connection_string, "latency", "throughput"]);
    for (option, value) in [
        ("--batches", THEIR_BATCHES),
        ("--events", EVENTS_PER_BATCH),
        ("--size", EVENT_SIZE),
        ("--concurrency", BATCHES_AT_A_TIME),
    ] {
        command.args([option, &value.to_string()]);
    }
    let limit = Duration::from_secs(120);
    let output = tokio::time::timeout(limit, command.kill_on_drop(true).output()).await??;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let seconds = printed["seconds"]
        .as_f64()
        .ok_or("no seconds were printed")?;
    Ok(rate(THEIR_BATCHES, seconds))
}
