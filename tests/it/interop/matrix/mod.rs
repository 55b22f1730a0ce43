//! The matrix of `CONFORMANCE.md`: what our client does with every peer that listens, and our listener for every peer that
//! connects.
//!
//! A cell is a test, such as `matrix::rhea::listener::drain`. Its body is in [`client`] or [`listener`], after the role that is
//! ours, and is generic over the peer. A peer is a short module that says how it is reached and which cells it can do; why it
//! cannot do the others is written in `tests/conformance/matrix.md`. With `AMQP10_MATRIX=FOLDER` a cell that has passed leaves
//! a line of JSON there, from which [the table](crate::conformance) is made.

mod access;
mod client;
mod fe2o3;
mod listener;
mod our_broker;
mod proton_broker;
mod proton_python;
mod rabbitmq3;
mod rabbitmq4;
mod ramqp;
mod rhea;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

/// Somebody else's implementation.
trait Peer {
    /// Its name in the matrix.
    const NAME: &'static str;
}

/// Makes a test of every cell that a peer can do: `cells!(client of RabbitMq4: plain tls drain);`
macro_rules! cells {
    ($role:ident of $peer:ident: $($cell:ident)*) => {
        mod $role {
            use super::$peer;
            use crate::interop::matrix::{self, Peer};

            $(
                #[tokio::test]
                async fn $cell() {
                    let began = std::time::Instant::now();
                    if matrix::$role::$cell::<$peer>().await.is_some() {
                        matrix::record($peer::NAME, stringify!($role), stringify!($cell), began.elapsed());
                    }
                }
            )*
        }
    };
}
use cells;

/// Writes down that a cell has passed. A cell that was skipped, or that failed, leaves nothing.
fn record(peer: &str, role: &str, cell: &str, took: Duration) {
    let Some(folder) = std::env::var_os("AMQP10_MATRIX").map(PathBuf::from) else {
        return;
    };
    let seconds = (took.as_secs_f64() * 100.0).round() / 100.0;
    let line = json!({ "peer": peer, "role": role, "cell": cell, "seconds": seconds });
    std::fs::create_dir_all(&folder).unwrap();
    let name = format!("{peer} {role} {cell}.json").replace(' ', "-");
    std::fs::write(folder.join(name), format!("{line}\n")).unwrap();
}
