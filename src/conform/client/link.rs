//! Attaching links, from a client's side [2.6.1 - 2.6.3, 2.7.3].

use super::expect_refusal_above_the_link;
use crate::codec::{
    Attach, DeliveryState, DeliveryTag, Fields, Received, Role, Source, Symbol, UnsettledMap,
    condition,
};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, Link, Scope, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "l_010_l_011_l_019_a_sender_says_its_initial_delivery_count",
        rows: &["L-010", "L-011", "L-019"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "open and begin",
        expected: "attach as a sender with an initial-delivery-count",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let attach = client.hold_link(Role::Sender).await?.remote;
                match attach.initial_delivery_count {
                    Some(_) => Ok(()),
                    None => Err(Stop::fail("attach without an initial-delivery-count")),
                }
            })
        },
    },
    Case {
        name: "l_005_each_side_has_its_own_handles",
        rows: &["L-005"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender, Need::Receiver],
        stimulus: "handles that the client has for the other link: 1 for its 0, and 0 for its 1",
        expected: "the client sends over the one link, and accepts what comes over the other",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let out = client.hold_link(Role::Sender).await?;
                let out = client.answer_on(out, 1).await?;
                let into = client.hold_link(Role::Receiver).await?;
                let into = client.answer_on(into, 0).await?;
                client.accept_credit(&into).await?;
                client.take(&out).await?;
                client.give(&into, &frames::text("hello")).await
            })
        },
    },
    Case {
        name: "l_007_a_handle_that_is_in_use_is_refused",
        rows: &["L-007"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "attach of another link on the handle of the first",
        expected: "end or close with amqp:session:handle-in-use",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                let attach = Attach {
                    handle: link.handle,
                    ..frames::attach_sender("another", "conform")
                };
                client.send(attach).await?;
                expect_refusal_above_the_link(client, &condition::HANDLE_IN_USE).await
            })
        },
    },
    Case {
        name: "l_008_a_transfer_on_a_handle_that_is_not_attached_ends_the_session",
        rows: &["L-008"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "transfer for handle 99",
        expected: "end or close with amqp:session:unattached-handle",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                let other = Link { handle: 99, ..link };
                let transfer = frames::transfer(&other, 0);
                client
                    .send_transfer(transfer, &frames::text("lost"))
                    .await?;
                expect_refusal_above_the_link(client, &condition::UNATTACHED_HANDLE).await
            })
        },
    },
    Case {
        name: "l_008_a_detach_of_a_handle_that_is_not_attached_ends_the_session",
        rows: &["L-008"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "detach of handle 99",
        expected: "end or close with amqp:session:unattached-handle",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                // A link that waits for its answer may take it for a refusal.
                client.expect_silence().await?;
                let other = Link { handle: 99, ..link };
                client.send(frames::detach(&other)).await?;
                expect_refusal_above_the_link(client, &condition::UNATTACHED_HANDLE).await
            })
        },
    },
    Case {
        name: "l_013_an_attach_of_the_listener_is_answered",
        rows: &["L-013"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "attach of a link that the client has not asked for",
        expected: "attach with its name; if its target is null, detach behind it",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                client.accept_session().await?;
                client.expect_silence().await?;
                let attach = client.sender("unasked");
                client.send(attach).await?;
                // Somebody may have to decide.
                client.pause(client.patience() * 2).await;
                let answer = client.expect_attach_of("unasked").await?;
                match answer.target {
                    Some(_) => Ok(()),
                    None => client.expect_detach().await.map(drop),
                }
            })
        },
    },
    Case {
        name: "l_014_l_026_a_refused_sender_sends_nothing_and_answers_the_detach",
        rows: &["L-014", "L-026"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "attach with a null target; a while later detach with amqp:not-found",
        expected: "silence, then detach",
        play: |client| Box::pin(refuse(client, Role::Sender)),
    },
    Case {
        name: "l_014_l_026_a_refused_receiver_answers_the_detach",
        rows: &["L-014", "L-026"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "attach with a null source; a while later detach with amqp:not-found",
        expected: "detach",
        play: |client| Box::pin(refuse(client, Role::Receiver)),
    },
    Case {
        name: "l_015_a_detach_without_an_attach_is_a_refusal",
        rows: &["L-015"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Sender],
        stimulus: "detach with amqp:not-found in answer to attach",
        expected: "no complaint about it",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let link = client.hold_link(Role::Sender).await?;
                client.expect_silence().await?;
                client
                    .send(frames::detach_for(&link, condition::NOT_FOUND))
                    .await?;
                match client.expect_refusal().await?.error {
                    None => Ok(()),
                    Some(error) => Err(Stop::fail(format!("the client complains: {error}"))),
                }
            })
        },
    },
    Case {
        name: "k_011_l_047_a_link_that_is_half_attached_carries_nothing",
        rows: &["K-011", "L-047"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "no answer to attach",
        expected: "no transfer",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let link = client.hold_link(Role::Sender).await?;
                client.expect_silence().await?;
                client.send(frames::answer_to(&link)).await?;
                client.expect_silence().await?;
                client.take(&link).await.map(drop)
            })
        },
    },
    Case {
        name: "l_048_links_may_be_answered_in_another_order",
        rows: &["L-048"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender, Need::Receiver],
        stimulus: "answers to two attaches, the second one first",
        expected: "the client sends over the one link, and accepts what comes over the other",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let out = client.hold_link(Role::Sender).await?;
                let into = client.accept_receiver().await?;
                client.send(frames::answer_to(&out)).await?;
                client.accept_credit(&into).await?;
                client.take(&out).await?;
                client.give(&into, &frames::text("hello")).await
            })
        },
    },
    Case {
        name: "l_019_an_answer_without_an_initial_delivery_count_is_refused",
        rows: &["L-019"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Receiver],
        stimulus: "attach as a sender whose initial-delivery-count is null",
        expected: "detach, end or close with an error",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let link = client.hold_link(Role::Receiver).await?;
                let answer = Attach {
                    initial_delivery_count: None,
                    ..frames::answer_to(&link)
                };
                client.send(answer).await?;
                match client.expect_refusal().await?.error {
                    Some(_) => Ok(()),
                    None => Err(Stop::fail("the client gives up without an error")),
                }
            })
        },
    },
    Case {
        name: "l_016_l_042_a_null_source_of_the_listener_does_not_refuse_a_sender",
        rows: &["L-016", "L-042"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "attach with the target that was asked for, and a null source",
        expected: "the client sends",
        play: |client| {
            Box::pin(answer_sender(client, |answer| Attach {
                source: None,
                ..answer
            }))
        },
    },
    Case {
        name: "a_024_the_smallest_source_is_legal",
        rows: &["A-024"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "attach whose source has no field",
        expected: "the client sends",
        play: |client| {
            Box::pin(answer_sender(client, |answer| Attach {
                source: Some(Source::default()),
                ..answer
            }))
        },
    },
    Case {
        name: "l_043_what_a_client_does_not_know_of_an_attach_is_ignored",
        rows: &["L-043"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "attach with capabilities and properties that nobody knows",
        expected: "the client sends",
        play: |client| {
            Box::pin(answer_sender(client, |answer| {
                let unknown = Symbol::from_static("x-conform:unknown");
                Attach {
                    offered_capabilities: vec![unknown.clone(), unknown.clone()],
                    desired_capabilities: vec![unknown.clone()],
                    properties: Fields::new().with(unknown, 7u32),
                    ..answer
                }
            }))
        },
    },
    Case {
        name: "l_023_a_max_message_size_of_0_is_no_limit",
        rows: &["L-023"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "attach with a max-message-size of 0",
        expected: "the client sends",
        play: |client| {
            Box::pin(answer_sender(client, |answer| Attach {
                max_message_size: Some(0),
                ..answer
            }))
        },
    },
    Case {
        name: "l_025_a_message_above_the_limit_of_the_listener_is_not_sent",
        rows: &["L-025"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Sender],
        stimulus: "attach with a max-message-size of 500, and credit",
        expected: "no delivery of more octets",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let link = client.hold_link(Role::Sender).await?;
                let answer = Attach {
                    max_message_size: Some(500),
                    ..frames::answer_to(&link)
                };
                client.send(answer).await?;
                for _ in 0..10 {
                    match client.take(&link).await {
                        Ok((_, payload)) if payload.len() <= 500 => {}
                        Ok(_) => return Err(Stop::fail("a message of more than 500 octets")),
                        Err(_) => break, // it has nothing that is small enough
                    }
                }
                Ok(())
            })
        },
    },
    Case {
        name: "l_036_r_003_what_only_the_receiver_has_is_ignored",
        rows: &["L-036", "R-003"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "attach with an unsettled map of two deliveries that the client never sent",
        expected: "the client sends, and resumes nothing",
        play: |client| {
            Box::pin(answer_sender(client, |answer| Attach {
                unsettled: Some(unknown_deliveries()),
                ..answer
            }))
        },
    },
    Case {
        name: "l_038_nothing_new_is_sent_where_the_map_of_the_receiver_is_not_complete",
        rows: &["L-038"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "attach with incomplete-unsettled, and credit",
        expected: "no new delivery",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let link = client.hold_link(Role::Sender).await?;
                let answer = Attach {
                    unsettled: Some(unknown_deliveries()),
                    incomplete_unsettled: true,
                    ..frames::answer_to(&link)
                };
                client.send(answer).await?;
                client.grant_more(&link, 10).await?;
                match client.expect_transfer().await {
                    Ok((transfer, _)) if !transfer.resume => Err(Stop::fail("a new delivery")),
                    _ => Ok(()),
                }
            })
        },
    },
];

