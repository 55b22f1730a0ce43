//! The serde bridge: what is easily got wrong, and what is refused.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Debug, Display};

use crate::octets;
use amqp10_codec::serde::{AsArray, AsComposite, AsDescribed, AsList, Describe, Descriptor};
use amqp10_codec::serde::{from_bytes, from_slice, to_bytes, to_value, to_writer};
use amqp10_codec::{
    AnnotationKey, Array, DecodeError, DecodeErrorKind, EncodeError, Fields, Str, Symbol,
    Timestamp, Uuid, Value, Writer, encode_value,
};
use bytes::{Bytes, BytesMut};
use serde::de::{DeserializeOwned, IgnoredAny, IntoDeserializer};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes as ByteSlice};

#[track_caller]
fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
    let encoded = to_bytes(&value).unwrap();
    assert_eq!(
        from_bytes::<T>(&encoded).as_ref(),
        Ok(&value),
        "{encoded:x?}"
    );
}

#[track_caller]
fn refused<T: DeserializeOwned + Debug>(hex: &str) -> DecodeError {
    from_bytes::<T>(&octets(hex)).unwrap_err()
}

#[track_caller]
fn refused_with<T: DeserializeOwned + Debug>(hex: &str, offset: usize, message: &str) {
    let error = refused::<T>(hex);
    assert!(error.kind.to_string().contains(message), "{error}");
    assert_eq!(error.offset, offset, "{error}");
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Point {
    x: i32,
    y: i32,
}

impl Describe for Point {
    const DESCRIPTOR: Descriptor = Descriptor::symbol("example:point").or_code(9);
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(untagged)]
enum Untagged {
    Flag(bool),
    Small(u8),
    Moment(Timestamp),
    Float(f64),
    Text(String),
    Octets(ByteBuf),
    Point(Point),
    Composite(AsComposite<Point>),
    Many(Vec<Untagged>),
    Nothing,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(tag = "type")]
enum Internal {
    Unit,
    Struct {
        when: Timestamp,
        who: Uuid,
        what: Symbol,
        maybe: Option<u8>,
        keys: HashMap<String, u64>,
    },
    Newtype(Point),
    Untyped(BTreeMap<String, Value>),
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Unit,
    Newtype(Option<u8>),
    Tuple(u8, char),
    Struct { moment: Timestamp },
    Listed(AsList<Point>),
}

#[test]
fn untagged_enums() {
    round_trip(Untagged::Flag(true));
    round_trip(Untagged::Small(200));
    round_trip(Untagged::Float(1.5));
    round_trip(Untagged::Text("a".into()));
    round_trip(Untagged::Octets(ByteBuf::from([0xff])));
    round_trip(Untagged::Point(Point { x: 1, y: 2 }));
    round_trip(Untagged::Composite(AsDescribed(AsList(Point {
        x: 1,
        y: 2,
    }))));
    round_trip(Untagged::Many(vec![Untagged::Small(1), Untagged::Nothing]));
    round_trip(Untagged::Nothing);
    // A timestamp in serde's buffer is the number of its milliseconds.
    assert_eq!(
        from_bytes::<Untagged>(&to_bytes(&Timestamp(-5)).unwrap()),
        Ok(Untagged::Moment(Timestamp(-5)))
    );
    assert_eq!(
        from_bytes::<Untagged>(&octets("a30161")),
        Ok(Untagged::Text("a".into()))
    );
    refused_with::<Vec<Untagged>>("c0 07 02 41 73 00000061", 4, "did not match any variant");
}

#[test]
fn internally_tagged_enums() {
    round_trip(Internal::Unit);
    round_trip(Internal::Newtype(Point { x: 1, y: 2 }));
    round_trip(Internal::Struct {
        when: Timestamp(-1),
        who: Uuid([9; 16]),
        what: Symbol::from_static("a"),
        maybe: None,
        keys: HashMap::from([("k".into(), 1)]),
    });
    round_trip(Internal::Untyped(BTreeMap::from([
        ("k".into(), Value::from(1u16)),
        ("n".into(), Value::Null),
    ])));
    refused_with::<Internal>("c1 01 00", 0, "missing field `type`");
}

#[test]
fn adjacently_tagged_enums() {
    round_trip(Adjacent::Unit);
    round_trip(Adjacent::Newtype(None));
    round_trip(Adjacent::Newtype(Some(1)));
    round_trip(Adjacent::Tuple(1, 'x'));
    round_trip(Adjacent::Struct {
        moment: Timestamp(7),
    });
    round_trip(Adjacent::Listed(AsList(Point { x: 1, y: 2 })));
    // The content before the tag.
    assert_eq!(
        from_bytes::<Adjacent>(&octets(
            "c1 18 04 a10163 c0 08 02 5001 73 00000078 a10174 a1 05 5475706c65"
        )),
        Ok(Adjacent::Tuple(1, 'x'))
    );
}

#[test]
fn flattened_fields() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Envelope {
        id: u64,
        #[serde(flatten)]
        point: Point,
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
    }
    let envelope = || Envelope {
        id: 1,
        point: Point { x: 2, y: 3 },
        rest: BTreeMap::from([
            ("a".into(), Value::from("b")),
            ("n".into(), Value::List(vec![Value::Null])),
        ]),
    };
    round_trip(envelope());
    assert_eq!(
        to_bytes(&AsList(envelope())),
        Err(EncodeError::Unsuitable { form: "list" })
    );
}

