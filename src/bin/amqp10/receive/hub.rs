//! Receiving from the partitions of a hub.

use std::sync::Arc;
use std::time::Duration;

use amqp10::eventhubs::{
    Client, ConnectionString, ConsumerOptions, EventHubsError, PartitionConsumer, Position,
    ReceivedEvent,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Arguments, Output};
use crate::failure::Failure;
use crate::signals::unless_ended;

/// Most events that a reader hands over at once.
const BATCH: usize = 512;

/// Events of one partition, or why there are no more.
type Arrival = (Arc<str>, Result<Vec<ReceivedEvent>, EventHubsError>);

pub async fn receive(
    arguments: &Arguments,
    hub: ConnectionString,
    output: &mut Output,
) -> Result<(), Failure> {
    let position = arguments.position()?;
    let client = unless_ended(arguments.connecting.open_client(hub)).await?;
    let received = unless_ended(receive_all(arguments, &client, position, output)).await;
    // Nothing depends on how the connection ends.
    let _ = client.close().await;
    received
}

impl Arguments {
    fn position(&self) -> Result<Position, Failure> {
        match self.from.as_deref() {
            None | Some("earliest") => Ok(Position::earliest()),
            Some("latest") => Ok(Position::latest()),
            Some(_) if self.partition.is_none() => Err(Failure::new(
                "an offset belongs to one partition: add --partition, or use --from earliest or --from latest",
            )),
            Some(offset) => Ok(Position::offset(offset)),
        }
    }

    fn consumer_options(&self, position: Position) -> ConsumerOptions {
        let options = ConsumerOptions::default()
            .position(position)
            .prefetch(self.credit());
        match &self.group {
            Some(group) => options.consumer_group(group),
            None => options,
        }
    }
}

async fn receive_all(
    arguments: &Arguments,
    client: &Client,
    position: Position,
    output: &mut Output,
) -> Result<(), Failure> {
    let partitions = match &arguments.partition {
        Some(partition) => vec![partition.clone()],
        None => client.hub_properties().await?.partition_ids,
    };
    if partitions.is_empty() {
        return Err(Failure::new(format!(
            "{} has no partitions to read",
            client.hub()
        )));
    }
    let options = arguments.consumer_options(position);
    let (arrivals, mut arriving) = mpsc::channel(2 * partitions.len());
    // Ends the readers when it is dropped.
    let mut readers = JoinSet::new();
    for partition in partitions {
        let consumer = client.consumer(&partition, options.clone()).await?;
        readers.spawn(read(consumer, arrivals.clone()));
    }
    drop(arrivals);
    while !output.is_complete() {
        let arrival = match arriving.try_recv() {
            Ok(arrival) => Some(arrival),
            Err(_) => {
                output.flush()?;
                match arguments.wait_for(arriving.recv()).await {
                    Some(arrival) => arrival,
                    None => return arguments.when_idle(output.written()),
                }
            }
        };
        let Some((partition, events)) = arrival else {
            break;
        };
        for event in events? {
            if output.is_complete() {
                break;
            }
            output.write(event.message(), Some(&partition))?;
        }
    }
    output.flush()
}

/// Hands over what there is of a partition, until it fails for good or nobody wants more.
async fn read(mut consumer: PartitionConsumer, arrivals: mpsc::Sender<Arrival>) {
    let partition: Arc<str> = consumer.partition().into();
    loop {
        let (events, failure) = match consumer.recv().await {
            Ok(first) => with_more(first, &mut consumer).await,
            Err(error) => (Vec::new(), Some(error)),
        };
        let events = [Ok(events)].into_iter().chain(failure.map(Err));
        for arrival in events {
            let has_failed = arrival.is_err();
            let sent = arrivals.send((partition.clone(), arrival)).await;
            if sent.is_err() || has_failed {
                return;
            }
        }
    }
}

/// What there is after the first event, without waiting, and the error that comes after it, if one does.
async fn with_more(
    first: ReceivedEvent,
    consumer: &mut PartitionConsumer,
) -> (Vec<ReceivedEvent>, Option<EventHubsError>) {
    let mut events = vec![first];
    match consumer.recv_batch(BATCH - 1, Duration::ZERO).await {
        Ok(more) => {
            events.extend(more);
            (events, None)
        }
        Err(error) => (events, Some(error)),
    }
}
