//! A consumer at work.

use amqp10::eventhubs::{ConsumerOptions, ErrorKind, PartitionConsumer, Position};

use super::Dice;
use super::world::World;

/// Reads one partition, from its beginning and for as long as the run goes on.
pub(super) struct Reader {
    world: World,
    name: String,
    partition: String,
    dice: Dice,
}

impl Reader {
    pub(super) fn new(world: World, partition: String) -> Self {
        let name = format!("reader {partition}");
        let dice = Dice::new(world.seed, &name);
        Self {
            world,
            name,
            partition,
            dice,
        }
    }

    pub(super) async fn run(mut self) {
        let client = self.world.client(&self.name).await;
        let mut options = ConsumerOptions::default().prefetch(self.dice.pick(&[1, 3, 300]));
        if self.dice.chance(30) {
            options = options.owner_level(7);
        }
        loop {
            let options = options.clone().position(self.position());
            match client.consumer(&self.partition, options).await {
                Ok(consumer) => self.read(consumer).await,
                Err(error) => self.world.tell(format!("{}: {error}", self.name)),
            }
        }
    }

    /// After the last event that came, as a program that keeps its own checkpoint would begin.
    fn position(&self) -> Position {
        match self.world.ledger.borrow().last(&self.partition) {
            Some(last) => Position::sequence_number(last),
            None => Position::earliest(),
        }
    }

    /// Reads until the consumer has ended: the partition was lost, or a new token was refused as well.
    async fn read(&self, mut consumer: PartitionConsumer) {
        loop {
            match consumer.recv().await {
                Ok(event) => {
                    let body = super::super::text(&event).to_owned();
                    let number = event.sequence_number();
                    self.world
                        .tell(format!("{} received {number}: {body}", self.name));
                    let mut ledger = self.world.ledger.borrow_mut();
                    ledger.receive(&self.partition, number, body);
                }
                Err(error) => {
                    self.world.tell(format!("{}: {error}", self.name));
                    if !error.is_retryable() {
                        let kind = error.kind();
                        let may_end = [ErrorKind::OwnershipLost, ErrorKind::Unauthorized];
                        assert!(may_end.contains(&kind), "{error}");
                        return;
                    }
                }
            }
        }
    }
}
