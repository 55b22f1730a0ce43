//! serde for `Value` and the types that are made of values.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use ::serde::de::{
    self, Deserialize, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use ::serde::ser::{Serialize, Serializer};
use bytes::Bytes;

use super::form::Form;
use crate::code::Type;
use crate::symbol::Symbol;
use crate::value::{
    AnnotationKey, Annotations, ApplicationProperties, Array, Described, Fields, FilterSet, Map,
    Value,
};

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => value.serialize(serializer),
            Value::Ubyte(value) => value.serialize(serializer),
            Value::Ushort(value) => value.serialize(serializer),
            Value::Uint(value) => value.serialize(serializer),
            Value::Ulong(value) => value.serialize(serializer),
            Value::Byte(value) => value.serialize(serializer),
            Value::Short(value) => value.serialize(serializer),
            Value::Int(value) => value.serialize(serializer),
            Value::Long(value) => value.serialize(serializer),
            Value::Float(value) => value.serialize(serializer),
            Value::Double(value) => value.serialize(serializer),
            Value::Decimal32(value) => value.serialize(serializer),
            Value::Decimal64(value) => value.serialize(serializer),
            Value::Decimal128(value) => value.serialize(serializer),
            Value::Char(value) => value.serialize(serializer),
            Value::Timestamp(value) => value.serialize(serializer),
            Value::Uuid(value) => value.serialize(serializer),
            Value::Binary(octets) => serializer.serialize_bytes(octets),
            Value::String(value) => value.serialize(serializer),
            Value::Symbol(value) => value.serialize(serializer),
            Value::List(items) => items.serialize(serializer),
            Value::Map(map) => map.serialize(serializer),
            Value::Array(array) => array.serialize(serializer),
            Value::Described(described) => described.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    /// From a field that is missing, a null.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any AMQP value")
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Form::Value.visit(deserializer, self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u8<E: de::Error>(self, value: u8) -> Result<Value, E> {
        Ok(Value::Ubyte(value))
    }

    fn visit_u16<E: de::Error>(self, value: u16) -> Result<Value, E> {
        Ok(Value::Ushort(value))
    }

    fn visit_u32<E: de::Error>(self, value: u32) -> Result<Value, E> {
        Ok(Value::Uint(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Ulong(value))
    }

    fn visit_i8<E: de::Error>(self, value: i8) -> Result<Value, E> {
        Ok(Value::Byte(value))
    }

    fn visit_i16<E: de::Error>(self, value: i16) -> Result<Value, E> {
        Ok(Value::Short(value))
    }

    fn visit_i32<E: de::Error>(self, value: i32) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Long(value))
    }

    fn visit_f32<E: de::Error>(self, value: f32) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Double(value))
    }

    fn visit_char<E: de::Error>(self, value: char) -> Result<Value, E> {
        Ok(Value::Char(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_bytes<E: de::Error>(self, octets: &[u8]) -> Result<Value, E> {
        Ok(Value::Binary(Bytes::copy_from_slice(octets)))
    }

    fn visit_byte_buf<E: de::Error>(self, octets: Vec<u8>) -> Result<Value, E> {
        Ok(Value::from(octets))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        EntriesVisitor::<Value, Map>(PhantomData)
            .visit_map(map)
            .map(Value::Map)
    }

    /// The types that serde's data model does not tell apart from others: our own deserializer names
    /// them by a format code.
    fn visit_enum<A: EnumAccess<'de>>(self, named: A) -> Result<Value, A::Error> {
        let (code, content) = named.variant::<u8>()?;
        match Type::of_code(code) {
            Some(Type::Symbol) => content.newtype_variant().map(Value::Symbol),
            Some(Type::Timestamp) => content.newtype_variant().map(Value::Timestamp),
            Some(Type::Uuid) => content.newtype_variant().map(Value::Uuid),
            Some(Type::Decimal32) => content.newtype_variant().map(Value::Decimal32),
            Some(Type::Decimal64) => content.newtype_variant().map(Value::Decimal64),
            Some(Type::Decimal128) => content.newtype_variant().map(Value::Decimal128),
            Some(Type::Array) => content.newtype_variant().map(Value::Array),
            Some(Type::Described) => content
                .newtype_variant()
                .map(|it| Value::Described(Box::new(it))),
            _ => Err(de::Error::invalid_type(de::Unexpected::Enum, &self)),
        }
    }
}

impl Serialize for Described {
    /// In another format a pair of descriptor and value.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form::Described.serialize(&(&self.descriptor, &self.value), serializer)
    }
}

impl<'de> Deserialize<'de> for Described {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (descriptor, value) = Form::Described.deserialize(deserializer)?;
        Ok(Described { descriptor, value })
    }
}

impl Serialize for Array {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form::Array.serialize(self.as_slice(), serializer)
    }
}

impl<'de> Deserialize<'de> for Array {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let elements: Vec<Value> = Form::Array.deserialize(deserializer)?;
        Array::try_from(elements).map_err(de::Error::custom)
    }
}

impl Serialize for AnnotationKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            AnnotationKey::Symbol(symbol) => symbol.serialize(serializer),
            AnnotationKey::Ulong(number) => number.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for AnnotationKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Form::Descriptor.visit(deserializer, AnnotationKeyVisitor)
    }
}

struct AnnotationKeyVisitor;

impl<'de> Visitor<'de> for AnnotationKeyVisitor {
    type Value = AnnotationKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a symbol or a ulong")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<AnnotationKey, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<AnnotationKey, E> {
        Symbol::try_from(text)
            .map(AnnotationKey::Symbol)
            .map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<AnnotationKey, E> {
        Ok(AnnotationKey::Ulong(number))
    }
}

/// Collects the entries of a map.
struct EntriesVisitor<K, M>(PhantomData<(K, M)>);

impl<'de, K: Deserialize<'de>, M: FromIterator<(K, Value)>> Visitor<'de> for EntriesVisitor<K, M> {
    type Value = M;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<M, A::Error> {
        let mut entries: Vec<(K, Value)> = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries.into_iter().collect())
    }
}

macro_rules! serde_as_map {
    ($($map:ty: $key:ty),*) => {$(
        impl Serialize for $map {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.iter().map(|(key, value)| (key, value)))
            }
        }

        impl<'de> Deserialize<'de> for $map {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_map(EntriesVisitor::<$key, $map>(PhantomData))
            }
        }
    )*};
}

serde_as_map!(
    Map: Value,
    Fields: Symbol,
    FilterSet: Symbol,
    Annotations: AnnotationKey,
    ApplicationProperties: crate::text::Str
);
