//! Futures of connections that are opened again, and of the links on them.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use amqp10::codec::condition;
use amqp10::reconnect::{
    ReconnectError, ReconnectOptions, ReconnectingConnection, ReconnectingReceiver,
};
use amqp10::{AmqpError, ConnectError, Listener, Message, memory};
use futures_core::Stream;

use super::handshakes::TcpServer;
use super::*;

pub(super) const COVERED: Covered = Covered {
    file: file!(),
    futures: &[
        (
            "ReconnectingConnection::open_with",
            connections_that_are_opened_again,
        ),
        (
            "ReconnectingConnection::open",
            connections_that_are_opened_again_by_an_address,
        ),
        (
            "ReconnectingConnection::close",
            the_end_comes_although_nobody_waits,
        ),
        (
            "ReconnectingSender::send",
            a_message_that_is_given_up_is_sent_once_at_most,
        ),
        (
            "ReconnectingSender::send_settled",
            a_message_that_is_given_up_is_sent_once_at_most,
        ),
        (
            "ReconnectingSender::send_with_receipt",
            a_message_that_is_given_up_is_sent_once_at_most,
        ),
        (
            "ReconnectingReceipt::poll",
            a_receipt_survives_a_loss_between_two_polls,
        ),
        (
            "ReconnectingSender::detached",
            the_end_comes_although_nobody_waits,
        ),
        (
            "ReconnectingSender::close",
            the_end_comes_although_nobody_waits,
        ),
        (
            "ReconnectingSender::detach",
            the_end_comes_although_nobody_waits,
        ),
        (
            "ReconnectingReceiver::recv",
            no_delivery_is_lost_by_giving_up,
        ),
        (
            "ReconnectingReceiver::recv_batch",
            no_delivery_is_lost_by_giving_up,
        ),
        (
            "ReconnectingDeliveryStream::poll_next",
            no_delivery_is_lost_by_giving_up,
        ),
        (
            "ReconnectingReceiver::detached",
            the_end_comes_although_nobody_waits,
        ),
        (
            "ReconnectingReceiver::close",
            the_end_comes_although_nobody_waits,
        ),
        (
            "ReconnectingReceiver::detach",
            the_end_comes_although_nobody_waits,
        ),
    ],
};

/// The servers of one connection, one after the other. What is sent to them is accepted; what they send, the test says.
#[derive(Default)]
struct Servers {
    connections: Mutex<Vec<Connection>>,
    links: Mutex<Vec<AcceptedLink>>,
    received: Mutex<Vec<Body>>,
}

impl Servers {
    fn connect(
        self: &Arc<Self>,
    ) -> impl Future<Output = Result<Connection, ConnectError>> + Send + use<> {
        let (near, far) = memory::pipe(64 << 10);
        tokio::spawn(self.clone().serve(far));
        Connection::open_with_stream(near, ConnectionOptions::default())
    }

    async fn serve(self: Arc<Self>, stream: memory::MemoryStream) {
        let incoming = Listener::accept_stream(stream, &ListenerOptions::default()).await;
        // A client that was dropped meanwhile gets no further.
        if let Ok(incoming) = incoming
            && let Ok(server) = incoming.accept().await
        {
            self.connections.lock().unwrap().push(server.clone());
            while let Ok(link) = server.accept_link().await {
                let Ok(link) = link.accept(AcceptLinkOptions::default()).await else {
                    continue;
                };
                if let AcceptedLink::Receiver(receiver) = &link {
                    tokio::spawn(self.clone().receive(receiver.clone()));
                }
                self.links.lock().unwrap().push(link);
            }
        }
    }

    async fn receive(self: Arc<Self>, receiver: Receiver) {
        while let Ok(delivery) = receiver.recv().await {
            let body = delivery.message().unwrap().body;
            self.received.lock().unwrap().push(body);
            let _ = delivery.accept();
        }
    }

    /// How often a message has come.
    fn count(&self, text: &str) -> usize {
        let expected = Message::from(text).body;
        let received = self.received.lock().unwrap();
        received.iter().filter(|body| **body == expected).count()
    }

    fn open_connections(&self) -> usize {
        let connections = self.connections.lock().unwrap();
        let open = connections
            .iter()
            .filter(|connection| !connection.is_closed());
        open.count()
    }

