//! What is asked of every broker: each scenario has its own connection and its own node, which starts empty.

use std::time::Duration;

use amqp10::codec::{ApplicationProperties, Header, MessageId, Properties, condition};
use amqp10::{
    AmqpError, Body, Connection, ConnectionOptions, Credit, Delivery, Message, Outcome, Receiver,
    ReceiverOptions, Sender, SenderOptions, Session, SessionOptions,
};
use serde_json::Value as Json;

use super::{json, pattern, soon};

/// How long nothing must come before we believe that nothing comes.
const SILENCE: Duration = Duration::from_millis(500);

/// Options for brokers that speak plaintext on this machine.
pub fn options() -> ConnectionOptions {
    ConnectionOptions::default().allow_plain_without_tls(true)
}

pub async fn connect(url: &str, options: ConnectionOptions) -> Connection {
    soon("the open", Connection::open(url, options))
        .await
        .unwrap()
}

/// Closes what must close without an error.
pub async fn close(connection: Connection) {
    soon("the close", connection.close()).await.unwrap();
}

/// A sender to a node and a receiver from it.
pub struct Links {
    pub connection: Connection,
    pub session: Session,
    pub sender: Sender,
    pub receiver: Receiver,
}

impl Links {
    pub async fn open(connection: &Connection, address: &str, receiver: ReceiverOptions) -> Self {
        let session = connection.begin(SessionOptions::default()).await.unwrap();
        let sender = session.attach_sender(address, SenderOptions::default());
        let sender = soon("the sender's attach", sender).await.unwrap();
        let receiver = session.attach_receiver(address, receiver);
        let receiver = soon("the receiver's attach", receiver).await.unwrap();
        let connection = connection.clone();
        Self {
            connection,
            session,
            sender,
            receiver,
        }
    }

    pub async fn send(&self, message: impl Into<Message>) -> Outcome {
        soon("the outcome", self.sender.send(message.into()))
            .await
            .unwrap()
    }

    pub async fn recv(&self) -> Delivery {
        soon("the delivery", self.receiver.recv()).await.unwrap()
    }

    pub async fn expect_silence(&self) {
        let batch = self.receiver.recv_batch(1, SILENCE).await.unwrap();
        assert!(batch.is_empty(), "unexpected: {:?}", batch[0].message());
    }

    /// Every endpoint closes without an error.
    pub async fn close(self) {
        soon("the sender's detach", self.sender.close())
            .await
            .unwrap();
        soon("the receiver's detach", self.receiver.close())
            .await
            .unwrap();
        soon("the end", self.session.end()).await.unwrap();
        close(self.connection).await;
    }
}

fn numbered(number: usize, size: usize) -> Message {
    let properties = Properties {
        message_id: Some(MessageId::Ulong(number as u64)),
        ..Properties::default()
    };
    Message::data(pattern(number, size)).with_properties(properties)
}

/// Many messages in flight in both directions: all come, once and in order.
async fn pipelined(links: &Links, count: usize, size: usize) {
    let sending = async {
        let mut receipts = Vec::new();
        for number in 0..count {
            let message = numbered(number, size);
            receipts.push(links.sender.send_with_receipt(message).await.unwrap());
        }
        for receipt in receipts {
            assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
        }
    };
    let receiving = async {
        for number in 0..count {
            let delivery = links.receiver.recv().await.unwrap();
            let message = delivery.message().unwrap();
            let id = message.properties.unwrap().message_id;
            assert_eq!(id, Some(MessageId::Ulong(number as u64)));
            assert!(
                message.body == Body::Data(pattern(number, size).into()),
                "body {number}"
            );
            delivery.accept().unwrap();
        }
    };
    soon("the messages", async { tokio::join!(sending, receiving) }).await;
    links.expect_silence().await;
}

pub async fn ten_thousand_small_messages(connection: &Connection, address: &str) {
    let links = Links::open(connection, address, ReceiverOptions::default()).await;
    pipelined(&links, 10_000, 100).await;
    links.close().await;
}

pub async fn twenty_messages_of_1_mib(connection: &Connection, address: &str) {
    let links = Links::open(connection, address, ReceiverOptions::default()).await;
    pipelined(&links, 20, 1 << 20).await;
    links.close().await;
}

/// A message goes through in frames of the least size that there is, and of the largest that the broker takes.
pub async fn frames_of_any_size(url: &str, address: &str) {
    for octets in [512, 1 << 20] {
        let connection = connect(url, options().max_frame_size(octets)).await;
        let links = Links::open(&connection, address, ReceiverOptions::default()).await;
        pipelined(&links, 3, 200_000).await;
        links.close().await;
    }
}

/// Sends each message of the file and compares what comes back, after `strip` took away what the broker adds.
pub async fn messages_of_file(
    connection: &Connection,
    address: &str,
    file: &str,
    strip: fn(&Json, &mut Json),
) {
    let links = Links::open(connection, address, ReceiverOptions::default()).await;
    for mut line in json::lines_of(file) {
        drop_numbered_annotations(&mut line);
        assert_eq!(
            links.send(json::from_json(&line)).await,
            Outcome::Accepted,
            "{line}"
        );
        let delivery = links.recv().await;
        let mut received = json::to_json(&delivery.message().unwrap());
        strip(&line, &mut received);
        assert_eq!(received, line);
        delivery.accept().unwrap();
    }
    links.close().await;
}

