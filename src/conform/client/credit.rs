//! Link credit, from a client's side [2.6.7 - 2.6.10].

use crate::codec::{Fields, Flow, Outcome, Performative, Role, Symbol, Transfer};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, Link, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "k_011_nothing_is_sent_before_a_flow",
        rows: &["K-011"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "attach, and no credit",
        expected: "silence",
        play: |client| {
            Box::pin(async move {
                client.open_sender().await?;
                client.expect_silence().await
            })
        },
    },
    Case {
        name: "k_006_a_sender_sends_no_more_than_its_credit",
        rows: &["K-006"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "credit for two deliveries, and no more",
        expected: "two deliveries, and no third",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                client.grant_more(&link, 2).await?;
                client.accept_delivery().await?;
                client.accept_delivery().await?;
                client.expect_silence().await
            })
        },
    },
    Case {
        name: "k_001_k_005_credit_counts_deliveries_and_not_frames",
        rows: &["K-001", "K-005"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "frames of 512 octets, and credit for one large message",
        expected: "all of its frames, and no other delivery",
        play: |client| {
            Box::pin(async move {
                client.open_with(frames::open_at(512)).await?;
                let link = client.accept_sender().await?;
                let first = client.expect_large(&link, frames::WINDOW).await?;
                while client.expect_transfer().await?.0.more {}
                accept(client, &first).await?;
                client.expect_silence().await
            })
        },
    },
    Case {
        name: "k_003_credit_of_a_flow_that_crossed_deliveries_is_what_is_left_of_it",
        rows: &["K-003"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "after three deliveries credit for four, by a flow that has seen none of them",
        expected: "one delivery, and no second",
        play: |client| {
            Box::pin(async move {
                let (link, before) = sent_three(client).await?;
                client.grant(&link, before, 4).await?;
                client.accept_delivery().await?;
                client.expect_silence().await
            })
        },
    },
    Case {
        name: "k_008_credit_that_comes_out_negative_is_none",
        rows: &["K-008"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "after three deliveries credit for one, by a flow that has seen none of them",
        expected: "silence; and after credit that has seen them, a delivery",
        play: |client| {
            Box::pin(async move {
                let (link, before) = sent_three(client).await?;
                client.grant(&link, before, 1).await?;
                client.expect_silence().await?;
                client.take(&link).await.map(drop)
            })
        },
    },
    Case {
        name: "k_004_a_null_delivery_count_is_the_initial_one",
        rows: &["K-004"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "after three deliveries credit for four, by a flow whose delivery-count is null",
        expected: "one delivery, and no second",
        play: |client| {
            Box::pin(async move {
                let (link, _) = sent_three(client).await?;
                let flow = Flow {
                    delivery_count: None,
                    ..client.credit(&link, 4)
                };
                client.send(flow).await?;
                client.accept_delivery().await?;
                client.expect_silence().await
            })
        },
    },
    Case {
        name: "k_007_a_delivery_that_began_goes_on_when_credit_is_taken_back",
        rows: &["K-007"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "behind the first frame of a large message credit for none, and a window",
        expected: "the rest of the message, and no other delivery",
        play: |client| {
            Box::pin(async move {
                client.open_with(frames::open_at(512)).await?;
                let link = client.accept_sender().await?;
                let first = client.expect_large(&link, 1).await?;
                client.grant_more(&link, 0).await?;
                while client.expect_transfer().await?.0.more {}
                accept(client, &first).await?;
                client.expect_silence().await
            })
        },
    },
    Case {
        name: "k_012_k_013_drain_sends_what_there_is_and_gives_the_rest_back",
        rows: &["K-012", "K-013"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "credit for a hundred, and drain",
        expected: "what the client has to send, and a flow by which all credit is used up",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                let drain = Flow {
                    drain: true,
                    ..client.credit(&link, 100)
                };
                let end = drain.delivery_count.map(|count| count.wrapping_add(100));
                client.send(drain).await?;
                let flow = expect_drained(client, &link).await?;
                match (flow.delivery_count == end, flow.link_credit) {
                    (true, None | Some(0)) => Ok(()),
                    _ => Err(Stop::fail(format!(
                        "delivery-count {:?} in place of {end:?}, link-credit {:?}",
                        flow.delivery_count, flow.link_credit
                    ))),
                }
            })
        },
    },
    Case {
        name: "k_015_credit_is_good_again_behind_a_drain",
        rows: &["K-015"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "credit for one and drain; when it is used up, credit for another one",
        expected: "a delivery, or the credit given back; and then a delivery",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                let drain = Flow {
                    drain: true,
                    ..client.credit(&link, 1)
                };
                client.send(drain).await?;
                match expect_one_or_none(client, &link).await? {
                    Some(given_back) => {
                        let count = given_back.delivery_count.unwrap_or(0);
                        client.grant(&link, count, 1).await?;
                        client.accept_delivery().await.map(drop)
                    }
                    None => client.take(&link).await.map(drop),
                }
            })
        },
    },
    Case {
        name: "k_016_drain_without_credit_is_answered_too",
        rows: &["K-016"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Sender],
        stimulus: "drain with a credit of 0, and echo",
        expected: "a flow of the link with link-credit 0",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                let drain = Flow {
                    drain: true,
                    echo: true,
                    ..client.credit(&link, 0)
                };
                client.send(drain).await?;
                expect_flow_of(client, &link).await.map(drop)
            })
        },
    },
    Case {
        name: "w_020_k_017_k_019_the_flow_of_a_sender_states_its_count_and_its_credit",
        rows: &["W-020", "K-017", "K-019"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Sender],
        stimulus: "after three deliveries a flow of the link that asks for an echo",
        expected: "a flow of the link with the delivery-count as it is now, and link-credit 0",
        play: |client| {
            Box::pin(async move {
                let (link, before) = sent_three(client).await?;
                let echo = Flow {
                    echo: true,
                    ..client.credit(&link, 0)
                };
                client.send(echo).await?;
                let flow = expect_flow_of(client, &link).await?;
                match (flow.delivery_count, flow.link_credit) {
                    (Some(count), Some(0)) if count == before.wrapping_add(3) => Ok(()),
                    other => Err(Stop::fail(format!(
                        "delivery-count and link-credit {other:?}"
                    ))),
                }
            })
        },
    },
    Case {
        name: "w_020_k_002_k_018_t_066_the_flow_of_a_receiver_states_the_count_of_the_sender",
        rows: &["W-020", "K-002", "K-018", "T-066"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "an initial-delivery-count of 4294967294, three messages, and a flow that asks for an echo",
        expected: "a flow of the link with delivery-count 1, and credit",
        play: |client| {
            Box::pin(async move {
                let link = count_from(client, u32::MAX - 1).await?;
                for _ in 0..3 {
                    client.give(&link, &frames::text("hello")).await?;
                }
                expect_count(client, &link, 1).await
            })
        },
    },
    Case {
        name: "k_010_a_message_is_taken_though_none_was_available",
        rows: &["K-010"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "a flow of the link with available 0, and a message",
        expected: "accepted",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let flow = Flow {
                    handle: Some(link.handle),
                    delivery_count: Some(0),
                    link_credit: Some(1),
                    available: Some(0),
                    ..client.flow()
                };
                client.send(flow).await?;
                client.give(&link, &frames::text("hello")).await
            })
        },
    },
    Case {
        name: "k_025_an_aborted_delivery_counts",
        rows: &["K-025"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Receiver],
        stimulus: "a delivery that is aborted, a message, and a flow that asks for an echo",
        expected: "a flow of the link with delivery-count 2",
        play: |client| {
            Box::pin(async move {
                let link = count_from(client, 0).await?;
                let transfer = Transfer {
                    more: true,
                    ..client.next_transfer(&link)?
                };
                client.send_transfer(transfer, b"in vain").await?;
                let abort = Transfer {
                    aborted: true,
                    ..frames::continuation(&link)
                };
                client.send_transfer(abort, b"").await?;
                client.give(&link, &frames::text("hello")).await?;
                expect_count(client, &link, 2).await
            })
        },
    },
    Case {
        name: "k_014_k_020_a_receiver_that_drains_is_done_when_the_credit_is_given_back",
        rows: &["K-014", "K-020"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Drain, Need::Close],
        stimulus: "service as of any broker; to the drain of the client a flow by which all credit is used up",
        expected: "the client goes on, and closes without an error",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let (link, drain) = expect_drain(client).await?;
                let given_back = Flow {
                    handle: Some(link.handle),
                    delivery_count: drain
                        .delivery_count
                        .zip(drain.link_credit)
                        .map(|(from, credit)| from.wrapping_add(credit)),
                    link_credit: Some(0),
                    available: Some(0),
                    drain: true,
                    ..client.flow()
                };
                client.send(given_back).await?;
                client.expect_work_done().await
            })
        },
    },
    Case {
        name: "k_013_k_014_a_receiver_that_drains_takes_what_still_comes",
        rows: &["K-013", "K-014"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Drain, Need::Close],
        stimulus: "to the drain of the client a message, and then a flow by which the rest of the credit is used up",
        expected: "the client goes on, and closes without an error",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let (link, drain) = expect_drain(client).await?;
                let (Some(from), Some(credit @ 1..)) = (drain.delivery_count, drain.link_credit)
                else {
                    return Err(Stop::skip("the client drains no credit"));
                };
                client.hand_out(&link, &frames::text("the last")).await?;
                let given_back = Flow {
                    handle: Some(link.handle),
                    delivery_count: Some(from.wrapping_add(credit)),
                    link_credit: Some(0),
                    available: Some(0),
                    drain: true,
                    ..client.flow()
                };
                client.send(given_back).await?;
                client.expect_work_done().await
            })
        },
    },
    Case {
        name: "k_024_properties_of_a_flow_that_nobody_knows_are_ignored",
        rows: &["K-024"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "credit by a flow with properties",
        expected: "the client sends",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                let unknown = Symbol::from_static("x-conform:unknown");
                let flow = Flow {
                    properties: Fields::new().with(unknown, true),
                    ..client.credit(&link, 1)
                };
                client.send(flow).await?;
                client.accept_delivery().await.map(drop)
            })
        },
    },
];

