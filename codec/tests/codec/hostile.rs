//! Input that is made to hurt: it must be refused at once, in little memory, without a panic.

use std::time::{Duration, Instant};

use amqp10_codec::*;
use bytes::Bytes;

use crate::support::{decode, encode, hex, value_error};

/// Every way to decode must return, whatever it is given.
fn decode_all(octets: &Bytes) {
    let _ = decode_value(octets.clone());
    let _ = decode::<Performative>(octets.clone());
    let _ = decode::<SaslFrame>(octets.clone());
    let _ = decode::<Source>(octets.clone());
    if let Ok(sections) = Sections::scan(octets.clone()) {
        let _ = sections.message();
    }
    let _ = Reader::new(octets.clone()).skip_value();
}

fn within<T>(limit: Duration, what: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = what();
    assert!(start.elapsed() < limit, "{:?}", start.elapsed());
    result
}

fn nested_lists(depth: usize) -> Bytes {
    let mut octets = Vec::new();
    for level in (0..depth).rev() {
        octets.push(0xd0);
        octets.extend_from_slice(&((level * 9 + 5) as u32).to_be_bytes());
        octets.extend_from_slice(&1u32.to_be_bytes());
    }
    octets.push(0x40);
    octets.into()
}

#[test]
fn t_045_nesting_is_limited() {
    assert_eq!(
        decode_value(nested_lists(10_000)).unwrap_err().kind,
        DecodeErrorKind::TooDeep
    );
    let deepest = DecodeLimits::DEPTH as usize;
    assert!(decode_value(nested_lists(deepest)).is_ok());
    assert_eq!(
        decode_value(nested_lists(deepest + 1)).unwrap_err().kind,
        DecodeErrorKind::TooDeep
    );
    let mut reader = Reader::with_limits(nested_lists(3), DecodeLimits::default().depth(2));
    assert_eq!(
        Value::decode(&mut reader).unwrap_err().kind,
        DecodeErrorKind::TooDeep
    );
}

#[test]
fn t_045_t_047_nested_descriptors_and_arrays() {
    for unit in [
        &[0x00][..],
        &[0x00, 0x40],
        &[0xe0],
        &[0xe0, 0xff, 0x01],
        &[0xc1, 0xff, 0x02],
        &[0xf0, 0, 0, 0xff],
    ] {
        let octets: Bytes = unit
            .iter()
            .copied()
            .cycle()
            .take(10_000 * unit.len())
            .collect();
        decode_all(&octets);
        let mut array = vec![0xf0, 0, 0, 0x7f, 0xff, 0, 0, 0, 1];
        array.extend_from_slice(&octets);
        decode_all(&array.into());
    }
    let descriptors = [[0x00, 0x40].repeat(10_000), vec![0x40]].concat();
    assert_eq!(
        decode_value(descriptors.into()).unwrap_err().kind,
        DecodeErrorKind::TooDeep
    );
    let of_descriptors = [vec![0x00; 10_000], vec![0x40; 10_001]].concat();
    assert_eq!(
        decode_value(of_descriptors.into()).unwrap_err().kind,
        DecodeErrorKind::TooDeep
    );
}

#[test]
fn t_045_nesting_in_a_begin_and_in_a_body() {
    let nested = nested_lists(10_000);
    let mut begin =
        hex("005311 d0 00015fff 00000008 40 43 43 43 40 40 40 d1 00015fb0 00000002 a3016b")
            .to_vec();
    begin.extend_from_slice(&nested);
    decode_all(&begin.clone().into());
    let size = |from: usize, octets: &[u8]| ((octets.len() - from - 4) as u32).to_be_bytes();
    let (outer, inner) = (size(4, &begin), size(20, &begin));
    begin[4..8].copy_from_slice(&outer);
    begin[20..24].copy_from_slice(&inner);
    assert_eq!(
        decode::<Begin>(begin.into()).unwrap_err().kind,
        DecodeErrorKind::TooDeep
    );
    let body = [&hex("005377")[..], &nested].concat();
    assert_eq!(
        Message::decode(body.into()).unwrap_err().kind,
        DecodeErrorKind::TooDeep
    );
}

#[test]
fn t_039_arrays_of_nothing() {
    for code in ["40", "41", "42", "43", "44", "45"] {
        let digits = format!("f000000005ffffffff{code}");
        assert_eq!(
            value_error(&digits),
            DecodeErrorKind::TooManyItems(u32::MAX)
        );
    }
    // Many arrays that are small enough share one limit.
    let one = hex("f0000000050000200040");
    let list: Vec<u8> = one.iter().copied().cycle().take(one.len() * 200).collect();
    let header = [
        &[0xd0][..],
        &((list.len() + 4) as u32).to_be_bytes(),
        &200u32.to_be_bytes(),
    ]
    .concat();
    let octets = Bytes::from([header, list].concat());
    assert_eq!(
        decode_value(octets.clone()).unwrap_err().kind,
        DecodeErrorKind::TooManyItems(0x2000)
    );
    let mut generous =
        Reader::with_limits(octets, DecodeLimits::default().unbacked_values(u32::MAX));
    assert!(Value::decode(&mut generous).is_ok());
}

