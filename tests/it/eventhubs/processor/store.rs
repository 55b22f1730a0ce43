//! A store that fails or stalls when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use amqp10::eventhubs::checkpoint::{
    Checkpoint, CheckpointStore, ConsumerGroupId, MemoryCheckpointStore, Ownership, StoreError,
    StoreFuture,
};
use tokio::time::sleep;

const WORKS: u8 = 0;
const FAILS: u8 = 1;
const STALLS: u8 = 2;
const REFUSES_CHECKPOINTS: u8 = 3;
const CLAIMS_LATE: u8 = 4;

/// How long claims are on their way to a store that is reached late.
const WAY: Duration = Duration::from_secs(3);

/// The way of one processor to the store of all.
pub(super) struct UnreliableStore {
    good: Arc<MemoryCheckpointStore>,
    mood: AtomicU8,
    claiming: AtomicBool,
}

impl UnreliableStore {
    pub(super) fn new(good: Arc<MemoryCheckpointStore>) -> Self {
        Self {
            good,
            mood: AtomicU8::new(WORKS),
            claiming: AtomicBool::new(false),
        }
    }

    pub(super) fn work(&self) {
        self.mood.store(WORKS, Ordering::Relaxed);
    }

    pub(super) fn fail(&self) {
        self.mood.store(FAILS, Ordering::Relaxed);
    }

    /// Ownerships go on, but no checkpoint is told any more.
    pub(super) fn refuse_checkpoints(&self) {
        self.mood.store(REFUSES_CHECKPOINTS, Ordering::Relaxed);
    }

    /// The next claims take their time, and are carried out even if nobody waits for them.
    pub(super) fn claim_late(&self) {
        self.mood.store(CLAIMS_LATE, Ordering::Relaxed);
    }

    pub(super) fn is_claiming(&self) -> bool {
        self.claiming.load(Ordering::Relaxed)
    }

    pub(super) fn stall(&self) {
        self.mood.store(STALLS, Ordering::Relaxed);
    }

    fn answer<'a, T: 'a>(&self, good: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        match self.mood.load(Ordering::Relaxed) {
            WORKS | REFUSES_CHECKPOINTS | CLAIMS_LATE => good,
            FAILS => Box::pin(async { Err(StoreError::unavailable("ask", "it is told to fail")) }),
            _ => Box::pin(std::future::pending()),
        }
    }
}

impl CheckpointStore for UnreliableStore {
    fn list_ownerships<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
    ) -> StoreFuture<'a, Vec<Ownership>> {
        self.answer(self.good.list_ownerships(group))
    }

    fn claim_ownerships<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
        claims: Vec<Ownership>,
    ) -> StoreFuture<'a, Vec<Ownership>> {
        if self.mood.load(Ordering::Relaxed) == CLAIMS_LATE {
            self.work();
            self.claiming.store(true, Ordering::Relaxed);
            let (good, group) = (self.good.clone(), group.clone());
            let claimed = tokio::spawn(async move {
                sleep(WAY).await;
                good.claim_ownerships(&group, claims).await
            });
            return Box::pin(async { claimed.await.unwrap() });
        }
        self.answer(self.good.claim_ownerships(group, claims))
    }

    fn list_checkpoints<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
    ) -> StoreFuture<'a, Vec<Checkpoint>> {
        if self.mood.load(Ordering::Relaxed) == REFUSES_CHECKPOINTS {
            return Box::pin(async { Err(StoreError::refused("list", "it is not allowed")) });
        }
        self.answer(self.good.list_checkpoints(group))
    }

    fn update_checkpoint<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
        checkpoint: Checkpoint,
    ) -> StoreFuture<'a, ()> {
        self.answer(self.good.update_checkpoint(group, checkpoint))
    }
}
