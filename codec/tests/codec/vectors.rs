//! Every published vector decodes to what `tests/conformance/vectors/README.md` says, and what it is encoded
//! to decodes to the same.

use amqp10_codec::*;
use bytes::Bytes;

use crate::support::{conformance, encode};

fn values_in(path: &str) -> Vec<Value> {
    let octets = std::fs::read(conformance("vectors").join(path)).unwrap();
    let mut reader = Reader::new(octets.into());
    let mut values = Vec::new();
    while reader.remaining() > 0 {
        values.push(Value::decode(&mut reader).unwrap_or_else(|error| panic!("{path}: {error}")));
    }
    values
}

fn check(path: &str, expected: Vec<Value>) {
    let values = values_in(path);
    assert_eq!(values, expected, "{path}");
    for value in values {
        assert_eq!(decode_value(encode(&value)).unwrap(), value, "{path}");
    }
}

fn symbol(text: &'static str) -> Value {
    Symbol::from_static(text).into()
}

fn binary(octets: &'static [u8]) -> Value {
    Bytes::from_static(octets).into()
}

fn values<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Vec<Value> {
    items.into_iter().map(Into::into).collect()
}

#[test]
fn proton_primitives() {
    check("qpid-proton-interop/null.amqp", vec![Value::Null]);
    check(
        "qpid-proton-interop/primitives.amqp",
        vec![
            true.into(),
            false.into(),
            42u8.into(),
            42u16.into(),
            (-42i16).into(),
            12345u32.into(),
            (-12345i32).into(),
            12345u64.into(),
            (-12345i64).into(),
            0.125f32.into(),
            0.125f64.into(),
        ],
    );
    check(
        "qpid-proton-interop/strings.amqp",
        vec![
            binary(b"abc\0defg"),
            "abcdefg".into(),
            symbol("abcdefg"),
            binary(b""),
            "".into(),
            symbol(""),
        ],
    );
}

#[test]
fn proton_compounds() {
    check(
        "qpid-proton-interop/lists.amqp",
        vec![
            Value::List(vec![32i32.into(), "foo".into(), true.into()]),
            Value::List(vec![]),
        ],
    );
    check(
        "qpid-proton-interop/maps.amqp",
        vec![
            Map::new()
                .with("three", 3i32)
                .with("two", 2i32)
                .with("one", 1i32)
                .into(),
            Map::new()
                .with(1i32, "one")
                .with(2i32, "two")
                .with(3i32, "three")
                .into(),
            Map::new().into(),
        ],
    );
    check(
        "qpid-proton-interop/arrays.amqp",
        vec![
            (0..100i32).collect::<Array>().into(),
            ["a", "b", "c"].into_iter().collect::<Array>().into(),
            Array::new().into(),
        ],
    );
    check(
        "qpid-proton-interop/described.amqp",
        vec![
            Value::described(symbol("foo-descriptor"), "foo-value"),
            Value::described(12i32, 13i32),
        ],
    );
    let elements: Vec<Value> = (0..10i32)
        .map(|n| Value::described(symbol("int-array"), n))
        .collect();
    check(
        "qpid-proton-interop/described_array.amqp",
        vec![Array::try_from(elements).unwrap().into()],
    );
}

#[test]
fn proton_message() {
    let octets = std::fs::read(conformance("vectors/qpid-proton-interop/message.amqp")).unwrap();
    let message = Message::decode(octets.into()).unwrap();
    let properties = Properties {
        absolute_expiry_time: Some(Timestamp(0)),
        creation_time: Some(Timestamp(0)),
        group_sequence: Some(0),
        ..Properties::default()
    };
    let expected = Message::value(Bytes::from_static(b"\xa1\x05hello"))
        .with_header(Header::default())
        .with_properties(properties);
    assert_eq!(message, expected);
    assert_eq!(
        Message::decode(message.to_bytes().unwrap()).unwrap(),
        expected
    );
}

#[test]
fn red_hat_numbers() {
    check("libamqp-redhat/null.dat", vec![Value::Null]);
    check("libamqp-redhat/boolean.dat", values([true, false]));
    check("libamqp-redhat/ubyte.dat", values([0, 1, 3, 42, u8::MAX]));
    check("libamqp-redhat/ushort.dat", values([0, 1, 3, 42, u16::MAX]));
    check("libamqp-redhat/uint.dat", values([0, 1, 3, 42, u32::MAX]));
    check("libamqp-redhat/ulong.dat", values([0, 1, 3, 42, u64::MAX]));
    check(
        "libamqp-redhat/byte.dat",
        values([0, 1, 3, 42, i8::MAX, -1, -3, -42, i8::MIN]),
    );
    check(
        "libamqp-redhat/short.dat",
        values([0, 1, 3, 42, i16::MAX, -1, -3, -42, i16::MIN]),
    );
    check(
        "libamqp-redhat/int.dat",
        values([0, 1, 3, 42, i32::MAX, -1, -3, -42, i32::MIN]),
    );
    check(
        "libamqp-redhat/long.dat",
        values([0, 1, 3, 42, i64::MAX, -1, -3, -42, i64::MIN]),
    );
    check(
        "libamqp-redhat/float.dat",
        vec![f32::from_bits(0x4049_0fd0).into()],
    );
    check(
        "libamqp-redhat/double.dat",
        vec![f64::from_bits(0x4009_21fb_5444_2eea).into()],
    );
}

#[test]
fn red_hat_others() {
    check("libamqp-redhat/char.dat", vec!['?'.into()]);
    check(
        "libamqp-redhat/timestamp.dat",
        values([Timestamp(1_291_654_800_000), Timestamp(-1_864_105_200_000)]),
    );
    let uuid = 0xf275_ea5e_0c57_4ad7_b11a_b20c_563d_3b71u128;
    check(
        "libamqp-redhat/uuid.dat",
        vec![Uuid(uuid.to_be_bytes()).into()],
    );
    check(
        "libamqp-redhat/binary.dat",
        vec![binary(b"\xde\xad\xbe\xef"), binary(b"\xca\xfe\xba\xbe")],
    );
    check(
        "libamqp-redhat/string.dat",
        vec!["The quick brown fox jumped over the lazy cow.".into()],
    );
    check("libamqp-redhat/symbol.dat", vec![symbol("connectathon")]);
    let pi = f64::from_bits(0x4009_21fb_5444_2eea);
    let list: Value = vec![
        1i64.into(),
        "two".into(),
        pi.into(),
        Value::Null,
        false.into(),
    ]
    .into();
    check("libamqp-redhat/list.dat", vec![list.clone()]);
    let map = Map::new()
        .with("list:", list)
        .with(Value::Null, true)
        .with("pi", pi)
        .with("two", 2i64)
        .with("one", 1i64);
    check("libamqp-redhat/map.dat", vec![map.into()]);
}

#[test]
fn every_vector_file_is_tested() {
    let tests = include_str!("vectors.rs");
    for folder in ["qpid-proton-interop", "libamqp-redhat"] {
        for entry in std::fs::read_dir(conformance("vectors").join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(
                tests.contains(&format!("{folder}/{name}")),
                "{folder}/{name}"
            );
        }
    }
}
