//! Session windows, counted in transfer frames, from a client's side [2.5.6, 2.7.4].

use super::expect_refusal_above_the_link;
use crate::codec::{Begin, Flow, Outcome, Transfer, condition};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, Link, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "w_001_w_005_w_011_a_window_of_one_lets_one_frame_through",
        rows: &["W-001", "W-005", "W-011"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "frames of 512 octets and a window of one, opened again after each frame",
        expected: "one frame each time",
        play: |client| {
            Box::pin(async move {
                let link = narrow_sender(client, 1).await?;
                client.expect_large(&link, 1).await?;
                loop {
                    client.expect_silence().await?;
                    client.send(window(client, 1)).await?;
                    if !client.expect_transfer().await?.0.more {
                        return Ok(());
                    }
                }
            })
        },
    },
    Case {
        name: "w_011_k_023_credit_without_a_window_sends_nothing",
        rows: &["W-011", "K-023"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "begin with an incoming-window of 0, and credit; then a window",
        expected: "silence; then a delivery",
        play: |client| {
            Box::pin(async move {
                let link = narrow_sender(client, 0).await?;
                let flow = Flow {
                    incoming_window: 0,
                    ..client.credit(&link, 1)
                };
                client.send(flow).await?;
                client.expect_silence().await?;
                client.send(client.flow()).await?;
                client.expect_delivery().await.map(drop)
            })
        },
    },
    Case {
        name: "k_023_a_window_without_credit_sends_nothing",
        rows: &["K-023"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "a flow of the session that opens its window, and no credit",
        expected: "silence",
        play: |client| {
            Box::pin(async move {
                client.open_sender().await?;
                client.send(client.flow()).await?;
                client.expect_silence().await
            })
        },
    },
    Case {
        name: "w_008_frames_in_flight_are_taken_off_the_window",
        rows: &["W-008"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "a window of 3, used up by a large message; then one of 4 whose next-incoming-id has seen none of the 3",
        expected: "one frame more",
        play: |client| {
            Box::pin(async move {
                let link = narrow_sender(client, 3).await?;
                let seen = begin_large(client, &link, 3).await?;
                let flow = Flow {
                    next_incoming_id: Some(seen),
                    ..window(client, 4)
                };
                client.send(flow).await?;
                client.expect_transfer().await?;
                client.expect_silence().await
            })
        },
    },
    Case {
        name: "w_010_a_window_that_comes_out_negative_is_shut",
        rows: &["W-010"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Sender],
        stimulus: "a window of 3, used up by a large message; then one of 2 whose next-incoming-id has seen none of the 3",
        expected: "silence; and after a flow that has seen them, the rest",
        play: |client| {
            Box::pin(async move {
                let link = narrow_sender(client, 3).await?;
                let seen = begin_large(client, &link, 3).await?;
                let flow = Flow {
                    next_incoming_id: Some(seen),
                    ..window(client, 2)
                };
                client.send(flow).await?;
                client.expect_silence().await?;
                client.send(client.flow()).await?;
                while client.expect_transfer().await?.0.more {}
                Ok(())
            })
        },
    },
    Case {
        name: "w_009_a_flow_without_next_incoming_id_counts_from_the_begin_of_the_client",
        rows: &["W-009"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "an incoming-window of 0, then a flow with a null next-incoming-id, a window of 1 and credit for two",
        expected: "one frame, and no second",
        play: |client| {
            Box::pin(async move {
                let link = narrow_sender(client, 0).await?;
                let flow = Flow {
                    next_incoming_id: None,
                    incoming_window: 1,
                    ..client.credit(&link, 2)
                };
                client.send(flow).await?;
                let (first, _) = client.expect_transfer().await?;
                let id = first.delivery_id.unwrap_or(0);
                if !first.more {
                    client
                        .send(frames::settle(id, id, Outcome::Accepted))
                        .await?;
                }
                client.expect_silence().await
            })
        },
    },
    Case {
        name: "w_014_a_shut_window_holds_back_transfers_alone",
        rows: &["W-014"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "begin with an incoming-window of 0, and a message",
        expected: "attach, credit and the outcome",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let (channel, _) = client.hold_session().await?;
                client.answer_begin(channel, begin_with(0)).await?;
                let link = client.accept_receiver().await?;
                client.accept_credit(&link).await?;
                client.give(&link, &frames::text("hello")).await
            })
        },
    },
    Case {
        name: "w_003_w_016_a_flow_says_what_the_client_has_received",
        rows: &["W-003", "W-016"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "begin with next-outgoing-id 1000, three messages, and a flow that asks for an echo",
        expected: "a flow with next-incoming-id 1003",
        play: |client| Box::pin(count_from(client, 1000)),
    },
    Case {
        name: "w_002_t_066_t_067_transfer_ids_wrap",
        rows: &["W-002", "T-066", "T-067"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "begin with next-outgoing-id 4294967294, three messages, and a flow that asks for an echo",
        expected: "three outcomes, and a flow with next-incoming-id 1",
        play: |client| Box::pin(count_from(client, u32::MAX - 1)),
    },
    Case {
        name: "w_018_w_020_w_021_an_echo_of_the_session_is_about_the_session",
        rows: &["W-018", "W-020", "W-021"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "a flow of the session that asks for an echo",
        expected: "a flow; without a handle it says nothing of a link, and it asks for no echo",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                client.accept_session().await?;
                client.expect_silence().await?;
                let echo = Flow {
                    echo: true,
                    ..client.flow()
                };
                client.send(echo).await?;
                let flow = client.expect_flow().await?;
                let of_a_link = (flow.delivery_count, flow.link_credit, flow.available);
                if flow.handle.is_none() && of_a_link != (None, None, None) {
                    return Err(Stop::fail(
                        "delivery-count, link-credit or available without a handle",
                    ));
                }
                if flow.echo {
                    client.remark("an echo was answered with another");
                }
                Ok(())
            })
        },
    },
    Case {
        name: "w_013_k_021_a_client_that_receives_never_runs_dry",
        rows: &["W-013", "K-021"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "three times as many messages as the credit that the client began with, or a thousand, settled",
        expected: "credit and window are granted again in time",
        play: |client| Box::pin(use_up_credit(client)),
    },
    Case {
        name: "w_015_a_next_outgoing_id_that_goes_back_is_refused_by_a_client",
        rows: &["W-015"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Receiver],
        stimulus: "three messages, and a flow whose next-outgoing-id has seen none of them",
        expected: "end with amqp:session:window-violation",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                for _ in 0..3 {
                    client.give(&link, &frames::text("hello")).await?;
                }
                let flow = Flow {
                    next_outgoing_id: 0,
                    ..client.flow()
                };
                client.send(flow).await?;
                let conditions = [condition::WINDOW_VIOLATION];
                client.expect_end_with(&conditions).await
            })
        },
    },
    Case {
        name: "w_017_a_flow_without_its_mandatory_fields_is_refused_by_a_client",
        rows: &["W-017"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "flow as an empty list",
        expected: "end or close",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                client.accept_session().await?;
                let flow = frames::frame_of(frames::CHANNEL, b"\x00\x53\x13\x45");
                client.send_bytes(&flow).await?;
                client.expect_refusal().await.map(drop)
            })
        },
    },
    Case {
        name: "w_019_l_008_a_flow_for_a_handle_that_is_not_attached_ends_the_session",
        rows: &["W-019", "L-008"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "flow for handle 99",
        expected: "end with amqp:session:unattached-handle",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                client.accept_session().await?;
                let flow = Flow {
                    handle: Some(99),
                    delivery_count: Some(0),
                    link_credit: Some(1),
                    ..client.flow()
                };
                client.send(flow).await?;
                expect_refusal_above_the_link(client, &condition::UNATTACHED_HANDLE).await
            })
        },
    },
    Case {
        name: "w_022_k_026_the_largest_window_and_credit_do_no_harm",
        rows: &["W-022", "K-026"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "an incoming-window and a credit of 4294967295",
        expected: "the client sends",
        play: |client| {
            Box::pin(async move {
                let link = narrow_sender(client, u32::MAX).await?;
                let flow = Flow {
                    incoming_window: u32::MAX,
                    outgoing_window: u32::MAX,
                    ..client.credit(&link, u32::MAX)
                };
                client.send(flow).await?;
                client.accept_delivery().await?;
                client.accept_delivery().await.map(drop)
            })
        },
    },
];