#[test]
fn nested_options_lose_their_inner_none() {
    assert_eq!(to_bytes(&Some(None::<u8>)).unwrap(), octets("40"));
    assert_eq!(from_bytes::<Option<Option<u8>>>(&octets("40")), Ok(None));
    assert_eq!(
        from_bytes::<Option<Option<u8>>>(&octets("5001")),
        Ok(Some(Some(1)))
    );
    assert_eq!(from_bytes::<Option<()>>(&octets("40")), Ok(None));
    assert_eq!(from_bytes::<Option<Value>>(&octets("40")), Ok(None));
}

#[test]
fn numbers_of_128_bits_are_typed_errors() {
    assert_eq!(to_bytes(&1i128), Err(EncodeError::Unsupported("i128")));
    assert_eq!(to_bytes(&[1u128]), Err(EncodeError::Unsupported("u128")));
    assert_eq!(
        refused::<i128>("5001").kind,
        DecodeErrorKind::Unsupported("i128")
    );
    assert_eq!(
        refused::<(u8, u128)>("c0 05 02 5001 5001"),
        DecodeError {
            offset: 5,
            kind: DecodeErrorKind::Unsupported("u128")
        }
    );
}

#[test]
fn integers_out_of_range() {
    refused_with::<u8>("600100", 0, "invalid value: integer `256`, expected u8");
    refused_with::<u32>("51ff", 0, "invalid value: integer `-1`, expected u32");
    refused_with::<i64>("80ffffffffffffffff", 0, "expected i64");
    refused_with::<Vec<i8>>("c0 05 02 5001 5080", 5, "integer `128`, expected i8");
    refused_with::<(u8, (u8, i8))>(
        "c0 0a 02 5001 c0 05 02 5001 5080",
        10,
        "integer `128`, expected i8",
    );
}

#[test]
fn t_061_values_of_the_wrong_type_are_refused() {
    refused_with::<bool>("5001", 0, "expected boolean, found ubyte");
    refused_with::<u32>("41", 0, "expected uint, found boolean");
    refused_with::<u32>("a10131", 0, "expected uint, found string");
    refused_with::<u32>("40", 0, "expected uint, found null");
    refused_with::<u32>("7242000000", 0, "expected uint, found float");
    refused_with::<i64>("83 0000000000000001", 0, "expected long, found timestamp");
    refused_with::<f32>("82 3ff0000000000000", 0, "expected float, found double");
    refused_with::<f64>("5001", 0, "expected double, found ubyte");
    refused_with::<char>("a10131", 0, "expected char, found string");
    refused_with::<String>("a00131", 0, "expected string, found binary");
    refused_with::<ByteBuf>("a10131", 0, "expected binary, found string");
    refused_with::<Vec<u8>>("a00131", 0, "expected list, found binary");
    refused_with::<Vec<u8>>("c1 01 00", 0, "expected list, found map");
    refused_with::<HashMap<u8, u8>>("45", 0, "expected map, found list");
    refused_with::<()>("41", 0, "expected null, found boolean");
    refused_with::<Symbol>("a10131", 0, "expected symbol, found string");
    refused_with::<Timestamp>("5501", 0, "expected timestamp, found long");
    refused_with::<Uuid>("a00131", 0, "expected uuid, found binary");
    refused_with::<Array>("45", 0, "expected array, found list");
    refused_with::<AsArray<Vec<u8>>>("45", 0, "expected array, found list");
    refused_with::<Point>("c0 05 02 5401 5401", 0, "expected map, found list");
    refused_with::<AsList<Point>>("c1 01 00", 0, "expected list, found map");
    refused_with::<AsDescribed<Point>>("c1 01 00", 0, "expected described value, found map");
    refused_with::<Point>("00 5309 c1 01 00", 0, "expected map, found described value");
    refused_with::<Adjacent>("45", 0, "expected map, found list");
    refused_with::<AnnotationKey>("a10131", 0, "expected symbol, found string");
    refused_with::<Fields>("c1 04 02 a10131 40", 3, "expected symbol, found string");
    refused_with::<Point>("c1 05 02 5201 5401", 3, "expected string, found uint");
}

