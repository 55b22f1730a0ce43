//! Sends messages to a node of any AMQP 1.0 broker, and receives what is there: each argument after the URL is a message.
//!
//! ```sh
//! cargo run --example plain -- amqp://guest:guest@localhost/orders hello world          # Artemis, Qpid
//! cargo run --example plain -- amqp://guest:guest@localhost//queues/orders hello world  # RabbitMQ 4
//! ```
//!
//! It ends when nothing has come for two seconds.

use std::env;
use std::error::Error;
use std::time::Duration;

use amqp10::{Connection, ConnectionOptions, ReceiverOptions, SenderOptions, SessionOptions, Url};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let url = arguments.next().ok_or("the URL of a node is missing")?;
    let parsed: Url = url.parse()?;
    let address = parsed.address().ok_or("the URL names no node")?;

    // Without TLS a password is sent only where that is asked for; `amqps://` needs no such word.
    let options = ConnectionOptions::default().allow_plain_without_tls(true);
    let connection = Connection::open(&url, options).await?;
    let session = connection.begin(SessionOptions::default()).await?;

    let sender = session
        .attach_sender(address, SenderOptions::default())
        .await?;
    for text in arguments {
        // Resolves when the broker has said what became of the message; `send_with_receipt` has many under way at once.
        println!("sent {text}: {:?}", sender.send(text.as_str()).await?);
    }

    let receiver = session
        .attach_receiver(address, ReceiverOptions::default())
        .await?;
    while let Ok(delivery) = timeout(PATIENCE, receiver.recv()).await {
        let delivery = delivery?;
        println!("received {:?}", delivery.message()?.body);
        delivery.accept()?;
    }
    connection.close().await?;
    Ok(())
}
