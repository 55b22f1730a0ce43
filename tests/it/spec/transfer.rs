//! Transferring messages [2.6.12, 2.6.14, 2.7.5].

use amqp10::codec::{
    Attach, DeliveryState, Performative, Received, ReceiverSettleMode, SenderSettleMode, Transfer,
    condition,
};
use amqp10::error::SettleModeMismatch;
use amqp10::{
    AcceptLinkOptions, Credit, Delivery, Message, Outcome, OutgoingMessage, Receiver,
    ReceiverOptions, SenderOptions,
};
use bytes::Bytes;

use crate::support::peer::{self, HANDLE, Peer};
use crate::support::scene;

fn more(transfer: Transfer) -> Transfer {
    Transfer {
        more: true,
        ..transfer
    }
}

/// Our receiver, the peer's transfers, and the delivery that comes of them.
async fn deliver(
    options: ReceiverOptions,
    frames: impl IntoIterator<Item = (Transfer, &'static [u8])>,
) -> (Peer, Receiver, Delivery) {
    let (mut peer, receiver) = scene::receiver(options).await;
    for (transfer, payload) in frames {
        peer.send_transfer(transfer, payload).await;
    }
    let delivery = receiver.recv().await.unwrap();
    (peer, receiver, delivery)
}

/// Our receiver detaches the link because of these transfers.
async fn expect_detached(
    options: ReceiverOptions,
    frames: impl IntoIterator<Item = Transfer>,
    condition: amqp10::Symbol,
) {
    let (mut peer, receiver) = scene::receiver(options).await;
    for transfer in frames {
        peer.send_transfer(transfer, b"x").await;
    }
    peer.expect_detach_with(condition).await;
    assert!(receiver.is_detached());
}

#[tokio::test(start_paused = true)]
async fn d_001_d_005_m_010_each_delivery_has_id_tag_and_format_and_tags_differ() {
    let (mut peer, sender) = scene::sender().await;
    peer.grant(0, 300).await;
    let mut tags = std::collections::HashSet::new();
    for id in 0..300 {
        sender.send_settled("x").await.unwrap();
        let (transfer, _) = peer.expect_transfer().await;
        assert_eq!((transfer.handle, transfer.delivery_id), (0, Some(id)));
        assert_eq!(transfer.message_format, Some(0));
        assert!(tags.insert(transfer.delivery_tag.unwrap()));
    }
}

#[tokio::test(start_paused = true)]
async fn d_005_the_first_frame_needs_id_tag_and_format() {
    let whole = || peer::transfer(0);
    for transfer in [
        Transfer {
            delivery_id: None,
            ..whole()
        },
        Transfer {
            delivery_tag: None,
            ..whole()
        },
        Transfer {
            message_format: None,
            ..whole()
        },
    ] {
        let options = ReceiverOptions::default();
        expect_detached(options, [transfer], condition::INVALID_FIELD).await;
    }
}

#[tokio::test(start_paused = true)]
async fn d_005_an_empty_tag_is_legal() {
    let transfer = Transfer {
        delivery_tag: Some(amqp10::DeliveryTag::EMPTY),
        ..peer::transfer(0)
    };
    let (_peer, _receiver, delivery) =
        deliver(ReceiverOptions::default(), [(transfer, &b"x"[..])]).await;
    assert_eq!(delivery.delivery_tag(), amqp10::DeliveryTag::EMPTY);
}

#[tokio::test(start_paused = true)]
async fn d_006_continuation_frames_may_repeat_what_the_first_said() {
    let frames = [
        (more(peer::transfer(5)), &b"one "[..]),
        (more(peer::transfer(5)), b"two "),
        (more(peer::continuation()), b""),
        (peer::continuation(), b"three"),
    ];
    let (_peer, _receiver, delivery) = deliver(ReceiverOptions::default(), frames).await;
    assert_eq!(delivery.payload().as_ref(), b"one two three");
    assert_eq!(delivery.delivery_id(), 5);
}

#[tokio::test(start_paused = true)]
async fn d_006_continuation_frames_must_not_change_it() {
    for second in [
        peer::transfer(1),
        Transfer {
            message_format: Some(1),
            ..peer::continuation()
        },
        Transfer {
            delivery_tag: Some(amqp10::DeliveryTag::EMPTY),
            ..peer::continuation()
        },
    ] {
        let frames = [more(peer::transfer(0)), second];
        expect_detached(ReceiverOptions::default(), frames, condition::INVALID_FIELD).await;
    }
}

#[tokio::test(start_paused = true)]
async fn d_007_two_links_share_one_sequence_of_ids_also_with_large_deliveries() {
    let open = amqp10::codec::Open {
        max_frame_size: 512,
        ..peer::open()
    };
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), open).await;
    let (session, _) = tokio::join!(
        connection.begin(Default::default()),
        peer.answer_begin(peer::begin())
    );
    let session = session.unwrap();
    let first = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
    let (second, ()) = tokio::join!(
        session.attach_sender("node", SenderOptions::default()),
        async {
            let asked = peer.expect_attach().await;
            peer.send(Attach {
                handle: HANDLE + 1,
                ..peer::answer_to(&asked)
            })
            .await;
        }
    );
    let second = second.unwrap();
    peer.grant(0, 10).await;
    peer.send(amqp10::codec::Flow {
        handle: Some(HANDLE + 1),
        delivery_count: Some(0),
        link_credit: Some(10),
        ..peer.flow()
    })
    .await;
    while first.credit() == 0 || second.credit() == 0 {
        tokio::task::yield_now().await;
    }
    // Nothing of the large one has been flushed when the small ones are sent.
    let receipts = [
        first.send_with_receipt(vec![1; 3000]).await.unwrap(),
        second.send_with_receipt("small").await.unwrap(),
        second.send_with_receipt(vec![2; 3000]).await.unwrap(),
    ];
    let (mut ids, mut complete) = (Vec::new(), 0);
    while complete < 3 {
        let (transfer, _) = peer.expect_transfer().await;
        ids.extend(transfer.delivery_id);
        complete += usize::from(!transfer.more);
    }
    assert_eq!(ids, [0, 1, 2]);
    peer.send(peer::accept(0, 2)).await;
    for receipt in receipts {
        assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
    }
}