/// No broker takes the annotations whose keys are numbers; the standard reserves them [3.2.10].
fn drop_numbered_annotations(message: &mut Json) {
    if let Some(Json::Array(pairs)) = message.get_mut("message_annotations") {
        pairs.retain(|pair| pair[0][0] == "symbol");
    }
}

/// Pre-settled messages get no outcome, and all arrive.
pub async fn settled_messages(connection: &Connection, address: &str) {
    let links = Links::open(connection, address, ReceiverOptions::default()).await;
    let count = 1000;
    let sending = async {
        for number in 0..count {
            links
                .sender
                .send_settled(numbered(number, 100))
                .await
                .unwrap();
        }
    };
    let receiving = async {
        for number in 0..count {
            let delivery = links.receiver.recv().await.unwrap();
            let body = delivery.message().unwrap().body;
            assert_eq!(body, Body::Data(pattern(number, 100).into()));
            delivery.accept().unwrap();
        }
    };
    soon("the messages", async { tokio::join!(sending, receiving) }).await;
    links.close().await;
}

/// Credit by hand: nothing comes without, a batch ends at its time or at the credit, and what is left comes later.
pub async fn batches_by_credit(connection: &Connection, address: &str) {
    let by_hand = ReceiverOptions::default().credit(Credit::Manual);
    let links = Links::open(connection, address, by_hand).await;
    for number in 0..3 {
        assert!(links.send(numbered(number, 10)).await.is_accepted());
    }
    links.expect_silence().await;

    links.receiver.add_credit(2).unwrap();
    let batch = links.receiver.recv_batch(10, SILENCE).await.unwrap();
    assert_eq!(numbers(&batch), [0, 1]);
    links.receiver.add_credit(10).unwrap();
    let more = links.receiver.recv_batch(10, SILENCE).await.unwrap();
    assert_eq!(numbers(&more), [2]);
    assert_eq!(links.receiver.credit(), 9);
    accept_all(batch.iter().chain(&more));
    links.close().await;
}

/// Drain takes the credit back, and nothing comes until there is credit again.
pub async fn drain(connection: &Connection, address: &str) {
    let by_hand = ReceiverOptions::default().credit(Credit::Manual);
    let links = Links::open(connection, address, by_hand).await;
    assert!(links.send(numbered(0, 10)).await.is_accepted());
    links.receiver.add_credit(10).unwrap();
    let first = links.recv().await;
    soon("the drain", links.receiver.drain()).await.unwrap();
    assert_eq!(links.receiver.credit(), 0);
    assert!(links.send(numbered(1, 10)).await.is_accepted());
    links.expect_silence().await;
    links.receiver.add_credit(1).unwrap();
    let second = links.recv().await;
    accept_all([&first, &second]);
    links.close().await;
}

fn accept_all<'a>(deliveries: impl IntoIterator<Item = &'a Delivery>) {
    for delivery in deliveries {
        delivery.accept().unwrap();
    }
}

fn numbers(batch: &[Delivery]) -> Vec<u64> {
    let number =
        |delivery: &Delivery| match delivery.message().unwrap().properties.unwrap().message_id {
            Some(MessageId::Ulong(number)) => number,
            other => panic!("no number: {other:?}"),
        };
    batch.iter().map(number).collect()
}

/// A released message comes again, accepted and rejected ones do not.
pub async fn outcomes(connection: &Connection, address: &str) {
    let links = Links::open(connection, address, ReceiverOptions::default()).await;
    assert!(links.send("a message").await.is_accepted());
    let first = links.recv().await;
    first.release().unwrap();
    let second = links.recv().await;
    let message = second.message().unwrap();
    assert_eq!(message.body, first.message().unwrap().body);
    assert!(!message.header.unwrap_or_default().first_acquirer);
    second.accept().unwrap();
    links.expect_silence().await;

    assert!(links.send("not wanted").await.is_accepted());
    let error = AmqpError::new(condition::NOT_ALLOWED, "not wanted here");
    links.recv().await.reject(Some(error)).unwrap();
    links.expect_silence().await;
    links.close().await;
}

/// What brokers translate to their own properties goes through with data bodies, at least.
pub fn translatable() -> Message {
    let properties = Properties {
        message_id: Some("id".into()),
        correlation_id: Some("other".into()),
        reply_to: Some("/queue/answers".into()),
        content_type: Some(amqp10::Symbol::from_static("text/plain")),
        content_encoding: Some(amqp10::Symbol::from_static("identity")),
        ..Properties::default()
    };
    let application_properties = ApplicationProperties::default()
        .with("text", "héllo")
        .with("yes", true)
        .with("int", 7)
        .with("long", 1_i64 << 40)
        .with("double", 0.5);
    let header = Header {
        durable: true,
        priority: 7,
        ..Header::default()
    };
    Message::data(pattern(0, 300))
        .with_header(header)
        .with_properties(properties)
        .with_application_properties(application_properties)
}
