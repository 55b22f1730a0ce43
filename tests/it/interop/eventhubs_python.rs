//! azure-eventhub, Microsoft's client for Python, against our emulator, and our facade beside it.

use std::time::SystemTime;

use amqp10::emulator::{Emulator, EmulatorOptions};
use amqp10::eventhubs::{
    BatchOptions, Client, ClientOptions, ConsumerOptions, Event, Position, ProducerOptions,
    ReceivedEvent, Route,
};
use amqp10::{Symbol, Value};
use serde_json::{Value as Json, json};

use super::program::Program;
use super::soon;

const HUB: &str = "orders";
const PARTITIONS: u32 = 2;

/// The emulator, our facade, and Microsoft's client.
struct Peers {
    emulator: Emulator,
    client: Client,
    python: Program,
}

impl Peers {
    async fn start() -> Option<Self> {
        let python = Program::python("eventhubs_client.py")?;
        let options = EmulatorOptions::new().hub(HUB, PARTITIONS).port(0);
        let emulator = Emulator::start(options).await.unwrap();
        let options = ClientOptions::default().hub(HUB);
        let client = Client::connect(&emulator.connection_string(), options)
            .await
            .unwrap();
        Some(Self {
            emulator,
            client,
            python,
        })
    }

    async fn python(&self, arguments: &[&str]) -> Vec<Json> {
        let connection_string = self.emulator.connection_string();
        self.python
            .lines(&[&[connection_string.as_str(), HUB], arguments].concat())
            .await
    }

    /// Reads `count` events of all partitions with our facade: each with its partition, as the Python client prints it.
    async fn read(&self, count: usize) -> Vec<Json> {
        let mut events = Vec::new();
        for partition in 0..PARTITIONS {
            let partition = partition.to_string();
            let last = self.client.partition_properties(&partition).await.unwrap();
            let there = last.last_enqueued_sequence_number + 1;
            let options = ConsumerOptions::default().position(Position::earliest());
            let mut consumer = self.client.consumer(&partition, options).await.unwrap();
            for _ in 0..there {
                let event = soon("the event", consumer.recv()).await.unwrap();
                events.push(to_json(&partition, &event));
            }
            consumer.close().await.unwrap();
        }
        assert_eq!(events.len(), count);
        events
    }

