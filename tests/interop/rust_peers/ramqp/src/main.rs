//! ramqp and its broker, with the command line that `tests/interop/README.md` describes. There is no `drain` and no `get`: the
//! client cannot take credit back.

mod client;
mod listen;
mod values;

use clap::Parser;
use shared::{Arguments, LevelFilter, Result, Verb};

use client::Client;

#[tokio::main]
async fn main() -> Result<()> {
    shared::log(LevelFilter::WARN);
    let arguments = Arguments::parse();
    let Some(verb) = &arguments.verb else {
        return listen::listen(&arguments).await;
    };
    match verb {
        Verb::Send {
            node,
            messages,
            count,
            size,
            settling,
        } => {
            let messages = client::messages(messages.as_deref(), *count, *size)?;
            let client = Client::open(&arguments, node, *settling).await?;
            client.send(messages, *settling).await?;
            client.close().await
        }
        Verb::Receive {
            node,
            count,
            size,
            outcome,
            settling,
        } => {
            let client = Client::open(&arguments, node, *settling).await?;
            client.receive(*count, *size, *outcome, *settling).await?;
            client.close().await
        }
        Verb::Transact {
            node,
            work,
            end,
            count,
        } => {
            let client = Client::open(&arguments, node, client::UNSETTLED).await?;
            client.transact(*work, *end, *count).await?;
            client.close().await
        }
        Verb::Drain { .. } | Verb::Get { .. } => Err("it takes no credit back".into()),
    }
}