#[tokio::test(start_paused = true)]
async fn d_008_delivery_ids_that_skip_or_repeat_end_the_session() {
    for second in [0, 2, u32::MAX] {
        let (mut peer, _receiver) = scene::receiver(ReceiverOptions::default()).await;
        peer.send_transfer(peer::transfer(0), b"x").await;
        peer.send_transfer(peer::transfer(second), b"x").await;
        peer.expect_end_with(condition::INVALID_FIELD).await;
    }
}

#[tokio::test(start_paused = true)]
async fn d_008_delivery_ids_start_anywhere_and_wrap() {
    let (mut peer, receiver) = scene::receiver(ReceiverOptions::default()).await;
    for id in [u32::MAX - 1, u32::MAX, 0, 1] {
        peer.send_transfer(peer::transfer(id), b"x").await;
        let delivery = receiver.recv().await.unwrap();
        assert_eq!(delivery.delivery_id(), id);
        delivery.accept().unwrap();
        assert_eq!(peer.expect_disposition().await, peer::accept_one(id));
    }
}

#[tokio::test(start_paused = true)]
async fn d_009_d_011_d_030_a_delivery_may_be_split_at_every_octet() {
    let payload = b"\0\x53\x77\xa1\x0dsplit at will";
    let (mut peer, receiver) = scene::receiver(ReceiverOptions::default()).await;
    for (position, octet) in payload.iter().enumerate() {
        let transfer = match position {
            0 => peer::transfer(0),
            _ => peer::continuation(),
        };
        peer.send_transfer(more(transfer), &[*octet]).await;
        peer.send_transfer(more(peer::continuation()), b"").await;
    }
    assert!(receiver.try_recv().unwrap().is_none());
    peer.send_transfer(peer::continuation(), b"").await;
    let delivery = receiver.recv().await.unwrap();
    assert_eq!(delivery.message().unwrap(), Message::from("split at will"));
}

