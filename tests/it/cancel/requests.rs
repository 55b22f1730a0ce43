//! Futures of what stands on links: requests and their replies, connections that are opened again, permits, and ends with a
//! reason.

use amqp10::codec::condition;
use amqp10::reconnect::{ReconnectOptions, ReconnectingConnection};
use amqp10::request::{RequestClient, RequestOptions};
use amqp10::{
    AcceptLinkOptions, AcceptedLink, AmqpError, Connection, ConnectionOptions, Listener,
    ListenerOptions, Message, Outcome, ReceiverOptions, SenderOptions, SessionOptions, memory,
};
use tokio::time::timeout;

use super::{LONG, MANY, check, manual_link, narrow_pair, poll_times, serve, session};
use crate::support::Pair;

/// A node that answers every request with its own body.
fn answer(server: &Connection) {
    let server = server.clone();
    tokio::spawn(async move {
        let (mut requests, mut replies) = (None, None);
        while let Ok(link) = server.accept_link().await {
            match link.accept(AcceptLinkOptions::default()).await {
                Ok(AcceptedLink::Receiver(receiver)) => requests = Some(receiver),
                Ok(AcceptedLink::Sender(sender)) => replies = Some(sender),
                Err(_) => {}
            }
            if requests.is_none() || replies.is_none() {
                continue;
            }
            let (Some(requests), Some(replies)) = (requests.take(), replies.take()) else {
                return;
            };
            tokio::spawn(async move {
                while let Ok(delivery) = requests.recv().await {
                    let mut reply = delivery.message().unwrap();
                    let properties = reply.properties.get_or_insert_default();
                    properties.correlation_id = properties.message_id.take();
                    let _ = delivery.accept();
                    let _ = replies.send_with_receipt(reply).await;
                }
            });
        }
    });
}

#[tokio::test]
async fn a_request_that_is_given_up_spoils_no_other() {
    let pair = Pair::new().await;
    answer(&pair.server);
    let session = session(&pair).await;
    let attaching = RequestClient::attach(&session, "node", RequestOptions::default());
    let client = attaching.await.unwrap();
    for polls in 0..MANY {
        let dropped = poll_times(polls, client.request(Message::from("dropped"))).await;
        let asked = format!("request {polls}");
        let reply = timeout(LONG, client.request(Message::from(asked.clone())))
            .await
            .expect("a reply")
            .unwrap();
        assert_eq!(
            reply.body,
            Message::from(asked).body,
            "the reply of another"
        );
        if dropped.is_some() {
            assert!(polls > 1);
            drop(poll_times(1, client.close()).await);
            return;
        }
    }
    panic!("never answered");
}

#[tokio::test]
async fn attaching_a_pair_of_links() {
    for polls in 0..MANY {
        let pair = narrow_pair().await;
        answer(&pair.server);
        let session = session(&pair).await;
        let options = RequestOptions::default();
        let attached = poll_times(polls, RequestClient::attach(&session, "node", options)).await;
        let is_done = attached.is_some();
        drop(attached);
        // Nothing of it stays: the session has room for four links.
        for _ in 0..3 {
            let options = RequestOptions::default();
            let attaching = RequestClient::attach(&session, "node", options);
            let client = timeout(LONG, attaching).await.expect("links").unwrap();
            client.close().await.unwrap();
        }
        if is_done {
            return;
        }
    }
    panic!("never attached");
}

/// A connection over pipes to servers that take every link.
async fn reconnecting(polls: usize) -> Option<ReconnectingConnection> {
    let connect = || async {
        let (near, far) = memory::pipe(64 << 10);
        tokio::spawn(async move {
            let incoming = Listener::accept_stream(far, &ListenerOptions::default()).await;
            // A client that was dropped meanwhile gets no further.
            if let Ok(incoming) = incoming
                && let Ok(server) = incoming.accept().await
            {
                serve(&server);
            }
        });
        Connection::open_with_stream(near, ConnectionOptions::default()).await
    };
    let opening = ReconnectingConnection::open_with(connect, ReconnectOptions::default());
    poll_times(polls, opening).await.map(Result::unwrap)
}

#[tokio::test]
async fn connections_that_are_opened_again() {
    for polls in 0..MANY {
        if reconnecting(polls).await.is_some() {
            break;
        }
        assert!(polls + 1 < MANY, "never open");
    }
    let connection = reconnecting(usize::MAX).await.unwrap();
    let sender = connection.sender("node", SenderOptions::default());
    let receiver = connection.receiver("node", ReceiverOptions::default());
    for polls in 0..10 {
        drop(poll_times(polls, sender.send("given up")).await);
        let sent = timeout(LONG, sender.send("whole")).await.expect("its turn");
        assert_eq!(sent.unwrap(), Outcome::Accepted);
        let first = poll_times(polls, receiver.recv()).await;
        drop(first);
        let delivery = timeout(LONG, receiver.recv())
            .await
            .expect("a delivery")
            .unwrap();
        drop(poll_times(polls, delivery.accept_confirmed()).await);
    }
    drop(poll_times(1, sender.close()).await);
    drop(poll_times(1, receiver.close()).await);
    drop(poll_times(1, connection.close()).await);
    let late = timeout(LONG, sender.send("late")).await.expect("an end");
    assert!(late.is_err());
}

#[tokio::test]
async fn a_permit_that_is_dropped_is_the_next_ones() {
    let pair = Pair::new().await;
    let (sender, receiver) = manual_link(&pair).await;
    for _ in 0..5 {
        assert!(poll_times(1, sender.reserve()).await.is_none(), "no credit");
        receiver.add_credit(1).unwrap();
        let permit = timeout(LONG, sender.reserve())
            .await
            .expect("a turn")
            .unwrap();
        drop(permit);
        let permit = timeout(LONG, sender.reserve())
            .await
            .expect("a turn")
            .unwrap();
        drop(permit.send_settled("never polled"));
        let permit = timeout(LONG, sender.reserve())
            .await
            .expect("a turn")
            .unwrap();
        permit.send_settled("sent").await.unwrap();
        let delivery = receiver.recv().await.unwrap();
        assert_eq!(delivery.message().unwrap().body, Message::from("sent").body);
    }
    assert!(receiver.try_recv().unwrap().is_none());
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
