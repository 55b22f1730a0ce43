//! The serde bridge: what holds for all values and all inputs.

use std::collections::BTreeMap;

use amqp10_codec::serde::{AsArray, AsComposite, AsDescribed, AsList, Describe, Descriptor};
use amqp10_codec::serde::{from_bytes, from_slice, from_value, to_bytes, to_value};
use amqp10_codec::{
    Annotations, ApplicationProperties, Array, Dec32, Dec64, Dec128, Fields, Map, Symbol,
    Timestamp, Uuid, Value, decode_value, encode_value,
};
use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

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
        any::<u32>().prop_map(|bits| Value::from(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| Value::from(f64::from_bits(bits))),
        any::<char>().prop_map(Value::from),
        any::<[u8; 4]>().prop_map(|bits| Value::from(Dec32(bits))),
        any::<[u8; 8]>().prop_map(|bits| Value::from(Dec64(bits))),
        any::<[u8; 16]>().prop_map(|bits| Value::from(Dec128(bits))),
        any::<[u8; 16]>().prop_map(|octets| Value::from(Uuid(octets))),
        any::<i64>().prop_map(|millis| Value::from(Timestamp(millis))),
        vec(any::<u8>(), 0..300).prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
        "[ -~]{0,40}".prop_map(|text| Value::from(Symbol::try_from(text).unwrap())),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((inner.clone(), inner.clone()), 0..6)
                .prop_map(|entries| Value::from(entries.into_iter().collect::<Map>())),
            (inner.clone(), inner.clone())
                .prop_map(|(descriptor, value)| Value::described(descriptor, value)),
            (inner.clone(), 0..4usize).prop_map(|(element, count)| Value::from(
                Array::try_from(vec![element; count]).unwrap()
            )),
            vec(any::<u32>(), 0..6)
                .prop_map(|numbers| Value::from(numbers.into_iter().collect::<Array>())),
            vec((any::<u16>(), "[a-c]{0,2}"), 0..4).prop_map(|pairs| {
                let composite = |(number, text): (u16, String)| {
                    Value::described(
                        7u64,
                        Value::List(vec![Value::from(number), Value::from(text)]),
                    )
                };
                Value::from(
                    Array::try_from(pairs.into_iter().map(composite).collect::<Vec<_>>()).unwrap(),
                )
            }),
        ]
    })
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Order {
    id: u64,
    #[serde(with = "amqp10_codec::serde::symbol")]
    kind: String,
    placed: Option<Timestamp>,
    price: f64,
    letter: char,
    payload: ByteBuf,
    lines: Vec<Line>,
    sizes: AsArray<Vec<u32>>,
    tags: BTreeMap<i16, Option<String>>,
    state: State,
    extra: Value,
    note: Option<AsList<Note>>,
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Line(String, AsComposite<Note>);

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Note {
    a: Option<u8>,
    b: i64,
    c: Option<String>,
}

impl Describe for Note {
    const DESCRIPTOR: Descriptor = Descriptor::symbol("example:note:list");
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
enum State {
    New,
    Paid(i32),
    Sent { at: Timestamp, to: (u8, bool) },
    Lost(u8, Option<char>),
}

#[derive(Deserialize, Debug)]
#[serde(untagged)]
#[allow(dead_code)]
enum Anything<'a> {
    Note(Note),
    #[serde(borrow)]
    Texts(Vec<&'a str>),
    State(State),
    Composite(AsComposite<Note>),
    Value(Value),
}

fn note() -> impl Strategy<Value = Note> {
    (
        any::<Option<u8>>(),
        any::<i64>(),
        proptest::option::of("[a-z]{0,9}"),
    )
        .prop_map(|(a, b, c)| Note { a, b, c })
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::New),
        any::<i32>().prop_map(State::Paid),
        (any::<i64>(), any::<(u8, bool)>()).prop_map(|(at, to)| State::Sent {
            at: Timestamp(at),
            to
        }),
        (any::<u8>(), any::<Option<char>>()).prop_map(|(a, b)| State::Lost(a, b)),
    ]
}

