//! An ordinary client, as `amqp10 conform --client` wants one to test: it connects, sends, receives, drains and closes, again
//! and again, until nobody listens any more.
//!
//! ```text
//! amqp10 conform --client 5672 &
//! cargo run --example ordinary -- amqp://localhost:5672
//! ```

use std::error::Error;
use std::time::Duration;

use amqp10::{
    ConnectError, Connection, ConnectionOptions, Credentials, Receiver, ReceiverOptions, SendError,
    Sender, SenderOptions, SessionOptions,
};

#[tokio::main]
async fn main() -> Result<(), ConnectError> {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "amqp://localhost".to_owned());
    let options = ConnectionOptions::default()
        .credentials(Credentials::Anonymous)
        .idle_time_out(Duration::from_secs(20));
    loop {
        match Connection::open(&url, options.clone()).await {
            Ok(connection) => {
                // Whatever is done to the connection: the next one is made.
                if let Err(error) = work(&connection).await {
                    eprintln!("{error}");
                }
            }
            Err(ConnectError::Tcp { .. }) => return Ok(()),
            Err(error) => eprintln!("{error}"),
        }
    }
}

/// Works as long as it can, and closes the connection.
pub async fn work(connection: &Connection) -> Result<(), Box<dyn Error + Send + Sync>> {
    let worked = exchange(connection).await;
    connection.close().await?;
    worked
}

/// Sends ten messages and receives what comes meanwhile, then closes everything in order.
async fn exchange(connection: &Connection) -> Result<(), Box<dyn Error + Send + Sync>> {
    let session = connection.begin(SessionOptions::default()).await?;
    let (sender, receiver) = tokio::try_join!(
        session.attach_sender("conform", SenderOptions::default()),
        session.attach_receiver("conform", ReceiverOptions::default()),
    )?;
    let receiving = tokio::spawn(receive(receiver.clone()));
    send(&sender).await?;
    receiver.drain().await?;
    receiving.abort();
    sender.close().await?;
    receiver.close().await?;
    session.end().await?;
    Ok(())
}

/// As many at once as there is credit for.
async fn send(sender: &Sender) -> Result<(), SendError> {
    let mut receipts = Vec::new();
    for number in 0..10 {
        let length = if number % 3 == 0 { 3000 } else { 10 };
        receipts.push(sender.send_with_receipt(vec![number; length]).await?);
    }
    for receipt in receipts {
        // What the receiver makes of it is its own affair.
        let _ = receipt.await?;
    }
    Ok(())
}

/// What is no message is rejected. A link that is gone takes no outcome, and the next wait says so.
async fn receive(receiver: Receiver) {
    while let Ok(delivery) = receiver.recv().await {
        let _ = match delivery.message() {
            Err(_) if delivery.message_format() == 0 => delivery.reject(None),
            _ => delivery.accept(),
        };
    }
}
