//! `Value`: any AMQP value.

mod array;
mod convert;
mod encoding;
mod fields;
mod map;

pub use array::{Array, MixedArrayError};
pub(crate) use fields::has_equal_keys;
pub use fields::{AnnotationKey, Annotations, ApplicationProperties, Fields, FilterSet};
pub use map::Map;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::code::Type;
use crate::primitive::{Dec32, Dec64, Dec128, Timestamp, Uuid};
use crate::symbol::Symbol;
use crate::text::Str;

/// `[1.1]` Any AMQP value.
///
/// Two values are equal if they have the same type and the same content (T-034): uint 1 is not int 1, and
/// floats are compared by their bits, so that NaN equals itself and can be a key.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // the names of the standard
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Ubyte(u8),
    Ushort(u16),
    Uint(u32),
    Ulong(u64),
    Byte(i8),
    Short(i16),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    Decimal32(Dec32),
    Decimal64(Dec64),
    Decimal128(Dec128),
    Char(char),
    Timestamp(Timestamp),
    Uuid(Uuid),
    Binary(Bytes),
    String(Str),
    Symbol(Symbol),
    List(Vec<Value>),
    Map(Map),
    Array(Array),
    Described(Box<Described>),
}

/// `[1.1.2]` A value with a descriptor that gives it a meaning.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Described {
    /// Usually a symbol or a ulong (T-048).
    pub descriptor: Value,
    /// The value described.
    pub value: Value,
}

impl Value {
    /// A value with a descriptor.
    pub fn described(descriptor: impl Into<Value>, value: impl Into<Value>) -> Self {
        Self::Described(Box::new(Described {
            descriptor: descriptor.into(),
            value: value.into(),
        }))
    }

