//! Examples that listen themselves, with our client. `server_direct` in Python is left out: it listens on every interface.

use amqp10::codec::{LifetimePolicy, MessageId, Properties, Source, Value};
use amqp10::{Body, Connection, Message, ReceiverOptions, SenderOptions, Session, SessionOptions};

use super::REQUESTS;
use crate::interop::broker::{close, connect, options};
use crate::interop::program::{Program, Running};
use crate::interop::soon;

/// An example that listens, and a session of ours with it.
struct Scene {
    example: Running,
    connection: Connection,
    session: Session,
}

impl Scene {
    /// One in C++, which says on which port it listens.
    async fn cpp(name: &str) -> Option<Self> {
        let example = Program::proton_cpp_example(name)?;
        let mut example = example.start(&["-a", "127.0.0.1:0"]);
        let line = example.line().await.expect("a line");
        let port = line.strip_prefix("listening on ").expect("the port");
        let connection = connect(&format!("amqp://127.0.0.1:{port}"), options()).await;
        Some(Self::over(example, connection).await)
    }

    /// One in Python, at a port that was free just now.
    async fn python(name: &str) -> Option<Self> {
        let example = Program::proton_python_example(name)?;
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let example = example.start(&["-a", &address]);
        let url = format!("amqp://{address}");
        let connected = async {
            loop {
                match Connection::open(&url, options()).await {
                    Ok(connection) => return connection,
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
                }
            }
        };
        let connection = soon("the example's listener", connected).await;
        Some(Self::over(example, connection).await)
    }

    async fn over(example: Running, connection: Connection) -> Self {
        let session = connection.begin(SessionOptions::default()).await.unwrap();
        Self {
            example,
            connection,
            session,
        }
    }
}

/// The example's messages have numbers from one, as their ids and in their bodies.
fn numbered(number: i64) -> Message {
    let sequence = [("sequence", number)].into_iter().collect();
    Message::value(Value::Map(sequence)).with_properties(Properties {
        message_id: Some(MessageId::Ulong(number as u64)),
        ..Properties::default()
    })
}

async fn sends(scene: Option<Scene>, sequence: fn(i64) -> String) {
    let Some(mut scene) = scene else { return };
    let sender = scene
        .session
        .attach_sender("examples", SenderOptions::default());
    let sender = sender.await.unwrap();
    for number in 1..=100 {
        let sent = soon("the outcome", sender.send(numbered(number))).await;
        // It closes the connection with its last message, perhaps before we have the outcome.
        assert!(number == 100 || sent.unwrap().is_accepted());
        assert_eq!(scene.example.line().await, Some(sequence(number)));
    }
    scene.example.end().await.unwrap();
}

#[tokio::test]
async fn cpp_direct_recv() {
    let scene = Scene::cpp("direct_recv").await;
    sends(scene, |number| format!("{{\"sequence\"={number}}}")).await;
}

#[tokio::test]
async fn python_direct_recv() {
    let scene = Scene::python("direct_recv").await;
    sends(scene, |number| format!("{{'sequence': {number}}}")).await;
}

async fn receives(scene: Option<Scene>) {
    let Some(mut scene) = scene else { return };
    let receiver = scene
        .session
        .attach_receiver("examples", ReceiverOptions::default());
    let receiver = receiver.await.unwrap();
    for number in 1..=100 {
        let delivery = soon("the delivery", receiver.recv()).await.unwrap();
        let Body::Value(Value::Map(body)) = delivery.message().unwrap().body else {
            panic!("the body of {number}");
        };
        let sequence = body.get_str("sequence").and_then(Value::as_i64);
        assert_eq!(sequence, Some(number));
        delivery.accept().unwrap();
    }
    let confirmed = scene.example.line().await;
    assert_eq!(confirmed.as_deref(), Some("all messages confirmed"));
    scene.example.end().await.unwrap();
}

#[tokio::test]
async fn cpp_direct_send() {
    receives(Scene::cpp("direct_send").await).await;
}

#[tokio::test]
async fn python_direct_send() {
    receives(Scene::python("direct_send").await).await;
}

/// Requests that ask for replies at a node of the server that was made for us.
#[tokio::test]
async fn cpp_server_direct() {
    let Some(scene) = Scene::cpp("server_direct").await else {
        return;
    };
    let source = Source::dynamic(LifetimePolicy::DeleteOnClose);
    let options = ReceiverOptions::default().source(source);
    let replies = scene.session.attach_receiver("", options).await.unwrap();
    let requests = scene
        .session
        .attach_sender("examples", SenderOptions::default());
    let requests = requests.await.unwrap();
    for (number, request) in REQUESTS.into_iter().enumerate() {
        let properties = Properties {
            reply_to: replies.address().map(Into::into),
            correlation_id: Some(MessageId::Ulong(number as u64)),
            ..Properties::default()
        };
        let request_message = Message::from(request).with_properties(properties);
        let sent = soon("the outcome", requests.send(request_message)).await;
        assert!(sent.unwrap().is_accepted());
        let delivery = soon("the reply", replies.recv()).await.unwrap();
        delivery.accept().unwrap();
        let reply = delivery.message().unwrap();
        assert_eq!(
            reply.body,
            Body::Value(Value::from(request.to_uppercase().as_str()))
        );
        let answered = reply.properties.unwrap().correlation_id;
        assert_eq!(answered, Some(MessageId::Ulong(number as u64)));
    }
    close(scene.connection).await;
}
