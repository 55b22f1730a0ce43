//! Connections [2.4, 2.7.1, 2.7.9].

use std::time::Duration;

use crate::codec::{Close, End, Fields, Open, Performative, ProtocolHeader, Symbol, condition};
use crate::conform::case::{Case, Level, Side, Stop};
use crate::conform::dialogue::{Dialogue, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "c_001_c_002_the_first_frame_is_open_on_channel_0",
        rows: &["C-001", "C-002"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "open",
        expected: "open on channel 0, before any other frame",
        play: |peer| Box::pin(async move { peer.open().await.map(drop) }),
    },
    Case {
        name: "c_001_a_first_frame_other_than_open_is_refused",
        rows: &["C-001"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "begin in place of open",
        expected: "close with an error, and no begin",
        play: |peer| {
            Box::pin(async move {
                peer.greet().await?;
                peer.send_on(0, frames::begin()).await?;
                peer.expect_close_with(&WRONG_MOMENT).await
            })
        },
    },
    Case {
        name: "c_002_open_on_another_channel_is_refused",
        rows: &["C-002"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "open on channel 1",
        expected: "open, then close with an error",
        play: |peer| {
            Box::pin(async move {
                peer.greet().await?;
                peer.send_on(1, frames::open()).await?;
                peer.expect_close_with(&WRONG_MOMENT).await
            })
        },
    },
    Case {
        name: "c_003_a_second_open_is_refused",
        rows: &["C-003"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "open, twice",
        expected: "open, then close with an error",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                peer.send_on(0, frames::open()).await?;
                peer.expect_close_with(&WRONG_MOMENT).await
            })
        },
    },
    Case {
        name: "c_004_open_without_container_id_is_refused",
        rows: &["C-004"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "open without any field",
        expected: "close with an error",
        play: |peer| {
            Box::pin(async move {
                peer.greet().await?;
                peer.send_bytes(&frames::frame_of(0, b"\0\x53\x10\x45"))
                    .await?;
                peer.expect_close_with(&WRONG_FIELD).await
            })
        },
    },
    Case {
        name: "c_007_c_008_c_038_no_channel_above_the_partners_channel_max_is_used",
        rows: &["C-007", "C-008", "C-038"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "a channel-max of 0, and begin",
        expected: "begin on channel 0",
        play: |peer| {
            Box::pin(async move {
                let open = Open {
                    channel_max: 0,
                    ..frames::open()
                };
                peer.open_with(open).await?;
                peer.send_on(0, frames::begin()).await?;
                match peer.expect_begin().await? {
                    (0, _) => Ok(()),
                    (channel, _) => Err(Stop::Fail(format!("begin on channel {channel}"))),
                }
            })
        },
    },
    Case {
        name: "c_009_a_channel_above_channel_max_is_a_framing_error",
        rows: &["C-009"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "begin on a channel above the listener's channel-max",
        expected: "close with amqp:connection:framing-error, then the end of the stream",
        play: |peer| {
            Box::pin(async move {
                let most = peer.open().await?.channel_max;
                let Some(above) = most.checked_add(1) else {
                    return Err(Stop::skip("every channel may be used"));
                };
                peer.send_on(above, frames::begin()).await?;
                peer.expect_close_with(&[condition::FRAMING_ERROR]).await
            })
        },
    },
    Case {
        name: "c_010_an_idle_time_out_of_zero_is_none",
        rows: &["C-010"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "an idle-time-out of 0",
        expected: "a connection that is served",
        play: |peer| {
            Box::pin(async move {
                let open = Open {
                    idle_time_out: Some(0),
                    ..frames::open()
                };
                peer.open_with(open).await?;
                peer.expect_service().await
            })
        },
    },
    Case {
        name: "c_011_who_is_waited_for_sends_frames_in_time",
        rows: &["C-011"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "an idle-time-out of 2 seconds, and nothing more",
        expected: "a frame at least every 2 seconds, for 7 seconds",
        play: |peer| Box::pin(expect_heartbeats(peer, Duration::from_secs(2), |_| Ok(()))),
    },
    Case {
        name: "c_013_c_016_heartbeats_come_early_and_on_channel_0",
        rows: &["C-013", "C-016"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "an idle-time-out of 2 seconds, and nothing more",
        expected: "empty frames on channel 0 at least every 1.5 seconds",
        play: |peer| {
            Box::pin(expect_heartbeats(
                peer,
                Duration::from_millis(1500),
                |channel| match channel {
                    0 => Ok(()),
                    other => Err(Stop::Fail(format!("an empty frame on channel {other}"))),
                },
            ))
        },
    },
    Case {
        name: "c_014_a_silent_peer_gets_a_close_with_an_error",
        rows: &["C-014"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "nothing, for twice the listener's idle-time-out",
        expected: "close with an error, and the end of the stream",
        play: |peer| {
            Box::pin(async move {
                let time_out = idle_time_out(peer).await?;
                peer.pause(time_out * 2).await;
                let conditions = [condition::RESOURCE_LIMIT_EXCEEDED];
                peer.expect_close_with(&conditions).await
            })
        },
    },
    Case {
        name: "c_015_an_idle_time_out_that_cannot_be_honoured_is_refused",
        rows: &["C-015"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "an idle-time-out of 1 millisecond",
        expected: "close with an error that says so",
        play: |peer| {
            Box::pin(async move {
                peer.greet().await?;
                let open = Open {
                    idle_time_out: Some(1),
                    ..frames::open()
                };
                peer.send_on(0, open).await?;
                let conditions = [
                    condition::NOT_ALLOWED,
                    condition::INVALID_FIELD,
                    condition::PRECONDITION_FAILED,
                    condition::RESOURCE_LIMIT_EXCEEDED,
                ];
                peer.expect_close_with(&conditions).await
            })
        },
    },
    Case {
        name: "c_017_empty_frames_keep_the_connection_up",
        rows: &["C-017"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "an empty frame at each half of the listener's idle-time-out, for three of them",
        expected: "a connection that is served",
        play: |peer| {
            Box::pin(async move {
                let time_out = idle_time_out(peer).await?;
                for _ in 0..6 {
                    peer.pause(time_out / 2).await;
                    peer.send_empty().await?;
                }
                peer.expect_service().await
            })
        },
    },
    Case {
        name: "c_020_c_021_c_022_c_023_what_an_open_says_more_does_no_harm",
        rows: &["C-020", "C-021", "C-022", "C-023"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "open with locales, capabilities and properties that nobody knows",
        expected: "a connection that is served",
        play: |peer| {
            Box::pin(async move {
                let unknown = Symbol::from_static("x-conform:unknown");
                let locale = Symbol::from_static("de-DE");
                let open = Open {
                    outgoing_locales: vec![locale.clone()],
                    incoming_locales: vec![locale],
                    offered_capabilities: vec![unknown.clone()],
                    desired_capabilities: vec![unknown.clone()],
                    properties: Fields::new().with(unknown, "whatever"),
                    ..frames::open()
                };
                peer.open_with(open).await?;
                peer.expect_service().await
            })
        },
    },
    Case {
        name: "c_024_c_025_c_034_c_035_open_and_close_may_come_in_one_segment",
        rows: &["C-024", "C-025", "C-034", "C-035"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "header, open, begin, end and close in one segment",
        expected: "header, open and, as the last word, close",
        play: |peer| {
            Box::pin(async move {
                let mut octets = ProtocolHeader::AMQP.to_bytes().to_vec();
                let said: [Performative; 4] = [
                    frames::open().into(),
                    frames::begin().into(),
                    End::default().into(),
                    frames::close().into(),
                ];
                for performative in said {
                    octets.extend_from_slice(&frames::encode(0, performative, b""));
                }
                peer.log_in().await?;
                peer.send_bytes(&octets).await?;
                peer.expect_header(ProtocolHeader::AMQP).await?;
                peer.expect_open().await?;
                peer.expect_answer_to_close().await?;
                peer.expect_last_word().await.map(drop)
            })
        },
    },
    Case {
        name: "c_026_c_028_c_036_close_is_answered_and_the_last_word",
        rows: &["C-026", "C-028", "C-036"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "close, while a session and a link are there",
        expected: "close without an error, and nothing after it",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                peer.attach_receiver("link").await?;
                peer.send_on(0, frames::close()).await?;
                let close = peer.expect_answer_to_close().await?;
                peer.expect_last_word().await?;
                match close.error {
                    Some(error) => Err(Stop::Remark(format!("close with {error}"))),
                    None => Ok(()),
                }
            })
        },
    },
    Case {
        name: "c_028_close_with_an_error_of_any_name_is_answered",
        rows: &["C-028"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "close with the condition x-conform:unknown",
        expected: "close",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                let close = Close {
                    error: Some(frames::unknown_error()),
                };
                peer.send_on(0, close).await?;
                peer.expect_answer_to_close().await.map(drop)
            })
        },
    },
    Case {
        name: "c_028_close_twice_does_no_harm",
        rows: &["C-028"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "close and, in the same segment, close again",
        expected: "close, and the end of the stream",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                let close = frames::encode(0, frames::close(), b"");
                peer.send_bytes(&[close.clone(), close].concat()).await?;
                peer.expect_answer_to_close().await?;
                peer.expect_eof_or_remark().await
            })
        },
    },
    Case {
        name: "c_029_close_is_taken_on_any_channel",
        rows: &["C-029"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "close on channel 1",
        expected: "close",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                peer.send_on(1, frames::close()).await?;
                peer.expect_answer_to_close().await.map(drop)
            })
        },
    },
    Case {
        name: "c_032_c_037_after_a_close_with_an_error_frames_are_dropped",
        rows: &["C-032", "C-037"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "a performative that there is not, then begin, then close",
        expected: "close with an error, and nothing after it but the end of the stream",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                peer.send_bytes(&frames::frame_of(0, b"\0\x53\x19\x45"))
                    .await?;
                match peer.expect_refusal().await {
                    Ok(refusal) if refusal.error.is_some() => {}
                    _ => return Err(Stop::skip("the listener does not close by this")),
                }
                peer.send_on(0, frames::begin()).await?;
                peer.expect_last_word().await?;
                peer.send_on(0, frames::close()).await?;
                peer.expect_eof_or_remark().await
            })
        },
    },
    Case {
        name: "c_039_a_frame_on_a_channel_without_session_is_refused",
        rows: &["C-039"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "flow on a channel on which nothing began",
        expected: "close with an error",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                peer.send_on(1, peer.flow()).await?;
                peer.expect_close_with(&WRONG_MOMENT).await
            })
        },
    },
    Case {
        name: "c_040_a_link_can_be_attached_again_after_its_connection_was_lost",
        rows: &["C-040"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "an attached link, the end of the stream, and the same again on a new connection",
        expected: "attach, on both connections",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                peer.attach_receiver("link").await?;
                peer.hang_up().await?;
                peer.open_session().await?;
                peer.attach_receiver("link").await.map(drop)
            })
        },
    },
];

