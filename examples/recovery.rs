//! Four failures while events flow, over TCP: what became of each event, and how long it took to recover.
//!
//! ```sh
//! cargo run --release --features emulator --example recovery
//! ```
//!
//! A producer and an idempotent producer publish 10 000 events each, to a partition each, and a consumer reads each
//! partition. Meanwhile the connections are cut in the middle of a frame, the links detached, the tokens ended, and the
//! consumers' links silenced. Time to recover is counted from the failure until a consumer gets an event that was published
//! after it, or a producer is told that one is stored.

use std::collections::HashMap;
use std::error::Error;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use amqp10::Body;
use amqp10::emulator::{Emulator, EmulatorOptions, Fault};
use amqp10::eventhubs::{
    BatchOptions, Client, ClientOptions, ConsumerOptions, ErrorKind, EventBatch, EventHubsError,
    IdempotentOptions, Position, ProducerOptions,
};
use tokio::sync::watch;

const EVENTS: u32 = 10_000;
const BATCH: u32 = 10;
/// So that events flow for long enough to meet all failures.
const PAUSE: Duration = Duration::from_millis(8);
/// How long a link may bring nothing before it is suspected. The default of a minute would make this program a long one.
const WATCHDOG: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let emulator = Emulator::start(EmulatorOptions::new().hub("orders", 2)).await?;
    let address = emulator.connection_string_for("orders");
    let client = Client::connect(&address, ClientOptions::default()).await?;
    let (plain, idempotent) = (Flow::new("0"), Flow::new("1"));
    let (producers, consumers) = tokio::join!(
        async {
            let published = tokio::try_join!(
                publish(&client, &plain),
                publish_once(&client, &idempotent),
                fail(&emulator, [&plain, &idempotent]),
            );
            plain.is_over.send_replace(true);
            idempotent.is_over.send_replace(true);
            published
        },
        async {
            let client = Client::connect(&address, ClientOptions::default()).await?;
            tokio::try_join!(
                consume(&emulator, &client, &plain),
                consume(&emulator, &client, &idempotent)
            )
        },
    );
    let ((reports, ..), (received, received_once)) = (producers?, consumers?);
    let is_sound = judge(&emulator, &reports, [received, received_once]);
    client.close().await?;
    emulator.shutdown().await;
    Ok(if is_sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The events of one partition on their way: how far they are.
struct Flow {
    partition: &'static str,
    /// The number of the next event.
    next: AtomicU32,
    /// The newest event that is known to be stored, and when that was told.
    stored: watch::Sender<u32>,
    /// The newest event that the consumer got.
    received: watch::Sender<u32>,
    is_over: watch::Sender<bool>,
}

impl Flow {
    fn new(partition: &'static str) -> Flow {
        Flow {
            partition,
            next: AtomicU32::new(0),
            stored: watch::Sender::new(0),
            received: watch::Sender::new(0),
            is_over: watch::Sender::new(false),
        }
    }

    /// The numbers of the next batch.
    fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        let first = self.next.fetch_add(BATCH, Ordering::Relaxed);
        first..first + BATCH
    }

    fn fill(&self, batch: &mut EventBatch, numbers: impl Iterator<Item = u32>) {
        for number in numbers {
            batch
                .try_add(number.to_string())
                .expect("ten small events fit a batch");
        }
    }
}

/// What the producer was told of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    Accepted,
    NotSent,
    Unknown,
}