#[test]
fn t_048_descriptors_of_other_types_or_values() {
    refused_with::<AsDescribed<Point>>(
        "00 a1 0d 6578616d706c653a706f696e74 c1 01 00",
        1,
        "expected symbol, found string",
    );
    refused_with::<AsDescribed<Point>>("00 5209 c1 01 00", 1, "expected symbol, found uint");
    refused_with::<AsDescribed<Point>>(
        "00 5308 c1 01 00",
        1,
        "integer `8`, expected the descriptor example:point (0x9)",
    );
    refused_with::<AsDescribed<Point>>(
        "00 a30161 c1 01 00",
        1,
        "string \"a\", expected the descriptor example:point",
    );
    refused_with::<AsDescribed<Point>>("00 5309", 3, "the input ends");
}

#[test]
fn structs_with_missing_unknown_and_repeated_fields() {
    #[derive(Deserialize, Debug, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        a: u8,
        b: Option<u8>,
    }
    refused_with::<Point>("c1 06 02 a10178 5401", 0, "missing field `y`");
    refused_with::<AsList<Point>>("c0 03 01 5401", 0, "missing field `y`");
    refused_with::<AsList<Point>>("c0 04 02 40 5401", 0, "missing field `x`");
    refused_with::<(u8, Point)>("c0 0b 02 5001 c1 06 02 a10178 5401", 5, "missing field `y`");
    refused_with::<Strict>("c1 0b 04 a10161 5001 a1017a 5001", 8, "unknown field `z`");
    refused_with::<AsList<Strict>>(
        "c0 06 03 5001 40 5001",
        6,
        "expected field index 0 <= i < 2",
    );
    assert_eq!(
        from_bytes::<AsList<Strict>>(&octets("c0 05 03 5001 40 40")),
        Ok(AsList(Strict { a: 1, b: None }))
    );
    refused_with::<Strict>("c1 0b 04 a10161 5001 a10161 5001", 8, "two equal keys");
    refused_with::<Strict>("c1 0b 04 a10161 5001 a30161 5001", 0, "duplicate field `a`");
    let unknown = "c1 0f 06 a10178 5401 a1017a 45 a10179 5402";
    assert_eq!(
        from_bytes::<Point>(&octets(unknown)),
        Ok(Point { x: 1, y: 2 })
    );
}

#[test]
fn t_032_duplicate_keys_are_refused() {
    type Numbers = HashMap<u64, u8>;
    assert_eq!(
        refused::<Numbers>("c1 09 04 5301 5001 5301 5001").kind,
        DecodeErrorKind::DuplicateKey
    );
    let wide_and_narrow = "c1 10 04 5301 5001 80 0000000000000001 5001";
    assert_eq!(
        refused::<Numbers>(wide_and_narrow),
        DecodeError {
            offset: 7,
            kind: DecodeErrorKind::DuplicateKey
        }
    );
    assert_eq!(
        refused::<HashMap<String, u8>>("c1 0e 04 a10161 5001 b100000001 61 5001").kind,
        DecodeErrorKind::DuplicateKey
    );
    // T-034: not the same keys for AMQP, but for the type. The last one stays, as with any map of serde.
    assert_eq!(
        from_bytes::<Numbers>(&octets("c1 09 04 5301 5001 5201 5002")),
        Ok(HashMap::from([(1, 2)]))
    );
    assert_eq!(
        refused::<Value>("c1 09 04 5301 5001 5301 5001").kind,
        DecodeErrorKind::DuplicateKey
    );
    // Also where no field of the type has the name.
    assert_eq!(
        refused::<Point>("c1 13 08 a10178 5401 a10179 5401 a1017a 40 a1017a 40").kind,
        DecodeErrorKind::DuplicateKey
    );
}

