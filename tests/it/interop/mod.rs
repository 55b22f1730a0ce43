//! Agreement with other implementations: brokers that we connect to, and clients that connect to us.
//!
//! `eval "$(.ci/peers/up)"` installs and starts them. Without it these tests are skipped and say so; with
//! `AMQP10_PEERS=required` a missing peer is an error.

#[cfg(all(feature = "blob", feature = "tls"))]
mod blob_store;
mod broker;
mod json;
#[cfg(all(feature = "broker", feature = "scram", feature = "tls"))]
mod matrix;
mod node;
#[cfg(all(feature = "blob", feature = "emulator", feature = "tls"))]
mod official_clients;
#[cfg(feature = "broker")]
mod our_broker;
mod peers;
mod program;
mod proton_codec;
mod rabbitmq3;
mod rabbitmq4;
mod rabbitmq4_features;
mod refusals;
#[cfg(all(feature = "emulator", feature = "websocket"))]
mod rhea_websocket;
#[cfg(all(feature = "blob", feature = "emulator", feature = "tls"))]
mod shared_processing;
#[cfg(feature = "cli")]
mod unmodified;

use std::time::Duration;

/// What is waited for must come within a minute, or half an hour where what is slow is asked for.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let minutes = if all_pairs() { 30 } else { 1 };
    let limit = Duration::from_secs(60 * minutes);
    let waited = tokio::time::timeout(limit, future).await;
    waited.unwrap_or_else(|_| panic!("no end of {what} within {limit:?}"))
}

/// Whether what takes a peer minutes is to be done, too.
fn all_pairs() -> bool {
    std::env::var_os("AMQP10_ALL_PAIRS").is_some()
}

/// Octets of a body that depend on `number`; the clients in other languages make the same.
fn pattern(number: usize, size: usize) -> Vec<u8> {
    let cycle: Vec<u8> = (0..251).collect();
    let start = number % cycle.len();
    cycle.repeat(size / cycle.len() + 2)[start..start + size].to_vec()
}
