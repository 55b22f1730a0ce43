//! The verb `throughput`: the other half of examples/latency.rs.

use std::time::Instant;

use azure_messaging_eventhubs::{EventDataBatchOptions, ProducerClient};
use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;

use crate::{Failure, Namespace, print};

/// Publishes batches to partition 0; prints {"seconds": S}, from the first batch to the last acknowledgement.
#[derive(Args)]
pub struct Throughput {
    #[arg(long, default_value_t = 100)]
    batches: usize,
    #[arg(long, default_value_t = 100)]
    events: usize,
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Batches that are sent at the same time.
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
}

impl Throughput {
    pub async fn run(self, namespace: &Namespace) -> Result<(), Failure> {
        let producer = namespace.producer().await?;
        // Connection, authorization and link are there before the clock runs.
        self.send(&producer).await?;
        let began = Instant::now();
        let sends = stream::iter(0..self.batches).map(|_| self.send(&producer));
        sends
            .buffer_unordered(self.concurrency)
            .try_collect::<()>()
            .await?;
        print(&json!({ "seconds": began.elapsed().as_secs_f64() }));
        Ok(())
    }

    async fn send(&self, producer: &ProducerClient) -> Result<(), Failure> {
        let options = EventDataBatchOptions {
            partition_id: Some("0".into()),
            ..Default::default()
        };
        let batch = producer.create_batch(Some(options)).await?;
        for _ in 0..self.events {
            if !batch.try_add_event_data(vec![b'.'; self.size], None)? {
                return Err("no place in the batch".into());
            }
        }
        Ok(producer.send_batch(batch, None).await?)
    }
}
