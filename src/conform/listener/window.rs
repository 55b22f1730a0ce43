//! Session windows, counted in transfer frames [2.5.6, 2.7.4].

use super::connection::WRONG_FIELD;
use crate::codec::{Begin, Flow, Transfer, condition};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, Link, Scope, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "w_001_w_005_w_011_no_transfer_is_sent_into_a_window_that_is_shut",
        rows: &["W-001", "W-005", "W-011"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "an incoming-window of 1, and credit for three messages",
        expected: "one transfer, and another for each flow that opens the window again",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                peer.put(&[frames::text("a"), frames::text("b"), frames::text("c")])
                    .await?;
                peer.begin_on(1, begin_with_window(1)).await?;
                let link = peer.attach_receiver("link").await?;
                peer.send(with_credit(&link, 3, window(peer, 1))).await?;
                for _ in 0..2 {
                    peer.accept_delivery().await?;
                    peer.expect_silence().await?;
                    peer.send(window(peer, 1)).await?;
                }
                peer.accept_delivery().await.map(drop)
            })
        },
    },
    Case {
        name: "w_002_w_022_numbers_of_transfers_wrap",
        rows: &["W-002", "W-022"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "a next-outgoing-id of 2^32 - 2, and four messages",
        expected: "each of the four settled",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                let begin = Begin {
                    next_outgoing_id: u32::MAX - 1,
                    ..frames::begin()
                };
                peer.begin_with(begin).await?;
                let messages = ["a", "b", "c", "d"].map(frames::text);
                peer.put(&messages).await
            })
        },
    },
    Case {
        name: "w_003_w_007_w_016_a_flow_counts_what_came",
        rows: &["W-003", "W-007", "W-016"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "two settled messages, and a flow with echo",
        expected: "flow whose next-incoming-id is the number of the next transfer",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let link = peer.attach_sender("link").await?;
                if peer.expect_credit(&link).await? < 2 {
                    return Err(Stop::skip("the listener takes fewer than two messages"));
                }
                for id in 0..2 {
                    let transfer = Transfer {
                        settled: Some(true),
                        ..frames::transfer(&link, id)
                    };
                    peer.send_transfer(transfer, &frames::text("a")).await?;
                }
                let asked = Flow {
                    echo: true,
                    ..peer.flow()
                };
                peer.send(asked).await?;
                let counts = |flow: &Flow| flow.next_incoming_id == Some(2);
                let answer = peer.expect_flow_that("flow with a next-incoming-id of 2", counts);
                answer.await.map(drop).map_err(unanswered)
            })
        },
    },
    Case {
        name: "w_008_w_010_frames_in_flight_are_taken_off_the_window",
        rows: &["W-008", "W-010"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "after two transfers, flows that know of none of them and have a window of three, then of one",
        expected: "one transfer after the first flow, and none after the second",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let messages = ["a", "b", "c", "d"].map(frames::text);
                peer.put(&messages).await?;
                peer.begin_on(1, begin_with_window(2)).await?;
                let link = peer.attach_receiver("link").await?;
                let before = peer.flow().next_incoming_id;
                peer.send(with_credit(&link, 4, window(peer, 2))).await?;
                peer.accept_delivery().await?;
                peer.accept_delivery().await?;
                for (incoming_window, comes) in [(3, true), (1, false)] {
                    let flow = Flow {
                        next_incoming_id: before,
                        ..window(peer, incoming_window)
                    };
                    peer.send(flow).await?;
                    if comes {
                        peer.accept_delivery().await?;
                    }
                    peer.expect_silence().await?;
                }
                peer.send(window(peer, 1)).await?;
                peer.accept_delivery().await.map(drop)
            })
        },
    },
    Case {
        name: "w_009_a_flow_without_next_incoming_id_counts_from_the_begin",
        rows: &["W-009"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "an incoming-window of 0, then a flow without next-incoming-id that opens it for one transfer",
        expected: "one transfer",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                peer.put(&[frames::text("a"), frames::text("b")]).await?;
                peer.begin_on(1, begin_with_window(0)).await?;
                let link = peer.attach_receiver("link").await?;
                let flow = Flow {
                    next_incoming_id: None,
                    ..with_credit(&link, 2, window(peer, 1))
                };
                peer.send(flow).await?;
                peer.accept_delivery().await?;
                peer.expect_silence().await?;
                peer.send(window(peer, 1)).await?;
                peer.accept_delivery().await.map(drop)
            })
        },
    },
    Case {
        name: "w_013_a_window_opens_again_before_the_sender_starves",
        rows: &["W-013"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "more settled messages than the listener's incoming-window, each when there is room and credit",
        expected: "flows that open the window again",
        play: |peer| {
            Box::pin(async move {
                let incoming_window = peer.open_session().await?.incoming_window;
                if incoming_window > 2000 {
                    return Err(Stop::Skip(format!(
                        "a window of {incoming_window} is large"
                    )));
                }
                let link = peer.attach_sender("link").await?;
                fill(peer, &link, incoming_window).await?;
                // So that the next case finds the node as this one did, if it hands out what it takes.
                let _ = peer.empty_node().await;
                Ok(())
            })
        },
    },
    Case {
        name: "w_014_only_transfers_wait_for_the_window",
        rows: &["W-014"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "an incoming-window of 0, then attach, detach and end",
        expected: "attach, detach and end",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                peer.begin_with(begin_with_window(0)).await?;
                let link = peer.attach_receiver("link").await?;
                peer.detach(&link).await?;
                peer.end().await.map(drop)
            })
        },
    },
    Case {
        name: "w_015_a_next_outgoing_id_that_goes_back_is_refused",
        rows: &["W-015"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "a flow whose next-outgoing-id is behind that of the begin",
        expected: "end with amqp:session:window-violation",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                let begin = Begin {
                    next_outgoing_id: 100,
                    ..frames::begin()
                };
                peer.begin_with(begin).await?;
                let flow = Flow {
                    next_outgoing_id: 50,
                    ..peer.flow()
                };
                peer.send(flow).await?;
                peer.expect_end_with(&[condition::WINDOW_VIOLATION]).await
            })
        },
    },
    Case {
        name: "w_017_a_flow_without_its_mandatory_fields_is_refused",
        rows: &["W-017"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "flow without any field",
        expected: "a refusal with amqp:decode-error or amqp:invalid-field",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                peer.send_bytes(&frames::frame_of(frames::CHANNEL, b"\0\x53\x13\x45"))
                    .await?;
                let error = peer.expect_refusal().await?.error;
                match error {
                    Some(error) if WRONG_FIELD.contains(&error.condition) => Ok(()),
                    Some(error) => Err(Stop::Remark(format!("a refusal with {error}"))),
                    None => Err(Stop::fail("a refusal without an error")),
                }
            })
        },
    },
    Case {
        name: "w_018_a_flow_of_the_session_says_nothing_of_links",
        rows: &["W-018"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "a flow with echo and without a handle",
        expected: "no flow without a handle that has a delivery-count, link-credit, available or drain",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let flow = echo(peer, None).await?;
                let says = flow.delivery_count.or(flow.link_credit).or(flow.available);
                match flow.handle.is_none() && (says.is_some() || flow.drain) {
                    true => Err(Stop::Fail(format!("{flow:?}"))),
                    false => Ok(()),
                }
            })
        },
    },
    Case {
        name: "w_019_a_flow_for_an_unattached_handle_ends_the_session",
        rows: &["W-019"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "a flow with a handle that no link has",
        expected: "end with amqp:session:unattached-handle",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let flow = Flow {
                    handle: Some(3),
                    ..peer.flow()
                };
                peer.send(flow).await?;
                let refusal = peer.expect_refusal().await?;
                match refusal.error {
                    Some(error) if error.condition == condition::UNATTACHED_HANDLE => {
                        expect_scope(refusal.scope, Scope::Session)
                    }
                    _ => Err(Stop::Fail(refusal.to_string())),
                }
            })
        },
    },
    Case {
        name: "w_020_w_021_echo_is_answered_and_not_echoed",
        rows: &["W-020", "W-021"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "a flow with echo for the session, and one for a link",
        expected: "a flow without echo for each",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let link = peer.attach_receiver("link").await?;
                let session = echo(peer, None).await?;
                let of_link = echo(peer, Some(&link)).await?;
                match session.echo || of_link.echo {
                    true => Err(Stop::Fail(format!("{session:?}, {of_link:?}"))),
                    false => Ok(()),
                }
            })
        },
    },
    Case {
        name: "w_022_the_largest_windows_do_not_overflow",
        rows: &["W-022"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[Need::Queue],
        stimulus: "an incoming-window of 2^32 - 1, and credit for one message",
        expected: "the message",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                peer.begin_with(begin_with_window(u32::MAX)).await?;
                peer.put(&[frames::text("a")]).await?;
                let link = peer.attach_receiver("link").await?;
                peer.send(with_credit(&link, 1, window(peer, u32::MAX)))
                    .await?;
                peer.accept_delivery().await.map(drop)
            })
        },
    },
];

