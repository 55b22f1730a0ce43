//! Sources and targets: what is asked for, and what the answer says there is [3.5].

use super::connection::WRONG_FIELD;
use super::stock::{
    attach_if_taken, consume, expect_error, expect_left, expect_text, initial, post, stock,
};
use crate::codec::terminus::{distribution_mode, outcomes};
use crate::codec::{
    Attach, Described, FilterSet, LifetimePolicy, Source, Str, Symbol, Target, Value,
};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, Link, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a_003_l_017_a_dynamic_source_gets_an_address",
        rows: &["A-003", "L-017"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "attach as receiver from a dynamic source",
        expected: "attach with dynamic and an address",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                attach_dynamic_source(peer).await.map(drop)
            })
        },
    },
    Case {
        name: "a_003_what_is_sent_to_a_dynamic_address_arrives",
        rows: &["A-003"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "attach as receiver from a dynamic source, and a message to its address",
        expected: "the message",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let (receiver, address) = attach_dynamic_source(peer).await?;
                let attach = Attach {
                    target: Some(Target::new(address).into()),
                    ..peer.sender("out")
                };
                let sender = peer.attach(attach).await?;
                let id = post(peer, &sender, &frames::text("a")).await?;
                peer.expect_accepted(id).await?;
                peer.grant(&receiver, initial(&receiver), 1).await?;
                expect_text(peer, "a").await.map(drop)
            })
        },
    },
    Case {
        name: "a_003_a_dynamic_target_gets_an_address",
        rows: &["A-003"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "attach as sender to a dynamic target",
        expected: "attach with dynamic and an address",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let attach = Attach {
                    target: Some(Target::dynamic(LifetimePolicy::DeleteOnClose).into()),
                    ..peer.sender("link")
                };
                let remote = attach_if_taken(peer, attach).await?.remote;
                let target = remote.target.as_ref();
                match target.and_then(|target| target.address()) {
                    Some(_) => Ok(()),
                    None => Err(Stop::fail(format!(
                        "a target without an address: {target:?}"
                    ))),
                }
            })
        },
    },
    Case {
        name: "a_003_two_dynamic_sources_are_two_nodes",
        rows: &["A-003"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "attach as receiver from a dynamic source, twice",
        expected: "two addresses",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let (_, first) = attach_dynamic_source(peer).await?;
                let (_, second) = attach_dynamic_source(peer).await?;
                match first == second {
                    true => Err(Stop::fail(format!("{first} twice"))),
                    false => Ok(()),
                }
            })
        },
    },
    Case {
        name: "a_002_a_dynamic_source_with_an_address_is_refused",
        rows: &["A-002"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "attach as receiver from a dynamic source that has an address",
        expected: "a refusal with amqp:invalid-field",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let source = Source {
                    address: Some(peer.node().into()),
                    ..Source::dynamic(LifetimePolicy::DeleteOnClose)
                };
                let attach = Attach {
                    source: Some(source),
                    ..peer.receiver("link")
                };
                peer.send(attach).await?;
                expect_error(peer, &WRONG_FIELD).await.map(drop)
            })
        },
    },
    Case {
        name: "a_024_the_smallest_termini_are_taken",
        rows: &["A-024"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "attach as sender from a source of no fields, and as receiver to a target of none",
        expected: "attach for each",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let sender = Attach {
                    source: Some(Source::default()),
                    ..peer.sender("out")
                };
                peer.attach(sender).await?;
                let receiver = Attach {
                    target: Some(Target::default().into()),
                    ..peer.receiver("in")
                };
                peer.attach(receiver).await.map(drop)
            })
        },
    },
    Case {
        name: "l_016_a_024_the_answer_names_the_node",
        rows: &["L-016", "A-024"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "attach in each role",
        expected: "attach whose source or target has an address",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let source = peer.attach_receiver("in").await?.remote.source;
                let target = peer.attach_sender("out").await?.remote.target;
                let from = source.and_then(|source| source.address);
                let to = target.as_ref().and_then(|target| target.address().cloned());
                match (from, to) {
                    (Some(_), Some(_)) => Ok(()),
                    other => Err(Stop::fail(format!("addresses {other:?}"))),
                }
            })
        },
    },
    Case {
        name: "a_020_l_017_a_filter_that_nobody_knows_is_not_said_to_be_in_force",
        rows: &["A-020", "L-017"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "attach as receiver with a filter of a name that nobody knows",
        expected: "attach without this filter, or a refusal",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let unknown = Symbol::from_static("x-conform:unknown");
                let filter = Value::from(Described {
                    descriptor: unknown.clone().into(),
                    value: "nothing".into(),
                });
                let source = Source {
                    filter: FilterSet::new().with(unknown, filter),
                    ..Source::new(peer.node())
                };
                let link = attach_from(peer, "link", source).await?;
                let source = link.remote.source.unwrap_or_default();
                match source.filter.contains_key("x-conform:unknown") {
                    true => Err(Stop::fail("the filter is in the answer")),
                    false => Ok(()),
                }
            })
        },
    },
    Case {
        name: "a_022_a_source_of_fewer_outcomes_is_served",
        rows: &["A-022"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "attach as receiver with the outcomes accepted and released, and credit",
        expected: "attach and the message",
        play: |peer| {
            Box::pin(async move {
                stock(peer, &[frames::text("a")]).await?;
                let source = Source {
                    outcomes: vec![outcomes::ACCEPTED, outcomes::RELEASED],
                    ..Source::new(peer.node())
                };
                let link = attach_from(peer, "link", source).await?;
                peer.grant(&link, initial(&link), 1).await?;
                expect_text(peer, "a").await.map(drop)
            })
        },
    },
    Case {
        name: "a_025_capabilities_that_nobody_knows_do_no_harm",
        rows: &["A-025"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "attach whose source has capabilities that nobody knows",
        expected: "attach",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let source = Source {
                    capabilities: vec![Symbol::from_static("x-conform:unknown")],
                    ..Source::new(peer.node())
                };
                attach_from(peer, "link", source).await.map(drop)
            })
        },
    },
    Case {
        name: "a_016_a_copy_leaves_the_message_in_its_node",
        rows: &["A-016"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "attach as receiver in the mode copy, and the message accepted; then another link",
        expected: "the message on both, if the answer is in that mode",
        play: |peer| {
            Box::pin(async move {
                stock(peer, &[frames::text("a")]).await?;
                let link = browse(peer).await?;
                peer.grant(&link, initial(&link), 1).await?;
                expect_text(peer, "a").await?;
                expect_left(peer, &["a"]).await
            })
        },
    },
    Case {
        name: "a_017_what_was_accepted_is_not_copied_again",
        rows: &["A-017"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "attach as receiver in the mode copy, the message accepted, and credit for more",
        expected: "the message once, if the answer is in that mode",
        play: |peer| {
            Box::pin(async move {
                stock(peer, &[frames::text("a")]).await?;
                let link = browse(peer).await?;
                peer.grant(&link, initial(&link), 10).await?;
                expect_text(peer, "a").await?;
                peer.expect_silence().await
            })
        },
    },
    Case {
        name: "a_016_d_030_messages_keep_their_order",
        rows: &["A-016", "D-030"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[Need::Queue],
        stimulus: "three messages over one link, and credit for three",
        expected: "the three in their order",
        play: |peer| {
            Box::pin(async move {
                consume(peer, &["a", "b", "c"], 3).await?;
                for text in ["a", "b", "c"] {
                    expect_text(peer, text).await?;
                }
                Ok(())
            })
        },
    },
];

/// A link from a node that the listener makes for it, and the node's address.
async fn attach_dynamic_source(peer: &mut Dialogue) -> Result<(Link, Str), Stop> {
    let attach = peer.receiver("in");
    let attach = Attach {
        name: format!("in-{}", attach.handle).into(),
        source: Some(Source::dynamic(LifetimePolicy::DeleteOnClose)),
        ..attach
    };
    let link = attach_if_taken(peer, attach).await?;
    let source = link.remote.source.clone().unwrap_or_default();
    if !source.dynamic {
        peer.remark("the answer is not dynamic");
    }
    match source.address {
        Some(address) => Ok((link, address)),
        None => Err(Stop::fail("a dynamic source without an address")),
    }
}

async fn attach_from(peer: &mut Dialogue, name: &str, source: Source) -> Result<Link, Stop> {
    let attach = Attach {
        source: Some(source),
        ..peer.receiver(name)
    };
    attach_if_taken(peer, attach).await
}

/// A link that copies messages, if the listener says that it does.
async fn browse(peer: &mut Dialogue) -> Result<Link, Stop> {
    let source = Source {
        distribution_mode: Some(distribution_mode::COPY),
        ..Source::new(peer.node())
    };
    let link = attach_from(peer, "browse", source).await?;
    let answer = link.remote.source.as_ref();
    match answer.and_then(|source| source.distribution_mode.as_ref()) {
        Some(mode) if *mode == distribution_mode::COPY => Ok(link),
        _ => Err(Stop::skip("the listener does not say that it copies")),
    }
}