/// What a legal frame at an illegal moment is refused with.
const WRONG_MOMENT: [Symbol; 3] = [
    condition::ILLEGAL_STATE,
    condition::NOT_ALLOWED,
    condition::FRAMING_ERROR,
];

/// What a frame with a missing or a wrong field is refused with.
pub(super) const WRONG_FIELD: [Symbol; 2] = [condition::DECODE_ERROR, condition::INVALID_FIELD];

/// Announces an idle-time-out of two seconds; no two frames are further apart than this.
async fn expect_heartbeats(
    peer: &mut Dialogue,
    apart: Duration,
    is_right: fn(u16) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let open = Open {
        idle_time_out: Some(2000),
        ..frames::open()
    };
    peer.open_with(open).await?;
    let started = peer.elapsed();
    let mut last = started;
    while last - started < Duration::from_secs(7) {
        let Some(frame) = peer.next_frame().await? else {
            return Err(Stop::fail("the end of the stream"));
        };
        if frame.performative.is_none() {
            is_right(frame.channel)?;
        }
        // A quarter of a second is granted to a machine that is busy.
        let gap = peer.elapsed() - last;
        if gap > apart + Duration::from_millis(250) {
            return Err(Stop::Fail(format!("nothing for {gap:?}")));
        }
        last = peer.elapsed();
    }
    Ok(())
}

/// The listener's idle-time-out, where it is short enough to wait for.
async fn idle_time_out(peer: &mut Dialogue) -> Result<Duration, Stop> {
    let open = peer.open().await?;
    let time_out = Duration::from_millis(open.idle_time_out.unwrap_or(0).into());
    match time_out * 4 < peer.time_left() && !time_out.is_zero() {
        true => Ok(time_out),
        false => Err(Stop::Skip(format!(
            "an idle-time-out of {time_out:?} is not waited for"
        ))),
    }
}
