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
mod logs;
mod our_broker;
mod proton_broker;
mod proton_python;
mod rabbitmq3;
mod rabbitmq4;
mod ramqp;
mod rhea;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::log::Log;

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
                    let cell = [$peer::NAME, stringify!($role), stringify!($cell)];
                    matrix::run(cell, matrix::$role::$cell::<$peer>()).await;
                }
            )*
        }
    };
}
use cells;

/// Runs a cell, given by peer, role and name. It passes if its body does and neither side logs an error: ours by `tracing`, a
/// program of the peer on stderr. The logs of brokers that run all the time are read by the stage that runs the cells.
async fn run(cell: [&str; 3], body: impl Future<Output = Option<()>>) {
    let log = Log::new();
    let _logging = tracing::subscriber::set_default(log.clone());
    let began = Instant::now();
    let was_played = body.await.is_some();
    let errors = log.errors();
    assert!(errors.is_empty(), "{cell:?}, logged:\n{errors}");
    if was_played {
        record(cell, began.elapsed());
    }
}

/// Writes down that a cell has passed. A cell that was skipped, or that failed, leaves nothing.
fn record([peer, role, cell]: [&str; 3], took: Duration) {
    let Some(folder) = std::env::var_os("AMQP10_MATRIX").map(PathBuf::from) else {
        return;
    };
    let seconds = (took.as_secs_f64() * 100.0).round() / 100.0;
    let line = json!({ "peer": peer, "role": role, "cell": cell, "seconds": seconds });
    std::fs::create_dir_all(&folder).unwrap();
    let name = format!("{peer} {role} {cell}.json").replace(' ', "-");
    std::fs::write(folder.join(name), format!("{line}\n")).unwrap();
}
