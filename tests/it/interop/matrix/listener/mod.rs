//! Our listener's cells: what is asked of every peer that connects. A peer is a program with the command line that
//! `tests/interop/README.md` describes; each cell starts a listener of its own for it.

mod credit;
mod messages;
mod outcomes;
mod transactions;

pub use credit::{drain, synchronous_get};
pub use messages::{
    every_type, fifty_mebibytes_at_512, hundred_of_one_mebibyte, ten_thousand_small,
};
pub use outcomes::{outcomes, presettled, settled_first, settled_second};
pub use transactions::transactions;

use amqp10::sasl::{AllowEveryone, SaltedUsers, SaslMechanism, ScramHash};
use amqp10::{ListenerOptions, SaslServerOptions};
use serde_json::Value as Json;

use super::Peer;
use super::access::{self, Access, Login, PASSWORD, USER};
use crate::interop::node::Server;
use crate::interop::peers;
use crate::interop::program::Program;

/// A peer that connects. What it says of itself here is what differs between peers.
pub trait Connecting: Peer {
    /// As whom it connects where that is not what is tried.
    const LOGIN: Login = Login::Anonymous;
    /// Files of messages that it reads and writes with every type.
    const MESSAGES: &'static [&'static str] = &[
        "messages.jsonl",
        "messages-compound-arrays.jsonl",
        "messages-all-sections.jsonl",
    ];

    /// Whether it sends a message in a hundred thousand frames within seconds. Where it takes minutes, only `AMQP10_ALL_PAIRS`
    /// makes it send one; it receives one in any case.
    const SENDS_MANY_FRAMES: bool = true;

    /// The program; `None` if the test is to be skipped.
    fn program() -> Option<Program>;
}

/// The node that all cells use that need only one.
const NODE: &str = "node";

/// The program, and how it reaches us.
struct Client {
    program: Program,
    access: Access,
    url: String,
    /// Arguments of every call.
    common: Vec<String>,
}

impl Client {
    fn new<C: Connecting>(address: impl std::fmt::Display, access: Access) -> Option<Self> {
        let login = match access.login {
            Login::Plain | Login::Scram => format!("{USER}:{PASSWORD}@"),
            _ => String::new(),
        };
        let url = format!("{}://{login}{address}", access.scheme());
        let mut common = vec!["--mechanism".into(), access.login.mechanism().into()];
        if access.tls {
            common.extend(["--authority".into(), access::path("authority.pem")]);
        }
        if access.login == Login::External {
            common.extend(["--certificate".into(), access::path("tim.pem")]);
            common.extend(["--key".into(), access::path("tim.key")]);
        }
        if let Some(octets) = access.max_frame_size {
            common.extend(["--max-frame-size".into(), octets.to_string()]);
        }
        let program = C::program()?;
        Some(Self {
            program,
            access,
            url,
            common,
        })
    }

    /// Calls a verb on a node; what it prints, line by line.
    async fn call(&self, verb: &str, node: &str, arguments: &[&str]) -> Vec<Json> {
        let common: Vec<&str> = self.common.iter().map(String::as_str).collect();
        let arguments = [&[verb, &self.url, node], arguments, &common[..]].concat();
        self.program.lines(&arguments).await
    }

    /// Sends, and expects one outcome for all messages.
    async fn send(&self, node: &str, arguments: &[&str], outcome: &str, count: usize) {
        let lines = self.call("send", node, arguments).await;
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0][outcome], count, "{node}: {}", lines[0]);
    }

    /// Receives the first messages of `send --count --size`, by their numbers.
    async fn receive_numbered(&self, count: usize, size: usize, arguments: &[&str]) {
        let (count_text, size) = (count.to_string(), size.to_string());
        let arguments = [&[&count_text, "--size", &size], arguments].concat();
        let lines = self.call("receive", NODE, &arguments).await;
        assert_numbers(&lines, 0..count);
    }
}

/// What `--size` makes the programs print: the number of each message, whose body they have compared.
fn assert_numbers(lines: &[Json], expected: std::ops::Range<usize>) {
    let numbers: Vec<_> = lines.iter().map(|line| line["number"].as_u64()).collect();
    let expected: Vec<_> = expected.map(|number| Some(number as u64)).collect();
    assert!(numbers == expected, "{numbers:?}");
}

/// A listener and a client of it.
struct Scene {
    server: Server,
    client: Client,
}

impl Scene {
    /// As most cells want it.
    async fn start<C: Connecting>() -> Option<Self> {
        Self::with::<C>(Access::plaintext(C::LOGIN)).await
    }

    async fn with<C: Connecting>(access: Access) -> Option<Self> {
        if access.tls {
            peers::certificates()?;
        }
        let mut options = ListenerOptions::default()
            .sasl(sasl(access.login))
            .connection(access.connection_options());
        if access.tls {
            options = options.tls(access::server_tls(access.login));
        }
        let server = Server::with(options).await;
        let client = Client::new::<C>(server.address(), access)?;
        Some(Self { server, client })
    }

    /// Every connection came as it was meant to and was closed without an error.
    async fn close(self) {
        let expected = SaslMechanism::from_name(self.client.access.login.mechanism());
        for visit in self.server.visits().await {
            assert_eq!(visit.mechanism, expected);
            assert_eq!(visit.ended_with, None);
        }
    }
}

fn sasl(login: Login) -> SaslServerOptions {
    let users = || SaltedUsers::new().user(USER, PASSWORD).unwrap();
    let options = SaslServerOptions::default();
    match login {
        Login::None => options.mechanisms([]).require(false),
        Login::Anonymous => options.mechanisms([SaslMechanism::Anonymous]),
        Login::Plain => options
            .mechanisms([SaslMechanism::Plain])
            .authenticator(users()),
        Login::Scram => options
            .mechanisms([SaslMechanism::Scram(ScramHash::Sha256)])
            .authenticator(users()),
        // TLS has let in nobody whose certificate is not of our authority.
        Login::External => options
            .mechanisms([SaslMechanism::External])
            .authenticator(AllowEveryone),
    }
}

/// Some messages to us and back.
async fn reached<C: Connecting>(access: Access) -> Option<()> {
    let scene = Scene::with::<C>(access).await?;
    let numbered = ["--count", "5", "--size", "10000"];
    scene.client.send(NODE, &numbered, "accepted", 5).await;
    scene.client.receive_numbered(5, 10_000, &[]).await;
    scene.close().await;
    Some(())
}

pub async fn plain<C: Connecting>() -> Option<()> {
    reached::<C>(Access::plaintext(C::LOGIN)).await
}

pub async fn tls<C: Connecting>() -> Option<()> {
    reached::<C>(Access::tls(C::LOGIN)).await
}

pub async fn sasl_anonymous<C: Connecting>() -> Option<()> {
    reached::<C>(Access::plaintext(Login::Anonymous)).await
}

pub async fn sasl_plain<C: Connecting>() -> Option<()> {
    reached::<C>(Access::plaintext(Login::Plain)).await
}

pub async fn sasl_scram<C: Connecting>() -> Option<()> {
    reached::<C>(Access::plaintext(Login::Scram)).await
}

pub async fn sasl_external<C: Connecting>() -> Option<()> {
    reached::<C>(Access::tls(Login::External)).await
}
