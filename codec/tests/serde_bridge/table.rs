//! The serde bridge: a table of Rust values and their encodings, both ways.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use crate::octets;
use amqp10_codec::serde::{AsArray, AsComposite, AsDescribed, AsList, Describe, Descriptor};
use amqp10_codec::serde::{from_bytes, from_slice, from_value, to_bytes, to_value};
use amqp10_codec::{
    Annotations, ApplicationProperties, Array, Dec32, Dec64, Dec128, DeliveryTag, Described,
    Fields, Map, Str, Symbol, Timestamp, Uuid, Value, decode_value,
};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

/// `value` is encoded as `hex`, and that is decoded as `value`; the way through `Value` gives the same.
#[track_caller]
fn both_ways<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, hex: &str) {
    let encoded = octets(hex);
    assert_eq!(to_bytes(&value).unwrap(), encoded, "{value:?} is encoded");
    decodes(hex, &value);
    let dynamic = to_value(&value).unwrap();
    assert_eq!(dynamic, decode_value(encoded).unwrap());
    assert_eq!(from_value::<T>(&dynamic).unwrap(), value);
}

/// `hex` is decoded as `value`.
#[track_caller]
fn decodes<T: DeserializeOwned + PartialEq + Debug>(hex: &str, value: &T) {
    assert_eq!(from_bytes::<T>(&octets(hex)).as_ref(), Ok(value));
    assert_eq!(from_slice::<T>(&octets(hex)).as_ref(), Ok(value));
}

#[derive(Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Debug, Clone, Default)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Unit;

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Meters(u16);

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Pair(u8, Option<u8>);

#[derive(Serialize, Deserialize, PartialEq, Debug)]
enum Shape {
    Empty,
    Circle(u8),
    Segment(u8, u8),
    Rectangle { width: u8, height: Option<u8> },
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Default, Clone)]
struct Transfer {
    handle: u32,
    id: Option<u32>,
    #[serde(default = "four")]
    priority: u8,
    tag: Option<ByteBuf>,
}

fn four() -> u8 {
    4
}

impl Describe for Transfer {
    const DESCRIPTOR: Descriptor =
        Descriptor::symbol("example:transfer:list").or_code(0x0000_0001_0000_0014);
}

impl Describe for Meters {
    const DESCRIPTOR: Descriptor = Descriptor::code(0x55);
}

impl Describe for Point {
    const DESCRIPTOR: Descriptor = Descriptor::symbol("example:point");
}

#[test]
fn scalars() {
    both_ways((), "40");
    both_ways(true, "41");
    both_ways(false, "42");
    both_ways(255u8, "50ff");
    both_ways(65535u16, "60ffff");
    both_ways(0u32, "43");
    both_ways(255u32, "52ff");
    both_ways(256u32, "70 00000100");
    both_ways(0u64, "44");
    both_ways(1u64, "5301");
    both_ways(u64::MAX, "80 ffffffffffffffff");
    both_ways(-42i8, "51d6");
    both_ways(-42i16, "61ffd6");
    both_ways(-1i32, "54ff");
    both_ways(i32::MIN, "71 80000000");
    both_ways(-128i64, "5580");
    both_ways(i64::MAX, "81 7fffffffffffffff");
    both_ways(1.5f32, "72 3fc00000");
    both_ways(-0.0f64, "82 8000000000000000");
    both_ways('?', "73 0000003f");
    both_ways('\u{1f600}', "73 0001f600");
    both_ways(String::from("hé"), "a1 03 68c3a9");
    both_ways(ByteBuf::from([0, 255]), "a0 02 00ff");
    both_ways(ByteArray::new([1, 2, 3]), "a0 03 010203");
    both_ways(
        "x".repeat(256),
        &format!("b1 00000100 {}", "78".repeat(256)),
    );
}

#[test]
fn t_017_t_018_bits_of_floats_are_kept() {
    for bits in [0x7fc0_0001u32, 0xffc1_2345, 0x7f80_0001, 0x8000_0000] {
        let encoded = to_bytes(&f32::from_bits(bits)).unwrap();
        assert_eq!(encoded[1..], bits.to_be_bytes());
        assert_eq!(from_bytes::<f32>(&encoded).unwrap().to_bits(), bits);
    }
    for bits in [0x7ff8_0000_0000_0001u64, 0xfff8_1234_5678_9abc, 1 << 63] {
        let encoded = to_bytes(&f64::from_bits(bits)).unwrap();
        assert_eq!(from_bytes::<f64>(&encoded).unwrap().to_bits(), bits);
    }
}

