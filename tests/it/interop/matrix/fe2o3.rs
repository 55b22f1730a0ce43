//! fe2o3-amqp, as a client and as a server of queues over its acceptors.

use super::access::Access;
use super::client::{Listening, start};
use super::listener::Connecting;
use super::{Peer, cells};
use crate::interop::program::{Program, Running};

/// Its client, or its server as a program that runs, and the port of that.
struct Fe2o3 {
    _server: Running,
    port: u64,
}

impl Peer for Fe2o3 {
    const NAME: &'static str = "fe2o3-amqp";
}

/// Arrays of scalars only.
const MESSAGES: &[&str] = &["messages.jsonl", "messages-all-sections.jsonl"];

impl Listening for Fe2o3 {
    const MESSAGES: &'static [&'static str] = MESSAGES;

    async fn start(access: Access) -> Option<Self> {
        let (server, port) = start(&Program::fe2o3()?, access, &[]).await;
        Some(Self {
            _server: server,
            port,
        })
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Connecting for Fe2o3 {
    const MESSAGES: &'static [&'static str] = MESSAGES;

    fn program() -> Option<Program> {
        Program::fe2o3()
    }
}

cells!(client of Fe2o3: plain tls sasl_anonymous sasl_plain sasl_scram ten_thousand_small hundred_of_one_mebibyte
    fifty_mebibytes_at_512 outcomes presettled settled_first every_type drain synchronous_get);
cells!(listener of Fe2o3: plain tls sasl_anonymous sasl_plain sasl_scram ten_thousand_small hundred_of_one_mebibyte
    fifty_mebibytes_at_512 outcomes presettled settled_first settled_second every_type drain synchronous_get transactions);