#[tokio::test(start_paused = true)]
async fn d_010_deliveries_of_two_links_may_interleave_and_of_one_may_not() {
    let (mut peer, session) = scene::session().await;
    let first = scene::attach_receiver(&mut peer, &session, ReceiverOptions::default()).await;
    let (second, ()) = tokio::join!(
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
    let second = second.unwrap();
    let on_second = |transfer: Transfer| Transfer {
        handle: HANDLE + 1,
        ..transfer
    };
    peer.send_transfer(more(peer::transfer(0)), b"one ").await;
    peer.send_transfer(more(on_second(peer::transfer(1))), b"two ")
        .await;
    peer.send_transfer(peer::continuation(), b"first").await;
    peer.send_transfer(on_second(peer::continuation()), b"second")
        .await;
    assert_eq!(first.recv().await.unwrap().payload().as_ref(), b"one first");
    assert_eq!(
        second.recv().await.unwrap().payload().as_ref(),
        b"two second"
    );
}

#[tokio::test(start_paused = true)]
async fn d_012_an_aborted_delivery_is_not_delivered_and_not_settled() {
    let (mut peer, receiver) = scene::receiver(ReceiverOptions::default()).await;
    peer.send_transfer(more(peer::transfer(0)), b"half").await;
    peer.send_transfer(more(peer::continuation()), b"half")
        .await;
    let aborted = Transfer {
        aborted: true,
        more: true, // ignored
        ..peer::continuation()
    };
    peer.send_transfer(aborted, b"ignored").await;
    peer.expect_nothing().await;
    peer.send_transfer(peer::transfer(1), b"whole").await;
    let delivery = receiver.recv().await.unwrap();
    assert_eq!(delivery.payload().as_ref(), b"whole");
    delivery.accept().unwrap();
    assert_eq!(peer.expect_disposition().await, peer::accept_one(1));
}

#[tokio::test(start_paused = true)]
async fn d_014_a_single_frame_may_be_aborted() {
    let (mut peer, receiver) = scene::receiver(ReceiverOptions::default()).await;
    let aborted = Transfer {
        aborted: true,
        ..peer::transfer(0)
    };
    peer.send_transfer(aborted, b"x").await;
    peer.send_transfer(peer::transfer(1), b"whole").await;
    assert_eq!(receiver.recv().await.unwrap().delivery_id(), 1);
}

#[tokio::test(start_paused = true)]
async fn d_015_settled_on_any_frame_holds_for_the_delivery() {
    let settled = |transfer: Transfer| Transfer {
        settled: Some(true),
        ..transfer
    };
    for position in 0..3 {
        let mut frames = [
            (more(peer::transfer(0)), &b"a"[..]),
            (more(peer::continuation()), b"b"),
            (peer::continuation(), b"c"),
        ];
        frames[position].0 = settled(frames[position].0.clone());
        let (mut peer, _receiver, delivery) = deliver(ReceiverOptions::default(), frames).await;
        assert!(delivery.is_settled(), "{position}");
        // D-018
        delivery.accept().unwrap();
        peer.expect_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn d_016_d_017_we_keep_to_the_settle_mode_of_our_attach() {
    let options = SenderOptions::default().snd_settle_mode(SenderSettleMode::Settled);
    let (mut peer, sender) = scene::sender_with(options).await;
    peer.grant(0, 10).await;
    let error = sender.send("x").await.unwrap_err();
    assert!(
        matches!(
            error,
            amqp10::SendError::SettleMode(SettleModeMismatch::LinkIsSettled)
        ),
        "{error:?}"
    );
    sender.send_settled("x").await.unwrap();
    assert_eq!(peer.expect_transfer().await.0.settled, Some(true));

    let options = SenderOptions::default().snd_settle_mode(SenderSettleMode::Unsettled);
    let (mut peer, sender) = scene::sender_with(options).await;
    peer.grant(0, 10).await;
    assert!(sender.send_settled("x").await.is_err());
    let _receipt = sender.send_with_receipt("x").await.unwrap();
    assert_ne!(peer.expect_transfer().await.0.settled, Some(true));
}

#[tokio::test(start_paused = true)]
async fn d_016_d_017_a_sender_that_breaks_its_settle_mode_is_detached() {
    for (mode, settled) in [
        (SenderSettleMode::Unsettled, Some(true)),
        (SenderSettleMode::Settled, None),
    ] {
        let options = ReceiverOptions::default().snd_settle_mode(mode);
        let transfer = Transfer {
            settled,
            ..peer::transfer(0)
        };
        expect_detached(options, [transfer], condition::INVALID_FIELD).await;
    }
}

#[tokio::test(start_paused = true)]
async fn d_019_a_delivery_may_ask_for_mode_first_on_a_link_of_mode_second() {
    let options = ReceiverOptions::default().rcv_settle_mode(ReceiverSettleMode::Second);
    let transfer = Transfer {
        rcv_settle_mode: Some(ReceiverSettleMode::First),
        ..peer::transfer(0)
    };
    let (mut peer, _receiver, delivery) = deliver(options, [(transfer, &b"x"[..])]).await;
    delivery.accept().unwrap();
    assert!(peer.expect_disposition().await.settled);
}

#[tokio::test(start_paused = true)]
async fn d_020_mode_second_on_a_link_of_mode_first_is_detached() {
    let transfer = Transfer {
        rcv_settle_mode: Some(ReceiverSettleMode::Second),
        ..peer::transfer(0)
    };
    expect_detached(
        ReceiverOptions::default(),
        [transfer],
        condition::INVALID_FIELD,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn d_021_the_mode_of_a_settled_delivery_does_not_matter() {
    let transfer = Transfer {
        rcv_settle_mode: Some(ReceiverSettleMode::Second),
        settled: Some(true),
        ..peer::transfer(0)
    };
    let (_peer, _receiver, delivery) =
        deliver(ReceiverOptions::default(), [(transfer, &b"x"[..])]).await;
    assert!(delivery.is_settled());
}

#[tokio::test(start_paused = true)]
async fn d_022_the_state_of_a_transfer_is_shown() {
    let state: DeliveryState = Received {
        section_number: 1,
        section_offset: 2,
    }
    .into();
    let transfer = Transfer {
        state: Some(state.clone()),
        ..peer::transfer(0)
    };
    let (_peer, _receiver, delivery) =
        deliver(ReceiverOptions::default(), [(transfer, &b"x"[..])]).await;
    assert_eq!(delivery.state(), Some(&state));
}

#[tokio::test(start_paused = true)]
async fn d_022_tag_and_state_of_ours_are_sent_once() {
    let open = amqp10::codec::Open {
        max_frame_size: 512,
        ..peer::open()
    };
    let (mut peer, connection) = Peer::opened_client(peer::client_options(), open).await;
    let (session, _) = tokio::join!(
        connection.begin(Default::default()),
        peer.answer_begin(peer::begin())
    );
    let sender = scene::attach_sender(&mut peer, &session.unwrap(), SenderOptions::default()).await;
    peer.grant(0, 10).await;
    let tag = b"mine".as_slice().try_into().unwrap();
    let message = OutgoingMessage::encoded(0, vec![0; 1000])
        .with_delivery_tag(tag)
        .with_state(Outcome::Released);
    sender.send_settled(message).await.unwrap();
    let (first, _) = peer.expect_transfer().await;
    assert_eq!(first.delivery_tag, Some(tag));
    assert_eq!(first.state, Some(Outcome::Released.into()));
    let (second, _) = peer.expect_transfer().await;
    assert_eq!(
        second,
        Transfer {
            more: second.more,
            ..Transfer::default()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn d_024_p_007_batchable_does_not_delay_settlement_for_ever() {
    let transfer = Transfer {
        batchable: true,
        ..peer::transfer(0)
    };
    let (mut peer, _receiver, delivery) =
        deliver(ReceiverOptions::default(), [(transfer, &b"x"[..])]).await;
    delivery.accept().unwrap();
    peer.expect_disposition().await;
}

#[tokio::test(start_paused = true)]
async fn d_025_resume_of_an_unknown_tag_is_ignored_but_counts() {
    let options = ReceiverOptions::default().credit(Credit::Auto(10));
    let (mut peer, receiver) = scene::receiver(options).await;
    let resumed = Transfer {
        resume: true,
        ..peer::transfer(0)
    };
    peer.send_transfer(more(resumed), b"x").await;
    peer.send_transfer(more(peer::continuation()), b"y").await;
    peer.send_transfer(peer::continuation(), b"z").await;
    peer.send_transfer(peer::transfer(1), b"new").await;
    assert_eq!(receiver.recv().await.unwrap().delivery_id(), 1);
    assert_eq!(receiver.credit(), 8);
}

#[tokio::test(start_paused = true)]
async fn d_029_any_message_format_passes_through() {
    for format in [1, 0x8001_3700, u32::MAX] {
        let transfer = Transfer {
            message_format: Some(format),
            ..peer::transfer(0)
        };
        let options = ReceiverOptions::default();
        let (_peer, _receiver, delivery) = deliver(options, [(transfer, &b"opaque"[..])]).await;
        assert_eq!(delivery.message_format(), format);
        assert_eq!(delivery.payload().as_ref(), b"opaque");
    }
    let (mut peer, sender) = scene::sender().await;
    peer.grant(0, 1).await;
    let batch = OutgoingMessage::encoded(0x8001_3700, Bytes::from_static(b"opaque"));
    sender.send_settled(batch).await.unwrap();
    let (transfer, payload) = peer.expect_transfer().await;
    assert_eq!(transfer.message_format, Some(0x8001_3700));
    assert_eq!(payload.as_ref(), b"opaque");
}

#[tokio::test(start_paused = true)]
async fn d_031_a_transfer_without_payload_is_legal() {
    let frames = [(peer::transfer(0), &b""[..])];
    let (_peer, _receiver, delivery) = deliver(ReceiverOptions::default(), frames).await;
    assert!(delivery.payload().is_empty());
}

#[tokio::test(start_paused = true)]
async fn m_011_a_payload_that_is_no_message_harms_neither_link_nor_connection() {
    let (mut peer, receiver) = scene::accepted_receiver(AcceptLinkOptions::default()).await;
    peer.send_transfer(peer::transfer(0), b"\xff\xff").await;
    peer.send_transfer(peer::transfer(1), b"\0\x53\x77\x40")
        .await;
    let broken = receiver.recv().await.unwrap();
    assert!(broken.message().is_err());
    broken.reject(None).unwrap();
    assert!(receiver.recv().await.unwrap().message().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_transfer_on_a_link_on_which_the_peer_receives_ends_the_session() {
    let (mut peer, _sender) = scene::sender().await;
    peer.send_transfer(peer::transfer(0), b"x").await;
    peer.expect_end_with(condition::NOT_ALLOWED).await;
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_dropped_while_it_waits_sends_nothing() {
    let (mut peer, sender) = scene::sender().await;
    let given_up = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send("given up").await }
    });
    tokio::task::yield_now().await;
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    peer.grant(0, 10).await;
    peer.expect_nothing().await;
    sender.send_settled("sent").await.unwrap();
    let (_, performative, payload) = peer.expect().await;
    assert!(matches!(performative, Performative::Transfer(_)));
    assert_eq!(Message::decode(payload).unwrap(), Message::from("sent"));
}

#[tokio::test(start_paused = true)]
async fn d_004_a_transfer_without_a_handle_is_refused() {
    let (mut peer, _receiver) = scene::receiver(ReceiverOptions::default()).await;
    // A transfer whose handle is null: 00 53 14, a list of one null.
    let frame = b"\x00\x00\x00\x0f\x02\x00\x00\x07\x00\x53\x14\xc0\x02\x01\x40";
    peer.send_bytes(frame).await;
    peer.expect_close_with(condition::INVALID_FIELD).await;
}

#[tokio::test(start_paused = true)]
async fn d_018_d_032_a_settled_delivery_is_not_answered() {
    let settled = Transfer {
        settled: Some(true),
        ..peer::transfer(0)
    };
    let (mut peer, _receiver, delivery) =
        deliver(ReceiverOptions::default(), [(settled, &b"x"[..])]).await;
    assert!(delivery.is_settled());
    delivery.accept().unwrap();
    drop(delivery);
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn d_027_the_first_frame_of_a_resumed_delivery_says_so() {
    let (mut peer, sender) = scene::sender().await;
    peer.grant(0, 1).await;
    let tag = amqp10::DeliveryTag::try_from(&b"old"[..]).unwrap();
    let large = OutgoingMessage::from(vec![7; 300_000]).resumed(tag);
    let _receipt = sender.send_with_receipt(large).await.unwrap();
    let (first, _) = peer.expect_transfer().await;
    assert!(first.resume && first.more);
}
