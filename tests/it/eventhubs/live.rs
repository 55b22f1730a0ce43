//! The same scenarios against the emulator and against a real namespace.
//!
//! `AMQP10_LIVE_CONNECTION_STRING` names the namespace and, by `EntityPath`, a hub of it; without it that half is skipped and
//! says so. Nothing is deleted and nothing is read from before the run: every test starts at the end of a partition, and
//! looks only at events that carry its own identifier. `AMQP10_LIVE_CONSUMER_GROUP` names the group, `$Default` otherwise:
//! owners take its partitions from whoever else reads there. `AMQP10_LIVE_IDLE_SECONDS` says how long to keep still, 30 otherwise (more than 600 outlasts the service's limit for links).

use std::env;
use std::io::{self, Write};

use amqp10::eventhubs::checkpoint::MemoryCheckpointStore;
use amqp10::eventhubs::processor::{LoadBalancing, PartitionClient, Processor, ProcessorOptions};
use amqp10::eventhubs::{BatchOptions, Event, PartitionProperties};

use super::*;

const VARIABLE: &str = "AMQP10_LIVE_CONNECTION_STRING";

/// The most that an event may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Scenarios share the real hub's partitions, and an owner of one refuses other readers.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A namespace with a hub, and the identifier of this use of it.
struct Namespace {
    client: Client,
    group: String,
    run: String,
    /// How long it is left alone by the test that does so.
    idle: Duration,
    _emulator: Option<Emulator>,
}

impl Namespace {
    async fn connect(connection_string: &str, emulator: Option<Emulator>, idle: Duration) -> Self {
        let options = ClientOptions::default();
        let client = Client::connect(connection_string, options).await.unwrap();
        let group = env::var("AMQP10_LIVE_CONSUMER_GROUP").ok();
        Self {
            client,
            group: group
                .filter(|_| emulator.is_none())
                .unwrap_or_else(|| "$Default".into()),
            run: amqp10::ConnectionOptions::default().container_id,
            idle,
            _emulator: emulator,
        }
    }

    /// The emulator, which closes idle links early.
    async fn emulated() -> Self {
        let options = EmulatorOptions::default()
            .hub(HUB, PARTITIONS)
            .port(0)
            .idle_link(Duration::from_millis(300));
        let emulator = Emulator::start(options).await.unwrap();
        let connection_string = emulator.connection_string_for(HUB);
        let idle = Duration::from_secs(1);
        Self::connect(&connection_string, Some(emulator), idle).await
    }

    /// The real one; `None` if the variable does not name it.
    async fn live() -> Option<Self> {
        let set = |variable| env::var(variable).ok().filter(|value| !value.is_empty());
        let connection_string = set(VARIABLE)?;
        let idle = set("AMQP10_LIVE_IDLE_SECONDS");
        let idle = idle.map_or(30, |seconds| seconds.parse().expect("a number of seconds"));
        Some(Self::connect(&connection_string, None, Duration::from_secs(idle)).await)
    }

    async fn first_partition(&self) -> PartitionProperties {
        let hub = self.client.hub_properties().await.unwrap();
        let id = hub.partition_ids.first().expect("a partition");
        self.client.partition_properties(id).await.unwrap()
    }

    /// A reader of what is stored after the properties were read.
    async fn consumer_behind(&self, partition: &PartitionProperties) -> PartitionConsumer {
        let options = ConsumerOptions::default()
            .consumer_group(&self.group)
            .position(Position::offset(partition.last_enqueued_offset.to_string()));
        self.client.consumer(&partition.id, options).await.unwrap()
    }

    fn event(&self, number: u32) -> Event {
        Event::from(format!("event {number}"))
            .with_property("run", self.run.as_str())
            .with_property("number", number)
    }

    /// Publishes numbered events to a partition as one batch.
    async fn publish(&self, partition: &PartitionProperties, numbers: std::ops::Range<u32>) {
        let producer = producer(&self.client);
        let options = BatchOptions::partition(partition.id.as_str());
        let mut batch = producer.create_batch(options).await.unwrap();
        for number in numbers {
            batch.try_add(self.event(number)).unwrap();
        }
        producer.send_batch(batch).await.unwrap();
    }

    /// Reads events of this run, which come in order and once; passes over those of others.
    async fn expect(&self, consumer: &mut PartitionConsumer, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let event = loop {
                let received = tokio::time::timeout(PATIENCE, consumer.recv()).await;
                let event = received.expect("an event in time").unwrap();
                if is_of(&self.run, &event) {
                    break event;
                }
            };
            assert_eq!(event.property("number"), Some(&number.into()));
            assert_eq!(event.body(), format!("event {number}").as_bytes());
        }
    }
}

fn is_of(run: &str, event: &ReceivedEvent) -> bool {
    event.property("run").and_then(amqp10::Value::as_str) == Some(run)
}

