//! The verb `receive`.

use std::time::{Duration, UNIX_EPOCH};

use azure_messaging_eventhubs::{
    ConsumerClient, OpenReceiverOptions, StartLocation, StartPosition,
};
use clap::Args;
use futures::stream::{self, StreamExt};

use crate::{Failure, Namespace, event, print};

/// Reads COUNT events, of all partitions or of one, and prints one JSON object an event.
#[derive(Args)]
pub struct Receive {
    count: usize,
    #[arg(long, default_value = "$Default")]
    group: String,
    #[arg(long)]
    partition: Option<String>,
    /// earliest, latest, offset:O, sequence:N or time:MILLISECONDS
    #[arg(long, default_value = "earliest", value_parser = location)]
    from: StartLocation,
    #[arg(long)]
    inclusive: bool,
    #[arg(long)]
    owner_level: Option<i64>,
}

fn location(text: &str) -> Result<StartLocation, String> {
    let (kind, value) = text.split_once(':').unwrap_or((text, ""));
    let number = || {
        value
            .parse::<u64>()
            .map_err(|error| format!("{value}: {error}"))
    };
    Ok(match kind {
        "earliest" => StartLocation::Earliest,
        "latest" => StartLocation::Latest,
        "offset" => StartLocation::Offset(value.to_owned()),
        "sequence" => StartLocation::SequenceNumber(number()? as i64),
        "time" => StartLocation::EnqueuedTime(UNIX_EPOCH + Duration::from_millis(number()?)),
        _ => return Err(format!("no such position: {text}")),
    })
}

impl Receive {
    pub async fn run(self, namespace: &Namespace) -> Result<(), Failure> {
        let consumer = namespace.consumer(&self.group).await?;
        let partitions = match &self.partition {
            Some(partition) => vec![partition.clone()],
            None => consumer.get_eventhub_properties().await?.partition_ids,
        };
        let mut receivers = Vec::new();
        for partition in &partitions {
            receivers.push(self.open(&consumer, partition).await?);
        }
        let streams = receivers.iter().map(|receiver| {
            let partition = receiver.partition_id();
            receiver
                .stream_events()
                .map(move |event| (partition, event))
                .boxed()
        });
        let mut events = stream::select_all(streams).take(self.count);
        while let Some((partition, received)) = events.next().await {
            print(&event::to_json(partition, &received?));
        }
        Ok(())
    }

    async fn open(
        &self,
        consumer: &ConsumerClient,
        partition: &str,
    ) -> Result<azure_messaging_eventhubs::EventReceiver, Failure> {
        let options = OpenReceiverOptions {
            owner_level: self.owner_level,
            start_position: Some(StartPosition {
                location: self.from.clone(),
                inclusive: self.inclusive,
            }),
            ..Default::default()
        };
        Ok(consumer
            .open_receiver_on_partition(partition.to_owned(), Some(options))
            .await?)
    }
}