#[test]
fn amqp_types_keep_their_type() {
    both_ways(Symbol::from_static("abc"), "a3 03 616263");
    both_ways(Str::from("abc"), "a1 03 616263");
    both_ways(Timestamp(-1), "83 ffffffffffffffff");
    both_ways(Uuid([0x11; 16]), "98 11111111111111111111111111111111");
    both_ways(Dec32([1, 2, 3, 4]), "74 01020304");
    both_ways(Dec64([1; 8]), "84 0101010101010101");
    both_ways(Dec128([2; 16]), "94 02020202020202020202020202020202");
    both_ways(DeliveryTag::from([0, 0, 0, 7]), "a0 04 00000007");
    both_ways(
        Array::from_iter([1u32, 300]),
        "e0 0a 02 70 00000001 0000012c",
    );
    both_ways(
        Map::new().with(1u8, "a").with(1i8, Value::Null),
        "c1 09 04 5001 a10161 5101 40",
    );
    both_ways(Fields::new().with_static("k", true), "c1 05 02 a3016b 41");
    both_ways(
        Annotations::new()
            .with(Symbol::from_static("k"), 1u8)
            .with(7u64, Value::Null),
        "c1 09 04 a3016b 5001 5307 40",
    );
    both_ways(
        ApplicationProperties::new().with("k", 1u8),
        "c1 06 02 a1016b 5001",
    );
    both_ways(
        Described {
            descriptor: Value::from(Symbol::from_static("d")),
            value: Value::from(1u32),
        },
        "00 a30164 5201",
    );
}

#[test]
fn values_keep_their_type() {
    both_ways(Value::Null, "40");
    both_ways(Value::from(1u32), "5201");
    both_ways(Value::from(1i64), "5501");
    both_ways(Value::from('a'), "73 00000061");
    both_ways(Value::from(Symbol::from_static("a")), "a30161");
    both_ways(Value::from(Timestamp(0)), "83 0000000000000000");
    both_ways(
        Value::from(Uuid([7; 16])),
        "98 07070707070707070707070707070707",
    );
    both_ways(Value::from(Dec32([0; 4])), "74 00000000");
    both_ways(Value::from(Bytes::from_static(b"ab")), "a0 02 6162");
    both_ways(
        Value::List(vec![Value::Null, Value::from("a"), Value::Null]),
        "c0 06 03 40 a10161 40",
    );
    both_ways(
        Value::from(Array::from_iter([Symbol::from_static("a")])),
        "e0 04 01 a3 0161",
    );
    both_ways(
        Value::described(Value::described(0u64, 1u64), Value::Null),
        "00 00 44 5301 40",
    );
    both_ways(
        Value::from(
            Array::try_from(vec![
                Value::described(5u64, 1u8),
                Value::described(5u64, 2u8),
            ])
            .unwrap(),
        ),
        "e0 07 02 00 5305 50 01 02",
    );
}

#[test]
fn structs_and_sequences() {
    both_ways(Point { x: 1, y: -1 }, "c1 0b 04 a10178 5401 a10179 54ff");
    both_ways(Unit, "40");
    both_ways(Meters(5), "60 0005");
    both_ways(Pair(1, None), "c0 04 02 5001 40");
    both_ways((1u8, String::from("a"), false), "c0 07 03 5001 a10161 42");
    both_ways(Vec::<u8>::new(), "45");
    both_ways(vec![1u8, 2], "c0 05 02 5001 5002");
    both_ways([Some(1u8), None], "c0 04 02 5001 40");
    both_ways(vec![vec![0u32], vec![]], "c0 06 02 c0 02 01 43 45");
    both_ways(
        vec![0u32; 255],
        &format!("d0 00000103 000000ff {}", "43".repeat(255)),
    );
}

#[test]
fn options() {
    both_ways(None::<u8>, "40");
    both_ways(Some(1u8), "5001");
    both_ways(Some(Some(1u8)), "5001");
    both_ways(None::<Option<u8>>, "40");
    decodes("c0 02 01 40", &vec![None::<Unit>]);
}

