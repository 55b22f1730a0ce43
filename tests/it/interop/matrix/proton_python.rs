//! Qpid Proton C under Python, as a client and as a server.

use super::access::{Access, Login};
use super::client::{Listening, Outcome, start};
use super::listener::Connecting;
use super::proton_broker::MESSAGE_IN_FRAMES;
use super::{Peer, cells};
use crate::interop::peers;
use crate::interop::program::{Program, Running};

/// Its client, or its server as a program that runs, and the port of that.
struct ProtonPython {
    _server: Running,
    port: u64,
}

impl Peer for ProtonPython {
    const NAME: &'static str = "Proton Python";
}

impl Listening for ProtonPython {
    const ANSWERS: &'static [(&'static str, Outcome)] = &[
        ("reject", Outcome::Rejected),
        ("release", Outcome::Released),
        ("modify", Outcome::Modified),
    ];
    const INCOMING_WINDOW: u32 = MESSAGE_IN_FRAMES;
    const MESSAGES: &'static [&'static str] = &["messages.jsonl", "messages-compound-arrays.jsonl"];

    async fn start(access: Access) -> Option<Self> {
        let program = Program::python("proton_server.py")?;
        let users = match access.login {
            Login::Plain | Login::Scram => vec!["--users".to_owned(), peers::cyrus()?],
            _ => Vec::new(),
        };
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        let (server, port) = start(&program, access, &users).await;
        Some(Self {
            _server: server,
            port,
        })
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Connecting for ProtonPython {
    const MESSAGES: &'static [&'static str] = &["messages.jsonl", "messages-compound-arrays.jsonl"];
    const SENDS_MANY_FRAMES: bool = false;

    fn program() -> Option<Program> {
        Program::python("proton_client.py")
    }
}

cells!(client of ProtonPython: plain tls sasl_anonymous sasl_plain sasl_scram sasl_external ten_thousand_small
    hundred_of_one_mebibyte fifty_mebibytes_at_512 outcomes presettled settled_first settled_second every_type drain synchronous_get);
cells!(listener of ProtonPython: plain tls sasl_anonymous sasl_plain sasl_scram sasl_external ten_thousand_small
    hundred_of_one_mebibyte fifty_mebibytes_at_512 outcomes presettled settled_first settled_second every_type drain
    synchronous_get transactions);
