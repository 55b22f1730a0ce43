//! Frames [2.3].

use crate::codec::{Begin, Fields, Open, Symbol, condition};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "f_001_f_002_a_size_below_the_header_is_a_framing_error",
        rows: &["F-001", "F-002"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "a frame whose size field says 7 octets",
        expected: "close with amqp:connection:framing-error, then the end of the stream",
        play: |peer| Box::pin(expect_framing_error(peer, b"\0\0\0\x07\x02\0\0\0")),
    },
    Case {
        name: "f_003_a_data_offset_inside_of_the_header_is_a_framing_error",
        rows: &["F-003"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "a frame of 14 octets with a data offset of 1",
        expected: "close with amqp:connection:framing-error, then the end of the stream",
        play: |peer| {
            Box::pin(expect_framing_error(
                peer,
                b"\0\0\0\x0e\x01\0\0\0\0\0\0\0\0\0",
            ))
        },
    },
    Case {
        name: "f_004_a_data_offset_behind_the_frame_is_a_framing_error",
        rows: &["F-004"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "a frame of 14 octets with a data offset of 4",
        expected: "close with amqp:connection:framing-error, then the end of the stream",
        play: |peer| {
            Box::pin(expect_framing_error(
                peer,
                b"\0\0\0\x0e\x04\0\0\0\0\0\0\0\0\0",
            ))
        },
    },
    Case {
        name: "f_005_an_extended_header_is_skipped",
        rows: &["F-005"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "begin in a frame with a data offset of 3 and four octets of extended header",
        expected: "begin",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                let plain = frames::encode(0, frames::begin(), b"");
                let mut extended = (plain.len() as u32 + 4).to_be_bytes().to_vec();
                extended.extend_from_slice(b"\x03\0\0\0\xde\xad\xbe\xef");
                extended.extend_from_slice(&plain[8..]);
                peer.send_bytes(&extended).await?;
                peer.expect_begin().await.map(drop)
            })
        },
    },
    Case {
        name: "f_006_frames_have_no_extended_header",
        rows: &["F-006"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "open, begin and attach",
        expected: "answers in frames with a data offset of 2",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                peer.attach_receiver("link").await?;
                match peer.heard_extended_headers() {
                    true => Err(Stop::fail("a frame with an extended header")),
                    false => Ok(()),
                }
            })
        },
    },
    Case {
        name: "f_007_an_unknown_frame_type_is_a_framing_error",
        rows: &["F-007"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "a frame of type 2",
        expected: "close with amqp:connection:framing-error, then the end of the stream",
        play: |peer| Box::pin(expect_framing_error(peer, b"\0\0\0\x08\x02\x02\0\0")),
    },
    Case {
        name: "f_009_f_011_a_body_that_is_no_described_list_closes_the_connection",
        rows: &["F-009", "F-011"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "a frame whose body is null",
        expected: "close with amqp:decode-error, then the end of the stream",
        play: |peer| Box::pin(expect_decode_error(peer, b"\x40")),
    },
    Case {
        name: "f_009_f_011_an_unknown_performative_closes_the_connection",
        rows: &["F-009", "F-011"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "a frame whose body is an empty list with the descriptor 0x19",
        expected: "close with amqp:decode-error or amqp:not-implemented, then the end of the stream",
        play: |peer| Box::pin(expect_decode_error(peer, b"\0\x53\x19\x45")),
    },
    Case {
        name: "f_011_octets_that_are_no_value_close_the_connection",
        rows: &["F-011"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "a frame whose body is a begin of which a field has the format code 0x3f",
        expected: "close with amqp:decode-error, then the end of the stream",
        play: |peer| Box::pin(expect_decode_error(peer, b"\0\x53\x11\xc0\x02\x01\x3f")),
    },
    Case {
        name: "f_012_c_017_empty_frames_are_taken_on_any_channel",
        rows: &["F-012", "C-017"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "empty frames on the channels 0 and 1",
        expected: "nothing, and service as before",
        play: |peer| {
            Box::pin(async move {
                peer.open_session().await?;
                peer.send_empty().await?;
                peer.send_bytes(b"\0\0\0\x08\x02\0\0\x01").await?;
                peer.expect_silence().await?;
                peer.expect_service().await
            })
        },
    },
    Case {
        name: "f_013_f_016_an_open_of_512_octets_is_taken",
        rows: &["F-013", "F-016"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "an open that is 512 octets long by a property",
        expected: "open",
        play: |peer| {
            Box::pin(async move {
                let named = |length| Open {
                    properties: name_of(length),
                    ..frames::open()
                };
                let rest = frames::encode(0, named(400), b"").len() - 400;
                peer.open_with(named(512 - rest)).await.map(drop)
            })
        },
    },
    Case {
        name: "f_013_the_open_has_no_more_than_512_octets",
        rows: &["F-013"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "open",
        expected: "an open of at most 512 octets",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                expect_frames_up_to_512(peer)
            })
        },
    },
    Case {
        name: "f_014_no_frame_is_larger_than_the_partner_takes",
        rows: &["F-014"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a max-frame-size of 512, and credit for a message of 5000 octets",
        expected: "the message in frames of at most 512 octets",
        play: |peer| {
            Box::pin(async move {
                let open = Open {
                    max_frame_size: 512,
                    ..frames::open()
                };
                peer.open_with(open).await?;
                peer.begin().await?;
                peer.empty_node().await?;
                peer.put(&[frames::text(&"x".repeat(5000))]).await?;
                let link = peer.attach_receiver("link").await?;
                let from = link.remote.initial_delivery_count.unwrap_or(0);
                peer.grant(&link, from, 1).await?;
                peer.accept_delivery().await?;
                expect_frames_up_to_512(peer)
            })
        },
    },
    Case {
        name: "f_015_a_frame_above_the_announced_size_is_a_framing_error",
        rows: &["F-015"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "a frame of one octet more than the listener's max-frame-size",
        expected: "close with amqp:connection:framing-error, then the end of the stream",
        play: |peer| {
            Box::pin(async move {
                let most = peer.open().await?.max_frame_size;
                if most > 1 << 22 {
                    return Err(Stop::Skip(format!("frames of {most} octets are taken")));
                }
                let mut frame = frames::frame_of(0, &vec![0; most as usize - 7]);
                frame[..4].copy_from_slice(&(most + 1).to_be_bytes());
                peer.send_bytes(&frame).await?;
                peer.expect_close_with(&[condition::FRAMING_ERROR]).await
            })
        },
    },
    Case {
        name: "f_015_a_frame_above_the_announced_size_is_refused_from_its_size_alone",
        rows: &["F-015"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "the first eight octets of a frame of 2147483647 octets",
        expected: "close with amqp:connection:framing-error, then the end of the stream",
        play: |peer| {
            Box::pin(async move {
                if peer.open().await?.max_frame_size >= i32::MAX as u32 {
                    return Err(Stop::skip("frames of any size are taken"));
                }
                peer.send_bytes(b"\x7f\xff\xff\xff\x02\0\0\0").await?;
                peer.expect_close_with(&[condition::FRAMING_ERROR]).await
            })
        },
    },
    Case {
        name: "f_016_a_frame_of_512_octets_is_taken",
        rows: &["F-016"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[],
        stimulus: "a begin that is 512 octets long by a property",
        expected: "begin",
        play: |peer| {
            Box::pin(async move {
                peer.open().await?;
                let named = |length| Begin {
                    properties: name_of(length),
                    ..frames::begin()
                };
                let rest = frames::encode(0, named(400), b"").len() - 400;
                peer.begin_with(named(512 - rest)).await.map(drop)
            })
        },
    },
    Case {
        name: "f_017_a_max_frame_size_below_512_is_refused",
        rows: &["F-017"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "open with a max-frame-size of 511",
        expected: "open, then close with an error",
        play: |peer| {
            Box::pin(async move {
                peer.greet().await?;
                let open = Open {
                    max_frame_size: 511,
                    ..frames::open()
                };
                peer.send_on(0, open).await?;
                let conditions = [
                    condition::FRAMING_ERROR,
                    condition::FRAME_SIZE_TOO_SMALL,
                    condition::INVALID_FIELD,
                    condition::NOT_ALLOWED,
                ];
                peer.expect_close_with(&conditions).await
            })
        },
    },
];

async fn expect_framing_error(peer: &mut Dialogue, octets: &[u8]) -> Result<(), Stop> {
    peer.open().await?;
    peer.send_bytes(octets).await?;
    peer.expect_close_with(&[condition::FRAMING_ERROR]).await
}

async fn expect_decode_error(peer: &mut Dialogue, body: &[u8]) -> Result<(), Stop> {
    peer.open().await?;
    peer.send_bytes(&frames::frame_of(0, body)).await?;
    let conditions = [
        condition::DECODE_ERROR,
        condition::NOT_IMPLEMENTED,
        condition::INVALID_FIELD,
        condition::FRAMING_ERROR,
    ];
    peer.expect_close_with(&conditions).await
}

fn expect_frames_up_to_512(peer: &Dialogue) -> Result<(), Stop> {
    match peer.largest_frame() {
        0..=512 => Ok(()),
        size => Err(Stop::Fail(format!("a frame of {size} octets"))),
    }
}

/// A property of so many octets: above 255 the encodings are wide, and each octet of it is one of the frame.
fn name_of(length: usize) -> Fields {
    Fields::new().with(Symbol::from_static("name"), "x".repeat(length))
}
