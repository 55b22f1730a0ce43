//! Hostile, broken and merely odd peers: what they send is refused or taken, and costs bounded time and memory.

mod credit;
mod crowd;
mod deliveries;
mod encoding;
mod links;
mod memory;
mod sessions;
mod slow;

use amqp10::codec::{Begin, Transfer};
use amqp10::{
    AcceptLinkOptions, AcceptedLink, Connection, ConnectionOptions, Receiver, ReceiverOptions,
    Sender, SenderOptions, SessionOptions,
};

use crate::support::peer::{self, Peer};
use crate::support::scene;

/// Whose peer is hostile: our client's, or our listener's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attacked {
    Client,
    Listener,
}

const BOTH: [Attacked; 2] = [Attacked::Client, Attacked::Listener];

impl Attacked {
    /// A connection of ours that both sides have opened.
    async fn opened(self, options: ConnectionOptions) -> (Peer, Connection) {
        match self {
            Self::Client => Peer::opened_client(options, peer::open()).await,
            Self::Listener => {
                let options = peer::listener_options().connection(options);
                Peer::opened_listener(options, peer::open()).await
            }
        }
    }

    /// A receiver of ours on a connection with these options.
    async fn receiver(self, options: ConnectionOptions, link: ReceiverOptions) -> (Peer, Receiver) {
        let (mut peer, connection) = self.opened(options).await;
        if self == Self::Client {
            let begin = SessionOptions::default();
            let (mut peer, session) = scene::begin(peer, connection, begin, peer::begin()).await;
            let receiver = scene::attach_receiver(&mut peer, &session, link).await;
            return (peer, receiver);
        }
        peer.begin_session().await;
        let attach = peer::attach_sender("link");
        let options = AcceptLinkOptions::default()
            .credit(link.credit)
            .on_drop(link.on_drop);
        let accepted = scene::accept(&mut peer, &connection, attach, options).await;
        peer.expect_attach().await;
        peer.expect_flow().await;
        match accepted {
            AcceptedLink::Receiver(receiver) => (peer, receiver),
            AcceptedLink::Sender(_) => panic!("not a receiver"),
        }
    }

    /// Receivers of ours on one connection, each in a session of its own, with the incoming window that it began with. The
    /// peer's channel is the number of the receiver.
    async fn receivers(
        self,
        options: ConnectionOptions,
        link: &ReceiverOptions,
        count: u16,
    ) -> (Peer, Connection, Vec<Receiver>, Vec<u32>) {
        let (mut peer, connection) = self.opened(options).await;
        let mut receivers = Vec::new();
        let mut windows = Vec::new();
        for channel in 0..count {
            let (receiver, window) = match self {
                Self::Client => begin_and_receive(&mut peer, &connection, link, channel).await,
                Self::Listener => take_and_receive(&mut peer, &connection, link, channel).await,
            };
            receivers.push(receiver);
            windows.push(window);
        }
        (peer, connection, receivers, windows)
    }

    /// A sender of ours without credit.
    async fn sender(self, options: ConnectionOptions) -> (Peer, Sender) {
        let (mut peer, connection) = self.opened(options).await;
        if self == Self::Client {
            let begin = SessionOptions::default();
            let (mut peer, session) = scene::begin(peer, connection, begin, peer::begin()).await;
            let sender = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
            return (peer, sender);
        }
        peer.begin_session().await;
        let attach = peer::attach_receiver("link");
        let options = AcceptLinkOptions::default();
        let accepted = scene::accept(&mut peer, &connection, attach, options).await;
        peer.expect_attach().await;
        match accepted {
            AcceptedLink::Sender(sender) => (peer, sender),
            AcceptedLink::Receiver(_) => panic!("not a sender"),
        }
    }
}

/// A session and a receiver of our client's.
async fn begin_and_receive(
    peer: &mut Peer,
    connection: &Connection,
    link: &ReceiverOptions,
    channel: u16,
) -> (Receiver, u32) {
    let (session, begin) = tokio::join!(connection.begin(SessionOptions::default()), async {
        let (remote, begin) = peer.expect_begin().await;
        let answer = Begin {
            remote_channel: Some(remote),
            ..peer::begin()
        };
        peer.send_on(channel, answer).await;
        begin
    });
    let session = session.unwrap();
    let (receiver, ()) = tokio::join!(session.attach_receiver("node", link.clone()), async {
        let asked = peer.expect_attach().await;
        peer.send_on(channel, peer::answer_to(&asked)).await;
        peer.expect_flow().await;
    });
    (receiver.unwrap(), begin.incoming_window)
}

/// A session that the peer begins, and a receiver of our listener's.
async fn take_and_receive(
    peer: &mut Peer,
    connection: &Connection,
    link: &ReceiverOptions,
    channel: u16,
) -> (Receiver, u32) {
    peer.send_on(channel, peer::begin()).await;
    let (_, begin) = peer.expect_begin().await;
    peer.send_on(channel, peer::attach_sender("link")).await;
    let options = AcceptLinkOptions::default()
        .credit(link.credit)
        .on_drop(link.on_drop);
    let incoming = connection.accept_link().await.unwrap();
    let AcceptedLink::Receiver(receiver) = incoming.accept(options).await.unwrap() else {
        panic!("not a receiver");
    };
    peer.expect_attach().await;
    peer.expect_flow().await;
    (receiver, begin.incoming_window)
}

fn more(transfer: Transfer) -> Transfer {
    Transfer {
        more: true,
        ..transfer
    }
}

fn settled(delivery_id: u32) -> Transfer {
    Transfer {
        settled: Some(true),
        ..peer::transfer(delivery_id)
    }
}