#[test]
fn t_031_duplicate_keys_are_not_written() {
    struct Twice;
    impl Serialize for Twice {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map([(1u8, 'a'), (2, 'b'), (1, 'c')])
        }
    }
    assert_eq!(to_bytes(&Twice), Err(EncodeError::DuplicateKey));
    let mut out = BytesMut::from(&b"before"[..]);
    assert_eq!(
        to_writer(&(1u8, Twice), &mut Writer::new(&mut out)),
        Err(EncodeError::DuplicateKey)
    );
    assert_eq!(out, "before");
}

#[test]
fn what_has_no_such_form_is_not_written() {
    #[derive(Serialize)]
    struct Named {
        #[serde(with = "amqp10_codec::serde::symbol")]
        name: &'static str,
    }
    assert_eq!(to_bytes(&Named { name: "é" }), Err(EncodeError::NotAscii));
    assert_eq!(
        to_bytes(&AsArray(vec![Value::from(1u8), Value::from(1u16)])),
        Err(EncodeError::MixedArray)
    );
    assert_eq!(
        to_bytes(&AsArray(vec![Some(1u8), None])),
        Err(EncodeError::MixedArray)
    );
    assert_eq!(
        to_bytes(&AsArray(Point { x: 0, y: 0 })),
        Err(EncodeError::Unsuitable { form: "array" })
    );
    assert_eq!(
        to_bytes(&AsList("text")),
        Err(EncodeError::Unsuitable { form: "list" })
    );
    assert_eq!(
        display(|f| amqp10_codec::serde::timestamp::serialize(&5i64, f)),
        "5"
    );
    assert_eq!(
        to_value(&AsList(Some((1u8, None::<u8>)))),
        Ok(Value::List(vec![Value::from(1u8)]))
    );
    assert_eq!(to_bytes(&AsList(None::<Point>)).unwrap(), octets("40"));
}

#[test]
fn errors_of_an_application_keep_their_words() {
    #[derive(Deserialize, Debug)]
    #[serde(try_from = "u8")]
    #[allow(dead_code)]
    struct Even(u8);
    impl TryFrom<u8> for Even {
        type Error = String;
        fn try_from(number: u8) -> Result<Self, String> {
            if number % 2 == 0 {
                Ok(Even(number))
            } else {
                Err(format!("{number} is odd"))
            }
        }
    }
    refused_with::<BTreeMap<String, Even>>("c1 0b 04 a10161 5002 a10162 5003", 11, "3 is odd");
    assert_eq!(
        refused::<Vec<Even>>("c0 03 01 5003").to_string(),
        "3 is odd at octet 3"
    );
}

#[test]
fn variants() {
    #[derive(Deserialize, PartialEq, Debug)]
    enum Choice {
        A,
        B(Option<u8>),
        C(u8, u8),
    }
    assert_eq!(from_bytes(&octets("c1 05 02 a10141 40")), Ok(Choice::A));
    assert_eq!(
        from_bytes(&octets("c1 05 02 a10142 40")),
        Ok(Choice::B(None))
    );
    refused_with::<Choice>("a10142", 0, "unit variant, expected a variant with a value");
    refused_with::<Choice>("a10143", 0, "unit variant, expected a variant with a list");
    refused_with::<Choice>(
        "a10144",
        0,
        "unknown variant `D`, expected one of `A`, `B`, `C`",
    );
    refused_with::<Choice>("c1 01 00", 0, "a map without an entry");
    refused_with::<Choice>("c1 09 04 a10141 40 a10142 40", 7, "more values");
    refused_with::<Choice>("c1 06 02 a10141 5001", 6, "expected null, found ubyte");
    refused_with::<Choice>("c1 09 02 a10143 c0 03 01 5001", 6, "invalid length 1");
}