/// Publishes each event with one send, and notes what was told of it.
async fn publish(client: &Client, flow: &Flow) -> Result<Vec<Report>, EventHubsError> {
    let producer = client.producer(ProducerOptions::default());
    let mut reports = Vec::new();
    while reports.len() < EVENTS as usize {
        let mut numbers = flow.numbers();
        let mut batch = producer
            .create_batch(BatchOptions::partition(flow.partition))
            .await?;
        flow.fill(&mut batch, &mut numbers);
        let report = match producer.send_batch(batch).await {
            Ok(()) => Report::Accepted,
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => Report::Unknown,
            Err(_) => Report::NotSent,
        };
        reports.extend([report; BATCH as usize]);
        if report == Report::Accepted {
            flow.stored.send_replace(reports.len() as u32 - 1);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(reports)
}

/// Publishes each event until it is stored.
async fn publish_once(client: &Client, flow: &Flow) -> Result<(), EventHubsError> {
    let options = IdempotentOptions::default();
    let mut producer = client.idempotent_producer(flow.partition, options).await?;
    for batches in 1..=EVENTS / BATCH {
        let mut batch = producer.create_batch(None).await?;
        flow.fill(&mut batch, flow.numbers());
        let mut sent = producer.send_batch(batch.clone()).await;
        while let Err(error) = sent {
            sent = match error.kind() {
                ErrorKind::OutcomeUnknown => producer.settle().await,
                _ => producer.send_batch(batch.clone()).await,
            };
        }
        flow.stored.send_replace(batches * BATCH - 1);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Reads a partition from its beginning until all that is stored was read: sequence numbers, and the numbers of events.
async fn consume(
    emulator: &Emulator,
    client: &Client,
    flow: &Flow,
) -> Result<Vec<(i64, u32)>, EventHubsError> {
    let options = ConsumerOptions::default()
        .position(Position::earliest())
        .watchdog(WATCHDOG);
    let mut consumer = client.consumer(flow.partition, options).await?;
    let mut received = Vec::new();
    loop {
        match consumer.recv_batch(100, Duration::from_millis(50)).await {
            Err(error) if !error.is_retryable() => return Err(error),
            Err(_) => {} // it goes on
            Ok(events) => {
                for event in events {
                    let text = std::str::from_utf8(event.body()).unwrap_or_default();
                    let number = text.parse().unwrap_or(u32::MAX);
                    received.push((event.sequence_number(), number));
                    flow.received.send_replace(number);
                }
            }
        }
        if *flow.is_over.borrow() && received.len() >= stored(emulator, flow.partition).len() {
            return Ok(received);
        }
    }
}

/// Has things go wrong, one after the other, and tells how long each took to mend.
async fn fail(emulator: &Emulator, flows: [&Flow; 2]) -> Result<(), EventHubsError> {
    let failures = [
        ("connection cut", Fault::cut(100)),
        ("link detached", Fault::detach()),
        ("token expired", Fault::expire_tokens()),
        ("link silenced", Fault::silence()),
    ];
    for (round, (name, fault)) in failures.into_iter().enumerate() {
        let due = EVENTS / 5 * (round as u32 + 1);
        reached(&flows[0].stored, due).await;
        let began = Instant::now();
        emulator.inject(fault);
        let next = flows.map(|flow| flow.next.load(Ordering::Relaxed));
        let since = async |progress: &watch::Sender<u32>, number| {
            reached(progress, number).await;
            began.elapsed().as_millis()
        };
        let (producer, idempotent, consumer, other) = tokio::join!(
            since(&flows[0].stored, next[0]),
            since(&flows[1].stored, next[1]),
            since(&flows[0].received, next[0]),
            since(&flows[1].received, next[1]),
        );
        println!(
            "fault=\"{name}\" recovery_ms: producer={producer} idempotent_producer={idempotent} consumers={consumer},{other}"
        );
    }
    Ok(())
}

async fn reached(progress: &watch::Sender<u32>, number: u32) {
    // The sender is borrowed, so it lives.
    let _ = progress
        .subscribe()
        .wait_for(|newest| *newest >= number)
        .await;
}

fn stored(emulator: &Emulator, partition: &str) -> Vec<u32> {
    let number = |body: Body| match body {
        Body::Data(octets) => std::str::from_utf8(&octets).ok()?.parse().ok(),
        _ => None,
    };
    let events = emulator.stored("orders", partition).into_iter();
    events
        .map(|event| number(event.body).unwrap_or(u32::MAX))
        .collect()
}

/// Compares what was told and what came with what is stored.
fn judge(emulator: &Emulator, reports: &[Report], received: [Vec<(i64, u32)>; 2]) -> bool {
    let kept = ["0", "1"].map(|partition| stored(emulator, partition));
    let is_read_once_and_in_order = |partition: usize| {
        let expected = kept[partition].iter().enumerate();
        received[partition]
            .iter()
            .copied()
            .eq(expected.map(|(place, number)| (place as i64, *number)))
    };
    let mut times = HashMap::<u32, u32>::new();
    kept[0]
        .iter()
        .for_each(|number| *times.entry(*number).or_default() += 1);
    let misreported = (0..).zip(reports).filter(|(number, report)| {
        let times = times.get(number).copied().unwrap_or_default();
        match report {
            Report::Accepted => times != 1,
            Report::NotSent => times != 0,
            Report::Unknown => times > 1,
        }
    });
    let misreported = misreported.count();
    let count = |wanted| reports.iter().filter(|report| **report == wanted).count();
    println!(
        "producer: published={} accepted={} not_sent={} unknown={} stored={} misreported={misreported}",
        reports.len(),
        count(Report::Accepted),
        count(Report::NotSent),
        count(Report::Unknown),
        kept[0].len(),
    );
    let stored_once = kept[1].iter().copied().eq(0..EVENTS);
    println!(
        "idempotent producer: published={EVENTS} stored={} each_once_and_in_order={stored_once}",
        kept[1].len()
    );
    let read = [0, 1].map(is_read_once_and_in_order);
    for partition in [0, 1] {
        println!(
            "consumer of partition {partition}: stored={} received={} each_once_and_in_order={}",
            kept[partition].len(),
            received[partition].len(),
            read[partition]
        );
    }
    misreported == 0 && stored_once && read == [true; 2]
}
