//! Links [2.6.1 - 2.6.6, 2.7.3, 2.7.7].

use std::time::Duration;

use amqp10::codec::{
    Attach, Detach, FilterSet, Flow, ReceiverSettleMode, Role, SenderSettleMode, Source, Symbol,
    Target, TargetArchetype, UnsettledMap, condition,
};
use amqp10::{
    AcceptLinkOptions, AcceptedLink, AmqpError, Credit, LinkError, OutgoingMessage, Receiver,
    ReceiverOptions, SendError, SenderOptions,
};

use crate::support::peer::{self, HANDLE, Peer};
use crate::support::scene;

fn not_found() -> AmqpError {
    AmqpError::new(condition::NOT_FOUND, "no such node")
}

/// The peer's last word on its first link.
fn detach(closed: bool, error: Option<AmqpError>) -> Detach {
    Detach {
        handle: HANDLE,
        closed,
        error,
    }
}

/// A receiver of our client under this name, with its first flow taken.
async fn named_receiver(name: &str) -> (Peer, Receiver) {
    scene::receiver(ReceiverOptions::default().name(name)).await
}

#[tokio::test(start_paused = true)]
async fn l_002_one_name_in_both_directions_is_two_links() {
    let (mut peer, session) = scene::session().await;
    let sender = SenderOptions::default().name("x");
    let _sender = scene::attach_sender(&mut peer, &session, sender).await;
    let (receiver, asked) = tokio::join!(
        session.attach_receiver("node", ReceiverOptions::default().name("x")),
        async {
            let asked = peer.expect_attach().await;
            peer.send(Attach {
                handle: HANDLE + 1,
                ..peer::answer_to(&asked)
            })
            .await;
            asked
        }
    );
    assert_eq!(receiver.unwrap().name(), "x");
    assert_eq!((asked.role, asked.handle), (Role::Receiver, 1));
}

