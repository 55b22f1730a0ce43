use amqp10_codec::*;
use bytes::Bytes;

use crate::support::{decode, encode, hex, to_hex, value, value_error};

fn both_ways(table: &[(Value, &str)]) {
    for (expected, digits) in table {
        assert_eq!(value(digits), *expected, "decoding {digits}");
        assert_eq!(
            to_hex(&encode(expected)),
            digits.replace(' ', ""),
            "encoding {expected:?}"
        );
    }
}

/// Legal encodings that the writer does not choose.
fn decodes(table: &[(Value, &str)]) {
    for (expected, digits) in table {
        assert_eq!(value(digits), *expected, "decoding {digits}");
    }
}

fn symbol(text: &'static str) -> Value {
    Value::Symbol(Symbol::from_static(text))
}

fn string(text: &str) -> Value {
    text.into()
}

fn list(items: impl Into<Vec<Value>>) -> Value {
    Value::List(items.into())
}

fn array(elements: impl Into<Vec<Value>>) -> Value {
    Value::Array(Array::try_from(elements.into()).unwrap())
}

#[test]
fn t_001_to_t_022_fixed_widths() {
    both_ways(&[
        (Value::Null, "40"),
        (true.into(), "41"),
        (false.into(), "42"),
        (255u8.into(), "50ff"),
        (0u8.into(), "5000"),
        (65535u16.into(), "60ffff"),
        (0u32.into(), "43"),
        (1u32.into(), "5201"),
        (255u32.into(), "52ff"),
        (256u32.into(), "7000000100"),
        (u32::MAX.into(), "70ffffffff"),
        (0u64.into(), "44"),
        (255u64.into(), "53ff"),
        (256u64.into(), "800000000000000100"),
        (u64::MAX.into(), "80ffffffffffffffff"),
        ((-42i8).into(), "51d6"),
        ((-42i16).into(), "61ffd6"),
        ((-1i32).into(), "54ff"),
        (127i32.into(), "547f"),
        (128i32.into(), "7100000080"),
        ((-129i32).into(), "71ffffff7f"),
        ((-128i64).into(), "5580"),
        (128i64.into(), "810000000000000080"),
        (i64::MIN.into(), "818000000000000000"),
        (0.125f32.into(), "723e000000"),
        ((-0.0f32).into(), "7280000000"),
        (0.125f64.into(), "823fc0000000000000"),
        (Dec32([1, 2, 3, 4]).into(), "7401020304"),
        (Dec64([1, 2, 3, 4, 5, 6, 7, 8]).into(), "840102030405060708"),
        (Dec128([7; 16]).into(), "9407070707070707070707070707070707"),
        ('?'.into(), "730000003f"),
        ('\u{10ffff}'.into(), "730010ffff"),
        (Timestamp(-1).into(), "83ffffffffffffffff"),
        (Timestamp(1_291_654_800_000).into(), "830000012cbca02280"),
        (
            Uuid([0xf2; 16]).into(),
            "98f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2",
        ),
    ]);
}

#[test]
fn t_004_every_encoding_of_a_type_is_taken() {
    decodes(&[
        (true.into(), "5601"),
        (false.into(), "5600"),
        (0u32.into(), "5200"),
        (0u32.into(), "7000000000"),
        (7u32.into(), "7000000007"),
        (0u64.into(), "5300"),
        (7u64.into(), "800000000000000007"),
        (7i32.into(), "7100000007"),
        (7i64.into(), "810000000000000007"),
        (Bytes::from_static(b"a").into(), "b0 00000001 61"),
        (string("a"), "b1 00000001 61"),
        (symbol("a"), "b3 00000001 61"),
        (list([]), "c00100"),
        (list([]), "d00000000400000000"),
        (list([Value::Null]), "d0000000050000000140"),
        (Map::new().into(), "d10000000400000000"),
        (array([1u32.into()]), "f0 0000000600000001 5201"),
    ]);
}

#[test]
fn t_017_nan_payloads_survive() {
    for bits in [0x7fc0_0001u32, 0xffc0_dead, 0x7f80_0001] {
        let nan = Value::Float(f32::from_bits(bits));
        assert_eq!(decode_value(encode(&nan)).unwrap(), nan);
    }
    let nan = Value::Double(f64::from_bits(0x7ff8_0000_0000_0001));
    assert_eq!(decode_value(encode(&nan)).unwrap(), nan);
    assert_ne!(nan, Value::Double(f64::NAN));
    assert_ne!(Value::Double(0.0), Value::Double(-0.0));
}

