//! fe2o3-amqp, with the command line that `tests/interop/README.md` describes.

mod connect;
mod listen;
mod receive;
mod send;
mod transact;
mod values;

use clap::Parser;
use shared::{Arguments, LevelFilter, Result, Verb};

use connect::Client;

#[tokio::main]
async fn main() -> Result<()> {
    // Its warnings are of connections that it closes itself.
    shared::log(LevelFilter::ERROR);
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
            let messages = send::messages(messages.as_deref(), *count, *size)?;
            let mut client = Client::open(&arguments, node).await?;
            send::send(&mut client, messages, *settling).await?;
            client.close().await
        }
        Verb::Receive {
            node,
            count,
            size,
            outcome,
            settling,
        } => {
            let mut client = Client::open(&arguments, node).await?;
            receive::receive(&mut client, *count, *size, *outcome, *settling).await?;
            client.close().await
        }
        Verb::Drain { node, credit } => {
            let mut client = Client::open(&arguments, node).await?;
            receive::drain(&mut client, *credit).await?;
            client.close().await
        }
        Verb::Get { node } => {
            let mut client = Client::open(&arguments, node).await?;
            receive::get(&mut client).await?;
            client.close().await
        }
        Verb::Transact {
            node,
            work,
            end,
            count,
        } => {
            let mut client = Client::open(&arguments, node).await?;
            transact::transact(&mut client, *work, *end, *count).await?;
            client.close().await
        }
    }
}
