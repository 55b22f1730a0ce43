//! Producers at work.

use std::time::Duration;

use amqp10::eventhubs::{
    BatchOptions, Client, ErrorKind, EventHubsError, IdempotentOptions, IdempotentProducer,
    Producer, ProducerOptions, Route,
};
use tokio::task::JoinSet;

use super::Dice;
use super::ledger::{Fate, Promise};
use super::world::{World, propagate};

/// Publishes a number of events, and reports of each what it was told.
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
        let promises = [Promise::AtMost, Promise::AtLeast, Promise::Exactly];
        match self.dice.pick(&promises) {
            Promise::Exactly => self.run_idempotent(&client).await,
            promise => self.run_plain(&client, promise).await,
        }
    }

    async fn run_plain(&mut self, client: &Client, promise: Promise) {
        let retries = promise == Promise::AtLeast;
        let producer = client.producer(ProducerOptions::default().retry_unknown(retries));
        for _ in 0..2 + self.dice.below(12) {
            self.publish(&producer, promise).await;
            self.ask(client).await;
            self.pause().await;
        }
    }

    /// Several sends at once, in batches or one by one.
    async fn publish(&mut self, producer: &Producer, promise: Promise) {
        let mut sends = JoinSet::new();
        for _ in 0..self.dice.pick(&[1, 1, 3, 10]) {
            let bodies = self.bodies();
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
            self.report(bodies, &sent, promise);
        }
    }

    async fn run_idempotent(&mut self, client: &Client) {
        let partition = self.dice.below(self.world.partitions).to_string();
        let mut producer = loop {
            let options = IdempotentOptions::default();
            match client.idempotent_producer(&partition, options).await {
                Ok(producer) => break producer,
                Err(error) => self.world.tell(format!("{}: {error}", self.name)),
            }
        };
        for _ in 0..2 + self.dice.below(12) {
            let bodies = self.bodies();
            let sent = publish_once(&mut producer, &bodies).await;
            self.report(bodies, &sent, Promise::Exactly);
            self.pause().await;
        }
    }

    /// A read of properties takes another way to the service.
    async fn ask(&mut self, client: &Client) {
        if self.dice.chance(10) {
            let told = client.partition_properties("0").await;
            let told = told.map(|properties| properties.last_enqueued_sequence_number);
            self.world.tell(format!("{} was told {told:?}", self.name));
        }
    }

    async fn pause(&mut self) {
        if self.dice.chance(20) {
            let pause = self.dice.pick(&[5, 500, 40_000]);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    fn report(&self, bodies: Vec<String>, sent: &Result<(), EventHubsError>, promise: Promise) {
        let fate = match sent {
            Ok(()) => Fate::Accepted,
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => Fate::Unknown,
            Err(_) => Fate::NotSent,
        };
        let first = &bodies[0];
        let count = bodies.len();
        self.world.tell(match sent {
            Ok(()) => format!("{count} from {first}: {fate:?}"),
            Err(error) => format!("{count} from {first}: {fate:?}: {error}"),
        });
        for body in bodies {
            self.world.ledger.borrow_mut().report(body, fate, promise);
        }
    }

    fn bodies(&mut self) -> Vec<String> {
        let count = self.dice.pick(&[1, 1, 1, 20]);
        (0..count).map(|_| self.body()).collect()
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

/// Publishes, and asks until it is known what became of it.
async fn publish_once(
    producer: &mut IdempotentProducer,
    bodies: &[String],
) -> Result<(), EventHubsError> {
    let mut batch = producer.create_batch(None).await?;
    for body in bodies {
        batch.try_add(body.as_str()).expect("small events fit");
    }
    let mut sent = producer.send_batch(batch).await;
    while let Err(error) = &sent
        && error.kind() == ErrorKind::OutcomeUnknown
    {
        sent = producer.settle().await;
    }
    sent
}