#[tokio::test(start_paused = true)]
async fn l_001_a_name_in_use_is_refused_here() {
    let (mut peer, session) = scene::session().await;
    let options = || SenderOptions::default().name("x");
    let _sender = scene::attach_sender(&mut peer, &session, options()).await;
    let error = session.attach_sender("node", options()).await.unwrap_err();
    assert!(matches!(error, LinkError::NameInUse), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn l_003_attaching_a_name_again_steals_the_link() {
    let (mut peer, connection) = scene::incoming_session().await;
    let attach = peer::attach_sender("x");
    let options = AcceptLinkOptions::default();
    let old = scene::accept(&mut peer, &connection, attach, options).await;
    let AcceptedLink::Receiver(old) = old else {
        panic!("not a receiver")
    };
    peer.expect_attach().await;
    peer.expect_flow().await;
    peer.send(Attach {
        handle: HANDLE + 1,
        ..peer::attach_sender("x")
    })
    .await;
    let new = connection.accept_link().await.unwrap();
    let _new = new.accept(AcceptLinkOptions::default()).await.unwrap();
    let (mut has_attach, mut has_detach) = (false, false);
    while !(has_attach && has_detach) {
        match peer.expect().await.1 {
            amqp10::codec::Performative::Attach(attach) => {
                assert_eq!(attach.handle, 1);
                has_attach = true;
            }
            amqp10::codec::Performative::Detach(detach) => {
                assert_eq!((detach.handle, detach.closed), (0, true));
                assert_eq!(detach.error.unwrap().condition, condition::STOLEN);
                has_detach = true;
            }
            _ => {}
        }
    }
    let error = old.detached().await;
    assert_eq!(error.remote_error().unwrap().condition, condition::STOLEN);
}

#[tokio::test(start_paused = true)]
async fn l_005_l_006_l_009_each_side_has_its_own_handles_and_ours_are_the_lowest_free() {
    let (mut peer, session) = scene::session().await;
    let first = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
    let attaching = |handle: u32| {
        let session = session.clone();
        tokio::spawn(async move {
            let sender = session
                .attach_sender("node", SenderOptions::default())
                .await;
            (handle, sender.unwrap())
        })
    };
    let second = attaching(1);
    let asked = peer.expect_attach().await;
    assert_eq!(asked.handle, 1);
    peer.send(Attach {
        handle: HANDLE + 1,
        ..peer::answer_to(&asked)
    })
    .await;
    let (_, second) = second.await.unwrap();
    // L-009: handle 0 is free once both sides have detached.
    let closing = tokio::spawn(async move { first.close().await });
    peer.answer_detach().await;
    closing.await.unwrap().unwrap();
    let third = attaching(0);
    let asked = peer.answer_attach().await;
    assert_eq!(asked.handle, 0);
    let (_, third) = third.await.unwrap();
    drop((second, third));
}

#[tokio::test(start_paused = true)]
async fn l_007_a_handle_in_use_ends_the_session() {
    let (mut peer, connection) = scene::incoming_session().await;
    peer.send(peer::attach_sender("one")).await;
    let _link = connection.accept_link().await.unwrap();
    peer.send(peer::attach_sender("two")).await;
    peer.expect_end_with(condition::HANDLE_IN_USE).await;
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn l_008_a_transfer_on_an_unattached_handle_ends_the_session() {
    let (mut peer, connection) = scene::incoming_session().await;
    peer.send_transfer(peer::transfer(0), b"x").await;
    peer.expect_end_with(condition::UNATTACHED_HANDLE).await;
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn l_008_a_detach_of_an_unattached_handle_ends_the_session() {
    let (mut peer, _connection) = scene::incoming_session().await;
    peer.send(detach(true, None)).await;
    peer.expect_end_with(condition::UNATTACHED_HANDLE).await;
}

#[tokio::test(start_paused = true)]
async fn l_010_an_attach_without_its_mandatory_fields_is_refused() {
    let (mut peer, _connection) = scene::incoming_session().await;
    peer.send_bytes(b"\0\0\0\x0c\x02\0\0\x07\0\x53\x12\x45")
        .await;
    let error = peer.expect_close().await.error.unwrap();
    assert!(
        [condition::DECODE_ERROR, condition::INVALID_FIELD].contains(&error.condition),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn l_012_an_answer_has_the_same_name_and_the_opposite_role() {
    let (mut peer, connection) = scene::incoming_session().await;
    for (attach, role) in [
        (peer::attach_sender("x"), Role::Receiver),
        (
            Attach {
                handle: HANDLE + 1,
                ..peer::attach_receiver("x")
            },
            Role::Sender,
        ),
    ] {
        peer.send(attach).await;
        let link = connection.accept_link().await.unwrap();
        let options = AcceptLinkOptions::default().credit(Credit::Manual);
        let accepted = link.accept(options).await.unwrap();
        let answer = peer.expect_attach().await;
        assert_eq!((answer.name.as_str(), answer.role), ("x", role));
        assert_eq!(
            answer.initial_delivery_count.is_some(),
            role == Role::Sender
        );
        if role == Role::Receiver {
            peer.expect_flow().await;
        }
        std::mem::forget(accepted);
    }
}

#[tokio::test(start_paused = true)]
async fn l_013_refusal_is_attach_with_null_terminus_then_detach() {
    for (attach, role) in [
        (peer::attach_sender("x"), Role::Sender),
        (peer::attach_receiver("x"), Role::Receiver),
    ] {
        let (mut peer, connection) = scene::incoming_session().await;
        peer.send(attach).await;
        let link = connection.accept_link().await.unwrap();
        link.refuse(not_found());
        let answer = peer.expect_attach().await;
        match role {
            Role::Sender => assert_eq!(answer.target, None),
            Role::Receiver => assert_eq!(answer.source, None),
        }
        let refusal = peer.expect_detach_with(condition::NOT_FOUND).await;
        assert_eq!(refusal.handle, answer.handle);
        peer.send(detach(true, None)).await;
        peer.expect_nothing().await;
        // Handle and name can be used again at once.
        peer.send(peer::attach_sender("x")).await;
        let link = connection.accept_link().await.unwrap();
        let _accepted = link.accept(AcceptLinkOptions::default()).await.unwrap();
        assert_eq!(peer.expect_attach().await.handle, answer.handle);
    }
}

#[tokio::test(start_paused = true)]
async fn l_013_a_refusal_may_echo_the_termini() {
    let (mut peer, connection) = scene::incoming_session().await;
    peer.send(peer::attach_sender("x")).await;
    let link = connection.accept_link().await.unwrap();
    link.refuse_with_termini(not_found());
    assert!(peer.expect_attach().await.target.is_some());
    peer.expect_detach_with(condition::NOT_FOUND).await;
}

#[tokio::test(start_paused = true)]
async fn l_013_links_that_nobody_accepts_are_refused_in_time() {
    let (mut peer, _connection) = scene::incoming_session().await;
    peer.send(peer::attach_sender("x")).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    peer.expect_attach().await;
    peer.expect_detach_with(condition::NOT_ALLOWED).await;
}

#[tokio::test(start_paused = true)]
async fn l_013_a_dropped_incoming_link_is_refused() {
    let (mut peer, connection) = scene::incoming_session().await;
    peer.send(peer::attach_sender("x")).await;
    drop(connection.accept_link().await.unwrap());
    assert_eq!(peer.expect_attach().await.target, None);
    peer.expect_detach_with(condition::NOT_ALLOWED).await;
}

#[tokio::test(start_paused = true)]
async fn l_014_a_null_terminus_is_a_refusal_whose_reason_follows() {
    let (mut peer, session) = scene::session().await;
    let attaching = tokio::spawn(async move {
        session
            .attach_sender("node", SenderOptions::default())
            .await
    });
    let asked = peer.expect_attach().await;
    peer.send(Attach {
        target: None,
        ..peer::answer_to(&asked)
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!attaching.is_finished());
    peer.send(detach(true, Some(not_found()))).await;
    match attaching.await.unwrap().unwrap_err() {
        LinkError::Refused(error) => assert_eq!(error, Some(not_found())),
        other => panic!("{other:?}"),
    }
    assert!(peer.expect_detach().await.closed);
}

#[tokio::test(start_paused = true)]
async fn l_014_a_refused_receiver_grants_nothing() {
    let (mut peer, session) = scene::session().await;
    let attaching = tokio::spawn(async move {
        session
            .attach_receiver("node", ReceiverOptions::default())
            .await
    });
    let asked = peer.expect_attach().await;
    peer.send(Attach {
        source: None,
        initial_delivery_count: None,
        ..peer::answer_to(&asked)
    })
    .await;
    peer.expect_nothing().await;
    peer.send(detach(true, Some(not_found()))).await;
    let error = attaching.await.unwrap().unwrap_err();
    assert_eq!(error.remote_error(), Some(&not_found()));
    peer.expect_detach().await;
}

#[tokio::test(start_paused = true)]
async fn l_015_a_detach_without_attach_is_a_refusal() {
    let (mut peer, session) = scene::session().await;
    let attaching = tokio::spawn(async move {
        session
            .attach_sender("node", SenderOptions::default())
            .await
    });
    peer.expect_attach().await;
    peer.send(Detach {
        handle: 0,
        ..detach(true, Some(not_found()))
    })
    .await;
    let error = attaching.await.unwrap().unwrap_err();
    assert!(matches!(error, LinkError::Refused(Some(_))), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn l_016_l_017_the_peers_termini_are_shown_as_it_describes_them() {
    let (mut peer, session) = scene::session().await;
    let attaching = tokio::spawn(async move {
        let target = Target {
            dynamic: true,
            ..Target::default()
        };
        let options = SenderOptions::default().target(target);
        session.attach_sender("", options).await
    });
    let asked = peer.expect_attach().await;
    peer.send(Attach {
        target: Some(Target::new("generated-7").into()),
        ..peer::answer_to(&asked)
    })
    .await;
    let sender = attaching.await.unwrap().unwrap();
    assert_eq!(sender.address(), Some("generated-7"));
}

#[tokio::test(start_paused = true)]
async fn l_017_our_answer_states_the_termini_that_were_made() {
    let (mut peer, connection) = scene::incoming_session().await;
    let mut wanted = peer::attach_receiver("x");
    wanted.source = Some(Source {
        filter: FilterSet::new().with(Symbol::from_static("unknown"), true),
        ..Source::new("node")
    });
    peer.send(wanted).await;
    let link = connection.accept_link().await.unwrap();
    let options = AcceptLinkOptions::default().source(Source::new("actual"));
    let _sender = link.accept(options).await.unwrap();
    let source = peer.expect_attach().await.source.unwrap();
    assert_eq!(source.address.as_deref(), Some("actual"));
    assert!(source.filter.is_empty());
}

#[tokio::test(start_paused = true)]
async fn l_019_a_senders_attach_without_initial_delivery_count_is_refused() {
    let (mut peer, _connection) = scene::incoming_session().await;
    peer.send(Attach {
        initial_delivery_count: None,
        ..peer::attach_sender("x")
    })
    .await;
    peer.expect_attach().await;
    peer.expect_detach_with(condition::INVALID_FIELD).await;
}

#[tokio::test(start_paused = true)]
async fn l_019_an_answer_without_initial_delivery_count_is_detached() {
    let (mut peer, session) = scene::session().await;
    let attaching = tokio::spawn(async move {
        session
            .attach_receiver("node", ReceiverOptions::default())
            .await
    });
    let asked = peer.expect_attach().await;
    peer.send(Attach {
        initial_delivery_count: None,
        ..peer::answer_to(&asked)
    })
    .await;
    peer.expect_detach_with(condition::INVALID_FIELD).await;
    let error = attaching.await.unwrap().unwrap_err();
    assert!(matches!(error, LinkError::Violation(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn l_020_l_021_l_043_attach_says_what_the_options_say() {
    let (mut peer, session) = scene::session().await;
    let options = SenderOptions::default()
        .snd_settle_mode(SenderSettleMode::Unsettled)
        .rcv_settle_mode(ReceiverSettleMode::Second)
        .initial_delivery_count(9)
        .max_message_size(1000)
        .desired_capabilities([Symbol::from_static("a")])
        .offered_capabilities([Symbol::from_static("b")]);
    let attaching = tokio::spawn(async move { session.attach_sender("node", options).await });
    let asked = peer.expect_attach().await;
    assert_eq!(asked.snd_settle_mode, SenderSettleMode::Unsettled);
    assert_eq!(asked.rcv_settle_mode, ReceiverSettleMode::Second);
    assert_eq!(asked.initial_delivery_count, Some(9));
    assert_eq!(asked.max_message_size, Some(1000));
    assert_eq!(asked.desired_capabilities, [Symbol::from_static("a")]);
    assert_eq!(asked.offered_capabilities, [Symbol::from_static("b")]);
    assert_eq!(asked.unsettled, None);
    attaching.abort();
}

#[tokio::test(start_paused = true)]
async fn l_023_l_025_a_message_above_the_peers_limit_fails_here() {
    let (mut peer, session) = scene::session().await;
    let attaching = tokio::spawn(async move {
        session
            .attach_sender("node", SenderOptions::default())
            .await
    });
    let asked = peer.expect_attach().await;
    peer.send(Attach {
        max_message_size: Some(100),
        ..peer::answer_to(&asked)
    })
    .await;
    let sender = attaching.await.unwrap().unwrap();
    peer.grant(0, 10).await;
    let error = sender.send(vec![0; 200]).await.unwrap_err();
    assert!(
        matches!(error, SendError::MessageTooLarge { limit: 100, .. }),
        "{error:?}"
    );
    sender.send_settled(vec![0; 50]).await.unwrap();
    let (transfer, _) = peer.expect_transfer().await;
    assert_eq!(transfer.delivery_id, Some(0));
}

#[tokio::test(start_paused = true)]
async fn l_023_a_limit_of_zero_is_none() {
    let (mut peer, session) = scene::session().await;
    let attaching = tokio::spawn(async move {
        session
            .attach_sender("node", SenderOptions::default())
            .await
    });
    let asked = peer.expect_attach().await;
    peer.send(Attach {
        max_message_size: Some(0),
        ..peer::answer_to(&asked)
    })
    .await;
    let sender = attaching.await.unwrap().unwrap();
    assert_eq!(sender.max_message_size(), None);
    peer.grant(0, 1).await;
    sender.send_settled("x").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn l_024_a_delivery_above_our_limit_is_detached_while_it_grows() {
    let options = ReceiverOptions::default().max_message_size(1000);
    let (mut peer, receiver) = scene::receiver(options).await;
    let more = amqp10::codec::Transfer {
        more: true,
        ..peer::transfer(0)
    };
    peer.send_transfer(more, &[0; 600]).await;
    peer.expect_nothing().await;
    let more = amqp10::codec::Transfer {
        more: true,
        delivery_id: Some(0),
        ..peer::continuation()
    };
    peer.send_transfer(more.clone(), &[0; 600]).await;
    peer.expect_detach_with(condition::MESSAGE_SIZE_EXCEEDED)
        .await;
    // L-030: what was in flight is dropped, also if it repeats the delivery-id.
    peer.send_transfer(more, &[0; 600]).await;
    peer.send(detach(true, None)).await;
    peer.expect_nothing().await;
    assert!(receiver.recv().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn l_026_l_027_detach_and_close_are_answered_in_kind() {
    for closed in [true, false] {
        let (mut peer, sender) = scene::sender().await;
        peer.send(detach(closed, Some(not_found()))).await;
        let answer = peer.expect_detach().await;
        assert_eq!((answer.handle, answer.closed), (0, closed));
        assert_eq!(answer.error, None);
        match sender.detached().await {
            LinkError::RemoteDetached {
                closed: by_close,
                error,
            } => {
                assert_eq!(by_close, closed);
                assert_eq!(error, Some(not_found()));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l_026_l_032_we_detach_without_closing() {
    let (mut peer, sender) = scene::sender().await;
    let detaching = tokio::spawn(async move { sender.detach().await });
    assert!(!peer.answer_detach().await.closed);
    detaching.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn l_026_a_detach_that_is_never_answered_meets_the_deadline() {
    let (mut peer, sender) = scene::sender().await;
    let closing = tokio::spawn(async move { sender.close().await });
    peer.expect_detach().await;
    let error = closing.await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            LinkError::Timeout {
                operation: "detach",
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn l_027_detaches_that_cross_answer_each_other() {
    let (mut peer, sender) = scene::sender().await;
    let closing = tokio::spawn({
        let sender = sender.clone();
        async move { sender.close().await }
    });
    peer.send(detach(true, None)).await;
    peer.expect_detach().await;
    closing.await.unwrap().unwrap();
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn l_029_dropping_the_last_handle_closes_the_link() {
    let (mut peer, session) = scene::session().await;
    let sender = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
    let another = sender.clone();
    drop(sender);
    peer.expect_nothing().await;
    drop(another);
    assert!(peer.answer_detach().await.closed);
}

#[tokio::test(start_paused = true)]
async fn l_030_frames_in_flight_after_our_detach_are_tolerated() {
    let (mut peer, receiver) = named_receiver("x").await;
    let closing = tokio::spawn({
        let receiver = receiver.clone();
        async move { receiver.close().await }
    });
    peer.expect_detach().await;
    peer.send_transfer(peer::transfer(0), b"late").await;
    let flow = Flow {
        handle: Some(HANDLE),
        echo: true,
        ..peer.flow()
    };
    peer.send(flow).await;
    peer.send(detach(true, None)).await;
    closing.await.unwrap().unwrap();
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn l_034_dispositions_for_a_closed_link_are_ignored() {
    let (mut peer, session) = scene::session().await;
    let sender = scene::attach_sender(&mut peer, &session, SenderOptions::default()).await;
    peer.grant(0, 10).await;
    let receipt = sender.send_with_receipt("x").await.unwrap();
    peer.expect_transfer().await;
    peer.send(detach(true, Some(not_found()))).await;
    peer.expect_detach().await;
    let error = receipt.await.unwrap_err();
    assert!(matches!(error, SendError::Unknown(_)), "{error:?}");
    peer.send(peer::accept(0, 0)).await;
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn l_042_a_link_without_a_source_of_ours_is_no_refusal() {
    let (mut peer, connection) = scene::incoming_session().await;
    peer.send(Attach {
        source: None,
        ..peer::attach_sender("x")
    })
    .await;
    let link = connection.accept_link().await.unwrap();
    let accepted = link.accept(AcceptLinkOptions::default()).await.unwrap();
    assert!(matches!(accepted, AcceptedLink::Receiver(_)));
    assert!(matches!(
        peer.expect_attach().await.target,
        Some(TargetArchetype::Target(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn l_044_a_redirect_is_shown_with_its_info() {
    let redirect = AmqpError {
        info: amqp10::codec::Fields::new().with(Symbol::from_static("hostname"), "other"),
        ..AmqpError::new(condition::LINK_REDIRECT, "go there")
    };
    let (mut peer, sender) = scene::sender().await;
    peer.send(detach(true, Some(redirect.clone()))).await;
    assert_eq!(sender.detached().await.remote_error(), Some(&redirect));
}

#[tokio::test(start_paused = true)]
async fn l_048_answers_to_several_attaches_may_come_in_any_order() {
    let (mut peer, session) = scene::session().await;
    let attach = |name: &'static str| {
        let session = session.clone();
        tokio::spawn(async move {
            let options = SenderOptions::default().name(name);
            session.attach_sender(name, options).await.unwrap()
        })
    };
    let (one, two) = (attach("one"), attach("two"));
    let asked = [peer.expect_attach().await, peer.expect_attach().await];
    for (number, attach) in asked.iter().enumerate().rev() {
        peer.send(Attach {
            handle: HANDLE + number as u32,
            ..peer::answer_to(attach)
        })
        .await;
    }
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    assert_eq!(one.address(), Some("one"));
    assert_eq!(two.address(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn an_attach_given_up_is_detached_and_its_late_answer_belongs_to_it() {
    let (mut peer, session) = scene::session().await;
    let options = || SenderOptions::default().name("x");
    let attaching = tokio::spawn({
        let session = session.clone();
        async move { session.attach_sender("node", options()).await }
    });
    let asked = peer.expect_attach().await;
    attaching.abort();
    peer.expect_nothing().await; // a detach before the answer would make the answer look like a new link
    let reserved = session.attach_sender("node", options()).await.unwrap_err();
    assert!(matches!(reserved, LinkError::NameInUse), "{reserved:?}");
    peer.send(peer::answer_to(&asked)).await;
    assert!(peer.answer_detach().await.closed);
    peer.expect_nothing().await;
    // Name and handle are free again.
    let (again, asked) = tokio::join!(
        session.attach_sender("node", options()),
        peer.answer_attach()
    );
    again.unwrap();
    assert_eq!(asked.handle, 0);
}

#[tokio::test(start_paused = true)]
async fn an_attach_that_is_never_answered_meets_the_deadline() {
    let (mut peer, session) = scene::session().await;
    let (attached, asked) = tokio::join!(
        session.attach_sender("node", SenderOptions::default()),
        peer.expect_attach()
    );
    let error = attached.unwrap_err();
    assert!(
        matches!(
            error,
            LinkError::Timeout {
                operation: "attach",
                ..
            }
        ),
        "{error:?}"
    );
    peer.send(peer::answer_to(&asked)).await;
    peer.expect_detach().await;
}

#[tokio::test(start_paused = true)]
async fn a_link_detached_before_it_is_accepted_is_answered_and_forgotten() {
    let (mut peer, connection) = scene::incoming_session().await;
    for number in 0..300 {
        peer.send(peer::attach_sender(&format!("link {number}")))
            .await;
        peer.send(detach(true, None)).await;
        peer.expect_attach().await;
        peer.expect_detach().await;
    }
    peer.send(peer::attach_sender("wanted")).await;
    let link = connection.accept_link().await.unwrap();
    assert_eq!(link.attach().name.as_str(), "wanted");
}

#[tokio::test(start_paused = true)]
async fn too_many_links_that_wait_are_refused() {
    let (mut peer, connection) = scene::incoming_session().await;
    for number in 0..129 {
        peer.send(Attach {
            handle: number,
            ..peer::attach_sender(&format!("link {number}"))
        })
        .await;
    }
    assert_eq!(peer.expect_attach().await.name.as_str(), "link 128");
    peer.expect_detach_with(condition::RESOURCE_LIMIT_EXCEEDED)
        .await;
    assert_eq!(connection.accept_link().await.unwrap().attach().handle, 0);
}

#[tokio::test(start_paused = true)]
async fn a_given_terminus_gets_the_address_of_the_attach_if_it_has_none() {
    let (mut peer, session) = scene::session().await;
    for (given, expected) in [(None, "node"), (Some("own"), "own")] {
        let address = given.map(Into::into);
        let target = Target {
            address: address.clone(),
            ..Target::default()
        };
        let source = Source {
            address,
            ..Source::default()
        };
        let sending = SenderOptions::default().target(target);
        let (sender, asked) =
            tokio::join!(session.attach_sender("node", sending), peer.answer_attach());
        let target = asked.target.unwrap();
        assert_eq!(
            target.address().map(|address| address.as_str()),
            Some(expected)
        );
        drop(sender);
        peer.answer_detach().await;
        let receiving = ReceiverOptions::default().source(source);
        let (receiver, asked) = tokio::join!(
            session.attach_receiver("node", receiving),
            peer.answer_attach()
        );
        assert_eq!(asked.source.unwrap().address.as_deref(), Some(expected));
        peer.expect_flow().await;
        drop(receiver);
        peer.answer_detach().await;
    }
}

#[tokio::test(start_paused = true)]
async fn z_011_an_empty_address_is_the_anonymous_node() {
    let (mut peer, session) = scene::session().await;
    let (sender, asked) = tokio::join!(
        session.attach_sender("", SenderOptions::default()),
        peer.answer_attach()
    );
    assert_eq!(asked.target.unwrap().address(), None);
    drop(sender);
}

#[tokio::test(start_paused = true)]
async fn l_018_a_filter_that_the_peer_ignores_may_refuse_the_link() {
    let (mut peer, session) = scene::session().await;
    let filter = amqp10::FilterSet::new().with(Symbol::from_static("selector"), "x = 1");
    let options = ReceiverOptions::default()
        .filter(filter)
        .require_filters(true);
    let attaching = session.attach_receiver("node", options.clone());
    let (attached, ()) = tokio::join!(attaching, async {
        let asked = peer.expect_attach().await;
        let source = Some(amqp10::Source::new("node"));
        peer.send(Attach {
            source,
            ..peer::answer_to(&asked)
        })
        .await;
    });
    let error = attached.unwrap_err();
    assert!(matches!(error, LinkError::FilterIgnored(_)), "{error}");
    peer.expect_flow().await;
    peer.expect_detach_with(condition::NOT_IMPLEMENTED).await;

    peer.send(peer::detach()).await;
    let (attached, _) = tokio::join!(
        session.attach_receiver("node", options),
        peer.answer_attach()
    );
    attached.unwrap();
}

#[tokio::test(start_paused = true)]
async fn l_022_another_settle_mode_than_asked_for_may_refuse_the_link() {
    for (require, is_refused) in [(true, true), (false, false)] {
        let (mut peer, session) = scene::session().await;
        let options = SenderOptions::default()
            .rcv_settle_mode(ReceiverSettleMode::Second)
            .require_settle_modes(require);
        let (attached, ()) = tokio::join!(session.attach_sender("node", options), async {
            let asked = peer.expect_attach().await;
            peer.send(Attach {
                rcv_settle_mode: ReceiverSettleMode::First,
                ..peer::answer_to(&asked)
            })
            .await;
        });
        let refused = matches!(attached, Err(LinkError::SettleModeRefused));
        assert_eq!(refused, is_refused);
        if is_refused {
            peer.expect_detach_with(condition::NOT_IMPLEMENTED).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l_028_a_detach_of_ours_that_crosses_a_close_is_made_a_close_by_attaching_again() {
    let (mut peer, sender) = scene::sender().await;
    let detaching = tokio::spawn({
        let sender = sender.clone();
        async move { sender.detach().await }
    });
    assert!(!peer.expect_detach().await.closed);
    peer.send(detach(true, None)).await;
    let again = peer.expect_attach().await;
    assert_eq!(again.name.as_str(), sender.name());
    peer.send(peer::answer_to(&again)).await;
    assert!(peer.expect_detach().await.closed);
    peer.send(detach(true, None)).await;
    detaching.await.unwrap().unwrap();
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn l_038_nothing_new_is_sent_where_the_peers_map_is_not_complete() {
    let (mut peer, session) = scene::session().await;
    let options = SenderOptions::default().unsettled(UnsettledMap::default());
    let (sender, ()) = tokio::join!(session.attach_sender("node", options), async {
        let asked = peer.expect_attach().await;
        peer.send(Attach {
            unsettled: Some(UnsettledMap::default()),
            incomplete_unsettled: true,
            ..peer::answer_to(&asked)
        })
        .await;
        peer.grant(0, 10).await;
    });
    let sender = sender.unwrap();
    let error = sender.send("x").await.unwrap_err();
    assert!(matches!(error, SendError::OnlyResumed), "{error}");
    let tag = amqp10::DeliveryTag::try_from(&b"old"[..]).unwrap();
    let resumed = OutgoingMessage::from("x").resumed(tag);
    let _receipt = sender.send_with_receipt(resumed).await.unwrap();
    assert!(peer.expect_transfer().await.0.resume);
}

#[tokio::test(start_paused = true)]
async fn l_039_a_new_delivery_where_our_map_is_not_complete_is_detached() {
    let options = ReceiverOptions::default()
        .unsettled(UnsettledMap::default())
        .incomplete_unsettled(true);
    let (mut peer, _receiver) = scene::receiver(options).await;
    peer.send_transfer(peer::transfer(0), b"x").await;
    peer.expect_detach_with(condition::INVALID_FIELD).await;
}

#[tokio::test(start_paused = true)]
async fn l_041_an_attach_without_a_terminus_is_shown_as_it_came() {
    let (mut peer, connection) = scene::incoming_session().await;
    peer.send(Attach {
        source: None,
        ..peer::attach_receiver("subscription")
    })
    .await;
    let link = connection.accept_link().await.unwrap();
    assert_eq!(link.attach().source, None);
    let options = AcceptLinkOptions::default().source(amqp10::Source::new("what it was"));
    let _sender = link.accept(options).await.unwrap();
    let answer = peer.expect_attach().await;
    let address = answer.source.unwrap().address;
    assert_eq!(address.as_deref(), Some("what it was"));
}

#[tokio::test(start_paused = true)]
async fn l_045_e_017_a_forced_detach_may_be_followed_by_another_attach() {
    let (mut peer, sender) = scene::sender().await;
    let error = AmqpError::new(condition::DETACH_FORCED, "maintenance");
    peer.send(detach(true, Some(error))).await;
    assert!(sender.detached().await.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn l_046_links_in_both_directions_work_side_by_side() {
    let (mut peer, session) = scene::session().await;
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for number in 0..8 {
        let options = SenderOptions::default();
        let (sender, ()) = tokio::join!(session.attach_sender("node", options), async {
            let asked = peer.expect_attach().await;
            peer.send(Attach {
                handle: number,
                ..peer::answer_to(&asked)
            })
            .await;
            let flow = amqp10::codec::Flow {
                handle: Some(number),
                delivery_count: Some(0),
                link_credit: Some(10),
                ..peer.flow()
            };
            peer.send(flow).await;
        });
        senders.push(sender.unwrap());
        let options = ReceiverOptions::default();
        let (receiver, ()) = tokio::join!(session.attach_receiver("node", options), async {
            let asked = peer.expect_attach().await;
            peer.send(Attach {
                handle: 100 + number,
                ..peer::answer_to(&asked)
            })
            .await;
            peer.expect_flow().await;
        });
        let receiver = receiver.unwrap();
        let transfer = amqp10::codec::Transfer {
            handle: 100 + number,
            ..peer::transfer(number)
        };
        peer.send_transfer(transfer, b"\x00\x53\x75\xa0\x01x").await;
        receiver.recv().await.unwrap().accept().unwrap();
        peer.expect_disposition().await;
        receivers.push(receiver);
    }
    for (number, sender) in senders.iter().enumerate() {
        let _receipt = sender.send_with_receipt("x").await.unwrap();
        let (transfer, _) = peer.expect_transfer().await;
        assert_eq!(transfer.delivery_id, Some(number as u32));
    }
}
