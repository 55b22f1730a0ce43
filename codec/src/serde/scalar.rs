//! serde for the scalar types of this crate.
//!
//! In our own format they keep their AMQP type, in another one they are the string, number or octets
//! that they look like.

use core::fmt;

use alloc::string::String;

use ::serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};
use ::serde::ser::{Serialize, Serializer};
use serde_bytes::{ByteArray, Bytes};

use super::form::Form;
use crate::{Dec32, Dec64, Dec128, DeliveryTag, Str, Symbol, Timestamp, Uuid};

impl Serialize for Str {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Str {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(StrVisitor)
    }
}

struct StrVisitor;

impl Visitor<'_> for StrVisitor {
    type Value = Str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Str, E> {
        Ok(Str::from(text))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Str, E> {
        Ok(Str::from(text))
    }
}

impl Serialize for Symbol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form::Symbol.serialize(self.as_str(), serializer)
    }
}

impl<'de> Deserialize<'de> for Symbol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Form::Symbol.visit(deserializer, SymbolVisitor)
    }
}

struct SymbolVisitor;

impl<'de> Visitor<'de> for SymbolVisitor {
    type Value = Symbol;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a symbol, which has only ASCII characters")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Symbol, D::Error> {
        deserializer.deserialize_str(self)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Symbol, E> {
        Symbol::try_from(text).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form::Timestamp.serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Form::Timestamp.deserialize(deserializer).map(Timestamp)
    }
}

impl Serialize for Uuid {
    /// As a uuid; as text with hyphens in a format that people read.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => serializer.collect_str(self),
            false => Form::Uuid.serialize(Bytes::new(&self.0), serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.is_human_readable() {
            true => deserializer.deserialize_str(UuidTextVisitor),
            false => octets(Form::Uuid, deserializer).map(Uuid),
        }
    }
}

struct UuidTextVisitor;

impl Visitor<'_> for UuidTextVisitor {
    type Value = Uuid;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a UUID of 32 hexadecimal digits, with or without hyphens")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Uuid, E> {
        parse_uuid(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }

    /// serde's buffer for untagged enums says that it is human readable, whatever it was filled from.
    fn visit_bytes<E: de::Error>(self, octets: &[u8]) -> Result<Uuid, E> {
        octets
            .try_into()
            .map(Uuid)
            .map_err(|_| E::invalid_length(octets.len(), &self))
    }
}

fn parse_uuid(text: &str) -> Option<Uuid> {
    let mut octets = [0; 16];
    let mut digits = 0;
    for digit in text.chars().filter(|&c| c != '-') {
        let octet = octets.get_mut(digits / 2)?;
        *octet = *octet << 4 | u8::try_from(digit.to_digit(16)?).ok()?;
        digits += 1;
    }
    (digits == 32).then_some(Uuid(octets))
}

impl Serialize for Dec32 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form::Decimal32.serialize(Bytes::new(&self.0), serializer)
    }
}

impl<'de> Deserialize<'de> for Dec32 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        octets(Form::Decimal32, deserializer).map(Dec32)
    }
}

impl Serialize for Dec64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form::Decimal64.serialize(Bytes::new(&self.0), serializer)
    }
}

impl<'de> Deserialize<'de> for Dec64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        octets(Form::Decimal64, deserializer).map(Dec64)
    }
}

impl Serialize for Dec128 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form::Decimal128.serialize(Bytes::new(&self.0), serializer)
    }
}

impl<'de> Deserialize<'de> for Dec128 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        octets(Form::Decimal128, deserializer).map(Dec128)
    }
}

/// So many octets, exactly.
fn octets<'de, const N: usize, D: Deserializer<'de>>(
    form: Form,
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    form.deserialize::<ByteArray<N>, D>(deserializer)
        .map(ByteArray::into_array)
}

impl Serialize for DeliveryTag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.as_bytes())
    }
}

impl<'de> Deserialize<'de> for DeliveryTag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let octets = serde_bytes::ByteBuf::deserialize(deserializer)?;
        DeliveryTag::try_from(octets.as_slice()).map_err(de::Error::custom)
    }
}
