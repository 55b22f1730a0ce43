//! What a client is told about its deliveries [2.6.12, 2.7.6, 3.4].

use super::expect_complaint;
use crate::codec::{
    DeliveryState, Disposition, Fields, Modified, Outcome, Performative, Received, Rejected, Role,
    Symbol,
};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, Link, Refusal, frames};

/// Deliveries that a client sends before it is done.
const ALL: u32 = 10;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "p_005_p_009_o_006_every_delivery_is_accepted",
        rows: &["P-005", "P-009", "O-006"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender, Need::Close],
        stimulus: "accepted and settled, for each delivery",
        expected: "the client comes to its end",
        play: |client| Box::pin(settle_all(client, |id| vec![accepted(id)])),
    },
    Case {
        name: "p_002_a_null_last_is_the_first",
        rows: &["P-002"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender, Need::Close],
        stimulus: "dispositions without last",
        expected: "the client comes to its end",
        play: |client| {
            Box::pin(settle_all(client, |id| {
                vec![Disposition {
                    last: None,
                    ..accepted(id)
                }]
            }))
        },
    },
    Case {
        name: "p_003_p_014_unknown_and_settled_ids_in_a_range_are_skipped",
        rows: &["P-003", "P-014"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender, Need::Close],
        stimulus: "dispositions from the first delivery to one behind the last that was sent",
        expected: "the client comes to its end",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                let mut first = None;
                for _ in 0..ALL {
                    client.grant_more(&link, 1).await?;
                    let id = client.expect_delivery().await?.0.delivery_id.unwrap_or(0);
                    let first = *first.get_or_insert(id);
                    client
                        .send(frames::settle(first, id, Outcome::Accepted))
                        .await?;
                }
                client.expect_work_done().await
            })
        },
    },
    Case {
        name: "p_004_a_last_before_the_first_is_refused",
        rows: &["P-004"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Sender],
        stimulus: "a disposition from 5 to 2",
        expected: "detach, end or close with an error",
        play: |client| {
            Box::pin(async move {
                client.open_sender().await?;
                client.send(frames::settle(5, 2, Outcome::Accepted)).await?;
                expect_complaint(client).await
            })
        },
    },
    Case {
        name: "p_006_settled_without_a_state_is_settled",
        rows: &["P-006"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender, Need::Close],
        stimulus: "dispositions that settle, and state nothing",
        expected: "the client comes to its end",
        play: |client| {
            Box::pin(settle_all(client, |id| {
                vec![Disposition {
                    state: None,
                    ..accepted(id)
                }]
            }))
        },
    },
    Case {
        name: "p_007_batchable_is_a_hint",
        rows: &["P-007"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender, Need::Close],
        stimulus: "dispositions with batchable",
        expected: "the client comes to its end",
        play: |client| {
            Box::pin(settle_all(client, |id| {
                vec![Disposition {
                    batchable: true,
                    ..accepted(id)
                }]
            }))
        },
    },
    Case {
        name: "p_013_a_state_on_the_way_may_change_any_number_of_times",
        rows: &["P-013"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender, Need::Close],
        stimulus: "received, three times, and then accepted, for each delivery",
        expected: "the client comes to its end",
        play: |client| {
            Box::pin(settle_all(client, |id| {
                let on_the_way = |offset| Disposition {
                    settled: false,
                    state: Some(DeliveryState::Received(Received {
                        section_number: 0,
                        section_offset: offset,
                    })),
                    ..accepted(id)
                };
                vec![on_the_way(0), on_the_way(5), on_the_way(9), accepted(id)]
            }))
        },
    },
    Case {
        name: "p_014_d_018_an_outcome_may_be_told_twice",
        rows: &["P-014", "D-018"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender, Need::Close],
        stimulus: "accepted and settled twice, then released, for each delivery, and rejected for one that was never sent",
        expected: "the client comes to its end",
        play: |client| {
            Box::pin(settle_all(client, |id| {
                let never = id.wrapping_add(1000);
                vec![
                    accepted(id),
                    accepted(id),
                    frames::settle(id, id, Outcome::Released),
                    frames::settle(never, never, Outcome::Released),
                ]
            }))
        },
    },
    Case {
        name: "o_007_o_019_rejections_do_not_end_a_client",
        rows: &["O-007", "O-019"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "rejected, without an error and with one that nobody knows",
        expected: "the client sends, or closes without a complaint",
        play: |client| {
            Box::pin(go_on_after(
                client,
                vec![
                    Outcome::Rejected(Rejected::default()),
                    Outcome::Rejected(Rejected::new(frames::unknown_error())),
                ],
            ))
        },
    },
    Case {
        name: "o_009_o_013_releases_do_not_end_a_client",
        rows: &["O-009", "O-013"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "released, and modified without a field",
        expected: "the client sends, or closes without a complaint",
        play: |client| {
            Box::pin(go_on_after(
                client,
                vec![Outcome::Released, Outcome::Modified(Modified::default())],
            ))
        },
    },
    Case {
        name: "o_010_o_011_o_012_modifications_do_not_end_a_client",
        rows: &["O-010", "O-011", "O-012"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "modified with delivery-failed, undeliverable-here and annotations",
        expected: "the client sends, or closes without a complaint",
        play: |client| {
            let key = Symbol::from_static("x-opt-conform");
            let modified = Modified {
                delivery_failed: true,
                undeliverable_here: true,
                message_annotations: Fields::new().with(key, "seen"),
            };
            Box::pin(go_on_after(client, vec![Outcome::Modified(modified)]))
        },
    },
    Case {
        name: "p_008_an_outcome_that_is_not_settled_is_settled_by_the_sender",
        rows: &["P-008"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Sender],
        stimulus: "accepted, and not settled",
        expected: "a disposition of the sender that settles",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                let id = send_one(client, &link).await?;
                let unsettled = Disposition {
                    settled: false,
                    ..accepted(id)
                };
                client.send(unsettled).await?;
                let settles = |disposition: &Disposition| {
                    let last = disposition.last.unwrap_or(disposition.first);
                    let is_about_it =
                        id.wrapping_sub(disposition.first) <= last.wrapping_sub(disposition.first);
                    disposition.role == Role::Sender && disposition.settled && is_about_it
                };
                let wanted = format!("a disposition of the sender that settles delivery {id}");
                client
                    .expect_disposition_that(&wanted, settles)
                    .await
                    .map(drop)
            })
        },
    },
    Case {
        name: "p_016_outcomes_may_come_in_any_order",
        rows: &["P-016"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender, Need::Close],
        stimulus: "credit for three, and their outcomes from the last to the first",
        expected: "the client goes on sending",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                client.grant_more(&link, 3).await?;
                let mut ids = Vec::new();
                for _ in 0..3 {
                    // A client may wait for the first outcome before it sends again.
                    match client.expect_delivery().await {
                        Ok((first, _)) => ids.push(first.delivery_id.unwrap_or(0)),
                        Err(_) if ids.len() == 1 => {
                            return Err(Stop::skip("one delivery at a time"));
                        }
                        Err(other) => return Err(other),
                    }
                }
                for id in ids.into_iter().rev() {
                    client.send(accepted(id)).await?;
                }
                client.take(&link).await.map(drop)
            })
        },
    },
    Case {
        name: "o_018_p_012_an_outcome_in_the_middle_of_a_delivery_is_taken",
        rows: &["O-018", "P-012"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "accepted and settled behind the first frame of a large message, and then a window",
        expected: "the rest of the message or an abort, and other deliveries",
        play: |client| {
            Box::pin(async move {
                client.open_with(frames::open_at(512)).await?;
                let link = client.accept_sender().await?;
                let first = client.expect_large(&link, 1).await?;
                let id = first.delivery_id.unwrap_or(0);
                client.send(accepted(id)).await?;
                client.grant_more(&link, 0).await?;
                loop {
                    let (frame, _) = client.expect_transfer().await?;
                    if frame.aborted || !frame.more {
                        break;
                    }
                }
                client.take(&link).await.map(drop)
            })
        },
    },
    // The last of all: who walks through the range id by id is busy for minutes.
    Case {
        name: "p_004_t_066_the_largest_range_is_quick",
        rows: &["P-004", "T-066"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Sender],
        stimulus: "a disposition about the next 2147483647 deliveries",
        expected: "the client goes on sending",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                client.grant_more(&link, 1).await?;
                let id = client.expect_delivery().await?.0.delivery_id.unwrap_or(0);
                let last = id.wrapping_add(0x7fff_fffe);
                client
                    .send(frames::settle(id, last, Outcome::Accepted))
                    .await?;
                client.take(&link).await.map(drop)
            })
        },
    },
];

