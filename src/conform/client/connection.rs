//! Connections, from a client's side [2.4].

use std::time::Duration;

use crate::codec::{AmqpError, Begin, Close, Fields, Open, Symbol, condition};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, frames};

static CLOSING: [Symbol; 5] = [
    condition::ILLEGAL_STATE,
    condition::NOT_ALLOWED,
    condition::FRAMING_ERROR,
    condition::INVALID_FIELD,
    condition::DECODE_ERROR,
];

pub(super) const CASES: &[Case] = &[
    Case {
        name: "c_001_c_002_c_004_f_013_the_first_frame_is_a_small_open_on_channel_0",
        rows: &["C-001", "C-002", "C-004", "F-013"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "headers, and nothing more",
        expected: "open on channel 0, in 512 octets at most",
        play: |client| {
            Box::pin(async move {
                client.greet().await?;
                client.expect_open().await?;
                match client.largest_frame() {
                    0..=512 => Ok(()),
                    size => Err(Stop::fail(format!("open in {size} octets"))),
                }
            })
        },
    },
    Case {
        name: "c_001_a_first_frame_other_than_open_is_refused_by_a_client",
        rows: &["C-001"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "begin in place of open",
        expected: "close with an error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                client.greet().await?;
                client.expect_open().await?;
                client.send_on(0, frames::begin()).await?;
                client.expect_close_with(&CLOSING).await
            })
        },
    },
    Case {
        name: "c_002_open_on_another_channel_is_refused_by_a_client",
        rows: &["C-002"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "open on channel 1",
        expected: "close with an error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                client.greet().await?;
                client.expect_open().await?;
                client.send_on(1, frames::open()).await?;
                client.expect_close_with(&CLOSING).await
            })
        },
    },
    Case {
        name: "c_003_a_second_open_is_refused_by_a_client",
        rows: &["C-003"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "open twice",
        expected: "close with an error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                client.send_on(0, frames::open()).await?;
                client.expect_close_with(&CLOSING).await
            })
        },
    },
    Case {
        name: "c_004_t_056_open_without_a_container_id_is_refused",
        rows: &["C-004", "T-056"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "open as an empty list",
        expected: "close with an error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                client.greet().await?;
                client.expect_open().await?;
                client
                    .send_bytes(&frames::frame_of(0, b"\x00\x53\x10\x45"))
                    .await?;
                client.expect_close_with(&CLOSING).await
            })
        },
    },
    Case {
        name: "t_061_a_field_of_another_type_is_refused",
        rows: &["T-061"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "open whose container-id is a uint",
        expected: "close with an error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                client.greet().await?;
                client.expect_open().await?;
                let open = frames::frame_of(0, b"\x00\x53\x10\xc0\x03\x01\x52\x07");
                client.send_bytes(&open).await?;
                client.expect_close_with(&CLOSING).await
            })
        },
    },
    Case {
        name: "c_004_an_empty_container_id_is_legal",
        rows: &["C-004"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "open whose container-id is empty",
        expected: "begin",
        play: |client| {
            Box::pin(async move {
                let open = Open {
                    container_id: "".into(),
                    ..frames::open()
                };
                client.open_with(open).await?;
                client.accept_session().await.map(drop)
            })
        },
    },
    Case {
        name: "c_006_t_055_a_listener_that_names_no_frame_size_takes_any",
        rows: &["C-006", "T-055"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "open with a container-id and nothing else",
        expected: "the client sends",
        play: |client| {
            Box::pin(async move {
                client.open_with(frames::open_at(u32::MAX)).await?;
                let link = client.accept_sender().await?;
                client.take(&link).await.map(drop)
            })
        },
    },
    Case {
        name: "c_020_c_022_c_023_what_a_client_does_not_know_of_an_open_is_ignored",
        rows: &["C-020", "C-022", "C-023"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "open and begin with locales, capabilities and properties that nobody knows",
        expected: "the client sends",
        play: |client| {
            Box::pin(async move {
                let unknown = Symbol::from_static("x-conform:unknown");
                let properties =
                    Fields::new().with(unknown.clone(), Fields::new().with(unknown.clone(), 1u32));
                let open = Open {
                    outgoing_locales: vec![Symbol::from_static("la"), Symbol::from_static("en-US")],
                    offered_capabilities: vec![unknown.clone(), unknown.clone()],
                    desired_capabilities: vec![unknown.clone()],
                    properties: properties.clone(),
                    ..frames::open()
                };
                client.open_with(open).await?;
                let (channel, _) = client.hold_session().await?;
                let begin = Begin {
                    offered_capabilities: vec![unknown],
                    properties,
                    ..frames::begin()
                };
                client.answer_begin(channel, begin).await?;
                let link = client.accept_sender().await?;
                client.take(&link).await.map(drop)
            })
        },
    },
    Case {
        name: "c_007_c_008_with_channel_max_0_there_is_channel_0_alone",
        rows: &["C-007", "C-008"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "open with a channel-max of 0",
        expected: "begin on channel 0, and none on another",
        play: |client| {
            Box::pin(async move {
                let open = Open {
                    channel_max: 0,
                    ..frames::open()
                };
                client.open_with(open).await?;
                let (channel, _) = client.hold_session().await?;
                client.answer_begin(channel, frames::begin()).await?;
                match (channel, client.hold_session().await) {
                    (0, Err(Stop::Skip(_))) => Ok(()),
                    (0, Ok((other, _))) => Err(Stop::fail(format!("begin on channel {other} too"))),
                    (0, Err(other)) => Err(other),
                    (channel, _) => Err(Stop::fail(format!("begin on channel {channel}"))),
                }
            })
        },
    },
    Case {
        name: "c_009_a_frame_above_the_channel_max_of_the_client_is_a_framing_error",
        rows: &["C-009"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "begin on the channel above the last that there is",
        expected: "close with amqp:connection:framing-error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                let remote = client.open().await?;
                client.accept_session().await?;
                let Some(channel) = remote.channel_max.checked_add(1) else {
                    return Err(Stop::skip("the client has every channel"));
                };
                client.send_on(channel, frames::begin()).await?;
                let conditions = [condition::FRAMING_ERROR, condition::NOT_ALLOWED];
                client.expect_close_with(&conditions).await
            })
        },
    },
    Case {
        name: "c_010_an_idle_time_out_of_0_is_none",
        rows: &["C-010"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "open with an idle-time-out of 0",
        expected: "the client sends",
        play: |client| {
            Box::pin(async move {
                client.open_with(idle_after(0)).await?;
                let link = client.accept_sender().await?;
                client.take(&link).await.map(drop)
            })
        },
    },
    Case {
        name: "c_011_a_client_with_nothing_to_say_is_heard_in_time",
        rows: &["C-011"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "an idle-time-out of 2 s, and no credit",
        expected: "a frame at least every 2 s",
        play: |client| {
            Box::pin(async move {
                client.open_with(idle_after(2000)).await?;
                client.accept_session().await?;
                for _ in 0..4 {
                    let before = client.elapsed();
                    let frame = client.next_frame().await?;
                    let gap = client.elapsed() - before;
                    // The way of the frame takes its time as well.
                    if frame.is_none() || gap > Duration::from_millis(2500) {
                        return Err(Stop::fail(format!("nothing for {gap:?}")));
                    }
                    client.send_empty().await?;
                }
                Ok(())
            })
        },
    },
    Case {
        name: "c_016_empty_frames_are_sent_on_channel_0",
        rows: &["C-016"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "an idle-time-out of 2 s, and no credit",
        expected: "an empty frame on channel 0",
        play: |client| {
            Box::pin(async move {
                client.open_with(idle_after(2000)).await?;
                client.accept_session().await?;
                for _ in 0..10 {
                    match client.next_frame().await? {
                        Some(frame) if frame.performative.is_some() => {}
                        Some(frame) if frame.channel == 0 => return Ok(()),
                        _ => return Err(Stop::fail("an empty frame on another channel")),
                    }
                }
                Err(Stop::skip("the client sends no empty frame"))
            })
        },
    },
    Case {
        name: "c_014_a_silent_listener_gets_a_close_and_then_the_end",
        rows: &["C-014"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "open, and then nothing for twice the idle-time-out of the client",
        expected: "close with an error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                let remote = client.open().await?;
                let patience = match remote.idle_time_out {
                    Some(milliseconds @ 1..=15_000) => Duration::from_millis(milliseconds.into()),
                    _ => return Err(Stop::skip("the client waits for long")),
                };
                client.expect_silence().await?;
                client.pause(patience * 2).await;
                let conditions = [condition::RESOURCE_LIMIT_EXCEEDED];
                client.expect_close_with(&conditions).await
            })
        },
    },
    Case {
        name: "c_017_any_frame_counts_as_life",
        rows: &["C-017"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "an empty frame as often as half the idle-time-out of the client, three times",
        expected: "the connection stays up",
        play: |client| {
            Box::pin(async move {
                let remote = client.open().await?;
                client.accept_session().await?;
                let patience = match remote.idle_time_out {
                    Some(milliseconds @ 1..=15_000) => Duration::from_millis(milliseconds.into()),
                    _ => return Err(Stop::skip("the client waits for long")),
                };
                client.expect_silence().await?;
                for _ in 0..3 {
                    client.pause(patience / 2).await;
                    client.send_empty().await?;
                }
                client.expect_silence().await
            })
        },
    },
    Case {
        name: "c_015_an_idle_time_out_that_cannot_be_honoured_is_refused_by_a_client",
        rows: &["C-015"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "open with an idle-time-out of 1 ms",
        expected: "close with an error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                client.open_with(idle_after(1)).await?;
                let conditions = [condition::NOT_ALLOWED, condition::INVALID_FIELD];
                client.expect_close_with(&conditions).await
            })
        },
    },
    Case {
        name: "c_026_c_027_a_client_closes_and_waits_for_the_answer",
        rows: &["C-026", "C-027"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Close],
        stimulus: "service as of any broker, and no answer to the close for a while",
        expected: "close is the last thing that is said",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                client.serve_until_close().await?;
                if !client.expect_last_word().await? {
                    return Err(Stop::Remark("the stream ended without waiting".to_owned()));
                }
                client.send_on(0, frames::close()).await?;
                client.expect_eof().await
            })
        },
    },
    Case {
        name: "c_018_no_empty_frame_comes_behind_the_close",
        rows: &["C-018"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Close],
        stimulus: "an idle-time-out of 2 s, and no answer to the close for 3 s",
        expected: "nothing behind the close",
        play: |client| {
            Box::pin(async move {
                client.open_with(idle_after(2000)).await?;
                client.serve_until_close().await?;
                client.pause(Duration::from_secs(3)).await;
                client.expect_last_word().await.map(drop)
            })
        },
    },
    Case {
        name: "c_028_the_close_of_the_listener_is_answered",
        rows: &["C-028"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "close without an error",
        expected: "close, then the end of the stream",
        play: |client| Box::pin(close_by(client, 0, Close::default())),
    },
    Case {
        name: "c_028_c_042_e_015_a_close_by_force_is_answered",
        rows: &["C-028", "C-042", "E-015"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "close with amqp:connection:forced",
        expected: "close, then the end of the stream",
        play: |client| {
            let forced = AmqpError::new(condition::CONNECTION_FORCED, "maintenance");
            Box::pin(close_by(
                client,
                0,
                Close {
                    error: Some(forced),
                },
            ))
        },
    },
    Case {
        name: "c_028_e_001_e_019_a_close_for_an_unknown_reason_is_answered",
        rows: &["C-028", "E-001", "E-019"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "close with an error whose condition nobody knows, and an info",
        expected: "close, then the end of the stream",
        play: |client| {
            let error = Some(frames::unknown_error());
            Box::pin(close_by(client, 0, Close { error }))
        },
    },
    Case {
        name: "c_029_close_is_taken_on_any_channel_by_a_client",
        rows: &["C-029"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "close on a channel above 0",
        expected: "close, then the end of the stream",
        play: |client| Box::pin(close_by(client, 5, Close::default())),
    },
    Case {
        name: "c_032_after_its_close_with_an_error_a_client_is_silent",
        rows: &["C-032"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "a frame that does not decode; behind the client's close a begin, a frame like the first, and close",
        expected: "close with an error, and then nothing more",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                client.accept_session().await?;
                let unknown = frames::frame_of(0, b"\x00\x53\x19\x45");
                client.send_bytes(&unknown).await?;
                match client.expect_complaint().await {
                    Ok(refusal) if refusal.is_said => {}
                    _ => return Err(Stop::skip("the client does not close for it")),
                }
                client.send_on(3, frames::begin()).await?;
                client.send_bytes(&unknown).await?;
                client.expect_last_word().await?;
                client.send_on(0, frames::close()).await?;
                client.expect_eof().await
            })
        },
    },
    Case {
        name: "c_039_a_frame_on_a_channel_without_a_session_closes_the_connection",
        rows: &["C-039"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "flow on a channel that has no session",
        expected: "close with an error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                client.accept_session().await?;
                client.send_on(3, client.flow()).await?;
                client.expect_close_with(&CLOSING).await
            })
        },
    },
    Case {
        name: "c_043_c_044_an_open_that_announces_a_refusal_is_followed_by_it",
        rows: &["C-043", "C-044"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "open with amqp:connection-establishment-failed, and close with amqp:invalid-field",
        expected: "close, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                let failed = Symbol::from_static("amqp:connection-establishment-failed");
                let open = Open {
                    properties: Fields::new().with(failed, true),
                    ..frames::open()
                };
                client.open_with(open).await?;
                let field = Symbol::from_static("invalid-field");
                let error = AmqpError {
                    info: Fields::new().with(field, Symbol::from_static("container-id")),
                    ..AmqpError::new(condition::INVALID_FIELD, "in use")
                };
                client.send_on(0, Close { error: Some(error) }).await?;
                client.expect_answer_to_close().await?;
                client.expect_eof().await
            })
        },
    },
];

/// An open that wants to hear something before so many milliseconds are over.
fn idle_after(milliseconds: u32) -> Open {
    Open {
        idle_time_out: Some(milliseconds),
        ..frames::open()
    }
}

/// The listener closes, and the client answers.
async fn close_by(client: &mut Dialogue, channel: u16, close: Close) -> Result<(), Stop> {
    let remote = client.open().await?;
    client.accept_session().await?;
    client
        .send_on(remote.channel_max.min(channel), close)
        .await?;
    client.expect_answer_to_close().await?;
    client.half_close().await?;
    client.expect_eof().await
}
