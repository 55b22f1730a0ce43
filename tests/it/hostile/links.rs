//! Links and sessions that come and go, too many or after their end.

use amqp10::codec::{Attach, Begin, End, Performative, condition};
use amqp10::{AcceptLinkOptions, ConnectionError, SenderOptions, SessionOptions};

use super::BOTH;
use crate::support::peer::{self, CHANNEL, HANDLE, Peer, encode};
use crate::support::scene;

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_sessions_begun_and_ended() {
    let (mut peer, connection) =
        Peer::opened_listener(peer::listener_options(), peer::open()).await;
    let both = [
        encode(CHANNEL, &peer::begin().into(), b""),
        encode(CHANNEL, &End::default().into(), b""),
    ]
    .concat();
    let chunk = both.repeat(200);
    for _ in 0..500 {
        peer.send_bytes(&chunk).await;
        let (mut begins, mut ends) = (0, 0);
        while ends < 200 {
            match peer.expect().await {
                (channel, Performative::Begin(_), _) => {
                    assert!(channel <= 255);
                    begins += 1;
                }
                (_, Performative::End(end), _) => {
                    assert_eq!(end.error, None);
                    ends += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(begins, 200);
    }
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_links_attached_and_detached() {
    let (mut peer, connection) = scene::incoming_session().await;
    let both = [
        encode(CHANNEL, &peer::attach_sender("link").into(), b""),
        encode(CHANNEL, &peer::detach().into(), b""),
    ]
    .concat();
    let chunk = both.repeat(20);
    for _ in 0..5000 {
        peer.send_bytes(&chunk).await;
        let (mut attaches, mut detaches) = (0, 0);
        while detaches < 20 {
            match peer.expect().await.1 {
                Performative::Attach(attach) => {
                    assert!(attach.handle < 1024);
                    attaches += 1;
                }
                Performative::Detach(_) => detaches += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(attaches, 20);
    }
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn our_links_and_sessions_come_and_go_on_few_numbers() {
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), peer::open()).await;
    for _ in 0..500 {
        let (session, channel) = tokio::join!(
            connection.begin(SessionOptions::default()),
            peer.answer_begin(peer::begin())
        );
        assert!(
            channel < 256,
            "a channel that rests is used when there is no other: {channel}"
        );
        let session = session.unwrap();
        for _ in 0..3 {
            let sender = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
            let (closed, answered) = tokio::join!(sender.close(), peer.answer_detach());
            closed.unwrap();
            assert_eq!(answered.handle, 0);
        }
        let (ended, ()) = tokio::join!(session.end(), peer.answer_end());
        ended.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn attaches_that_cannot_be_answered_end_the_session() {
    // The peer attaches two links, but lets us use one handle only.
    let (mut peer, connection) =
        Peer::opened_listener(peer::listener_options(), peer::open()).await;
    peer.send(Begin {
        handle_max: 0,
        ..peer::begin()
    })
    .await;
    peer.expect_begin().await;
    let attach = peer::attach_sender("one");
    let _one = scene::accept(&mut peer, &connection, attach, AcceptLinkOptions::default()).await;
    peer.expect_attach().await;
    peer.expect_flow().await;
    peer.send(Attach {
        handle: HANDLE + 1,
        ..peer::attach_sender("two")
    })
    .await;
    let two = connection.accept_link().await.unwrap();
    assert!(two.accept(AcceptLinkOptions::default()).await.is_err());
    peer.expect_end_with(condition::RESOURCE_LIMIT_EXCEEDED)
        .await;
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn more_sessions_than_the_limit_close_the_connection() {
    let mut options = peer::client_options();
    options.limits.max_sessions = 3;
    let options = peer::listener_options().connection(options);
    let (mut peer, opening) = Peer::of_listener(options);
    peer.exchange_headers().await;
    peer.send_on(0, peer::open()).await;
    assert_eq!(peer.expect_open().await.channel_max, 2);
    let _connection = opening.await.unwrap().unwrap();
    for channel in 0..3 {
        peer.send_on(channel, peer::begin()).await;
        peer.expect_begin().await;
    }
    peer.send_on(3, peer::begin()).await;
    peer.expect_close_with(condition::FRAMING_ERROR).await;
}

#[tokio::test(start_paused = true)]
async fn frames_after_end_close_the_connection() {
    let (mut peer, connection) = scene::incoming_session().await;
    peer.send(End::default()).await;
    peer.expect_end().await;
    peer.send(peer.flow()).await;
    peer.expect_close_with(condition::FRAMING_ERROR).await;
    assert!(matches!(
        connection.closed().await,
        ConnectionError::Violation(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn c_028_c_031_l_008_a_detach_without_attach_and_a_close_twice() {
    for attacked in BOTH {
        let (mut peer, sender) = attacked.sender(peer::client_options()).await;
        peer.send(peer::detach()).await;
        peer.expect_detach().await;
        peer.send(peer::detach()).await; // of what is detached already
        peer.expect_end_with(condition::UNATTACHED_HANDLE).await;
        let close = encode(0, &amqp10::codec::Close::default().into(), b"");
        peer.send_bytes(&[close.clone(), close].concat()).await;
        peer.expect_close().await;
        peer.expect_eof().await;
        assert!(sender.is_detached(), "{attacked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_attaches_a_hundred_thousand_links_to_a_client_of_ours() {
    let (mut peer, connection) = BOTH[0].opened(peer::client_options()).await;
    peer.begin_session().await;
    let both = [
        encode(CHANNEL, &peer::attach_sender("link").into(), b""),
        encode(CHANNEL, &peer::detach().into(), b""),
    ]
    .concat();
    for _ in 0..5000 {
        peer.send_bytes(&both.repeat(20)).await;
        let mut detaches = 0;
        while detaches < 20 {
            match peer.expect().await.1 {
                Performative::Attach(attach) => assert!(attach.handle < 1024),
                Performative::Detach(_) => detaches += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(!connection.is_closed());
}
