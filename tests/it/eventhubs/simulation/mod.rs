//! Client and emulator in one thread, virtual time, and a seed: producers and consumers at work while faults fall by chance.
//!
//! What must hold, whatever goes wrong:
//!
//! - an event that was reported as accepted is stored, once, or at least once where unknown fates are tried again;
//! - one that was reported as not sent is not stored; of one whose fate is unknown, either may be true;
//! - an idempotent producer finds out, and what it published is stored once;
//! - a consumer gets each stored event of its partition once, and in order;
//! - everything ends within a day of virtual time: nobody waits for ever;
//! - a seed always gives the same run.
//!
//! `AMQP10_SEED=n` replays one run and shows it, `AMQP10_SEEDS=n` makes n runs.

mod dice;
mod ledger;
mod publishing;
mod reading;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dice::Dice;
use world::World;

const RUNS: u64 = 300;

/// The virtual time that a run may take.
const DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// One run, in a runtime for itself, so that nothing is left over from another one. Returns what happened, line by line.
fn run(seed: u64) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::start(seed).await;
        let run = tokio::time::timeout(DEADLINE, world.run());
        let ended = run.await.is_ok();
        assert!(
            ended,
            "somebody waits for ever; it happened:\n{}",
            world.story()
        );
        world.story().lines().map(str::to_owned).collect()
    })
}

/// Runs a seed; if it fails, says which it was.
fn checked(seed: u64) -> Vec<String> {
    catch_unwind(AssertUnwindSafe(|| run(seed))).unwrap_or_else(|panic| {
        eprintln!(
            "seed {seed} failed; replay it with AMQP10_SEED={seed} cargo test --all-features --test it simulation"
        );
        resume_unwind(panic)
    })
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a seed, or a number of seeds"))
}

#[test]
fn whatever_goes_wrong_nothing_is_lost_repeated_or_waited_for_without_end() {
    if let Some(seed) = variable("AMQP10_SEED") {
        println!("{}", checked(seed).join("\n"));
        return;
    }
    let began = std::time::Instant::now();
    let runs = variable("AMQP10_SEEDS").unwrap_or(RUNS);
    let next = AtomicU64::new(0);
    let stories = || {
        let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let stories = seeds.take_while(|seed| *seed < runs).map(checked);
        stories.fold([0, 0], |[faults, events], story| {
            [
                faults + count(&story, "fault: "),
                events + count(&story, " received "),
            ]
        })
    };
    let totals = std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(stories)).collect();
        let totals = threads.into_iter().map(|thread| thread.join());
        // The first panic is told; the others end by themselves.
        totals.collect::<Result<Vec<_>, _>>()
    });
    let totals = totals.unwrap_or_else(|panic| resume_unwind(panic));
    let [faults, events] = [0, 1].map(|kind| totals.iter().map(|total| total[kind]).sum::<u64>());
    let seconds = began.elapsed().as_secs();
    println!("runs={runs} faults={faults} events={events} seconds={seconds}");
    assert!(
        faults > runs && events > runs,
        "too little happened to tell anything"
    );
}

fn count(story: &[String], word: &str) -> u64 {
    story.iter().filter(|line| line.contains(word)).count() as u64
}

#[test]
fn a_seed_always_gives_the_same_run() {
    let seeds = variable("AMQP10_SEED").map_or(0..20, |seed| seed..seed + 1);
    for seed in seeds {
        let (first, second) = (checked(seed), checked(seed));
        let differs = first
            .iter()
            .zip(&second)
            .find(|(first, second)| first != second);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}
