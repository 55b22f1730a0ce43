//! Transfers: deliveries in one frame and in many, in both directions [2.6.12, 2.6.14, 2.7.5].

use std::collections::BTreeSet;

use bytes::Bytes;

use super::connection::WRONG_FIELD;
use super::stock::{
    consume, expect_error, expect_left, expect_text, initial, post, receive, stock,
};
use crate::codec::{Attach, DeliveryTag, SenderSettleMode, Transfer, condition};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, Link, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "d_009_d_011_m_006_a_message_may_be_split_anywhere",
        rows: &["D-009", "D-011", "M-006"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a message with an octet in each frame, and an empty frame at the front and at the end",
        expected: "accepted, and the message comes back whole",
        play: |peer| {
            Box::pin(async move {
                let link = publish(peer).await?;
                let message = frames::text("a message of some frames");
                let mut parts = vec![b"".as_slice()];
                parts.extend(message.chunks(1));
                let first = peer.next_transfer(&link)?;
                let id = send_open(peer, &link, first, &parts).await?;
                peer.send_transfer(frames::continuation(&link), b"").await?;
                peer.expect_accepted(id).await?;
                expect_left(peer, &["a message of some frames"]).await
            })
        },
    },
    Case {
        name: "d_006_later_frames_may_repeat_what_the_first_says",
        rows: &["D-006"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "two frames with the same delivery-id, delivery-tag and message-format",
        expected: "accepted",
        play: |peer| {
            Box::pin(async move {
                let link = publish(peer).await?;
                let whole = peer.next_transfer(&link)?;
                let first = Transfer {
                    more: true,
                    ..whole.clone()
                };
                let message = frames::text("a");
                let id = whole.delivery_id.unwrap_or(0);
                peer.send_transfer(first, &message[..2]).await?;
                peer.send_transfer(whole, &message[2..]).await?;
                peer.expect_accepted(id).await
            })
        },
    },
    Case {
        name: "d_006_later_frames_may_not_have_another_delivery_id",
        rows: &["D-006"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "a second frame with the next delivery-id, while the first said more",
        expected: "a refusal with an error",
        play: |peer| {
            Box::pin(async move {
                let link = publish(peer).await?;
                let first = Transfer {
                    more: true,
                    ..peer.next_transfer(&link)?
                };
                peer.send_transfer(first, &frames::text("a")).await?;
                let other = peer.next_transfer(&link)?;
                peer.send_transfer(other, &frames::text("b")).await?;
                expect_any_error(peer).await
            })
        },
    },
    Case {
        name: "d_012_an_aborted_delivery_vanishes",
        rows: &["D-012"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "two frames of a delivery and a third with aborted; then another message",
        expected: "the other message is accepted, and is all that the node holds",
        play: |peer| {
            Box::pin(async move {
                let link = publish(peer).await?;
                let message = frames::text("aborted");
                let first = peer.next_transfer(&link)?;
                send_open(peer, &link, first, &[&message[..3], &message[3..]]).await?;
                let abort = Transfer {
                    aborted: true,
                    ..frames::continuation(&link)
                };
                peer.send_transfer(abort, b"").await?;
                let id = post(peer, &link, &frames::text("b")).await?;
                peer.expect_accepted(id).await?;
                expect_left(peer, &["b"]).await
            })
        },
    },
    Case {
        name: "d_014_a_delivery_may_be_aborted_by_its_only_frame",
        rows: &["D-014"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "one frame with a whole message and aborted; then another message",
        expected: "the other message is accepted, and is all that the node holds",
        play: |peer| {
            Box::pin(async move {
                let link = publish(peer).await?;
                let abort = Transfer {
                    aborted: true,
                    ..peer.next_transfer(&link)?
                };
                peer.send_transfer(abort, &frames::text("aborted")).await?;
                let id = post(peer, &link, &frames::text("b")).await?;
                peer.expect_accepted(id).await?;
                expect_left(peer, &["b"]).await
            })
        },
    },
    Case {
        name: "d_010_deliveries_on_two_links_may_interleave",
        rows: &["D-010"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "two links, and a message on each, by frames in turn",
        expected: "both accepted, and both come back whole",
        play: |peer| {
            Box::pin(async move {
                let one = publish(peer).await?;
                let other = peer.attach_sender("other").await?;
                peer.expect_credit(&other).await?;
                let (a, b) = (frames::text("first"), frames::text("second"));
                let first = peer.next_transfer(&one)?;
                let a_id = send_open(peer, &one, first, &[&a[..4]]).await?;
                let first = peer.next_transfer(&other)?;
                let b_id = send_open(peer, &other, first, &[&b[..4]]).await?;
                peer.send_transfer(frames::continuation(&one), &a[4..])
                    .await?;
                peer.send_transfer(frames::continuation(&other), &b[4..])
                    .await?;
                peer.expect_outcomes_of(vec![a_id, b_id]).await?;
                expect_left(peer, &["first", "second"]).await
            })
        },
    },
    Case {
        name: "d_015_d_018_a_delivery_may_be_settled_by_a_later_frame",
        rows: &["D-015", "D-018"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[Need::Queue],
        stimulus: "three frames, of which the second is settled",
        expected: "no disposition, and the message comes back",
        play: |peer| {
            Box::pin(async move {
                let link = publish(peer).await?;
                let message = frames::text("abc");
                let first = peer.next_transfer(&link)?;
                send_open(peer, &link, first, &[&message[..2]]).await?;
                let settled = Transfer {
                    settled: Some(true),
                    more: true,
                    ..frames::continuation(&link)
                };
                peer.send_transfer(settled, &message[2..4]).await?;
                peer.send_transfer(frames::continuation(&link), &message[4..])
                    .await?;
                peer.expect_silence().await?;
                expect_left(peer, &["abc"]).await
            })
        },
    },
    Case {
        name: "d_018_d_032_what_is_sent_settled_gets_no_disposition",
        rows: &["D-018", "D-032"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[Need::Queue],
        stimulus: "a settled message",
        expected: "no disposition, and the message comes back",
        play: |peer| {
            Box::pin(async move {
                let link = publish(peer).await?;
                let settled = Transfer {
                    settled: Some(true),
                    ..peer.next_transfer(&link)?
                };
                peer.send_transfer(settled, &frames::text("a")).await?;
                peer.expect_silence().await?;
                expect_left(peer, &["a"]).await
            })
        },
    },
    Case {
        name: "d_005_a_first_frame_without_a_delivery_id_is_refused",
        rows: &["D-005"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "a transfer without a delivery-id",
        expected: "a refusal with an error",
        play: |peer| {
            Box::pin(async move {
                let link = publish(peer).await?;
                let without = Transfer {
                    delivery_id: None,
                    ..peer.next_transfer(&link)?
                };
                peer.send_transfer(without, &frames::text("a")).await?;
                expect_any_error(peer).await
            })
        },
    },
    Case {
        name: "d_005_a_first_frame_without_a_delivery_tag_is_refused",
        rows: &["D-005"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "a transfer without a delivery-tag",
        expected: "a refusal with an error",
        play: |peer| {
            Box::pin(async move {
                let link = publish(peer).await?;
                let without = Transfer {
                    delivery_tag: None,
                    ..peer.next_transfer(&link)?
                };
                peer.send_transfer(without, &frames::text("a")).await?;
                expect_any_error(peer).await
            })
        },
    },
    Case {
        name: "d_005_a_delivery_tag_may_be_empty_or_of_32_octets",
        rows: &["D-005"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "a delivery-tag of no octets, and one of 32",
        expected: "accepted, both",
        play: |peer| {
            Box::pin(async move {
                let link = publish(peer).await?;
                for tag in [b"".as_slice(), &[0xff; DeliveryTag::MAX_LEN]] {
                    peer.expect_credit(&link).await?;
                    let tagged = Transfer {
                        delivery_tag: tag.try_into().ok(),
                        ..peer.next_transfer(&link)?
                    };
                    let id = tagged.delivery_id.unwrap_or(0);
                    peer.send_transfer(tagged, &frames::text("a")).await?;
                    peer.expect_accepted(id).await?;
                }
                Ok(())
            })
        },
    },
    Case {
        name: "t_065_a_delivery_tag_of_33_octets_is_refused",
        rows: &["T-065"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "a delivery-tag of 33 octets",
        expected: "a refusal with amqp:invalid-field or amqp:decode-error",
        play: |peer| {
            Box::pin(async move {
                let link = publish(peer).await?;
                // handle, delivery-id 0, the tag, message-format 0
                let fields = [
                    b"\x52".as_slice(),
                    &[link.handle as u8],
                    b"\x43\xa0\x21",
                    &[7; 33],
                    b"\x43",
                ];
                let fields = fields.concat();
                let size = [fields.len() as u8 + 1, 4];
                let message = frames::text("a");
                let body = [b"\0\x53\x14\xc0".as_slice(), &size, &fields, &message].concat();
                peer.send_bytes(&frames::frame_of(frames::CHANNEL, &body))
                    .await?;
                expect_error(peer, &WRONG_FIELD).await.map(drop)
            })
        },
    },
    Case {
        name: "d_008_a_gap_in_the_delivery_ids_is_refused",
        rows: &["D-008"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "deliveries 0 and 5",
        expected: "a refusal with an error",
        play: |peer| {
            Box::pin(async move {
                let link = publish(peer).await?;
                post(peer, &link, &frames::text("a")).await?;
                let far = frames::transfer(&link, 5);
                peer.send_transfer(far, &frames::text("b")).await?;
                expect_any_error(peer).await
            })
        },
    },
    Case {
        name: "d_017_a_settled_delivery_on_an_unsettled_link_is_refused",
        rows: &["D-017"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "attach in mode unsettled, and a settled message",
        expected: "a refusal with an error",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                let attach = Attach {
                    snd_settle_mode: SenderSettleMode::Unsettled,
                    ..peer.sender("link")
                };
                let link = peer.attach(attach).await?;
                peer.expect_credit(&link).await?;
                let settled = Transfer {
                    settled: Some(true),
                    ..peer.next_transfer(&link)?
                };
                peer.send_transfer(settled, &frames::text("a")).await?;
                expect_any_error(peer).await
            })
        },
    },
    Case {
        name: "d_016_what_comes_over_a_link_in_mode_settled_is_settled",
        rows: &["D-016"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "attach as receiver in mode settled, and credit",
        expected: "a settled transfer, if the answer is in that mode",
        play: |peer| Box::pin(receive_in(peer, SenderSettleMode::Settled)),
    },
    Case {
        name: "d_017_what_comes_over_a_link_in_mode_unsettled_is_not_settled",
        rows: &["D-017"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "attach as receiver in mode unsettled, and credit",
        expected: "a transfer that is not settled, if the answer is in that mode",
        play: |peer| Box::pin(receive_in(peer, SenderSettleMode::Unsettled)),
    },
    Case {
        name: "d_024_batchable_is_a_hint",
        rows: &["D-024"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "one transfer with batchable",
        expected: "its outcome",
        play: |peer| {
            Box::pin(async move {
                let link = publish(peer).await?;
                let batchable = Transfer {
                    batchable: true,
                    ..peer.next_transfer(&link)?
                };
                let id = batchable.delivery_id.unwrap_or(0);
                peer.send_transfer(batchable, &frames::text("a")).await?;
                peer.expect_accepted(id).await
            })
        },
    },
    Case {
        name: "d_025_a_resumed_delivery_that_nobody_knows_is_ignored",
        rows: &["D-025"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a transfer with resume on a new link; then another message",
        expected: "the other message is accepted, and is all that the node holds",
        play: |peer| {
            Box::pin(async move {
                let link = publish(peer).await?;
                let resumed = Transfer {
                    resume: true,
                    ..peer.next_transfer(&link)?
                };
                peer.send_transfer(resumed, &frames::text("resumed"))
                    .await?;
                let id = post(peer, &link, &frames::text("b")).await?;
                peer.expect_accepted(id).await?;
                expect_left(peer, &["b"]).await
            })
        },
    },
    Case {
        name: "d_029_the_message_format_is_kept",
        rows: &["D-029"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a message of the format 0x80013700",
        expected: "a refusal, or the same octets in the same format",
        play: |peer| {
            Box::pin(async move {
                let link = publish(peer).await?;
                let other = Transfer {
                    message_format: Some(0x8001_3700),
                    ..peer.next_transfer(&link)?
                };
                let id = other.delivery_id.unwrap_or(0);
                // Data sections, as such batches have.
                let octets = b"\0\x53\x75\xa0\x01a\0\x53\x75\xa0\x01b";
                peer.send_transfer(other, octets).await?;
                taken(peer.expect_accepted(id).await)?;
                receive(peer, "back", 1).await?;
                let (delivery, payload) = peer.accept_delivery().await?;
                match (delivery.message_format, payload.ends_with(octets)) {
                    (Some(0x8001_3700), true) => Ok(()),
                    (format, _) => Err(Stop::fail(format!("message-format {format:?}"))),
                }
            })
        },
    },
    Case {
        name: "d_004_d_005_m_010_what_comes_has_an_id_a_tag_and_a_format",
        rows: &["D-004", "D-005", "M-010"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "credit for one message",
        expected: "transfer with delivery-id, delivery-tag and a message-format of 0",
        play: |peer| {
            Box::pin(async move {
                consume(peer, &["a"], 1).await?;
                let first = expect_text(peer, "a").await?;
                let is_said = first.delivery_id.is_some() && first.delivery_tag.is_some();
                match (is_said, first.message_format) {
                    (true, Some(0)) => Ok(()),
                    _ => Err(Stop::fail(format!("{first:?}"))),
                }
            })
        },
    },
    Case {
        name: "d_001_d_007_ids_count_up_and_the_tags_of_what_is_unsettled_differ",
        rows: &["D-001", "D-007"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "two links, credit for two messages on each, and no outcome",
        expected: "delivery-ids that count up over both, and tags that differ on each",
        play: |peer| {
            Box::pin(async move {
                stock(peer, &["a", "b", "c", "d"].map(frames::text)).await?;
                peer.begin_on(frames::CHANNEL - 1, frames::begin()).await?;
                receive(peer, "one", 0).await?;
                receive(peer, "other", 2).await?;
                let mut last = None;
                let mut tags = BTreeSet::new();
                for _ in 0..2 {
                    check_next(peer, &mut last, &mut tags).await?;
                }
                receive(peer, "third", 2).await?;
                for _ in 0..2 {
                    check_next(peer, &mut last, &mut tags).await?;
                }
                Ok(())
            })
        },
    },
];

/// A node that holds nothing, and a link to it that has credit.
async fn publish(peer: &mut Dialogue) -> Result<Link, Stop> {
    stock(peer, &[]).await?;
    let link = peer.attach_sender("link").await?;
    peer.expect_credit(&link).await?;
    Ok(link)
}

/// Sends a delivery in frames with these payloads, of which more are to follow; gives its id.
async fn send_open(
    peer: &mut Dialogue,
    link: &Link,
    first: Transfer,
    parts: &[&[u8]],
) -> Result<u32, Stop> {
    let id = first.delivery_id.unwrap_or(0);
    let mut next = first;
    for part in parts {
        let open = Transfer { more: true, ..next };
        peer.send_transfer(open, part).await?;
        next = frames::continuation(link);
    }
    Ok(id)
}

/// One message over a link in this mode.
async fn receive_in(peer: &mut Dialogue, mode: SenderSettleMode) -> Result<(), Stop> {
    stock(peer, &[frames::text("a")]).await?;
    let attach = Attach {
        snd_settle_mode: mode,
        ..peer.receiver("link")
    };
    let link = peer.attach(attach).await?;
    if link.remote.snd_settle_mode != mode {
        return Err(Stop::skip("the listener sends in another mode"));
    }
    peer.grant(&link, initial(&link), 1).await?;
    let delivery = expect_text(peer, "a").await?;
    match (delivery.settled == Some(true)) == (mode == SenderSettleMode::Settled) {
        true => Ok(()),
        false => Err(Stop::fail(format!("settled: {:?}", delivery.settled))),
    }
}

/// The next delivery, which is left unsettled, has the next id and a tag that is not in use on its link.
async fn check_next(
    peer: &mut Dialogue,
    last: &mut Option<u32>,
    tags: &mut BTreeSet<(u32, Bytes)>,
) -> Result<(), Stop> {
    let (delivery, _) = peer.expect_delivery().await?;
    let wanted = last.map(|id| id.wrapping_add(1)).or(delivery.delivery_id);
    if delivery.delivery_id != wanted {
        let came = delivery.delivery_id;
        return Err(Stop::fail(format!("delivery-id {came:?} after {last:?}")));
    }
    *last = delivery.delivery_id;
    let tag = delivery.delivery_tag.unwrap_or(DeliveryTag::EMPTY);
    let tag = Bytes::copy_from_slice(tag.as_bytes());
    let is_live = delivery.settled != Some(true);
    match is_live && !tags.insert((delivery.handle, tag)) {
        true => Err(Stop::fail("a delivery-tag twice")),
        false => Ok(()),
    }
}

/// The listener refuses for any reason that it names.
async fn expect_any_error(peer: &mut Dialogue) -> Result<(), Stop> {
    let usual = [
        condition::INVALID_FIELD,
        condition::ILLEGAL_STATE,
        condition::NOT_ALLOWED,
        condition::DECODE_ERROR,
        condition::FRAMING_ERROR,
    ];
    expect_error(peer, &usual).await.map(drop)
}

/// A link that is at its end in place of an outcome is a refusal too.
fn taken(outcome: Result<(), Stop>) -> Result<(), Stop> {
    outcome.map_err(|stop| match stop {
        Stop::Fail(came) if came.starts_with("detach") => {
            Stop::skip(format!("the listener does not take the message: {came}"))
        }
        other => other,
    })
}
