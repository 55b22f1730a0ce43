//! Futures that begin sessions, attach links, and end them.

use amqp10::codec::condition;
use amqp10::{AmqpError, Listener, memory};

use super::*;

pub(super) const COVERED: Covered = Covered {
    file: file!(),
    futures: &[
        ("Connection::begin", begin),
        ("Session::attach_receiver", attach),
        ("Session::attach_sender", attach_to_send),
        ("Session::attach_anonymous_sender", attach_to_send),
        (
            "Receiver::close",
            a_close_is_sent_although_nobody_waits_for_it,
        ),
        (
            "Receiver::close_with_error",
            a_close_is_sent_although_nobody_waits_for_it,
        ),
        (
            "Receiver::detach",
            a_close_is_sent_although_nobody_waits_for_it,
        ),
        ("Sender::close", a_sender_ends_although_nobody_waits_for_it),
        (
            "Sender::close_with_error",
            a_sender_ends_although_nobody_waits_for_it,
        ),
        ("Sender::detach", a_sender_ends_although_nobody_waits_for_it),
        ("Session::end", a_close_is_sent_although_nobody_waits_for_it),
        (
            "Session::end_with_error",
            ends_with_a_reason_are_sent_although_nobody_waits,
        ),
        (
            "Connection::close",
            a_close_is_sent_although_nobody_waits_for_it,
        ),
        (
            "Connection::close_with_error",
            ends_with_a_reason_are_sent_although_nobody_waits,
        ),
        ("Connection::closed", waits_for_an_end_can_be_dropped),
        ("Connection::shutdown", waits_for_an_end_can_be_dropped),
        ("Connection::accept_link", waits_for_an_end_can_be_dropped),
        ("Session::ended", waits_for_an_end_can_be_dropped),
        ("Sender::detached", waits_for_an_end_can_be_dropped),
        ("Receiver::detached", waits_for_an_end_can_be_dropped),
        (
            "IncomingConnection::accept",
            what_answers_a_peer_does_not_wait,
        ),
        ("IncomingLink::accept", what_answers_a_peer_does_not_wait),
    ],
};

#[tokio::test]
async fn begin() {
    let pair = narrow_pair().await;
    serve(&pair.server);
    for polls in 0..MANY {
        let begun = poll_times(polls, pair.client.begin(SessionOptions::default())).await;
        check(&pair).await;
        if begun.is_some_and(|begun| begun.is_ok()) {
            assert!(polls > 0);
            return;
        }
    }
    panic!("never begun");
}

#[tokio::test]
async fn attach() {
    let pair = narrow_pair().await;
    serve(&pair.server);
    let session = session(&pair).await;
    for name in ["same", "other"] {
        for polls in 0..10 {
            let options = ReceiverOptions::default().name(name);
            let attached = poll_times(polls, session.attach_receiver("node", options)).await;
            drop(attached);
            let receiver = timeout(LONG, reattach(&session, name))
                .await
                .expect("the name");
            // A new link starts with the first number: nothing of the one before is mixed in.
            assert_eq!(number(&receiver.recv().await.unwrap()), 0);
            receiver.close().await.unwrap();
        }
    }
    check(&pair).await;
    let incoming = timeout(Duration::from_millis(20), pair.client.accept_link()).await;
    assert!(incoming.is_err(), "an answer was taken for a new link");
}

/// A node that is left while it is being attached to has room for the next link.
#[tokio::test(start_paused = true)]
async fn attach_to_send() {
    let pair = narrow_pair().await;
    serve(&pair.server);
    let session = session(&pair).await;
    for is_anonymous in [false, true] {
        let polls = after_each_poll(async |polls| {
            let options = SenderOptions::default();
            let attached = match is_anonymous {
                true => poll_times(polls, session.attach_anonymous_sender(options)).await,
                false => poll_times(polls, session.attach_sender("node", options)).await,
            };
            let is_over = attached.is_some();
            drop(attached);
            rest().await;
            for _ in 0..4 {
                let options = SenderOptions::default();
                let sender = session.attach_sender("node", options).await.unwrap();
                assert!(sender.send("hello").await.unwrap().is_accepted());
                sender.close().await.unwrap();
            }
            is_over
        });
        let polls = polls.await;
        // A peer without an anonymous node is not asked.
        assert!(
            is_anonymous || polls > 1,
            "nothing was dropped in the middle"
        );
    }
}