#[test]
fn t_039_repeated_descriptors() {
    // 20 000 octets as elements, each of which would get a list of 1000 nulls for a descriptor.
    let descriptor = [&hex("d0000003ec000003e8")[..], &[0x40; 1000]].concat();
    let content = [&[0x00][..], &descriptor, &[0x50], &vec![1; 20_000]].concat();
    let size = (content.len() as u32 + 4).to_be_bytes();
    let octets = [&[0xf0][..], &size, &20_000u32.to_be_bytes(), &content].concat();
    let error = within(Duration::from_secs(1), || {
        decode_value(octets.into()).unwrap_err()
    });
    assert!(matches!(error.kind, DecodeErrorKind::TooManyItems(_)));
}

#[test]
fn t_044_lengths_beyond_the_input() {
    for digits in [
        "b0ffffffff00",
        "b1ffffffff00",
        "b3ffffffff00",
        "d0ffffffff00000000",
        "d1ffffffff00000000",
        "a0ff00",
        "f0ffffffffffffffff50",
        "70000000",
        "8000",
        "98",
        "c0",
        "c0ff",
        "d000000004",
        "e0",
    ] {
        assert_eq!(
            value_error(digits),
            DecodeErrorKind::UnexpectedEnd,
            "{digits}"
        );
    }
    for digits in [
        "d000000004ffffffff",
        "d100000004fffffffe",
        "f000000006ffffffff5000",
        "c00 2ff40",
    ] {
        assert!(
            matches!(value_error(digits), DecodeErrorKind::TooManyItems(_)),
            "{digits}"
        );
    }
}

#[test]
fn t_044_counts_do_not_allocate() {
    // A list whose every item claims to be a list of as many items as octets are left.
    let mut octets = Vec::new();
    for level in (0..60u32).rev() {
        let rest = level * 9 + (1 << 20);
        octets.push(0xd0);
        octets.extend_from_slice(&(rest + 4).to_be_bytes());
        octets.extend_from_slice(&rest.to_be_bytes());
    }
    octets.extend_from_slice(&vec![0x40; 1 << 20]);
    within(Duration::from_secs(2), || decode_all(&octets.into()));
}

#[test]
fn duplicate_keys_are_not_quadratic() {
    let entries = 200_000u32;
    let map: Map = (0..entries).map(|key| (key, Value::Null)).collect();
    let octets = encode(&map);
    within(Duration::from_secs(5), || {
        assert_eq!(decode::<Map>(octets).unwrap().len(), entries as usize)
    });
    let keys = (0..entries).map(|key| Symbol::try_from(format!("key-{key}")).unwrap());
    let fields: Fields = keys.map(|key| (key, Value::Null)).collect();
    let octets = encode(&fields);
    within(Duration::from_secs(5), || {
        assert_eq!(decode::<Fields>(octets).unwrap().len(), entries as usize)
    });
}

#[test]
fn duplicate_keys_of_big_maps_are_found() {
    let items: Vec<Value> = (0..100u32)
        .flat_map(|key| [Value::Uint(key % 99), Value::Null])
        .collect();
    let list = encode(&Value::List(items));
    let mut octets = list.to_vec();
    octets[0] += 1; // a map of the same items
    assert_eq!(
        decode_value(octets.into()).unwrap_err().kind,
        DecodeErrorKind::DuplicateKey
    );
}

#[test]
fn every_prefix_of_every_performative_is_refused() {
    let attach = Attach {
        source: Some(Source::new("a source address of some length")),
        target: Some(Target::new("target").into()),
        properties: Fields::new().with_static("key", vec![Value::from("value")]),
        ..Attach::new("name", 300, Role::Sender)
    };
    let octets = encode(&attach);
    for end in 0..octets.len() {
        assert!(decode::<Performative>(octets.slice(..end)).is_err());
        assert!(Reader::new(octets.slice(..end)).skip_value().is_err());
    }
    for index in 0..octets.len() {
        for octet in [0x00, 0x40, 0x45, 0x7f, 0xc0, 0xd0, 0xf0, 0xff] {
            let mut mutated = octets.to_vec();
            mutated[index] = octet;
            decode_all(&mutated.into());
        }
    }
}

#[test]
fn bodies_without_the_code_that_belongs_to_them() {
    for code in 0..=0xff {
        let _ = Open::decode_body(&mut Reader::new(Bytes::new()), code);
        let _ = DeliveryState::decode_body(&mut Reader::new(Bytes::new()), code);
        let _ = Value::decode_body(&mut Reader::new(Bytes::new()), code);
    }
}
