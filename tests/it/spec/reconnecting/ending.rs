use super::*;

use amqp10::reconnect::ReconnectingConnection;
use amqp10::{Connection, memory};
use tokio::sync::{mpsc, watch};

use crate::support::scene;

#[tokio::test(start_paused = true)]
async fn closing_waits_neither_for_who_is_not_polled_nor_for_a_peer_without_end() {
    let (_peers, mut peer, connection) = connected(ReconnectOptions::default()).await;
    let sender = connection.sender("node", SenderOptions::default());
    let kept = begun(sender.send("a"));
    let asked = peer.expect_attach().await;
    let other = send(&sender, "b");
    tokio::task::yield_now().await;
    // The answer never comes.
    let start = Instant::now();
    sender.close().await.unwrap();
    assert!(
        start.elapsed() <= Duration::from_secs(10),
        "operation_timeout"
    );
    for failed in [other.await.unwrap(), kept.await] {
        assert!(matches!(failed, Err(ReconnectError::Closed)));
    }
    drop(asked);
}

#[tokio::test(start_paused = true)]
async fn closing_while_messages_are_sent_again_closes_the_link() {
    let (mut peers, sender, mut sendings, _) = lost(&["a"], ReconnectOptions::default()).await;
    let mut peer = peers.next().await;
    answer_without_credit(&mut peer, None).await;
    tokio::time::sleep(SOON).await;
    let (closed, detach) = tokio::join!(sender.close(), peer.answer_detach());
    closed.unwrap();
    assert!(detach.closed);
    let failed = sendings.remove(0).await.unwrap().unwrap_err();
    assert!(matches!(failed, ReconnectError::Closed), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn a_028_z_053_to_detach_is_to_keep_and_to_close_is_to_end_a_subscription() {
    for closed in [false, true] {
        let (_peers, mut peer, receiver) = receiver(durable()).await;
        assert_eq!(receiver.name(), "subscription");
        assert!(!receiver.is_detached());
        let end = async {
            match closed {
                true => receiver.close().await,
                false => receiver.detach().await,
            }
        };
        let (ended, detach) = tokio::join!(end, peer.answer_detach());
        ended.unwrap();
        assert_eq!(detach.closed, closed);
        assert!(receiver.is_detached());
        assert!(matches!(receiver.detached().await, ReconnectError::Closed));
        let failed = receiver.recv().await.unwrap_err();
        assert!(matches!(failed, ReconnectError::Closed), "{failed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_end_given_up_ends_the_link_none_the_less() {
    let (_peers, mut peer, receiver) = receiver(ReceiverOptions::default()).await;
    drop(begun(receiver.detach()));
    assert!(!peer.answer_detach().await.closed);
}

#[tokio::test(start_paused = true)]
async fn a_028_z_053_the_last_handle_detaches_what_outlives_it_and_closes_the_rest() {
    for (options, closed) in [(durable(), false), (ReceiverOptions::default(), true)] {
        let (_peers, mut peer, receiver) = receiver(options).await;
        drop(receiver);
        assert_eq!(peer.answer_detach().await.closed, closed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_028_z_053_a_plain_subscription_stays_when_its_handle_or_its_attach_is_dropped() {
    let (mut peer, session) = scene::session().await;
    let attaching = begun(session.attach_receiver("topic", durable()));
    let asked = peer.expect_attach().await;
    drop(attaching);
    peer.send(peer::answer_to(&asked)).await;
    assert!(!peer.answer_detach().await.closed);
    let receiver = scene::attach_receiver(&mut peer, &session, durable()).await;
    drop(receiver);
    assert!(!peer.answer_detach().await.closed);
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_what_is_under_way() {
    let options = ReconnectOptions::default().max_attempts(None);
    let (mut peers, sender, mut sendings, _) = lost(&["a"], options).await;
    let mut peer = peers.next().await;
    answer_without_credit(&mut peer, None).await;
    tokio::time::sleep(SOON).await;
    sendings.remove(0).abort();
    drop(sender);
    assert!(peer.answer_detach().await.closed);
}

/// A connection of which the next one opens when the gate is open.
async fn gated() -> (
    ReconnectingConnection,
    Peer,
    mpsc::UnboundedReceiver<memory::MemoryStream>,
    watch::Sender<bool>,
) {
    let (sender, mut streams) = mpsc::unbounded_channel();
    let gate = watch::Sender::new(true);
    let opened = gate.subscribe();
    let connect = move || {
        let (near, far) = memory::pipe(1 << 20);
        sender.send(far).unwrap();
        let mut opened = opened.clone();
        async move {
            opened.wait_for(|is_open| *is_open).await.unwrap();
            Connection::open_with_stream(near, peer::client_options()).await
        }
    };
    let opening = ReconnectingConnection::open_with(connect, ReconnectOptions::default());
    let (connection, peer) = tokio::join!(opening, async {
        let mut peer = Peer::new(streams.recv().await.unwrap());
        peer.exchange_headers().await;
        peer.expect_open().await;
        peer.send_on(0, peer::open()).await;
        peer.answer_begin(peer::begin()).await;
        peer
    });
    (connection.unwrap(), peer, streams, gate)
}

#[tokio::test(start_paused = true)]
async fn closing_the_connection_does_not_wait_for_one_that_is_being_opened() {
    let (connection, peer, mut streams, gate) = gated().await;
    gate.send_replace(false);
    peer.hang_up();
    tokio::time::sleep(SOON).await;
    let sender = connection.sender("node", SenderOptions::default());
    let kept = begun(sender.send("a"));
    let sending = send(&sender, "b");
    let far = streams.recv().await.unwrap();
    timeout(SOON, connection.close())
        .await
        .expect("soon")
        .unwrap();
    assert!(connection.is_closed() && sender.is_detached());
    for failed in [sending.await.unwrap(), kept.await] {
        assert!(matches!(failed, Err(ReconnectError::Closed)));
    }
    // It does not come into being afterwards.
    gate.send_replace(true);
    Peer::new(far).expect_eof().await;
    assert!(streams.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn closing_the_connection_closes_it_for_the_peer() {
    let (_peers, mut peer, connection) = connected(ReconnectOptions::default()).await;
    let (closed, ()) = tokio::join!(connection.close(), async {
        peer.expect_close().await;
        peer.send_on(0, amqp10::codec::Close::default()).await;
    });
    closed.unwrap();
    let failed = connection
        .sender("node", SenderOptions::default())
        .send("a")
        .await;
    assert!(matches!(failed, Err(ReconnectError::Closed)));
}
