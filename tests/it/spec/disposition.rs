//! Disposition and settlement [2.6.12, 2.7.6].

use amqp10::codec::{
    Attach, Disposition, Modified, Received, ReceiverSettleMode, Rejected, Role, Source, condition,
};
use amqp10::{
    AmqpError, OnDrop, Outcome, OutgoingMessage, Receipt, ReceiverOptions, SendError, Sender,
    SenderOptions, SessionOptions,
};

use crate::support::peer::{self, HANDLE, Peer};
use crate::support::scene;

/// Our sender, and receipts of this many unsettled deliveries that the peer has got.
async fn sent(count: u32, first_id: u32) -> (Peer, Sender, Vec<Receipt>) {
    let options = SessionOptions::default().next_outgoing_id(first_id);
    let (mut peer, session) = scene::session_with(options, peer::begin()).await;
    peer.next_incoming_id = first_id;
    let sender = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
    peer.grant(0, count).await;
    let mut receipts = Vec::new();
    for number in 0..count {
        receipts.push(sender.send_with_receipt("x").await.unwrap());
        let (transfer, _) = peer.expect_transfer().await;
        assert_eq!(transfer.delivery_id, Some(first_id.wrapping_add(number)));
    }
    (peer, sender, receipts)
}

/// The receiver's unsettled state for one delivery.
fn unsettled(id: u32, state: impl Into<amqp10::DeliveryState>) -> Disposition {
    Disposition {
        settled: false,
        state: Some(state.into()),
        ..peer::accept_one(id)
    }
}

fn outcomes() -> [Outcome; 4] {
    let error = AmqpError::new(condition::PRECONDITION_FAILED, "bad");
    [
        Outcome::Accepted,
        Outcome::Released,
        Rejected::new(error).into(),
        Modified {
            delivery_failed: true,
            undeliverable_here: true,
            ..Modified::default()
        }
        .into(),
    ]
}

#[tokio::test(start_paused = true)]
async fn o_019_p_001_p_005_p_009_every_outcome_reaches_its_sender() {
    for outcome in outcomes() {
        let (mut peer, _sender, receipts) = sent(1, 0).await;
        peer.send(peer::settle(0, 0, outcome.clone())).await;
        for receipt in receipts {
            assert_eq!(receipt.await.unwrap(), outcome);
        }
        peer.expect_nothing().await; // P-009
    }
}

