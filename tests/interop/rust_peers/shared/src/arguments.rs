//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use url::Url;

use crate::Result;

#[derive(Parser)]
pub struct Arguments {
    /// What to do as a client. Without it the program serves queues, and prints its port
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// This SASL mechanism and no other; NONE for no SASL layer
    #[arg(long, global = true, default_value = "ANONYMOUS")]
    pub mechanism: String,
    /// The authority to trust, in PEM
    #[arg(long, global = true)]
    pub authority: Option<PathBuf>,
    /// A certificate of our own, in PEM
    #[arg(long, global = true, requires = "key")]
    pub certificate: Option<PathBuf>,
    /// The key of the certificate, in PEM
    #[arg(long, global = true)]
    pub key: Option<PathBuf>,
    /// What the open says
    #[arg(long, global = true)]
    pub max_frame_size: Option<u32>,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Sends the messages of a file, or numbered ones
    Send {
        #[command(flatten)]
        node: Node,
        #[arg(long)]
        messages: Option<PathBuf>,
        #[arg(long, default_value_t = 1)]
        count: usize,
        #[arg(long, default_value_t = 100)]
        size: usize,
        #[command(flatten)]
        settling: Settling,
    },
    /// Receives so many messages
    Receive {
        #[command(flatten)]
        node: Node,
        count: usize,
        #[arg(long)]
        size: Option<usize>,
        #[arg(long, value_enum, default_value = "accepted")]
        outcome: Outcome,
        #[command(flatten)]
        settling: Settling,
    },
    /// Receives what there is, and takes the credit for more back
    Drain {
        #[command(flatten)]
        node: Node,
        credit: u32,
    },
    /// Gets one message after the other, until there is none
    Get {
        #[command(flatten)]
        node: Node,
    },
    /// Posts or retires so many messages in a transaction
    Transact {
        #[command(flatten)]
        node: Node,
        #[arg(value_enum)]
        work: Work,
        #[arg(value_enum)]
        end: End,
        count: usize,
    },
}

#[derive(Args)]
pub struct Node {
    pub url: Url,
    pub address: String,
}

#[derive(Args, Clone, Copy)]
pub struct Settling {
    /// Messages are settled when they are sent
    #[arg(long)]
    pub settled: bool,
    /// The receiver settles second
    #[arg(long)]
    pub second: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Outcome {
    Accepted,
    Rejected,
    Released,
    Modified,
    #[value(skip)]
    Settled,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Work {
    Post,
    Retire,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum End {
    Commit,
    Rollback,
}

/// The only user there is of a server.
pub const USER: (&str, &str) = ("tim", "secret");

impl Node {
    /// User and password of the URL.
    pub fn login(&self) -> (String, String) {
        let password = self.url.password().unwrap_or_default();
        (self.url.username().into(), password.into())
    }
}

impl Arguments {
    /// The octets of a file that an option names.
    pub fn file(path: &Option<PathBuf>) -> Result<Option<Vec<u8>>> {
        Ok(path.as_ref().map(std::fs::read).transpose()?)
    }
}
