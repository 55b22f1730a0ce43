//! Messages: what was put into a node comes out of it as it was [3.2].

use bytes::Bytes;

use super::stock::{decoded, header, post, receive, stock};
use crate::codec::{
    Annotations, Body, Header, Message, MessageId, Outcome, Properties, Sections, Symbol,
    Timestamp, Uuid, Value,
};
use crate::conform::case::{Case, Level, Need, Side, Stop};
use crate::conform::client::message::{
    as_value, encoded, every_value, of, properties, simple_values,
};
use crate::conform::dialogue::{Dialogue, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "m_001_m_002_m_006_every_section_comes_back",
        rows: &["M-001", "M-002", "M-006"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a message with every section there is, and all properties but user-id",
        expected: "the same properties, application-properties and body, octet for octet",
        play: |peer| {
            let message = Message::data("body")
                .with_header(Header::default())
                .with_delivery_annotations(annotations())
                .with_message_annotations(annotations())
                .with_properties(unowned(MessageId::Ulong(7)))
                .with_application_property("key", 7u32)
                .with_footer(annotations());
            Box::pin(come_back(peer, vec![encoded(&message)]))
        },
    },
    Case {
        name: "n_006_n_009_message_annotations_are_passed_on",
        rows: &["N-006", "N-009"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a message whose annotations hold a value of each type",
        expected: "these annotations, and perhaps others",
        play: |peer| {
            Box::pin(async move {
                let mut wanted = Annotations::new();
                for (number, value) in every_value().into_iter().enumerate() {
                    let key = Symbol::try_from(format!("x-opt-{number}"));
                    wanted.insert(key.map_err(|error| Stop::fail(error.to_string()))?, value);
                }
                let message = Message::value("a").with_message_annotations(wanted.clone());
                let back = decoded(one_back(peer, encoded(&message)).await?)?;
                expect_in(&wanted, &back.message_annotations.unwrap_or_default())
            })
        },
    },
    Case {
        name: "n_008_m_002_a_footer_is_passed_on",
        rows: &["N-008", "M-002"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[Need::Queue],
        stimulus: "a message with a footer",
        expected: "the footer",
        play: |peer| {
            Box::pin(async move {
                let message = Message::value("a").with_footer(annotations());
                let back = decoded(one_back(peer, encoded(&message)).await?)?;
                expect_in(&annotations(), &back.footer.unwrap_or_default())
            })
        },
    },
    Case {
        name: "h_001_h_004_a_priority_is_passed_on",
        rows: &["H-001", "H-004"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[Need::Queue],
        stimulus: "a message with a priority of 9",
        expected: "a priority of 9",
        play: |peer| {
            Box::pin(async move {
                let highest = Header {
                    priority: 9,
                    ..Header::default()
                };
                let message = Message::value("a").with_header(highest);
                let payload = one_back(peer, encoded(&message)).await?;
                match header(payload)?.priority {
                    9 => Ok(()),
                    other => Err(Stop::fail(format!("a priority of {other}"))),
                }
            })
        },
    },
    Case {
        name: "q_001_q_002_m_006_properties_and_ids_of_four_types_come_back",
        rows: &["Q-001", "Q-002", "M-006"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "messages with all properties but user-id, and each type of message-id and correlation-id",
        expected: "the same properties, octet for octet",
        play: |peer| {
            let ids = [
                MessageId::Ulong(u64::MAX),
                MessageId::Uuid(Uuid([7; 16])),
                MessageId::Binary(Bytes::from_static(b"\xff\x00")),
                MessageId::String("id".into()),
            ];
            let messages = ids.map(|id| encoded(&Message::data("a").with_properties(unowned(id))));
            Box::pin(come_back(peer, messages.into()))
        },
    },
    Case {
        name: "q_007_t_021_timestamps_before_1970_come_back",
        rows: &["Q-007", "T-021"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a message with a creation-time of -1",
        expected: "the same",
        play: |peer| {
            let early = Properties {
                creation_time: Some(Timestamp(-1)),
                ..Properties::default()
            };
            let message = Message::value("a").with_properties(early);
            Box::pin(come_back(peer, vec![encoded(&message)]))
        },
    },
    Case {
        name: "b_001_m_006_application_properties_of_each_type_come_back",
        rows: &["B-001", "M-006"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "a message with an application property of each simple type",
        expected: "the same, octet for octet",
        play: |peer| {
            let mut message = Message::value("a");
            for (number, value) in simple_values().into_iter().enumerate() {
                message = message.with_application_property(format!("key {number}"), value);
            }
            Box::pin(come_back(peer, vec![encoded(&message)]))
        },
    },
    Case {
        name: "b_003_b_004_m_006_data_in_any_number_of_sections_comes_back",
        rows: &["B-003", "B-004", "M-006"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "messages of one section, of none but an empty one, and of three sections",
        expected: "the same sections",
        play: |peer| {
            let sections = ["a", "", "b"].map(Bytes::from).to_vec();
            let messages = [
                Message::data("data"),
                Message::data(Bytes::new()),
                of(Body::DataSections(sections)),
            ];
            Box::pin(come_back(peer, messages.iter().map(encoded).collect()))
        },
    },
    Case {
        name: "b_005_m_006_sequences_come_back",
        rows: &["B-005", "M-006"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "messages of one sequence, of an empty one, and of two",
        expected: "the same sequences",
        play: |peer| {
            let list: Vec<Value> = vec![1u32.into(), "two".into(), Value::Null];
            let messages = [vec![list.clone()], vec![vec![]], vec![list.clone(), list]]
                .map(|sequences| encoded(&of(Body::Sequences(sequences))));
            Box::pin(come_back(peer, messages.into()))
        },
    },
    Case {
        name: "b_006_m_006_a_value_of_each_type_comes_back",
        rows: &["B-006", "M-006"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "messages with a value of each type, compounds and described ones among them",
        expected: "the same values, octet for octet",
        play: |peer| {
            let messages = every_value().into_iter().map(Message::value);
            let messages = messages.map(|message| encoded(&message)).collect();
            Box::pin(come_back(peer, messages))
        },
    },
    Case {
        name: "m_006_t_004_wide_encodings_come_back_as_wide",
        rows: &["M-006", "T-004"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "values in more octets than they need: uint, list, string, boolean",
        expected: "the same octets",
        play: |peer| {
            let values: [&[u8]; 4] = [
                b"\x70\0\0\0\x07",
                b"\xd0\0\0\0\x06\0\0\0\x02\x40\x40",
                b"\xb1\0\0\0\x01a",
                b"\x56\x01",
            ];
            Box::pin(come_back(peer, values.map(as_value).into()))
        },
    },
    Case {
        name: "d_030_a_body_of_any_octets_comes_back",
        rows: &["D-030"],
        side: Side::Listener,
        level: Level::Must,
        needs: &[Need::Queue],
        stimulus: "data that looks like a protocol header, frames and sections",
        expected: "the same octets",
        play: |peer| {
            let octets = [
                b"AMQP\x00\x01\x00\x00".as_slice(),
                &frames::encode(0, frames::close(), b""),
                b"\x00\x53\x75\xa0\x00\x00\x53\x78\xc1\x01\x00",
                &[0; 8],
            ];
            let octets = octets.concat();
            let message = encoded(&Message::data(octets));
            Box::pin(come_back(peer, vec![message]))
        },
    },
    Case {
        name: "m_008_m_011_an_unknown_section_harms_one_delivery_alone",
        rows: &["M-008", "M-011"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "a message with a section 0x79, and on another link an ordinary one",
        expected: "rejected or detach for the first, and an outcome for the other",
        play: |peer| Box::pin(survives(peer, b"\x00\x53\x79\x45\x00\x53\x77\x40")),
    },
    Case {
        name: "m_004_m_011_sections_in_the_wrong_order_harm_one_delivery_alone",
        rows: &["M-004", "M-011"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "a message whose body comes before its header, and on another link an ordinary one",
        expected: "rejected or detach for the first, and an outcome for the other",
        play: |peer| Box::pin(survives(peer, b"\x00\x53\x77\x40\x00\x53\x70\x45")),
    },
    Case {
        name: "t_044_m_011_a_length_beyond_the_message_harms_one_delivery_alone",
        rows: &["T-044", "M-011"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "data of 2^32 - 1 octets that ends after one, and on another link an ordinary message",
        expected: "rejected or detach for the first, and an outcome for the other",
        play: |peer| Box::pin(survives(peer, b"\x00\x53\x75\xb0\xff\xff\xff\xff\x00")),
    },
    Case {
        name: "d_031_m_005_a_transfer_without_a_payload_harms_one_delivery_alone",
        rows: &["D-031", "M-005"],
        side: Side::Listener,
        level: Level::Should,
        needs: &[],
        stimulus: "a transfer without an octet of payload, and on another link an ordinary one",
        expected: "an outcome or detach for the first, and an outcome for the other",
        play: |peer| {
            Box::pin(async move {
                let _ = unreadable(peer, b"").await?;
                serves_others(peer).await
            })
        },
    },
];

/// All properties but the user-id, which a listener may hold against the login.
fn unowned(id: MessageId) -> Properties {
    Properties {
        user_id: None,
        ..properties(id)
    }
}

fn annotations() -> Annotations {
    Annotations::new().with(Symbol::from_static("x-opt-conform"), 7u32)
}

/// What is in the first map is in the second.
fn expect_in(wanted: &Annotations, came: &Annotations) -> Result<(), Stop> {
    let lost = wanted
        .iter()
        .find(|entry| !came.iter().any(|other| other == *entry));
    match lost {
        None => Ok(()),
        Some(entry) => Err(Stop::fail(format!("{entry:?} is not in {came:?}"))),
    }
}

/// Puts messages into the node one by one, and each comes out with the same bare message.
async fn come_back(peer: &mut Dialogue, messages: Vec<Bytes>) -> Result<(), Stop> {
    stock(peer, &messages).await?;
    receive(peer, "back", frames::WINDOW).await?;
    for message in messages {
        let (_, back) = peer.accept_delivery().await?;
        let (wanted, came) = (bare(message)?, bare(back)?);
        if wanted != came {
            return Err(Stop::fail(format!("{came:02x?} in place of {wanted:02x?}")));
        }
    }
    Ok(())
}

/// Puts one message into the node, and takes it out again.
async fn one_back(peer: &mut Dialogue, message: Bytes) -> Result<Bytes, Stop> {
    stock(peer, &[message]).await?;
    receive(peer, "back", 1).await?;
    Ok(peer.accept_delivery().await?.1)
}

/// From the properties to the body, which nobody on the way may change.
fn bare(message: Bytes) -> Result<Bytes, Stop> {
    match Sections::scan(message) {
        Ok(sections) => Ok(sections.bare_message()),
        Err(error) => Err(Stop::fail(format!(
            "a message that does not decode: {error}"
        ))),
    }
}

/// Sends something that is no message: it is not accepted, and others are served.
async fn survives(peer: &mut Dialogue, message: &[u8]) -> Result<(), Stop> {
    if let Some(Outcome::Accepted) = unreadable(peer, message).await? {
        // So that the next case does not get it.
        let _ = peer.empty_node().await;
        return Err(Stop::Remark("what is no message is accepted".to_owned()));
    }
    serves_others(peer).await
}

/// The outcome of something that is no message; none if its link is detached.
async fn unreadable(peer: &mut Dialogue, message: &[u8]) -> Result<Option<Outcome>, Stop> {
    peer.open_session().await?;
    let link = peer.attach_sender("link").await?;
    let id = post(peer, &link, message).await?;
    match peer.expect_outcome_of(id).await {
        Ok(outcome) => Ok(Some(outcome)),
        Err(Stop::Fail(came)) if came.starts_with("detach") => {
            peer.send(frames::detach(&link)).await?;
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

async fn serves_others(peer: &mut Dialogue) -> Result<(), Stop> {
    let link = peer.attach_sender("next").await?;
    let id = post(peer, &link, &frames::text("a")).await?;
    peer.expect_accepted(id).await
}