/// Three deliveries, all of the credit; gives the delivery-count before them.
async fn sent_three(client: &mut Dialogue) -> Result<(Link, u32), Stop> {
    let link = client.open_sender().await?;
    client.grant_more(&link, 3).await?;
    for _ in 0..3 {
        client.accept_delivery().await?;
    }
    let before = link.remote.initial_delivery_count.unwrap_or(0);
    Ok((link, before))
}

/// The word that a client waits for after a delivery whose frames were heard one by one.
async fn accept(client: &mut Dialogue, first: &Transfer) -> Result<(), Stop> {
    match (first.delivery_id, first.settled) {
        (Some(id), None | Some(false)) => {
            client.send(frames::settle(id, id, Outcome::Accepted)).await
        }
        _ => Ok(()),
    }
}

/// Accepts what the client sends until it says that its credit is used up.
async fn expect_drained(client: &mut Dialogue, link: &Link) -> Result<Flow, Stop> {
    let handle = link.remote.handle;
    let is_drained = |heard: &Performative| match heard {
        Performative::Flow(flow) => {
            flow.handle == Some(handle) && flow.link_credit.unwrap_or(0) == 0
        }
        _ => false,
    };
    match client
        .serve_until("the end of the drain", false, is_drained)
        .await
    {
        Ok((_, Performative::Flow(flow))) => Ok(flow),
        Ok((_, other)) => Err(Stop::fail(format!("{} in place of flow", other.name()))),
        Err(Stop::Skip(reason)) => Err(Stop::Fail(reason)),
        Err(other) => Err(other),
    }
}