fn begin_with(incoming_window: u32) -> Begin {
    Begin {
        incoming_window,
        ..frames::begin()
    }
}

/// The state of the session with another window.
fn window(client: &Dialogue, incoming_window: u32) -> Flow {
    Flow {
        incoming_window,
        ..client.flow()
    }
}

/// A client's sender in a session with this window, and frames of 512 octets.
async fn narrow_sender(client: &mut Dialogue, incoming_window: u32) -> Result<Link, Stop> {
    client.open_with(frames::open_at(512)).await?;
    let (channel, _) = client.hold_session().await?;
    client
        .answer_begin(channel, begin_with(incoming_window))
        .await?;
    client.accept_sender().await
}

/// A large message, of which the client sends as much as this window takes; gives the next-incoming-id before it.
async fn begin_large(client: &mut Dialogue, link: &Link, window: u32) -> Result<u32, Stop> {
    client.expect_large(link, window).await?;
    for _ in 1..window {
        if !client.expect_transfer().await?.0.more {
            return Err(Stop::skip("the client's messages are too small"));
        }
    }
    client.expect_silence().await?;
    let now = client.flow().next_incoming_id.unwrap_or(0);
    Ok(now.wrapping_sub(window))
}

/// A session that begins with this transfer-id, three messages, and the client's word on what it has.
async fn count_from(client: &mut Dialogue, next_outgoing_id: u32) -> Result<(), Stop> {
    client.open().await?;
    let (channel, _) = client.hold_session().await?;
    let begin = Begin {
        next_outgoing_id,
        ..frames::begin()
    };
    client.answer_begin(channel, begin).await?;
    let link = client.accept_receiver().await?;
    client.accept_credit(&link).await?;
    for _ in 0..3 {
        client.give(&link, &frames::text("hello")).await?;
    }
    let next = next_outgoing_id.wrapping_add(3);
    let wanted = format!("flow with next-incoming-id {next}");
    let is_it = |flow: &Flow| flow.next_incoming_id == Some(next);
    client.expect_state(&link, &wanted, is_it).await
}

/// Sends as much as the client's credit and window allow, again and again.
async fn use_up_credit(client: &mut Dialogue) -> Result<(), Stop> {
    let link = client.open_receiver().await?;
    let first = client.accept_credit(&link).await?.link_credit.unwrap_or(0);
    let mut left = first.saturating_mul(3).min(1000);
    while left > 0 {
        let room = client.room(&link)?.min(left);
        for _ in 0..room {
            let transfer = Transfer {
                settled: Some(true),
                ..client.next_transfer(&link)?
            };
            client
                .send_transfer(transfer, &frames::text("hello"))
                .await?;
        }
        left -= room;
        if room == 0 {
            client.expect_flow().await?;
        }
    }
    Ok(())
}
