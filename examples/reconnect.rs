//! A program that goes on while its broker is restarted: what it sends arrives, and what it has not accepted comes again.
//!
//! ```sh
//! cargo run --example reconnect --features broker
//! ```
//!
//! The broker keeps its queues in memory: what it had accepted and not delivered when it stopped is gone. One that writes them to
//! a disk would deliver that, too.

use std::collections::BTreeSet;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use amqp10::broker::{Broker, BrokerOptions};
use amqp10::reconnect::{
    ReconnectError, ReconnectOptions, ReconnectingConnection, ReconnectingReceiver,
    ReconnectingSender,
};
use amqp10::{ConnectionOptions, ReceiverOptions, SenderOptions};
use tokio::time::timeout;

type Failure = Box<dyn Error + Send + Sync>;

/// Messages that are sent, one each hundredth of a second.
const COUNT: u32 = 200;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let broker = Broker::start(BrokerOptions::default()).await?;
    let address = broker.local_addr().ok_or("no address")?;

    // From here on an ordinary program: open, attach, send, receive.
    let url = format!("amqp://{address}");
    let options = ReconnectOptions::default();
    let connection =
        ReconnectingConnection::open(&url, ConnectionOptions::default(), options).await?;
    let sender = connection.sender("orders", SenderOptions::default());
    let receiver = connection.receiver("orders", ReceiverOptions::default());

    let sending = tokio::spawn(send_all(sender));
    let receiving = tokio::spawn(receive_until_quiet(receiver));
    let broker = restart(broker, address).await?;

    let accepted = sending.await??;
    let received = receiving.await??;
    println!("{accepted} of {COUNT} messages were accepted by one of the brokers");
    println!("{} different ones were received", received.len());
    connection.close().await?;
    broker.shutdown().await;
    Ok(())
}

/// Stops the broker amid the work, and starts another one at its address a second later.
async fn restart(broker: Broker, address: SocketAddr) -> Result<Broker, Failure> {
    tokio::time::sleep(Duration::from_millis(700)).await;
    println!("-- the broker stops");
    broker.shutdown().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("-- the broker starts");
    Ok(Broker::start(BrokerOptions::default().address(address)).await?)
}

async fn send_all(sender: ReconnectingSender) -> Result<u32, ReconnectError> {
    let mut accepted = 0;
    for number in 0..COUNT {
        // Waits for as long as the broker is away.
        let outcome = sender.send(number.to_string()).await?;
        accepted += u32::from(outcome.is_accepted());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(accepted)
}

/// What came until nothing came for two seconds.
async fn receive_until_quiet(receiver: ReconnectingReceiver) -> Result<BTreeSet<String>, Failure> {
    let mut received = BTreeSet::new();
    // Dropping the wait loses nothing.
    while let Ok(delivery) = timeout(Duration::from_secs(2), receiver.recv()).await {
        let delivery = delivery?;
        let body = delivery.message()?.body;
        if let Err(lost) = delivery.accept() {
            println!("too late to accept {body:?}, so it comes again if it can: {lost}");
        }
        if !received.insert(format!("{body:?}")) {
            println!("came again: {body:?}");
        }
    }
    Ok(received)
}