#[test]
fn t_023_to_t_026_variable_widths() {
    both_ways(&[
        (Bytes::new().into(), "a000"),
        (Bytes::from_static(&[0xde, 0xad]).into(), "a002dead"),
        (string(""), "a100"),
        (string("h\u{e9}"), "a10368c3a9"),
        (string("\0"), "a10100"),
        (symbol(""), "a300"),
        (
            symbol("amqp:accepted:list"),
            "a312616d71703a61636365707465643a6c697374",
        ),
    ]);
    for length in [22, 23, 24, 255, 256, 70_000] {
        let text = "x".repeat(length);
        let (narrow, wide) = (format!("{length:02x}"), format!("{length:08x}"));
        let prefix = if length < 256 {
            format!("a1{narrow}")
        } else {
            format!("b1{wide}")
        };
        let encoded = encode(&Value::from(text.as_str()));
        assert_eq!(to_hex(&encoded[..encoded.len() - length]), prefix);
        assert_eq!(decode_value(encoded).unwrap(), string(&text));
        let binary = Value::from(vec![7u8; length]);
        assert_eq!(decode_value(encode(&binary)).unwrap(), binary);
        let symbol = Value::Symbol(Symbol::try_from(text).unwrap());
        assert_eq!(decode_value(encode(&symbol)).unwrap(), symbol);
    }
}

#[test]
fn t_002_t_003_unassigned_codes() {
    for code in (0x01..=0x3f).chain([
        0x4f, 0x46, 0x57, 0x62, 0x92, 0xa2, 0xbf, 0xc2, 0xd2, 0xe1, 0xff,
    ]) {
        let digits = format!("{code:02x}{}", "00".repeat(20));
        assert_eq!(
            value_error(&digits),
            DecodeErrorKind::UnknownFormatCode(code),
            "{digits}"
        );
    }
    assert_eq!(
        value_error("c0 02 01 57"),
        DecodeErrorKind::UnknownFormatCode(0x57)
    );
    assert_eq!(
        value_error("e0 03 01 57 00"),
        DecodeErrorKind::UnknownFormatCode(0x57)
    );
}

#[test]
fn t_008_t_020_t_025_t_027_values_that_are_none() {
    assert_eq!(value_error("5602"), DecodeErrorKind::InvalidBoolean(2)); // T-008
    assert_eq!(
        value_error("7300110000"),
        DecodeErrorKind::InvalidChar(0x11_0000)
    ); // T-020
    assert_eq!(
        value_error("730000d800"),
        DecodeErrorKind::InvalidChar(0xd800)
    );
    assert_eq!(value_error("a101ff"), DecodeErrorKind::InvalidUtf8); // T-025
    assert_eq!(value_error("a301c3"), DecodeErrorKind::NotAscii); // T-027
    assert_eq!(value_error("a302c3a9"), DecodeErrorKind::NotAscii);
    assert_eq!(value_error("4040"), DecodeErrorKind::TrailingBytes);
    assert_eq!(value_error(""), DecodeErrorKind::UnexpectedEnd);
    assert!(Symbol::try_from("\u{e9}").is_err());
}

#[test]
fn t_028_t_029_lists_and_maps() {
    both_ways(&[
        (list([]), "45"),
        (list([true.into(), false.into()]), "c003024142"),
        (list([list([]), Value::Null]), "c003024540"),
        (Map::new().into(), "c10100"),
        (Map::new().with("a", 1i32).into(), "c10602a101615401"),
        (Map::new().with(Value::Null, true).into(), "c103024041"),
    ]);
}

#[test]
fn t_030_odd_maps() {
    assert_eq!(value_error("c1020140"), DecodeErrorKind::OddMapCount(1));
    assert_eq!(
        value_error("d1000000070000000340 40 40"),
        DecodeErrorKind::OddMapCount(3)
    );
}

#[test]
fn t_031_t_032_duplicate_keys() {
    assert_eq!(
        value_error("c10904a1016140a1016140"),
        DecodeErrorKind::DuplicateKey
    );
    // The same key in another width.
    assert_eq!(
        value_error("c10a04 5401 40 7100000001 40"),
        DecodeErrorKind::DuplicateKey
    );
    let mut map = Map::new();
    assert_eq!(map.insert("a", 1u8), None);
    assert_eq!(map.insert("a", 2u8), Some(Value::Ubyte(1)));
    assert_eq!(map.len(), 1);
    let many: Map = (0..100u32).map(|key| (key % 50, key)).collect();
    assert_eq!(
        (many.len(), many.get(&Value::Uint(3))),
        (50, Some(&Value::Uint(53)))
    );
}

