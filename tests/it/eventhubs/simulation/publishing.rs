//! A producer at work.

use std::time::Duration;

use amqp10::eventhubs::{
    BatchOptions, Client, ErrorKind, EventHubsError, Producer, ProducerOptions, Route,
};
use tokio::task::JoinSet;

use super::Dice;
use super::ledger::{Fate, Promise};
use super::world::{World, propagate};

/// Publishes a number of events, a few at a time, and reports of each what it was told.
pub(super) struct Publisher {
    world: World,
    name: String,
    dice: Dice,
    sent: u32,
}

impl Publisher {
    pub(super) fn new(world: World, number: u32) -> Self {
        let name = format!("publisher {number}");
        let dice = Dice::new(world.seed, &name);
        Self {
            world,
            name,
            dice,
            sent: 0,
        }
    }

    pub(super) async fn run(mut self) {
        let client = self.world.client(&self.name).await;
        let retries = self.dice.chance(40);
        let promise = match retries {
            true => Promise::AtLeastOnce,
            false => Promise::AtMostOnce,
        };
        let producer = client.producer(ProducerOptions::default().retry_unknown(retries));
        for _ in 0..2 + self.dice.below(12) {
            self.publish(&client, &producer, promise).await;
            if self.dice.chance(20) {
                let pause = self.dice.pick(&[5, 500, 40_000, 1_000_000]);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
    }

    /// Several sends at once, in batches or one by one.
    async fn publish(&mut self, client: &Client, producer: &Producer, promise: Promise) {
        let mut sends = JoinSet::new();
        for _ in 0..self.dice.pick(&[1, 1, 3, 10]) {
            let count = self.dice.pick(&[1, 1, 1, 20]);
            let bodies: Vec<String> = (0..count).map(|_| self.body()).collect();
            let route = self.route();
            let producer = producer.clone();
            sends.spawn(async move {
                let sent = match &bodies[..] {
                    [body] => producer.send_to(route, body.as_str()).await,
                    bodies => send_batch(&producer, route, bodies).await,
                };
                (bodies, sent)
            });
        }
        while let Some(sent) = sends.join_next().await {
            let (bodies, sent) = propagate(sent);
            self.report(bodies, sent, promise);
        }
        // A read of properties takes another way to the service.
        if self.dice.chance(10) {
            let told = client.partition_properties("0").await;
            let told = told.map(|properties| properties.last_enqueued_sequence_number);
            self.world.tell(format!("{} was told {told:?}", self.name));
        }
    }

    fn report(&self, bodies: Vec<String>, sent: Result<(), EventHubsError>, promise: Promise) {
        let fate = match &sent {
            Ok(()) => Fate::Accepted,
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => Fate::Unknown,
            Err(_) => Fate::NotSent,
        };
        let last = bodies.last().cloned().unwrap_or_default();
        self.world
            .tell(format!("{} {fate:?} up to {last}: {sent:?}", self.name));
        for body in bodies {
            self.world.ledger.borrow_mut().report(body, fate, promise);
        }
    }

    fn body(&mut self) -> String {
        self.sent += 1;
        format!("{}, event {}", self.name, self.sent)
    }

    fn route(&mut self) -> Route {
        match self.dice.below(3) {
            0 => Route::Any,
            1 => Route::key(format!("key {}", self.dice.below(5))),
            _ => Route::partition(self.dice.below(self.world.partitions).to_string()),
        }
    }
}

async fn send_batch(
    producer: &Producer,
    route: Route,
    bodies: &[String],
) -> Result<(), EventHubsError> {
    let options = match route {
        Route::Key(key) => BatchOptions::key(key),
        Route::Partition(id) => BatchOptions::partition(id),
        _ => BatchOptions::default(),
    };
    let mut batch = producer.create_batch(options).await?;
    for body in bodies {
        batch.try_add(body.as_str()).expect("small events fit");
    }
    producer.send_batch(batch).await
}
