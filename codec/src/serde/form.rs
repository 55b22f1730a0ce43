//! How a type tells our own format what serde's data model has no word for.
//!
//! serde knows strings but no symbols, integers but no timestamps. Such a value is handed over as a
//! newtype struct with a reserved name. Our serializer and deserializer look at the name; every other
//! format passes a newtype struct on as what is in it.

use core::fmt;
use core::marker::PhantomData;

use ::serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use ::serde::de::{
    self, Deserialize, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use ::serde::ser::{Serialize, Serializer};

use crate::code::Type;
use crate::error::EncodeError;

/// What the value that follows is to be on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// What serde's data model says.
    Plain,
    /// A string as a symbol.
    Symbol,
    /// An integer as a timestamp.
    Timestamp,
    /// 16 octets as a uuid.
    Uuid,
    /// 4 octets as a decimal32.
    Decimal32,
    /// 8 octets as a decimal64.
    Decimal64,
    /// 16 octets as a decimal128.
    Decimal128,
    /// A sequence as an array.
    Array,
    /// A struct as a list of its fields.
    List,
    /// A pair as a described value.
    Described,
    /// A symbol or a ulong, which are the descriptors that have a meaning [1.5].
    Descriptor,
    /// Anything, with its exact type.
    Value,
}

impl Form {
    const MARKED: [Form; 11] = [
        Form::Symbol,
        Form::Timestamp,
        Form::Uuid,
        Form::Decimal32,
        Form::Decimal64,
        Form::Decimal128,
        Form::Array,
        Form::List,
        Form::Described,
        Form::Descriptor,
        Form::Value,
    ];

    /// The name of the newtype struct that stands for this form.
    const fn marker(self) -> &'static str {
        match self {
            Form::Plain => "amqp10",
            Form::Symbol => "amqp10:symbol",
            Form::Timestamp => "amqp10:timestamp",
            Form::Uuid => "amqp10:uuid",
            Form::Decimal32 => "amqp10:decimal32",
            Form::Decimal64 => "amqp10:decimal64",
            Form::Decimal128 => "amqp10:decimal128",
            Form::Array => "amqp10:array",
            Form::List => "amqp10:list",
            Form::Described => "amqp10:described",
            Form::Descriptor => "amqp10:descriptor",
            Form::Value => "amqp10:value",
        }
    }

    /// The form that a newtype struct of this name stands for; `None` for an application's own newtype
    /// struct.
    pub(super) fn of(name: &str) -> Option<Form> {
        if !name.starts_with("amqp10:") {
            return None;
        }
        Form::MARKED.into_iter().find(|form| form.marker() == name)
    }

    /// The one AMQP type that this form can be read from; `None` if there are several.
    pub(super) const fn wire_type(self) -> Option<Type> {
        Some(match self {
            Form::Symbol => Type::Symbol,
            Form::Timestamp => Type::Timestamp,
            Form::Uuid => Type::Uuid,
            Form::Decimal32 => Type::Decimal32,
            Form::Decimal64 => Type::Decimal64,
            Form::Decimal128 => Type::Decimal128,
            Form::Array => Type::Array,
            Form::List => Type::List,
            Form::Described => Type::Described,
            Form::Plain | Form::Descriptor | Form::Value => return None,
        })
    }

    /// The error for a value that has no such form.
    #[cold]
    pub(super) fn unsuitable(self) -> EncodeError {
        EncodeError::Unsuitable {
            form: self.wire_type().map_or("value", Type::name),
        }
    }

    /// Hands `value` to `serializer` in this form.
    pub(super) fn serialize<T: Serialize + ?Sized, S: Serializer>(
        self,
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(self.marker(), value)
    }

    /// Asks `deserializer` for a value in this form.
    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<T, D::Error> {
        deserializer.deserialize_newtype_struct(self.marker(), Transparent(PhantomData))
    }

    /// Asks `deserializer` for a value in this form and lets `visitor` see it.
    pub(super) fn visit<'de, V: Visitor<'de>, D: Deserializer<'de>>(
        self,
        deserializer: D,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        deserializer.deserialize_newtype_struct(self.marker(), visitor)
    }
}

/// Takes what is in the newtype struct, or what a format shows that does not care for newtype structs.
struct Transparent<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Transparent<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::any::type_name::<T>())
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        T::deserialize(number.into_deserializer())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        T::deserialize(number.into_deserializer())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::deserialize(text.into_deserializer())
    }

    fn visit_bytes<E: de::Error>(self, octets: &[u8]) -> Result<T, E> {
        T::deserialize(octets.into_deserializer())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<T, A::Error> {
        T::deserialize(SeqAccessDeserializer::new(sequence))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}
