//! Sessions [2.5, 2.7.2, 2.7.8].

use super::connection::WRONG_FIELD;
use crate::codec::{Attach, Begin, End, Fields, Flow, Performative, Symbol, condition};
use crate::conform::case::{Case, Level, Side, Stop};
use crate::conform::dialogue::{Dialogue, Scope, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "s_001_s_002_begin_is_answered_with_the_initiators_channel",
        rows: &["S-001", "S-002"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "begin on channel 7",
        expected: "begin with a remote-channel of 7, on any channel",
        play: |peer| Box::pin(async move { peer.open_session().await.map(drop) }),
    },
    Case {
        name: "s_001_s_003_every_begin_of_a_segment_is_answered",
        rows: &["S-001", "S-003"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "three begins in one segment",
        expected: "three begins in any order, each with another remote-channel and on another channel",
        play: |peer| {
            Box::pin(async move {
                if peer.open().await?.channel_max < 2 {
                    return Err(Stop::skip("the listener has fewer than three channels"));
                }
                let begin = |channel| frames::encode(channel, frames::begin(), b"");
                peer.send_bytes(&[begin(0), begin(1), begin(2)].concat())
                    .await?;
                let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                for _ in 0..3 {
                    let (channel, begin) = peer.expect_begin().await?;
                    theirs.push(channel);
                    ours.extend(begin.remote_channel);
                }
                for channels in [&mut ours, &mut theirs] {
                    channels.sort_unstable();
                    channels.dedup();
                }
                match ours == [0, 1, 2] && theirs.len() == 3 {
                    true => Ok(()),
                    false => Err(Stop::Fail(format!(
                        "remote-channels {ours:?} on {theirs:?}"
                    ))),
                }
            })
        },
    },
    Case {
        name: "s_001_a_begin_on_a_channel_in_use_is_refused",
        rows: &["S-001"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "begin, twice on the same channel",
        expected: "begin, then end or close with an error",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                peer.send(frames::begin()).await?;
                match peer.expect_refusal().await?.error {
                    Some(_) => Ok(()),
                    None => Err(Stop::fail("a refusal without an error")),
                }
            })
        },
    },
    Case {
        name: "s_004_an_answer_to_nothing_is_refused",
        rows: &["S-004"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "begin with a remote-channel on which the listener began nothing",
        expected: "end or close with an error",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                let begin = Begin {
                    remote_channel: Some(3),
                    ..frames::begin()
                };
                peer.send_on(0, begin).await?;
                peer.expect_refusal().await.map(drop)
            })
        },
    },
    Case {
        name: "s_006_a_begin_without_its_mandatory_fields_is_refused",
        rows: &["S-006"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "begin without any field",
        expected: "close with amqp:decode-error or amqp:invalid-field",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                peer.send_bytes(&frames::frame_of(0, b"\0\x53\x11\x45"))
                    .await?;
                peer.expect_close_with(&WRONG_FIELD).await
            })
        },
    },
    Case {
        name: "s_007_s_008_no_handle_above_the_partners_handle_max_is_used",
        rows: &["S-007", "S-008"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "a handle-max of 0, and attach with handle 0",
        expected: "attach with handle 0",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                let begin = Begin {
                    handle_max: 0,
                    ..frames::begin()
                };
                peer.begin_with(begin).await?;
                let attach = Attach {
                    handle: 0,
                    ..peer.receiver("link")
                };
                match peer.attach(attach).await?.remote.handle {
                    0 => Ok(()),
                    handle => Err(Stop::Fail(format!("attach with handle {handle}"))),
                }
            })
        },
    },
    Case {
        name: "s_009_a_handle_above_handle_max_is_a_framing_error",
        rows: &["S-009"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "attach with a handle above the listener's handle-max",
        expected: "close with amqp:connection:framing-error",
        play: |peer| {
            Box::pin(async move {
                let most = peer.open_session().await?.handle_max;
                let Some(handle) = most.checked_add(1) else {
                    return Err(Stop::skip("every handle may be used"));
                };
                let attach = Attach {
                    handle,
                    ..peer.receiver("link")
                };
                peer.send(attach).await?;
                peer.expect_close_with(&[condition::FRAMING_ERROR]).await
            })
        },
    },
    Case {
        name: "s_010_end_is_answered",
        rows: &["S-010"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "end, while a link is there",
        expected: "end without an error, and a connection that is served",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                peer.attach_receiver("link").await?;
                match peer.end().await?.error {
                    Some(error) => Err(Stop::Remark(format!("end with {error}"))),
                    None => peer.expect_service().await,
                }
            })
        },
    },
    Case {
        name: "s_010_e_001_e_019_end_with_an_error_of_any_name_is_answered",
        rows: &["S-010", "E-001", "E-019"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "end with the condition x-conform:unknown and an info",
        expected: "end, and a connection that is served",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let end = End {
                    error: Some(frames::unknown_error()),
                };
                peer.send(end).await?;
                peer.expect_end().await?;
                peer.expect_service().await
            })
        },
    },
    Case {
        name: "s_011_a_channel_can_be_begun_and_ended_again_and_again",
        rows: &["S-011"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "begin and end on one channel, a hundred times",
        expected: "begin and end, each time",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                for _ in 0..100 {
                    peer.begin().await?;
                    peer.end().await?;
                }
                Ok(())
            })
        },
    },
    Case {
        name: "s_012_s_013_after_an_end_with_an_error_frames_are_dropped_until_the_answer",
        rows: &["S-012", "S-013"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "a flow for no link, which ends the session; then flow and attach, then end and begin",
        expected: "end with an error, nothing until the answer, then begin",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                end_by_error(peer).await?;
                peer.send(peer.flow()).await?;
                let attach = peer.receiver("late");
                peer.send(attach).await?;
                peer.expect_silence().await?;
                peer.send(End::default()).await?;
                peer.begin().await.map(drop)
            })
        },
    },
    Case {
        name: "s_015_what_follows_a_begin_may_come_before_its_answer",
        rows: &["S-015"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "begin, attach and end in one segment",
        expected: "begin and end; attach in between, or not",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                let said: [Performative; 3] = [
                    frames::begin().into(),
                    peer.receiver("link").into(),
                    End::default().into(),
                ];
                let octets = said.map(|performative| frames::encode(0, performative, b""));
                peer.send_bytes(&octets.concat()).await?;
                peer.expect_begin().await?;
                match peer.expect_refusal().await? {
                    end if end.scope == Scope::Session && end.is_said => Ok(()),
                    other => Err(Stop::Fail(format!("{other} in place of end"))),
                }
            })
        },
    },
    Case {
        name: "s_017_an_error_in_one_session_leaves_another_alone",
        rows: &["S-017"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "two sessions, and in one a flow for no link, which ends it",
        expected: "end of that session; attach in the other",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                peer.begin_on(1, frames::begin()).await?;
                end_by_error(peer).await?;
                peer.send(End::default()).await?;
                peer.turn_to_session(frames::CHANNEL)?;
                peer.attach_receiver("link").await.map(drop)
            })
        },
    },
    Case {
        name: "s_018_what_a_begin_says_more_does_no_harm",
        rows: &["S-018"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "begin with capabilities and properties that nobody knows",
        expected: "begin",
        play: |peer| {
            Box::pin(async move {
                let unknown = Symbol::from_static("x-conform:unknown");
                let begin = Begin {
                    offered_capabilities: vec![unknown.clone()],
                    desired_capabilities: vec![unknown.clone()],
                    properties: Fields::new().with(unknown, 7u32),
                    ..frames::begin()
                };
                peer.open().await?;
                peer.begin_with(begin).await.map(drop)
            })
        },
    },
];

/// Makes the listener end the session, by a flow for a link that there is not.
async fn end_by_error(peer: &mut Dialogue) -> Result<(), Stop> {
    let flow = Flow {
        handle: Some(9),
        ..peer.flow()
    };
    peer.send(flow).await?;
    match peer.expect_refusal().await {
        Ok(refusal) if refusal.scope == Scope::Session => Ok(()),
        _ => Err(Stop::skip("the listener does not end the session by this")),
    }
}
