//! Futures of the processor: no partition and no event is lost, and what is given up is free for others.

use std::error::Error;
use std::time::SystemTime;

use amqp10::eventhubs::checkpoint::{
    Checkpoint, CheckpointStore, ConsumerGroupId, MemoryCheckpointStore, Ownership, StoreFuture,
};
use amqp10::eventhubs::processor::{
    Checkpoints, Partition, PartitionClient, PartitionError, PartitionHandler, Processor,
    ProcessorOptions, StopReason,
};
use amqp10::eventhubs::{Clock, ReceivedEvent};
use tokio::time::sleep;

use super::*;

pub(in crate::cancel) const COVERED: Covered = Covered {
    file: file!(),
    futures: &[
        ("Processor::next_partition", no_partition_is_lost),
        (
            "Processor::run",
            handlers_are_dropped_and_their_partitions_given_up,
        ),
        (
            "Processor::shutdown",
            a_shutdown_goes_on_although_nobody_waits,
        ),
        (
            "Partition::stopped",
            a_handler_may_drop_what_it_asks_of_its_partition,
        ),
        (
            "Partition::checkpoint",
            a_handler_may_drop_what_it_asks_of_its_partition,
        ),
        (
            "Partition::processed",
            a_handler_may_drop_what_it_asks_of_its_partition,
        ),
        ("PartitionClient::recv", no_event_is_lost),
        ("PartitionClient::recv_batch", no_event_is_lost),
        (
            "PartitionClient::checkpoint",
            a_checkpoint_is_written_or_not,
        ),
        (
            "PartitionClient::processed",
            a_checkpoint_that_was_due_is_written_later,
        ),
        (
            "PartitionClient::close",
            a_partition_is_given_up_although_nobody_waits,
        ),
    ],
};

/// A store that takes its time before and after it does what it is asked.
struct SlowStore(MemoryCheckpointStore);

impl SlowStore {
    fn new() -> Arc<Self> {
        Arc::new(Self(MemoryCheckpointStore::with_clock(clock())))
    }

    fn slowly<'a, T: Send + 'a>(done: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        let pause = Duration::from_millis(10);
        Box::pin(async move {
            sleep(pause).await;
            let result = done.await;
            sleep(pause).await;
            result
        })
    }

    async fn owners(&self) -> Vec<String> {
        let records = self.0.list_ownerships(&group()).await.unwrap();
        records.into_iter().map(|record| record.owner).collect()
    }

    /// Number of the last checkpoint of partition 0.
    async fn checkpointed(&self) -> Option<i64> {
        let all = self.0.list_checkpoints(&group()).await.unwrap();
        let of_this = all
            .into_iter()
            .find(|checkpoint| checkpoint.partition == "0");
        of_this.and_then(|checkpoint| checkpoint.sequence_number)
    }
}

impl CheckpointStore for SlowStore {
    fn list_ownerships<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
    ) -> StoreFuture<'a, Vec<Ownership>> {
        Self::slowly(self.0.list_ownerships(group))
    }

    fn claim_ownerships<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
        claims: Vec<Ownership>,
    ) -> StoreFuture<'a, Vec<Ownership>> {
        Self::slowly(self.0.claim_ownerships(group, claims))
    }

    fn list_checkpoints<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
    ) -> StoreFuture<'a, Vec<Checkpoint>> {
        Self::slowly(self.0.list_checkpoints(group))
    }

    fn update_checkpoint<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
        checkpoint: Checkpoint,
    ) -> StoreFuture<'a, ()> {
        Self::slowly(self.0.update_checkpoint(group, checkpoint))
    }
}

fn group() -> ConsumerGroupId {
    ConsumerGroupId::new("localhost", HUB, "$Default")
}