#[tokio::test]
async fn a_sender_ends_although_nobody_waits_for_it() {
    let pair = narrow_pair().await;
    for polls in 1..7 {
        let (sender, receiver) = manual_link(&pair).await;
        let reason = AmqpError::new(condition::DETACH_FORCED, "enough");
        match polls % 3 {
            0 => drop(poll_times(polls, sender.close()).await),
            1 => drop(poll_times(polls, sender.detach()).await),
            _ => drop(poll_times(polls, sender.close_with_error(reason)).await),
        }
        let error = timeout(LONG, receiver.detached())
            .await
            .expect("the peer's side ends");
        assert!(matches!(error, LinkError::RemoteDetached { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_close_is_sent_although_nobody_waits_for_it() {
    let pair = narrow_pair().await;
    for polls in 1..6 {
        let (receiver, sender) = numbers(&pair).await;
        match polls % 3 {
            0 => drop(poll_times(polls, receiver.close()).await),
            1 => drop(poll_times(polls, receiver.detach()).await),
            _ => drop(
                poll_times(
                    polls,
                    receiver.close_with_error(AmqpError::new(condition::DETACH_FORCED, "enough")),
                )
                .await,
            ),
        }
        let error = timeout(LONG, sender.detached())
            .await
            .expect("the peer's side ends");
        assert!(matches!(error, LinkError::RemoteDetached { .. }), "{error}");
    }
    for polls in 1..6 {
        let (receiver, sender) = numbers(&pair).await;
        let session = session(&pair).await;
        drop(poll_times(polls, session.end()).await);
        drop((receiver, sender));
    }
    serve(&pair.server);
    check(&pair).await;
    drop(poll_times(1, pair.client.close()).await);
    timeout(LONG, pair.server.closed())
        .await
        .expect("the close was sent");
}

#[tokio::test]
async fn waits_for_an_end_can_be_dropped() {
    let pair = Pair::new().await;
    let (receiver, sender) = numbers(&pair).await;
    for _ in 0..3 {
        assert!(poll_times(1, receiver.detached()).await.is_none());
        assert!(poll_times(1, sender.detached()).await.is_none());
        assert!(poll_times(1, pair.client.closed()).await.is_none());
        assert!(poll_times(1, session(&pair).await.ended()).await.is_none());
        assert!(poll_times(1, pair.server.accept_link()).await.is_none());
    }
    let receipt = sender.send_with_receipt("unsettled").await.unwrap();
    assert!(
        poll_times(1, pair.server.shutdown(LONG)).await.is_none(),
        "an outcome is missing"
    );
    receiver.recv().await.unwrap().accept().unwrap();
    assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
    assert!(
        !pair.server.is_closed(),
        "a shutdown that is dropped closes nothing"
    );
    timeout(LONG, pair.server.shutdown(LONG))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn incoming_links_that_are_dropped_are_refused() {
    let pair = narrow_pair().await;
    let session = session(&pair).await;
    let denied = || AmqpError::new(condition::UNAUTHORIZED_ACCESS, "not you");
    for way in 0..8 {
        let attaching = session.attach_sender("node", SenderOptions::default().name("same"));
        let (attached, ()) = tokio::join!(attaching, async {
            let link = pair.server.accept_link().await.unwrap();
            match way % 4 {
                0 => drop(link),
                1 => drop(link.accept(AcceptLinkOptions::default())), // never polled
                2 => link.refuse(denied()),
                _ => link.refuse_with_termini(denied()),
            }
        });
        let error = match attached {
            Err(error) => error,
            Ok(sender) => timeout(LONG, sender.detached()).await.expect("its end"), // echoed termini
        };
        assert!(error.remote_error().is_some(), "{error}");
    }
    serve(&pair.server);
    check(&pair).await;
}

#[tokio::test]
async fn what_answers_a_peer_does_not_wait() {
    let pair = Pair::new().await;
    let session = session(&pair).await;
    let attaching = session.attach_sender("node", SenderOptions::default());
    let (attached, accepted) = tokio::join!(attaching, async {
        let link = pair.server.accept_link().await.unwrap();
        poll_times(1, link.accept(AcceptLinkOptions::default())).await
    });
    let _link = accepted.expect("an answer at the first poll").unwrap();
    attached.unwrap();
    let (near, far) = memory::pipe(1000);
    let opening = tokio::spawn(Connection::open_with_stream(
        near,
        ConnectionOptions::default(),
    ));
    let options = ListenerOptions::default();
    let incoming = Listener::accept_stream(far, &options).await.unwrap();
    let accepted = poll_times(1, incoming.accept()).await;
    let _server = accepted.expect("a connection at the first poll").unwrap();
    opening.await.unwrap().unwrap();
}

#[tokio::test]
async fn ends_with_a_reason_are_sent_although_nobody_waits() {
    let pair = narrow_pair().await;
    serve(&pair.server);
    for polls in 1..4 {
        let session = session(&pair).await;
        let reason = AmqpError::new(condition::RESOURCE_DELETED, "enough");
        drop(poll_times(polls, session.end_with_error(reason)).await);
        timeout(LONG, session.ended()).await.expect("an end");
    }
    let session = session(&pair).await;
    let options = SenderOptions::default();
    drop(poll_times(1, session.attach_anonymous_sender(options)).await);
    session.end().await.unwrap();
    check(&pair).await;
    let reason = AmqpError::new(condition::CONNECTION_FORCED, "enough");
    drop(poll_times(1, pair.client.close_with_error(reason)).await);
    let error = timeout(LONG, pair.server.closed()).await.expect("a close");
    let told = error.remote_error().expect("the reason");
    assert_eq!(told.condition, condition::CONNECTION_FORCED);
    assert!(pair.client.begin(SessionOptions::default()).await.is_err());
}
