//! Every wait ends, and says why: E-020, C-040, S-016.

use std::time::Duration;

use amqp10::codec::{Begin, Close, End, Flow, Open, condition};
use amqp10::{
    AcceptLinkOptions, AmqpError, ConnectionError, LinkError, Outcome, ReceiverOptions, SendError,
    SenderOptions, Session, SessionError, SessionOptions,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support::peer::{self, Peer};
use crate::support::scene;

/// Everything that can be waited for on a connection, a session and two links, started at once; each says how it ended.
#[derive(Default)]
struct Waits(Vec<(&'static str, JoinHandle<Option<AmqpError>>)>);

impl Waits {
    fn add(
        &mut self,
        name: &'static str,
        wait: impl Future<Output = Option<AmqpError>> + Send + 'static,
    ) {
        self.0.push((name, tokio::spawn(wait)));
    }

    /// Every wait has ended and gives this as the peer's reason.
    async fn expect_all(self, error: Option<&AmqpError>) {
        let started = Instant::now();
        for (name, wait) in self.0 {
            let reason = wait.await.unwrap();
            assert_eq!(reason.as_ref(), error, "{name}");
        }
        assert!(started.elapsed() < Duration::from_millis(100));
    }
}

/// A peer, and all the waits on what it serves; the connection's own are left out if only the session is to end.
async fn waits(with_connection: bool) -> (Peer, Waits, amqp10::Session) {
    let (mut peer, session) = scene::session().await;
    let sender = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
    let (receiver, ()) = tokio::join!(
        session.attach_receiver("node", ReceiverOptions::default()),
        async {
            let asked = peer.expect_attach().await;
            peer.send(amqp10::codec::Attach {
                handle: peer::HANDLE + 1,
                ..peer::answer_to(&asked)
            })
            .await;
            peer.expect_flow().await;
        }
    );
    let receiver = receiver.unwrap();
    peer.grant(0, 1).await;
    let receipt = sender.send_with_receipt("x").await.unwrap();
    peer.expect_transfer().await;
    let connection = session.connection().clone();
    let mut waits = Waits::default();
    waits.add("receipt", async move {
        receipt.await.unwrap_err().remote_error().cloned()
    });
    waits.add("send", {
        let sender = sender.clone();
        async move { sender.send("y").await.unwrap_err().remote_error().cloned() }
    });
    waits.add("sender.closed", {
        let sender = sender.clone();
        async move { sender.detached().await.remote_error().cloned() }
    });
    waits.add("recv", {
        let receiver = receiver.clone();
        async move { receiver.recv().await.unwrap_err().remote_error().cloned() }
    });
    waits.add("recv_batch", {
        let receiver = receiver.clone();
        async move {
            receiver
                .recv_batch(5, Duration::from_secs(60))
                .await
                .unwrap_err()
                .remote_error()
                .cloned()
        }
    });
    waits.add("drain", {
        let receiver = receiver.clone();
        async move { receiver.drain().await.unwrap_err().remote_error().cloned() }
    });
    waits.add("receiver.closed", {
        let receiver = receiver.clone();
        async move { receiver.detached().await.remote_error().cloned() }
    });
    waits.add("attach", {
        let session = session.clone();
        async move {
            session
                .attach_sender("z", SenderOptions::default())
                .await
                .unwrap_err()
                .remote_error()
                .cloned()
        }
    });
    waits.add("session.closed", {
        let session = session.clone();
        async move { session.ended().await.remote_error().cloned() }
    });
    if with_connection {
        waits.add("begin", {
            let connection = connection.clone();
            async move {
                connection
                    .begin(SessionOptions::default())
                    .await
                    .unwrap_err()
                    .remote_error()
                    .cloned()
            }
        });
        waits.add("connection.closed", {
            let connection = connection.clone();
            async move { connection.closed().await.remote_error().cloned() }
        });
        waits.add("accept_link", {
            let connection = connection.clone();
            async move {
                connection
                    .accept_link()
                    .await
                    .unwrap_err()
                    .remote_error()
                    .cloned()
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    (peer, waits, session)
}

fn error() -> AmqpError {
    AmqpError::new(condition::INTERNAL_ERROR, "out of luck")
}

#[tokio::test(start_paused = true)]
async fn e_020_an_end_reaches_everybody_in_the_session() {
    let (mut peer, waits, session) = waits(false).await;
    let end = End {
        error: Some(error()),
    };
    peer.send(end).await;
    waits.expect_all(Some(&error())).await;
    assert!(!session.connection().is_closed());
}

#[tokio::test(start_paused = true)]
async fn e_020_a_close_reaches_everybody_on_the_connection() {
    let (mut peer, waits, _session) = waits(true).await;
    let close = Close {
        error: Some(error()),
    };
    peer.send_on(0, close).await;
    waits.expect_all(Some(&error())).await;
}

#[tokio::test(start_paused = true)]
async fn c_040_a_cut_reaches_everybody_on_the_connection() {
    let (peer, waits, _session) = waits(true).await;
    peer.hang_up();
    waits.expect_all(None).await;
}

#[tokio::test(start_paused = true)]
async fn c_014_silence_reaches_everybody_on_the_connection() {
    let (_peer, waits, session) = waits(true).await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(session.connection().is_closed());
    waits.expect_all(None).await;
}

#[tokio::test(start_paused = true)]
async fn our_own_close_reaches_everybody_on_the_connection() {
    let (_peer, waits, session) = waits(true).await;
    let connection = session.connection().clone();
    let _closing = tokio::spawn(async move { connection.close().await });
    waits.expect_all(None).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_of_a_lost_connection_fails_at_once() {
    let (mut peer, session) = scene::session().await;
    let sender = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
    let connection = session.connection().clone();
    peer.hang_up();
    connection.closed().await;
    let started = Instant::now();
    let lost = |error: &ConnectionError| matches!(error, ConnectionError::Lost(_));
    let begun = connection.begin(SessionOptions::default()).await;
    assert!(matches!(begun, Err(SessionError::Connection(error)) if lost(&error)));
    let attached = session
        .attach_sender("node", SenderOptions::default())
        .await;
    assert!(matches!(
        attached,
        Err(LinkError::Session(SessionError::Connection(error))) if lost(&error)
    ));
    let sent = sender.send("x").await;
    assert!(matches!(sent, Err(SendError::NotSent(_))));
    assert!(sender.close().await.is_err());
    assert!(session.end().await.is_err());
    assert!(connection.close().await.is_err());
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_of_a_lost_link_says_that_its_outcome_is_not_told() {
    let (mut peer, receiver) = scene::accepted_receiver(AcceptLinkOptions::default()).await;
    peer.send_transfer(peer::transfer(0), b"x").await;
    let delivery = receiver.recv().await.unwrap();
    peer.hang_up();
    receiver.detached().await;
    assert!(delivery.accept().is_err());
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_outcomes_and_then_closes() {
    let (mut peer, session) = scene::session().await;
    let sender = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
    let connection = session.connection().clone();
    peer.grant(0, 1).await;
    let receipt = sender.send_with_receipt("x").await.unwrap();
    peer.expect_transfer().await;
    let down = tokio::spawn(async move { connection.shutdown(Duration::from_secs(5)).await });
    peer.expect_nothing().await;
    peer.send(peer::accept_one(0)).await;
    assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
    peer.expect_close().await;
    peer.send_on(0, Close::default()).await;
    down.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_longer_than_it_may() {
    let (mut peer, session) = scene::session().await;
    let sender = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
    let connection = session.connection().clone();
    peer.grant(0, 1).await;
    let receipt = sender.send_with_receipt("x").await.unwrap();
    peer.expect_transfer().await;
    let down = tokio::spawn(async move { connection.shutdown(Duration::from_secs(2)).await });
    peer.expect_close().await;
    peer.send_on(0, Close::default()).await;
    down.await.unwrap().unwrap();
    let error = receipt.await.unwrap_err();
    assert!(matches!(error, SendError::Unknown(_)), "{error:?}");
}

/// A session in which a delivery of several frames waits for the peer's window.
async fn session_with_a_delivery_under_way() -> (Peer, Session) {
    let open = Open {
        max_frame_size: 512,
        ..peer::open()
    };
    let (peer, connection) = Peer::opened_client(peer::client_options(), open).await;
    let begin = Begin {
        incoming_window: 1,
        ..peer::begin()
    };
    let options = SessionOptions::default();
    let (mut peer, session) = scene::begin(peer, connection, options, begin).await;
    let sender = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
    peer.send(Flow {
        incoming_window: 1,
        handle: Some(peer::HANDLE),
        delivery_count: Some(0),
        link_credit: Some(1),
        ..peer.flow()
    })
    .await;
    sender.send_settled(vec![1; 2000]).await.unwrap();
    assert!(peer.expect_transfer().await.0.more);
    (peer, session)
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_in_time_although_a_delivery_waits_for_the_window() {
    let (mut peer, session) = session_with_a_delivery_under_way().await;
    peer.expect_nothing().await;
    let start = Instant::now();
    let closed = session.connection().close().await;
    assert!(matches!(closed, Err(ConnectionError::Timeout { .. })));
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_under_way_is_sent_to_its_end_before_a_close() {
    let (mut peer, session) = session_with_a_delivery_under_way().await;
    let closing = tokio::spawn(async move { session.connection().close().await });
    peer.expect_nothing().await;
    let opened = Flow {
        incoming_window: 10,
        ..peer.flow()
    };
    peer.send(opened).await;
    while peer.expect_transfer().await.0.more {}
    peer.expect_detach().await; // its handle is gone
    assert_eq!(peer.expect_close().await.error, None);
    peer.send(Close { error: None }).await;
    closing.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn s_014_an_end_that_waits_for_a_delivery_answers_the_peers_end() {
    let (mut peer, session) = session_with_a_delivery_under_way().await;
    let ending = tokio::spawn(async move { session.end().await });
    peer.expect_nothing().await;
    peer.send(End { error: None }).await;
    assert_eq!(peer.expect_end().await.error, None);
    ending.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn c_031_a_close_that_waits_for_a_delivery_answers_the_peers_close() {
    let (mut peer, session) = session_with_a_delivery_under_way().await;
    let closing = tokio::spawn(async move { session.connection().close().await });
    peer.expect_nothing().await;
    peer.send(Close { error: None }).await;
    assert_eq!(peer.expect_close().await.error, None);
    closing.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn c_028_a_close_is_answered_although_the_peer_sends_no_more() {
    let (mut peer, session) = scene::session().await;
    peer.send(Close { error: None }).await;
    peer.half_close().await;
    assert_eq!(peer.expect_close().await.error, None);
    peer.expect_eof().await;
    drop(session);
}
