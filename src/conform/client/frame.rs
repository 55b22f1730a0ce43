//! Frames that come to a client, and those that it sends [2.3].

use bytes::BytesMut;

use crate::codec::{Encode, Layout, Outcome, Performative, Role, Symbol, Writer, condition, frame};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, frames};

static FRAMING: [Symbol; 1] = [condition::FRAMING_ERROR];
static DECODING: [Symbol; 4] = [
    condition::DECODE_ERROR,
    condition::NOT_IMPLEMENTED,
    condition::INVALID_FIELD,
    condition::FRAMING_ERROR,
];

pub(super) const CASES: &[Case] = &[
    Case {
        name: "f_002_a_size_below_the_header_is_a_framing_error_to_a_client",
        rows: &["F-002"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "a frame whose size field says 7 octets",
        expected: "close with amqp:connection:framing-error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                say_when_open(client, b"\0\0\0\x07\x02\0\0\0").await?;
                client.expect_close_with(&FRAMING).await
            })
        },
    },
    Case {
        name: "f_003_a_data_offset_inside_of_the_header_is_a_framing_error_to_a_client",
        rows: &["F-003"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "an empty frame with a data offset of 1",
        expected: "close with amqp:connection:framing-error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                say_when_open(client, b"\0\0\0\x08\x01\0\0\0").await?;
                client.expect_close_with(&FRAMING).await
            })
        },
    },
    Case {
        name: "f_004_a_data_offset_behind_the_frame_is_a_framing_error_to_a_client",
        rows: &["F-004"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "a frame of 8 octets with a data offset of 4",
        expected: "close with amqp:connection:framing-error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                say_when_open(client, b"\0\0\0\x08\x04\0\0\0").await?;
                client.expect_close_with(&FRAMING).await
            })
        },
    },
    Case {
        name: "f_005_an_extended_header_is_skipped_by_a_client",
        rows: &["F-005"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "an empty frame and a flow, each with an extended header",
        expected: "the client sends",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                client
                    .send_bytes(b"\0\0\0\x0c\x03\0\0\0\xde\xad\xbe\xef")
                    .await?;
                let link = client.accept_sender().await?;
                let flow = frames::encode(link.channel, client.credit(&link, 1), b"");
                client.send_bytes(&with_extended_header(&flow)).await?;
                client.accept_delivery().await.map(drop)
            })
        },
    },
    Case {
        name: "f_007_an_unknown_frame_type_is_a_framing_error_to_a_client",
        rows: &["F-007"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "a frame of type 2",
        expected: "close with amqp:connection:framing-error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                say_when_open(client, b"\0\0\0\x08\x02\x02\0\0").await?;
                client.expect_close_with(&FRAMING).await
            })
        },
    },
    Case {
        name: "f_011_a_performative_that_there_is_not_closes_the_connection",
        rows: &["F-011"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "a frame with the descriptor 0x19",
        expected: "close with an error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                let unknown = frames::frame_of(0, b"\x00\x53\x19\x45");
                say_when_open(client, &unknown).await?;
                client.expect_close_with(&DECODING).await
            })
        },
    },
    Case {
        name: "f_009_f_011_a_body_that_is_no_performative_closes_the_connection",
        rows: &["F-009", "F-011"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "a frame whose body is null",
        expected: "close with an error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                say_when_open(client, &frames::frame_of(0, b"\x40")).await?;
                client.expect_close_with(&DECODING).await
            })
        },
    },
    Case {
        name: "t_036_t_044_a_list_that_is_longer_than_its_frame_closes_the_connection",
        rows: &["T-036", "T-044"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "a begin whose list says that it has 4 GiB",
        expected: "close with an error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                let begin = b"\x00\x53\x11\xd0\xff\xff\xff\xff\0\0\0\x04\x40";
                say_when_open(client, &frames::frame_of(0, begin)).await?;
                client.expect_close_with(&DECODING).await
            })
        },
    },
    Case {
        name: "f_012_c_017_empty_frames_are_taken_on_any_channel_by_a_client",
        rows: &["F-012", "C-017"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "empty frames on channel 0, and on one that has no session",
        expected: "the client goes on sending",
        play: |client| {
            Box::pin(async move {
                let remote = client.open().await?;
                let link = client.accept_sender().await?;
                let [high, low] = remote.channel_max.min(9).to_be_bytes();
                client.send_empty().await?;
                client.send_bytes(&[0, 0, 0, 8, 2, 0, high, low]).await?;
                client.take(&link).await.map(drop)
            })
        },
    },
    Case {
        name: "f_014_d_011_no_frame_is_larger_than_the_listener_takes",
        rows: &["F-014", "D-011"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "a max-frame-size of 512, and credit",
        expected: "messages in frames of 512 octets at most",
        play: |client| {
            Box::pin(async move {
                client.open_with(frames::open_at(512)).await?;
                let link = client.accept_sender().await?;
                client.expect_large(&link, frames::WINDOW).await?;
                while client.expect_transfer().await?.0.more {}
                match client.largest_frame() {
                    0..=512 => Ok(()),
                    size => Err(Stop::fail(format!("a frame of {size} octets"))),
                }
            })
        },
    },
    Case {
        name: "f_015_a_frame_above_the_limit_of_the_client_is_refused_from_its_size_alone",
        rows: &["F-015"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "the first eight octets of a frame that is one octet too large",
        expected: "close with amqp:connection:framing-error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                let remote = client.open().await?;
                client.accept_session().await?;
                let Some(size) = remote.max_frame_size.checked_add(1) else {
                    return Err(Stop::skip("the client takes frames of any size"));
                };
                let head = [size.to_be_bytes(), [2, 0, 0, 0]].concat();
                client.send_bytes(&head).await?;
                client.expect_close_with(&FRAMING).await
            })
        },
    },
    Case {
        name: "f_016_a_frame_of_512_octets_is_taken_by_a_client",
        rows: &["F-016"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "a message whose only frame has 512 octets",
        expected: "accepted",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let transfer = client.next_transfer(&link)?;
                let id = transfer.delivery_id.unwrap_or(0);
                let head = frames::encode(link.channel, transfer.clone(), b"").len();
                // Eight octets say that what follows is data.
                let filling = 512 - head - 8;
                let size = u32::try_from(filling).unwrap_or(0).to_be_bytes();
                let data = [b"\x00\x53\x75\xb0", size.as_slice(), &vec![b'x'; filling]];
                client.send_transfer(transfer, &data.concat()).await?;
                client.expect_outcome_of(id).await.map(drop)
            })
        },
    },
    Case {
        name: "f_017_a_max_frame_size_below_512_is_refused_by_a_client",
        rows: &["F-017"],
        side: Side::Client,
        level: Level::Should,
        needs: &[],
        stimulus: "open with a max-frame-size of 511",
        expected: "close with an error, then the end of the stream",
        play: |client| {
            Box::pin(async move {
                client.open_with(frames::open_at(511)).await?;
                let conditions = [
                    condition::FRAMING_ERROR,
                    condition::FRAME_SIZE_TOO_SMALL,
                    condition::INVALID_FIELD,
                ];
                client.expect_close_with(&conditions).await
            })
        },
    },
    Case {
        name: "t_050_a_performative_may_be_named_by_its_symbol",
        rows: &["T-050"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "open with the descriptor amqp:open:list",
        expected: "begin",
        play: |client| {
            Box::pin(async move {
                let open = b"\x00\xa3\x0eamqp:open:list\xc0\x0a\x01\xa1\x07conform";
                open_by(client, open).await
            })
        },
    },
    Case {
        name: "t_004_t_050_t_054_a_performative_may_be_as_wide_as_it_can",
        rows: &["T-004", "T-050", "T-054"],
        side: Side::Client,
        level: Level::Must,
        needs: &[],
        stimulus: "open with a descriptor of eight octets, a list with four for its size, and a string with four",
        expected: "begin",
        play: |client| {
            Box::pin(async move {
                let head = b"\x00\x80\0\0\0\0\0\0\0\x10\xd0\0\0\0\x10\0\0\0\x01";
                let open = [head.as_slice(), b"\xb1\0\0\0\x07conform"].concat();
                open_by(client, &open).await
            })
        },
    },
    Case {
        name: "t_053_t_055_every_field_may_be_there_though_it_is_null",
        rows: &["T-053", "T-055"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "begin, attach, flow and disposition with all fields, null where nothing is said",
        expected: "the client sends",
        play: |client| {
            Box::pin(async move {
                client.open().await?;
                let link = client.hold_link(Role::Sender).await?;
                let attach = with_all_fields(link.channel, frames::answer_to(&link));
                client.send_bytes(&attach).await?;
                let flow = with_all_fields(link.channel, client.credit(&link, 2));
                client.send_bytes(&flow).await?;
                let (first, _) = client.expect_delivery().await?;
                let id = first.delivery_id.unwrap_or(0);
                let accepted = frames::settle(id, id, Outcome::Accepted);
                client
                    .send_bytes(&with_all_fields(link.channel, accepted))
                    .await?;
                client.accept_delivery().await.map(drop)
            })
        },
    },
    Case {
        name: "v_012_t_071_frames_may_come_octet_by_octet",
        rows: &["V-012", "T-071"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Sender],
        stimulus: "a flow of which each octet is a segment of its own",
        expected: "the client sends",
        play: |client| {
            Box::pin(async move {
                let link = client.open_sender().await?;
                let flow = frames::encode(link.channel, client.credit(&link, 1), b"");
                for octet in &flow {
                    client.send_bytes(&[*octet]).await?;
                }
                client.accept_delivery().await.map(drop)
            })
        },
    },
    Case {
        name: "f_019_frames_in_one_segment_are_taken_in_order",
        rows: &["F-019"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "three messages in one segment",
        expected: "accepted, all three",
        play: |client| {
            Box::pin(async move {
                let link = client.open_receiver().await?;
                let mut segment = BytesMut::new();
                for id in 0..3 {
                    let transfer = frames::transfer(&link, id);
                    let frame = frames::encode(link.channel, transfer, &frames::text("hello"));
                    segment.extend_from_slice(&frame);
                }
                client.send_bytes(&segment).await?;
                client.expect_outcomes_of(vec![0, 1, 2]).await
            })
        },
    },
];

/// A connection that is open, with a session, and these octets.
async fn say_when_open(client: &mut Dialogue, octets: &[u8]) -> Result<(), Stop> {
    client.open().await?;
    client.accept_session().await?;
    client.send_bytes(octets).await
}

/// A connection that this body of a frame opens, and a session of it.
async fn open_by(client: &mut Dialogue, body: &[u8]) -> Result<(), Stop> {
    client.greet().await?;
    client.expect_open().await?;
    client.send_bytes(&frames::frame_of(0, body)).await?;
    client.accept_session().await.map(drop)
}

/// The same frame with four octets more in its header.
fn with_extended_header(octets: &[u8]) -> Vec<u8> {
    let (header, body) = octets.split_at(frame::HEADER_LEN);
    let size = u32::try_from(octets.len() + 4).unwrap_or(0).to_be_bytes();
    [
        size.as_slice(),
        b"\x03\0",
        &header[6..],
        b"\xde\xad\xbe\xef",
        body,
    ]
    .concat()
}

/// A frame whose performative has all fields, with null where nothing is said.
fn with_all_fields(channel: u16, performative: impl Into<Performative>) -> BytesMut {
    let mut octets = BytesMut::new();
    let mark = frame::start(&mut octets, frame::TYPE_AMQP, channel);
    let performative = performative.into();
    performative.encode(&mut Writer::with_layout(&mut octets, Layout::Full));
    frame::finish(&mut octets, mark);
    octets
}
