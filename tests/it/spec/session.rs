//! Sessions [2.5, 2.7.2, 2.7.8].

use std::time::Duration;

use amqp10::codec::{Begin, End, condition};
use amqp10::{
    AmqpError, ConnectionError, LinkError, Outcome, ReceiverOptions, SendError, SenderOptions,
    SessionError, SessionOptions, Symbol,
};

use crate::support::peer::{self, CHANNEL, HANDLE, Peer};
use crate::support::scene;

fn error() -> AmqpError {
    AmqpError::new(condition::INTERNAL_ERROR, "out of luck")
}

async fn client() -> (Peer, amqp10::Connection) {
    Peer::opened_client(peer::client_options(), peer::open()).await
}

#[tokio::test(start_paused = true)]
async fn s_001_s_002_c_038_we_begin_without_remote_channel_and_answer_with_it() {
    let (mut peer, connection) = client().await;
    let beginning = tokio::spawn(async move { connection.begin(SessionOptions::default()).await });
    let (channel, begin) = peer.expect_begin().await;
    assert_eq!((channel, begin.remote_channel), (0, None));
    peer.send(Begin {
        remote_channel: Some(0),
        ..peer::begin()
    })
    .await;
    let session = beginning.await.unwrap().unwrap();
    peer.send_on(CHANNEL + 1, peer::begin()).await;
    let (channel, answer) = peer.expect_begin().await;
    assert_eq!((channel, answer.remote_channel), (1, Some(CHANNEL + 1)));
    drop(session);
}