#[test]
fn maps_with_keys_of_any_type() {
    both_ways(
        BTreeMap::from([(String::from("a"), 1u8)]),
        "c1 06 02 a10161 5001",
    );
    both_ways(HashMap::from([(1u32, 'a')]), "c1 08 02 5201 73 00000061");
    both_ways(
        BTreeMap::from([(-1i64, true), (1, false)]),
        "c1 07 04 55ff 41 5501 42",
    );
    both_ways(
        BTreeMap::from([((1u8, 2u8), ())]),
        "c1 09 02 c0 05 02 5001 5002 40",
    );
    both_ways(
        BTreeMap::from([(Point { x: 0, y: 0 }, ())]),
        "c1 0f 02 c1 0b 04 a10178 5400 a10179 5400 40",
    );
    both_ways(
        BTreeMap::from([(Symbol::from_static("a"), ())]),
        "c1 05 02 a30161 40",
    );
    both_ways(
        BTreeMap::from([(Some(true), ()), (None, ())]),
        "c1 05 04 40 40 41 40",
    );
    both_ways(BTreeMap::<u8, u8>::new(), "c1 01 00");
}

#[test]
fn externally_tagged_enums() {
    both_ways(Shape::Empty, "a1 05 456d707479");
    both_ways(Shape::Circle(7), "c1 0b 02 a1 06 436972636c65 5007");
    both_ways(
        Shape::Segment(1, 2),
        "c1 11 02 a1 07 5365676d656e74 c0 05 02 5001 5002",
    );
    both_ways(
        Shape::Rectangle {
            width: 1,
            height: None,
        },
        "c1 21 02 a1 09 52656374616e676c65 c1 13 04 a1 05 7769647468 5001 a1 06 686569676874 40",
    );
}

#[test]
fn t_053_t_055_structs_as_lists() {
    let full = Transfer {
        handle: 1,
        id: Some(2),
        priority: 3,
        tag: Some(ByteBuf::from([9])),
    };
    both_ways(AsList(full), "c0 0a 04 5201 5202 5003 a00109");
    let short = Transfer {
        handle: 1,
        id: None,
        priority: 4,
        tag: None,
    };
    both_ways(AsList(short.clone()), "c0 06 03 5201 40 5004");
    decodes("c0 03 01 5201", &AsList(short.clone()));
    decodes("c0 04 02 5201 40", &AsList(short.clone()));
    decodes("c0 06 04 5201 404040", &AsList(short.clone()));
    // A later version of the type has more fields.
    decodes("c0 08 05 5201 404040 5001", &AsList(short));
}

#[test]
fn empty_lists_and_lists_of_nulls() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Close {
        error: Option<String>,
        info: Value,
    }
    let close = AsList(Close {
        error: None,
        info: Value::Null,
    });
    both_ways(
        AsList(Close {
            error: None,
            info: Value::Null,
        }),
        "45",
    );
    decodes("c0 01 00", &close);
    decodes("d0 00000006 00000002 4040", &close);
    both_ways(AsList((1u8, None::<u8>, None::<u8>)), "c0 03 01 5001");
    both_ways(AsList(Pair(1, None)), "c0 03 01 5001");
    both_ways(AsList((None::<u8>, 1u8)), "c0 04 02 40 5001");
}

#[test]
fn skipped_fields_keep_their_place_in_a_list() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Sparse {
        #[serde(default, skip_serializing_if = "is_zero")]
        first: u8,
        #[serde(skip)]
        never: u8,
        #[serde(alias = "other", alias = "another")]
        second: u8,
        third: u8,
    }
    fn is_zero(number: &u8) -> bool {
        *number == 0
    }
    both_ways(
        AsList(Sparse {
            first: 0,
            never: 0,
            second: 2,
            third: 3,
        }),
        "c0 06 03 40 5002 5003",
    );
    both_ways(
        Sparse {
            first: 0,
            never: 0,
            second: 2,
            third: 3,
        },
        &format!(
            "c1 14 04 a1 06 {} 5002 a1 05 {} 5003",
            "7365636f6e64", "7468697264"
        ),
    );
}

