//! `decode(encode(x)) == x` for arbitrary values and messages (T-072).

use amqp10_codec::*;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use crate::support::{decode, encode, encode_full};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,30}",
        Just("\0".to_owned()),
        (240..300usize).prop_map(|length| "x".repeat(length))
    ]
}

fn symbol() -> impl Strategy<Value = Symbol> {
    "[ -~]{0,40}".prop_map(|text| Symbol::try_from(text).unwrap())
}

fn octets() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u8>().prop_map(Value::from),
        any::<u16>().prop_map(Value::from),
        prop_oneof![any::<u32>(), 0..300u32].prop_map(Value::from),
        prop_oneof![any::<u64>(), 0..300u64].prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        prop_oneof![any::<i32>(), -200..200i32].prop_map(Value::from),
        prop_oneof![any::<i64>(), -200..200i64].prop_map(Value::from),
        any::<u32>().prop_map(|bits| Value::Float(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| Value::Double(f64::from_bits(bits))),
        any::<[u8; 4]>().prop_map(|bits| Dec32(bits).into()),
        any::<[u8; 8]>().prop_map(|bits| Dec64(bits).into()),
        any::<[u8; 16]>().prop_map(|bits| Dec128(bits).into()),
        any::<char>().prop_map(Value::from),
        any::<i64>().prop_map(|millis| Timestamp(millis).into()),
        any::<[u8; 16]>().prop_map(|octets| Uuid(octets).into()),
        octets().prop_map(Value::from),
        text().prop_map(Value::from),
        symbol().prop_map(Value::from),
    ]
}

/// Values that could follow the constructor of `model`.
fn like(model: &Value, others: Vec<Value>) -> Vec<Value> {
    let fits = |other: &Value| Array::try_from(vec![model.clone(), other.clone()]).is_ok();
    others.into_iter().filter(fits).collect()
}

fn array(elements: impl Strategy<Value = Value> + Clone + 'static) -> impl Strategy<Value = Value> {
    (vec(elements, 0..8), of(scalar())).prop_map(|(elements, descriptor)| {
        let mut elements = match elements.first().cloned() {
            Some(first) => like(&first, elements),
            None => elements,
        };
        if let Some(descriptor) = descriptor {
            elements = elements
                .into_iter()
                .map(|value| Value::described(descriptor.clone(), value))
                .collect();
        }
        Array::try_from(elements).unwrap().into()
    })
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::List),
            vec((inner.clone(), inner.clone()), 0..8)
                .prop_map(|entries| Value::Map(entries.into_iter().collect())),
            (inner.clone(), inner.clone())
                .prop_map(|(descriptor, value)| Value::described(descriptor, value)),
            array(inner.boxed()),
        ]
    })
}

fn annotations() -> impl Strategy<Value = Annotations> {
    let key = prop_oneof![
        symbol().prop_map(AnnotationKey::from),
        any::<u64>().prop_map(AnnotationKey::from)
    ];
    vec((key, value()), 0..4).prop_map(|entries| entries.into_iter().collect())
}

fn message_id() -> impl Strategy<Value = MessageId> {
    prop_oneof![
        any::<u64>().prop_map(MessageId::from),
        any::<[u8; 16]>().prop_map(|octets| Uuid(octets).into()),
        octets().prop_map(MessageId::from),
        text().prop_map(MessageId::from),
    ]
}

fn properties() -> impl Strategy<Value = Properties> {
    let texts = (of(text()), of(text()), of(text()), of(text()), of(text()));
    let others = (
        of(message_id()),
        of(message_id()),
        of(octets()),
        of(symbol()),
        of(any::<i64>()),
        of(any::<u32>()),
    );
    (texts, others).prop_map(
        |(
            (to, subject, reply_to, group, reply_group),
            (id, correlation, user, kind, time, seq),
        )| {
            Properties {
                message_id: id,
                user_id: user,
                to: to.map(Str::from),
                subject: subject.map(Str::from),
                reply_to: reply_to.map(Str::from),
                correlation_id: correlation,
                content_type: kind.clone(),
                content_encoding: kind,
                absolute_expiry_time: time.map(Timestamp),
                creation_time: time.map(Timestamp),
                group_id: group.map(Str::from),
                group_sequence: seq,
                reply_to_group_id: reply_group.map(Str::from),
            }
        },
    )
}

