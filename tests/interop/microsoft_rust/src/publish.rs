//! The verb `send`.

use std::time::Duration;

use azure_messaging_eventhubs::{EventDataBatchOptions, ProducerClient, SendEventOptions};
use clap::Args;
use serde_json::json;

use crate::{Failure, Namespace, event, print};

/// Publishes events 0..COUNT, one by one or as one batch; prints {"sent": N} after each acknowledgement.
#[derive(Args)]
pub struct Send {
    #[arg(long, default_value_t = 1)]
    count: u32,
    #[arg(long, default_value_t = 100)]
    size: usize,
    #[arg(long)]
    batch: bool,
    /// One event with properties of every type.
    #[arg(long)]
    types: bool,
    #[arg(long)]
    partition_id: Option<String>,
    #[arg(long)]
    partition_key: Option<String>,
    /// Milliseconds between two events.
    #[arg(long, default_value_t = 0)]
    pause: u64,
}

impl Send {
    pub async fn run(self, namespace: &Namespace) -> Result<(), Failure> {
        let producer = namespace.producer().await?;
        match self.batch || self.partition_key.is_some() {
            // Alone, an event cannot have a key.
            true => self.send_batches(&producer).await?,
            false => self.send_events(&producer).await?,
        }
        Ok(producer.close().await?)
    }

    fn event(&self, number: u32) -> azure_messaging_eventhubs::models::EventData {
        match self.types {
            true => event::of_every_type(),
            false => event::numbered(number, self.size),
        }
    }

    async fn send_events(&self, producer: &ProducerClient) -> Result<(), Failure> {
        for number in 0..self.count {
            let options = SendEventOptions {
                partition_id: self.partition_id.clone(),
            };
            producer
                .send_event(self.event(number), Some(options))
                .await?;
            print(&json!({ "sent": number + 1 }));
            tokio::time::sleep(Duration::from_millis(self.pause)).await;
        }
        Ok(())
    }

    async fn send_batches(&self, producer: &ProducerClient) -> Result<(), Failure> {
        let each = if self.batch { self.count } else { 1 };
        for first in (0..self.count).step_by(each as usize) {
            let options = EventDataBatchOptions {
                partition_id: self.partition_id.clone(),
                partition_key: self.partition_key.clone(),
                ..Default::default()
            };
            let batch = producer.create_batch(Some(options)).await?;
            for number in first..first + each {
                if !batch.try_add_event_data(self.event(number), None)? {
                    return Err(format!("no place in the batch for event {number}").into());
                }
            }
            producer.send_batch(batch, None).await?;
            print(&json!({ "sent": first + each }));
        }
        Ok(())
    }
}