/// The client's sender is answered by what `change` makes of an ordinary answer, and sends.
async fn answer_sender(client: &mut Dialogue, change: fn(Attach) -> Attach) -> Result<(), Stop> {
    client.open().await?;
    let link = client.hold_link(Role::Sender).await?;
    client.send(change(frames::answer_to(&link))).await?;
    match client.take(&link).await? {
        (first, _) if first.resume => Err(Stop::fail("a delivery with resume set")),
        _ => Ok(()),
    }
}

/// A link of the client is refused, and it answers the detach.
async fn refuse(client: &mut Dialogue, role: Role) -> Result<(), Stop> {
    client.open().await?;
    let link = client.hold_link(role).await?;
    let answer = frames::answer_to(&link);
    let answer = match role {
        Role::Sender => Attach {
            target: None,
            ..answer
        },
        Role::Receiver => Attach {
            source: None,
            ..answer
        },
    };
    client.send(answer).await?;
    client.expect_silence().await?;
    client
        .send(frames::detach_for(&link, condition::NOT_FOUND))
        .await?;
    client.expect_answer_to(Scope::Link).await.map(drop)
}

/// Two tags that nobody has used, one of which is said to have been received in part.
fn unknown_deliveries() -> UnsettledMap {
    let received = Received {
        section_number: 0,
        section_offset: 7,
    };
    let tag = |octets: &[u8]| DeliveryTag::try_from(octets).unwrap_or(DeliveryTag::EMPTY);
    UnsettledMap(vec![
        (tag(b"conform-1"), None),
        (tag(b"conform-2"), Some(DeliveryState::Received(received))),
    ])
}
