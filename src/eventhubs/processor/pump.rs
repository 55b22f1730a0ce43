//! Moves the events of one partition to its handler.

use std::sync::Arc;

use super::error::{Decision, Failure, PartitionError, StopReason};
use super::handler::PartitionHandler;
use super::observer::ProcessorEvent;
use super::partition::PartitionClient;
use super::shared::Shared;
use crate::eventhubs::ReceivedEvent;

pub(super) struct Pump<H> {
    shared: Arc<Shared>,
    client: PartitionClient,
    handler: H,
    /// Failures in a row.
    failures: u32,
}

impl<H: PartitionHandler> Pump<H> {
    pub(super) fn new(shared: Arc<Shared>, client: PartitionClient, handler: H) -> Self {
        Self {
            shared,
            client,
            handler,
            failures: 0,
        }
    }

    /// Runs until the partition has ended.
    pub(super) async fn run(mut self) {
        self.handler.start(self.client.partition_mut()).await;
        let reason = loop {
            if let Err(reason) = self.next_batch().await {
                break reason;
            }
        };
        let partition = self.client.partition_mut();
        self.handler.stop(partition, reason).await;
        let id = self.client.id().to_owned();
        if let Err(error) = self.client.close().await {
            tracing::warn!(partition = id, %error, "the last checkpoint was not written");
        }
    }

    /// Receives a batch and has it handled. The error is the end.
    async fn next_batch(&mut self) -> Result<(), StopReason> {
        let options = &self.shared.options;
        let batch = self
            .client
            .recv_some(options.max_batch, options.max_wait)
            .await;
        match batch {
            Ok(events) => self.handle(&events).await,
            Err(error) => self.decide_on(error).await,
        }
    }

    async fn handle(&mut self, events: &[ReceivedEvent]) -> Result<(), StopReason> {
        let Some(last) = events.last() else {
            return Ok(());
        };
        loop {
            let partition = self.client.partition_mut();
            let Err(error) = self.handler.handle(partition, events).await else {
                break;
            };
            match self.decide(Failure::Handler(error)).await? {
                Decision::Retry => {}
                Decision::Skip => break,
                Decision::Stop => return Err(StopReason::GivenUp),
            }
        }
        self.failures = 0;
        match self.client.processed(last).await {
            Ok(()) => Ok(()),
            Err(error) => self.decide_on(error).await,
        }
    }

    /// What to do when receiving failed, or writing an automatic checkpoint, which receiving does too.
    async fn decide_on(&mut self, error: PartitionError) -> Result<(), StopReason> {
        let (failure, postpone) = match error {
            PartitionError::Ended(reason) => return Err(reason),
            PartitionError::Receive(error) => (Failure::Receive(error), false),
            PartitionError::Checkpoint(error) => (Failure::Checkpoint(error), true),
        };
        match self.decide(failure).await? {
            Decision::Stop => return Err(StopReason::GivenUp),
            Decision::Skip if postpone => self.client.partition_mut().postpone_checkpoint(),
            Decision::Skip | Decision::Retry => {}
        }
        Ok(())
    }

    /// Asks the handler, and waits if it is to be tried again.
    async fn decide(&mut self, failure: Failure) -> Result<Decision, StopReason> {
        let partition = self.client.partition_mut();
        if let Some(reason) = partition.stop_reason() {
            return Err(reason);
        }
        let text = failure.to_string();
        let decision = self.handler.on_failure(partition, failure).await;
        self.shared.tell(ProcessorEvent::Failed {
            partition: self.client.id().to_owned(),
            failure: text,
            decision,
        });
        if decision == Decision::Retry {
            self.failures = self.failures.saturating_add(1);
            let pause = self.shared.pause(self.failures);
            tokio::select! {
                biased;
                reason = self.client.partition().stopped() => return Err(reason),
                () = tokio::time::sleep(pause) => {}
            }
        }
        Ok(decision)
    }
}
