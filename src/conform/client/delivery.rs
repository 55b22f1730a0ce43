//! What is sent to a client [2.6.12, 2.6.14, 2.7.5].

use super::expect_complaint;
use crate::codec::{Disposition, Outcome, ReceiverSettleMode, Role, Transfer};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "p_001_p_011_a_receiver_states_the_outcome_of_what_it_got",
        rows: &["P-001", "P-011"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "a message",
        expected: "a disposition of a receiver about it",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                client.give(&link, &frames::text("hello")).await
            })
        },
    },
    Case {
        name: "d_009_d_011_a_delivery_may_be_split_anywhere",
        rows: &["D-009", "D-011"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "a message in frames of one octet each",
        expected: "one outcome, accepted",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let first = more(client.next_transfer(&link)?);
                let id = first.delivery_id.unwrap_or(0);
                let text = frames::text("hello");
                let last = text.len() - 1;
                client.send_transfer(first, &text[..1]).await?;
                for octet in &text[1..last] {
                    let frame = more(frames::continuation(&link));
                    client.send_transfer(frame, &[*octet]).await?;
                }
                let frame = frames::continuation(&link);
                client.send_transfer(frame, &text[last..]).await?;
                expect_accepted(client, id).await
            })
        },
    },
    Case {
        name: "d_011_frames_of_a_delivery_may_be_without_an_octet",
        rows: &["D-011"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Receiver],
        stimulus: "a message in three frames, the first and the last without a payload",
        expected: "one outcome, accepted",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let first = more(client.next_transfer(&link)?);
                let id = first.delivery_id.unwrap_or(0);
                client.send_transfer(first, b"").await?;
                let middle = more(frames::continuation(&link));
                client.send_transfer(middle, &frames::text("hello")).await?;
                client
                    .send_transfer(frames::continuation(&link), b"")
                    .await?;
                expect_accepted(client, id).await
            })
        },
    },
    Case {
        name: "d_006_a_later_frame_may_repeat_what_the_first_says",
        rows: &["D-006"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "a message in two frames, both with its id, tag and format",
        expected: "one outcome, accepted",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let last = client.next_transfer(&link)?;
                let id = last.delivery_id.unwrap_or(0);
                let text = frames::text("hello");
                let (front, back) = text.split_at(4);
                client.send_transfer(more(last.clone()), front).await?;
                client.send_transfer(last, back).await?;
                expect_accepted(client, id).await
            })
        },
    },
    Case {
        name: "d_006_a_later_frame_with_another_delivery_id_is_an_error",
        rows: &["D-006"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Receiver],
        stimulus: "a message in two frames with two delivery-ids",
        expected: "detach, end or close with an error",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let first = more(client.next_transfer(&link)?);
                client.send_transfer(first, b"\x00\x53\x77").await?;
                let last = Transfer {
                    delivery_id: Some(7),
                    ..frames::continuation(&link)
                };
                client.send_transfer(last, b"\x40").await?;
                expect_complaint(client).await
            })
        },
    },
    Case {
        name: "d_005_a_delivery_without_an_id_is_refused",
        rows: &["D-005"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Receiver],
        stimulus: "transfer with a tag, and without a delivery-id",
        expected: "detach, end or close with an error",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let transfer = Transfer {
                    delivery_id: None,
                    ..client.next_transfer(&link)?
                };
                client
                    .send_transfer(transfer, &frames::text("hello"))
                    .await?;
                expect_complaint(client).await
            })
        },
    },
    Case {
        name: "d_004_t_056_a_transfer_without_a_handle_is_refused",
        rows: &["D-004", "T-056"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Receiver],
        stimulus: "transfer as an empty list",
        expected: "end or close with an error",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let transfer = frames::frame_of(link.channel, b"\x00\x53\x14\x45");
                client.send_bytes(&transfer).await?;
                expect_complaint(client).await
            })
        },
    },
    Case {
        name: "t_065_a_tag_of_32_octets_is_taken_and_so_is_an_empty_one",
        rows: &["T-065"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "a message with a delivery-tag of 32 octets, and one with none",
        expected: "accepted, both",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                for octets in [[7; 32].as_slice(), &[]] {
                    let transfer = Transfer {
                        delivery_tag: octets.try_into().ok(),
                        ..client.next_transfer(&link)?
                    };
                    let id = transfer.delivery_id.unwrap_or(0);
                    client
                        .send_transfer(transfer, &frames::text("hello"))
                        .await?;
                    expect_accepted(client, id).await?;
                }
                Ok(())
            })
        },
    },
    Case {
        name: "t_065_a_tag_of_33_octets_is_refused",
        rows: &["T-065"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Receiver],
        stimulus: "transfer with a delivery-tag of 33 octets",
        expected: "detach, end or close with an error",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let handle = u8::try_from(link.handle).unwrap_or(0);
                let head = [0, 0x53, 0x14, 0xc0, 42, 4, 0x52, handle, 0x43, 0xa0, 33];
                let body = [head.as_slice(), &[7; 33], b"\x43", &frames::text("hello")].concat();
                client
                    .send_bytes(&frames::frame_of(link.channel, &body))
                    .await?;
                expect_complaint(client).await
            })
        },
    },
    Case {
        name: "d_002_a_tag_may_be_used_again_when_both_have_settled",
        rows: &["D-002"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "two messages, one after the other, with the same tag",
        expected: "accepted, both",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                for _ in 0..2 {
                    let transfer = Transfer {
                        delivery_tag: b"again".as_slice().try_into().ok(),
                        ..client.next_transfer(&link)?
                    };
                    let id = transfer.delivery_id.unwrap_or(0);
                    client
                        .send_transfer(transfer, &frames::text("hello"))
                        .await?;
                    expect_accepted(client, id).await?;
                    // Also for a client that waits for this word.
                    client
                        .send(settled_by_sender(id, Outcome::Accepted))
                        .await?;
                }
                Ok(())
            })
        },
    },
    Case {
        name: "d_008_a_gap_in_the_delivery_ids_is_an_error",
        rows: &["D-008"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Receiver],
        stimulus: "two messages with the delivery-ids 0 and 5",
        expected: "detach, end or close with an error",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                client.give(&link, &frames::text("hello")).await?;
                let transfer = frames::transfer(&link, 5);
                client
                    .send_transfer(transfer, &frames::text("hello"))
                    .await?;
                expect_complaint(client).await
            })
        },
    },
    Case {
        name: "d_012_d_014_an_aborted_delivery_is_forgotten",
        rows: &["D-012", "D-014"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "two frames and an abort, a delivery of which the only frame is an abort, and a message",
        expected: "accepted, the last one",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let first = more(client.next_transfer(&link)?);
                client.send_transfer(first, b"in").await?;
                client
                    .send_transfer(more(frames::continuation(&link)), b"vain")
                    .await?;
                client
                    .send_transfer(aborted(frames::continuation(&link)), b"!")
                    .await?;
                let only = aborted(client.next_transfer(&link)?);
                client.send_transfer(only, b"").await?;
                client.give(&link, &frames::text("hello")).await
            })
        },
    },
    Case {
        name: "d_015_d_018_settled_on_any_frame_is_settled",
        rows: &["D-015", "D-018"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Receiver],
        stimulus: "a message in three frames, of which the second says that it is settled; and one that is not",
        expected: "an outcome for the second message alone",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let first = more(client.next_transfer(&link)?);
                let settled_id = first.delivery_id.unwrap_or(0);
                client.send_transfer(first, b"\x00").await?;
                let middle = more(frames::continuation(&link));
                client.send_transfer(settled(middle), b"\x53\x77").await?;
                client
                    .send_transfer(frames::continuation(&link), b"\x40")
                    .await?;
                let id = client.hand_out(&link, &frames::text("hello")).await?;
                let disposition = client.expect_disposition().await?;
                match (disposition.role, disposition.first) {
                    (Role::Receiver, first) if first == id => Ok(()),
                    _ if id == settled_id => Ok(()),
                    _ => Err(Stop::fail("a disposition about what was settled")),
                }
            })
        },
    },
    Case {
        name: "d_020_mode_second_on_a_link_of_mode_first_is_refused",
        rows: &["D-020"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Receiver],
        stimulus: "a message with rcv-settle-mode second, where the link has first",
        expected: "detach, end or close with an error",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                if link.remote.rcv_settle_mode == ReceiverSettleMode::Second {
                    return Err(Stop::skip("the link has mode second"));
                }
                let transfer = second(client.next_transfer(&link)?);
                client
                    .send_transfer(transfer, &frames::text("hello"))
                    .await?;
                expect_complaint(client).await
            })
        },
    },
    Case {
        name: "d_021_the_settle_mode_of_what_is_settled_is_ignored",
        rows: &["D-021"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "a settled message with rcv-settle-mode second, and one that is neither",
        expected: "accepted, the other one",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let transfer = settled(second(client.next_transfer(&link)?));
                client
                    .send_transfer(transfer, &frames::text("hello"))
                    .await?;
                client.give(&link, &frames::text("hello")).await
            })
        },
    },
    Case {
        name: "d_024_a_batchable_delivery_is_settled_all_the_same",
        rows: &["D-024"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "a message with batchable",
        expected: "accepted",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let transfer = Transfer {
                    batchable: true,
                    ..client.next_transfer(&link)?
                };
                let id = transfer.delivery_id.unwrap_or(0);
                client
                    .send_transfer(transfer, &frames::text("hello"))
                    .await?;
                expect_accepted(client, id).await
            })
        },
    },
    Case {
        name: "d_025_r_002_what_is_resumed_and_nobody_knows_is_ignored",
        rows: &["D-025", "R-002"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "transfer with resume and a tag that the client never saw, and a message",
        expected: "an outcome for the message alone",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let transfer = Transfer {
                    resume: true,
                    delivery_tag: b"never".as_slice().try_into().ok(),
                    ..client.next_transfer(&link)?
                };
                let resumed = transfer.delivery_id.unwrap_or(0);
                client
                    .send_transfer(transfer, &frames::text("hello"))
                    .await?;
                let id = client.hand_out(&link, &frames::text("hello")).await?;
                let disposition = client.expect_disposition().await?;
                match disposition.first == id && id != resumed {
                    true => Ok(()),
                    false => Err(Stop::fail("an outcome for what was resumed")),
                }
            })
        },
    },
    Case {
        name: "d_029_a_message_of_an_unknown_format_harms_nobody",
        rows: &["D-029"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "a delivery with message-format 0x80013700 that is no AMQP message, and a message",
        expected: "an outcome for each",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let transfer = Transfer {
                    message_format: Some(0x8001_3700),
                    ..client.next_transfer(&link)?
                };
                let id = transfer.delivery_id.unwrap_or(0);
                client.send_transfer(transfer, b"whatever").await?;
                let other = client.hand_out(&link, &frames::text("hello")).await?;
                client.expect_outcomes_of(vec![id, other]).await
            })
        },
    },
    Case {
        name: "d_031_m_005_a_delivery_without_a_payload_harms_nobody",
        rows: &["D-031", "M-005"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Receiver],
        stimulus: "a delivery without an octet, and a message",
        expected: "an outcome for each",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let empty = client.hand_out(&link, b"").await?;
                let other = client.hand_out(&link, &frames::text("hello")).await?;
                client.expect_outcomes_of(vec![empty, other]).await
            })
        },
    },
    Case {
        name: "o_014_d_033_what_the_sender_settles_by_itself_is_over",
        rows: &["O-014", "D-033"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "a message and at once its sender's word that it is settled and released, in one segment; then another",
        expected: "accepted, the other one",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let transfer = client.next_transfer(&link)?;
                let id = transfer.delivery_id.unwrap_or(0);
                let over = settled_by_sender(id, Outcome::Released);
                client
                    .send_transfer(transfer, &frames::text("hello"))
                    .await?;
                client.send(over).await?;
                client.give(&link, &frames::text("hello")).await
            })
        },
    },
    Case {
        name: "p_014_what_is_settled_already_may_be_settled_again",
        rows: &["P-014"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "a message that is accepted, and twice its sender's word that it is settled; one about nothing; another message",
        expected: "accepted, the other one",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                client.give(&link, &frames::text("hello")).await?;
                for id in [0, 0, 77] {
                    client
                        .send(settled_by_sender(id, Outcome::Accepted))
                        .await?;
                }
                client.give(&link, &frames::text("hello")).await
            })
        },
    },
];

fn more(transfer: Transfer) -> Transfer {
    Transfer {
        more: true,
        ..transfer
    }
}

fn aborted(transfer: Transfer) -> Transfer {
    Transfer {
        aborted: true,
        ..transfer
    }
}

fn settled(transfer: Transfer) -> Transfer {
    Transfer {
        settled: Some(true),
        ..transfer
    }
}

fn second(transfer: Transfer) -> Transfer {
    Transfer {
        rcv_settle_mode: Some(ReceiverSettleMode::Second),
        ..transfer
    }
}

/// The sender's own word that a delivery is over.
fn settled_by_sender(id: u32, outcome: Outcome) -> Disposition {
    Disposition {
        role: Role::Sender,
        ..frames::settle(id, id, outcome)
    }
}

async fn expect_accepted(client: &mut Dialogue, id: u32) -> Result<(), Stop> {
    match client.expect_outcome_of(id).await? {
        Outcome::Accepted => Ok(()),
        other => Err(Stop::fail(format!("{other:?} in place of accepted"))),
    }
}
