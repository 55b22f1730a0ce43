//! Our client's cells: what is asked of every peer that listens. Each cell has its own connections, and its own queue, which
//! starts empty.

mod credit;
pub mod messages;
mod outcomes;
mod transactions;
mod values;

pub use credit::{drain, synchronous_get};
pub use messages::{fifty_mebibytes_at_512, hundred_of_one_mebibyte, ten_thousand_small};
pub use outcomes::{outcomes, presettled, settled_first, settled_second};
pub use transactions::transactions;
pub use values::every_type;

use amqp10::{Connection, ReceiverOptions};
use serde_json::Value as Json;

use super::Peer;
use super::access::{self, Access, Login};
use crate::interop::broker::{self, Links};
use crate::interop::program::{Program, Running};
use crate::interop::{pattern, peers};

/// A peer that listens. What it says of itself here is what differs between peers.
pub trait Listening: Peer + Sized {
    /// As whom one connects where that is not what is tried.
    const LOGIN: Login = Login::Anonymous;
    /// What becomes of a message after each outcome: whether it comes again.
    const OUTCOMES: &'static [(Outcome, bool)] = &[
        (Outcome::Accepted, false),
        (Outcome::Rejected, false),
        (Outcome::Released, true),
        (Outcome::Modified, true),
    ];
    /// Addresses at which each message sent gets an outcome other than accepted.
    const ANSWERS: &'static [(&'static str, Outcome)] = &[];
    /// Files of messages that it passes on as they are, but for what [`strip`](Self::strip) takes away.
    const MESSAGES: &'static [&'static str] = &[
        "messages.jsonl",
        "messages-compound-arrays.jsonl",
        "messages-all-sections.jsonl",
    ];

    /// How many frames it may send us before we let it send more, where messages are large.
    const INCOMING_WINDOW: u32 = 1024;

    /// Finds or starts it, such that it takes this access; `None` if the test is to be skipped. A server that always runs takes
    /// several; a program that is started for the test offers this one alone.
    async fn start(access: Access) -> Option<Self>;

    /// Its host and port.
    fn address(&self) -> String;

    /// The address of a queue that is new and empty.
    async fn queue(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }

    /// Takes away what it added to a message, or changed as it may: what is left must equal what was sent.
    fn strip(_sent: &Json, _received: &mut Json) {}
}

/// The outcomes without their contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accepted,
    Rejected,
    Released,
    Modified,
}

/// Starts a program that listens with what the access needs, and prints its port.
pub async fn start(program: &Program, access: Access, more: &[&str]) -> (Running, u64) {
    let mut arguments = vec!["--mechanism", access.login.mechanism()];
    let files = [
        ("--certificate", "localhost.pem"),
        ("--key", "localhost.key"),
        ("--authority", "authority.pem"),
    ];
    let files = files.map(|(option, file)| access.tls.then(|| (option, access::path(file))));
    for (option, path) in files.iter().flatten() {
        arguments.extend([*option, path]);
    }
    let octets = access.max_frame_size.map(|octets| octets.to_string());
    if let Some(octets) = &octets {
        arguments.extend(["--max-frame-size", octets]);
    }
    arguments.extend(more);
    let mut running = program.start(&arguments);
    let port = running.next().await.expect("its port");
    (running, port.as_u64().unwrap())
}

/// A peer, and how it is reached.
struct Scene<P> {
    peer: P,
    access: Access,
}

impl<P: Listening> Scene<P> {
    /// As most cells want it.
    async fn start() -> Option<Self> {
        Self::with(Access::plaintext(P::LOGIN)).await
    }

    async fn with(access: Access) -> Option<Self> {
        if access.tls {
            peers::certificates()?;
        }
        let peer = P::start(access).await?;
        Some(Self { peer, access })
    }

    async fn connect(&self) -> Connection {
        let url = format!("{}://{}", self.access.scheme(), self.peer.address());
        broker::connect(&url, self.access.client_options()).await
    }

    /// Both links to a new queue, on a new connection.
    async fn links(&self) -> Links {
        self.links_with(ReceiverOptions::default()).await
    }

    async fn links_with(&self, receiver: ReceiverOptions) -> Links {
        let address = self.peer.queue().await;
        Links::open(&self.connect().await, &address, receiver).await
    }
}

/// Some messages there and back, over two connections one after the other.
async fn reached<P: Listening>(access: Access) -> Option<()> {
    let scene = Scene::<P>::with(access).await?;
    for _ in 0..2 {
        let links = scene.links().await;
        for number in 0..5 {
            let body = pattern(number, 10_000);
            assert!(links.send(body.clone()).await.is_accepted());
            let delivery = links.recv().await;
            assert_eq!(delivery.message().unwrap().body.as_data().unwrap(), &body);
            delivery.accept().unwrap();
        }
        links.close().await;
    }
    Some(())
}

pub async fn plain<P: Listening>() -> Option<()> {
    reached::<P>(Access::plaintext(P::LOGIN)).await
}

pub async fn tls<P: Listening>() -> Option<()> {
    reached::<P>(Access::tls(P::LOGIN)).await
}

pub async fn sasl_anonymous<P: Listening>() -> Option<()> {
    reached::<P>(Access::plaintext(Login::Anonymous)).await
}

pub async fn sasl_plain<P: Listening>() -> Option<()> {
    reached::<P>(Access::plaintext(Login::Plain)).await
}

pub async fn sasl_scram<P: Listening>() -> Option<()> {
    reached::<P>(Access::plaintext(Login::Scram)).await
}

pub async fn sasl_external<P: Listening>() -> Option<()> {
    reached::<P>(Access::tls(Login::External)).await
}
