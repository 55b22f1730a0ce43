//! A producer that does not rest until each event is acknowledged.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use amqp10::eventhubs::{BatchOptions, Client, Producer, ProducerOptions};
use tokio::time::{Instant, sleep};

use super::judge::Ledger;
use super::{Dice, PARTITIONS, client_options};

const PAUSE: Duration = Duration::from_millis(10);

pub async fn run(
    producer: usize,
    seed: u64,
    address: String,
    ledger: Arc<Ledger>,
    end: Instant,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut dice = Dice(seed + producer as u64);
    let client = loop {
        match Client::connect(&address, client_options()).await {
            Ok(client) => break client,
            // The connection was cut before it was open.
            Err(_) => sleep(PAUSE).await,
        }
    };
    let sender = client.producer(ProducerOptions::default());
    let mut number = 0_u64;
    while Instant::now() < end {
        let partition = dice.roll(PARTITIONS.into()).to_string();
        let count = 1 + dice.roll(10);
        let ids: Vec<_> = (number..number + count)
            .map(|number| format!("{producer}-{number}"))
            .collect();
        number += count;
        ledger.published(&ids);
        // Whatever went wrong, it is sent again: events may be stored twice, and are never lost.
        while publish(&sender, &partition, &ids).await.is_err() {
            sleep(PAUSE).await;
        }
        ledger.acknowledged(count);
        sleep(PAUSE).await;
    }
    Ok(())
}

async fn publish(
    sender: &Producer,
    partition: &str,
    ids: &[String],
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut batch = sender
        .create_batch(BatchOptions::partition(partition))
        .await?;
    for id in ids {
        batch.try_add(id.as_str())?;
    }
    Ok(sender.send_batch(batch).await?)
}
