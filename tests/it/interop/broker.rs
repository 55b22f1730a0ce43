//! Our client at a broker.

use std::time::Duration;

use amqp10::{
    Connection, ConnectionOptions, Delivery, Message, Outcome, Receiver, ReceiverOptions, Sender,
    SenderOptions, Session, SessionOptions,
};
use serde_json::Value as Json;

use super::soon;

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
        let options = SessionOptions::default();
        Self::open_in(connection, options, address, receiver).await
    }

    /// Both in a session with options.
    pub async fn open_in(
        connection: &Connection,
        session: SessionOptions,
        address: &str,
        receiver: ReceiverOptions,
    ) -> Self {
        let session = connection.begin(session).await.unwrap();
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

/// Some brokers write a header of their own, and delivery annotations end with them as they should: these sections of what was
/// received are taken for what was sent.
pub fn without_header(sent: &Json, received: &mut Json) {
    let received = received.as_object_mut().unwrap();
    for section in ["header", "delivery_annotations"] {
        match sent.get(section) {
            Some(sent) => received.insert(section.into(), sent.clone()),
            None => received.remove(section),
        };
    }
}
