//! The broker, seen by our client and, where frames matter, by a scripted peer.

mod competing;
mod deliveries;
mod filters;
mod lifecycle;
mod limits;
mod nodes;
mod reconnecting;
mod subscriptions;
mod transactions;
mod wire;

use std::time::Duration;

use amqp10::broker::{Broker, BrokerOptions};
use amqp10::{
    Connection, ConnectionOptions, Credit, Delivery, OutgoingMessage, Receiver, ReceiverOptions,
    Sender, SenderOptions, Session, SessionOptions,
};

/// Longer than anything takes, on a clock that jumps.
const LONG: Duration = Duration::from_secs(5);

async fn broker() -> Broker {
    broker_with(BrokerOptions::default()).await
}

async fn broker_with(options: BrokerOptions) -> Broker {
    Broker::in_process(options).await.unwrap()
}

async fn connect(broker: &Broker, container: &str) -> Connection {
    let options = ConnectionOptions::default().container_id(container);
    Connection::open_with_stream(broker.connect(), options)
        .await
        .unwrap()
}

async fn session(broker: &Broker) -> Session {
    let connection = Connection::open_with_stream(broker.connect(), ConnectionOptions::default())
        .await
        .unwrap();
    connection.begin(SessionOptions::default()).await.unwrap()
}

async fn sender(session: &Session, address: &str) -> Sender {
    session
        .attach_sender(address, SenderOptions::default())
        .await
        .unwrap()
}

/// Sends one message, which is taken.
async fn publish(session: &Session, address: &str, message: impl Into<OutgoingMessage>) {
    let sender = sender(session, address).await;
    assert!(sender.send(message).await.unwrap().is_accepted());
}

async fn receiver(session: &Session, address: &str) -> Receiver {
    receiver_with(session, address, ReceiverOptions::default()).await
}

async fn receiver_with(session: &Session, address: &str, options: ReceiverOptions) -> Receiver {
    session.attach_receiver(address, options).await.unwrap()
}

/// One delivery at a time, when it is asked for.
fn manual() -> ReceiverOptions {
    ReceiverOptions::default().credit(Credit::Manual)
}

async fn next(receiver: &Receiver) -> Delivery {
    tokio::time::timeout(LONG, receiver.recv())
        .await
        .expect("nothing came")
        .unwrap()
}

/// Takes the next message, for good.
async fn taken(receiver: &Receiver) -> String {
    let delivery = next(receiver).await;
    delivery.accept().unwrap();
    text(&delivery)
}

async fn expect_nothing(receiver: &Receiver) {
    let received = tokio::time::timeout(LONG, receiver.recv()).await;
    assert!(received.is_err(), "{received:?}");
}

fn text(delivery: &Delivery) -> String {
    match delivery.message().unwrap().body {
        amqp10::Body::Value(value) => value.as_str().unwrap().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// Lets everything happen that can happen.
async fn settle_down() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}