#[test]
fn tuples_of_another_length() {
    refused_with::<(u8, u8)>(
        "c0 03 01 5001",
        0,
        "invalid length 1, expected a tuple of size 2",
    );
    refused_with::<(u8, u8)>(
        "c0 07 03 5001 5001 5001",
        7,
        "more values than the type has room for",
    );
    refused_with::<(u8,)>(
        "e0 04 02 50 01 02",
        5,
        "more values than the type has room for",
    );
    refused_with::<AsList<(u8, u8)>>("c0 03 01 5001", 5, "expected ubyte, found null");
    assert_eq!(
        from_bytes(&octets("c0 03 01 5001")),
        Ok(AsList((1u8, None::<u8>)))
    );
}

#[test]
fn text_and_octets_are_borrowed_from_the_input() {
    #[derive(Deserialize, Debug)]
    struct Borrowed<'a> {
        text: &'a str,
        #[serde(borrow, with = "amqp10_codec::serde::symbol")]
        name: &'a str,
        octets: &'a ByteSlice,
        #[serde(borrow)]
        many: Vec<&'a str>,
        #[serde(borrow)]
        described: AsDescribed<Name<'a>>,
    }
    #[derive(Deserialize, Serialize, Debug)]
    struct Name<'a>(&'a str);
    impl Describe for Name<'_> {
        const DESCRIPTOR: Descriptor = Descriptor::code(1);
    }
    #[derive(Serialize)]
    struct Owned(
        &'static str,
        Symbol,
        &'static ByteSlice,
        AsArray<[&'static str; 2]>,
        AsDescribed<Name<'static>>,
    );
    let octets = ByteSlice::new(b"ab");
    let owned = Owned(
        "text",
        Symbol::from_static("name"),
        octets,
        AsArray(["one", "two"]),
        AsDescribed(Name("described")),
    );
    let input = to_bytes(&owned).unwrap();
    let is_inside = |part: &[u8]| input.as_ptr_range().contains(&part.as_ptr());
    for AsList(borrowed) in [
        from_bytes::<AsList<Borrowed>>(&input).unwrap(),
        from_slice::<AsList<Borrowed>>(&input[..]).unwrap(),
    ] {
        assert_eq!(
            (borrowed.text, borrowed.name, borrowed.octets),
            ("text", "name", octets)
        );
        assert!(is_inside(borrowed.text.as_bytes()) && is_inside(borrowed.name.as_bytes()));
        assert!(is_inside(borrowed.octets) && is_inside(borrowed.many[1].as_bytes()));
        assert!(is_inside(borrowed.described.0.0.as_bytes()));
        assert_eq!(borrowed.many, ["one", "two"]);
    }
}

#[test]
fn t_045_nesting_is_limited() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Chain(Vec<Chain>);
    #[derive(Deserialize, Debug)]
    #[allow(dead_code)]
    struct Endless(Option<Box<Endless>>);
    fn chain(length: usize) -> Chain {
        (0..length).fold(Chain(vec![]), |chain, _| Chain(vec![chain]))
    }
    round_trip(chain(63));
    assert_eq!(to_bytes(&chain(64)), Err(EncodeError::TooDeep));
    let deep = (0..100).fold(Value::Null, |value, _| Value::List(vec![value]));
    let deep = encode_value(&deep).unwrap();
    assert_eq!(
        from_bytes::<Chain>(&deep).unwrap_err().kind,
        DecodeErrorKind::TooDeep
    );
    assert_eq!(
        from_bytes::<Value>(&deep).unwrap_err().kind,
        DecodeErrorKind::TooDeep
    );
    assert_eq!(
        from_bytes::<Untagged>(&deep).unwrap_err().kind,
        DecodeErrorKind::TooDeep
    );
    let described = Bytes::from(vec![0; 100_000]);
    assert_eq!(
        from_bytes::<Value>(&described).unwrap_err().kind,
        DecodeErrorKind::TooDeep
    );
    assert_eq!(
        from_bytes::<IgnoredAny>(&described).unwrap_err().kind,
        DecodeErrorKind::TooDeep
    );
    assert_eq!(refused::<Endless>("5001").kind, DecodeErrorKind::TooDeep);
}