#[test]
fn arrays() {
    both_ways(AsArray(vec![1u8, 2]), "e0 04 02 50 01 02");
    both_ways(AsArray(vec![1u32, 255]), "e0 04 02 52 01 ff");
    both_ways(AsArray([1u32, 256]), "e0 0a 02 70 00000001 00000100");
    both_ways(AsArray(vec![true, false]), "e0 04 02 56 01 00");
    both_ways(AsArray(Vec::<u8>::new()), "e0 02 00 40");
    both_ways(
        AsArray(vec![Symbol::from_static("a"), Symbol::from_static("bc")]),
        "e0 07 02 a3 0161 026263",
    );
    both_ways(
        AsArray(vec![Point { x: 0, y: 1 }]),
        "e0 14 01 d1 0000000e 00000004 a10178 5400 a10179 5401",
    );
    both_ways(
        AsArray(vec![AsArray(vec![1u8])]),
        "e0 0c 01 f0 00000006 00000001 50 01",
    );
    both_ways(
        AsArray(vec![AsDescribed(Point { x: 0, y: 0 })]),
        "e0 24 01 00 a3 0d 6578616d706c653a706f696e74 d1 0000000e 00000004 a10178 5400 a10179 5400",
    );
    decodes("e0 04 02 50 01 02", &vec![1u8, 2]);
    decodes("e0 04 02 50 01 02", &(1u8, 2u16));
    decodes("e0 02 0a 40", &vec![(); 10]);
    decodes("e0 02 03 45", &vec![Vec::<u8>::new(); 3]);
    decodes("e0 01 00", &AsArray(Vec::<u8>::new())); // T-040
    decodes("f0 00000005 00000000 71", &AsArray(Vec::<u8>::new()));
}

#[test]
fn described_values() {
    both_ways(
        AsDescribed(Point { x: 1, y: 2 }),
        "00 a3 0d 6578616d706c653a706f696e74 c1 0b 04 a10178 5401 a10179 5402",
    );
    let transfer = Transfer {
        handle: 0,
        id: None,
        priority: 4,
        tag: None,
    };
    both_ways(
        AsDescribed(AsList(transfer.clone())),
        "00 80 0000000100000014 c0 05 03 43 40 5004",
    );
    let composite: AsComposite<Transfer> = AsDescribed(AsList(transfer));
    decodes(
        "00 a3 15 6578616d706c653a7472616e736665723a6c697374 c0 05 03 43 40 5004",
        &composite,
    ); // T-050
}

#[test]
fn fields_choose_their_form() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Everything {
        #[serde(with = "amqp10_codec::serde::symbol")]
        s: String,
        #[serde(with = "amqp10_codec::serde::symbol")]
        e: Shape,
        #[serde(default, with = "amqp10_codec::serde::timestamp")]
        t: Option<i64>,
        #[serde(with = "amqp10_codec::serde::uuid")]
        u: ByteArray<16>,
        #[serde(with = "amqp10_codec::serde::array")]
        a: Vec<u8>,
        #[serde(with = "amqp10_codec::serde::list")]
        l: Option<Point>,
        #[serde(with = "amqp10_codec::serde::described")]
        d: Meters,
    }
    let everything = |t| {
        AsList(Everything {
            s: "a".into(),
            e: Shape::Empty,
            t,
            u: ByteArray::new([3; 16]),
            a: vec![1],
            l: Some(Point { x: 1, y: 2 }),
            d: Meters(9),
        })
    };
    let end =
        "98 03030303030303030303030303030303 e0 03 01 50 01 c0 05 02 5401 5402 00 5355 600009";
    both_ways(
        everything(Some(1)),
        &format!("c0 37 07 a30161 a3 05 456d707479 83 0000000000000001 {end}"),
    );
    both_ways(
        everything(None),
        &format!("c0 2f 07 a30161 a3 05 456d707479 40 {end}"),
    );
}

#[test]
fn t_004_integers_of_any_type_that_fit() {
    for hex in [
        "5007",
        "600007",
        "5207",
        "7000000007",
        "5307",
        "800000000000000007",
        "5107",
        "610007",
        "5407",
        "7100000007",
        "5507",
        "810000000000000007",
    ] {
        decodes(hex, &7u8);
        decodes(hex, &7i8);
        decodes(hex, &7u32);
        decodes(hex, &7i64);
        decodes(hex, &7u64);
        decodes(hex, &7usize);
    }
    for hex in ["43", "44", "5000", "5500"] {
        decodes(hex, &0u8);
        decodes(hex, &0i64);
    }
    decodes("51ff", &-1i64);
    decodes("81ffffffffffffffff", &-1i8);
    decodes("72 3fc00000", &1.5f64);
}

#[test]
fn names_may_be_symbols() {
    decodes("c1 0b 04 a30178 5401 a30179 54ff", &Point { x: 1, y: -1 });
    decodes("a3 05 456d707479", &Shape::Empty);
    decodes("c1 0b 02 a3 06 436972636c65 5007", &Shape::Circle(7));
    decodes("a3 03 616263", &String::from("abc"));
}