/// Runs a scenario with the emulator, and with the real namespace or a line that says it was skipped.
async fn on_both<F: Future<Output = ()>>(scenario: impl Fn(Namespace) -> F) {
    scenario(Namespace::emulated().await).await;
    match Namespace::live().await {
        Some(namespace) => {
            let _turn = TURN.lock().await;
            scenario(namespace).await;
        }
        None => {
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            let line = format!("skipped: {test}: no live namespace: {VARIABLE} is not set\n");
            // Straight to stderr: what a test that passes prints by macro is not shown. In one piece: others print, too.
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }
}

#[tokio::test]
async fn what_is_published_is_received_once_and_in_order() {
    on_both(|namespace| async move {
        let partition = namespace.first_partition().await;
        let mut consumer = namespace.consumer_behind(&partition).await;
        namespace.publish(&partition, 0..50).await;
        namespace.publish(&partition, 50..100).await;
        namespace.expect(&mut consumer, 0..100).await;
        consumer.close().await.unwrap();
        namespace.client.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_partition_key_and_its_properties_come_back() {
    on_both(|namespace| async move {
        let hub = namespace.client.hub_properties().await.unwrap();
        let mut before = Vec::new();
        for id in &hub.partition_ids {
            before.push(namespace.client.partition_properties(id).await.unwrap());
        }
        let producer = producer(&namespace.client);
        let key = namespace.run.as_str();
        for number in 0..3 {
            let event = namespace.event(number);
            producer.send_to(Route::key(key), event).await.unwrap();
        }
        // Where the service put them is its own affair: one partition has grown by them at least.
        for partition in before {
            let now = namespace
                .client
                .partition_properties(&partition.id)
                .await
                .unwrap();
            let grown = now.last_enqueued_sequence_number - partition.last_enqueued_sequence_number;
            if grown < 3 {
                continue;
            }
            let mut consumer = namespace.consumer_behind(&partition).await;
            let first = tokio::time::timeout(PATIENCE, consumer.recv()).await;
            let first = first.expect("an event in time").unwrap();
            if first.partition_key() == Some(key) {
                assert!(first.enqueued_time().is_some());
                assert!(first.sequence_number() > partition.last_enqueued_sequence_number);
                return;
            }
        }
        panic!("no partition has the events of the key");
    })
    .await;
}

#[tokio::test]
async fn properties_tell_of_what_was_published() {
    on_both(|namespace| async move {
        let before = namespace.first_partition().await;
        namespace.publish(&before, 0..10).await;
        let after = namespace.first_partition().await;
        assert_eq!(after.id, before.id);
        assert!(!after.is_empty);
        let stored = after.last_enqueued_sequence_number - before.last_enqueued_sequence_number;
        assert!(stored >= 10, "{stored}");
        assert!(after.last_enqueued_time >= before.last_enqueued_time);
    })
    .await;
}

#[tokio::test]
async fn a_consumer_and_a_producer_outlast_a_time_without_traffic() {
    on_both(|namespace| async move {
        let partition = namespace.first_partition().await;
        let mut consumer = namespace.consumer_behind(&partition).await;
        namespace.publish(&partition, 0..10).await;
        namespace.expect(&mut consumer, 0..10).await;
        tokio::time::sleep(namespace.idle).await;
        namespace.publish(&partition, 10..20).await;
        namespace.expect(&mut consumer, 10..20).await;
    })
    .await;
}

#[tokio::test]
async fn the_newer_owner_takes_the_partition() {
    on_both(|namespace| async move {
        let partition = namespace.first_partition().await;
        let options = ConsumerOptions::default()
            .consumer_group(&namespace.group)
            .position(Position::offset(partition.last_enqueued_offset.to_string()));
        let client = &namespace.client;
        let first = client
            .consumer(&partition.id, options.clone().owner_level(1))
            .await;
        let mut first = first.unwrap();
        let second = client.consumer(&partition.id, options.owner_level(2)).await;
        let mut second = second.unwrap();
        namespace.publish(&partition, 0..10).await;
        namespace.expect(&mut second, 0..10).await;
        let lost = tokio::time::timeout(PATIENCE, async { while first.recv().await.is_ok() {} });
        lost.await.expect("the first owner is told");
    })
    .await;
}

#[tokio::test]
async fn a_processor_reads_all_partitions() {
    on_both(|namespace| async move {
        let client = &namespace.client;
        let mut options = ProcessorOptions::default()
            .consumer_group(&namespace.group)
            .load_balancing(LoadBalancing::Greedy);
        let hub = client.hub_properties().await.unwrap();
        for id in &hub.partition_ids {
            let partition = client.partition_properties(id).await.unwrap();
            let end = Position::offset(partition.last_enqueued_offset.to_string());
            options = options.start_partition(id, end);
            namespace.publish(&partition, 0..10).await;
        }
        let store = Arc::new(MemoryCheckpointStore::new());
        let processor = Processor::start(client.clone(), store, options).unwrap();
        let mut reading = tokio::task::JoinSet::new();
        for _ in &hub.partition_ids {
            let next = tokio::time::timeout(PATIENCE, processor.next_partition()).await;
            let partition = next.expect("a partition in time").expect("a partition");
            reading.spawn(read_ten(partition, namespace.run.clone()));
        }
        let all = tokio::time::timeout(PATIENCE, reading.join_all());
        let mut read = all.await.expect("all partitions in time");
        read.sort_unstable();
        let mut expected = hub.partition_ids.clone();
        expected.sort_unstable();
        assert_eq!(read, expected);
        processor.shutdown(PATIENCE).await.unwrap();
    })
    .await;
}

/// Reads the ten events of the run that are in a partition; its identifier.
async fn read_ten(mut partition: PartitionClient, run: String) -> String {
    let mut left = 10;
    while left > 0 {
        let event = partition.recv().await.unwrap();
        left -= u32::from(is_of(&run, &event));
        partition.checkpoint(&event).await.unwrap();
    }
    partition.id().to_owned()
}
