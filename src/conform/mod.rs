//! Whether a peer keeps to AMQP 1.0: for listeners and for clients, what h2spec is for HTTP/2.
//!
//! A [`Case`] is one rule of the standard and a dialogue that tries it, octet by octet, on a peer that may be written in any
//! language. Its verdict is `pass`, `fail` (the peer breaks a MUST), `remark` (it breaks a SHOULD, or does what others may
//! stumble over) or `skip` (the peer does not do what the case is about). A case that does not pass comes with what was said,
//! what was expected, what came, and the octets of both sides.
//!
//! # Testing a listener
//!
//! ```text
//! amqp10 conform localhost:5672 --node orders             a broker, and a queue of it that is empty
//! amqp10 conform localhost:5672 --node orders --only V-   the protocol header alone
//! amqp10 conform --list                                   what there is
//! ```
//!
//! The same from a program, where the listener may be at the other end of a [memory pipe](crate::memory):
//!
//! ```
//! use amqp10::conform::{self, RunOptions, Target};
//! # #[cfg(feature = "broker")]
//! use amqp10::broker::{Broker, BrokerOptions};
//!
//! # #[cfg(feature = "broker")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = Broker::in_process(BrokerOptions::default()).await?;
//! let target = Target::listener_by(move || std::future::ready(Ok(broker.connect()))).node("orders");
//! let report = conform::run(target, &RunOptions::default().only("v_006")).await;
//! assert!(report.is_conforming(), "{}", report.to_text());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "broker"))]
//! # fn main() {}
//! ```
//!
//! # Testing a client
//!
//! `amqp10 conform --client 5672` waits for a client, plays one case on each of its connections, and hangs up. The client is
//! an ordinary program, which does in a loop, until nobody listens any more:
//!
//! 1. connect, begin a session, attach a sender to `conform` and a receiver from `conform`;
//! 2. send ten messages, the first and others of them larger than 1000 octets, as many at once as there is credit for, and
//!    wait for their outcomes; meanwhile receive, accept messages and reject what is none;
//! 3. then drain its receiver, close both links, the session and the connection;
//! 4. when anything fails, close and connect again.
//!
//! `examples/ordinary.rs` in the repository is such a program.
//!
//! A client that does less is tested on what it does: a case says what it [needs](Case::needs), and is skipped when that does
//! not come in time; [`Target::without`] skips it at once.
//!
//! # Writing a case
//!
//! A case is an entry in one of the files of `listener` or `client`, one file a chapter of the standard. Its dialogue is made
//! of the verbs of [`Dialogue`], each followed by `?`: the first thing that a conforming peer would not say ends it.
//!
//! ```
//! use amqp10::codec::condition;
//! use amqp10::conform::{Case, Level, Side};
//!
//! const CASE: Case = Case {
//!     name: "f_002_a_size_below_the_header_is_a_framing_error",
//!     rows: &["F-002"],
//!     side: Side::Listener,
//!     level: Level::Must,
//!     needs: &[],
//!     stimulus: "a frame whose size field says 7 octets",
//!     expected: "close with amqp:connection:framing-error, then the end of the stream",
//!     play: |peer| {
//!         Box::pin(async move {
//!             peer.open().await?;
//!             peer.send_bytes(b"\0\0\0\x07\x02\0\0\0").await?;
//!             peer.expect_close_with(&[condition::FRAMING_ERROR]).await
//!         })
//!     },
//! };
//! # assert_eq!(CASE.rows, ["F-002"]);
//! ```
//!
//! - The name is a sentence about a peer that keeps to the rule, behind the ids of its rows, which are also in `rows`.
//! - Fail only what the standard forbids: read the row's section before a MUST, and let `Level::Should` or
//!   [`Dialogue::remark`] say the rest. A peer may send flows, empty frames and merged dispositions at any time, and choose its
//!   own channels and handles; the verbs pass over them.
//! - What a peer may refuse for reasons of its own (a link, a login) is a [`Stop::Skip`], not a failure.
//! - Each case runs against this crate's own broker or client by `cargo test`, and must pass there.
//!
//! The cases share nothing with the engine of this crate besides its codec, so that the judge does not repeat the mistakes of
//! the judged.

mod case;
mod client;
mod dialogue;
mod listener;
mod record;
mod report;
mod run;
mod target;

pub use case::{Case, Level, Need, Play, Side, Stop, Verdict};
pub use dialogue::{Dialogue, Link, Refusal, Scope, frames, plain};
pub use record::{Direction, Entry, Record};
pub use report::{Counts, Report};
pub use run::{Played, RunOptions, play, run};
pub use target::Target;

/// All cases: those for listeners and those for clients, in the order of the chapters.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    listener::CHAPTERS
        .iter()
        .chain(client::CHAPTERS)
        .flat_map(|chapter| chapter.iter())
}
