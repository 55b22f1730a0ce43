//! Four failures while events flow, over TCP: what became of each event, and how long it took to recover.
//!
//! ```sh
//! cargo run --release --features emulator --example recovery
//! ```
//!
//! A producer and an idempotent producer publish 10 000 events each, to a partition each, and a consumer reads each
//! partition. Meanwhile the connections are cut in the middle of a frame, the links detached, the tokens ended, and the
//! consumers' links silenced. Outcomes are told a little late, as over a network, so that each failure meets batches in
//! flight. Time to recover is counted from the failure until a consumer gets an event that was published after it, or a
//! producer is told that one is stored; each failure must also have been noticed, by every link or connection it befalls.

use std::collections::HashMap;
use std::error::Error;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use amqp10::Body;
use amqp10::codec::condition;
use amqp10::emulator::{Emulator, EmulatorOptions, Fault};
use amqp10::eventhubs::{
    BatchOptions, Client, ClientEvent, ClientObserver, ClientOptions, ConsumerOptions, ErrorKind,
    EventBatch, EventHubsError, IdempotentProducerOptions, Position, Producer, ProducerOptions,
};
use tokio::sync::watch;

const EVENTS: u32 = 10_000;
const BATCH: u32 = 10;
/// Batches of the plain producer that are in flight at once.
const IN_FLIGHT: u32 = 4;
/// How late an outcome is told to the idempotent producer, which has one batch in flight: events flow for long enough to
/// meet all failures. The plain one waits longer, so that both keep pace.
const LATENCY: Duration = Duration::from_millis(8);
/// How long a link may bring nothing before it is suspected. The default of a minute would make this program a long one.
const WATCHDOG: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let emulator = Emulator::start(EmulatorOptions::default().hub("orders", 2)).await?;
    let address = emulator.connection_string_for("orders");
    for (partition, latency) in [("0", LATENCY * IN_FLIGHT), ("1", LATENCY)] {
        let late = Fault::delay_outcomes(u32::MAX, latency).publishers();
        emulator.inject(late.partition(partition));
    }
    let (told, observer) = observer();
    let options = ClientOptions::default().observer(observer);
    let client = Client::connect(&address, options.clone()).await?;
    let (plain, idempotent) = (Flow::new("0"), Flow::new("1"));
    let (producers, consumers) = tokio::join!(
        async {
            let published = tokio::try_join!(
                publish(&client, &plain),
                publish_once(&client, &idempotent),
                fail(&emulator, [&plain, &idempotent], &told),
            );
            plain.is_over.send_replace(true);
            idempotent.is_over.send_replace(true);
            published
        },
        async {
            let client = Client::connect(&address, options).await?;
            tokio::try_join!(
                consume(&emulator, &client, &plain),
                consume(&emulator, &client, &idempotent)
            )
        },
    );
    let ((reports, _, all_noticed), (received, received_once)) = (producers?, consumers?);
    let is_sound = judge(&emulator, &reports, [received, received_once]) && all_noticed;
    client.close().await?;
    emulator.shutdown().await;
    Ok(if is_sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What has befallen the clients.
type Told = Arc<Mutex<Vec<ClientEvent>>>;

fn observer() -> (Told, ClientObserver) {
    let told = Told::default();
    let notes = told.clone();
    let observer = ClientObserver::new(move |event| {
        let mut notes = notes.lock().expect("no holder panics");
        notes.push(event.clone());
    });
    (told, observer)
}

/// The events of one partition on their way: how far they are.
struct Flow {
    partition: &'static str,
    /// The number of the next event.
    next: AtomicU32,
    /// The newest event that is known to be stored.
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

    /// The numbers of the next batch, if there is one.
    fn numbers(&self) -> Option<Range<u32>> {
        let first = self.next.fetch_add(BATCH, Ordering::Relaxed);
        (first < EVENTS).then(|| first..first + BATCH)
    }

    fn fill(&self, batch: &mut EventBatch, numbers: Range<u32>) {
        for number in numbers {
            batch
                .try_add(number.to_string())
                .expect("ten small events fit a batch");
        }
    }

    fn is_stored(&self, numbers: Range<u32>) {
        let last = numbers.end - 1;
        self.stored.send_if_modified(|newest| {
            let is_newer = last > *newest;
            *newest = last.max(*newest);
            is_newer
        });
    }
}

/// What the producer was told of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    Accepted,
    NotSent,
    Unknown,
}

/// Publishes each event with one send, several batches at once, and notes what was told of it.
async fn publish(client: &Client, flow: &Flow) -> Result<HashMap<u32, Report>, EventHubsError> {
    let producer = client.producer(ProducerOptions::default());
    let turn = || publish_in_turn(&producer, flow);
    let (a, b, c, d) = tokio::try_join!(turn(), turn(), turn(), turn())?;
    Ok([a, b, c, d].into_iter().flatten().collect())
}

