//! Link credit: how much a listener sends, and when [2.6.7-2.6.10].

use super::stock::{consume, expect_text, initial, receive, stock};
use crate::codec::{Attach, Flow, Transfer, condition};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, Link, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "k_011_nothing_is_sent_before_there_is_credit",
        rows: &["K-011"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a message in the node, attach, and no flow; then credit",
        expected: "no transfer before the credit, and one after it",
        play: |peer| {
            Box::pin(async move {
                stock(peer, &[frames::text("a")]).await?;
                let link = peer.attach_receiver("link").await?;
                peer.expect_silence().await?;
                peer.grant(&link, initial(&link), 1).await?;
                expect_text(peer, "a").await.map(drop)
            })
        },
    },
    Case {
        name: "k_005_k_006_no_more_is_sent_than_there_is_credit_for",
        rows: &["K-005", "K-006"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "credit for two of four messages, and then for the others",
        expected: "two transfers, and two more",
        play: |peer| {
            Box::pin(async move {
                let link = consume(peer, &["a", "b", "c", "d"], 2).await?;
                for granted in [2u32, 4] {
                    peer.accept_delivery().await?;
                    peer.accept_delivery().await?;
                    peer.expect_silence().await?;
                    let count = initial(&link).wrapping_add(granted);
                    peer.grant(&link, count, 2).await?;
                }
                Ok(())
            })
        },
    },
    Case {
        name: "k_006_outcomes_do_not_grant_credit",
        rows: &["K-006"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "credit for one of two messages, which is accepted",
        expected: "one transfer",
        play: |peer| {
            Box::pin(async move {
                consume(peer, &["a", "b"], 1).await?;
                peer.accept_delivery().await?;
                peer.expect_silence().await
            })
        },
    },
    Case {
        name: "k_003_deliveries_in_flight_are_taken_off_the_credit",
        rows: &["K-003"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "after two deliveries, a flow that knows of none of them and grants credit for three",
        expected: "one transfer",
        play: |peer| {
            Box::pin(async move {
                let link = consume(peer, &["a", "b", "c", "d"], 2).await?;
                peer.accept_delivery().await?;
                peer.accept_delivery().await?;
                peer.grant(&link, initial(&link), 3).await?;
                peer.accept_delivery().await?;
                peer.expect_silence().await
            })
        },
    },
    Case {
        name: "k_008_credit_below_what_was_sent_is_none",
        rows: &["K-008"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "after two deliveries, a flow that knows of none of them and grants credit for one; then credit for one more",
        expected: "no transfer, and then one",
        play: |peer| {
            Box::pin(async move {
                let link = consume(peer, &["a", "b", "c", "d"], 2).await?;
                peer.accept_delivery().await?;
                peer.accept_delivery().await?;
                peer.grant(&link, initial(&link), 1).await?;
                peer.expect_silence().await?;
                peer.grant(&link, initial(&link).wrapping_add(2), 1).await?;
                peer.accept_delivery().await?;
                peer.expect_silence().await
            })
        },
    },
    Case {
        name: "k_022_credit_may_be_taken_back",
        rows: &["K-022"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "credit for ten, then for none; when that has arrived, a message; then credit again",
        expected: "no transfer, and then one",
        play: |peer| {
            Box::pin(async move {
                let link = consume(peer, &[], 10).await?;
                peer.grant(&link, initial(&link), 0).await?;
                peer.expect_service().await?;
                peer.put(&[frames::text("a")]).await?;
                peer.expect_silence().await?;
                peer.grant(&link, initial(&link), 1).await?;
                expect_text(peer, "a").await.map(drop)
            })
        },
    },
    Case {
        name: "k_004_k_018_a_flow_before_the_answer_has_no_delivery_count",
        rows: &["K-004", "K-018"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "attach, and a flow without delivery-count that grants credit for one of two messages",
        expected: "attach and one transfer",
        play: |peer| {
            Box::pin(async move {
                stock(peer, &[frames::text("a"), frames::text("b")]).await?;
                let attach = peer.receiver("link");
                let flow = Flow {
                    handle: Some(attach.handle),
                    link_credit: Some(1),
                    ..peer.flow()
                };
                peer.send(attach).await?;
                peer.send(flow).await?;
                if peer.expect_attach().await?.source.is_none() {
                    return Err(Stop::skip("the listener refuses the link"));
                }
                peer.accept_delivery().await?;
                peer.expect_silence().await
            })
        },
    },
    Case {
        name: "k_012_k_014_a_drain_with_nothing_to_send_uses_the_credit_up",
        rows: &["K-012", "K-014"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a flow with drain and credit for ten, and no message in the node",
        expected: "flow with a delivery-count of ten more, and no credit",
        play: |peer| {
            Box::pin(async move {
                let link = consume(peer, &[], 0).await?;
                peer.send(drain(peer, &link, 0, 10)).await?;
                expect_drained(peer, &link, 10).await
            })
        },
    },
    Case {
        name: "k_013_k_012_a_drain_sends_what_there_is_first",
        rows: &["K-013", "K-012"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a flow with drain and credit for ten, and two messages in the node",
        expected: "two transfers, then flow with a delivery-count of ten more, and no credit",
        play: |peer| {
            Box::pin(async move {
                let link = consume(peer, &["a", "b"], 0).await?;
                peer.send(drain(peer, &link, 0, 10)).await?;
                peer.accept_delivery().await?;
                peer.accept_delivery().await?;
                expect_drained(peer, &link, 10).await
            })
        },
    },
    Case {
        name: "k_015_k_020_after_a_drain_credit_counts_from_its_end",
        rows: &["K-015", "K-020"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a drain of ten, then credit for one of two messages that came later",
        expected: "flow, and one transfer",
        play: |peer| {
            Box::pin(async move {
                let link = consume(peer, &[], 0).await?;
                peer.send(drain(peer, &link, 0, 10)).await?;
                expect_drained(peer, &link, 10).await?;
                peer.put(&[frames::text("a"), frames::text("b")]).await?;
                peer.expect_silence().await?;
                let count = initial(&link).wrapping_add(10);
                peer.grant(&link, count, 1).await?;
                peer.accept_delivery().await?;
                peer.expect_silence().await
            })
        },
    },
    Case {
        name: "k_016_a_drain_of_nothing_is_answered_when_it_asks",
        rows: &["K-016"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[Need::Queue],
        stimulus: "a flow with drain and echo, and no credit",
        expected: "flow with the delivery-count as it was",
        play: |peer| {
            Box::pin(async move {
                let link = consume(peer, &[], 0).await?;
                let flow = Flow {
                    echo: true,
                    ..drain(peer, &link, 0, 0)
                };
                peer.send(flow).await?;
                expect_drained(peer, &link, 0).await
            })
        },
    },
    Case {
        name: "k_017_a_senders_flow_counts_what_it_sent",
        rows: &["K-017"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[Need::Queue],
        stimulus: "two deliveries, and a flow of the link with echo",
        expected: "flow with a delivery-count of two more",
        play: |peer| {
            Box::pin(async move {
                let link = consume(peer, &["a", "b"], 2).await?;
                peer.accept_delivery().await?;
                peer.accept_delivery().await?;
                let asked = Flow {
                    echo: true,
                    drain: false,
                    ..drain(peer, &link, 2, 0)
                };
                peer.send(asked).await?;
                let wanted = initial(&link).wrapping_add(2);
                let counts = |flow: &Flow| {
                    flow.handle == Some(link.remote.handle) && flow.delivery_count == Some(wanted)
                };
                let answer = peer.expect_flow_that("flow that counts two deliveries", counts);
                answer.await.map(drop)
            })
        },
    },
    Case {
        name: "k_026_the_largest_credit_does_not_overflow",
        rows: &["K-026"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[Need::Queue],
        stimulus: "credit of 2^31 - 1, then of 2^32 - 1, and a message for each",
        expected: "both messages",
        play: |peer| {
            Box::pin(async move {
                let link = consume(peer, &["a"], i32::MAX as u32).await?;
                expect_text(peer, "a").await?;
                peer.detach(&link).await?;
                peer.put(&[frames::text("b")]).await?;
                receive(peer, "again", u32::MAX).await?;
                expect_text(peer, "b").await.map(drop)
            })
        },
    },
    Case {
        name: "k_023_k_006_each_link_has_credit_of_its_own",
        rows: &["K-023", "K-006"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "two links, with credit for none and for one, and two messages",
        expected: "one transfer, on the second link",
        play: |peer| {
            Box::pin(async move {
                consume(peer, &["a", "b"], 0).await?;
                let link = receive(peer, "beside", 1).await?;
                let (delivery, _) = peer.accept_delivery().await?;
                if delivery.handle != link.remote.handle {
                    return Err(Stop::fail("a transfer on the link without credit"));
                }
                peer.expect_silence().await
            })
        },
    },
    Case {
        name: "k_001_t_066_delivery_counts_wrap",
        rows: &["K-001", "T-066"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "an initial-delivery-count of 2^32 - 2, and four messages",
        expected: "credit, and an outcome for each",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let attach = Attach {
                    initial_delivery_count: Some(u32::MAX - 1),
                    ..peer.sender("link")
                };
                let link = peer.attach(attach).await?;
                for sent in 0u32..4 {
                    let count = (u32::MAX - 1).wrapping_add(sent);
                    expect_room(peer, &link, count).await?;
                    let id = peer.flow().next_outgoing_id;
                    let transfer = frames::transfer(&link, id);
                    peer.send_transfer(transfer, &frames::text("a")).await?;
                    peer.expect_outcomes_of(vec![id]).await?;
                }
                Ok(())
            })
        },
    },
    Case {
        name: "k_009_transfers_beyond_the_credit_are_taken_or_refused",
        rows: &["K-009"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "three times as many settled messages as there is credit for, at once",
        expected: "a session that goes on, or amqp:link:transfer-limit-exceeded",
        play: |peer| {
            Box::pin(async move {
                let window = peer.open_session().await?.incoming_window;
                let link = peer.attach_sender("link").await?;
                let count = peer.expect_credit(&link).await?.saturating_mul(3);
                if count > window.min(1000) {
                    return Err(Stop::skip(format!("a third of {count} messages is much")));
                }
                let mut octets = Vec::new();
                for id in 0..count {
                    let transfer = Transfer {
                        settled: Some(true),
                        ..frames::transfer(&link, id)
                    };
                    let message = frames::text("beyond");
                    octets.extend(frames::encode(frames::CHANNEL, transfer, &message));
                }
                peer.send_bytes(&octets).await?;
                taken_or_refused(peer).await
            })
        },
    },
];

/// Whether another session can be begun, or the link is at its end for what came beyond its credit.
async fn taken_or_refused(peer: &mut Dialogue) -> Result<(), Stop> {
    let limit = condition::TRANSFER_LIMIT_EXCEEDED;
    match peer.expect_service().await {
        Err(Stop::Fail(came)) if came.contains(limit.as_str()) => Ok(()),
        other => other,
    }
}

/// The flow with which a receiver drains this many deliveries of a link that has sent `sent`.
fn drain(peer: &Dialogue, link: &Link, sent: u32, link_credit: u32) -> Flow {
    Flow {
        handle: Some(link.handle),
        delivery_count: Some(initial(link).wrapping_add(sent)),
        link_credit: Some(link_credit),
        drain: true,
        ..peer.flow()
    }
}

/// The listener's word that the link has sent, or passed over, this many deliveries and has no credit left.
async fn expect_drained(peer: &mut Dialogue, link: &Link, count: u32) -> Result<(), Stop> {
    let wanted = initial(link).wrapping_add(count);
    let is_drained = |flow: &Flow| {
        flow.handle == Some(link.remote.handle)
            && flow.delivery_count == Some(wanted)
            && flow.link_credit.unwrap_or(0) == 0
    };
    let text = format!("flow with delivery-count {wanted} and no credit");
    peer.expect_flow_that(&text, is_drained).await.map(drop)
}

/// A flow of the listener that lets the delivery of this number be sent.
async fn expect_room(peer: &mut Dialogue, link: &Link, count: u32) -> Result<(), Stop> {
    if count == u32::MAX - 1 {
        return peer.expect_credit(link).await.map(drop);
    }
    let asked = Flow {
        handle: Some(link.handle),
        delivery_count: Some(count),
        link_credit: Some(1),
        echo: true,
        ..peer.flow()
    };
    peer.send(asked).await?;
    let has_room = |flow: &Flow| {
        let (Some(from), Some(credit)) = (flow.delivery_count, flow.link_credit) else {
            return false;
        };
        flow.handle == Some(link.remote.handle) && count.wrapping_sub(from) < credit
    };
    let granted = peer.expect_flow_that("credit", has_room);
    granted.await.map(drop).map_err(|stop| match stop {
        Stop::Fail(came) => Stop::skip(format!("the listener grants no more credit: {came}")),
        other => other,
    })
}
