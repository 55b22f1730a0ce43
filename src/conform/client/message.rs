//! Messages that a client must be able to read [3.2]: it accepts each of them.

use bytes::Bytes;

use crate::codec::{
    Annotations, ApplicationProperties, Array, Body, Dec32, Dec64, Dec128, Described, Fields,
    Header, Map, Message, MessageId, Properties, Symbol, Timestamp, Transfer, Uuid, Value,
};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::dialogue::{Dialogue, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "m_001_m_002_every_section_is_read",
        rows: &["M-001", "M-002"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "a message with every section there is",
        expected: "accepted",
        play: |client| {
            let message = Message::data("body")
                .with_header(Header::default())
                .with_delivery_annotations(annotations())
                .with_message_annotations(annotations())
                .with_properties(properties(MessageId::Ulong(7)))
                .with_application_property("key", 7u32)
                .with_footer(annotations());
            Box::pin(give_all(client, vec![encoded(&message)]))
        },
    },
    Case {
        name: "h_001_t_007_t_009_a_header_may_say_everything_or_nothing",
        rows: &["H-001", "T-007", "T-009"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "a message with a header of all fields, one with an empty header, one without",
        expected: "accepted, all three",
        play: |client| {
            let full = Header {
                durable: true,
                priority: 9,
                ttl: Some(60_000),
                first_acquirer: true,
                delivery_count: 3,
            };
            let full = encoded(&Message::value("hello").with_header(full));
            let empty = [b"\x00\x53\x70\x45", frames::text("hello").as_ref()].concat();
            let without = frames::text("hello");
            Box::pin(give_all(client, vec![full, empty.into(), without]))
        },
    },
    Case {
        name: "q_001_q_002_message_ids_are_of_four_types",
        rows: &["Q-001", "Q-002"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "messages with all properties, and each type of message-id and correlation-id",
        expected: "accepted, all four",
        play: |client| {
            let ids = [
                MessageId::Ulong(u64::MAX),
                MessageId::Uuid(Uuid([7; 16])),
                MessageId::Binary(Bytes::from_static(b"\xff\x00")),
                MessageId::String("id".into()),
            ];
            let messages = ids.map(|id| Message::value("hello").with_properties(properties(id)));
            Box::pin(give_all(client, messages.iter().map(encoded).collect()))
        },
    },
    Case {
        name: "q_007_t_021_timestamps_may_be_negative_and_far",
        rows: &["Q-007", "T-021"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "messages created before 1970, and expiring in the year 9999",
        expected: "accepted",
        play: |client| {
            let properties = Properties {
                creation_time: Some(Timestamp(-1)),
                absolute_expiry_time: Some(Timestamp(253_402_300_799_000)),
                ..Properties::default()
            };
            let message = Message::value(Timestamp(-1)).with_properties(properties);
            Box::pin(give_all(client, vec![encoded(&message)]))
        },
    },
    Case {
        name: "n_001_n_003_n_009_annotations_hold_any_value_under_symbols",
        rows: &["N-001", "N-003", "N-009"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "annotations whose keys begin with x-opt-, and whose values are of every type",
        expected: "accepted",
        play: |client| {
            let mut all = Annotations::new();
            for (number, value) in every_value().into_iter().enumerate() {
                // Letters and digits are ASCII.
                if let Ok(key) = Symbol::try_from(format!("x-opt-{number}")) {
                    all.insert(key, value);
                }
            }
            let message = Message::value("hello")
                .with_delivery_annotations(all.clone())
                .with_message_annotations(all);
            Box::pin(give_all(client, vec![encoded(&message)]))
        },
    },
    Case {
        name: "b_001_application_properties_hold_simple_values",
        rows: &["B-001"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "application-properties with a value of each simple type, null included, and an empty key",
        expected: "accepted",
        play: |client| {
            let mut all = ApplicationProperties::new().with("", "empty");
            for (number, value) in simple_values().into_iter().enumerate() {
                all.insert(number.to_string(), value);
            }
            let message = Message::value("hello").with_application_properties(all);
            Box::pin(give_all(client, vec![encoded(&message)]))
        },
    },
    Case {
        name: "b_003_b_004_m_003_a_body_may_be_data_in_one_section_or_several",
        rows: &["B-003", "B-004", "M-003"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "bodies of one data section, of three, and of an empty one",
        expected: "accepted, all three",
        play: |client| {
            let several = Body::DataSections(vec!["a".into(), "".into(), "c".into()]);
            let messages = [Message::data("a"), of(several), Message::data("")];
            Box::pin(give_all(client, messages.iter().map(encoded).collect()))
        },
    },
    Case {
        name: "b_005_m_003_a_body_may_be_sequences",
        rows: &["B-005", "M-003"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "bodies of one amqp-sequence, of two, and of an empty one",
        expected: "accepted, all three",
        play: |client| {
            let bodies = [
                vec![vec![Value::from(1u32), Value::from("two")]],
                vec![vec![Value::from(1u32)], every_value()],
                vec![vec![]],
            ];
            let messages = bodies.map(|sections| of(Body::Sequences(sections)));
            Box::pin(give_all(client, messages.iter().map(encoded).collect()))
        },
    },
    Case {
        name: "b_006_t_001_t_042_a_body_may_be_any_value",
        rows: &["B-006", "T-001", "T-042"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "a message for each type: simple ones, list, map, arrays of them, described values",
        expected: "accepted, all of them",
        play: |client| {
            let messages = every_value().into_iter().map(Message::value);
            let messages = messages.map(|message| encoded(&message)).collect();
            Box::pin(give_all(client, messages))
        },
    },
    Case {
        name: "t_004_t_028_t_037_values_may_be_wider_than_they_need",
        rows: &["T-004", "T-028", "T-037"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "the widest encodings of a number, a text, a list, a map and an array",
        expected: "accepted, all of them",
        play: |client| {
            let values: [&[u8]; 9] = [
                b"\x56\x01",
                b"\x70\0\0\0\0",
                b"\x80\0\0\0\0\0\0\0\0",
                b"\x71\0\0\0\0",
                b"\x81\0\0\0\0\0\0\0\0",
                b"\xb1\0\0\0\x02hi",
                b"\xd0\0\0\0\x04\0\0\0\0",
                b"\xd1\0\0\0\x04\0\0\0\0",
                b"\xf0\0\0\0\x07\0\0\0\x02\x50\x01\x02",
            ];
            Box::pin(give_all(client, values.map(as_value).to_vec()))
        },
    },
    Case {
        name: "t_038_t_039_t_040_arrays_may_be_described_or_empty_or_without_octets",
        rows: &["T-038", "T-039", "T-040"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "an array of described symbols, one of ten nulls, one of nothing",
        expected: "accepted, all three",
        play: |client| {
            let values: [&[u8]; 3] = [
                b"\xe0\x0b\x02\x00\xa3\x01x\xa3\x01a\x02bc",
                b"\xe0\x02\x0a\x40",
                b"\xe0\x02\x00\x50",
            ];
            Box::pin(give_all(client, values.map(as_value).to_vec()))
        },
    },
    Case {
        name: "t_047_t_048_t_051_descriptors_that_nobody_knows_are_no_error_in_a_body",
        rows: &["T-047", "T-048", "T-051"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "values described by a string, by an unknown symbol, and by something described",
        expected: "accepted, all three",
        play: |client| {
            let described = |descriptor: Value| {
                let value = Value::from(7u32);
                Message::value(Described { descriptor, value })
            };
            let nested = Value::from(Described {
                descriptor: Value::from(1u64),
                value: Value::from(2u64),
            });
            let unknown = Value::from(Symbol::from_static("x-conform:unknown"));
            let messages = ["URL".into(), unknown, nested].map(described);
            Box::pin(give_all(client, messages.iter().map(encoded).collect()))
        },
    },
    Case {
        name: "m_009_t_050_sections_may_be_named_by_symbols_or_in_eight_octets",
        rows: &["M-009", "T-050"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "amqp-value named by its symbol, and a header and data with descriptors of eight octets",
        expected: "accepted, both",
        play: |client| {
            let by_symbol = b"\x00\xa3\x11amqp:amqp-value:*\xa1\x05hello";
            let wide = b"\x00\x80\0\0\0\0\0\0\0\x70\x45\x00\x80\0\0\0\0\0\0\0\x75\xa0\x02hi";
            let messages = [by_symbol.as_slice(), wide].map(Bytes::from_static);
            Box::pin(give_all(client, messages.to_vec()))
        },
    },
    Case {
        name: "d_030_a_body_may_look_like_frames_and_headers",
        rows: &["D-030"],
        side: Side::Client,
        level: Level::Must,
        needs: &[Need::Receiver],
        stimulus: "data that is a protocol header, a close frame and a frame of no size, in one frame and in two",
        expected: "accepted, both",
        play: |client| Box::pin(give_frames(client)),
    },
    Case {
        name: "m_005_sections_without_a_body_harm_nobody",
        rows: &["M-005"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Receiver],
        stimulus: "a header and nothing else, and a message",
        expected: "an outcome for each",
        play: |client| Box::pin(survive(client, b"\x00\x53\x70\xc0\x02\x01\x41")),
    },
    Case {
        name: "m_008_m_011_a_section_that_there_is_not_harms_one_delivery_alone",
        rows: &["M-008", "M-011"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Receiver],
        stimulus: "a message with a section 0x79, and an ordinary one",
        expected: "an outcome for each, or detach",
        play: |client| Box::pin(survive(client, b"\x00\x53\x79\x45\x00\x53\x77\x40")),
    },
    Case {
        name: "m_004_m_011_sections_out_of_order_harm_one_delivery_alone",
        rows: &["M-004", "M-011"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Receiver],
        stimulus: "a message whose body comes before its header, and an ordinary one",
        expected: "an outcome for each, or detach",
        play: |client| Box::pin(survive(client, b"\x00\x53\x77\x40\x00\x53\x70\x45")),
    },
    Case {
        name: "t_025_m_011_text_that_is_no_utf_8_harms_one_delivery_alone",
        rows: &["T-025", "M-011"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Receiver],
        stimulus: "a message whose value is a string of the octet 0xff, and an ordinary one",
        expected: "an outcome for each, or detach",
        play: |client| Box::pin(survive(client, b"\x00\x53\x77\xa1\x01\xff")),
    },
    Case {
        name: "t_045_m_011_a_message_nested_too_deep_harms_one_delivery_alone",
        rows: &["T-045", "M-011"],
        side: Side::Client,
        level: Level::Should,
        needs: &[Need::Receiver],
        stimulus: "a message of 400 descriptors one in the other, and an ordinary one",
        expected: "an outcome for each, or detach",
        play: |client| {
            Box::pin(async move {
                let message = [b"\x00\x53\x77".as_slice(), &[0; 400], b"\x40"].concat();
                survive(client, &message).await
            })
        },
    },
];

/// Hands the client these messages, one after the other, and it accepts each.
async fn give_all(client: &mut Dialogue, messages: Vec<Bytes>) -> Result<(), Stop> {
    let link = client.open_receiver().await?;
    for message in &messages {
        client.give(&link, message).await?;
    }
    Ok(())
}

/// Hands the client octets that it may take for frames, did it lose count.
async fn give_frames(client: &mut Dialogue) -> Result<(), Stop> {
    let octets = [
        b"AMQP\x00\x01\x00\x00".as_slice(),
        &frames::encode(0, frames::close(), b""),
        &[0; 8],
    ];
    let message = encoded(&Message::data(octets.concat()));
    let link = client.open_receiver().await?;
    client.give(&link, &message).await?;
    let (front, back) = message.split_at(5);
    let first = Transfer {
        more: true,
        ..client.next_transfer(&link)?
    };
    let id = first.delivery_id.unwrap_or(0);
    client.send_transfer(first, front).await?;
    client
        .send_transfer(frames::continuation(&link), back)
        .await?;
    client.expect_outcomes_of(vec![id]).await
}

/// Hands the client something that it need not take. It may state any outcome or detach the link, but the connection is
/// sound.
async fn survive(client: &mut Dialogue, message: &[u8]) -> Result<(), Stop> {
    let link = client.open_receiver().await?;
    let id = client.hand_out(&link, message).await?;
    let refusal = match client.expect_outcome_of(id).await {
        Ok(_) => return client.give(&link, &frames::text("hello")).await,
        Err(Stop::Fail(came)) if came.starts_with("detach") => return Ok(()),
        Err(other) => other,
    };
    Err(refusal)
}

pub(in crate::conform) fn encoded(message: &Message) -> Bytes {
    // None of these is longer than a length field can say.
    message.to_bytes().unwrap_or_default()
}

/// These octets as the value of a message.
pub(in crate::conform) fn as_value(octets: &[u8]) -> Bytes {
    [b"\x00\x53\x77", octets].concat().into()
}

pub(in crate::conform) fn of(body: Body) -> Message {
    Message {
        body,
        ..Message::default()
    }
}

fn annotations() -> Annotations {
    Annotations::new().with(Symbol::from_static("x-opt-conform"), 7u32)
}

pub(in crate::conform) fn properties(id: MessageId) -> Properties {
    Properties {
        message_id: Some(id.clone()),
        user_id: Some(Bytes::from_static(b"user")),
        to: Some("to".into()),
        subject: Some("subject".into()),
        reply_to: Some("reply-to".into()),
        correlation_id: Some(id),
        content_type: Some(Symbol::from_static("text/plain")),
        content_encoding: Some(Symbol::from_static("gzip")),
        absolute_expiry_time: Some(Timestamp(1_900_000_000_000)),
        creation_time: Some(Timestamp(1)),
        group_id: Some("group".into()),
        group_sequence: Some(u32::MAX),
        reply_to_group_id: Some("reply-to-group".into()),
    }
}

/// A value of each type that is no compound.
pub(in crate::conform) fn simple_values() -> Vec<Value> {
    vec![
        Value::Null,
        true.into(),
        u8::MAX.into(),
        u16::MAX.into(),
        u32::MAX.into(),
        u64::MAX.into(),
        i8::MIN.into(),
        i16::MIN.into(),
        i32::MIN.into(),
        i64::MIN.into(),
        f32::NAN.into(),
        f64::NEG_INFINITY.into(),
        Dec32([0x22, 0, 0, 1]).into(),
        Dec64([0x22, 0, 0, 0, 0, 0, 0, 1]).into(),
        Dec128([7; 16]).into(),
        '\u{1f980}'.into(),
        Timestamp(-1).into(),
        Uuid([7; 16]).into(),
        vec![0u8, 255].into(),
        "ÿ text".into(),
        Symbol::from_static("symbol").into(),
    ]
}

/// A value of each type.
pub(in crate::conform) fn every_value() -> Vec<Value> {
    let mut all = simple_values();
    let list: Vec<Value> = vec![Value::Null, Vec::<Value>::new().into()];
    let array = |values: Vec<Value>| Array::try_from(values).map_or(Value::Null, Value::from);
    all.push(list.clone().into());
    all.push(
        Map::default()
            .with("key", list.clone())
            .with(7u32, Value::Null)
            .into(),
    );
    all.push(array(vec![1u32.into(), 2u32.into()]));
    all.push(array(vec![
        array(vec!["a".into()]),
        array(vec!["b".into()]),
    ]));
    all.push(array(vec![list.clone().into(), list.into()]));
    all.push(Fields::new().with(Symbol::from_static("key"), 7u32).into());
    all.push(Value::from(Described {
        descriptor: Symbol::from_static("x-conform:unknown").into(),
        value: "described".into(),
    }));
    all
}
