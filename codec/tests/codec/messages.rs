use amqp10_codec::*;
use bytes::Bytes;

use crate::support::{encode, hex, to_hex};

fn message(digits: &str) -> Message {
    Message::decode(hex(digits)).unwrap_or_else(|error| panic!("{digits}: {error}"))
}

fn message_error(digits: &str) -> DecodeErrorKind {
    match Message::decode(hex(digits)) {
        Ok(message) => panic!("{digits} decodes to {message:?}"),
        Err(error) => error.kind,
    }
}

fn rich_message() -> Message {
    let properties = Properties {
        message_id: Some("id-1".into()),
        user_id: Some(Bytes::from_static(b"me")),
        to: Some("to".into()),
        subject: Some("subject".into()),
        reply_to: Some("reply-to".into()),
        correlation_id: Some(42.into()),
        content_type: Some(Symbol::from_static("text/plain")),
        content_encoding: Some(Symbol::from_static("gzip")),
        absolute_expiry_time: Some(Timestamp(1)),
        creation_time: Some(Timestamp(-1)),
        group_id: Some("group".into()),
        group_sequence: Some(u32::MAX),
        reply_to_group_id: Some("reply-group".into()),
    };
    let x_opt = |name| {
        Annotations::new()
            .with(Symbol::from_static(name), 1u8)
            .with(7u64, "seven")
    };
    let header = Header {
        durable: true,
        priority: 9,
        ttl: Some(1),
        first_acquirer: true,
        delivery_count: 3,
    };
    Message::data(vec![1, 2, 3])
        .with_header(header)
        .with_delivery_annotations(x_opt("x-opt-d"))
        .with_message_annotations(x_opt("x-opt-m"))
        .with_properties(properties)
        .with_application_property("key", "value")
        .with_application_property("none", Value::Null)
        .with_footer(x_opt("x-opt-f"))
}

#[test]
fn m_001_m_002_n_009_all_sections_there_and_back() {
    let rich = rich_message();
    assert_eq!(Message::decode(rich.to_bytes().unwrap()).unwrap(), rich);
}

#[test]
fn m_001_m_004_order_and_repetition() {
    for digits in [
        "00537045 00537045 00537345",
        "005375a000 005370 45",
        "005375a000 00537345",
        "00537345 00537245 005375a000",
        "005378c10100 005375a000",
        "005375a000 005378c10100 005378c10100",
        "005374c10100 005373 45",
    ] {
        assert!(
            matches!(
                message_error(digits),
                DecodeErrorKind::MisplacedSection { .. }
            ),
            "{digits}"
        );
    }
}

