//! `amqp10`: the command-line face of the stack.

mod bench;
mod failure;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Speaks AMQP 1.0 with brokers and Azure Event Hubs.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Bench(arguments) => bench::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
