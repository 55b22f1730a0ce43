//! A cell fails for what either side logs, though its body has seen nothing wrong. `sh` stands in for a program of a peer.

use amqp10::codec::{Detach, condition};
use amqp10::{AmqpError, SenderOptions};

use super::run;
use crate::interop::program::Program;
use crate::support::peer::{self, detach_with};
use crate::support::scene;

const CELL: [&str; 3] = ["nobody", "client", "nothing"];

/// A program that writes this to stderr, prints a line, and ends well.
fn script(complaint: &str) -> String {
    format!("printf '%s\n' '{complaint}' >&2; echo 1; read line")
}

#[tokio::test]
async fn a_cell_without_errors_passes() {
    run(CELL, async {
        let (mut peer, session) = scene::session().await;
        let (ended, ()) = tokio::join!(session.end(), peer.answer_end());
        ended.unwrap();
        Program::executable("sh").line(&["-c", "echo 1"]).await;
        None
    })
    .await;
}

#[tokio::test]
#[should_panic(expected = "amqp:session:unattached-handle: transfer names handle 42")]
async fn what_the_peer_does_wrong_fails_a_cell() {
    run(CELL, async {
        let (mut peer, session) = scene::session().await;
        peer.send(peer::transfer(0)).await;
        peer.expect_end_with(condition::UNATTACHED_HANDLE).await;
        drop(session);
        None
    })
    .await;
}

#[tokio::test]
#[should_panic(expected = "amqp:internal-error: no more memory")]
async fn what_the_peer_reports_fails_a_cell() {
    run(CELL, async {
        let (mut peer, session) = scene::session().await;
        let _sender = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
        let error = AmqpError::new(condition::INTERNAL_ERROR, "no more memory");
        peer.send(detach_with(error)).await;
        let Detach { error, .. } = peer.expect_detach().await;
        assert_eq!(error, None);
        None
    })
    .await;
}

#[tokio::test]
#[should_panic(expected = "the peer ended the stream without a close frame")]
async fn a_connection_that_breaks_off_fails_a_cell() {
    run(CELL, async {
        let (peer, session) = scene::session().await;
        peer.hang_up();
        session.connection().closed().await;
        tokio::task::yield_now().await;
        None
    })
    .await;
}

#[tokio::test]
#[should_panic(expected = "AMQP:ERROR:Error dispatching frame")]
async fn what_a_client_complains_of_fails_a_cell() {
    run(CELL, async {
        let script = script("[0x55916138b0e0]: AMQP:ERROR:Error dispatching frame");
        let program = Program::executable("sh");
        assert_eq!(program.line(&["-c", &script]).await, 1);
        None
    })
    .await;
}

#[tokio::test]
#[should_panic(expected = "Error: Invalid handle 7")]
async fn what_a_server_complains_of_fails_a_cell() {
    run(CELL, async {
        let mut server =
            Program::executable("sh").start(&["-c", &script("Error: Invalid handle 7")]);
        assert_eq!(server.next().await.unwrap(), 1);
        // It is killed while it waits for a line.
        None
    })
    .await;
}
