//! Sessions, from a client's side [2.5.1 - 2.5.5].

use super::expect_complaint;
use crate::codec::{Attach, Begin, End, Flow, Outcome, Performative, Symbol, Transfer, condition};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, Scope, frames};

static REFUSING: [Symbol; 5] = [
    condition::INVALID_FIELD,
    condition::DECODE_ERROR,
    condition::FRAMING_ERROR,
    condition::NOT_ALLOWED,
    condition::ILLEGAL_STATE,
];

pub(super) const CASES: &[Case] = &[
    Case {
        name: "s_001_s_002_a_client_begins_without_a_remote_channel",
        rows: &["S-001", "S-002"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "open",
        expected: "begin whose remote-channel is null",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                match client.hold_session().await?.1.remote_channel {
                    None => Ok(()),
                    Some(channel) => Err(Stop::fail(format!("remote-channel {channel}"))),
                }
            })
        },
    },
    Case {
        name: "s_005_l_006_channels_and_handles_are_the_lowest_that_are_free",
        rows: &["S-005", "L-006"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Sender],
        stimulus: "open and begin",
        expected: "begin on channel 0, and attach with handle 0 or 1",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let (channel, _) = client.hold_session().await?;
                client.answer_begin(channel, frames::begin()).await?;
                let handle = client.accept_sender().await?.remote.handle;
                match (channel, handle) {
                    (0, 0 | 1) => Ok(()),
                    _ => Err(Stop::fail(format!("channel {channel}, handle {handle}"))),
                }
            })
        },
    },
    Case {
        name: "c_038_s_001_the_answer_may_come_on_any_channel",
        rows: &["C-038", "S-001"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "begin on channel 7 in answer to the client's on another",
        expected: "the client attaches on its own channel, and sends",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let (channel, _) = client.hold_session().await?;
                client.answer_begin(channel, frames::begin()).await?;
                let link = client.accept_sender().await?;
                client.take(&link).await.map(drop)
            })
        },
    },
    Case {
        name: "s_004_an_answer_to_nothing_closes_the_connection",
        rows: &["S-004"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "begin whose remote-channel is none of the client's",
        expected: "close with an error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                client.accept_session().await?;
                let begin = Begin {
                    remote_channel: Some(200),
                    ..frames::begin()
                };
                client.send_on(3, begin).await?;
                client.expect_close_with(&REFUSING).await
            })
        },
    },
    Case {
        name: "s_001_s_002_a_session_that_the_listener_begins_is_answered",
        rows: &["S-001", "S-002"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "begin without a remote-channel",
        expected: "begin with it, or a refusal",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                client.accept_session().await?;
                client.send_on(3, frames::begin()).await?;
                match client.expect_begin().await {
                    Ok((_, begin)) if begin.remote_channel == Some(3) => Ok(()),
                    Ok((_, begin)) => {
                        Err(Stop::fail(format!("begin for {:?}", begin.remote_channel)))
                    }
                    Err(other) => Err(other),
                }
            })
        },
    },
    Case {
        name: "s_006_t_056_begin_without_its_mandatory_fields_is_refused",
        rows: &["S-006", "T-056"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "begin with a remote-channel and nothing else",
        expected: "end or close with an error",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let (channel, _) = client.hold_session().await?;
                let [high, low] = channel.to_be_bytes();
                let begin = [0, 0x53, 0x11, 0xc0, 4, 1, 0x60, high, low];
                client.send_bytes(&frames::frame_of(7, &begin)).await?;
                expect_complaint(client).await
            })
        },
    },
    Case {
        name: "s_007_s_008_with_handle_max_0_there_is_handle_0_alone",
        rows: &["S-007", "S-008"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "begin with a handle-max of 0",
        expected: "no attach with another handle",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let (channel, _) = client.hold_session().await?;
                let begin = Begin {
                    handle_max: 0,
                    ..frames::begin()
                };
                client.answer_begin(channel, begin).await?;
                let is_beyond = |heard: &_| handle_of(heard).is_some_and(|handle| handle > 0);
                match client
                    .serve_until("a second handle", false, is_beyond)
                    .await
                {
                    Ok(_) => Err(Stop::fail("attach with a handle above 0")),
                    Err(Stop::Skip(_)) => Ok(()),
                    Err(other) => Err(other),
                }
            })
        },
    },
    Case {
        name: "s_009_a_handle_above_the_handle_max_of_the_client_is_refused",
        rows: &["S-009"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "attach with a handle that is one too high",
        expected: "close or end with an error",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let begin = client.accept_session().await?;
                let Some(handle) = begin.handle_max.checked_add(1) else {
                    return Err(Stop::skip("the client has every handle"));
                };
                let attach = Attach {
                    handle,
                    ..frames::attach_sender("beyond", "conform")
                };
                client.send(attach).await?;
                expect_complaint(client).await
            })
        },
    },
    Case {
        name: "s_010_the_end_of_the_listener_is_answered",
        rows: &["S-010"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "end without an error, in a session that has a link",
        expected: "end",
        play: |client| Box::pin(end_by(client, End::default())),
    },
    Case {
        name: "s_010_e_001_an_end_for_an_unknown_reason_is_answered",
        rows: &["S-010", "E-001"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "end with an error whose condition nobody knows",
        expected: "end",
        play: |client| {
            let error = Some(frames::unknown_error());
            Box::pin(end_by(client, End { error }))
        },
    },
    Case {
        name: "s_012_s_013_after_its_end_with_an_error_a_client_takes_nothing_until_the_end",
        rows: &["S-012", "S-013"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "a flow for a handle that there is not; behind the client's end another one and a transfer, and end",
        expected: "end with an error, and no close with one",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                client.accept_session().await?;
                client.expect_silence().await?;
                let flow = Flow {
                    handle: Some(99),
                    ..client.flow()
                };
                client.send(flow.clone()).await?;
                let refusal = client.expect_refusal().await?;
                if refusal.scope != Scope::Session {
                    return Err(Stop::skip("the client closes the connection at once"));
                }
                client.send(flow).await?;
                let transfer = Transfer {
                    handle: 99,
                    delivery_id: Some(0),
                    ..Transfer::default()
                };
                client.send_transfer(transfer, b"late").await?;
                client.send(End::default()).await?;
                expect_no_complaint(client).await
            })
        },
    },
    Case {
        name: "s_012_s_014_frames_that_crossed_its_end_do_not_trouble_a_client",
        rows: &["S-012", "S-014"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Close],
        stimulus: "a flow, a disposition and an end with an error, as if they had crossed the client's end",
        expected: "no complaint",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let is_end = |heard: &_| matches!(heard, Performative::End(_));
                client.serve_until("end", true, is_end).await?;
                client.send(client.flow()).await?;
                let accepted = Outcome::Accepted;
                client.send(frames::settle(0, 0, accepted)).await?;
                let error = Some(frames::unknown_error());
                client.send(End { error }).await?;
                expect_no_complaint(client).await
            })
        },
    },
];

fn handle_of(heard: &Performative) -> Option<u32> {
    match heard {
        Performative::Attach(attach) => Some(attach.handle),
        _ => None,
    }
}

/// The listener ends the session of a link, and the client answers.
async fn end_by(client: &mut Dialogue, end: End) -> Result<(), Stop> {
    client.open_sender().await?;
    client.expect_silence().await?;
    client.send(end).await?;
    client.expect_answer_to(Scope::Session).await.map(drop)
}

/// The client goes on, or closes without an error.
async fn expect_no_complaint(client: &mut Dialogue) -> Result<(), Stop> {
    match client.expect_refusal().await {
        Ok(refusal) => match refusal.error {
            Some(error) => Err(Stop::fail(format!("{error} for what was on its way"))),
            None => Ok(()),
        },
        Err(_) => Ok(()),
    }
}