fn accepted(id: u32) -> Disposition {
    frames::settle(id, id, Outcome::Accepted)
}

/// One delivery of a client, and its id.
async fn send_one(client: &mut Dialogue, link: &Link) -> Result<u32, Stop> {
    client.grant_more(link, 1).await?;
    let (first, _) = client.expect_delivery().await?;
    match (first.delivery_id, first.settled) {
        (_, Some(true)) => Err(Stop::skip("the client settles what it sends")),
        (id, _) => Ok(id.unwrap_or(0)),
    }
}

/// Says this about each delivery of the client, which then comes to the end of its work.
async fn settle_all(client: &mut Dialogue, say: fn(u32) -> Vec<Disposition>) -> Result<(), Stop> {
    let link = client.open_sender().await?;
    for _ in 0..ALL {
        let id = send_one(client, &link).await?;
        for disposition in say(id) {
            client.send(disposition).await?;
        }
    }
    client.expect_work_done().await
}

/// The client takes these outcomes, and still sends; or it gives up, and does so without blaming this program.
async fn go_on_after(client: &mut Dialogue, outcomes: Vec<Outcome>) -> Result<(), Stop> {
    let link = client.open_sender().await?;
    for outcome in outcomes {
        let id = send_one(client, &link).await?;
        client.send(frames::settle(id, id, outcome)).await?;
    }
    client.grant_more(&link, 1).await?;
    let is_next = |heard: &Performative| {
        matches!(heard, Performative::Transfer(_)) || Refusal::of(heard).is_some()
    };
    let (_, heard) = client
        .serve_until("another delivery", false, is_next)
        .await?;
    match Refusal::of(&heard).and_then(|refusal| refusal.error) {
        Some(error) => Err(Stop::fail(format!("the client ends with {error}"))),
        None => Ok(()),
    }
}
