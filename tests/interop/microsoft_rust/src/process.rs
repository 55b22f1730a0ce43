//! The verb `process`.

use std::sync::Arc;

use azure_core::time::Duration;
use azure_messaging_eventhubs::error::ErrorKind;
use azure_messaging_eventhubs::models::StartPositions;
use azure_messaging_eventhubs::processor::PartitionClient;
use azure_messaging_eventhubs::{
    EventProcessor, InMemoryCheckpointStore, ProcessorStrategy, StartLocation, StartPosition,
};
use clap::Args;
use futures::StreamExt;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::AbortHandle;

use crate::{Failure, Namespace, event, print};

/// One processor a NAME, on one store in memory; prints what each claims, reads and loses. A name on stdin stops that one.
#[derive(Args)]
pub struct Process {
    names: Vec<String>,
    #[arg(long, default_value = "$Default")]
    group: String,
}

/// A processor under its name, with the tasks that read its partitions.
struct Instance {
    name: String,
    processor: Arc<EventProcessor>,
    tasks: Vec<AbortHandle>,
}

impl Process {
    pub async fn run(self, namespace: Namespace) -> Result<(), Failure> {
        let store = Arc::new(InMemoryCheckpointStore::new());
        let mut instances = Vec::new();
        for name in &self.names {
            let consumer = namespace.consumer(&self.group).await?;
            let earliest = StartPosition {
                location: StartLocation::Earliest,
                inclusive: false,
            };
            let processor = EventProcessor::builder()
                .with_load_balancing_strategy(ProcessorStrategy::Balanced)
                .with_update_interval(Duration::seconds(1))
                .with_partition_expiration_duration(Duration::seconds(4))
                .with_start_positions(StartPositions {
                    default: earliest,
                    ..Default::default()
                })
                .build(consumer, store.clone())
                .await?;
            instances.push(Instance::start(name, processor));
        }
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Some(line) = lines.next_line().await? {
            for instance in instances.extract_if(.., |instance| instance.name == line) {
                instance.stop().await?;
            }
        }
        Ok(())
    }
}

impl Instance {
    fn start(name: &str, processor: Arc<EventProcessor>) -> Self {
        let running = processor.clone();
        let balancing = tokio::spawn(async move { running.run().await.map_err(Failure::from) });
        let dealing = tokio::task::spawn_local(deal(name.to_owned(), processor.clone()));
        let tasks = vec![balancing.abort_handle(), dealing.abort_handle()];
        Self {
            name: name.to_owned(),
            processor,
            tasks,
        }
    }

    /// It releases nothing: what it owned expires.
    async fn stop(self) -> Result<(), Failure> {
        self.processor.shutdown().await?;
        self.tasks.iter().for_each(AbortHandle::abort);
        print(&json!({ "instance": self.name, "stopped": true }));
        Ok(())
    }
}

/// Reads each partition that the processor claims, side by side; what reads them ends with this future.
async fn deal(name: String, processor: Arc<EventProcessor>) -> Result<(), Failure> {
    let mut readers = tokio::task::JoinSet::new();
    loop {
        let partition = processor.next_partition_client().await?;
        print(&json!({ "instance": name, "claimed": partition.get_partition_id() }));
        readers.spawn_local(read(name.clone(), partition));
    }
}

async fn read(name: String, partition: Arc<PartitionClient>) {
    let id = partition.get_partition_id().to_owned();
    let mut events = partition.stream_events();
    while let Some(received) = events.next().await {
        let line = match &received {
            Ok(received) => match partition.update_checkpoint(received).await {
                Ok(()) => json!({ "instance": name, "event": event::to_json(&id, received) }),
                Err(error) => json!({ "instance": name, "error": error.to_string() }),
            },
            Err(error) if matches!(error.kind, ErrorKind::ConsumerDisconnected(_)) => {
                json!({ "instance": name, "lost": id })
            }
            Err(error) => json!({ "instance": name, "error": error.to_string() }),
        };
        print(&line);
    }
}
