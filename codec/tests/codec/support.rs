use std::path::PathBuf;

use amqp10_codec::{Decode, DecodeError, DecodeErrorKind, Encode, Layout, Reader, Value, Writer};
use bytes::{Bytes, BytesMut};

/// Octets from hexadecimal digits; spaces are for the reader.
pub fn hex(digits: &str) -> Bytes {
    let digits: Vec<u32> = digits
        .chars()
        .filter(|c| *c != ' ')
        .map(|c| c.to_digit(16).unwrap())
        .collect();
    assert_eq!(digits.len() % 2, 0);
    digits
        .chunks(2)
        .map(|pair| (pair[0] * 16 + pair[1]) as u8)
        .collect()
}

pub fn to_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

pub fn encode(value: &(impl Encode + ?Sized)) -> Bytes {
    encode_with(value, Layout::Short)
}

pub fn encode_full(value: &(impl Encode + ?Sized)) -> Bytes {
    encode_with(value, Layout::Full)
}

fn encode_with(value: &(impl Encode + ?Sized), layout: Layout) -> Bytes {
    let mut out = BytesMut::new();
    let mut writer = Writer::with_layout(&mut out, layout);
    value.encode(&mut writer);
    writer.finish().unwrap();
    out.freeze()
}

pub fn decode<T: Decode>(octets: Bytes) -> Result<T, DecodeError> {
    let mut reader = Reader::new(octets);
    let value = T::decode(&mut reader)?;
    reader.expect_end()?;
    Ok(value)
}

pub fn value(digits: &str) -> Value {
    amqp10_codec::decode_value(hex(digits)).unwrap_or_else(|error| panic!("{digits}: {error}"))
}

pub fn value_error(digits: &str) -> DecodeErrorKind {
    match amqp10_codec::decode_value(hex(digits)) {
        Ok(value) => panic!("{digits} decodes to {value:?}"),
        Err(error) => error.kind,
    }
}

pub fn conformance(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/conformance")).join(path)
}
