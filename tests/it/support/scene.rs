//! Where most dialogues begin: a session or a link of ours that a scripted peer has answered.

use amqp10::codec::{Attach, Begin};
use amqp10::{
    AcceptLinkOptions, AcceptedLink, Connection, Receiver, ReceiverOptions, Sender, SenderOptions,
    Session, SessionOptions,
};

use super::peer::{self, HANDLE, Peer};

/// A session of our client.
pub async fn session() -> (Peer, Session) {
    session_with(SessionOptions::default(), peer::begin()).await
}

/// A session of our client; `answer` is the peer's begin.
pub async fn session_with(options: SessionOptions, answer: Begin) -> (Peer, Session) {
    let (peer, connection) = Peer::opened_client(peer::client_options(), peer::open()).await;
    begin(peer, connection, options, answer).await
}

/// A session on a connection that is there; `answer` is the peer's begin.
pub async fn begin(
    mut peer: Peer,
    connection: Connection,
    options: SessionOptions,
    answer: Begin,
) -> (Peer, Session) {
    let beginning = tokio::spawn(async move { connection.begin(options).await });
    peer.answer_begin(answer).await;
    (peer, beginning.await.unwrap().unwrap())
}

/// A connection of our listener with a session that the peer has begun.
pub async fn incoming_session() -> (Peer, Connection) {
    let (mut peer, connection) =
        Peer::opened_listener(peer::listener_options(), peer::open()).await;
    peer.begin_session().await;
    (peer, connection)
}

/// A sender of our client without credit.
pub async fn sender() -> (Peer, Sender) {
    sender_with(SenderOptions::default()).await
}

pub async fn sender_with(options: SenderOptions) -> (Peer, Sender) {
    let (mut peer, session) = session().await;
    let sender = attach_sender(&mut peer, &session, options).await;
    (peer, sender)
}

/// A sender of our client on a session that is there.
pub async fn attach_sender(peer: &mut Peer, session: &Session, options: SenderOptions) -> Sender {
    let (sender, _) = tokio::join!(session.attach_sender("node", options), peer.answer_attach());
    sender.unwrap()
}

/// A receiver of our client, and the credit that it granted.
pub async fn receiver(options: ReceiverOptions) -> (Peer, Receiver) {
    let (mut peer, session) = session().await;
    let receiver = attach_receiver(&mut peer, &session, options).await;
    (peer, receiver)
}

/// A receiver of our client on a session that is there; its first flow is taken.
pub async fn attach_receiver(
    peer: &mut Peer,
    session: &Session,
    options: ReceiverOptions,
) -> Receiver {
    let (receiver, ()) = tokio::join!(session.attach_receiver("node", options), async {
        let asked = peer.answer_attach().await;
        let flow = peer.expect_flow().await;
        assert_eq!(flow.handle, Some(asked.handle));
    });
    receiver.unwrap()
}

/// The peer attaches to our listener, which accepts.
pub async fn accept(
    peer: &mut Peer,
    connection: &Connection,
    attach: Attach,
    options: AcceptLinkOptions,
) -> AcceptedLink {
    assert_eq!(attach.handle, HANDLE);
    peer.send(attach).await;
    let link = connection.accept_link().await.unwrap();
    link.accept(options).await.unwrap()
}

/// A receiver of our listener for a link that the peer attached; our attach and flow are taken.
pub async fn accepted_receiver(options: AcceptLinkOptions) -> (Peer, Receiver) {
    let (mut peer, connection) = incoming_session().await;
    let attach = peer::attach_sender("link");
    let accepted = accept(&mut peer, &connection, attach, options).await;
    let AcceptedLink::Receiver(receiver) = accepted else {
        panic!("not a receiver");
    };
    peer.expect_attach().await;
    peer.expect_flow().await;
    (peer, receiver)
}

/// A sender of our listener for a link that the peer attached; our attach is taken.
pub async fn accepted_sender(options: AcceptLinkOptions) -> (Peer, Sender) {
    let (mut peer, connection) = incoming_session().await;
    let attach = peer::attach_receiver("link");
    let accepted = accept(&mut peer, &connection, attach, options).await;
    let AcceptedLink::Sender(sender) = accepted else {
        panic!("not a sender");
    };
    peer.expect_attach().await;
    (peer, sender)
}
