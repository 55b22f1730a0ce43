//! `amqp10 send`: lines, or messages made up, to a node or a hub.

mod bodies;
mod hub;
mod node;
mod tally;

use std::num::NonZeroUsize;

use self::bodies::Bodies;
use self::tally::Tally;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::target::{self, Connecting, Target};

/// Sends messages: one for each line of the standard input, or COUNT of SIZE octets.
///
/// A line becomes the body of a message, one data section without the line's end. At the end it is told how many messages the
/// peer accepted; the exit status is 0 only if it accepted all of them.
///
/// To Event Hubs, lines are sent in batches, each stored as a whole: as many lines as there are at the moment, up to a quarter
/// of the window. Lines of one key, or to one partition, are stored in their order; an outage in between can change it, but
/// not with --window 1.
///
///   amqp10 send amqp://guest:guest@localhost/orders < orders.txt
///   amqp10 send "$CONNECTION_STRING" --key device-42 < readings.txt
///   amqp10 send amqp://localhost/load --count 1000000 --size 100
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_long_help = format!("{HELP}\n\n{}", target::HELP))]
pub struct Arguments {
    #[command(flatten)]
    connecting: Connecting,
    /// Send that many messages of --size octets, in place of lines
    #[arg(long, requires = "size")]
    count: Option<u64>,
    /// Octets of each message of --count
    #[arg(long, value_name = "OCTETS", requires = "count", value_parser = target::octets)]
    size: Option<usize>,
    /// Event Hubs: the partition to send to [default: the service chooses]
    #[arg(long, value_name = "ID", conflicts_with = "key")]
    partition: Option<String>,
    /// Event Hubs: the partition key of all messages
    #[arg(long)]
    key: Option<String>,
    /// Messages that may be without an outcome at a time [default: 512, for a hub 16384]
    #[arg(long, value_name = "MESSAGES")]
    window: Option<NonZeroUsize>,
    /// Send settled: faster, but what is lost is not told
    #[arg(long)]
    settled: bool,
    /// Print the summary as one line of JSON
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
The summary with --json:
  {\"sent\":…,\"accepted\":…,\"rejected\":…,\"released\":…,\"modified\":…,\"seconds\":…}
  sent counts what was handed to the stream, the next four the peer's outcomes. What is missing between them has no known
  outcome, because the connection ended before it came. With --settled there are no outcomes, and accepted is null.";

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let target = arguments.connecting.target()?;
    arguments.check_for(&target)?;
    let mut tally = Tally::new(arguments.settled);
    let progress = Progress::start(arguments.count, false);
    let result = match target {
        Target::Node { url, address } => {
            node::send(&arguments, &url, &address, &mut tally, &progress).await
        }
        Target::Hub(hub) => hub::send(&arguments, hub, &mut tally, &progress).await,
    };
    drop(progress);
    let printed = tally.print(arguments.json);
    // What became of the messages counts for more than whether anybody read the summary.
    result?;
    tally.verdict()?;
    printed
}

impl Arguments {
    fn bodies(&self) -> Bodies {
        match (self.count, self.size) {
            (Some(count), Some(size)) => Bodies::made_up(count, size),
            _ => Bodies::lines_of_stdin(),
        }
    }

    fn window_or(&self, default: usize) -> usize {
        self.window.map_or(default, NonZeroUsize::get)
    }

    fn check_for(&self, target: &Target) -> Result<(), Failure> {
        match target {
            Target::Node { .. } if self.key.is_some() || self.partition.is_some() => {
                Err(Failure::new(
                    "--key and --partition are for Event Hubs: TARGET must be a connection string",
                ))
            }
            _ => Ok(()),
        }
    }
}
