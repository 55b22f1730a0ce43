//! Microsoft's clients against our emulator, with our own client beside them: Python in both its forms, JavaScript, Rust.
//!
//! A scenario runs for all of them side by side, each with an emulator of its own. Their programs are in `tests/interop`,
//! with one command line and one notation of events.

mod events;
mod last_enqueued;
mod ownership;
#[cfg(feature = "blob")]
mod processing;
mod producers;
mod reading;
mod reconnecting;
mod sending;
#[cfg(all(feature = "emulator-tls", feature = "websocket"))]
mod transports;
mod values;

use std::time::Duration;

use amqp10::emulator::{Emulator, EmulatorOptions};
use amqp10::eventhubs::{
    Client, ClientOptions, ConsumerOptions, EventHubsError, PartitionConsumer, Position,
    ProducerOptions, ReceivedEvent, Route,
};
use serde_json::{Value as Json, json};
use tokio::task::{Id, JoinSet};

use self::events::{expect_numbered, numbered, to_json};
use super::program::{Program, Running};
use super::soon;
use crate::support::delay::DelayProxy;

const HUB: &str = "orders";
const PARTITIONS: u32 = 2;

/// The hub's second consumer group.
const GROUP: &str = "audit";

/// Microsoft's Rust client may hang if the answer to a batch comes at once.
const DISTANCE: Duration = Duration::from_millis(3);

/// Which of Microsoft's clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Python,
    PythonAio,
    JavaScript,
    Rust,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Python, Kind::PythonAio, Kind::JavaScript, Kind::Rust];

    /// Its program; `None` if the test is to be skipped.
    fn program(self) -> Option<Program> {
        match self {
            Kind::Python => Program::python("eventhubs_client.py"),
            Kind::PythonAio => Program::python("eventhubs_client_aio.py"),
            Kind::JavaScript => Program::node("eventhubs_client.js"),
            Kind::Rust => Program::microsoft_rust(),
        }
    }
}

/// The emulator, our client, and one of Microsoft's.
struct Peers {
    kind: Kind,
    emulator: Emulator,
    ours: Client,
    program: Program,
    connection_string: String,
    _distance: Option<DelayProxy>,
}

impl Peers {
    /// `None` if the test is to be skipped for this client.
    async fn start(kind: Kind, partitions: u32) -> Option<Self> {
        let program = kind.program()?;
        let options = EmulatorOptions::default()
            .hub(HUB, partitions)
            .consumer_group(HUB, GROUP)
            .port(0);
        let emulator = Emulator::start(options).await.unwrap();
        let our_options = ClientOptions::default().hub(HUB);
        let ours = Client::connect(&emulator.connection_string(), our_options).await;
        let mut connection_string = emulator.connection_string();
        let mut distance = None;
        if kind == Kind::Rust {
            let address = emulator.local_addr().unwrap();
            let proxy = DelayProxy::start(address, DISTANCE).await.unwrap();
            let port = |port: u16| format!("localhost:{port}");
            let (near, far) = (port(proxy.local_addr().port()), port(address.port()));
            connection_string = connection_string.replace(&far, &near);
            distance = Some(proxy);
        }
        Some(Self {
            kind,
            emulator,
            ours: ours.unwrap(),
            program,
            connection_string,
            _distance: distance,
        })
    }

    /// Runs their client to its end; each line is JSON.
    async fn theirs(&self, arguments: &[&str]) -> Vec<Json> {
        let context = [self.connection_string.as_str(), HUB];
        self.program.lines(&[&context, arguments].concat()).await
    }

    /// What their client complains about when it cannot send.
    async fn their_refusal(&self, connection_string: &str, hub: &str) -> String {
        let sent = self.program.run(&[connection_string, hub, "send"]).await;
        sent.unwrap_err()
    }

    /// Starts their client.
    fn start_theirs(&self, arguments: &[&str]) -> Running {
        let context = [self.connection_string.as_str(), HUB];
        self.program.start(&[&context, arguments].concat())
    }

    /// Sends numbered events one by one with our client.
    async fn send_ours(&self, partition: &str, numbers: std::ops::Range<u32>) {
        let producer = self.ours.producer(ProducerOptions::default());
        for number in numbers {
            let route = Route::partition(partition);
            producer
                .send_to(route, numbered(number, 100))
                .await
                .unwrap();
        }
    }

    async fn our_consumer(&self, partition: &str, options: ConsumerOptions) -> PartitionConsumer {
        self.ours.consumer(partition, options).await.unwrap()
    }

    /// All events of a partition, read with our client.
    async fn partition(&self, partition: &str) -> Vec<ReceivedEvent> {
        let last = self.ours.partition_properties(partition).await.unwrap();
        let options = ConsumerOptions::default().position(Position::earliest());
        let mut consumer = self.our_consumer(partition, options).await;
        let mut events = Vec::new();
        for _ in 0..=last.last_enqueued_sequence_number {
            events.push(soon("the event", consumer.recv()).await.unwrap());
        }
        consumer.close().await.unwrap();
        events
    }

    /// Reads `count` events of all partitions with our client: each as their client prints it.
    async fn read(&self, count: usize) -> Vec<Json> {
        let mut events = Vec::new();
        for partition in 0..PARTITIONS {
            let partition = partition.to_string();
            let read = self.partition(&partition).await;
            events.extend(read.iter().map(|event| to_json(&partition, event)));
        }
        assert_eq!(events.len(), count);
        events
    }

    /// What both clients read from the beginning: the same. As theirs prints it, in the order of partition and sequence
    /// number.
    async fn read_by_both(&self, count: usize) -> Vec<Json> {
        let ours = self.read(count).await;
        let mut theirs = self.theirs(&["receive", &count.to_string()]).await;
        theirs.sort_by_key(|event| {
            (
                event["partition"].to_string(),
                event["sequence_number"].as_i64(),
            )
        });
        assert_eq!(theirs.len(), count);
        for (theirs, ours) in theirs.iter().zip(&ours) {
            for (field, ours) in ours.as_object().unwrap() {
                let theirs = &theirs[field];
                assert!(events::is_same(theirs, ours), "{field}: {theirs} or {ours}");
            }
        }
        theirs
    }
}

/// The same with another key, which the emulator does not know.
fn with_wrong_key(connection_string: &str) -> String {
    let parts = connection_string.split(';');
    let parts = parts.map(|part| match part.split_once('=') {
        Some(("SharedAccessKey", _)) => "SharedAccessKey=d3Jvbmc=",
        _ => part,
    });
    parts.collect::<Vec<_>>().join(";")
}

/// Runs a scenario with each of Microsoft's clients that there is, and a hub of two partitions.
async fn with_each<F, S>(scenario: S)
where
    S: Fn(Peers) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    with_some(&Kind::ALL, PARTITIONS, scenario).await;
}

/// Runs a scenario with some of Microsoft's clients at the same time; says of which client a failure is.
async fn with_some<F, S>(kinds: &[Kind], partitions: u32, scenario: S)
where
    S: Fn(Peers) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut running = JoinSet::new();
    let mut names = Vec::new();
    for &kind in kinds {
        if let Some(peers) = Peers::start(kind, partitions).await {
            names.push((running.spawn(scenario(peers)).id(), kind));
        }
    }
    let mut failed: Vec<Kind> = Vec::new();
    while let Some(ended) = running.join_next_with_id().await {
        if let Err(failure) = ended {
            let is_it = |(id, _): &&(Id, Kind)| *id == failure.id();
            failed.extend(names.iter().filter(is_it).map(|(_, kind)| kind));
        }
    }
    assert!(failed.is_empty(), "failed with {failed:?}: see above");
}
