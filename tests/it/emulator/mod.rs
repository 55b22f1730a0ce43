//! What the emulator says on the wire, seen by the plain handles: no Event Hubs client of ours takes part, so that a
//! misreading shared by both ends cannot hide.

mod claims;
mod lifecycle;
mod management;
mod numbered;
mod persistence;
mod publishing;
mod reading;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amqp10::codec::{
    AmqpError, ApplicationProperties, Body, FilterSet, Message, MessageId, Properties, Symbol,
    Value, encode_value,
};
use amqp10::emulator::{Emulator, EmulatorOptions};
use amqp10::{
    Connection, ConnectionOptions, Credentials, Delivery, LinkError, OutgoingMessage, Receiver,
    ReceiverOptions, Sender, SenderOptions, Session, SessionOptions,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};

const KEY_NAME: &str = "RootManageSharedAccessKey";
const KEY: &str = "key-for-tests";
const BATCH_FORMAT: u32 = 0x8001_3700;

/// The longest that any step of a test may take.
const STEP: Duration = Duration::from_secs(10);

fn options() -> EmulatorOptions {
    EmulatorOptions::default()
        .hub("orders", 2)
        .consumer_group("orders", "analytics")
        .key(KEY_NAME, KEY)
}

async fn emulator() -> Emulator {
    Emulator::start(options()).await.unwrap()
}

/// The future's output, within the time that a step may take.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(STEP, future)
        .await
        .expect("took too long")
}

/// A session on a connection that has shown nothing: tokens decide what it may do.
async fn anonymous(emulator: &Emulator) -> (Connection, Session) {
    let connection = Connection::open_with_stream(emulator.connect(), ConnectionOptions::default())
        .await
        .unwrap();
    let session = connection.begin(SessionOptions::default()).await.unwrap();
    (connection, session)
}

/// A session on a connection that may do everything.
async fn root(emulator: &Emulator) -> (Connection, Session) {
    let options = ConnectionOptions::default()
        .credentials(Credentials::plain(KEY_NAME, KEY))
        .allow_plain_without_tls(true);
    let connection = Connection::open_with_stream(emulator.connect(), options)
        .await
        .unwrap();
    let session = connection.begin(SessionOptions::default()).await.unwrap();
    (connection, session)
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// A shared access signature, made here and not by the crate.
fn token(resource: &str, key: &str, expiry: u64) -> String {
    let escaped = resource
        .replace(':', "%3A")
        .replace('/', "%2F")
        .replace('$', "%24");
    let mut hmac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).unwrap();
    hmac.update(format!("{escaped}\n{expiry}").as_bytes());
    let signature = STANDARD.encode(hmac.finalize().into_bytes());
    let signature = signature
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    format!("SharedAccessSignature sr={escaped}&sig={signature}&se={expiry}&skn={KEY_NAME}")
}

/// A pair of links to a node that answers requests.
struct Requests {
    sender: Sender,
    receiver: Receiver,
}

impl Requests {
    async fn attach(session: &Session, node: &str) -> Requests {
        let receiver = session
            .attach_receiver(node, ReceiverOptions::default())
            .await
            .unwrap();
        let sender = session
            .attach_sender(node, SenderOptions::default())
            .await
            .unwrap();
        Requests { sender, receiver }
    }

    async fn ask(&self, request: Message) -> Message {
        assert!(soon(self.sender.send(request)).await.unwrap().is_accepted());
        let reply = soon(self.receiver.recv()).await.unwrap();
        reply.accept().unwrap();
        reply.message().unwrap()
    }
}

fn request(
    id: impl Into<Option<MessageId>>,
    arguments: &[(&'static str, &str)],
    body: Body,
) -> Message {
    let properties = Properties {
        message_id: id.into(),
        ..Properties::default()
    };
    let arguments: ApplicationProperties = arguments
        .iter()
        .map(|(key, value)| (*key, *value))
        .collect();
    Message {
        properties: Some(properties),
        application_properties: Some(arguments),
        body,
        ..Message::default()
    }
}

fn put_token(audience: &str, token: &str) -> Message {
    let arguments = [
        ("operation", "put-token"),
        ("type", "servicebus.windows.net:sastoken"),
        ("name", audience),
    ];
    request(
        MessageId::String("1".into()),
        &arguments,
        Body::Value(token.into()),
    )
}

fn status(reply: &Message) -> i32 {
    match reply
        .application_properties
        .as_ref()
        .and_then(|properties| properties.get("status-code"))
    {
        Some(Value::Int(status)) => *status,
        other => panic!("status-code must be an int, is {other:?}"),
    }
}

/// Puts a good token for a resource.
async fn authorize(session: &Session, resource: &str) {
    let requests = Requests::attach(session, "$cbs").await;
    let reply = requests
        .ask(put_token(resource, &token(resource, KEY, now() + 3600)))
        .await;
    assert_eq!(status(&reply), 202, "{reply:?}");
}

fn selector(expression: &str) -> ReceiverOptions {
    selector_with(Value::Ulong(0x0000_468C_0000_0004), expression)
}

fn selector_with(descriptor: Value, expression: &str) -> ReceiverOptions {
    let mut filter = FilterSet::new();
    filter.insert(
        Symbol::from_static("apache.org:selector-filter:string"),
        Value::described(descriptor, Value::from(expression)),
    );
    ReceiverOptions::default().filter(filter)
}

fn reader_address(partition: u32) -> String {
    format!("orders/ConsumerGroups/$Default/Partitions/{partition}")
}

/// Publishes texts to partition 0, one message each.
async fn publish(session: &Session, texts: &[&str]) {
    let sender = session
        .attach_sender("orders/Partitions/0", SenderOptions::default())
        .await
        .unwrap();
    for text in texts {
        assert!(
            sender
                .send(Message::data(text.to_string()))
                .await
                .unwrap()
                .is_accepted()
        );
    }
    sender.close().await.unwrap();
}

fn batch(events: &[Message]) -> OutgoingMessage {
    let body = Body::DataSections(
        events
            .iter()
            .map(|event| encode_value(event).unwrap())
            .collect(),
    );
    let envelope = Message {
        body,
        ..Message::default()
    };
    OutgoingMessage::encoded(BATCH_FORMAT, encode_value(&envelope).unwrap())
}

fn text_of(message: &Message) -> &str {
    match &message.body {
        Body::Data(text) => std::str::from_utf8(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn text(delivery: &Delivery) -> String {
    text_of(&delivery.message().unwrap()).to_owned()
}

/// The next `count` texts.
async fn texts(receiver: &Receiver, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let delivery = soon(receiver.recv()).await.unwrap();
        delivery.accept().unwrap();
        texts.push(text(&delivery));
    }
    texts
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, LinkError>) -> AmqpError {
    answer
        .unwrap_err()
        .remote_error()
        .cloned()
        .expect("the emulator gives a reason")
}

fn description(error: &AmqpError) -> &str {
    error.description.as_ref().unwrap().as_str()
}
