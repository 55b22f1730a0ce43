//! What a program does with the events of a partition, one object per partition.

use std::error::Error;
use std::future::{Future, ready};

use super::error::{Decision, Failure, StopReason};
use super::partition::Partition;
use crate::eventhubs::ReceivedEvent;

/// Handles the events of one partition; see [`Processor::run`](super::Processor::run).
///
/// Its methods are called one after the other, never two at once: [`start`](Self::start), then [`handle`](Self::handle) for each
/// batch, in the partition's order, then [`stop`](Self::stop). All but `handle` may be left out.
///
/// An event is handled *at least* once: what no checkpoint covers comes again, here or at the next owner. When a partition
/// changes hands, the last batch of the old owner may overlap with the first of the new one.
///
/// ```
/// use std::error::Error;
/// use amqp10::eventhubs::ReceivedEvent;
/// use amqp10::eventhubs::processor::{Partition, PartitionHandler};
///
/// struct Print;
///
/// impl PartitionHandler for Print {
///     async fn handle(
///         &mut self,
///         partition: &mut Partition,
///         events: &[ReceivedEvent],
///     ) -> Result<(), Box<dyn Error + Send + Sync>> {
///         for event in events {
///             println!("{}: {}", partition.id(), std::str::from_utf8(event.body())?);
///         }
///         if let Some(last) = events.last() {
///             partition.checkpoint(last).await?;
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait PartitionHandler: Send + 'static {
    /// The partition was claimed; its events come next.
    fn start(&mut self, partition: &mut Partition) -> impl Future<Output = ()> + Send {
        let _ = partition;
        ready(())
    }

    /// Handles some events: at least one, at most [`max_batch`](super::ProcessorOptions::max_batch). `Ok` says that they need no
    /// more work: automatic checkpoints cover them from then on.
    ///
    /// It is not interrupted when the partition is lost; a handler that takes long may look at
    /// [`stop_reason`](Partition::stop_reason). It is dropped when a shutdown has reached its deadline.
    ///
    /// # Errors
    ///
    /// Whatever went wrong; [`on_failure`](Self::on_failure) decides what becomes of the batch.
    fn handle(
        &mut self,
        partition: &mut Partition,
        events: &[ReceivedEvent],
    ) -> impl Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send;

    /// Decides what to do about a failure; not asked when the partition has ended meanwhile.
    ///
    /// By default a batch that failed is handled again until it succeeds: nothing is lost, and nothing behind it is handled. So
    /// are errors of reading and of the store that may pass; others stop the partition.
    fn on_failure(
        &mut self,
        partition: &mut Partition,
        failure: Failure,
    ) -> impl Future<Output = Decision> + Send {
        let _ = partition;
        ready(match failure {
            Failure::Handler(_) => Decision::Retry,
            Failure::Receive(error) if error.is_retryable() => Decision::Retry,
            Failure::Checkpoint(error) if error.is_retryable() => Decision::Retry,
            Failure::Receive(_) | Failure::Checkpoint(_) => Decision::Stop,
        })
    }

    /// No more events come. A checkpoint can still be written where the reason is
    /// [`Shutdown`](StopReason::Shutdown) or [`GivenUp`](StopReason::GivenUp).
    fn stop(
        &mut self,
        partition: &mut Partition,
        reason: StopReason,
    ) -> impl Future<Output = ()> + Send {
        let _ = (partition, reason);
        ready(())
    }
}
