//! `amqp10 receive`: messages of a node, or events of a hub, to the standard output.

mod hub;
mod json;
mod node;
mod output;
mod time;

use std::num::NonZeroU32;
use std::time::Duration;

use self::output::Output;
use crate::failure::Failure;
use crate::target::{self, Connecting, Target};

/// Receives messages and writes their bodies to the standard output, one a line; with --json, all that they consist of.
///
/// It ends after COUNT messages, or when nothing came for the idle time, or when it is interrupted. Of a node, each message is
/// accepted after it was written, and one that was not is given back; the events of a hub stay where they are.
///
/// Of a hub, all partitions are read, or one. Events of one partition come in their order.
///
///   amqp10 receive amqp://guest:guest@localhost/orders --idle 2 > orders.txt
///   amqp10 receive "$CONNECTION_STRING" --from latest --json
///   amqp10 receive "$CONNECTION_STRING" --partition 0 --from 4311810360 --count 10
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_long_help = format!("{}\n\n{}", json::HELP, target::HELP))]
pub struct Arguments {
    #[command(flatten)]
    connecting: Connecting,
    /// End after that many messages; fewer of them within --idle are a failure
    #[arg(long)]
    count: Option<u64>,
    /// End when nothing came for that long [default: wait for ever]
    #[arg(long, value_name = "SECONDS", value_parser = target::seconds)]
    idle: Option<Duration>,
    /// Event Hubs: where to start: earliest, latest, or after the event with this offset [default: earliest]
    #[arg(long, value_name = "earliest|latest|OFFSET")]
    from: Option<String>,
    /// Event Hubs: the partition to read [default: all of them]
    #[arg(long, value_name = "ID")]
    partition: Option<String>,
    /// Event Hubs: the consumer group [default: $Default]
    #[arg(long)]
    group: Option<String>,
    /// Messages that may be on their way; for a hub, from each partition [default: 1000]
    #[arg(long, value_name = "MESSAGES")]
    credit: Option<NonZeroU32>,
    /// Write each message as one line of JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let target = arguments.connecting.target()?;
    arguments.check_for(&target)?;
    let mut output = Output::start(arguments.json, arguments.count);
    let received = match target {
        Target::Node { url, address } => {
            node::receive(&arguments, &url, &address, &mut output).await
        }
        Target::Hub(hub) => hub::receive(&arguments, hub, &mut output).await,
    };
    match received {
        Err(Failure::Interrupted) if arguments.count.is_none() => Ok(()),
        other => other,
    }
}

const DEFAULT_CREDIT: u32 = 1000;

impl Arguments {
    fn credit(&self) -> u32 {
        self.credit.map_or(DEFAULT_CREDIT, NonZeroU32::get)
    }

    fn check_for(&self, target: &Target) -> Result<(), Failure> {
        let is_of_hubs = self.from.is_some() || self.partition.is_some() || self.group.is_some();
        match target {
            Target::Node { .. } if is_of_hubs => Err(Failure::new(
                "--from, --partition and --group are for Event Hubs: TARGET must be a connection string",
            )),
            _ => Ok(()),
        }
    }

    /// Waits for something to come, as long as the idle time allows; None if nothing did.
    async fn wait_for<T>(&self, arrival: impl Future<Output = T>) -> Option<T> {
        match self.idle {
            Some(idle) => tokio::time::timeout(idle, arrival).await.ok(),
            None => Some(arrival.await),
        }
    }

    /// What it means that nothing came any more.
    fn when_idle(&self, received: u64) -> Result<(), Failure> {
        match (self.count, self.idle) {
            (Some(count), Some(idle)) if received < count => Err(Failure::new(format!(
                "{received} of {count} messages were received, then nothing came for {} s",
                idle.as_secs_f64()
            ))),
            _ => Ok(()),
        }
    }
}