fn order() -> impl Strategy<Value = Order> {
    let line = ("\\PC{0,9}", note()).prop_map(|(name, note)| Line(name, AsDescribed(AsList(note))));
    let first = (
        any::<u64>(),
        "[ -~]{0,300}",
        any::<Option<i64>>(),
        any::<i32>(),
        any::<char>(),
    );
    let second = (
        vec(any::<u8>(), 0..300),
        vec(line, 0..5),
        vec(any::<u32>(), 0..5),
    );
    let third = btree_map(any::<i16>(), proptest::option::of("[a-z]{0,9}"), 0..5);
    (
        first,
        second,
        third,
        state(),
        value(),
        proptest::option::of(note()),
    )
        .prop_map(
            |(
                (id, kind, placed, price, letter),
                (payload, lines, sizes),
                tags,
                state,
                extra,
                note,
            )| Order {
                id,
                kind,
                placed: placed.map(Timestamp),
                price: price.into(),
                letter,
                payload: ByteBuf::from(payload),
                lines,
                sizes: AsArray(sizes),
                tags,
                state,
                extra,
                note: note.map(AsList),
            },
        )
}

/// Reads the octets as values of many types; only a panic is a failure.
fn read_as_everything(input: &Bytes) {
    let _ = from_bytes::<Order>(input);
    let _ = from_bytes::<AsList<Order>>(input);
    let _ = from_bytes::<Anything>(input);
    let _ = from_bytes::<State>(input);
    let _ = from_bytes::<AsComposite<Note>>(input);
    let _ = from_bytes::<AsArray<Vec<AsComposite<Note>>>>(input);
    let _ = from_bytes::<Vec<(u8, Option<&str>)>>(input);
    let _ = from_bytes::<BTreeMap<i64, IgnoredAny>>(input);
    let _ = from_bytes::<IgnoredAny>(input);
    let _ = from_bytes::<(Symbol, Timestamp, Uuid, Dec32)>(input);
    let _ = from_bytes::<(Fields, Annotations, ApplicationProperties)>(input);
    let _ = from_slice::<&[u8]>(input);
}

/// The bridge and the codec agree on which octets are a value, and on which one.
fn reads_like_the_codec(input: &Bytes) {
    match (decode_value(input.clone()), from_bytes::<Value>(input)) {
        (Ok(decoded), Ok(bridged)) => assert_eq!(decoded, bridged),
        (Err(_), Err(_)) => {}
        (decoded, bridged) => {
            panic!("the codec says {decoded:?}, the bridge {bridged:?} of {input:x?}")
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn t_072_values_are_written_and_read_as_by_the_codec(value in value()) {
        let encoded = encode_value(&value).unwrap();
        prop_assert_eq!(to_bytes(&value).unwrap(), encoded.clone());
        prop_assert_eq!(from_bytes::<Value>(&encoded).unwrap(), value.clone());
        prop_assert_eq!(to_value(&value).unwrap(), value.clone());
        prop_assert_eq!(from_value::<Value>(&value).unwrap(), value);
    }

    #[test]
    fn t_072_own_types_come_back(order in order()) {
        let as_map = to_bytes(&order).unwrap();
        prop_assert_eq!(from_bytes::<Order>(&as_map).unwrap(), order.clone());
        prop_assert_eq!(decode_value(as_map).unwrap(), to_value(&order).unwrap());
        let as_list = to_bytes(&AsList(&order)).unwrap();
        prop_assert_eq!(from_slice::<AsList<Order>>(&as_list).unwrap().0, order);
    }

    #[test]
    fn any_octets_are_a_value_or_an_error(input in vec(any::<u8>(), 0..200)) {
        let input = Bytes::from(input);
        reads_like_the_codec(&input);
        read_as_everything(&input);
    }

    #[test]
    fn damaged_encodings_are_a_value_or_an_error(
        order in order(),
        as_list in any::<bool>(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let encoded = if as_list { to_bytes(&AsList(order)) } else { to_bytes(&order) };
        let mut octets = encoded.unwrap().to_vec();
        for (index, octet) in damage {
            let len = octets.len();
            octets[index.index(len)] = octet;
        }
        if let Some(cut) = cut {
            octets.truncate(cut.index(octets.len()));
        }
        let input = Bytes::from(octets);
        reads_like_the_codec(&input);
        read_as_everything(&input);
    }
}
