//! Any schedule, by seed: processors join, leave, die and stall while the emulator's faults fall on all of them.
//!
//! `AMQP10_SEED=n` replays one run, `AMQP10_SEEDS=n` makes n runs.

use amqp10::emulator::Faults;

use super::*;
use crate::eventhubs::seeds;

const RUNS: u64 = 24;
const STEPS: usize = 25;

/// The numbers of a seed, one after the other.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, limit: u64) -> u64 {
        const FACTOR: u64 = 6_364_136_223_846_793_005;
        self.0 = self
            .0
            .wrapping_mul(FACTOR)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[test]
fn whatever_the_schedule_nothing_is_skipped_and_the_shares_are_fair_in_the_end() {
    for seed in seeds(RUNS) {
        // The last one that is shown is the one that failed.
        println!("seed {seed}");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(seed));
    }
}

async fn run(seed: u64) {
    let faults = Faults::seed(seed);
    let scene = Scene::with(EmulatorOptions::default().faults(faults)).await;
    let mut dice = Dice(seed);
    let mut workers = Vec::new();
    for step in 0..STEPS {
        let which = dice.roll(4) as usize;
        match dice.roll(8) {
            0..=2 if workers.len() < 4 => {
                let name = format!("{step}");
                workers.push((scene.worker(&name).await, name));
            }
            3 if which < workers.len() => {
                let (worker, _) = workers.swap_remove(which);
                // Without its store, it cannot give up what it owns.
                let _ = worker.processor.shutdown(INTERVAL).await;
                worker.running.await.unwrap();
            }
            4 if which < workers.len() => workers.swap_remove(which).0.kill().await,
            5 if which < workers.len() => workers[which].0.store.stall(),
            6 if which < workers.len() => workers[which].0.store.fail(),
            _ => scene.publish(2).await,
        }
        if dice.roll(3) == 0 {
            workers.iter().for_each(|(worker, _)| worker.store.work());
        }
        sleep(Duration::from_secs(dice.roll(40))).await;
    }
    scene.emulator.calm();
    workers.iter().for_each(|(worker, _)| worker.store.work());
    workers.push((scene.worker("last").await, "last".into()));
    scene.publish(2).await;
    sleep(EXPIRATION * 4).await;

    let names: Vec<_> = workers.iter().map(|(_, name)| name.as_str()).collect();
    let shares = scene.shares(&names).await;
    assert_eq!(
        shares.iter().sum::<usize>(),
        PARTITIONS as usize,
        "{names:?} {shares:?}"
    );
    let spread = shares.iter().max().unwrap() - shares.iter().min().unwrap();
    assert!(spread <= 1, "{names:?} {shares:?}");
    scene.assert_all_handled().await;
    for (worker, _) in workers {
        worker.shutdown().await;
    }
    assert_eq!(scene.owners().await, [""; PARTITIONS as usize]);
}