/// The client's next delivery, which is accepted, or the flow by which it gives its credit back.
async fn expect_one_or_none(client: &mut Dialogue, link: &Link) -> Result<Option<Flow>, Stop> {
    let handle = link.remote.handle;
    let is_over = |heard: &Performative| match heard {
        Performative::Flow(flow) => flow.handle == Some(handle) && flow.link_credit == Some(0),
        Performative::Transfer(transfer) => !transfer.more,
        _ => false,
    };
    match client
        .serve_until("the end of the drain", false, is_over)
        .await?
    {
        (_, Performative::Flow(flow)) => Ok(Some(flow)),
        (_, Performative::Transfer(transfer)) => accept(client, &transfer).await.map(|()| None),
        (_, other) => Err(Stop::fail(format!("{} in place of flow", other.name()))),
    }
}

async fn expect_flow_of(client: &mut Dialogue, link: &Link) -> Result<Flow, Stop> {
    let handle = link.remote.handle;
    let is_it = |flow: &Flow| flow.handle == Some(handle);
    client.expect_flow_that("a flow of the link", is_it).await
}

/// A client's receiver that has granted credit to a sender that counts from here.
async fn count_from(client: &mut Dialogue, initial: u32) -> Result<Link, Stop> {
    client.open().await?;
    let link = client.hold_link(Role::Receiver).await?;
    client.answer_counting_from(&link, initial).await?;
    client.accept_credit(&link).await?;
    Ok(link)
}

async fn expect_count(client: &mut Dialogue, link: &Link, count: u32) -> Result<(), Stop> {
    let wanted = format!("a flow of the link with delivery-count {count}");
    let is_it = |flow: &Flow| flow.delivery_count == Some(count);
    client.expect_state(link, &wanted, is_it).await
}

/// Serves the client until it drains its receiver.
async fn expect_drain(client: &mut Dialogue) -> Result<(Link, Flow), Stop> {
    let link = client.accept_receiver().await?;
    let handle = link.remote.handle;
    let is_drain = |heard: &Performative| match heard {
        Performative::Flow(flow) => flow.drain && flow.handle == Some(handle),
        _ => false,
    };
    match client.serve_until("drain", true, is_drain).await? {
        (_, Performative::Flow(flow)) => Ok((link, flow)),
        (_, other) => Err(Stop::fail(format!("{} in place of flow", other.name()))),
    }
}
