//! Applications' own types as AMQP values, through serde.
//!
//! ```
//! use amqp10_codec::Timestamp;
//! use amqp10_codec::serde::{from_bytes, to_bytes, to_value};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, Debug, PartialEq)]
//! struct Order {
//!     id: u64,
//!     placed: Timestamp,
//!     note: Option<String>,
//! }
//!
//! let order = Order { id: 7, placed: Timestamp::from_millis(0), note: None };
//! let encoded = to_bytes(&order)?;
//! assert_eq!(from_bytes::<Order>(&encoded)?, order);
//!
//! let value = to_value(&order)?;
//! assert_eq!(value.as_map().unwrap().get_str("id"), Some(&7u64.into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is written as what
//!
//! | Rust | AMQP |
//! |---|---|
//! | `bool`, `u8`..`u64`, `i8`..`i64`, `f32`, `f64`, `char` | boolean, ubyte..ulong, byte..long, float, double, char |
//! | `i128`, `u128` | an error |
//! | `str`, `String`, [`Str`](crate::Str) | string |
//! | `Vec<u8>` with `serde_bytes` | binary; without it, a list of ubytes |
//! | `()`, a unit struct, `None` | null |
//! | `Some(value)`, a newtype struct | the value |
//! | a sequence, tuple, tuple struct | list |
//! | a map | map, with keys of any type |
//! | a struct | map from the names of the fields, as strings |
//! | a unit variant of an enum | its name, a string |
//! | another variant | map with one entry: the name, and the data as value, list or map |
//! | [`Value`], [`Symbol`](crate::Symbol), [`Timestamp`](crate::Timestamp), [`Uuid`](crate::Uuid), [`Array`](crate::Array), [`Described`](crate::Described), .. | what they are |
//! | [`AsList<T>`], [`AsArray<T>`], [`AsDescribed<T>`], [`AsComposite<T>`] | list, array, described value, described list |
//!
//! The modules [`mod@symbol`], [`mod@timestamp`], [`mod@uuid`], [`mod@array`], [`mod@list`] and
//! [`mod@described`] do the same for a field with `#[serde(with = "..")]`.
//!
//! `Some(None)` is a null like `None`, and is read as `None`.
//!
//! # What is read
//!
//! Every encoding of the type (T-004), and besides: any integer type whose number fits; a float for an
//! `f64`; a symbol for a string, thus also for the name of a field or variant; an array for a list.
//! Everything else of another type is an error (T-061). Unknown fields are passed over without a look
//! inside, unless the type has `#[serde(deny_unknown_fields)]`; equal keys in a map and nesting beyond
//! [`DecodeLimits::DEPTH`](crate::DecodeLimits::DEPTH) are errors.
//!
//! An untagged or internally or adjacently tagged enum and `#[serde(flatten)]` make serde read values
//! before it knows their type, and keep them in its own data model. There a symbol is a string, a
//! timestamp an integer, a uuid or decimal its octets, an array a list, and a described value the list
//! of descriptor and value. [`Symbol`](crate::Symbol) and its like still read these, and a [`Value`]
//! gets what is left of the type. Other formats are shown the same when they serialize the types of
//! this crate.
//!
//! # Composite types
//!
//! ```
//! use amqp10_codec::serde::{AsComposite, AsDescribed, AsList, Describe, Descriptor, from_bytes, to_bytes};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, Debug, PartialEq)]
//! struct Reading {
//!     celsius: f32,
//!     sensor: Option<u32>,
//! }
//!
//! impl Describe for Reading {
//!     const DESCRIPTOR: Descriptor = Descriptor::symbol("com.example:reading:list");
//! }
//!
//! let reading: AsComposite<Reading> = AsDescribed(AsList(Reading { celsius: 21.5, sensor: None }));
//! let encoded = to_bytes(&reading)?;
//! assert_eq!(encoded[..4], [0x00, 0xa3, 24, b'c']);
//! assert_eq!(from_bytes::<AsComposite<Reading>>(&encoded)?, reading);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Borrowing
//!
//! ```
//! use amqp10_codec::serde::{from_bytes, to_bytes};
//!
//! let encoded = to_bytes(&["no", "copies"])?;
//! let words: Vec<&str> = from_bytes(&encoded)?;
//! assert_eq!(words, ["no", "copies"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod compound;
mod de;
mod form;
mod scalar;
mod ser;
mod value;
mod variant;
mod with;
mod wrapper;

use ::serde::de::{Deserialize, DeserializeOwned};
use ::serde::ser::Serialize;
use bytes::{Bytes, BytesMut};

pub use with::{array, described, list, symbol, timestamp, uuid};
pub use wrapper::{AsArray, AsComposite, AsDescribed, AsList, Describe, Descriptor};

use crate::decode_value;
use crate::error::{DecodeError, EncodeError};
use crate::value::Value;
use crate::write::Writer;

/// Encodes `value`.
///
/// # Errors
///
/// What of it AMQP cannot carry, or what its `Serialize` reports.
pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::new();
    let mut writer = Writer::new(&mut out);
    to_writer(value, &mut writer)?;
    writer.finish()?;
    Ok(out.freeze())
}

/// Appends `value` to what `writer` wrote before.
///
/// # Errors
///
/// As for [`to_bytes`]; then nothing is appended. A length above 2^32 - 1 however is reported by
/// [`Writer::finish`].
pub fn to_writer<T: Serialize + ?Sized>(
    value: &T,
    writer: &mut Writer<'_>,
) -> Result<(), EncodeError> {
    let start = writer.position();
    let written = value.serialize(ser::Serializer::new(writer, 0));
    if written.is_err() {
        writer.truncate(start);
    }
    written
}

/// Decodes a `T`, which must be the whole input. `&str` and `&[u8]` in `T` borrow from `input`.
///
/// # Errors
///
/// What is wrong with the bytes, or what `T`'s `Deserialize` does not accept, and at which octet.
pub fn from_bytes<'de, T: Deserialize<'de>>(input: &'de Bytes) -> Result<T, DecodeError> {
    read_all(de::Source::new(input))
}

/// Decodes like [`from_bytes`] from octets that are no `Bytes`, and copies them to read them. `&str`
/// and `&[u8]` in `T` borrow from `input` all the same.
///
/// # Errors
///
/// As for [`from_bytes`].
pub fn from_slice<'de, T: Deserialize<'de>>(input: &'de [u8]) -> Result<T, DecodeError> {
    read_all(de::Source::with_copy(input, Bytes::copy_from_slice(input)))
}

fn read_all<'de, T: Deserialize<'de>>(mut source: de::Source<'de>) -> Result<T, DecodeError> {
    let value = T::deserialize(de::Deserializer::new(&mut source))?;
    source.reader.expect_end()?;
    Ok(value)
}

/// The AMQP value that `value` is encoded as.
///
/// # Errors
///
/// As for [`to_bytes`].
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, EncodeError> {
    decode_value(to_bytes(value)?).map_err(::serde::ser::Error::custom)
}

/// The `T` that is encoded as `value`.
///
/// # Errors
///
/// As for [`from_bytes`]; the offset counts octets of the value's encoding.
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, DecodeError> {
    let encoded = crate::encode_value(value).map_err(::serde::de::Error::custom)?;
    from_bytes(&encoded)
}