    fn open_links(&self) -> usize {
        let links = self.links.lock().unwrap();
        let is_open = |link: &&AcceptedLink| match link {
            AcceptedLink::Sender(sender) => !sender.is_detached(),
            AcceptedLink::Receiver(receiver) => !receiver.is_detached(),
        };
        links.iter().filter(is_open).count()
    }

    /// The end of the link on which the client receives.
    fn sender(&self) -> Sender {
        let links = self.links.lock().unwrap();
        let mut senders = links.iter().filter_map(|link| match link {
            AcceptedLink::Sender(sender) if !sender.is_detached() => Some(sender.clone()),
            _ => None,
        });
        senders.next().expect("the client receives")
    }

    /// All connections are lost.
    async fn break_off(&self) {
        let connections = std::mem::take(&mut *self.connections.lock().unwrap());
        for connection in connections {
            let reason = AmqpError::new(condition::CONNECTION_FORCED, "maintenance");
            let _ = connection.close_with_error(reason).await;
        }
        rest().await;
    }
}

async fn connection(servers: &Arc<Servers>) -> ReconnectingConnection {
    opening(servers).await.unwrap()
}

fn opening(
    servers: &Arc<Servers>,
) -> impl Future<Output = Result<ReconnectingConnection, ReconnectError>> {
    let servers = servers.clone();
    ReconnectingConnection::open_with(move || servers.connect(), ReconnectOptions::default())
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_opened_again() {
    let servers = Arc::new(Servers::default());
    let polls = after_each_poll(async |polls| {
        let opened = poll_times(polls, opening(&servers)).await;
        let is_over = opened.is_some();
        drop(opened);
        rest().await;
        assert_eq!(servers.open_connections(), 0, "after {polls} polls");
        is_over
    });
    assert!(polls.await > 1, "nothing was dropped in the middle");
}

#[tokio::test]
async fn connections_that_are_opened_again_by_an_address() {
    let server = TcpServer::start().await;
    let open = || {
        let connection = ConnectionOptions::default();
        ReconnectingConnection::open(&server.url, connection, ReconnectOptions::default())
    };
    let polls = after_each_poll(async |polls| {
        let opened = poll_times(polls, open()).await;
        let is_over = opened.is_some();
        drop(opened.map(Result::unwrap));
        server.all_ended().await;
        is_over
    });
    assert!(polls.await > 1, "nothing was dropped in the middle");
    let connection = open().await.unwrap();
    let sender = connection.sender("node", SenderOptions::default());
    assert!(sender.send("hello").await.unwrap().is_accepted());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_given_up_is_sent_once_at_most() {
    let servers = Arc::new(Servers::default());
    let connection = connection(&servers).await;
    let sender = connection.sender("node", SenderOptions::default());
    for is_lost in [false, true] {
        for way in ["send", "send_settled", "send_with_receipt"] {
            let polls = after_each_poll(async |polls| {
                if is_lost {
                    servers.break_off().await;
                }
                let text = format!("{way} {is_lost} {polls}");
                let message = text.clone();
                let is_sent = match way {
                    "send" => poll_times(polls, sender.send(message)).await.is_some(),
                    "send_settled" => poll_times(polls, sender.send_settled(message))
                        .await
                        .is_some(),
                    _ => poll_times(polls, sender.send_with_receipt(message))
                        .await
                        .is_some(),
                };
                rest().await;
                let count = servers.count(&text);
                match way {
                    "send" => assert!(count <= 1, "{text} came {count} times"),
                    _ => assert_eq!(count, usize::from(is_sent), "{text}"),
                }
                let whole = format!("whole {text}");
                assert!(sender.send(whole.clone()).await.unwrap().is_accepted());
                assert_eq!(servers.count(&whole), 1);
                // Of all that was attached, one link is left; nothing of what was given up is kept.
                assert_eq!(servers.open_links(), 1);
                assert!(format!("{sender:?}").contains("unsettled: 0"), "{sender:?}");
                is_sent
            });
            let polls = polls.await;
            assert!(polls > 1 || !is_lost, "nothing was dropped in the middle");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_receipt_survives_a_loss_between_two_polls() {
    let servers = Arc::new(Servers::default());
    let connection = connection(&servers).await;
    let sender = connection.sender("node", SenderOptions::default());
    for polls in 0..6 {
        let text = format!("message {polls}");
        let mut receipt = sender.send_with_receipt(text.clone()).await.unwrap();
        let mut outcome = poll_times(polls, &mut receipt).await;
        if outcome.is_none() {
            servers.break_off().await;
            outcome = poll_times(polls, &mut receipt).await;
        }
        let outcome = match outcome {
            Some(outcome) => outcome,
            None => receipt.await,
        };
        assert!(outcome.unwrap().is_accepted());
        assert!(servers.count(&text) >= 1);
    }
}

/// The next delivery by any of the ways to receive, if it came within so many polls.
async fn receive(
    way: &str,
    polls: usize,
    receiver: &ReconnectingReceiver,
) -> Option<Vec<Delivery>> {
    match way {
        "recv" => {
            let received = poll_briefly(polls, receiver.recv()).await;
            received.map(|delivery| vec![delivery.unwrap()])
        }
        "recv_batch" => {
            let received = poll_briefly(polls, receiver.recv_batch(2, LONG)).await;
            received.map(Result::unwrap)
        }
        _ => {
            let mut stream = receiver.stream();
            let next = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx));
            let received = poll_briefly(polls, next).await;
            received.map(|delivery| vec![delivery.unwrap().unwrap()])
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_delivery_is_lost_by_giving_up() {
    let servers = Arc::new(Servers::default());
    let connection = connection(&servers).await;
    let receiver = connection.receiver("node", ReceiverOptions::default());
    let mut sent = 0u32;
    let mut expected = 0u32;
    for way in ["recv", "recv_batch", "stream"] {
        for is_lost in [false, true] {
            let polls = after_each_poll(async |polls| {
                // The first one attaches the link.
                assert!(receive(way, 10, &receiver).await.is_none(), "none was sent");
                rest().await;
                for _ in 0..2 {
                    let number = sent.to_be_bytes().to_vec();
                    servers.sender().send_settled(number).await.unwrap();
                    sent += 1;
                }
                rest().await;
                if is_lost {
                    servers.break_off().await;
                }
                let received = receive(way, polls, &receiver).await;
                let is_over = received.is_some();
                let mut received = received.unwrap_or_default();
                while received.len() < 2 {
                    let next = timeout(LONG, receiver.recv()).await;
                    received.push(next.expect("no delivery is lost").unwrap());
                }
                for delivery in received {
                    assert_eq!(number(&delivery), expected);
                    expected += 1;
                }
                is_over
            });
            assert!(polls.await > 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_comes_although_nobody_waited() {
    let servers = Arc::new(Servers::default());
    let connection = connection(&servers).await;
    let receiver = connection.receiver("node", ReceiverOptions::default());
    assert!(poll_briefly(10, receiver.recv()).await.is_none());
    rest().await;
    for polls in 1..4 {
        let receipt = servers.sender().send_with_receipt("x").await.unwrap();
        let delivery = receiver.recv().await.unwrap();
        drop(poll_times(polls, delivery.accept_confirmed()).await);
        let outcome = timeout(LONG, receipt).await.expect("the outcome is stated");
        assert!(outcome.unwrap().is_accepted());
        let confirmed = timeout(LONG, delivery.accept_confirmed()).await;
        confirmed.expect("a confirmation").unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_although_nobody_waits() {
    let servers = Arc::new(Servers::default());
    let connection = connection(&servers).await;
    for polls in 1..5 {
        for is_closed in [true, false] {
            let sender = connection.sender("node", SenderOptions::default());
            let receiver = connection.receiver("node", ReceiverOptions::default());
            assert!(sender.send("hello").await.unwrap().is_accepted());
            assert!(poll_briefly(10, receiver.recv()).await.is_none());
            assert!(poll_times(1, sender.detached()).await.is_none());
            assert!(poll_times(1, receiver.detached()).await.is_none());
            rest().await;
            assert_eq!(servers.open_links(), 2);
            if is_closed {
                drop(poll_times(polls, sender.close()).await);
                drop(poll_times(polls, receiver.close()).await);
            } else {
                drop(poll_times(polls, sender.detach()).await);
                drop(poll_times(polls, receiver.detach()).await);
            }
            rest().await;
            assert_eq!(servers.open_links(), 0, "after {polls} polls");
            let ends = tokio::join!(sender.detached(), receiver.detached());
            assert!(matches!(
                ends,
                (ReconnectError::Closed, ReconnectError::Closed)
            ));
            assert!(sender.send("late").await.is_err());
        }
    }
    drop(poll_times(1, connection.close()).await);
    rest().await;
    assert_eq!(servers.open_connections(), 0, "the connection is held");
    let late = connection.sender("node", SenderOptions::default());
    assert!(late.send("late").await.is_err());
}
