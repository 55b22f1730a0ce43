//! What handlers are given, and what becomes of their failures.

use std::sync::atomic::{AtomicUsize, Ordering};

use amqp10::eventhubs::processor::{Checkpoints, Decision, Failure, ProcessorError, StopReason};

use super::*;

type HandlerResult = Result<(), Box<dyn Error + Send + Sync>>;

/// Fails for single events, and decides as it is told.
struct Failing {
    seen: Arc<Seen>,
    /// Fails at events with this number.
    at: i64,
    decision: Decision,
    /// How often it fails.
    times: Arc<AtomicUsize>,
}

impl PartitionHandler for Failing {
    async fn handle(
        &mut self,
        partition: &mut Partition,
        events: &[ReceivedEvent],
    ) -> HandlerResult {
        for event in events {
            let left = self.times.load(Ordering::Relaxed);
            if event.sequence_number() == self.at && left > 0 {
                self.times.store(left - 1, Ordering::Relaxed);
                return Err("a bad event".into());
            }
            self.seen.handled(partition.id(), event);
        }
        Ok(())
    }

    async fn on_failure(&mut self, _: &mut Partition, failure: Failure) -> Decision {
        assert_eq!(failure.to_string(), "the handler failed: a bad event");
        self.decision
    }
}

/// Runs a processor whose handler fails `times` at event 2 of partition 0, for a while.
async fn run_failing(scene: &Scene, decision: Decision, times: usize) -> Processor {
    let automatic = Checkpoints::automatic(1, Duration::from_secs(1));
    let options = scene.options("one").max_batch(1).checkpoints(automatic);
    let processor = scene.start(options).await;
    let (runner, seen) = (processor.clone(), scene.seen.clone());
    let left = Arc::new(AtomicUsize::new(times));
    tokio::spawn(async move {
        let failing = |partition: &str| Failing {
            seen: seen.clone(),
            at: if partition == "0" { 2 } else { -1 },
            decision,
            times: left.clone(),
        };
        runner.run(failing).await;
    });
    scene.publish(5).await;
    sleep(SETTLED).await;
    processor
}

