//! Publishes events to a hub: each argument is one.
//!
//! ```sh
//! cargo run --example send -- 'Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…;EntityPath=…' hello world
//! ```
//!
//! Without a connection string, its parts are taken from the variables HOST_NAME, SHARED_ACCESS_KEY_NAME,
//! SHARED_ACCESS_KEY_VALUE and EVENT_HUB_NAME; all arguments are events then.

use std::env;
use std::error::Error;

use amqp10::eventhubs::{BatchOptions, Client, ClientOptions, ConnectionString, ProducerOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1).peekable();
    let target = match arguments.next_if(|first| first.contains("Endpoint=")) {
        Some(connection_string) => connection_string.parse()?,
        None => ConnectionString::from_env()?,
    };
    let client = Client::connect_to(target, ClientOptions::default()).await?;
    let producer = client.producer(ProducerOptions::default());

    // A batch is one message on the wire, and the service stores all of it or nothing. Without a route, the service chooses a
    // partition; see `Route`.
    let mut batch = producer.create_batch(BatchOptions::default()).await?;
    let mut stored = 0;
    for text in arguments {
        if let Err(full) = batch.try_add(text) {
            // The event comes back. It goes into the next batch, unless it is too large for any.
            stored += batch.len();
            producer.send_batch(batch).await?;
            batch = producer.create_batch(BatchOptions::default()).await?;
            batch.try_add(full.into_event())?;
        }
    }
    stored += batch.len();
    producer.send_batch(batch).await?;
    println!("{} stored {stored} events", client.hub());

    client.close().await?;
    Ok(())
}
