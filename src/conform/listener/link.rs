//! Links: attach, detach and what refuses them [2.6.1-2.6.6, 2.7.3, 2.7.7].

use super::connection::WRONG_FIELD;
use super::stock::{expect_error, expect_text, post, receive, settle, stock};
use crate::codec::{
    AmqpError, Attach, Detach, Fields, Outcome, Performative, Role, Source, Symbol, Target,
    condition,
};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, Refusal, Scope, frames};

/// An address that no listener has, it is hoped.
const MISSING: &str = "no-such-node-of-conform";

pub(super) const CASES: &[Case] = &[
    Case {
        name: "l_005_l_012_attach_is_answered_by_its_name_in_the_opposite_role",
        rows: &["L-005", "L-012"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "attach as receiver and as sender, with handles 42 and 43",
        expected: "attach with the same name and the opposite role, on any handle, for each",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                peer.attach_receiver("a name with spaces, and ÿ").await?;
                peer.attach_sender("another/name").await.map(drop)
            })
        },
    },
    Case {
        name: "l_002_a_name_in_both_directions_is_two_links",
        rows: &["L-002"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "attach as receiver and as sender with one name, and detach of the first",
        expected: "attach for each, on handles of their own, and detach of the first alone",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let receiver = peer.attach_receiver("link").await?;
                let sender = peer.attach_sender("link").await?;
                if receiver.remote.handle == sender.remote.handle {
                    return Err(Stop::fail("one handle for both"));
                }
                peer.detach(&receiver).await?;
                post(peer, &sender, &frames::text("a")).await?;
                peer.expect_service().await
            })
        },
    },
    Case {
        name: "l_013_a_source_that_is_refused_is_null",
        rows: &["L-013"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "attach as receiver, from a node that there is not",
        expected: "attach without a source, then detach with closed and an error",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let attach = Attach {
                    source: Some(Source::new(MISSING)),
                    ..peer.receiver("link")
                };
                refused(peer, attach).await.map(drop)
            })
        },
    },
    Case {
        name: "l_013_a_target_that_is_refused_is_null",
        rows: &["L-013"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "attach as sender, to a node that there is not",
        expected: "attach without a target, then detach with closed and an error",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let attach = Attach {
                    target: Some(Target::new(MISSING).into()),
                    ..peer.sender("link")
                };
                refused(peer, attach).await.map(drop)
            })
        },
    },
    Case {
        name: "e_003_an_unknown_node_is_not_found",
        rows: &["E-003"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "attach as receiver, from a node that there is not",
        expected: "a refusal with amqp:not-found",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let attach = Attach {
                    source: Some(Source::new(MISSING)),
                    ..peer.receiver("link")
                };
                match refused(peer, attach).await? {
                    error if error.condition == condition::NOT_FOUND => Ok(()),
                    error => Err(Stop::fail(format!("{error}"))),
                }
            })
        },
    },
    Case {
        name: "l_026_l_027_a_closing_detach_is_answered_by_one",
        rows: &["L-026", "L-027"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "detach with closed, of a link in each role",
        expected: "detach with closed, on the handle of the link",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let links = [
                    peer.attach_receiver("in").await?,
                    peer.attach_sender("out").await?,
                ];
                for link in links {
                    let answer = peer.detach(&link).await?;
                    if !answer.closed || answer.handle != link.remote.handle {
                        return Err(Stop::fail(format!("{answer:?}")));
                    }
                }
                Ok(())
            })
        },
    },
    Case {
        name: "l_026_a_detach_that_does_not_close_is_answered",
        rows: &["L-026"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "detach without closed",
        expected: "detach without an error, closed or not",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let link = peer.attach_receiver("link").await?;
                let detach = Detach {
                    closed: false,
                    ..frames::detach(&link)
                };
                peer.send(detach).await?;
                match peer.expect_detach().await?.error {
                    None => Ok(()),
                    Some(error) => Err(Stop::Remark(format!("detach with {error}"))),
                }
            })
        },
    },
    Case {
        name: "l_026_a_detach_with_an_error_is_answered",
        rows: &["L-026"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "detach with closed and an error of a name that nobody knows",
        expected: "detach, and a session that goes on",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let link = peer.attach_sender("link").await?;
                let detach = Detach {
                    error: Some(frames::unknown_error()),
                    ..frames::detach(&link)
                };
                peer.send(detach).await?;
                peer.expect_detach().await?;
                peer.attach_receiver("next").await.map(drop)
            })
        },
    },
    Case {
        name: "l_032_a_detached_link_is_attached_again",
        rows: &["L-032"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "detach without closed, and attach with the same name and the next handle",
        expected: "attach, and a link that carries a message",
        play: |peer| {
            Box::pin(async move {
                stock(peer, &[frames::text("a")]).await?;
                let link = peer.attach_receiver("link").await?;
                let detach = Detach {
                    closed: false,
                    ..frames::detach(&link)
                };
                peer.send(detach).await?;
                peer.expect_detach().await?;
                receive(peer, "link", 1).await?;
                expect_text(peer, "a").await.map(drop)
            })
        },
    },
    Case {
        name: "l_009_a_handle_is_free_after_detach",
        rows: &["L-009"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "attach and detach on one handle, fifty times, in both roles",
        expected: "attach and detach, each time",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                for _ in 0..25 {
                    for attach in [peer.receiver("in"), peer.sender("out")] {
                        let attach = Attach {
                            handle: 3,
                            ..attach
                        };
                        let link = peer.attach(attach).await?;
                        peer.detach(&link).await?;
                    }
                }
                Ok(())
            })
        },
    },
    Case {
        name: "l_007_a_handle_in_use_is_refused",
        rows: &["L-007"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "two attaches of other names on one handle",
        expected: "attach, then end or close with amqp:session:handle-in-use",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let link = peer.attach_receiver("first").await?;
                let attach = Attach {
                    handle: link.handle,
                    ..peer.receiver("second")
                };
                peer.send(attach).await?;
                let refusal = expect_error(peer, &[condition::HANDLE_IN_USE]).await?;
                beyond_the_link(&refusal)
            })
        },
    },
    Case {
        name: "l_008_a_transfer_on_an_unattached_handle_ends_the_session",
        rows: &["L-008"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "a transfer on the handle of a link that was closed",
        expected: "end with amqp:session:unattached-handle",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let link = peer.attach_sender("link").await?;
                peer.detach(&link).await?;
                let transfer = peer.next_transfer(&link)?;
                peer.send_transfer(transfer, &frames::text("a")).await?;
                let refusal = expect_error(peer, &[condition::UNATTACHED_HANDLE]).await?;
                beyond_the_link(&refusal)
            })
        },
    },
    Case {
        name: "l_008_a_detach_of_an_unattached_handle_ends_the_session",
        rows: &["L-008"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "a detach on a handle that no link ever had",
        expected: "end with amqp:session:unattached-handle",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let detach = Detach {
                    handle: 9,
                    closed: true,
                    error: None,
                };
                peer.send(detach).await?;
                let refusal = expect_error(peer, &[condition::UNATTACHED_HANDLE]).await?;
                beyond_the_link(&refusal)
            })
        },
    },
    Case {
        name: "l_010_an_attach_without_its_mandatory_fields_is_refused",
        rows: &["L-010"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "attach without any field",
        expected: "end or close with amqp:decode-error or amqp:invalid-field",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let octets = frames::frame_of(frames::CHANNEL, b"\0\x53\x12\x45");
                peer.send_bytes(&octets).await?;
                expect_error(peer, &WRONG_FIELD).await.map(drop)
            })
        },
    },
    Case {
        name: "l_026_s_015_a_link_may_be_closed_before_its_attach_is_answered",
        rows: &["L-026", "S-015"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "attach and detach in one segment",
        expected: "attach and detach, and a session that goes on",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let attach = peer.receiver("link");
                let detach = Detach {
                    handle: attach.handle,
                    closed: true,
                    error: None,
                };
                let said: [Performative; 2] = [attach.into(), detach.into()];
                let octets = said.map(|said| frames::encode(frames::CHANNEL, said, b""));
                peer.send_bytes(&octets.concat()).await?;
                peer.expect_attach().await?;
                peer.expect_detach().await?;
                peer.attach_receiver("next").await.map(drop)
            })
        },
    },
    Case {
        name: "l_003_e_017_a_link_that_is_attached_twice_is_stolen",
        rows: &["L-003", "E-017"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "attach with one name and role on two handles",
        expected: "attach for the second, and detach of the first with amqp:link:stolen",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                peer.attach_receiver("link").await?;
                let again = peer.receiver("link");
                peer.send(again).await?;
                expect_stolen(peer).await
            })
        },
    },
    Case {
        name: "l_019_a_sender_says_where_it_begins_to_count",
        rows: &["L-019"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "attach as sender without an initial-delivery-count",
        expected: "a refusal with amqp:invalid-field",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let attach = Attach {
                    initial_delivery_count: None,
                    ..peer.sender("link")
                };
                peer.send(attach).await?;
                expect_error(peer, &WRONG_FIELD).await.map(drop)
            })
        },
    },
    Case {
        name: "l_019_a_listener_that_sends_says_where_it_begins_to_count",
        rows: &["L-019"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "attach as receiver",
        expected: "attach with an initial-delivery-count",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                match peer.attach_receiver("link").await?.remote {
                    remote if remote.initial_delivery_count.is_some() => Ok(()),
                    _ => Err(Stop::fail("attach without an initial-delivery-count")),
                }
            })
        },
    },
    Case {
        name: "l_043_what_an_attach_says_more_does_no_harm",
        rows: &["L-043"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "attach with capabilities and properties that nobody knows",
        expected: "attach",
        play: |peer| {
            Box::pin(async move {
                let unknown = Symbol::from_static("x-conform:unknown");
                peer.open_session().await?;
                let attach = Attach {
                    offered_capabilities: vec![unknown.clone()],
                    desired_capabilities: vec![unknown.clone()],
                    properties: Fields::new().with(unknown, 7u32),
                    ..peer.receiver("link")
                };
                peer.attach(attach).await.map(drop)
            })
        },
    },
    Case {
        name: "l_046_l_005_many_links_live_in_one_session",
        rows: &["L-046", "L-005"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "twenty attaches in one segment, as sender and as receiver in turn",
        expected: "twenty attaches, each on another handle",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let mut octets = Vec::new();
                for number in 0..10 {
                    for attach in [
                        peer.receiver(&format!("in-{number}")),
                        peer.sender(&format!("out-{number}")),
                    ] {
                        octets.extend(frames::encode(frames::CHANNEL, attach, b""));
                    }
                }
                peer.send_bytes(&octets).await?;
                let mut handles = Vec::new();
                for _ in 0..20 {
                    handles.push(attached(peer).await?.handle);
                }
                handles.sort_unstable();
                handles.dedup();
                match handles.len() {
                    20 => Ok(()),
                    other => Err(Stop::fail(format!("{other} handles for 20 links"))),
                }
            })
        },
    },
    Case {
        name: "s_010_l_046_c_028_end_and_close_take_open_links_with_them",
        rows: &["S-010", "L-046", "C-028"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "links in both roles and a delivery that is not settled; end, and the same again with close",
        expected: "end, and close",
        play: |peer| {
            Box::pin(async move {
                for _ in 0..2 {
                    stock(peer, &[frames::text("a"), frames::text("b")]).await?;
                    peer.attach_sender("out").await?;
                    receive(peer, "in", 1).await?;
                    peer.expect_delivery().await?;
                    peer.end().await?;
                    peer.begin().await?;
                    peer.attach_sender("out").await?;
                    receive(peer, "in", 1).await?;
                    peer.expect_delivery().await?;
                    peer.close().await?;
                }
                Ok(())
            })
        },
    },
    Case {
        name: "l_034_p_014_dispositions_for_a_closed_link_are_ignored",
        rows: &["L-034", "P-014"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a delivery, detach with closed, and then the outcome of the delivery",
        expected: "a session that goes on",
        play: |peer| {
            Box::pin(async move {
                stock(peer, &[frames::text("a")]).await?;
                let link = receive(peer, "link", 1).await?;
                let (delivery, _) = peer.expect_delivery().await?;
                peer.detach(&link).await?;
                settle(peer, &delivery, Outcome::Accepted).await?;
                peer.attach_receiver("next").await.map(drop)
            })
        },
    },
];

/// The error with which this link is refused, in the way that the standard has for it.
async fn refused(peer: &mut Dialogue, attach: Attach) -> Result<AmqpError, Stop> {
    peer.send(attach).await?;
    let answer = match peer.expect_attach().await {
        Err(Stop::Fail(came)) if came.starts_with("end") || came.starts_with("close") => {
            return Err(Stop::Remark(format!("{came}: more ends than the link")));
        }
        other => other?,
    };
    let is_null = match answer.role {
        Role::Sender => answer.source.is_none(),
        Role::Receiver => answer.target.is_none(),
    };
    let detach = match peer.expect_detach().await {
        Err(Stop::Fail(came)) if !is_null => {
            return Err(Stop::skip(format!(
                "the listener attaches the link: {came}"
            )));
        }
        other => other?,
    };
    match detach.error {
        None => Err(Stop::fail("a refusal without an error")),
        Some(error) if !is_null => {
            let text = format!("the link is attached, and then detached with {error}");
            Err(Stop::Remark(text))
        }
        Some(_) if !detach.closed => Err(Stop::fail("a refusal by detach without closed")),
        Some(error) => Ok(error),
    }
}

/// In any order: the answer to the second attach of a link, and the end of the first.
async fn expect_stolen(peer: &mut Dialogue) -> Result<(), Stop> {
    let (mut is_attached, mut is_stolen) = (false, false);
    while !(is_attached && is_stolen) {
        let Some(frame) = peer.next_frame().await? else {
            return Err(Stop::fail("the end of the stream"));
        };
        match frame.performative {
            Some(Performative::Attach(_)) => is_attached = true,
            Some(Performative::Detach(Detach {
                error: Some(error), ..
            })) if error.condition == condition::STOLEN => is_stolen = true,
            Some(other) => {
                if let Some(refusal) = Refusal::of(&other) {
                    return Err(Stop::fail(refusal.to_string()));
                }
            }
            None => {}
        }
    }
    Ok(())
}

/// The next attach, and not one of a link that is refused.
async fn attached(peer: &mut Dialogue) -> Result<Attach, Stop> {
    let answer = peer.expect_attach().await.map_err(|stop| match stop {
        Stop::Fail(came) if came.starts_with("detach") || came.starts_with("end") => {
            Stop::skip(format!("the listener takes fewer links: {came}"))
        }
        other => other,
    })?;
    Ok(answer)
}

/// What the session can no longer make sense of ends more than a link.
fn beyond_the_link(refusal: &Refusal) -> Result<(), Stop> {
    match refusal.scope {
        Scope::Link => Err(Stop::Remark(format!("{refusal}, and the session goes on"))),
        Scope::Session | Scope::Connection => Ok(()),
    }
}
