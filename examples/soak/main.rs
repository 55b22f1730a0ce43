//! Producers and processors for some minutes, while everything goes wrong: nothing may be lost.
//!
//! ```sh
//! cargo run --release --features emulator --example soak -- --seconds 180 --seed 1
//! ```
//!
//! Two producers publish to eight partitions of an emulator that cuts connections, detaches and silences links, refuses
//! tokens and loses answers, as the seed wants it. Three processors, each a process of its own, share a folder of checkpoints;
//! now and then one is killed or stopped, and started again. At the end, every event that was acknowledged must have been
//! processed at least once, and every partition must have one owner, who is alive; and an event that is then published to
//! each partition must be read once, so that there is one reader, too:
//!
//! ```text
//! published=N acknowledged=N processed=M missing=0 duplicates=D read_once=8/8 owned=8/8
//! faults=F restarts=R
//! ```

mod consume;
mod crew;
mod judge;
mod publish;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use amqp10::emulator::{Emulator, EmulatorOptions, FaultRates, Faults};
use amqp10::eventhubs::{ClientOptions, RetryPolicy};
use tokio::time::{Instant, sleep};

use self::crew::Crew;
use self::judge::Ledger;

const HUB: &str = "soak";
const PARTITIONS: u32 = 8;
const PRODUCERS: usize = 2;
const PROCESSORS: usize = 3;

/// After so much time without faults, everything that was published must have been processed.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [mode, name, address, folder] = arguments.as_slice()
        && mode == "--processor"
    {
        consume::run(name, address, folder).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let seconds = number_after(&arguments, "--seconds")?.unwrap_or(180);
    let seed = number_after(&arguments, "--seed")?.unwrap_or(1);
    println!("soak: {seconds} s with seed {seed}");
    soak(Duration::from_secs(seconds), seed).await
}

fn number_after(arguments: &[String], name: &str) -> Result<Option<u64>, String> {
    let Some(at) = arguments.iter().position(|argument| argument == name) else {
        return Ok(None);
    };
    let value = arguments.get(at + 1).and_then(|value| value.parse().ok());
    value
        .map(Some)
        .ok_or_else(|| format!("expected a number after {name}"))
}

async fn soak(time: Duration, seed: u64) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    // A fault every few seconds and not in every operation: what is to be seen is how things come back.
    let rates = FaultRates::none()
        .throttle(4)
        .detach(8)
        .cut(8)
        .delay_outcomes(3)
        .lose_outcomes(3)
        .lose_events(3)
        .expire_tokens(4)
        .steal(3)
        .silence(2)
        .slow(4);
    let options = EmulatorOptions::default()
        .hub(HUB, PARTITIONS)
        .faults(Faults::seed(seed).rates(rates));
    let emulator = Emulator::start(options).await?;
    let address = emulator.connection_string_for(HUB);
    let folder = std::env::temp_dir().join(format!("amqp10-soak-{}", std::process::id()));

    let ledger = Arc::new(Ledger::default());
    let end = Instant::now() + time;
    let mut crew = Crew::new(seed, &address, &folder, &ledger)?;
    let producers = (0..PRODUCERS).map(|producer| {
        let (address, ledger) = (address.clone(), ledger.clone());
        tokio::spawn(publish::run(producer, seed, address, ledger, end))
    });
    let producers: Vec<_> = producers.collect();
    crew.trouble(end).await?;
    for producer in producers {
        producer.await??;
    }
    emulator.calm();
    let deadline = Instant::now() + PATIENCE;
    judge::rest(&ledger, &folder, &crew, deadline).await?;
    // By now, whoever has lost a partition knows.
    sleep(consume::INTERVAL * 3).await;
    publish::mark(&address, &ledger).await?;
    let owned = judge::rest(&ledger, &folder, &crew, deadline).await?;
    // A second reader has its time, too.
    sleep(consume::INTERVAL * 3).await;
    let is_sound = ledger.tell(owned);
    let (faults, restarts) = (emulator.fault_records().len(), crew.restarts);
    println!("faults={faults} restarts={restarts}");
    crew.stop().await?;
    std::fs::remove_dir_all(folder)?;
    Ok(match is_sound && faults > 0 && restarts > 0 {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Impatient enough for a run of minutes.
fn client_options() -> ClientOptions {
    let retry = RetryPolicy::default()
        .first_delay(Duration::from_millis(50))
        .max_delay(Duration::from_secs(2))
        .try_timeout(Duration::from_secs(5));
    ClientOptions::default().retry(retry)
}

/// The numbers of a seed, one after the other.
struct Dice(u64);

impl Dice {
    /// A number below `limit`.
    fn roll(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