fn clock() -> Clock {
    Clock::simulated(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
}

fn options() -> ProcessorOptions {
    ProcessorOptions::default().clock(clock()).seed(1)
}

fn start(scene: &Scene, store: &Arc<SlowStore>, options: ProcessorOptions) -> Processor {
    Processor::start(scene.client.clone(), store.clone(), options).unwrap()
}

async fn next(processor: &Processor) -> PartitionClient {
    let partition = timeout(LONG, processor.next_partition()).await;
    partition.expect("no partition is lost").unwrap()
}

/// All partitions, in the order of their ids.
async fn all(processor: &Processor) -> Vec<PartitionClient> {
    let mut clients = vec![next(processor).await, next(processor).await];
    clients.sort_by(|one, other| one.id().cmp(other.id()));
    clients
}

async fn publish(scene: &Scene, numbers: std::ops::Range<i64>) {
    scene
        .publish(numbers.map(|number| number.to_string()))
        .await;
}

#[tokio::test(start_paused = true)]
async fn no_partition_is_lost() {
    let polls = after_each_poll(async |polls| {
        let (scene, store) = (Scene::new().await, SlowStore::new());
        let processor = start(&scene, &store, options());
        let taken = poll_times(polls, processor.next_partition()).await;
        let is_over = taken.is_some();
        let mut ids = vec![match taken {
            Some(client) => client.unwrap(),
            None => next(&processor).await,
        }];
        ids.push(next(&processor).await);
        ids.sort_by(|one, other| one.id().cmp(other.id()));
        assert_eq!((ids[0].id(), ids[1].id()), ("0", "1"));
        is_over
    });
    assert!(polls.await > 1, "nothing was dropped in the middle");
}

#[tokio::test(start_paused = true)]
async fn no_event_is_lost() {
    for is_batch in [false, true] {
        for is_lost in [false, true] {
            let (scene, store) = (Scene::new().await, SlowStore::new());
            let processor = start(&scene, &store, options());
            let mut clients = all(&processor).await;
            let client = &mut clients[0];
            let (mut sent, mut expected) = (0, 0);
            let polls = after_each_poll(async |polls| {
                publish(&scene, sent..sent + 2).await;
                sent += 2;
                if is_lost {
                    scene.emulator.close_connections();
                    rest().await;
                }
                let received = match is_batch {
                    true => poll_times(polls, client.recv_batch(2, LONG)).await,
                    false => {
                        let received = poll_times(polls, client.recv()).await;
                        received.map(|event| event.map(|event| vec![event]))
                    }
                };
                let is_over = received.is_some();
                let mut received = received.map(Result::unwrap).unwrap_or_default();
                while received.len() < 2 {
                    let event = timeout(LONG, client.recv()).await;
                    received.push(event.expect("no event is lost").unwrap());
                }
                for event in received {
                    assert_eq!(event.sequence_number(), expected);
                    expected += 1;
                }
                is_over
            });
            assert!(polls.await > 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_is_written_or_not() {
    let (scene, store) = (Scene::new().await, SlowStore::new());
    let processor = start(&scene, &store, options());
    let mut clients = all(&processor).await;
    let polls = after_each_poll(async |polls| {
        let number = polls as i64;
        publish(&scene, number..number + 1).await;
        let event = clients[0].recv().await.unwrap();
        let before = store.checkpointed().await;
        let written = poll_times(polls, clients[0].checkpoint(&event)).await;
        rest().await;
        let after = store.checkpointed().await;
        assert!(
            after == before || after == Some(number),
            "{before:?}, then {after:?}"
        );
        clients[0].checkpoint(&event).await.unwrap();
        assert_eq!(store.checkpointed().await, Some(number));
        written.is_some()
    });
    assert!(polls.await > 1, "nothing was dropped in the middle");
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_was_due_is_written_later() {
    let (scene, store) = (Scene::new().await, SlowStore::new());
    let automatic = Checkpoints::automatic(1, Duration::from_secs(3600));
    let processor = start(&scene, &store, options().checkpoints(automatic));
    let mut clients = all(&processor).await;
    let polls = after_each_poll(async |polls| {
        let number = polls as i64;
        publish(&scene, number..number + 1).await;
        let event = clients[0].recv().await.unwrap();
        let written = poll_times(polls, clients[0].processed(&event)).await;
        if polls > 0 {
            let more = clients[0].recv_batch(1, Duration::ZERO).await.unwrap();
            assert!(more.is_empty());
            assert_eq!(store.checkpointed().await, Some(number));
        }
        written.is_some()
    });
    assert!(polls.await > 1, "nothing was dropped in the middle");
}

#[tokio::test(start_paused = true)]
async fn a_partition_is_given_up_although_nobody_waits() {
    let polls = after_each_poll(async |polls| {
        let (scene, store) = (Scene::new().await, SlowStore::new());
        let automatic = Checkpoints::automatic(100, Duration::from_secs(3600));
        let processor = start(&scene, &store, options().checkpoints(automatic));
        publish(&scene, 0..1).await;
        let mut clients = all(&processor).await;
        let event = clients[0].recv().await.unwrap();
        clients[0].processed(&event).await.unwrap();
        let closed = poll_times(polls, clients.remove(0).close()).await;
        rest().await;
        assert_eq!(store.owners().await[0], "", "after {polls} polls");
        let checkpointed = store.checkpointed().await;
        assert!(checkpointed == Some(0) || closed.is_none());
        drop((processor, clients));
        scene.check().await;
        closed.is_some()
    });
    assert!(polls.await > 1, "nothing was dropped in the middle");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_goes_on_although_nobody_waits() {
    let patience = Duration::from_secs(10);
    for is_taken in [true, false] {
        let polls = after_each_poll(async |polls| {
            let (scene, store) = (Scene::new().await, SlowStore::new());
            let processor = start(&scene, &store, options());
            let clients = match is_taken {
                true => all(&processor).await,
                false => Vec::new(),
            };
            rest().await;
            let working = tokio::spawn(async move {
                for mut client in clients {
                    let end = client.recv().await.unwrap_err();
                    assert!(
                        matches!(end, PartitionError::Ended(StopReason::Shutdown)),
                        "{end}"
                    );
                }
            });
            let stopped = poll_times(polls, processor.shutdown(patience)).await;
            if polls > 0 {
                sleep(patience).await;
                assert_eq!(store.owners().await, ["", ""], "after {polls} polls");
                working.await.unwrap();
                assert!(processor.next_partition().await.is_none());
                drop(processor);
                scene.check().await;
            }
            stopped.is_some()
        });
        assert!(polls.await > 1, "nothing was dropped in the middle");
    }
}

/// Notes the events, and asks things of its partition that it does not wait for.
struct Hasty {
    handled: Arc<Mutex<Vec<i64>>>,
    polls: usize,
}

impl PartitionHandler for Hasty {
    async fn handle(
        &mut self,
        partition: &mut Partition,
        events: &[ReceivedEvent],
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        for event in events {
            assert!(
                poll_briefly(self.polls, partition.stopped())
                    .await
                    .is_none()
            );
            drop(poll_times(self.polls, partition.checkpoint(event)).await);
            drop(poll_times(self.polls, partition.processed(event)).await);
            sleep(Duration::from_millis(1)).await;
            self.handled.lock().unwrap().push(event.sequence_number());
        }
        partition.checkpoint(&events[events.len() - 1]).await?;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_drop_what_it_asks_of_its_partition() {
    for polls in 0..6 {
        let (scene, store) = (Scene::new().await, SlowStore::new());
        publish(&scene, 0..10).await;
        let automatic = Checkpoints::automatic(1, Duration::from_secs(3600));
        let processor = start(&scene, &store, options().checkpoints(automatic));
        let handled = Arc::<Mutex<Vec<i64>>>::default();
        let noted = handled.clone();
        let handler = move |_: &str| Hasty {
            handled: noted.clone(),
            polls,
        };
        let running = async {
            sleep(Duration::from_secs(5)).await;
            processor.shutdown(LONG).await.unwrap();
        };
        tokio::join!(processor.run(handler), running);
        assert_eq!(*handled.lock().unwrap(), (0..10).collect::<Vec<_>>());
        assert_eq!(store.checkpointed().await, Some(9), "after {polls} polls");
        drop(processor);
        scene.check().await;
    }
}

#[tokio::test(start_paused = true)]
async fn handlers_are_dropped_and_their_partitions_given_up() {
    for polls in 1..30 {
        let (scene, store) = (Scene::new().await, SlowStore::new());
        publish(&scene, 0..10).await;
        let expiration = Duration::from_secs(60);
        let options = options().ownership_expiration(expiration);
        let processor = start(&scene, &store, options.max_batch(2));
        let handled = Arc::<Mutex<Vec<i64>>>::default();
        let handler = || {
            let handled = handled.clone();
            move |_: &str| Hasty {
                handled: handled.clone(),
                polls: 1,
            }
        };
        assert!(
            poll_briefly(polls, processor.run(handler()))
                .await
                .is_none()
        );
        rest().await;
        // What was handed out is free again; what was not is still there to be taken.
        let alive = Arc::strong_count(&handled) - 1;
        assert_eq!(alive, 0, "a handler lives");
        let running = async {
            sleep(expiration * 2).await;
            processor.shutdown(LONG).await.unwrap();
        };
        tokio::join!(processor.run(handler()), running);
        let mut handled = handled.lock().unwrap().clone();
        handled.dedup();
        handled.sort_unstable();
        handled.dedup();
        assert_eq!(handled, (0..10).collect::<Vec<_>>(), "after {polls} polls");
        assert_eq!(store.owners().await, ["", ""]);
        drop(processor);
        scene.check().await;
    }
}
