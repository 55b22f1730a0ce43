//! Links that are resumed on a new connection [2.6.13, 3.4.6], and connections that come back.

use amqp10::codec::{DeliveryTag, Received, ReceiverSettleMode, Transfer, UnsettledMap, condition};
use amqp10::reconnect::{ReconnectError, ReconnectOptions};
use amqp10::{
    DeliveryState, Message, Open, Outcome, OutgoingMessage, ReceiverOptions, SendError,
    SenderOptions,
};

use crate::support::peer::{self, Peer};
use crate::support::reconnecting::{
    accept, answer, connected_to, deliver, expect_text, lost, receive, receiver, send,
};
use crate::support::scene;

#[tokio::test(start_paused = true)]
async fn r_001_r_004_r_005_r_007_r_010_r_014_l_031_l_035_what_both_maps_name_is_resumed_whole() {
    let (mut peers, _sender, sendings, tags) = lost(&["a", "b"], ReconnectOptions::default()).await;
    let mut peer = peers.next().await;
    let received = DeliveryState::Received(Received::default());
    let map = UnsettledMap(vec![(tags[0], None), (tags[1], Some(received))]);
    let asked = answer(&mut peer, Some(map)).await;
    let ours = asked.unsettled.unwrap();
    assert_eq!(ours.0, [(tags[0], None), (tags[1], None)]); // no outcome where a message may be needed
    for (text, tag) in ["a", "b"].into_iter().zip(tags) {
        let transfer = expect_text(&mut peer, text).await;
        assert!(transfer.resume);
        assert_eq!(transfer.delivery_tag, Some(tag));
        assert_eq!(transfer.state, None); // from the start
        accept(&mut peer, &transfer).await;
    }
    for sending in sendings {
        assert_eq!(sending.await.unwrap().unwrap(), Outcome::Accepted);
    }
}

#[tokio::test(start_paused = true)]
async fn r_002_r_011_d_002_d_026_what_the_receiver_does_not_name_is_sent_as_new() {
    for map in [None, Some(UnsettledMap::default())] {
        let (mut peers, _sender, mut sendings, tags) =
            lost(&["a"], ReconnectOptions::default()).await;
        let mut peer = peers.next().await;
        answer(&mut peer, map).await;
        let transfer = expect_text(&mut peer, "a").await;
        assert!(!transfer.resume);
        assert_eq!(transfer.delivery_tag, Some(tags[0]));
        accept(&mut peer, &transfer).await;
        let outcome = sendings.pop().unwrap().await.unwrap();
        assert_eq!(outcome.unwrap(), Outcome::Accepted);
    }
}

#[tokio::test(start_paused = true)]
async fn r_003_what_only_the_receiver_names_is_ignored() {
    let (mut peers, sender, sendings, tags) = lost(&["a"], ReconnectOptions::default()).await;
    let foreign = DeliveryTag::try_from(&b"foreign"[..]).unwrap();
    let mut peer = peers.next().await;
    let map = UnsettledMap(vec![(foreign, None), (tags[0], None)]);
    answer(&mut peer, Some(map)).await;
    let transfer = expect_text(&mut peer, "a").await;
    accept(&mut peer, &transfer).await;
    for sending in sendings {
        assert!(sending.await.unwrap().unwrap().is_accepted());
    }
    peer.expect_nothing().await;
    drop(sender);
}

