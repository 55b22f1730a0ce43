//! One run: an emulator with faults, clients, and their tasks.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use amqp10::emulator::{Emulator, EmulatorOptions, FaultRates, Faults};
use amqp10::eventhubs::{Client, ClientOptions, Connector};
use amqp10::{Body, Clock, Message};
use tokio::task::{JoinError, JoinSet, LocalSet};
use tokio::time::Instant;

use super::Dice;
use super::ledger::Ledger;
use super::publishing::Publisher;
use super::reading::Reader;

const HUB: &str = "orders";

/// As long as the slowest link may take for one message.
const QUIET: Duration = Duration::from_secs(30);

/// What the tasks of one run share.
#[derive(Clone)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) emulator: Arc<Emulator>,
    pub(super) ledger: Rc<RefCell<Ledger>>,
    pub(super) partitions: u32,
    clock: Clock,
    began: Instant,
    story: Rc<RefCell<String>>,
}

impl World {
    pub(super) async fn start(seed: u64) -> World {
        let mut dice = Dice::new(seed, "world");
        let partitions = 1 + dice.below(3);
        let clock = Clock::simulated(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let options = EmulatorOptions::default()
            .hub(HUB, partitions)
            .clock(clock.clone())
            .faults(Faults::seed(seed).rates(rates(&mut dice)));
        let emulator = Emulator::in_process(options).await.unwrap();
        World {
            seed,
            emulator: Arc::new(emulator),
            ledger: Rc::default(),
            partitions,
            clock,
            began: Instant::now(),
            story: Rc::default(),
        }
    }

    /// A client that comes over a stream in memory, and keeps trying as by default.
    pub(super) async fn client(&self, name: &str) -> Client {
        let emulator = self.emulator.clone();
        let mut dice = Dice::new(self.seed, name);
        let options = ClientOptions::default()
            .hub(HUB)
            .clock(self.clock.clone())
            .seed(dice.below(u32::MAX).into())
            .connector(Connector::streams(move || emulator.connect()));
        loop {
            let address = self.emulator.connection_string();
            match Client::connect(&address, options.clone()).await {
                Ok(client) => return client,
                Err(error) => self.tell(format!("{name} could not connect: {error}")),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// A line of the story, with the time.
    pub(super) fn tell(&self, line: impl Display) {
        let millis = self.began.elapsed().as_millis();
        let mut story = self.story.borrow_mut();
        story.push_str(&format!("{millis:>9} ms  {line}\n"));
    }

    /// All that has happened, by time.
    pub(super) fn story(&self) -> String {
        let mut story = self.story.borrow().clone();
        for record in self.emulator.fault_records() {
            let millis = record.after.as_millis();
            story.push_str(&format!("{millis:>9} ms  fault: {}\n", record.fault));
        }
        let mut lines: Vec<_> = story.lines().collect();
        // Of the same time, they stay in order.
        lines.sort_by_key(|line| &line[..9]);
        lines.join("\n")
    }

    /// Publishes and reads until everything that is stored was read, and checks it.
    pub(super) async fn run(&self) {
        let mut dice = Dice::new(self.seed, "run");
        let tasks = LocalSet::new();
        let mut readers = JoinSet::new();
        for partition in 0..self.partitions {
            let reader = Reader::new(self.clone(), partition.to_string());
            readers.spawn_local_on(reader.run(), &tasks);
        }
        let mut publishers = JoinSet::new();
        for number in 0..1 + dice.below(3) {
            let publisher = Publisher::new(self.clone(), number);
            publishers.spawn_local_on(publisher.run(), &tasks);
        }
        tasks
            .run_until(async {
                tokio::select! {
                    biased;
                    ended = readers.join_next() => panic!("a reader ended: {ended:?}"),
                    () = self.see_to_the_end(publishers) => {}
                }
            })
            .await;
    }

    async fn see_to_the_end(&self, mut publishers: JoinSet<()>) {
        while let Some(ended) = publishers.join_next().await {
            propagate(ended);
        }
        self.tell("all is published");
        let stored = self.all_stored().await;
        for (partition, bodies) in &stored {
            let count = bodies.len();
            self.tell(format!("partition {partition} holds {count} events"));
            self.await_reader(partition, count).await;
        }
        self.ledger.borrow().check(&stored);
    }

    /// What is stored when nothing more comes: what is on its way when nobody waits for it any more may be stored later.
    async fn all_stored(&self) -> BTreeMap<String, Vec<String>> {
        let mut stored = self.stored();
        loop {
            tokio::time::sleep(QUIET).await;
            let later = self.stored();
            if later == stored {
                return stored;
            }
            stored = later;
        }
    }

    /// What is stored in each partition, in order.
    fn stored(&self) -> BTreeMap<String, Vec<String>> {
        let partitions = (0..self.partitions).map(|partition| partition.to_string());
        let held = partitions.map(|partition| {
            let events = self.emulator.stored(HUB, &partition);
            (partition, events.iter().map(body).collect())
        });
        held.collect()
    }

    async fn await_reader(&self, partition: &str, count: usize) {
        let all_came = || {
            self.ledger
                .borrow()
                .last(partition)
                .map_or(0, |last| last + 1)
                >= count as i64
        };
        while !all_came() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn body(event: &Message) -> String {
    match &event.body {
        Body::Data(body) => String::from_utf8(body.to_vec()).unwrap(),
        other => panic!("a body of data was sent, not {other:?}"),
    }
}

/// As often as by default, more often, or with one kind of fault only.
fn rates(dice: &mut Dice) -> FaultRates {
    let none = FaultRates::none();
    let usual = FaultRates::default();
    let often = FaultRates::default()
        .detach(300)
        .cut(300)
        .lose_outcomes(100)
        .expire_tokens(60);
    dice.pick(&[
        usual,
        usual,
        often,
        none.cut(500),
        none.detach(500),
        none.expire_tokens(100),
    ])
}

/// A task that panicked has the run panic.
pub(super) fn propagate<T>(ended: Result<T, JoinError>) -> T {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
