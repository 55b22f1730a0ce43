//! `amqp10`: the command-line face of the stack.
//!
//! ```text
//! main ── send ──── bodies (stdin or made up) ── node | hub ── tally
//!   ├──── receive ─ node | hub ── output ── json
//!   ├──── broker
//!   ├──── emulator
//!   ├──── conform
//!   └──── bench
//!         target: what TARGET means, and how to connect to it
//! ```

mod bench;
mod broker;
mod conform;
mod emulator;
mod failure;
mod progress;
mod receive;
mod send;
mod signals;
mod target;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Speaks AMQP 1.0 with brokers, and with Azure Event Hubs.
///
/// Send lines to a queue, read them back, or run an Event Hubs namespace on this machine:
///
///   amqp10 emulator --hub orders:4
///   seq 100000 | amqp10 send "$CONNECTION_STRING"
///   amqp10 receive "$CONNECTION_STRING" --count 100000
///
/// Set RUST_LOG=amqp10=debug to see on stderr what the stack does; keys, tokens and payloads are never logged.
#[derive(Parser)]
#[command(version, verbatim_doc_comment, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Send(send::Arguments),
    Receive(receive::Arguments),
    Broker(broker::Arguments),
    Emulator(emulator::Arguments),
    Conform(conform::Arguments),
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let command = match Arguments::try_parse() {
        Ok(arguments) => arguments.command,
        Err(error) => return refuse(&error),
    };
    if let Ok(filter) = EnvFilter::try_from_default_env() {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .init();
    }
    let result = match command {
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Send(arguments) => block_on(send::run(arguments)),
        Command::Receive(arguments) => block_on(receive::run(arguments)),
        Command::Broker(arguments) => block_on(broker::run(arguments)),
        Command::Conform(arguments) => block_on(conform::run(arguments)),
        Command::Emulator(arguments) => block_on(emulator::run(arguments)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Runs a command on this thread and its connections on others, so that writing to a slow pipe delays no heartbeat.
fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = runtime.block_on(command);
    // A name lookup that hangs must not hold the process.
    runtime.shutdown_background();
    result
}

/// Says what is wrong with the arguments; those that may hold a key are not repeated.
fn refuse(error: &clap::Error) -> ExitCode {
    let mut text = error.render().to_string();
    for argument in std::env::args_os() {
        let argument = argument.to_string_lossy();
        if target::may_hold_secret(&argument) {
            text = text.replace(&*argument, "<TARGET>");
        }
    }
    let written = if error.use_stderr() {
        write!(std::io::stderr(), "{text}")
    } else {
        write!(std::io::stdout(), "{text}")
    };
    // Nobody is left to be told that the reader of the help is gone.
    drop(written);
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}