fn header() -> impl Strategy<Value = Header> {
    (
        any::<bool>(),
        any::<u8>(),
        of(any::<u32>()),
        any::<bool>(),
        any::<u32>(),
    )
        .prop_map(
            |(durable, priority, ttl, first_acquirer, delivery_count)| Header {
                durable,
                priority,
                ttl,
                first_acquirer,
                delivery_count,
            },
        )
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        octets().prop_map(Body::Data),
        vec(octets(), 2..4).prop_map(Body::DataSections),
        vec(vec(value(), 0..4), 1..4).prop_map(Body::Sequences),
        value().prop_map(Body::Value),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let application_properties = vec((text(), scalar()), 0..4);
    (
        of(header()),
        of(annotations()),
        of(annotations()),
        of(properties()),
        of(application_properties),
        body(),
        of(annotations()),
    )
        .prop_map(
            |(header, delivery, annotations, properties, application, body, footer)| Message {
                header,
                delivery_annotations: delivery,
                message_annotations: annotations,
                properties,
                application_properties: application.map(|entries| entries.into_iter().collect()),
                body,
                footer,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn t_072_values(value in value()) {
        let octets = encode(&value);
        prop_assert_eq!(decode_value(octets.clone()).unwrap(), value);
        let mut reader = Reader::new(octets);
        reader.skip_value().unwrap();
        prop_assert_eq!(reader.remaining(), 0);
    }

    #[test]
    fn t_051_unknown_descriptors(descriptor in value(), inside in value()) {
        let described = Value::described(descriptor, inside);
        prop_assert_eq!(decode_value(encode(&described)).unwrap(), described);
    }

    #[test]
    fn t_044_truncated_values_are_refused(value in value(), cut in any::<prop::sample::Index>()) {
        let octets = encode(&value);
        prop_assert!(decode_value(octets.slice(..cut.index(octets.len()))).is_err());
    }

    #[test]
    fn t_072_messages(message in message()) {
        let octets = message.to_bytes().unwrap();
        let sections = Sections::scan(octets.clone()).unwrap();
        prop_assert_eq!(&sections.properties().unwrap(), &message.properties);
        prop_assert_eq!(&sections.body().unwrap(), &message.body);
        prop_assert_eq!(Message::decode(octets).unwrap(), message);
    }

    #[test]
    fn t_072_sources_and_errors(fields in vec((symbol(), value()), 0..4), address in of(text()), names in vec(symbol(), 0..4)) {
        let source = Source {
            address: address.map(Str::from),
            filter: fields.clone().into_iter().collect(),
            dynamic_node_properties: fields.into_iter().collect(),
            outcomes: names.clone(),
            capabilities: names,
            ..Source::default()
        };
        prop_assert_eq!(&decode::<Source>(encode(&source)).unwrap(), &source);
        prop_assert_eq!(&decode::<Source>(encode_full(&source)).unwrap(), &source);
    }

    #[test]
    fn arbitrary_octets_do_not_panic(octets in vec(any::<u8>(), 0..200)) {
        let octets = Bytes::from(octets);
        let _ = decode_value(octets.clone());
        let _ = Message::decode(octets.clone());
        let _ = decode::<Performative>(octets);
    }

    #[test]
    fn what_decodes_encodes_to_the_same_value(octets in vec(prop::sample::select(CODES), 0..40)) {
        let mut reader = Reader::new(octets.into());
        if let Ok(value) = Value::decode(&mut reader) {
            prop_assert_eq!(decode_value(encode(&value)).unwrap(), value);
        }
    }
}

/// Octets that often make a value.
const CODES: &[u8] = &[
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0x0a, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x50,
    0x52, 0x53, 0x54, 0x56, 0xa0, 0xa1, 0xa3, 0xc0, 0xc1, 0xe0,
];
