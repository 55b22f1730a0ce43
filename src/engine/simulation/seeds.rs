//! Runs by their number: many at once, or one with its story.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::ending::{ENDINGS, Ending};
use super::ledger::Counts;
use super::random::Random;
use super::world::World;

/// Runs of an ordinary test.
const RUNS: u64 = 800;
const OPERATIONS: usize = 400;
/// Every tenth run goes on for longer.
const MANY_OPERATIONS: usize = 2000;

impl World {
    fn run(&mut self, ending: Ending) {
        self.settle_down();
        if self.random.chance(80) {
            self.warm_up();
        }
        let operations = match self.random.chance(10) {
            true => MANY_OPERATIONS,
            false => OPERATIONS,
        };
        for number in 0..operations {
            self.step();
            // Some runs lose their connection on the way, and go on with another.
            if self.random.below(400) == 0 && number + 1 < operations {
                self.cut();
                self.begin_again();
            }
        }
        self.end(ending);
        if ending != Ending::Rest && self.random.chance(50) {
            self.reconnect();
            self.settle_down();
            self.end(Ending::Rest);
        }
    }
}

/// One run; false, and why, if it failed.
fn run(seed: u64, tells: bool) -> Option<Counts> {
    let ending = ENDINGS[(seed % ENDINGS.len() as u64) as usize];
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(Random::new(seed));
        if tells {
            world.tell();
        }
        world.run(ending);
        world.ledger.counts
    }));
    if outcome.is_err() {
        eprintln!("the simulation failed: AMQP10_SEED={seed} replays it ({ending:?})");
    }
    outcome.ok()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

/// Runs all seeds below `count`, on all processors, until one fails.
fn run_all(count: u64) -> Counts {
    let next = AtomicU64::new(0);
    let total = Mutex::new(Counts::default());
    let work = || {
        while let seed = next.fetch_add(1, Ordering::Relaxed)
            && seed < count
        {
            let Some(counts) = run(seed, false) else {
                next.store(count, Ordering::Relaxed);
                panic!("seed {seed} failed");
            };
            total.lock().expect("no panic under it").add(&counts);
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        (1..threads).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    total.into_inner().expect("no panic under it")
}

#[test]
fn two_engines_agree_whatever_happens() {
    if let Some(seed) = number("AMQP10_SEED") {
        assert!(run(seed, true).is_some(), "seed {seed} failed");
        return;
    }
    let count = number("AMQP10_SEEDS").unwrap_or(RUNS);
    let counts = run_all(count);
    println!("{count} seeds: {counts:?}");
    let Counts {
        resumed,
        aborted,
        stolen,
        commits,
        rollbacks,
        retired,
        connections,
        ..
    } = counts;
    let each = [
        resumed,
        aborted,
        stolen,
        commits,
        rollbacks,
        retired,
        connections,
    ];
    assert!(
        each.iter().all(|count| *count > 0),
        "something never happens: {counts:?}"
    );
}