#[tokio::test(start_paused = true)]
async fn p_002_a_null_last_is_the_first() {
    let (mut peer, _sender, mut receipts) = sent(2, 0).await;
    peer.send(peer::accept_one(0)).await;
    let second = receipts.pop().unwrap();
    assert_eq!(receipts.pop().unwrap().await.unwrap(), Outcome::Accepted);
    peer.send(peer::settle(1, 1, Outcome::Released)).await;
    assert_eq!(second.await.unwrap(), Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn p_002_a_range_across_the_wrap() {
    let (mut peer, _sender, receipts) = sent(5, u32::MAX - 1).await;
    peer.send(peer::accept(u32::MAX - 1, 2)).await;
    for receipt in receipts {
        assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
    }
}

#[tokio::test(start_paused = true)]
async fn o_002_p_003_p_014_unknown_and_settled_ids_in_a_range_are_skipped() {
    let (mut peer, sender, mut receipts) = sent(3, 10).await;
    peer.send(peer::settle(11, 11, Outcome::Released)).await;
    peer.send(peer::accept(0, 1000)).await;
    peer.send(peer::accept(0, 1000)).await;
    peer.send(peer::accept_one(77)).await;
    for (receipt, outcome) in
        receipts
            .drain(..)
            .zip([Outcome::Accepted, Outcome::Released, Outcome::Accepted])
    {
        assert_eq!(receipt.await.unwrap(), outcome);
    }
    peer.expect_nothing().await;
    assert!(!sender.is_detached());
}

#[tokio::test(start_paused = true)]
async fn p_004_the_largest_range_is_quick() {
    let (mut peer, _sender, receipts) = sent(3, 0).await;
    let started = std::time::Instant::now();
    peer.send(peer::accept(0, 0x7fff_ffff)).await;
    for receipt in receipts {
        assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
    }
    assert!(started.elapsed().as_millis() < 1000);
}

#[tokio::test(start_paused = true)]
async fn p_004_a_last_before_first_ends_the_session() {
    for (first, last) in [(1, 0), (0, u32::MAX), (0, 0x8000_0001)] {
        let (mut peer, _sender, receipts) = sent(2, 0).await;
        peer.send(peer::accept(first, last)).await;
        peer.expect_end_with(condition::INVALID_FIELD).await;
        for receipt in receipts {
            assert!(matches!(receipt.await, Err(SendError::Unknown(_))));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p_006_settled_without_a_state_is_the_default_outcome() {
    let (mut peer, session) = scene::session().await;
    let source = Source {
        default_outcome: Some(Outcome::Released),
        ..Source::default()
    };
    let options = SenderOptions::default().source(source);
    let sender = scene::attach_sender(&mut peer, &session, options).await;
    peer.grant(0, 1).await;
    let receipt = sender.send_with_receipt("x").await.unwrap();
    peer.expect_transfer().await;
    peer.send(Disposition {
        state: None,
        ..peer::accept_one(0)
    })
    .await;
    assert_eq!(receipt.await.unwrap(), Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn p_006_settled_without_a_state_or_default_is_said_so() {
    let (mut peer, _sender, mut receipts) = sent(1, 0).await;
    peer.send(Disposition {
        state: None,
        ..peer::accept_one(0)
    })
    .await;
    let error = receipts.pop().unwrap().await.unwrap_err();
    assert!(matches!(error, SendError::NoOutcome), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn p_008_an_unsettled_outcome_is_settled_by_the_sender() {
    let (mut peer, _sender, mut receipts) = sent(1, 0).await;
    peer.send(unsettled(0, Outcome::Accepted)).await;
    let confirmation = peer.expect_disposition().await;
    assert_eq!(confirmation.role, Role::Sender);
    assert_eq!((confirmation.first, confirmation.settled), (0, true));
    assert_eq!(receipts.pop().unwrap().await.unwrap(), Outcome::Accepted);
}

#[tokio::test(start_paused = true)]
async fn p_008_confirmations_are_merged() {
    let (mut peer, _sender, _receipts) = sent(100, u32::MAX - 50).await;
    let all = Disposition {
        settled: false,
        ..peer::accept(u32::MAX - 50, 48)
    };
    peer.send(all).await;
    let confirmation = peer.expect_disposition().await;
    assert_eq!(
        (confirmation.first, confirmation.last),
        (u32::MAX - 50, Some(48))
    );
}

#[tokio::test(start_paused = true)]
async fn p_010_d_032_in_mode_second_the_receiver_waits_for_the_sender() {
    let options = ReceiverOptions::default().rcv_settle_mode(ReceiverSettleMode::Second);
    let (mut peer, receiver) = scene::receiver(options).await;
    peer.send_transfer(peer::transfer(0), b"x").await;
    let delivery = receiver.recv().await.unwrap();
    let confirming = tokio::spawn(async move { delivery.accept_confirmed().await });
    let disposition = peer.expect_disposition().await;
    assert_eq!(disposition.role, Role::Receiver);
    assert!(!disposition.settled);
    assert_eq!(disposition.state, Some(Outcome::Accepted.into()));
    peer.expect_nothing().await;
    assert!(!confirming.is_finished());
    peer.send(Disposition {
        role: Role::Sender,
        ..peer::accept_one(0)
    })
    .await;
    confirming.await.unwrap().unwrap();
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn p_010_a_confirmation_that_cannot_come_ends_the_wait() {
    let options = ReceiverOptions::default().rcv_settle_mode(ReceiverSettleMode::Second);
    let (mut peer, receiver) = scene::receiver(options).await;
    peer.send_transfer(peer::transfer(0), b"x").await;
    let delivery = receiver.recv().await.unwrap();
    let confirming = tokio::spawn(async move { delivery.accept_confirmed().await });
    peer.expect_disposition().await;
    peer.hang_up();
    assert!(confirming.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn p_011_in_mode_first_the_receiver_settles_with_the_outcome() {
    for outcome in outcomes() {
        let (mut peer, receiver) = scene::receiver(ReceiverOptions::default()).await;
        peer.send_transfer(peer::transfer(0), b"x").await;
        let delivery = receiver.recv().await.unwrap();
        delivery.settle(outcome.clone()).unwrap();
        let disposition = peer.expect_disposition().await;
        assert_eq!(
            disposition,
            Disposition {
                last: None,
                ..peer::settle(0, 0, outcome)
            }
        );
        // P-014: once more changes nothing
        delivery.accept().unwrap();
        drop(delivery);
        peer.expect_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn p_013_a_state_on_the_way_may_change_any_number_of_times() {
    let (mut peer, _sender, mut receipts) = sent(1, 0).await;
    for section_offset in 0..3 {
        let received = Received {
            section_number: 0,
            section_offset,
        };
        peer.send(unsettled(0, received)).await;
    }
    peer.expect_nothing().await;
    peer.send(peer::accept_one(0)).await;
    assert_eq!(receipts.pop().unwrap().await.unwrap(), Outcome::Accepted);
}

#[tokio::test(start_paused = true)]
async fn p_015_a_thousand_accepts_are_few_frames() {
    let options = ReceiverOptions::default().credit(amqp10::Credit::Auto(1000));
    let (mut peer, receiver) = scene::receiver(options).await;
    for id in 0..1000 {
        peer.send_transfer(peer::transfer(id), b"x").await;
    }
    let batch = receiver
        .recv_batch(1000, std::time::Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(batch.len(), 1000);
    for delivery in batch.iter().rev() {
        delivery.accept().unwrap();
    }
    let (mut settled, mut frames) = (0, 0);
    while settled < 1000 {
        if let amqp10::codec::Performative::Disposition(disposition) = peer.expect().await.1 {
            settled += disposition.last.unwrap_or(disposition.first) - disposition.first + 1;
            frames += 1;
        }
    }
    assert!(frames <= 4, "{frames}");
}

#[tokio::test(start_paused = true)]
async fn o_004_a_receiver_tells_how_much_of_a_delivery_it_has() {
    let (mut peer, receiver) = scene::receiver(ReceiverOptions::default()).await;
    peer.send_transfer(peer::transfer(0), b"\x00\x53\x75\xa0\x01x")
        .await;
    let delivery = receiver.recv().await.unwrap();
    for (section_number, section_offset) in [(0, 0), (0, 1), (1, 0)] {
        let received = Received {
            section_number,
            section_offset,
        };
        delivery.update(received).unwrap();
        let disposition = peer.expect_disposition().await;
        assert_eq!(
            (disposition.role, disposition.settled),
            (Role::Receiver, false)
        );
        assert_eq!(disposition.state, Some(received.into()));
    }
    delivery.accept().unwrap();
    assert!(peer.expect_disposition().await.settled);
}

/// Of a delivery that is not resumed nobody needs to know how much went before.
#[tokio::test(start_paused = true)]
async fn o_005_only_a_resumed_delivery_begins_in_the_middle() {
    let (mut peer, sender) = scene::sender().await;
    peer.grant(0, 2).await;
    let received = Received {
        section_number: 0,
        section_offset: 1,
    };
    let new = OutgoingMessage::from("x").with_state(received);
    let error = sender.send_with_receipt(new).await.unwrap_err();
    assert!(matches!(error, SendError::NotResumed), "{error}");
    peer.expect_nothing().await;
    let tag = b"old".as_slice().try_into().unwrap();
    let resumed = OutgoingMessage::from("x").with_state(received).resumed(tag);
    let _receipt = sender.send_with_receipt(resumed).await.unwrap();
    let (transfer, _) = peer.expect_transfer().await;
    assert_eq!(transfer.state, Some(received.into()));
}

#[tokio::test(start_paused = true)]
async fn o_014_what_the_sender_settles_by_itself_is_over() {
    let (mut peer, receiver) = scene::receiver(ReceiverOptions::default()).await;
    peer.send_transfer(peer::transfer(0), b"\x00\x53\x75\xa0\x01x")
        .await;
    let delivery = receiver.recv().await.unwrap();
    let expired = Disposition {
        role: Role::Sender,
        ..peer::settle(0, 0, Outcome::Released)
    };
    peer.send(expired).await;
    peer.expect_nothing().await;
    delivery.accept().unwrap();
    peer.expect_nothing().await; // there is nothing left to settle
    peer.send_transfer(peer::transfer(1), b"\x00\x53\x75\xa0\x01x")
        .await;
    receiver.recv().await.unwrap().accept().unwrap();
    assert_eq!(peer.expect_disposition().await.first, 1);
}

#[tokio::test(start_paused = true)]
async fn p_016_dispositions_may_come_in_any_order() {
    let (mut peer, _sender, receipts) = sent(3, 0).await;
    for id in [2, 0, 1] {
        peer.send(peer::accept_one(id)).await;
    }
    for receipt in receipts {
        assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
    }
}

#[tokio::test(start_paused = true)]
async fn o_018_p_012_a_disposition_in_the_middle_of_a_delivery_resolves_it() {
    let open = amqp10::codec::Open {
        max_frame_size: 512,
        ..peer::open()
    };
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), open).await;
    let begin = amqp10::codec::Begin {
        incoming_window: 1,
        ..peer::begin()
    };
    let (session, _) = tokio::join!(
        connection.begin(Default::default()),
        peer.answer_begin(begin)
    );
    let session = session.unwrap();
    let sender = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
    peer.send(amqp10::codec::Flow {
        incoming_window: 1,
        handle: Some(HANDLE),
        delivery_count: Some(0),
        link_credit: Some(5),
        ..peer.flow()
    })
    .await;
    let receipt = sender.send_with_receipt(vec![0; 2000]).await.unwrap();
    assert!(peer.expect_transfer().await.0.more);
    peer.send(peer::settle(0, 0, Outcome::Released)).await;
    assert_eq!(receipt.await.unwrap(), Outcome::Released);
    // The rest goes out, or an abort does; either way the link can go on.
    peer.send(peer.flow()).await;
    loop {
        let (transfer, _) = peer.expect_transfer().await;
        if !transfer.more || transfer.aborted {
            break;
        }
    }
    sender.send_settled("next").await.unwrap();
    assert_eq!(peer.expect_transfer().await.0.delivery_id, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_delivery_is_settled_as_the_options_say() {
    let failed: Outcome = Modified {
        delivery_failed: true,
        ..Modified::default()
    }
    .into();
    for (on_drop, outcome) in [
        (OnDrop::Modify, Some(failed)),
        (OnDrop::Release, Some(Outcome::Released)),
        (OnDrop::Reject, Some(Rejected::default().into())),
        (OnDrop::Accept, Some(Outcome::Accepted)),
        (OnDrop::LeaveUnsettled, None),
    ] {
        let (mut peer, receiver) =
            scene::receiver(ReceiverOptions::default().on_drop(on_drop)).await;
        peer.send_transfer(peer::transfer(0), b"x").await;
        drop(receiver.recv().await.unwrap());
        match outcome {
            Some(outcome) => {
                assert_eq!(peer.expect_disposition().await.state, Some(outcome.into()))
            }
            None => peer.expect_nothing().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_023_what_is_dropped_gets_an_outcome_that_the_source_lists() {
    let accepted = || amqp10::Symbol::from_static("amqp:accepted:list");
    let released = || amqp10::Symbol::from_static("amqp:released:list");
    for (listed, outcome) in [
        (vec![accepted(), released()], Some(Outcome::Released)),
        (vec![accepted()], None),
    ] {
        let (mut peer, session) = scene::session().await;
        let attaching = session.attach_receiver("node", ReceiverOptions::default());
        let (receiver, ()) = tokio::join!(attaching, async {
            let mut answer = peer::answer_to(&peer.expect_attach().await);
            answer.source.as_mut().unwrap().outcomes = listed;
            peer.send(answer).await;
            peer.expect_flow().await;
        });
        peer.send_transfer(peer::transfer(0), b"x").await;
        drop(receiver.unwrap().recv().await.unwrap());
        match outcome {
            Some(outcome) => {
                assert_eq!(peer.expect_disposition().await.state, Some(outcome.into()));
            }
            // The link goes with its last handle, and with it what was left unsettled.
            None => assert!(peer.expect_detach().await.closed),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn automatic_acceptance_settles_what_is_handed_out() {
    let options = ReceiverOptions::default().auto_accept(true);
    let (mut peer, receiver) = scene::receiver(options).await;
    peer.send_transfer(peer::transfer(0), b"x").await;
    peer.expect_nothing().await;
    assert!(receiver.recv().await.unwrap().is_settled());
    assert_eq!(peer.expect_disposition().await, peer::accept_one(0));
}

#[tokio::test(start_paused = true)]
async fn e_020_every_waiter_learns_of_the_end() {
    let (mut peer, sender, receipts) = sent(3, 0).await;
    let waiting = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send("without credit").await }
    });
    tokio::task::yield_now().await;
    let error = AmqpError::new(amqp10::Symbol::from_static("com.example:odd"), "E-019");
    peer.send(amqp10::codec::Detach {
        handle: HANDLE,
        closed: true,
        error: Some(error.clone()),
    })
    .await;
    for receipt in receipts {
        assert_eq!(receipt.await.unwrap_err().remote_error(), Some(&error));
    }
    let unsent = waiting.await.unwrap().unwrap_err();
    assert!(matches!(unsent, SendError::NotSent(_)), "{unsent:?}");
    assert_eq!(unsent.remote_error(), Some(&error));
    assert_eq!(sender.detached().await.remote_error(), Some(&error));
}

#[tokio::test(start_paused = true)]
async fn d_033_a_peer_that_never_settles_costs_bounded_memory() {
    let mut options = peer::client_options();
    options.limits.max_abandoned_deliveries = 10;
    let (mut peer, connection) = Peer::opened_client(options, peer::open()).await;
    let (session, _) = tokio::join!(
        connection.begin(Default::default()),
        peer.answer_begin(peer::begin())
    );
    let session = session.unwrap();
    let (sender, _): (_, Attach) = tokio::join!(
        session.attach_sender("node", SenderOptions::default()),
        peer.answer_attach()
    );
    let sender = sender.unwrap();
    peer.grant(0, 1000).await;
    for id in 0..30 {
        drop(sender.send_with_receipt("x").await.unwrap());
        assert_eq!(peer.expect_transfer().await.0.delivery_id, Some(id));
        if id >= 10 {
            let disposition = peer.expect_disposition().await;
            assert_eq!(
                (disposition.role, disposition.first),
                (Role::Sender, id - 10)
            );
            assert!(disposition.settled);
        }
    }
}