#[test]
fn t_033_order_is_kept() {
    let map: Map = [("z", 1u8), ("a", 2), ("m", 3)].into_iter().collect();
    let decoded: Map = decode(encode(&map)).unwrap();
    let keys: Vec<_> = decoded
        .iter()
        .map(|(key, _)| key.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(keys, ["z", "a", "m"]);
}

#[test]
fn t_034_key_identity_includes_the_type() {
    let map = Map::new()
        .with(1i32, "int")
        .with(1u32, "uint")
        .with(symbol("a"), 1u8)
        .with("a", 2u8);
    assert_eq!(map.len(), 4);
    assert_eq!(decode::<Map>(encode(&map)).unwrap(), map);
    assert_eq!(map.get_str("a"), Some(&Value::Ubyte(2)));
}

#[test]
fn t_035_t_036_sizes() {
    for digits in ["c002024142", "c004024142", "c000", "d00000000300000000"] {
        value_error(digits);
    }
    assert_eq!(value_error("c003014142"), DecodeErrorKind::SizeMismatch);
    assert_eq!(value_error("c003034142"), DecodeErrorKind::TooManyItems(3));
    assert_eq!(value_error("c102024040"), DecodeErrorKind::TooManyItems(2));
    assert_eq!(value_error("c104024040"), DecodeErrorKind::UnexpectedEnd);
    // The inner list must not read beyond itself into its sibling.
    assert_eq!(
        value_error("c0 05 02 c0 02 01 50 07"),
        DecodeErrorKind::UnexpectedEnd
    );
}

#[test]
fn t_037_t_041_arrays() {
    both_ways(&[
        (array([1u8.into(), 2u8.into()]), "e00402500102"),
        (array([true.into(), false.into()]), "e00402560100"),
        (array([1u32.into(), 255u32.into()]), "e004025201ff"),
        (
            array([1u32.into(), 256u32.into()]),
            "e00a02700000000100000100",
        ),
        (array([1i64.into(), (-1i64).into()]), "e004025501ff"),
        (array([string("a"), string("bc")]), "e00702a10161026263"),
        (array([Value::Null, Value::Null]), "e0020240"),
        (array([]), "e0020040"),
        (
            array([list([]), list([Value::Null])]),
            "e01302d0 0000000400000000 000000050000000140",
        ),
    ]);
    assert_eq!(value("f0000000050000000071"), array([]));
    assert!(Array::try_from(vec![1u8.into(), 1u16.into()]).is_err());
    let long = array([string(&"x".repeat(300)), string("y")]);
    assert_eq!(decode_value(encode(&long)).unwrap(), long);
}

#[test]
fn t_038_described_elements() {
    let described = |value: i32| Value::described(symbol("d"), value);
    let elements = array([described(1), described(300)]);
    assert_eq!(
        to_hex(&encode(&elements)),
        "e00e0200a3016471000000010000012c"
    );
    assert_eq!(decode_value(encode(&elements)).unwrap(), elements);
    let twice = |value: i32| Value::described(1u64, described(value));
    let elements = array([twice(1), twice(2)]);
    assert_eq!(decode_value(encode(&elements)).unwrap(), elements);
    assert!(Array::try_from(vec![described(1), Value::described(symbol("e"), 1)]).is_err());
    assert!(Array::try_from(vec![described(1), Value::described(symbol("d"), "1")]).is_err());
}

#[test]
fn t_039_zero_width_elements() {
    assert_eq!(value("e0020a40"), array(vec![Value::Null; 10]));
    assert_eq!(value("e0020341"), array(vec![Value::Bool(true); 3]));
    assert_eq!(value("e0020243"), array(vec![Value::Uint(0); 2]));
    assert_eq!(value("e0020245"), array(vec![list([]); 2]));
    assert_eq!(
        value_error("f000000005ffffffff40"),
        DecodeErrorKind::TooManyItems(u32::MAX)
    );
}

#[test]
fn t_040_empty_array_without_constructor() {
    assert_eq!(value("e00100"), array([]));
    assert_eq!(value_error("e00101"), DecodeErrorKind::TooManyItems(1));
}

#[test]
fn t_042_arrays_of_compounds() {
    let map = |n: u8| Value::from(Map::new().with("n", n));
    let inner = |n: u32| array([n.into(), 5u32.into()]);
    for elements in [
        array([map(1), map(2)]),
        array([inner(1), inner(300)]),
        array([array([]), inner(1)]),
    ] {
        assert_eq!(decode_value(encode(&elements)).unwrap(), elements);
    }
}

#[test]
fn t_043_wide_forms_begin_at_the_boundary() {
    for length in 240..=270usize {
        let items = list(vec![Value::Null; length]);
        let encoded = encode(&items);
        let narrow = length < 255;
        assert_eq!(encoded[0], if narrow { 0xc0 } else { 0xd0 });
        assert_eq!(encoded.len(), length + if narrow { 3 } else { 9 });
        assert_eq!(decode_value(encoded).unwrap(), items);

        let text = list([string(&"x".repeat(length))]);
        let encoded = encode(&text);
        // Size counts the count field, the string's code, length and octets.
        assert_eq!(encoded[0], if length <= 252 { 0xc0 } else { 0xd0 });
        assert_eq!(decode_value(encoded).unwrap(), text);
    }
}

#[test]
fn t_046_to_t_048_described_values() {
    both_ways(&[
        (
            Value::described(symbol("foo"), "bar"),
            "00a303666f6fa103626172",
        ),
        (Value::described(12i32, 13i32), "00540c540d"),
        (Value::described("URL", "x"), "00a10355524ca10178"),
        (
            Value::described(Value::described(1u64, 2u64), 3u64),
            "00 00 5301 5302 5303",
        ),
    ]);
}

#[test]
fn accessors_convert_integers_that_fit() {
    assert_eq!(Value::Ulong(u64::MAX).as_i64(), None);
    assert_eq!(Value::Ulong(u64::MAX).as_u64(), Some(u64::MAX));
    assert_eq!(Value::Long(-1).as_u64(), None);
    assert_eq!(Value::Byte(-1).as_i64(), Some(-1));
    assert_eq!(Value::Ushort(7).as_i32(), Some(7));
    assert_eq!(Value::Long(1 << 40).as_u32(), None);
    assert_eq!(string("a").as_str(), symbol("a").as_str());
}

#[test]
fn strings_are_equal_whatever_holds_them() {
    let long = "a string that is longer than what is held in place";
    for text in ["", "short", long] {
        let leaked: &'static str = String::from(text).leak();
        let all = [
            Str::from_static(leaked),
            Str::from(text),
            Str::from(String::from(text)),
        ];
        let decoded: Str = decode(encode(text)).unwrap();
        assert!(
            all.iter()
                .all(|one| *one == decoded && one.as_str() == text)
        );
        assert_eq!(decoded.clone().into_bytes(), text);
    }
}

#[test]
fn uuid_shows_its_usual_form() {
    let Value::Uuid(uuid) = value("98f275ea5e0c574ad7b11ab20c563d3b71") else {
        panic!()
    };
    assert_eq!(uuid.to_string(), "f275ea5e-0c57-4ad7-b11a-b20c563d3b71");
}

#[test]
fn decoded_text_and_binaries_share_the_input() {
    let input = encode(&list([string(&"x".repeat(100)), vec![1u8; 100].into()]));
    let Value::List(items) = decode_value(input.clone()).unwrap() else {
        panic!()
    };
    let within = |octets: &[u8]| input.as_ptr_range().contains(&octets.as_ptr());
    assert!(within(items[0].as_str().unwrap().as_bytes()));
    assert!(within(items[1].as_binary().unwrap()));
}

#[test]
fn errors_say_where() {
    let error = decode_value(hex("c0 05 02 41 a1 01 ff")).unwrap_err();
    assert_eq!(
        (error.offset, &error.kind),
        (6, &DecodeErrorKind::InvalidUtf8)
    );
    assert_eq!(error.to_string(), "a string is not UTF-8 at octet 6");
}

#[test]
fn everything_is_send_and_sync() {
    fn is_send_sync<T: Send + Sync>() {}
    is_send_sync::<(
        Value,
        Performative,
        Message,
        Sections,
        DecodeError,
        Reader,
        SaslFrame,
    )>();
}