#[tokio::test(start_paused = true)]
async fn s_003_answers_are_matched_by_remote_channel_in_any_order() {
    let (mut peer, connection) = client().await;
    let begin = |id: u32| {
        let connection = connection.clone();
        tokio::spawn(async move {
            connection
                .begin(SessionOptions::default().next_outgoing_id(id))
                .await
                .unwrap()
        })
    };
    let (first, second) = (begin(100), begin(200));
    let mut begins = [peer.expect_begin().await, peer.expect_begin().await];
    begins.sort_by_key(|(_, begin)| begin.next_outgoing_id);
    for (number, (channel, _)) in begins.iter().enumerate().rev() {
        peer.send_on(
            CHANNEL + number as u16,
            Begin {
                remote_channel: Some(*channel),
                ..peer::begin()
            },
        )
        .await;
    }
    let (first, _second) = (first.await.unwrap(), second.await.unwrap());
    let ending = tokio::spawn(async move { first.end().await });
    let (channel, _, _) = peer.expect().await;
    assert_eq!(channel, begins[0].0);
    peer.send_on(CHANNEL, End::default()).await;
    ending.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn s_005_s_011_the_lowest_free_channel_is_used_and_reused_after_both_ends() {
    let (mut peer, connection) = client().await;
    let mut sessions = Vec::new();
    for number in 0..3 {
        let (session, channel) = tokio::join!(connection.begin(SessionOptions::default()), async {
            let (channel, _) = peer.expect_begin().await;
            peer.send_on(
                CHANNEL + number,
                Begin {
                    remote_channel: Some(channel),
                    ..peer::begin()
                },
            )
            .await;
            channel
        });
        assert_eq!(channel, number);
        sessions.push(session.unwrap());
    }
    drop(sessions.remove(1));
    assert_eq!(peer.expect().await.0, 1);
    // The peer has not ended yet: its channel and ours are still taken.
    let beginning = tokio::spawn({
        let connection = connection.clone();
        async move { connection.begin(SessionOptions::default()).await }
    });
    assert_eq!(peer.expect_begin().await.0, 3);
    peer.send_on(CHANNEL + 1, End::default()).await;
    peer.send_on(
        CHANNEL + 3,
        Begin {
            remote_channel: Some(3),
            ..peer::begin()
        },
    )
    .await;
    sessions.push(beginning.await.unwrap().unwrap());
    let again = || {
        let connection = connection.clone();
        tokio::spawn(async move { connection.begin(SessionOptions::default()).await })
    };
    // RabbitMQ 4 would lose a begin that comes on the channel at once.
    let soon = again();
    assert_eq!(peer.expect_begin().await.0, 4);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let later = again();
    assert_eq!(peer.expect_begin().await.0, 1);
    soon.abort();
    later.abort();
}

#[tokio::test(start_paused = true)]
async fn s_007_s_008_handle_max_zero_is_one_link() {
    let begin = Begin {
        handle_max: 0,
        ..peer::begin()
    };
    let (mut peer, session) = scene::session_with(SessionOptions::default(), begin).await;
    let _sender = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
    let error = session
        .attach_sender("node", SenderOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(error, LinkError::TooManyLinks { limit: 1 }),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn s_010_the_peers_end_is_answered_and_ends_the_links() {
    let (mut peer, sender) = scene::sender().await;
    peer.grant(0, 10).await;
    let receipt = sender.send_with_receipt("x").await.unwrap();
    peer.expect_transfer().await;
    peer.send(End {
        error: Some(error()),
    })
    .await;
    assert_eq!(peer.expect_end().await.error, None);
    let lost = receipt.await.unwrap_err();
    assert!(matches!(lost, SendError::Unknown(_)), "{lost:?}");
    assert_eq!(lost.remote_error(), Some(&error()));
    let ended = sender.detached().await;
    assert!(
        matches!(
            ended,
            LinkError::Session(SessionError::RemoteEnded(Some(_)))
        ),
        "{ended:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn s_010_we_end_and_wait_for_the_answer() {
    let (mut peer, session) = scene::session().await;
    let ending = tokio::spawn(async move { session.end().await });
    assert_eq!(peer.expect_end().await, End::default());
    peer.expect_nothing().await;
    assert!(!ending.is_finished());
    peer.send(End::default()).await;
    ending.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn s_010_an_end_that_is_never_answered_meets_the_deadline() {
    let (mut peer, session) = scene::session().await;
    let ending = tokio::spawn(async move { session.end().await });
    peer.expect_end().await;
    let error = ending.await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            SessionError::Timeout {
                operation: "end",
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn s_012_frames_in_flight_after_our_plain_end_are_tolerated() {
    let (mut peer, session) = scene::session().await;
    let options = ReceiverOptions::default();
    let _receiver = scene::attach_receiver(&mut peer, &session, options).await;
    let ending = tokio::spawn(async move { session.end().await });
    peer.expect_end().await;
    peer.send_transfer(peer::transfer(0), b"late").await;
    peer.send(peer.flow()).await;
    peer.send(End::default()).await;
    ending.await.unwrap().unwrap();
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn s_014_ends_that_cross_answer_each_other() {
    let (mut peer, session) = scene::session().await;
    let connection = session.connection().clone();
    let ending = tokio::spawn(async move { session.end().await });
    peer.send(End::default()).await;
    peer.expect_end().await;
    ending.await.unwrap().unwrap();
    peer.expect_nothing().await;
    let again = tokio::spawn(async move { connection.begin(SessionOptions::default()).await });
    assert_eq!(peer.answer_begin(peer::begin()).await, 0);
    again.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn s_016_the_end_of_the_connection_ends_its_sessions() {
    let (peer, session) = scene::session().await;
    peer.hang_up();
    let error = session.ended().await;
    assert!(
        matches!(error, SessionError::Connection(ConnectionError::Lost(_))),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn s_017_a_window_that_is_shut_in_one_session_does_not_stall_another() {
    let (mut peer, session) = scene::session_with(
        SessionOptions::default(),
        Begin {
            incoming_window: 0,
            ..peer::begin()
        },
    )
    .await;
    let stuck = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
    peer.send(amqp10::codec::Flow {
        handle: Some(HANDLE),
        delivery_count: Some(0),
        link_credit: Some(5),
        incoming_window: 0,
        ..peer.flow()
    })
    .await;
    let connection = session.connection().clone();
    let other = tokio::spawn(async move { connection.begin(SessionOptions::default()).await });
    let (channel, _) = peer.expect_begin().await;
    peer.send_on(
        CHANNEL + 1,
        Begin {
            remote_channel: Some(channel),
            ..peer::begin()
        },
    )
    .await;
    let other = other.await.unwrap().unwrap();
    let attaching =
        tokio::spawn(async move { other.attach_sender("node", SenderOptions::default()).await });
    let asked = peer.expect_attach().await;
    peer.send_on(CHANNEL + 1, peer::answer_to(&asked)).await;
    let free = attaching.await.unwrap().unwrap();
    peer.send_on(
        CHANNEL + 1,
        amqp10::codec::Flow {
            handle: Some(HANDLE),
            delivery_count: Some(0),
            link_credit: Some(5),
            next_incoming_id: Some(0),
            ..peer.flow()
        },
    )
    .await;
    let waiting = tokio::spawn(async move { stuck.send("stuck").await });
    let sending = tokio::spawn(async move { free.send("free").await });
    let (channel, _, _) = peer.expect().await;
    assert_eq!(channel, 1);
    peer.send_on(CHANNEL + 1, peer::accept(0, 0)).await;
    assert_eq!(sending.await.unwrap().unwrap(), Outcome::Accepted);
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test(start_paused = true)]
async fn s_018_properties_of_a_session_are_sent() {
    let (mut peer, connection) = client().await;
    let options = SessionOptions::default()
        .properties(amqp10::codec::Fields::new().with(Symbol::from_static("purpose"), "test"))
        .incoming_window(77)
        .next_outgoing_id(5);
    let beginning = tokio::spawn(async move { connection.begin(options).await });
    let (_, begin) = peer.expect_begin().await;
    assert_eq!(
        begin.properties.get("purpose").unwrap().as_str(),
        Some("test")
    );
    assert_eq!((begin.incoming_window, begin.next_outgoing_id), (77, 5));
    beginning.abort();
}

#[tokio::test(start_paused = true)]
async fn s_018_sessions_that_the_peer_begins_get_what_the_options_say() {
    let sessions = SessionOptions::default()
        .properties(amqp10::codec::Fields::new().with(Symbol::from_static("purpose"), "test"))
        .incoming_window(3)
        .next_outgoing_id(5);
    let options = peer::client_options()
        .incoming_sessions(sessions)
        .limits(amqp10::Limits::default().max_links_per_session(50));
    for listens in [true, false] {
        let (mut peer, connection) = match listens {
            true => {
                let options = peer::listener_options().connection(options.clone());
                Peer::opened_listener(options, peer::open()).await
            }
            false => Peer::opened_client(options.clone(), peer::open()).await,
        };
        peer.send(peer::begin()).await;
        let (_, begin) = peer.expect_begin().await;
        assert_eq!(begin.remote_channel, Some(CHANNEL));
        assert_eq!(
            begin.properties.get("purpose").unwrap().as_str(),
            Some("test")
        );
        assert_eq!((begin.incoming_window, begin.next_outgoing_id), (3, 5));
        assert_eq!(begin.handle_max, 49);
        let attach = peer::attach_sender("link");
        let accepted = scene::accept(&mut peer, &connection, attach, Default::default()).await;
        peer.expect_attach().await;
        assert_eq!(peer.expect_flow().await.incoming_window, 3);
        for id in 0..2 {
            peer.send_transfer(peer::transfer(id), b"x").await;
        }
        let flow = peer.expect_flow().await;
        assert_eq!((flow.next_incoming_id, flow.incoming_window), (Some(2), 3));
        drop(accepted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_begin_that_is_never_answered_meets_the_deadline_and_is_ended_when_it_is() {
    let (mut peer, connection) = client().await;
    let began = {
        let connection = connection.clone();
        tokio::spawn(async move { connection.begin(SessionOptions::default()).await })
    };
    let (channel, _) = peer.expect_begin().await;
    let error = began.await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            SessionError::Timeout {
                operation: "begin",
                ..
            }
        ),
        "{error:?}"
    );
    peer.expect_end().await;
    peer.send(Begin {
        remote_channel: Some(channel),
        ..peer::begin()
    })
    .await;
    peer.send(End::default()).await;
    tokio::time::sleep(Duration::from_secs(1)).await; // a channel rests
    let again = tokio::spawn(async move { connection.begin(SessionOptions::default()).await });
    assert_eq!(peer.answer_begin(peer::begin()).await, channel);
    again.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn s_013_we_end_with_an_error() {
    let (mut peer, session) = scene::session().await;
    assert!(!session.is_ended());
    let ending = tokio::spawn({
        let session = session.clone();
        async move { session.end_with_error(error()).await }
    });
    assert_eq!(peer.expect_end().await.error, Some(error()));
    assert!(session.is_ended());
    peer.send(End { error: None }).await;
    ending.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn s_015_a_peer_may_send_before_its_begin_is_answered() {
    let (mut peer, connection) =
        Peer::opened_listener(peer::listener_options(), peer::open()).await;
    let mut octets = Vec::new();
    for performative in [
        amqp10::codec::Performative::from(peer::begin()),
        peer::attach_sender("early").into(),
    ] {
        octets.extend_from_slice(&peer::encode(peer::CHANNEL, &performative, b""));
    }
    peer.send_bytes(&octets).await;
    peer.expect_begin().await;
    let link = connection.accept_link().await.unwrap();
    assert_eq!(link.attach().name.as_str(), "early");
}
