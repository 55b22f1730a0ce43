//! Prints the events of all partitions of a hub, from the oldest on, and then those that come.
//!
//! ```sh
//! cargo run --example receive -- 'Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…;EntityPath=…'
//! ```
//!
//! Without a connection string, its parts are taken from the variables HOST_NAME, SHARED_ACCESS_KEY_NAME,
//! SHARED_ACCESS_KEY_VALUE and EVENT_HUB_NAME. End it with Ctrl-C.

use std::env;
use std::error::Error;

use amqp10::eventhubs::{
    Client, ClientOptions, ConnectionString, ConsumerOptions, EventHubsError, PartitionConsumer,
    Position,
};
use tokio::task::JoinSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let target = match env::args().nth(1) {
        Some(connection_string) => connection_string.parse()?,
        None => ConnectionString::from_env()?,
    };
    let client = Client::connect_to(target, ClientOptions::default()).await?;

    // A consumer reads one partition; all of them share the client's connection.
    let mut readers = JoinSet::new();
    for partition in client.hub_properties().await?.partition_ids {
        let options = ConsumerOptions::default().position(Position::earliest());
        readers.spawn(print_events(client.consumer(&partition, options).await?));
    }
    // A reader ends only by an error that trying again cannot cure.
    while let Some(reader) = readers.join_next().await {
        reader??;
    }
    Ok(())
}

async fn print_events(mut consumer: PartitionConsumer) -> Result<(), EventHubsError> {
    loop {
        // Lost links and connections are made anew in here; reading goes on after the last event that was returned.
        let event = consumer.recv().await?;
        println!(
            "partition {} number {} key {:?}: {}",
            consumer.partition(),
            event.sequence_number(),
            event.partition_key(),
            String::from_utf8_lossy(event.body()),
        );
    }
}
