//! Futures of the Event Hubs client against an emulator in process, over streams that split: events are lost or doubled no more
//! than is documented, nothing stays behind, and the client goes on.

pub(super) mod buffered;
pub(super) mod client;
pub(super) mod consumer;
pub(super) mod idempotent;
pub(super) mod processor;
pub(super) mod producer;
pub(super) mod stores;
pub(super) mod tokens;

use std::sync::{Arc, Mutex, Weak};

use amqp10::emulator::{Emulator, EmulatorOptions};
use amqp10::eventhubs::{
    Client, ClientObserver, ClientOptions, Connector, ConsumerOptions, PartitionConsumer, Position,
    Producer, ProducerOptions, Route,
};

use super::*;
use crate::support::io::{Control, Faults, RoughStream};

const HUB: &str = "orders";
const PARTITIONS: u32 = 2;

/// Sessions that a connection may have: for `$cbs`, for `$management`, and for few links. What leaks is missed soon.
const SESSIONS: u32 = 5;

/// An emulator, and a client that has little to leak.
struct Scene {
    emulator: Arc<Emulator>,
    streams: Streams,
    client: Client,
    told: Arc<Mutex<Vec<String>>>,
}

/// The streams that were opened, as long as somebody holds their other ends.
type Streams = Arc<Mutex<Vec<Weak<Control>>>>;

impl Scene {
    async fn new() -> Self {
        Self::with_sessions(SESSIONS).await
    }

    async fn with_sessions(sessions: u32) -> Self {
        let options = EmulatorOptions::default().hub(HUB, PARTITIONS);
        let emulator = Arc::new(Emulator::in_process(options).await.unwrap());
        let (streams, told) = (Streams::default(), Arc::default());
        let client = connect(&emulator, &streams, &told, sessions).await;
        Self {
            emulator,
            streams,
            client,
            told,
        }
    }

    fn producer(&self) -> Producer {
        self.client.producer(ProducerOptions::default())
    }

    /// Publishes to partition 0.
    async fn publish(&self, texts: impl IntoIterator<Item = String>) {
        let producer = self.producer();
        for text in texts {
            producer.send_to(Route::partition("0"), text).await.unwrap();
        }
    }

    async fn consumer(&self) -> PartitionConsumer {
        let options = ConsumerOptions::default().position(Position::earliest());
        self.client.consumer("0", options).await.unwrap()
    }

    /// What is stored in all partitions.
    fn stored(&self) -> Vec<String> {
        let partitions = (0..PARTITIONS).map(|id| self.emulator.stored(HUB, &id.to_string()));
        partitions
            .flatten()
            .map(|message| text(message.body))
            .collect()
    }

    fn count(&self, text: &str) -> usize {
        self.stored()
            .iter()
            .filter(|stored| *stored == text)
            .count()
    }

    /// How often the observer was told of something.
    fn told(&self, name: &str) -> usize {
        let told = self.told.lock().unwrap();
        told.iter().filter(|event| event.starts_with(name)).count()
    }

    fn open_streams(&self) -> usize {
        open(&self.streams)
    }

    /// All that a client does, for which the connection has just the room.
    async fn check(&self) {
        rest().await;
        let work = async {
            let consumer = self.consumer().await;
            let other = self.consumer().await;
            self.publish(["check".to_owned()]).await;
            self.client.hub_properties().await.unwrap();
            other.close().await.unwrap();
            consumer.close().await.unwrap();
        };
        timeout(LONG, work).await.expect("the client works");
        rest().await;
        assert_eq!(self.open_streams(), 1);
    }
}

fn text(body: Body) -> String {
    match body {
        Body::Data(octets) => String::from_utf8(octets.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn open(streams: &Streams) -> usize {
    let mut streams = streams.lock().unwrap();
    streams.retain(|stream| stream.strong_count() > 0);
    streams.len()
}

/// Opens connections of so many sessions over streams that split.
fn connector(emulator: &Arc<Emulator>, streams: &Streams, sessions: u32) -> Connector {
    let (emulator, streams) = (emulator.clone(), streams.clone());
    Connector::new(move |options| {
        let faults = Faults {
            splits: Some(7),
            ..Faults::default()
        };
        let (stream, control) = RoughStream::new(emulator.connect(), faults);
        streams.lock().unwrap().push(Arc::downgrade(&control));
        let limits = Limits::default().max_sessions(sessions);
        Connection::open_with_stream(stream, options.limits(limits))
    })
}

fn connect(
    emulator: &Arc<Emulator>,
    streams: &Streams,
    told: &Arc<Mutex<Vec<String>>>,
    sessions: u32,
) -> impl Future<Output = Client> {
    let told = told.clone();
    let observer =
        ClientObserver::new(move |event| told.lock().unwrap().push(format!("{event:?}")));
    let options = ClientOptions::default()
        .hub(HUB)
        .connector(connector(emulator, streams, sessions))
        .observer(observer)
        .seed(1);
    let target = emulator.connection_string();
    async move { Client::connect(&target, options).await.unwrap() }
}
