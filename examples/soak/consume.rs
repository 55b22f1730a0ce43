//! A processor as a process: prints what it has processed, before a checkpoint can cover it.

use std::error::Error;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use amqp10::eventhubs::checkpoint::FileCheckpointStore;
use amqp10::eventhubs::processor::{
    Checkpoints, Partition, PartitionHandler, Processor, ProcessorOptions,
};
use amqp10::eventhubs::{Client, ConsumerOptions, ReceivedEvent};
use tokio::sync::oneshot;

use super::client_options;

pub const INTERVAL: Duration = Duration::from_secs(1);
pub const EXPIRATION: Duration = Duration::from_secs(6);

/// Runs until the standard input ends.
pub async fn run(
    name: &str,
    address: &str,
    folder: &str,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let client = loop {
        match Client::connect(address, client_options()).await {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let store = Arc::new(FileCheckpointStore::new(folder));
    let options = ProcessorOptions::default()
        .owner(name)
        .interval(INTERVAL)
        .ownership_expiration(EXPIRATION)
        .checkpoints(Checkpoints::automatic(50, Duration::from_millis(500)))
        .consumer(ConsumerOptions::default().watchdog(Duration::from_secs(4)));
    let processor = Processor::start(client, store, options)?;
    let stopping = processor.clone();
    tokio::spawn(async move {
        if input_ended().await.is_ok()
            && let Err(error) = stopping.shutdown(Duration::from_secs(5)).await
        {
            eprintln!("{error}");
        }
    });
    processor.run(|_| Telling).await;
    Ok(())
}

/// Tells of each event on the standard output.
struct Telling;

impl PartitionHandler for Telling {
    async fn handle(
        &mut self,
        _: &mut Partition,
        events: &[ReceivedEvent],
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut lines = String::new();
        for event in events {
            lines.push_str(std::str::from_utf8(event.body())?);
            lines.push('\n');
        }
        let mut output = std::io::stdout().lock();
        output.write_all(lines.as_bytes())?;
        Ok(output.flush()?)
    }
}

/// Reads on a thread of its own, which the end of the process does not wait for.
fn input_ended() -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = ended.send(());
    });
    end
}
