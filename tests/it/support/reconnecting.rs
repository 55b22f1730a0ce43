//! Scripted peers of a connection that comes back: one after the other.

use amqp10::codec::{Attach, DeliveryTag, Role, Transfer, UnsettledMap};
use amqp10::memory::{self, MemoryStream};
use amqp10::reconnect::{
    ReconnectError, ReconnectOptions, ReconnectingConnection, ReconnectingReceiver,
    ReconnectingSender,
};
use amqp10::{Connection, Delivery, Message, Open, Outcome, ReceiverOptions, SenderOptions};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::peer::{self, Peer};

/// The peers of the connections that a reconnecting one opens.
pub struct Peers {
    pub streams: mpsc::UnboundedReceiver<MemoryStream>,
    open: Open,
}

impl Peers {
    /// The peer of the next connection, with a session.
    pub async fn next(&mut self) -> Peer {
        let mut peer = Peer::new(self.streams.recv().await.expect("a connection"));
        peer.exchange_headers().await;
        peer.expect_open().await;
        peer.send_on(0, self.open.clone()).await;
        peer.answer_begin(peer::begin()).await;
        peer
    }
}

/// A connection with a session, and its first peer.
pub async fn connected(options: ReconnectOptions) -> (Peers, Peer, ReconnectingConnection) {
    connected_to(peer::open(), options).await
}

/// The same with peers that say `open`.
pub async fn connected_to(
    open: Open,
    options: ReconnectOptions,
) -> (Peers, Peer, ReconnectingConnection) {
    let (sender, streams) = mpsc::unbounded_channel();
    let connect = move || {
        let (near, far) = memory::pipe(1 << 20);
        // Where nobody takes it, the connection ends at once.
        let _ = sender.send(far);
        Connection::open_with_stream(near, peer::client_options())
    };
    let mut peers = Peers { streams, open };
    let (connection, peer) = tokio::join!(
        ReconnectingConnection::open_with(connect, options),
        peers.next()
    );
    (peers, peer, connection.unwrap())
}

/// The peer answers our attach with its unsettled map, and gives credit if we send.
pub async fn answer(peer: &mut Peer, unsettled: Option<UnsettledMap>) -> Attach {
    let asked = answer_without_credit(peer, unsettled).await;
    if asked.role == Role::Sender {
        peer.grant(0, 100).await;
    }
    asked
}

pub async fn answer_without_credit(peer: &mut Peer, unsettled: Option<UnsettledMap>) -> Attach {
    let asked = peer.expect_attach().await;
    peer.send(Attach {
        unsettled,
        ..peer::answer_to(&asked)
    })
    .await;
    asked
}

pub type Sending = JoinHandle<Result<Outcome, ReconnectError>>;

pub fn send(sender: &ReconnectingSender, text: &'static str) -> Sending {
    let sender = sender.clone();
    tokio::spawn(async move { sender.send(text).await })
}

/// Messages of which the peer got the transfers and gave no outcome, when the connection was lost: their tags.
pub async fn lost(
    texts: &[&'static str],
    options: ReconnectOptions,
) -> (Peers, ReconnectingSender, Vec<Sending>, Vec<DeliveryTag>) {
    let (peers, mut peer, connection) = connected(options).await;
    let sender = connection.sender("node", SenderOptions::default());
    let mut sendings = Vec::new();
    let mut tags = Vec::new();
    for text in texts {
        sendings.push(send(&sender, text));
        if tags.is_empty() {
            answer(&mut peer, None).await;
        }
        let (transfer, _) = peer.expect_transfer().await;
        assert!(!transfer.resume);
        tags.push(transfer.delivery_tag.unwrap());
    }
    peer.hang_up();
    (peers, sender, sendings, tags)
}

pub async fn expect_text(peer: &mut Peer, text: &str) -> Transfer {
    let (transfer, payload) = peer.expect_transfer().await;
    let message = Message::decode(payload).unwrap();
    assert_eq!(message.body, Message::from(text).body);
    transfer
}

pub async fn accept(peer: &mut Peer, transfer: &Transfer) {
    peer.send(peer::accept_one(transfer.delivery_id.unwrap()))
        .await;
}

/// A receiver whose link is attached, with credit.
pub async fn receiver(options: ReceiverOptions) -> (Peers, Peer, ReconnectingReceiver) {
    let (peers, mut peer, connection) = connected(ReconnectOptions::default()).await;
    let receiver = connection.receiver("node", options);
    let receiving = receive(&receiver);
    answer(&mut peer, None).await;
    peer.expect_flow().await;
    receiving.abort();
    (peers, peer, receiver)
}

pub fn receive(receiver: &ReconnectingReceiver) -> JoinHandle<Result<Delivery, ReconnectError>> {
    let receiver = receiver.clone();
    tokio::spawn(async move { receiver.recv().await })
}

pub async fn deliver(peer: &mut Peer, transfer: Transfer, text: &str) {
    peer.send_transfer(transfer, &Message::from(text).to_bytes().unwrap())
        .await;
}

pub fn text(delivery: &Delivery) -> String {
    let message = delivery.message().unwrap();
    match message.body {
        amqp10::Body::Value(value) => value.as_str().unwrap().to_owned(),
        other => panic!("not a text: {other:?}"),
    }
}
