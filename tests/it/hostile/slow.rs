//! Peers that take their time, do not read, or say nothing.

use std::time::Duration;

use amqp10::codec::Attach;
use amqp10::codec::{End, Flow, Performative, Transfer, condition};
use amqp10::{
    AcceptError, ConnectError, Connection, ConnectionOptions, Credit, LinkError, Listener,
    ListenerOptions, Receiver, ReceiverOptions, SenderOptions, SessionOptions,
};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::settled;
use crate::support::peer::{self, HANDLE, Peer, encode};
use crate::support::scene;

/// A second receiver in the session, at the peer's next handle.
async fn second_receiver(peer: &mut Peer, session: &amqp10::Session) -> Receiver {
    let (receiver, ()) = tokio::join!(
        session.attach_receiver("node", ReceiverOptions::default()),
        async {
            let asked = peer.expect_attach().await;
            peer.send(Attach {
                handle: HANDLE + 1,
                ..peer::answer_to(&asked)
            })
            .await;
            peer.expect_flow().await;
        }
    );
    receiver.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_stops_neither_other_links_nor_heartbeats() {
    let open = amqp10::codec::Open {
        idle_time_out: Some(2000),
        ..peer::open()
    };
    let (peer, connection) = Peer::opened_client(peer::client_options(), open).await;
    let (mut peer, session) =
        scene::begin(peer, connection, SessionOptions::default(), peer::begin()).await;
    let options = ReceiverOptions::default().credit(Credit::Auto(50));
    let slow = scene::attach_receiver(&mut peer, &session, options).await;
    let quick = second_receiver(&mut peer, &session).await;
    for id in 0..50 {
        peer.send_transfer(settled(id), &[0; 1000]).await;
    }
    for id in 50..1000 {
        let transfer = Transfer {
            handle: HANDLE + 1,
            ..settled(id)
        };
        peer.send_transfer(transfer, &[0; 1000]).await;
        assert_eq!(quick.recv().await.unwrap().delivery_id(), id);
    }
    let mut heartbeats = 0;
    while heartbeats < 3 {
        heartbeats += usize::from(peer.next_frame().await.unwrap().performative.is_none());
    }
    for id in 0..50 {
        assert_eq!(slow.recv().await.unwrap().delivery_id(), id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_makes_senders_wait_and_is_still_heard() {
    let (near, far) = amqp10::memory::pipe(1000);
    let options = peer::client_options();
    let high_water = options.limits.max_output_bytes;
    let opening = tokio::spawn(amqp10::Connection::open_with_stream(near, options));
    let mut peer = Peer::new(far);
    peer.exchange_headers().await;
    peer.expect_open().await;
    peer.send_on(0, peer::open()).await;
    let connection = opening.await.unwrap().unwrap();
    let options = SessionOptions::default();
    let (mut peer, session) = scene::begin(peer, connection, options, peer::begin()).await;
    let sender = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
    peer.grant(0, 10_000).await;
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let sending = tokio::spawn({
        let sent = sent.clone();
        async move {
            while sender.send_settled(vec![0; 10_000]).await.is_ok() {
                sent.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    let octets = sent.load(std::sync::atomic::Ordering::Relaxed) * 10_000;
    assert!(octets > 0 && octets < 3 * high_water, "{octets}");
    peer.send(End::default()).await;
    sending.await.unwrap();
    assert!(matches!(
        session.ended().await,
        amqp10::SessionError::RemoteEnded(None)
    ));
}

#[tokio::test(start_paused = true)]
async fn attaches_and_detaches_of_a_peer_that_does_not_read_are_bounded() {
    let (near, far) = amqp10::memory::pipe(1000);
    let accepting = tokio::spawn(async move {
        let options = peer::listener_options();
        let incoming = amqp10::Listener::accept_stream(near, &options).await?;
        incoming.accept().await
    });
    let mut peer = Peer::new(far);
    peer.exchange_headers().await;
    peer.send_on(0, peer::open()).await;
    peer.expect_open().await;
    let connection = accepting.await.unwrap().unwrap();
    peer.begin_session().await;
    for number in 0..20_000 {
        peer.send(peer::attach_sender(&format!("link {number}")))
            .await;
        peer.send(peer::detach()).await;
    }
    // Whatever could be answered is; then the session ends, or all was.
    let mut answers = 0;
    loop {
        match peer.expect().await.1 {
            Performative::Attach(_) | Performative::Detach(_) => answers += 1,
            Performative::End(end) => {
                let error = end.error.unwrap();
                assert_eq!(error.condition, condition::RESOURCE_LIMIT_EXCEEDED);
                break;
            }
            other => panic!("{other:?}"),
        }
        if answers == 40_000 {
            break;
        }
    }
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn echoes_for_a_peer_that_does_not_read_are_merged() {
    let (near, far) = amqp10::memory::pipe(1000);
    let accepting = tokio::spawn(async move {
        let options = peer::listener_options();
        let incoming = amqp10::Listener::accept_stream(near, &options).await?;
        incoming.accept().await
    });
    let mut peer = Peer::new(far);
    peer.exchange_headers().await;
    peer.send_on(0, peer::open()).await;
    peer.expect_open().await;
    let _connection = accepting.await.unwrap().unwrap();
    peer.begin_session().await;
    for _ in 0..50_000 {
        peer.send(Flow {
            echo: true,
            ..peer.flow()
        })
        .await;
    }
    peer.send(End::default()).await;
    let mut answers = 0;
    while let (_, Performative::Flow(_), _) = peer.expect().await {
        answers += 1;
    }
    assert!((1..25_000).contains(&answers), "{answers}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_trickles_its_open_cannot_stretch_the_deadline() {
    let options = peer::client_options().connect_timeout(Duration::from_secs(10));
    let (mut peer, opening) = Peer::of_client(options);
    peer.exchange_headers().await;
    peer.expect_open().await;
    let started = Instant::now();
    let trickling = tokio::spawn(async move {
        for octet in encode(0, &peer::open().into(), b"") {
            peer.send_bytes(&[octet]).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    assert!(opening.await.unwrap().is_err());
    assert_eq!(started.elapsed().as_secs(), 10);
    trickling.abort();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_only_sends_heartbeats_ends_no_wait_of_ours_late() {
    let (mut peer, session) = scene::session().await;
    let beating = async {
        loop {
            peer.send_bytes(b"\0\0\0\x08\x02\0\0\0").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let started = Instant::now();
    tokio::select! {
        attached = session.attach_sender("node", SenderOptions::default()) => {
            assert!(matches!(attached, Err(LinkError::Timeout { .. })));
        }
        () = beating => {}
    }
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn silent_clients_keep_nobody_out_for_long() {
    let options = ListenerOptions::default()
        .max_handshakes(3)
        .handshake_timeout(Duration::from_secs(5));
    let listener = Listener::bind("127.0.0.1:0", options).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut silent = Vec::new();
    for _ in 0..6 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let accepting = tokio::spawn(async move {
        let mut given_up = 0;
        loop {
            match listener.accept().await {
                Ok(incoming) => return (given_up, incoming.accept().await.unwrap()),
                Err(AcceptError::Handshake { error, .. }) => {
                    assert!(matches!(*error, ConnectError::Timeout { .. }), "{error}");
                    given_up += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
    });
    let begun = std::time::Instant::now();
    let url = format!("amqp://{address}");
    let opened = Connection::open(&url, ConnectionOptions::default()).await;
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(4), "{waited:?}");
    let (given_up, _server) = accepting.await.unwrap();
    assert!(given_up >= 4, "{given_up} of six stood in the way");
    opened.unwrap();
}