fn begin_with_window(incoming_window: u32) -> Begin {
    Begin {
        incoming_window,
        ..frames::begin()
    }
}

/// The session's state with another window.
fn window(peer: &Dialogue, incoming_window: u32) -> Flow {
    Flow {
        incoming_window,
        ..peer.flow()
    }
}

/// The same state, and credit from the first delivery on.
fn with_credit(link: &Link, link_credit: u32, state: Flow) -> Flow {
    Flow {
        handle: Some(link.handle),
        delivery_count: link.remote.initial_delivery_count,
        link_credit: Some(link_credit),
        ..state
    }
}

/// Sends ten messages more than fit into the window.
async fn fill(peer: &mut Dialogue, link: &Link, incoming_window: u32) -> Result<(), Stop> {
    let mut credit = peer.expect_credit(link).await?;
    let mut room = incoming_window;
    for id in 0..incoming_window + 10 {
        while id >= room.min(credit) {
            let flow = match peer.expect_flow().await {
                Err(Stop::Fail(_)) if credit < room => {
                    return Err(Stop::skip("the listener grants no more credit"));
                }
                other => other?,
            };
            room = flow
                .next_incoming_id
                .unwrap_or(0)
                .saturating_add(flow.incoming_window);
            if flow.handle == Some(link.remote.handle) {
                credit = flow
                    .delivery_count
                    .unwrap_or(0)
                    .saturating_add(flow.link_credit.unwrap_or(0));
            }
        }
        let transfer = Transfer {
            settled: Some(true),
            ..frames::transfer(link, id)
        };
        peer.send_transfer(transfer, &frames::text("a")).await?;
    }
    Ok(())
}

/// Asks for the state of the session, or of a link; gives the answer.
async fn echo(peer: &mut Dialogue, link: Option<&Link>) -> Result<Flow, Stop> {
    let asked = Flow {
        echo: true,
        handle: link.map(|link| link.handle),
        link_credit: link.map(|_| 0),
        ..peer.flow()
    };
    peer.send(asked).await?;
    let theirs = link.map(|link| link.remote.handle);
    let is_answer = |flow: &Flow| theirs.is_none() || flow.handle == theirs;
    let answer = peer.expect_flow_that("flow", is_answer);
    answer.await.map_err(unanswered)
}

/// Echo should be answered, but need not be.
fn unanswered(stop: Stop) -> Stop {
    match stop {
        Stop::Fail(came) => Stop::Remark(format!("{came}, which echo asks for")),
        other => other,
    }
}

fn expect_scope(came: Scope, wanted: Scope) -> Result<(), Stop> {
    match came == wanted {
        true => Ok(()),
        false => Err(Stop::Remark(format!("a refusal of the {came:?}"))),
    }
}