#[test]
fn m_003_b_003_b_005_bodies_of_one_kind() {
    assert_eq!(
        message("005375a00161").body,
        Body::Data(Bytes::from_static(b"a"))
    );
    let two = Body::DataSections(vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")]);
    assert_eq!(message("005375a00161005375a00162").body, two);
    let sequences = Body::Sequences(vec![vec![Value::Null], vec![]]);
    assert_eq!(message("005376c0020140 00537645").body, sequences);
    for mixture in [
        "005375a000 00537740",
        "00537740 00537740",
        "00537645 005375a000",
        "00537740 00537645",
    ] {
        assert!(
            matches!(
                message_error(mixture),
                DecodeErrorKind::MisplacedSection { .. }
            ),
            "{mixture}"
        );
    }
}

#[test]
fn m_005_no_body() {
    let headers_only = message("005370c0020141");
    assert_eq!(headers_only.body, Body::Empty);
    assert!(headers_only.header.unwrap().durable);
    assert_eq!(message("").body, Body::Empty);
}

#[test]
fn m_006_the_bare_message_stays_as_it_came() {
    // Wide encodings that this writer would not choose.
    let bare = "0080000000000000007345 005374d10000000400000000 005375b00000000161";
    let sections = Sections::scan(hex(&format!("00537045 {bare} 005378c10100"))).unwrap();
    assert_eq!(sections.bare_message(), hex(bare));
    assert_eq!(sections.properties().unwrap(), Some(Properties::default()));
    assert_eq!(
        sections.body().unwrap(),
        Body::Data(Bytes::from_static(b"a"))
    );
    assert_eq!(sections.footer().unwrap(), Some(Annotations::new()));
    assert_eq!(sections.message_annotations().unwrap(), None);
    assert_eq!(
        Sections::scan(hex("00537045")).unwrap().bare_message(),
        Bytes::new()
    );
}

#[test]
fn m_008_unknown_sections() {
    for digits in [
        "00537945",
        "00531045",
        "0080000000010000007045",
        "00a3017845",
        "45",
    ] {
        assert_ne!(
            message_error(digits),
            DecodeErrorKind::UnexpectedEnd,
            "{digits}"
        );
    }
    assert_eq!(
        message_error("00537945"),
        DecodeErrorKind::UnexpectedDescriptor {
            expected: "a message section"
        }
    );
}

#[test]
fn m_009_descriptors_in_other_forms() {
    assert_eq!(
        message("0080000000000000007045").header,
        Some(Header::default())
    );
    let symbolic = to_hex(b"amqp:header:list");
    assert_eq!(
        message(&format!("00a310{symbolic}45")).header,
        Some(Header::default())
    );
    let symbolic = to_hex(b"amqp:data:binary");
    assert_eq!(
        message(&format!("00b300000010{symbolic}a00161")).body_len(),
        1
    );
}

#[test]
fn h_001_defaults_of_the_header() {
    let header = Header {
        durable: false,
        priority: 4,
        ttl: None,
        first_acquirer: false,
        delivery_count: 0,
    };
    assert_eq!(Header::default(), header);
    assert_eq!(message("005370c0060540404040 40").header, Some(header));
    assert_eq!(to_hex(&encode(&header)), "00537045");
}

#[test]
fn t_060_t_061_wrong_fields_of_the_header() {
    assert_eq!(
        message_error("005370c00b06404040404043"),
        DecodeErrorKind::UnexpectedEnd
    );
    assert_eq!(
        message_error("005370c00706404040404043"),
        DecodeErrorKind::TooManyFields {
            composite: "header"
        }
    );
    assert!(message("005370c00706404040404040").header.is_some());
    let wrong = DecodeErrorKind::WrongFieldType {
        composite: "header",
        field: "durable",
        expected: code::Type::Boolean,
        found: 0xa1,
    };
    assert_eq!(message_error("005370c00401a10178"), wrong);
}

#[test]
fn n_001_n_002_n_003_keys_of_annotations() {
    for section in ["71", "72", "78"] {
        message(&format!("0053{section}c10502a3017840"));
        for key in ["40", "a10178", "5201"] {
            let map = format!("{key}40");
            let digits = format!("0053{section}c1{:02x}02{map}", map.len() / 2 + 1);
            let kind = message_error(&digits);
            assert!(
                matches!(kind, DecodeErrorKind::UnexpectedType { .. }),
                "{digits}: {kind:?}"
            );
        }
    }
    let annotations = message("005372c10804a30178405307 40")
        .message_annotations
        .unwrap();
    assert_eq!(
        annotations.iter().nth(1).unwrap().0,
        AnnotationKey::Ulong(7)
    );
}

#[test]
fn q_002_message_ids() {
    let id = |digits: &str| {
        let digits = format!("005373c0{:02x}01{digits}", digits.len() / 2 + 1);
        message(&digits).properties.unwrap().message_id.unwrap()
    };
    assert_eq!(id("44"), MessageId::Ulong(0));
    assert_eq!(id("80ffffffffffffffff"), MessageId::Ulong(u64::MAX));
    assert_eq!(
        id(&format!("98{}", "07".repeat(16))),
        MessageId::Uuid(Uuid([7; 16]))
    );
    assert_eq!(id("a001ff"), MessageId::Binary(Bytes::from_static(&[0xff])));
    assert_eq!(id("a10161"), MessageId::String("a".into()));
    let refused = message_error("005373c003015401");
    assert!(matches!(
        refused,
        DecodeErrorKind::InvalidField {
            composite: "properties",
            field: "message-id",
            ..
        }
    ));
}

#[test]
fn q_010_subject_alone() {
    let properties = Properties {
        subject: Some("hello".into()),
        ..Properties::default()
    };
    assert_eq!(
        to_hex(&encode(&properties)),
        "005373c00b04404040a10568656c6c6f"
    );
    assert_eq!(
        message("005373c00b04404040a10568656c6c6f").properties,
        Some(properties)
    );
}

#[test]
fn b_001_b_002_values_of_application_properties() {
    let described = message("005374c10b02a1016100a30164a10162")
        .application_properties
        .unwrap();
    assert_eq!(
        described.get("a"),
        Some(&Value::described(Symbol::from_static("d"), "b"))
    );
    assert_eq!(
        message("005374c10502a1016140")
            .application_properties
            .unwrap()
            .get("a"),
        Some(&Value::Null)
    );
    for value in ["45", "c10100", "e0020040", "00530145"] {
        let map = format!("a10161{value}");
        let digits = format!("005374c1{:02x}02{map}", map.len() / 2 + 1);
        assert!(
            matches!(message_error(&digits), DecodeErrorKind::InvalidValue { .. }),
            "{digits}"
        );
    }
    assert!(matches!(
        message_error("005374c10402530140"),
        DecodeErrorKind::UnexpectedType { .. }
    ));
}

#[test]
fn b_004_h_008_empty_bodies() {
    assert_eq!(to_hex(&Message::default().to_bytes().unwrap()), "00537740");
    assert_eq!(
        to_hex(&Message::data(Bytes::new()).to_bytes().unwrap()),
        "005375a000"
    );
    assert_eq!(
        to_hex(
            &Message::from(Body::DataSections(vec![]))
                .to_bytes()
                .unwrap()
        ),
        "005375a000"
    );
    assert_eq!(
        to_hex(&Message::from(Body::Sequences(vec![])).to_bytes().unwrap()),
        "00537645"
    );
    assert_eq!(message("00537740").body, Body::Value(Value::Null));
}

#[test]
fn b_006_any_value_can_be_a_body() {
    for value in [
        Value::described(Symbol::from_static("d"), vec![Value::Null]),
        Map::new().with("a", 1u8).into(),
        [1u32, 2].into_iter().collect::<Array>().into(),
        "text".into(),
    ] {
        let message = Message::value(value.clone());
        assert_eq!(
            Message::decode(message.to_bytes().unwrap()).unwrap().body,
            Body::Value(value)
        );
    }
}

#[test]
fn body_octets_that_look_like_sections() {
    let body = hex("00537045005375a000");
    let message = Message::data(body.clone());
    assert_eq!(
        Message::decode(message.to_bytes().unwrap()).unwrap().body,
        Body::Data(body)
    );
}

#[test]
fn x_008_a_declare_is_a_message() {
    let declare = Value::described(code::descriptor::DECLARE, Vec::<Value>::new());
    assert_eq!(
        to_hex(&Message::value(declare).to_bytes().unwrap()),
        "00537700533145"
    );
    assert_eq!(to_hex(&encode(&Declare::default())), "00533145");
}

#[test]
fn sections_decode_only_what_is_asked_for() {
    // The properties are broken, which does not matter to the body.
    let sections = Sections::scan(hex("005373c003015401 005375a00161")).unwrap();
    assert!(sections.properties().is_err());
    assert_eq!(
        sections.body().unwrap().as_data().unwrap(),
        &Bytes::from_static(b"a")
    );
    assert_eq!(sections.message().unwrap_err().offset, 6);
}

#[test]
fn conversions() {
    assert_eq!(
        Message::from("text").body.as_value(),
        Some(&Value::from("text"))
    );
    assert_eq!(
        Message::from(vec![1u8]).body.as_data(),
        Some(&Bytes::from_static(&[1]))
    );
    assert_eq!(Message::from(vec![1u8, 2]).body_len(), 2);
    assert_eq!(Message::from("text").body_len(), 0);
}