#[tokio::test(start_paused = true)]
async fn r_006_r_009_r_013_d_028_an_outcome_that_the_receiver_has_is_applied_without_the_message() {
    let (mut peers, _sender, mut sendings, tags) = lost(&["a"], ReconnectOptions::default()).await;
    let mut peer = peers.next().await;
    let map = UnsettledMap(vec![(tags[0], Some(Outcome::Released.into()))]);
    answer(&mut peer, Some(map)).await;
    let (transfer, payload) = peer.expect_transfer().await;
    assert!(transfer.resume);
    assert_eq!(transfer.settled, Some(true));
    assert_eq!(transfer.state, Some(Outcome::Released.into()));
    assert!(payload.is_empty());
    let outcome = sendings.pop().unwrap().await.unwrap();
    assert_eq!(outcome.unwrap(), Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn r_012_d_013_what_cannot_be_sent_any_more_is_aborted() {
    let (mut peer, sender) = scene::sender().await;
    peer.grant(0, 10).await;
    let tag = DeliveryTag::try_from(&b"gone"[..]).unwrap();
    sender
        .send_settled(OutgoingMessage::aborted(tag))
        .await
        .unwrap();
    let (transfer, payload) = peer.expect_transfer().await;
    assert!(transfer.resume && transfer.aborted);
    assert_eq!(transfer.delivery_tag, Some(tag));
    assert!(payload.is_empty());
}

#[tokio::test(start_paused = true)]
async fn r_015_l_037_l_040_a_map_too_large_for_a_frame_is_sent_in_parts() {
    let small_frames = Open {
        max_frame_size: 512,
        ..peer::open()
    };
    let (mut peers, mut peer, connection) =
        connected_to(small_frames, ReconnectOptions::default()).await;
    let sender = connection.sender("node", SenderOptions::default());
    let mut sendings = Vec::new();
    let mut tags = Vec::new();
    for number in 0..10 {
        sendings.push(send(&sender, "x"));
        if number == 0 {
            answer(&mut peer, None).await;
        }
        let (transfer, _) = peer.expect_transfer().await;
        tags.push(transfer.delivery_tag.unwrap());
    }
    peer.hang_up();

    let mut peer = peers.next().await;
    let all = UnsettledMap(tags.iter().map(|tag| (*tag, None)).collect());
    let asked = answer(&mut peer, Some(all)).await;
    assert!(asked.incomplete_unsettled);
    assert_eq!(asked.unsettled.unwrap().0.len(), 8);
    for _ in 0..10 {
        let transfer = expect_text(&mut peer, "x").await;
        assert!(transfer.resume);
        accept(&mut peer, &transfer).await;
    }
    let detach = peer.answer_detach().await;
    assert!(!detach.closed, "suspended, not closed");
    let asked = answer(&mut peer, Some(UnsettledMap::default())).await;
    assert!(!asked.incomplete_unsettled);
    assert!(asked.unsettled.unwrap().0.is_empty());
    for sending in sendings {
        assert!(sending.await.unwrap().unwrap().is_accepted());
    }
}

#[tokio::test(start_paused = true)]
async fn r_016_without_replay_what_was_in_flight_is_in_doubt() {
    let options = ReconnectOptions::default().retry_unknown(false);
    let (mut peers, sender, mut sendings, _tags) = lost(&["a"], options).await;
    let failed = sendings.pop().unwrap().await.unwrap().unwrap_err();
    assert!(
        matches!(failed, ReconnectError::Send(SendError::Unknown(_))),
        "{failed}"
    );
    let next = send(&sender, "b");
    let mut peer = peers.next().await;
    answer(&mut peer, None).await;
    let transfer = expect_text(&mut peer, "b").await;
    accept(&mut peer, &transfer).await;
    assert!(next.await.unwrap().unwrap().is_accepted());
}

#[tokio::test(start_paused = true)]
async fn replayed_messages_go_before_new_ones() {
    let (mut peers, sender, mut sendings, _tags) =
        lost(&["a", "b"], ReconnectOptions::default()).await;
    sendings.push(send(&sender, "c"));
    let mut peer = peers.next().await;
    answer(&mut peer, None).await;
    for text in ["a", "b", "c"] {
        let transfer = expect_text(&mut peer, text).await;
        accept(&mut peer, &transfer).await;
    }
    for sending in sendings {
        assert!(sending.await.unwrap().unwrap().is_accepted());
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_cannot_be_opened_again_is_an_error_after_the_attempts() {
    let options = ReconnectOptions::default().max_attempts(2);
    let (mut peers, _sender, mut sendings, _tags) = lost(&["a"], options).await;
    for _ in 0..2 {
        drop(peers.streams.recv().await.unwrap());
    }
    let failed = sendings.pop().unwrap().await.unwrap().unwrap_err();
    assert!(matches!(failed, ReconnectError::Connect(_)), "{failed}");
    assert!(failed.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn closing_ends_the_wait_for_a_peer_that_never_comes_back() {
    let options = ReconnectOptions::default().max_attempts(None);
    let (peers, sender, mut sendings, _tags) = lost(&["a"], options).await;
    drop(peers);
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    assert!(!sendings[0].is_finished());
    let closing = tokio::time::timeout(std::time::Duration::from_secs(1), sender.close());
    closing.await.expect("does not wait for the peer").unwrap();
    let failed = sendings.pop().unwrap().await.unwrap().unwrap_err();
    assert!(matches!(failed, ReconnectError::Closed), "{failed}");
}

// ---- the receiver

#[tokio::test(start_paused = true)]
async fn r_016_a_receiver_goes_on_after_the_connection_was_lost() {
    let (mut peers, mut peer, receiver) = receiver(ReceiverOptions::default()).await;
    deliver(&mut peer, peer::transfer(0), "a").await;
    receiver.recv().await.unwrap().accept().unwrap();
    peer.expect_disposition().await;
    peer.hang_up();
    let receiving = receive(&receiver);
    let mut peer = peers.next().await;
    answer(&mut peer, None).await;
    peer.expect_flow().await;
    deliver(&mut peer, peer::transfer(0), "b").await;
    let delivery = receiving.await.unwrap().unwrap();
    assert_eq!(delivery.message().unwrap().body, Message::from("b").body);
    assert!(!delivery.is_resumed());
}

#[tokio::test(start_paused = true)]
async fn r_009_r_013_what_was_accepted_before_the_loss_is_not_handed_out_again() {
    let options = ReceiverOptions::default().rcv_settle_mode(ReceiverSettleMode::Second);
    let (mut peers, mut peer, receiver) = receiver(options).await;
    deliver(&mut peer, peer::transfer(0), "a").await;
    let delivery = receiver.recv().await.unwrap();
    let tag = delivery.delivery_tag();
    let (confirmed, ()) = tokio::join!(delivery.accept_confirmed(), async {
        assert!(!peer.expect_disposition().await.settled);
        peer.hang_up();
    });
    assert!(confirmed.is_err());

    let receiving = receive(&receiver);
    let mut peer = peers.next().await;
    let ours = answer(&mut peer, Some(UnsettledMap(vec![(tag, None)]))).await;
    let stated = ours.unsettled.unwrap().0;
    assert_eq!(stated, [(tag, Some(Outcome::Accepted.into()))]);
    peer.expect_flow().await;
    let resumed = Transfer {
        resume: true,
        delivery_tag: Some(tag),
        ..peer::transfer(0)
    };
    deliver(&mut peer, resumed, "a").await;
    let restated = peer.expect_disposition().await;
    assert_eq!(restated.state, Some(Outcome::Accepted.into()));
    deliver(&mut peer, peer::transfer(1), "b").await;
    let delivery = receiving.await.unwrap().unwrap();
    assert_eq!(delivery.message().unwrap().body, Message::from("b").body);
}

/// A receiver whose attach names one delivery of an earlier attachment.
async fn resuming(state: Option<DeliveryState>) -> (Peer, amqp10::Receiver, DeliveryTag) {
    let tag = DeliveryTag::try_from(&b"old"[..]).unwrap();
    let options = ReceiverOptions::default().unsettled(UnsettledMap(vec![(tag, state)]));
    let (peer, receiver) = scene::receiver(options).await;
    (peer, receiver, tag)
}

fn resumed(id: u32, tag: DeliveryTag) -> Transfer {
    Transfer {
        resume: true,
        delivery_tag: Some(tag),
        ..peer::transfer(id)
    }
}

#[tokio::test(start_paused = true)]
async fn r_002_a_resumed_delivery_that_we_do_not_know_is_ignored() {
    let (mut peer, receiver, _) = resuming(None).await;
    let foreign = DeliveryTag::try_from(&b"foreign"[..]).unwrap();
    deliver(&mut peer, resumed(0, foreign), "x").await;
    deliver(&mut peer, peer::transfer(1), "y").await;
    let delivery = receiver.recv().await.unwrap();
    assert_eq!(delivery.delivery_id(), 1);
}

#[tokio::test(start_paused = true)]
async fn r_010_a_resumed_delivery_that_we_have_not_decided_is_handed_out_as_such() {
    let (mut peer, receiver, tag) = resuming(None).await;
    deliver(&mut peer, resumed(0, tag), "x").await;
    let delivery = receiver.recv().await.unwrap();
    assert!(delivery.is_resumed());
    delivery.accept().unwrap();
    assert!(peer.expect_disposition().await.settled);
}

#[tokio::test(start_paused = true)]
async fn r_013_the_senders_outcome_wins_and_is_echoed() {
    let (mut peer, _receiver, tag) = resuming(Some(Outcome::Accepted.into())).await;
    let concluded = Transfer {
        state: Some(Outcome::Released.into()),
        ..resumed(0, tag)
    };
    peer.send_transfer(concluded, b"").await;
    let echoed = peer.expect_disposition().await;
    assert!(echoed.settled);
    assert_eq!(echoed.state, Some(Outcome::Released.into()));
}

#[tokio::test(start_paused = true)]
async fn r_013_what_the_sender_resumes_settled_is_over() {
    let (mut peer, receiver, tag) = resuming(Some(Outcome::Accepted.into())).await;
    let concluded = Transfer {
        settled: Some(true),
        state: Some(Outcome::Accepted.into()),
        ..resumed(0, tag)
    };
    peer.send_transfer(concluded, b"").await;
    peer.expect_nothing().await;
    assert!(receiver.try_recv().unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn r_008_data_from_the_middle_of_what_we_do_not_hold_ends_the_link() {
    let (mut peer, _receiver, tag) = resuming(None).await;
    let middle = Received {
        section_number: 0,
        section_offset: 5,
    };
    let transfer = Transfer {
        state: Some(DeliveryState::Received(middle)),
        ..resumed(0, tag)
    };
    deliver(&mut peer, transfer, "x").await;
    peer.expect_detach_with(condition::INVALID_FIELD).await;
}

#[tokio::test(start_paused = true)]
async fn r_012_an_aborted_resumption_is_forgotten() {
    let (mut peer, receiver, tag) = resuming(None).await;
    let aborted = Transfer {
        aborted: true,
        ..resumed(0, tag)
    };
    peer.send_transfer(aborted, b"").await;
    deliver(&mut peer, peer::transfer(1), "y").await;
    assert_eq!(receiver.recv().await.unwrap().delivery_id(), 1);
}