/// Publishes one batch after the other.
async fn publish_in_turn(
    producer: &Producer,
    flow: &Flow,
) -> Result<Vec<(u32, Report)>, EventHubsError> {
    let mut reports = Vec::new();
    while let Some(numbers) = flow.numbers() {
        let options = BatchOptions::partition(flow.partition);
        let mut batch = producer.create_batch(options).await?;
        flow.fill(&mut batch, numbers.clone());
        let report = match producer.send_batch(batch).await {
            Ok(()) => Report::Accepted,
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => Report::Unknown,
            Err(_) => Report::NotSent,
        };
        reports.extend(numbers.clone().map(|number| (number, report)));
        if report == Report::Accepted {
            flow.is_stored(numbers);
        }
    }
    Ok(reports)
}

/// Publishes each event until it is stored.
async fn publish_once(client: &Client, flow: &Flow) -> Result<(), EventHubsError> {
    let options = IdempotentProducerOptions::default();
    let mut producer = client.idempotent_producer(flow.partition, options).await?;
    while let Some(numbers) = flow.numbers() {
        let mut batch = producer.create_batch(None).await?;
        flow.fill(&mut batch, numbers.clone());
        let mut sent = producer.send_batch(batch.clone()).await;
        while let Err(error) = sent {
            sent = match error.kind() {
                ErrorKind::OutcomeUnknown => producer.settle().await,
                _ => producer.send_batch(batch.clone()).await,
            };
        }
        flow.is_stored(numbers);
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

/// Something that goes wrong, and what the clients make of it.
struct Failure {
    name: &'static str,
    fault: Fault,
    is_noticed: fn(&ClientEvent) -> bool,
    /// By how many links or connections, at least.
    noticed_by: usize,
}

/// Two clients, each with a connection; two links of producers and two of consumers.
fn failures() -> [Failure; 4] {
    [
        Failure {
            name: "connection cut",
            fault: Fault::cut(100),
            is_noticed: |event| matches!(event, ClientEvent::Reconnected { .. }),
            noticed_by: 2,
        },
        Failure {
            name: "link detached",
            fault: Fault::detach(),
            is_noticed: |event| has_lost_link(event, &condition::DETACH_FORCED),
            noticed_by: 4,
        },
        Failure {
            name: "token expired",
            fault: Fault::expire_tokens(),
            is_noticed: |event| has_lost_link(event, &condition::UNAUTHORIZED_ACCESS),
            noticed_by: 4,
        },
        Failure {
            name: "link silenced",
            fault: Fault::silence(),
            is_noticed: |event| matches!(event, ClientEvent::LinkSilent { .. }),
            noticed_by: 2,
        },
    ]
}

fn has_lost_link(event: &ClientEvent, condition: &str) -> bool {
    matches!(event, ClientEvent::LinkLost { error, .. } if error.condition() == Some(condition))
}

/// Has things go wrong, one after the other, and tells how long each took to mend. `false` if one was not noticed.
async fn fail(emulator: &Emulator, flows: [&Flow; 2], told: &Told) -> Result<bool, EventHubsError> {
    let mut all_noticed = true;
    for (round, failure) in (1..).zip(failures()) {
        reached(&flows[0].stored, EVENTS / 5 * round).await;
        told.lock().expect("no holder panics").clear();
        let began = Instant::now();
        emulator.inject(failure.fault);
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
        let events = told.lock().expect("no holder panics");
        let noticed = events.iter().filter(|event| (failure.is_noticed)(event));
        let noticed = noticed.count();
        println!(
            "fault=\"{}\" noticed={noticed} recovery_ms: producer={producer} idempotent_producer={idempotent} consumers={consumer},{other}",
            failure.name
        );
        all_noticed &= noticed >= failure.noticed_by;
    }
    Ok(all_noticed)
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
fn judge(
    emulator: &Emulator,
    reports: &HashMap<u32, Report>,
    received: [Vec<(i64, u32)>; 2],
) -> bool {
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
    let misreported = reports.iter().filter(|(number, report)| {
        let times = times.get(*number).copied().unwrap_or_default();
        match report {
            Report::Accepted => times != 1,
            Report::NotSent => times != 0,
            Report::Unknown => times > 1,
        }
    });
    let misreported = misreported.count();
    let count = |wanted| reports.values().filter(|report| **report == wanted).count();
    let (accepted, unknown) = (count(Report::Accepted), count(Report::Unknown));
    println!(
        "producer: published={} accepted={accepted} not_sent={} unknown={unknown} stored={} misreported={misreported}",
        reports.len(),
        count(Report::NotSent),
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
    // Failures met batches in flight; and a producer that knows of none what became of it tells the truth, too.
    let is_telling = unknown > 0 && accepted >= EVENTS as usize / 10 * 9;
    let is_complete = reports.len() == EVENTS as usize;
    is_complete && is_telling && misreported == 0 && stored_once && read == [true; 2]
}