    /// What both clients read from the beginning: the same. Returned in the order of partition and sequence number.
    async fn read_by_both(&self, count: usize) -> Vec<Json> {
        let ours = self.read(count).await;
        let mut theirs = self.python(&["receive", &count.to_string()]).await;
        theirs.sort_by_key(|event| {
            (
                event["partition"].to_string(),
                event["sequence_number"].as_i64(),
            )
        });
        assert_eq!(theirs.len(), count);
        for (theirs, ours) in theirs.iter().zip(&ours) {
            for (field, ours) in ours.as_object().unwrap() {
                assert!(
                    theirs[field] == *ours,
                    "{field}: {} or {ours}",
                    theirs[field]
                );
            }
            let system = &theirs["system_properties"];
            assert_eq!(system["x-opt-sequence-number"], ours["sequence_number"]);
            assert_eq!(system["x-opt-offset"], ours["offset"]);
        }
        ours
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64
}

/// An event in the words of `eventhubs_client.py`.
fn to_json(partition: &str, event: &ReceivedEvent) -> Json {
    let pairs = event
        .application_properties()
        .into_iter()
        .flat_map(|properties| properties.iter());
    let properties: Json = pairs
        .map(|(name, value)| (name.to_string(), property(value)))
        .collect();
    let fields = event.properties().cloned().unwrap_or_default();
    let id = |id| match id {
        Some(amqp10::codec::MessageId::String(text)) => json!(text.as_str()),
        other => panic!("no text as id: {other:?}"),
    };
    json!({
        "partition": partition,
        "offset": event.offset(),
        "sequence_number": event.sequence_number(),
        "enqueued_time": milliseconds(event.enqueued_time().unwrap()),
        "partition_key": event.partition_key(),
        "message_id": id(fields.message_id),
        "correlation_id": id(fields.correlation_id),
        "content_type": fields.content_type.as_deref(),
        "properties": properties,
        "body": std::str::from_utf8(event.body()).unwrap(),
    })
}

fn property(value: &Value) -> Json {
    match value {
        Value::String(text) => json!(text.as_str()),
        Value::Bool(value) => json!(value),
        Value::Double(number) => json!(number),
        number => json!(
            number
                .as_i64()
                .unwrap_or_else(|| panic!("unexpected property {number:?}"))
        ),
    }
}

/// The body of event `number` as the Python client makes it.
fn body(number: usize, size: usize) -> String {
    let start = format!("event {number} ");
    let dots = ".".repeat(size - start.len());
    start + &dots
}

/// Event `number` as the Python client makes it.
fn numbered(number: u32, size: usize) -> Event {
    Event::from(body(number as usize, size))
        .with_message_id(format!("id-{number}"))
        .with_correlation_id(format!("correlation-{number}"))
        .with_content_type(Symbol::from_static("text/plain"))
        .with_property("number", i64::from(number))
        .with_property("text", format!("text {number} 日本"))
        .with_property("even", number.is_multiple_of(2))
        .with_property("half", f64::from(number) / 2.0)
}

/// Numbers, properties and bodies of what was sent, wherever it ended up.
fn expect_numbered(events: &[Json], size: usize) {
    for (number, event) in events.iter().enumerate() {
        assert!(
            event["body"] == body(number, size),
            "body of event {number}"
        );
        assert_eq!(event["message_id"], format!("id-{number}"));
        let properties = json!({
            "number": number, "text": format!("text {number} 日本"), "even": number % 2 == 0, "half": number as f64 / 2.0,
        });
        assert_eq!(event["properties"], properties);
    }
}

#[tokio::test]
async fn python_sends_one_by_one_with_a_partition_key() {
    let Some(peers) = Peers::start().await else {
        return;
    };
    peers
        .python(&["send", "--count", "20", "--partition-key", "customer 7"])
        .await;
    let events = peers.read_by_both(20).await;
    expect_numbered(&events, 100);
    let partition =
        amqp10::eventhubs::partition_for_key("customer 7", PARTITIONS.try_into().unwrap());
    for event in &events {
        assert_eq!(event["partition_key"], "customer 7");
        assert_eq!(event["partition"], partition.to_string());
    }
}

#[tokio::test]
async fn python_sends_a_batch_of_1000() {
    let Some(peers) = Peers::start().await else {
        return;
    };
    peers
        .python(&["send", "--count", "1000", "--batch", "--partition-id", "1"])
        .await;
    let events = peers.read_by_both(1000).await;
    expect_numbered(&events, 100);
    assert!(events.iter().all(|event| event["partition"] == "1"));
    assert!(
        events
            .windows(2)
            .all(|pair| pair[0]["sequence_number"].as_i64() < pair[1]["sequence_number"].as_i64())
    );
}

#[tokio::test]
async fn python_sends_a_batch_with_a_partition_key() {
    let Some(peers) = Peers::start().await else {
        return;
    };
    peers
        .python(&["send", "--count", "10", "--batch", "--partition-key", "k"])
        .await;
    let events = peers.read_by_both(10).await;
    expect_numbered(&events, 100);
    assert!(events.iter().all(|event| event["partition_key"] == "k"));
}

#[tokio::test]
async fn python_sends_an_event_of_almost_1_mib() {
    let Some(peers) = Peers::start().await else {
        return;
    };
    let size = (1 << 20) - 1000;
    peers
        .python(&["send", "--size", &size.to_string(), "--partition-id", "0"])
        .await;
    expect_numbered(&peers.read_by_both(1).await, size);
}

#[tokio::test]
async fn the_facade_sends_one_by_one_with_a_partition_key() {
    let Some(peers) = Peers::start().await else {
        return;
    };
    let producer = peers.client.producer(ProducerOptions::default());
    for number in 0..20 {
        producer
            .send_to(Route::key("käse"), numbered(number, 100))
            .await
            .unwrap();
    }
    let events = peers.read_by_both(20).await;
    expect_numbered(&events, 100);
    assert!(events.iter().all(|event| event["partition_key"] == "käse"));
}

#[tokio::test]
async fn the_facade_sends_a_batch_of_1000() {
    let Some(peers) = Peers::start().await else {
        return;
    };
    let producer = peers.client.producer(ProducerOptions::default());
    let mut batch = producer
        .create_batch(BatchOptions::partition("1"))
        .await
        .unwrap();
    for number in 0..1000 {
        batch.try_add(numbered(number, 100)).unwrap();
    }
    producer.send_batch(batch).await.unwrap();
    expect_numbered(&peers.read_by_both(1000).await, 100);
}

#[tokio::test]
async fn the_facade_sends_an_event_of_almost_1_mib() {
    let Some(peers) = Peers::start().await else {
        return;
    };
    let size = (1 << 20) - 1000;
    let producer = peers.client.producer(ProducerOptions::default());
    producer
        .send_to(Route::partition("0"), numbered(0, size))
        .await
        .unwrap();
    expect_numbered(&peers.read_by_both(1).await, size);
}

#[tokio::test]
async fn both_see_the_same_properties_of_hub_and_partitions() {
    let Some(peers) = Peers::start().await else {
        return;
    };
    peers
        .python(&["send", "--count", "3", "--partition-id", "1"])
        .await;
    let theirs = peers.python(&["properties"]).await.pop().unwrap();
    let hub = peers.client.hub_properties().await.unwrap();
    assert_eq!(theirs["eventhub_name"], hub.name);
    assert_eq!(theirs["partition_ids"], json!(hub.partition_ids));
    assert_eq!(theirs["created_at"], milliseconds(hub.created_at.unwrap()));
    for (id, theirs) in hub
        .partition_ids
        .iter()
        .zip(theirs["partitions"].as_array().unwrap())
    {
        let ours = peers.client.partition_properties(id).await.unwrap();
        assert_eq!(theirs["id"], ours.id);
        assert_eq!(theirs["eventhub_name"], ours.hub);
        assert_eq!(
            theirs["beginning_sequence_number"],
            ours.beginning_sequence_number
        );
        assert_eq!(
            theirs["last_enqueued_sequence_number"],
            ours.last_enqueued_sequence_number
        );
        assert_eq!(theirs["last_enqueued_offset"], ours.last_enqueued_offset);
        assert_eq!(
            theirs["last_enqueued_time_utc"],
            milliseconds(ours.last_enqueued_time.unwrap())
        );
        assert_eq!(theirs["is_empty"], ours.is_empty);
        assert_eq!(ours.is_empty, id == "0");
    }
}

#[tokio::test]
async fn a_wrong_key_and_an_unknown_hub_are_told_to_python() {
    let Some(peers) = Peers::start().await else {
        return;
    };
    let right = peers.emulator.connection_string();
    let key = right
        .split("SharedAccessKey=")
        .nth(1)
        .and_then(|rest| rest.split(';').next())
        .unwrap();
    let wrong = right.replace(key, "d3Jvbmc=");
    // Whatever `$cbs` refuses is an authentication error to this client, an unknown hub too.
    for (connection_string, hub) in [(&wrong, HUB), (&right, "nowhere")] {
        let sent = peers.python.run(&[connection_string, hub, "send"]).await;
        let error = sent.unwrap_err();
        assert!(error.contains("AuthenticationError"), "{error}");
        assert!(!error.contains("d3Jvbmc"), "{error}");
    }
}