    /// The type of the value.
    pub fn type_of(&self) -> Type {
        match self {
            Value::Null => Type::Null,
            Value::Bool(_) => Type::Boolean,
            Value::Ubyte(_) => Type::Ubyte,
            Value::Ushort(_) => Type::Ushort,
            Value::Uint(_) => Type::Uint,
            Value::Ulong(_) => Type::Ulong,
            Value::Byte(_) => Type::Byte,
            Value::Short(_) => Type::Short,
            Value::Int(_) => Type::Int,
            Value::Long(_) => Type::Long,
            Value::Float(_) => Type::Float,
            Value::Double(_) => Type::Double,
            Value::Decimal32(_) => Type::Decimal32,
            Value::Decimal64(_) => Type::Decimal64,
            Value::Decimal128(_) => Type::Decimal128,
            Value::Char(_) => Type::Char,
            Value::Timestamp(_) => Type::Timestamp,
            Value::Uuid(_) => Type::Uuid,
            Value::Binary(_) => Type::Binary,
            Value::String(_) => Type::String,
            Value::Symbol(_) => Type::Symbol,
            Value::List(_) => Type::List,
            Value::Map(_) => Type::Map,
            Value::Array(_) => Type::Array,
            Value::Described(_) => Type::Described,
        }
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Whether this is of a simple type: neither list, map, array nor described (B-001).
    pub fn is_simple(&self) -> bool {
        !matches!(
            self,
            Value::List(_) | Value::Map(_) | Value::Array(_) | Value::Described(_)
        )
    }

    /// The boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// An integer of any AMQP type, if an `i64` can hold it.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Byte(value) => Some((*value).into()),
            Value::Short(value) => Some((*value).into()),
            Value::Int(value) => Some((*value).into()),
            Value::Long(value) => Some(*value),
            _ => i64::try_from(self.as_unsigned()?).ok(),
        }
    }

    /// An integer of any AMQP type, if a `u64` can hold it.
    pub fn as_u64(&self) -> Option<u64> {
        match self.as_unsigned() {
            Some(value) => Some(value),
            None => u64::try_from(self.as_i64()?).ok(),
        }
    }

    fn as_unsigned(&self) -> Option<u64> {
        match self {
            Value::Ubyte(value) => Some((*value).into()),
            Value::Ushort(value) => Some((*value).into()),
            Value::Uint(value) => Some((*value).into()),
            Value::Ulong(value) => Some(*value),
            _ => None,
        }
    }

    /// An integer of any AMQP type, if an `i32` can hold it.
    pub fn as_i32(&self) -> Option<i32> {
        i32::try_from(self.as_i64()?).ok()
    }

    /// An integer of any AMQP type, if a `u32` can hold it.
    pub fn as_u32(&self) -> Option<u32> {
        u32::try_from(self.as_u64()?).ok()
    }

    /// A float or double.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Float(value) => Some((*value).into()),
            Value::Double(value) => Some(*value),
            _ => None,
        }
    }

    /// The text of a string or symbol.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text.as_str()),
            Value::Symbol(symbol) => Some(symbol.as_str()),
            _ => None,
        }
    }

    /// The symbol.
    pub fn as_symbol(&self) -> Option<&Symbol> {
        match self {
            Value::Symbol(symbol) => Some(symbol),
            _ => None,
        }
    }

    /// The octets of a binary.
    pub fn as_binary(&self) -> Option<&Bytes> {
        match self {
            Value::Binary(octets) => Some(octets),
            _ => None,
        }
    }

    /// The timestamp.
    pub fn as_timestamp(&self) -> Option<Timestamp> {
        match self {
            Value::Timestamp(value) => Some(*value),
            _ => None,
        }
    }

    /// The uuid.
    pub fn as_uuid(&self) -> Option<Uuid> {
        match self {
            Value::Uuid(value) => Some(*value),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The map.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The array.
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// The described value with its descriptor.
    pub fn as_described(&self) -> Option<&Described> {
        match self {
            Value::Described(described) => Some(described),
            _ => None,
        }
    }

    /// How many values this is made of, itself included.
    pub(crate) fn node_count(&self) -> u64 {
        let inside: u64 = match self {
            Value::List(items) => items.iter().map(Value::node_count).sum(),
            Value::Array(array) => array.iter().map(Value::node_count).sum(),
            Value::Map(map) => map
                .iter()
                .map(|(key, value)| key.node_count() + value.node_count())
                .sum(),
            Value::Described(described) => {
                described.descriptor.node_count() + described.value.node_count()
            }
            _ => 0,
        };
        inside + 1
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Ubyte(a), Value::Ubyte(b)) => a == b,
            (Value::Ushort(a), Value::Ushort(b)) => a == b,
            (Value::Uint(a), Value::Uint(b)) => a == b,
            (Value::Ulong(a), Value::Ulong(b)) => a == b,
            (Value::Byte(a), Value::Byte(b)) => a == b,
            (Value::Short(a), Value::Short(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Long(a), Value::Long(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits(),
            (Value::Decimal32(a), Value::Decimal32(b)) => a == b,
            (Value::Decimal64(a), Value::Decimal64(b)) => a == b,
            (Value::Decimal128(a), Value::Decimal128(b)) => a == b,
            (Value::Char(a), Value::Char(b)) => a == b,
            (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
            (Value::Uuid(a), Value::Uuid(b)) => a == b,
            (Value::Binary(a), Value::Binary(b)) => a == b,
            (Value::String(a), Value::String(b)) => a == b,
            (Value::Symbol(a), Value::Symbol(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => a == b,
            (Value::Array(a), Value::Array(b)) => a == b,
            (Value::Described(a), Value::Described(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        core::mem::discriminant(self).hash(state);
        match self {
            Value::Null => {}
            Value::Bool(value) => value.hash(state),
            Value::Ubyte(value) => value.hash(state),
            Value::Ushort(value) => value.hash(state),
            Value::Uint(value) => value.hash(state),
            Value::Ulong(value) => value.hash(state),
            Value::Byte(value) => value.hash(state),
            Value::Short(value) => value.hash(state),
            Value::Int(value) => value.hash(state),
            Value::Long(value) => value.hash(state),
            Value::Float(value) => value.to_bits().hash(state),
            Value::Double(value) => value.to_bits().hash(state),
            Value::Decimal32(value) => value.hash(state),
            Value::Decimal64(value) => value.hash(state),
            Value::Decimal128(value) => value.hash(state),
            Value::Char(value) => value.hash(state),
            Value::Timestamp(value) => value.hash(state),
            Value::Uuid(value) => value.hash(state),
            Value::Binary(value) => value.hash(state),
            Value::String(value) => value.hash(state),
            Value::Symbol(value) => value.hash(state),
            Value::List(value) => value.hash(state),
            Value::Map(value) => value.hash(state),
            Value::Array(value) => value.hash(state),
            Value::Described(value) => value.hash(state),
        }
    }
}
