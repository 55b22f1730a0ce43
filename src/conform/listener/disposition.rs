//! Outcomes: what becomes of a message that was accepted, released, modified or rejected, and how that is said
//! [2.6.12, 2.7.6, 3.3, 3.4].

use super::connection::WRONG_FIELD;
use super::stock::{
    attach_if_taken, consume, decoded, expect_error, expect_left, expect_text, header, initial,
    post, receive, settle, stock,
};
use crate::codec::terminus::distribution_mode;
use crate::codec::{
    Attach, DeliveryState, Disposition, Fields, Modified, Outcome, Received, ReceiverSettleMode,
    Rejected, Role, Symbol, Transfer,
};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, Link, covers, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "p_011_d_032_what_is_published_is_settled_with_an_outcome",
        rows: &["P-011", "D-032"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "three messages, not settled",
        expected: "the outcome of each, settled",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let link = peer.attach_sender("link").await?;
                if link.remote.rcv_settle_mode == ReceiverSettleMode::Second {
                    return Err(Stop::skip("the listener settles second"));
                }
                for text in ["a", "b", "c"] {
                    let id = post(peer, &link, &frames::text(text)).await?;
                    let said = said_of(peer, id).await?;
                    if !said.settled || said.state.is_none() {
                        return Err(Stop::fail(format!("{said:?}")));
                    }
                }
                Ok(())
            })
        },
    },
    Case {
        name: "o_006_o_015_what_is_accepted_is_gone",
        rows: &["O-006", "O-015"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "one of two messages accepted, and another link",
        expected: "the other message alone",
        play: |peer| {
            Box::pin(async move {
                consume(peer, &["a", "b"], 1).await?;
                expect_text(peer, "a").await?;
                expect_left(peer, &["b"]).await
            })
        },
    },
    Case {
        name: "o_009_what_is_released_comes_again_as_it_was",
        rows: &["O-009"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a message released, and then credit",
        expected: "the message, with a delivery-count of 0",
        play: |peer| Box::pin(comes_again(peer, Outcome::Released, 0)),
    },
    Case {
        name: "o_010_h_007_a_failed_delivery_is_counted",
        rows: &["O-010", "H-007"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a message modified with delivery-failed, and then credit",
        expected: "the message, with a delivery-count of 1",
        play: |peer| {
            let failed = Modified {
                delivery_failed: true,
                ..Modified::default()
            };
            Box::pin(comes_again(peer, failed.into(), 1))
        },
    },
    Case {
        name: "o_013_modified_without_a_field_is_released",
        rows: &["O-013"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a message modified in nothing, and then credit",
        expected: "the message, with a delivery-count of 0",
        play: |peer| Box::pin(comes_again(peer, Modified::default().into(), 0)),
    },
    Case {
        name: "o_012_annotations_of_modified_are_those_of_the_message",
        rows: &["O-012"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a message modified with the annotation x-opt-conform, and then credit",
        expected: "the message, with this annotation",
        play: |peer| {
            Box::pin(async move {
                let link = consume(peer, &["a"], 1).await?;
                let (delivery, _) = peer.expect_delivery().await?;
                let annotation = Symbol::from_static("x-opt-conform");
                let modified = Modified {
                    message_annotations: Fields::new().with(annotation, 7u32),
                    ..Modified::default()
                };
                settle(peer, &delivery, modified).await?;
                more(peer, &link).await?;
                let (_, payload) = peer.accept_delivery().await?;
                let annotations = decoded(payload)?.message_annotations;
                match annotations.unwrap_or_default().get("x-opt-conform") {
                    Some(value) if *value == 7u32.into() => Ok(()),
                    other => Err(Stop::fail(format!("x-opt-conform is {other:?}"))),
                }
            })
        },
    },
    Case {
        name: "o_011_what_is_undeliverable_here_does_not_come_here_again",
        rows: &["O-011"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a message modified with undeliverable-here, and then credit",
        expected: "no transfer on this link",
        play: |peer| {
            Box::pin(async move {
                let link = consume(peer, &["a"], 1).await?;
                let (delivery, _) = peer.expect_delivery().await?;
                let modified = Modified {
                    undeliverable_here: true,
                    ..Modified::default()
                };
                settle(peer, &delivery, modified).await?;
                more(peer, &link).await?;
                peer.expect_silence().await
            })
        },
    },
    Case {
        name: "o_007_o_015_what_is_rejected_does_not_come_back",
        rows: &["O-007", "O-015"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "one of two messages rejected with an error, and another link",
        expected: "the other message alone",
        play: |peer| {
            Box::pin(async move {
                consume(peer, &["a", "b"], 1).await?;
                let (delivery, _) = peer.expect_delivery().await?;
                let rejected = Rejected::new(frames::unknown_error());
                settle(peer, &delivery, rejected).await?;
                expect_left(peer, &["b"]).await
            })
        },
    },
    Case {
        name: "o_016_what_a_lost_link_has_not_settled_comes_again",
        rows: &["O-016"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[Need::Queue],
        stimulus: "a message without an outcome, and the end of the connection; then another connection",
        expected: "the message again",
        play: |peer| {
            Box::pin(async move {
                consume(peer, &["a"], 1).await?;
                peer.expect_delivery().await?;
                peer.hang_up().await?;
                peer.open_session().await?;
                receive(peer, "again", 1).await?;
                expect_text(peer, "a").await.map(drop)
            })
        },
    },
    Case {
        name: "o_016_what_a_closed_link_has_not_settled_comes_again",
        rows: &["O-016"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[Need::Queue],
        stimulus: "a message without an outcome, and detach with closed; then another link",
        expected: "the message again",
        play: |peer| {
            Box::pin(async move {
                let link = consume(peer, &["a"], 1).await?;
                peer.expect_delivery().await?;
                peer.detach(&link).await?;
                receive(peer, "again", 1).await?;
                expect_text(peer, "a").await.map(drop)
            })
        },
    },
    Case {
        name: "o_017_what_one_link_holds_is_not_sent_to_another",
        rows: &["O-017"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a message without an outcome, and credit on another link",
        expected: "no transfer on that",
        play: |peer| {
            Box::pin(async move {
                let link = consume(peer, &["a"], 1).await?;
                if is_copied(&link) {
                    return Err(Stop::skip("the listener hands out copies"));
                }
                peer.expect_delivery().await?;
                receive(peer, "other", 10).await?;
                peer.expect_silence().await
            })
        },
    },
    Case {
        name: "p_002_p_003_a_range_is_from_its_first_to_its_last",
        rows: &["P-002", "P-003"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "four messages, of which the second and the third are accepted by a range, and the others released",
        expected: "the first and the fourth again, over another link",
        play: |peer| {
            Box::pin(async move {
                consume(peer, &["a", "b", "c", "d"], 4).await?;
                let mut ids = Vec::new();
                for _ in 0..4 {
                    ids.push(unsettled(peer).await?);
                }
                peer.send(frames::settle(ids[1], ids[2], Outcome::Accepted))
                    .await?;
                for id in [ids[0], ids[3]] {
                    peer.send(frames::settle(id, id, Outcome::Released)).await?;
                }
                expect_left(peer, &["a", "d"]).await
            })
        },
    },
    Case {
        name: "p_002_a_disposition_without_a_last_is_about_its_first",
        rows: &["P-002"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "two messages, of which the first is accepted by a disposition without last, and the second released",
        expected: "the second again, over another link",
        play: |peer| {
            Box::pin(async move {
                let link = consume(peer, &["a", "b"], 2).await?;
                let first = unsettled(peer).await?;
                let second = unsettled(peer).await?;
                let accepted = Disposition {
                    last: None,
                    ..frames::settle(first, first, Outcome::Accepted)
                };
                peer.send(accepted).await?;
                peer.send(frames::settle(second, second, Outcome::Released))
                    .await?;
                peer.detach(&link).await?;
                expect_left(peer, &["b"]).await
            })
        },
    },
    Case {
        name: "p_016_p_014_outcomes_come_in_any_order_and_twice",
        rows: &["P-016", "P-014"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "three messages, of which the last is accepted, then all, then the first once more",
        expected: "a session that goes on, and a node that holds nothing",
        play: |peer| {
            Box::pin(async move {
                consume(peer, &["a", "b", "c"], 3).await?;
                let first = unsettled(peer).await?;
                peer.expect_delivery().await?;
                let last = unsettled(peer).await?;
                for (from, to) in [(last, last), (first, last), (first, first)] {
                    peer.send(frames::settle(from, to, Outcome::Accepted))
                        .await?;
                }
                expect_left(peer, &[]).await
            })
        },
    },
    Case {
        name: "p_003_p_014_ids_of_nothing_are_passed_over",
        rows: &["P-003", "P-014"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "a disposition for deliveries that there never were",
        expected: "a session that goes on",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                peer.attach_receiver("in").await?;
                peer.send(frames::settle(500, 600, Outcome::Accepted))
                    .await?;
                peer.attach_sender("out").await.map(drop)
            })
        },
    },
    Case {
        name: "p_004_a_range_that_ends_before_it_begins_is_refused",
        rows: &["P-004"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "a disposition from 5 to 2",
        expected: "a refusal with amqp:invalid-field",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                peer.attach_receiver("link").await?;
                peer.send(frames::settle(5, 2, Outcome::Accepted)).await?;
                expect_error(peer, &WRONG_FIELD).await.map(drop)
            })
        },
    },
    Case {
        name: "p_001_a_disposition_without_its_mandatory_fields_is_refused",
        rows: &["P-001"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "a disposition without any field",
        expected: "a refusal with amqp:decode-error or amqp:invalid-field",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let octets = frames::frame_of(frames::CHANNEL, b"\0\x53\x15\x45");
                peer.send_bytes(&octets).await?;
                expect_error(peer, &WRONG_FIELD).await.map(drop)
            })
        },
    },
    Case {
        name: "p_006_a_021_settled_without_a_state_is_the_default_outcome",
        rows: &["P-006", "A-021"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a message settled without a state, where the answer's default-outcome is released",
        expected: "the message again, over another link",
        play: |peer| {
            Box::pin(async move {
                let link = consume(peer, &["a"], 1).await?;
                let source = link.remote.source.as_ref();
                if source.and_then(|source| source.default_outcome.as_ref())
                    != Some(&Outcome::Released)
                {
                    return Err(Stop::skip("the default-outcome is not released"));
                }
                let id = unsettled(peer).await?;
                let stateless = Disposition {
                    state: None,
                    ..frames::settle(id, id, Outcome::Accepted)
                };
                peer.send(stateless).await?;
                expect_left(peer, &["a"]).await
            })
        },
    },
    Case {
        name: "p_013_o_003_states_on_the_way_are_no_outcome",
        rows: &["P-013", "O-003"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a message of which received is stated twice, and then accepted",
        expected: "a session that goes on, and a node that holds nothing",
        play: |peer| {
            Box::pin(async move {
                consume(peer, &["a"], 1).await?;
                let id = unsettled(peer).await?;
                let accepted = frames::settle(id, id, Outcome::Accepted);
                for section_offset in [0, 3] {
                    let received = Received {
                        section_number: 0,
                        section_offset,
                    };
                    let on_the_way = Disposition {
                        settled: false,
                        state: Some(received.into()),
                        ..accepted.clone()
                    };
                    peer.send(on_the_way).await?;
                }
                peer.send(accepted).await?;
                expect_left(peer, &[]).await
            })
        },
    },
    Case {
        name: "p_008_p_010_in_mode_second_the_sender_settles",
        rows: &["P-008", "P-010"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "attach as receiver in mode second, and an outcome that is not settled",
        expected: "disposition of the sender, settled, if the answer is in that mode",
        play: |peer| {
            Box::pin(async move {
                stock(peer, &[frames::text("a")]).await?;
                let attach = Attach {
                    rcv_settle_mode: ReceiverSettleMode::Second,
                    ..peer.receiver("link")
                };
                let link = in_second(attach_if_taken(peer, attach).await?)?;
                more_from(peer, &link, 0).await?;
                let id = unsettled(peer).await?;
                let accepted = Disposition {
                    settled: false,
                    ..frames::settle(id, id, Outcome::Accepted)
                };
                peer.send(accepted).await?;
                let is_it = |said: &Disposition| {
                    said.role == Role::Sender && covers(said, id) && said.settled
                };
                peer.expect_disposition_that("disposition of the sender, settled", is_it)
                    .await?;
                expect_left(peer, &[]).await
            })
        },
    },
    Case {
        name: "d_019_p_010_in_mode_second_the_listener_waits_for_the_sender",
        rows: &["D-019", "P-010"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "attach as sender in mode second, a message, and later disposition of the sender, settled",
        expected: "an outcome that is not settled, if the answer is in that mode; a session that goes on",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let attach = Attach {
                    rcv_settle_mode: ReceiverSettleMode::Second,
                    ..peer.sender("link")
                };
                let link = in_second(attach_if_taken(peer, attach).await?)?;
                let id = post(peer, &link, &frames::text("a")).await?;
                let said = said_of(peer, id).await?;
                if said.settled {
                    return Err(Stop::fail("settled before the sender has"));
                }
                let settled = Disposition {
                    role: Role::Sender,
                    settled: true,
                    first: id,
                    last: Some(id),
                    ..said
                };
                peer.send(settled).await?;
                peer.attach_receiver("next").await.map(drop)
            })
        },
    },
    Case {
        name: "d_033_a_sender_may_settle_before_the_outcome",
        rows: &["D-033"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "a message and the sender's disposition that settles it, in one segment; then another message",
        expected: "an outcome of the other",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let link = peer.attach_sender("link").await?;
                let id = post(peer, &link, &frames::text("a")).await?;
                let settled = Disposition {
                    role: Role::Sender,
                    state: None,
                    ..frames::settle(id, id, Outcome::Accepted)
                };
                peer.send(settled).await?;
                let id = post(peer, &link, &frames::text("b")).await?;
                peer.expect_outcomes_of(vec![id]).await
            })
        },
    },
];

/// A message gets this outcome, and comes again over the same link with this delivery-count in its header.
async fn comes_again(peer: &mut Dialogue, outcome: Outcome, count: u32) -> Result<(), Stop> {
    let link = consume(peer, &["a"], 1).await?;
    let (delivery, payload) = peer.expect_delivery().await?;
    let before = header(payload)?.delivery_count;
    settle(peer, &delivery, outcome).await?;
    more(peer, &link).await?;
    let (_, payload) = peer.accept_delivery().await?;
    let after = header(payload)?.delivery_count;
    match after.wrapping_sub(before) == count {
        true => Ok(()),
        false => Err(Stop::fail(format!(
            "a delivery-count of {after} after {before}"
        ))),
    }
}

/// Credit for one more, on a link over which one delivery came.
async fn more(peer: &mut Dialogue, link: &Link) -> Result<(), Stop> {
    more_from(peer, link, 1).await
}

async fn more_from(peer: &mut Dialogue, link: &Link, count: u32) -> Result<(), Stop> {
    let count = initial(link).wrapping_add(count);
    peer.grant(link, count, 1).await
}

/// The id of the next delivery, which is not settled.
async fn unsettled(peer: &mut Dialogue) -> Result<u32, Stop> {
    match peer.expect_delivery().await?.0 {
        Transfer {
            settled: Some(true),
            ..
        } => Err(Stop::skip("the listener sends settled")),
        delivery => Ok(delivery.delivery_id.unwrap_or(0)),
    }
}

/// The first disposition of the receiver about a delivery that states an outcome.
async fn said_of(peer: &mut Dialogue, id: u32) -> Result<Disposition, Stop> {
    let is_it = |said: &Disposition| {
        let outcome = said.state.as_ref().and_then(DeliveryState::outcome);
        said.role == Role::Receiver && covers(said, id) && (said.settled || outcome.is_some())
    };
    peer.expect_disposition_that("the outcome", is_it).await
}

fn in_second(link: Link) -> Result<Link, Stop> {
    match link.remote.rcv_settle_mode {
        ReceiverSettleMode::Second => Ok(link),
        ReceiverSettleMode::First => Err(Stop::skip("the listener answers in mode first")),
    }
}

fn is_copied(link: &Link) -> bool {
    let source = link.remote.source.as_ref();
    let mode = source.and_then(|source| source.distribution_mode.as_ref());
    mode == Some(&distribution_mode::COPY)
}
