//! Microsoft's Event Hubs client for Rust against the emulator. The verbs are those of every official client here: tests/interop/README.md.

mod event;
mod process;
mod publish;
mod receive;
mod throughput;

use std::error::Error;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use azure_messaging_eventhubs::{ConsumerClient, ProducerClient, RetryOptions};
use clap::{Parser, Subcommand};
use serde_json::{Value as Json, json};

/// What a verb may fail with; the text goes to the test that started this program.
type Failure = Box<dyn Error + Send + Sync>;

#[derive(Parser)]
struct Arguments {
    connection_string: String,
    hub: String,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// The hub's and its partitions' as one JSON object.
    Properties,
    Send(publish::Send),
    Receive(receive::Receive),
    Process(process::Process),
    Throughput(throughput::Throughput),
}

/// The namespace, its hub, and where to dial.
struct Namespace {
    connection_string: String,
    hub: String,
    endpoint: String,
}

impl Namespace {
    /// The client knows no `UseDevelopmentEmulator` and drops the port: both go into the custom endpoint, whose scheme decides about TLS.
    fn new(connection_string: String, hub: String) -> Result<Self, Failure> {
        let parts = || connection_string.split(';');
        let authority = parts().find_map(|part| part.strip_prefix("Endpoint=sb://"));
        let authority = authority
            .ok_or("the connection string has no endpoint")?
            .trim_end_matches('/');
        let scheme = if parts().any(|part| part == "UseDevelopmentEmulator=true") {
            "amqp"
        } else {
            "amqps"
        };
        let endpoint = format!("{scheme}://{authority}");
        Ok(Self {
            connection_string,
            hub,
            endpoint,
        })
    }

    async fn producer(&self) -> Result<ProducerClient, Failure> {
        let builder = ProducerClient::builder()
            .with_custom_endpoint(self.endpoint.clone())
            .with_retry_options(retries());
        Ok(builder
            .open_with_connection_string(&self.connection_string, Some(&self.hub))
            .await?)
    }

    async fn consumer(&self, group: &str) -> Result<ConsumerClient, Failure> {
        let builder = ConsumerClient::builder()
            .with_custom_endpoint(self.endpoint.clone())
            .with_retry_options(retries())
            .with_consumer_group(group.to_owned());
        Ok(builder
            .open_with_connection_string(&self.connection_string, Some(&self.hub))
            .await?)
    }
}

fn retries() -> RetryOptions {
    RetryOptions {
        max_total_elapsed: azure_core::time::Duration::seconds(20),
        ..RetryOptions::default()
    }
}

/// One line for the test that reads it, at once.
fn print(line: &Json) {
    let mut output = std::io::stdout().lock();
    // Nobody reads on: what is printed no longer matters.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

fn milliseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_millis() as u64
}

async fn properties(namespace: &Namespace) -> Result<(), Failure> {
    let client = namespace.producer().await?;
    let hub = client.get_eventhub_properties().await?;
    let mut partitions = Vec::new();
    for id in &hub.partition_ids {
        let partition = client.get_partition_properties(id).await?;
        partitions.push(json!({
            "id": partition.id,
            "eventhub_name": partition.eventhub,
            "beginning_sequence_number": partition.beginning_sequence_number,
            "last_enqueued_sequence_number": partition.last_enqueued_sequence_number,
            "last_enqueued_offset": partition.last_enqueued_offset,
            "last_enqueued_time_utc": partition.last_enqueued_time_utc.map(milliseconds),
            "is_empty": partition.is_empty,
        }));
    }
    print(&json!({
        "eventhub_name": hub.name,
        "created_at": hub.created_on.map(milliseconds),
        "partition_ids": hub.partition_ids,
        "partitions": partitions,
    }));
    Ok(client.close().await?)
}

#[tokio::main]
async fn main() {
    let Arguments {
        connection_string,
        hub,
        verb,
    } = Arguments::parse();
    let run = async {
        let namespace = Namespace::new(connection_string, hub)?;
        match verb {
            Verb::Properties => properties(&namespace).await,
            Verb::Send(send) => send.run(&namespace).await,
            Verb::Receive(receive) => receive.run(&namespace).await,
            Verb::Process(process) => process.run(namespace).await,
            Verb::Throughput(throughput) => throughput.run(&namespace).await,
        }
    };
    // The client's streams of events cannot move between threads.
    if let Err(error) = tokio::task::LocalSet::new().run_until(run).await {
        eprintln!("microsoft-rust: {error}");
        std::process::exit(1);
    }
    // The client leaves tasks behind that nobody waits for.
    std::process::exit(0);
}