#[tokio::test(start_paused = true)]
async fn retry_gives_the_same_batch_again_until_it_succeeds() {
    let scene = Scene::new().await;
    let processor = run_failing(&scene, Decision::Retry, 4).await;
    scene.assert_all_handled().await;
    assert_eq!(scene.duplicates(), 0);
    let failed = |event: &ProcessorEvent| {
        matches!(
            event,
            ProcessorEvent::Failed {
                decision: Decision::Retry,
                ..
            }
        )
    };
    assert_eq!(scene.told("one", failed), 4);
    processor.shutdown(EXPIRATION).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn skip_counts_the_batch_as_processed() {
    let scene = Scene::new().await;
    let processor = run_failing(&scene, Decision::Skip, 1).await;
    let handled = scene.seen.handled.lock().unwrap().clone();
    assert_eq!(handled.len(), 19);
    assert!(!handled.contains_key(&("0".to_owned(), 2)));
    assert_eq!(scene.checkpoints().await["0"], 4);
    processor.shutdown(EXPIRATION).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn stop_gives_the_partition_up_and_leaves_it_to_others() {
    let scene = Scene::new().await;
    let processor = run_failing(&scene, Decision::Stop, 1).await;
    assert_eq!(scene.owners().await, ["", "one", "one", "one"]);
    assert_eq!(scene.checkpoints().await["0"], 1);
    let other = scene.worker("other").await;
    sleep(SETTLED).await;
    scene.assert_all_handled().await;
    assert_eq!(scene.duplicates(), 0);
    processor.shutdown(EXPIRATION).await.unwrap();
    other.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn who_stopped_a_partition_takes_it_back_after_the_expiration() {
    let scene = Scene::new().await;
    let processor = run_failing(&scene, Decision::Stop, 1).await;
    assert_eq!(scene.owners().await[0], "");
    sleep(EXPIRATION).await;
    scene.assert_all_handled().await;
    processor.shutdown(EXPIRATION).await.unwrap();
}

/// Handles partition 0 by a panic.
struct Panicking(Counting);

impl PartitionHandler for Panicking {
    async fn handle(
        &mut self,
        partition: &mut Partition,
        events: &[ReceivedEvent],
    ) -> HandlerResult {
        assert_ne!(partition.id(), "0", "a panic on purpose");
        self.0.handle(partition, events).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_partition_only() {
    let scene = Scene::new().await;
    let processor = scene.start(scene.options("one")).await;
    let (runner, seen) = (processor.clone(), scene.seen.clone());
    tokio::spawn(async move {
        let panicking = |_: &str| Panicking(Counting::new(seen.clone()));
        runner.run(panicking).await;
    });
    scene.publish(5).await;
    sleep(SETTLED).await;
    assert_eq!(scene.owners().await, ["", "one", "one", "one"]);
    assert_eq!(scene.seen.handled.lock().unwrap().len(), 15);
    processor.shutdown(EXPIRATION).await.unwrap();
}

/// Counts, and sleeps long over each batch.
struct Slow {
    counting: Counting,
    pause: Duration,
    reasons: Arc<Mutex<Vec<StopReason>>>,
}

impl PartitionHandler for Slow {
    async fn handle(
        &mut self,
        partition: &mut Partition,
        events: &[ReceivedEvent],
    ) -> HandlerResult {
        for event in events {
            self.counting.seen.handled(partition.id(), event);
        }
        sleep(self.pause).await;
        Ok(())
    }

    async fn stop(&mut self, _: &mut Partition, reason: StopReason) {
        self.reasons.lock().unwrap().push(reason);
    }
}

async fn run_slow(
    scene: &Scene,
    pause: Duration,
    checkpoints: Checkpoints,
) -> (Processor, JoinHandle<()>, Arc<Mutex<Vec<StopReason>>>) {
    let options = scene.options("one").max_batch(2).checkpoints(checkpoints);
    let processor = scene.start(options).await;
    let (runner, seen) = (processor.clone(), scene.seen.clone());
    let reasons = Arc::<Mutex<_>>::default();
    let told = reasons.clone();
    let running = tokio::spawn(async move {
        let slow = |_: &str| Slow {
            counting: Counting::new(seen.clone()),
            pause,
            reasons: told.clone(),
        };
        runner.run(slow).await;
    });
    (processor, running, reasons)
}

#[tokio::test(start_paused = true)]
async fn automatic_checkpoints_come_after_so_many_events_and_cover_only_what_was_processed() {
    let scene = Scene::new().await;
    scene.publish(20).await;
    let automatic = Checkpoints::automatic(6, Duration::from_secs(3600));
    let (processor, running, _) = run_slow(&scene, Duration::from_secs(1), automatic).await;
    // Batches of two end at seconds 1, 2 and so on.
    sleep(Duration::from_millis(2500)).await;
    assert!(scene.checkpoints().await.is_empty());
    sleep(Duration::from_secs(1)).await;
    assert!(scene.checkpoints().await.values().all(|last| *last == 5));
    sleep(Duration::from_secs(2)).await;
    assert!(scene.checkpoints().await.values().all(|last| *last == 5));
    // The last one, when the batch under way has been processed.
    processor.shutdown(EXPIRATION).await.unwrap();
    running.await.unwrap();
    let handled = scene.seen.handled.lock().unwrap().clone();
    for (partition, last) in scene.checkpoints().await {
        let of_this = handled.keys().filter(|(id, _)| *id == partition);
        assert_eq!(of_this.map(|(_, number)| *number).max(), Some(last));
        assert!(last < 19, "{last}");
    }
}

#[tokio::test(start_paused = true)]
async fn automatic_checkpoints_come_after_so_much_time_even_if_no_more_events_do() {
    let scene = Scene::new().await;
    scene.publish(2).await;
    let automatic = Checkpoints::automatic(1000, Duration::from_secs(5));
    let (processor, _, _) = run_slow(&scene, Duration::ZERO, automatic).await;
    sleep(Duration::from_secs(4)).await;
    assert!(scene.checkpoints().await.is_empty());
    sleep(Duration::from_secs(3)).await;
    assert!(scene.checkpoints().await.values().all(|last| *last == 1));
    processor.shutdown(EXPIRATION).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_handlers_and_tells_them() {
    let scene = Scene::new().await;
    scene.publish(2).await;
    let pause = Duration::from_secs(20);
    let (processor, running, reasons) = run_slow(&scene, pause, Checkpoints::Explicit).await;
    sleep(Duration::from_secs(5)).await;
    let began = Instant::now();
    processor.shutdown(EXPIRATION).await.unwrap();
    assert!(
        began.elapsed() > Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    running.await.unwrap();
    assert_eq!(*reasons.lock().unwrap(), [StopReason::Shutdown; 4]);
    assert_eq!(scene.owners().await, [""; 4]);
    assert!(processor.next_partition().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_outlasts_the_deadline_is_dropped_and_its_partition_given_up() {
    let scene = Scene::new().await;
    scene.publish(2).await;
    let pause = Duration::from_secs(100_000);
    let (processor, running, reasons) = run_slow(&scene, pause, Checkpoints::Explicit).await;
    sleep(Duration::from_secs(5)).await;
    let began = Instant::now();
    let error = processor
        .shutdown(Duration::from_secs(7))
        .await
        .unwrap_err();
    assert!(matches!(error, ProcessorError::StillWorking(4)), "{error}");
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    running.await.unwrap();
    assert!(reasons.lock().unwrap().is_empty());
    assert_eq!(scene.owners().await, [""; 4]);
}

#[tokio::test(start_paused = true)]
async fn ownerships_are_renewed_while_a_long_shutdown_waits() {
    let scene = Scene::new().await;
    scene.publish(2).await;
    let pause = EXPIRATION * 3;
    let (processor, running, _) = run_slow(&scene, pause, Checkpoints::Explicit).await;
    sleep(Duration::from_secs(5)).await;
    let waiting = tokio::spawn(async move { processor.shutdown(EXPIRATION * 10).await });
    sleep(EXPIRATION * 2).await;
    let fresh = scene.clock.now() - EXPIRATION / 2;
    let records = scene.ownerships().await;
    assert!(
        records
            .iter()
            .all(|record| record.owner == "one" && record.last_modified > Some(fresh))
    );
    waiting.await.unwrap().unwrap();
    running.await.unwrap();
}