#[test]
fn t_039_t_044_lengths_that_lie_do_not_allocate() {
    assert!(matches!(
        refused::<Vec<()>>("f0 00000005 ffffffff 40").kind,
        DecodeErrorKind::TooManyItems(_)
    ));
    assert!(matches!(
        refused::<Vec<u64>>("f0 00000005 7fffffff 80").kind,
        DecodeErrorKind::TooManyItems(_)
    ));
    assert!(matches!(
        refused::<Vec<u8>>("d0 00000006 ffffffff 4040").kind,
        DecodeErrorKind::TooManyItems(_)
    ));
    assert_eq!(
        refused::<String>("b1 ffffffff 61").kind,
        DecodeErrorKind::UnexpectedEnd
    );
    assert_eq!(refused::<u8>("").kind, DecodeErrorKind::UnexpectedEnd);
    assert_eq!(
        refused::<u8>("5001 40"),
        DecodeError {
            offset: 2,
            kind: DecodeErrorKind::TrailingBytes
        }
    );
    assert_eq!(
        refused::<String>("a1 01 ff").kind,
        DecodeErrorKind::InvalidUtf8
    );
    assert_eq!(
        refused::<String>("a3 02 c3a9").kind,
        DecodeErrorKind::NotAscii
    );
    assert_eq!(
        refused::<Symbol>("a3 01 ff").kind,
        DecodeErrorKind::NotAscii
    );
    assert_eq!(
        refused::<bool>("5602").kind,
        DecodeErrorKind::InvalidBoolean(2)
    );
    assert_eq!(
        refused::<char>("730000d800").kind,
        DecodeErrorKind::InvalidChar(0xd800)
    );
    assert_eq!(
        refused::<u8>("3f").kind,
        DecodeErrorKind::UnknownFormatCode(0x3f)
    );
    assert_eq!(
        refused::<Vec<bool>>("c0 04 02 41 42 43").kind,
        DecodeErrorKind::SizeMismatch
    );
    assert_eq!(
        refused::<HashMap<u8, u8>>("c1 02 01 40").kind,
        DecodeErrorKind::OddMapCount(1)
    );
}

fn display(write: impl Fn(&mut fmt::Formatter<'_>) -> fmt::Result) -> String {
    struct Show<F>(F);
    impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> Display for Show<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            (self.0)(f)
        }
    }
    Show(write).to_string()
}

/// serde's own little formats stand for all others: `Formatter` writes text, `IntoDeserializer` gives what it has.
#[test]
fn in_other_formats_types_are_what_they_look_like() {
    assert_eq!(display(|f| Symbol::from_static("abc").serialize(f)), "abc");
    assert_eq!(display(|f| Str::from("abc").serialize(f)), "abc");
    assert_eq!(display(|f| Timestamp(-7).serialize(f)), "-7");
    assert_eq!(
        display(|f| Uuid([0xab; 16]).serialize(f)),
        "abababab-abab-abab-abab-abababababab"
    );
    assert_eq!(
        display(|f| Value::from(Symbol::from_static("abc")).serialize(f)),
        "abc"
    );

    type Text<'a> = serde::de::value::StrDeserializer<'a, serde::de::value::Error>;
    let text = |text: &'static str| -> Text<'static> { text.into_deserializer() };
    assert_eq!(Symbol::deserialize(text("abc")).unwrap(), "abc");
    assert!(Symbol::deserialize(text("é")).is_err());
    assert_eq!(Str::deserialize(text("é")).unwrap(), "é");
    assert_eq!(Value::deserialize(text("é")).unwrap(), Value::from("é"));
    assert_eq!(
        Uuid::deserialize(text("abababab-abab-abab-abab-abababababab")).unwrap(),
        Uuid([0xab; 16])
    );
    assert_eq!(
        Uuid::deserialize(text("ABABABABABABABABABABABABABABABAB")).unwrap(),
        Uuid([0xab; 16])
    );
    for wrong in [
        "",
        "ab",
        "abababab-abab-abab-abab-ababababababab",
        "gggggggggggggggggggggggggggggggg",
    ] {
        assert!(Uuid::deserialize(text(wrong)).is_err());
    }
    let number: serde::de::value::I64Deserializer<serde::de::value::Error> =
        (-7i64).into_deserializer();
    assert_eq!(Timestamp::deserialize(number).unwrap(), Timestamp(-7));
    assert_eq!(Value::deserialize(number).unwrap(), Value::from(-7i64));
}
