//! ramqp as a client, and its broker.

use super::access::Access;
use super::client::{Listening, start};
use super::listener::Connecting;
use super::{Peer, cells};
use crate::interop::program::{Program, Running};

/// Its client, or its broker as a program that runs, and the port of that.
struct Ramqp {
    _broker: Running,
    port: u64,
}

impl Peer for Ramqp {
    const NAME: &'static str = "ramqp";
}

impl Listening for Ramqp {
    async fn start(access: Access) -> Option<Self> {
        let (broker, port) = start(&Program::ramqp()?, access, &[]).await;
        Some(Self {
            _broker: broker,
            port,
        })
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    async fn queue(&self) -> String {
        format!("/queues/{}", uuid::Uuid::new_v4())
    }
}

impl Connecting for Ramqp {
    // Its annotations have no keys that are numbers.
    const MESSAGES: &'static [&'static str] = &["messages.jsonl", "messages-compound-arrays.jsonl"];

    fn program() -> Option<Program> {
        Program::ramqp()
    }
}

cells!(client of Ramqp: plain tls sasl_anonymous sasl_plain sasl_scram ten_thousand_small outcomes settled_first every_type
    transactions);
cells!(listener of Ramqp: plain tls sasl_anonymous sasl_plain sasl_scram sasl_external ten_thousand_small outcomes presettled
    settled_first settled_second every_type transactions);
