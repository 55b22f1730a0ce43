//! `Value` from the natural Rust types.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Array, Described, Fields, Map, Value};
use crate::primitive::{Dec32, Dec64, Dec128, Timestamp, Uuid};
use crate::symbol::Symbol;
use crate::text::Str;

macro_rules! value_from {
    ($($type:ty: $variant:ident),* $(,)?) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Value::$variant(value)
            }
        }
    )*};
}

value_from! {
    bool: Bool,
    u8: Ubyte,
    u16: Ushort,
    u32: Uint,
    u64: Ulong,
    i8: Byte,
    i16: Short,
    i32: Int,
    i64: Long,
    f32: Float,
    f64: Double,
    Dec32: Decimal32,
    Dec64: Decimal64,
    Dec128: Decimal128,
    char: Char,
    Timestamp: Timestamp,
    Uuid: Uuid,
    Bytes: Binary,
    Str: String,
    Symbol: Symbol,
    Vec<Value>: List,
    Map: Map,
    Array: Array,
}

impl From<Described> for Value {
    fn from(described: Described) -> Self {
        Value::Described(Box::new(described))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text.into())
    }
}

impl From<Vec<u8>> for Value {
    fn from(octets: Vec<u8>) -> Self {
        Value::Binary(octets.into())
    }
}

impl From<Fields> for Value {
    fn from(fields: Fields) -> Self {
        Value::Map(
            fields
                .into_iter()
                .map(|(key, value)| (Value::Symbol(key), value))
                .collect(),
        )
    }
}

/// `None` is null.
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}
