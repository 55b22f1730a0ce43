//! Detaching links, from a client's side [2.6.4 - 2.6.6, 2.7.7].

use crate::codec::{Detach, Outcome, Performative, Symbol, condition};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, Link, Scope, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "l_026_the_detach_of_a_sender_is_answered",
        rows: &["L-026"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "detach without closed",
        expected: "detach of the same link",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                let detach = Detach {
                    closed: false,
                    ..frames::detach(&link)
                };
                expect_answer(client, &link, detach).await.map(drop)
            })
        },
    },
    Case {
        name: "l_026_the_detach_of_a_receiver_is_answered",
        rows: &["L-026"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "detach without closed",
        expected: "detach of the same link",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let detach = Detach {
                    closed: false,
                    ..frames::detach(&link)
                };
                expect_answer(client, &link, detach).await.map(drop)
            })
        },
    },
    Case {
        name: "l_027_a_closed_sender_is_answered_by_a_close",
        rows: &["L-027"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "detach with closed",
        expected: "detach with closed",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                close_link(client, &link, None).await
            })
        },
    },
    Case {
        name: "l_027_a_closed_receiver_is_answered_by_a_close",
        rows: &["L-027"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "detach with closed",
        expected: "detach with closed",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                close_link(client, &link, None).await
            })
        },
    },
    Case {
        name: "l_027_l_045_e_017_a_detach_by_force_is_answered",
        rows: &["L-027", "L-045", "E-017"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "detach with amqp:link:detach-forced",
        expected: "detach with closed",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                close_link(client, &link, Some(condition::DETACH_FORCED)).await
            })
        },
    },
    Case {
        name: "l_027_e_001_a_detach_for_an_unknown_reason_is_answered",
        rows: &["L-027", "E-001"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "detach with an error whose condition nobody knows",
        expected: "detach with closed",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                let unknown = frames::unknown_error().condition;
                close_link(client, &link, Some(unknown)).await
            })
        },
    },
    Case {
        name: "l_027_k_007_a_detach_in_the_middle_of_a_delivery_is_answered",
        rows: &["L-027", "K-007"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "frames of 512 octets and a window of one; behind the first frame of a message detach with closed",
        expected: "detach, though the window is shut",
        play: |client| {
            Box::pin(async move {
                client.open_with(frames::open_at(512)).await?;
                let link = client.accept_sender().await?;
                client.expect_large(&link, 1).await?;
                client.send(frames::detach(&link)).await?;
                client.expect_answer_to(Scope::Link).await.map(drop)
            })
        },
    },
    Case {
        name: "l_026_a_client_closes_its_links_and_takes_the_answers",
        rows: &["L-026"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Close],
        stimulus: "service as of any broker",
        expected: "close without an error at the end",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                client.expect_work_done().await
            })
        },
    },
    Case {
        name: "l_030_l_034_what_crossed_its_detach_does_not_trouble_a_client",
        rows: &["L-030", "L-034"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Close],
        stimulus: "flow and disposition for a link that the client has just detached, as if they had crossed",
        expected: "close without an error at the end",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let link = client.accept_sender().await?;
                let handle = link.remote.handle;
                let is_detach = |heard: &Performative| match heard {
                    Performative::Detach(detach) => detach.handle == handle,
                    _ => false,
                };
                client.serve_until("detach", true, is_detach).await?;
                client.grant_more(&link, 1).await?;
                client.send(frames::settle(0, 3, Outcome::Accepted)).await?;
                client.send(frames::detach(&link)).await?;
                client.expect_work_done().await
            })
        },
    },
];

/// The listener detaches a link, and the client answers; gives its detach, if it does not end more than the link.
async fn expect_answer(
    client: &mut Dialogue,
    link: &Link,
    detach: Detach,
) -> Result<Option<Detach>, Stop> {
    client.send(detach).await?;
    match client.expect_answer_to(Scope::Link).await? {
        Some(Performative::Detach(answer)) if answer.handle == link.remote.handle => {
            Ok(Some(answer))
        }
        Some(_) => Err(Stop::fail("detach of another handle")),
        None => Ok(None),
    }
}

async fn close_link(
    client: &mut Dialogue,
    link: &Link,
    condition: Option<Symbol>,
) -> Result<(), Stop> {
    let detach = match condition {
        Some(condition) => frames::detach_for(link, condition),
        None => frames::detach(link),
    };
    match expect_answer(client, link, detach).await? {
        Some(answer) if !answer.closed => Err(Stop::fail("detach without closed")),
        _ => Ok(()),
    }
}
