//! A service that takes every token, answers what it is told to, and leaves the partitions' links to the test.

use amqp10::codec::{
    ApplicationProperties, Attach, Encode, Map, Properties, Source, Value, Writer,
};
use amqp10::eventhubs::ClientObserver;
use amqp10::eventhubs::wire::annotation;
use amqp10::memory::{self, MemoryStream};
use amqp10::{
    AcceptLinkOptions, AcceptedLink, IncomingLink, Listener, ListenerOptions, Message, Receiver,
    Sender, Timestamp,
};
use bytes::BytesMut;
use std::sync::Mutex;
use tokio::sync::mpsc;

use super::*;

/// A link on which the test sends to a consumer.
pub struct Feed {
    pub attach: Box<Attach>,
    pub sender: Sender,
}

impl Feed {
    /// The text of the selector that the consumer asked for.
    pub fn selector(&self) -> String {
        let Some(Source { filter, .. }) = &self.attach.source else {
            panic!("no source");
        };
        match filter.get("apache.org:selector-filter:string") {
            Some(Value::Described(described)) => described.value.as_str().unwrap().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    pub async fn send(&self, number: i64, offset: &str) {
        let message = event(number, offset);
        self.sender.send_settled(message).await.unwrap();
    }

    /// An event whose properties are a list of fields with no end.
    pub async fn send_unreadable(&self, number: i64, offset: &str) {
        let mut octets = BytesMut::new();
        let message = event(number, offset);
        message.encode(&mut Writer::new(&mut octets));
        octets.extend_from_slice(&[0x00, 0x53, 0x78, 0xc1, 0x02, 0x02, 0xff]);
        let message = amqp10::OutgoingMessage::encoded(0, octets.freeze());
        self.sender.send_settled(message).await.unwrap();
    }
}

fn event(number: i64, offset: &str) -> Message {
    let annotations = amqp10::Annotations::new()
        .with(annotation::SEQUENCE_NUMBER, number)
        .with(annotation::OFFSET, offset)
        .with(annotation::ENQUEUED_TIME, Timestamp(number));
    Message::data(number.to_string()).with_message_annotations(annotations)
}

/// Says how a partition's properties are at the moment; nothing, and there is no answer.
type Answer = Box<dyn Fn() -> Option<Map> + Send>;

#[derive(Clone)]
pub struct Service {
    feeds: mpsc::UnboundedSender<Feed>,
    partition: Arc<Mutex<Answer>>,
}

/// A partition's last number and offset, as `$management` tells them.
pub fn partition_ending_with(number: i64, offset: &str) -> Map {
    Map::new()
        .with("name", HUB)
        .with("type", "com.microsoft:partition")
        .with("partition", "0")
        .with("begin_sequence_number", 0_i64)
        .with("last_enqueued_sequence_number", number)
        .with("last_enqueued_offset", offset)
        .with("last_enqueued_time_utc", Timestamp(number))
        .with("is_partition_empty", number < 0)
}

impl Service {
    /// The service, and the links of consumers as they come.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Feed>) {
        let (feeds, coming) = mpsc::unbounded_channel();
        let partition: Answer = Box::new(|| Some(partition_ending_with(-1, "-1")));
        let service = Self {
            feeds,
            partition: Arc::new(Mutex::new(partition)),
        };
        (service, coming)
    }

    /// What `$management` answers from now on.
    pub fn answer(&self, partition: impl Fn() -> Map + Send + 'static) {
        *self.partition.lock().unwrap() = Box::new(move || Some(partition()));
    }

    /// `$management` takes requests from now on, and does not answer them.
    pub fn say_nothing(&self) {
        *self.partition.lock().unwrap() = Box::new(|| None);
    }

    pub async fn client(&self, observer: ClientObserver) -> Client {
        self.client_over(1, observer).await
    }

    pub async fn client_over(&self, connections: usize, observer: ClientObserver) -> Client {
        let service = self.clone();
        let connector = Connector::new(move |options| {
            let (ours, theirs) = memory::pipe(1 << 16);
            tokio::spawn(service.clone().serve(theirs));
            Connection::open_with_stream(ours, options)
        });
        let options = ClientOptions::default()
            .connector(connector)
            .connections(connections)
            .observer(observer)
            .seed(1);
        let text = "Endpoint=sb://localhost;SharedAccessKeyName=name;SharedAccessKey=key;EntityPath=orders";
        Client::connect(text, options).await.unwrap()
    }

    async fn serve(self, stream: MemoryStream) {
        let options = ListenerOptions::default();
        let incoming = Listener::accept_stream(stream, &options).await.unwrap();
        let connection = incoming.accept().await.unwrap();
        let mut replies = Vec::new();
        while let Ok(link) = connection.accept_link().await {
            let node = node(&link);
            let attach = Box::new(link.attach().clone());
            match link.accept(AcceptLinkOptions::default()).await.unwrap() {
                AcceptedLink::Sender(sender) if node.starts_with('$') => {
                    replies.push((node, sender))
                }
                AcceptedLink::Sender(sender) => drop(self.feeds.send(Feed { attach, sender })),
                AcceptedLink::Receiver(requests) => {
                    let pair = replies.iter().position(|(of, _)| *of == node).unwrap();
                    let (_, replies) = replies.swap_remove(pair);
                    tokio::spawn(self.clone().answer_all(node, requests, replies));
                }
            }
        }
    }

    async fn answer_all(self, node: String, requests: Receiver, replies: Sender) {
        while let Ok(delivery) = requests.recv().await {
            delivery.accept().unwrap();
            let request = delivery.message().unwrap();
            let (status, body) = match node.as_str() {
                "$cbs" => (202, Value::Null),
                _ => match (self.partition.lock().unwrap())() {
                    Some(partition) => (200, Value::Map(partition)),
                    None => continue,
                },
            };
            let properties = Properties {
                correlation_id: request.properties.unwrap().message_id,
                ..Properties::default()
            };
            let status = ApplicationProperties::new().with("status-code", status);
            let reply = Message::value(body)
                .with_properties(properties)
                .with_application_properties(status);
            replies.send_settled(reply).await.unwrap();
        }
    }
}

/// The last part of the address that a link names.
fn node(link: &IncomingLink) -> String {
    let attach = link.attach();
    let address = match &attach.target {
        Some(amqp10::TargetArchetype::Target(target)) if attach.role == amqp10::Role::Sender => {
            target.address.clone()
        }
        _ => attach.source.clone().unwrap_or_default().address,
    };
    let address = address.unwrap_or_default();
    address.rsplit('/').next().unwrap_or_default().to_owned()
}
