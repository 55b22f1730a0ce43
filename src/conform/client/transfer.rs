//! What a client sends [2.6.12, 2.6.14, 2.7.5].

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::codec::{DeliveryState, Message, Outcome, SenderSettleMode, Transfer};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "d_004_d_005_m_010_the_first_frame_has_an_id_a_tag_and_a_format",
        rows: &["D-004", "D-005", "M-010"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "credit for one",
        expected: "transfer with delivery-id, delivery-tag and message-format",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                let (first, _) = client.take(&link).await?;
                let said = [
                    first.delivery_id.is_some(),
                    first.delivery_tag.is_some(),
                    first.message_format.is_some(),
                ];
                match said.contains(&false) {
                    true => Err(Stop::fail(format!(
                        "delivery-id, -tag, message-format: {said:?}"
                    ))),
                    false => Ok(()),
                }
            })
        },
    },
    Case {
        name: "d_007_t_067_delivery_ids_count_up",
        rows: &["D-007", "T-067"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "credit for four",
        expected: "four deliveries, each with the id behind that of the one before",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                client.grant_more(&link, 4).await?;
                let (first, _) = client.accept_delivery().await?;
                let mut wanted = first.delivery_id;
                for _ in 0..3 {
                    wanted = wanted.map(|id| id.wrapping_add(1));
                    let came = client.accept_delivery().await?.0.delivery_id;
                    if came != wanted {
                        return Err(Stop::fail(format!(
                            "delivery-id {came:?} in place of {wanted:?}"
                        )));
                    }
                }
                Ok(())
            })
        },
    },
    Case {
        name: "d_001_the_tags_of_what_is_unsettled_are_different",
        rows: &["D-001"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "credit for three, and no outcome",
        expected: "deliveries with tags of their own",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                client.grant_more(&link, 3).await?;
                let mut tags = BTreeSet::new();
                for number in 0..3 {
                    // A client may wait for the first outcome before it sends again.
                    let (first, _) = match client.expect_delivery().await {
                        Err(_) if number == 1 => return Err(Stop::skip("one delivery at a time")),
                        heard => heard?,
                    };
                    let tag = first.delivery_tag.map(|tag| tag.as_bytes().to_vec());
                    if first.settled != Some(true) && !tags.insert(tag.clone()) {
                        return Err(Stop::fail(format!("the tag {tag:?} twice")));
                    }
                }
                Ok(())
            })
        },
    },
    Case {
        name: "d_006_d_009_m_001_the_frames_of_a_delivery_are_one_message",
        rows: &["D-006", "D-009", "M-001"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "frames of 512 octets, and credit until a large message comes",
        expected: "frames with the id, tag and format of the first, or none; all but the last with more; their payload is a message",
        play: |client| {
            Box::pin(async move {
                let (frames, payload) = take_large(client).await?;
                let (first, rest) = frames.split_at(1);
                if rest.iter().any(|frame| !continues(&first[0], frame)) {
                    return Err(Stop::fail("a frame with another id, tag or format"));
                }
                decode(payload)
            })
        },
    },
    Case {
        name: "m_001_m_003_what_a_client_sends_is_a_message",
        rows: &["M-001", "M-003"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "credit for four",
        expected: "messages whose sections decode",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                for _ in 0..4 {
                    let (first, payload) = client.take(&link).await?;
                    if first.message_format == Some(0) {
                        decode(payload)?;
                    }
                }
                Ok(())
            })
        },
    },
    Case {
        name: "d_016_d_017_l_020_a_sender_settles_as_its_attach_says",
        rows: &["D-016", "D-017", "L-020"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "credit until a large message comes",
        expected: "in mode settled a frame that says so, in mode unsettled none",
        play: |client| {
            Box::pin(async move {
                client.open_with(frames::open_at(512)).await?;
                let link = client.accept_sender().await?;
                client.grant_more(&link, 1).await?;
                let mut is_settled = false;
                loop {
                    let (frame, _) = client.expect_transfer().await?;
                    is_settled |= frame.settled == Some(true);
                    if !frame.more {
                        break;
                    }
                }
                match (link.remote.snd_settle_mode, is_settled) {
                    (SenderSettleMode::Settled, false) => {
                        Err(Stop::fail("a delivery that is not settled"))
                    }
                    (SenderSettleMode::Unsettled, true) => {
                        Err(Stop::fail("a delivery that is settled"))
                    }
                    _ => Ok(()),
                }
            })
        },
    },
    Case {
        name: "d_013_o_005_r_005_nothing_is_resumed_that_was_never_sent",
        rows: &["D-013", "O-005", "R-005"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "frames of 512 octets, and credit until a large message comes",
        expected: "no frame with resume, or with the state received",
        play: |client| {
            Box::pin(async move {
                let (frames, _) = take_large(client).await?;
                let is_odd = |frame: &Transfer| {
                    frame.resume || matches!(frame.state, Some(DeliveryState::Received(_)))
                };
                match frames.iter().any(is_odd) {
                    true => Err(Stop::fail("a frame with resume or received")),
                    false => Ok(()),
                }
            })
        },
    },
];

/// All frames of a message that takes several of 512 octets.
async fn take_large(client: &mut Dialogue) -> Result<(Vec<Transfer>, Bytes), Stop> {
    client.open_with(frames::open_at(512)).await?;
    let link = client.accept_sender().await?;
    for _ in 0..10 {
        client.grant_more(&link, 1).await?;
        let mut all = Vec::new();
        let mut octets = Vec::new();
        loop {
            let (frame, payload) = client.expect_transfer().await?;
            octets.extend_from_slice(&payload);
            let more = frame.more;
            all.push(frame);
            if !more {
                break;
            }
        }
        if all.len() > 1 {
            return Ok((all, octets.into()));
        }
        if let Some(id) = all.first().and_then(|first| first.delivery_id) {
            client
                .send(frames::settle(id, id, Outcome::Accepted))
                .await?;
        }
    }
    Err(Stop::skip("the client sends no message of several frames"))
}

fn continues(first: &Transfer, frame: &Transfer) -> bool {
    let is_same_id = frame.delivery_id.is_none() || frame.delivery_id == first.delivery_id;
    let is_same_tag = frame.delivery_tag.is_none() || frame.delivery_tag == first.delivery_tag;
    let format = frame.message_format;
    is_same_id && is_same_tag && (format.is_none() || format == first.message_format)
}

fn decode(payload: Bytes) -> Result<(), Stop> {
    match Message::decode(payload) {
        Ok(_) => Ok(()),
        Err(error) => Err(Stop::fail(format!(
            "a message that does not decode: {error}"
        ))),
    }
}
