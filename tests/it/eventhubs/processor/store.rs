//! A store that fails or stalls when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use amqp10::eventhubs::checkpoint::{
    Checkpoint, CheckpointStore, ConsumerGroupId, MemoryCheckpointStore, Ownership, StoreError,
    StoreFuture,
};

const WORKS: u8 = 0;
const FAILS: u8 = 1;
const STALLS: u8 = 2;

/// The way of one processor to the store of all.
pub(super) struct UnreliableStore {
    good: Arc<MemoryCheckpointStore>,
    mood: AtomicU8,
}

impl UnreliableStore {
    pub(super) fn new(good: Arc<MemoryCheckpointStore>) -> Self {
        Self {
            good,
            mood: AtomicU8::new(WORKS),
        }
    }

    pub(super) fn work(&self) {
        self.mood.store(WORKS, Ordering::Relaxed);
    }

    pub(super) fn fail(&self) {
        self.mood.store(FAILS, Ordering::Relaxed);
    }

    pub(super) fn stall(&self) {
        self.mood.store(STALLS, Ordering::Relaxed);
    }

    fn answer<'a, T: 'a>(&self, good: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        match self.mood.load(Ordering::Relaxed) {
            WORKS => good,
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
        self.answer(self.good.claim_ownerships(group, claims))
    }

    fn list_checkpoints<'a>(
        &'a self,
        group: &'a ConsumerGroupId,
    ) -> StoreFuture<'a, Vec<Checkpoint>> {
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
