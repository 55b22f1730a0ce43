//! rhea, as a client and as a server.

use super::access::Access;
use super::client::{Listening, Outcome, start};
use super::listener::Connecting;
use super::{Peer, cells};
use crate::interop::program::{Program, Running};

/// Its client, or its server as a program that runs, and the port of that.
struct Rhea {
    _server: Running,
    port: u64,
}

impl Peer for Rhea {
    const NAME: &'static str = "rhea";
}

impl Listening for Rhea {
    const ANSWERS: &'static [(&'static str, Outcome)] = &[
        ("reject", Outcome::Rejected),
        ("release", Outcome::Released),
        ("modify", Outcome::Modified),
    ];

    async fn start(access: Access) -> Option<Self> {
        let program = Program::node("rhea_server.js")?;
        let (server, port) = start(&program, access, &[]).await;
        Some(Self {
            _server: server,
            port,
        })
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Connecting for Rhea {
    fn program() -> Option<Program> {
        Program::node("rhea_client.js")
    }
}

cells!(client of Rhea: plain tls sasl_anonymous sasl_plain sasl_external ten_thousand_small hundred_of_one_mebibyte
    fifty_mebibytes_at_512 outcomes presettled settled_first settled_second every_type drain synchronous_get);
cells!(listener of Rhea: plain tls sasl_anonymous sasl_plain sasl_external ten_thousand_small hundred_of_one_mebibyte
    fifty_mebibytes_at_512 outcomes presettled settled_first settled_second every_type drain synchronous_get);
