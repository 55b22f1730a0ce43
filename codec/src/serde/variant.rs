//! The variants of enums, and the types that our own `Value` needs to be told by name.

use ::serde::Deserializer as _;
use ::serde::de::value::U8Deserializer;
use ::serde::de::{
    self, Deserialize, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, Unexpected,
    VariantAccess, Visitor,
};

use super::access::Entries;
use super::de::Deserializer;
use crate::code::Type;
use crate::error::DecodeError;

type Result<T> = core::result::Result<T, DecodeError>;

/// A value whose type serde's data model does not tell from others, named by its format code: for our
/// own `Value`.
pub(super) struct Named<'a, 'de> {
    pub(super) code: u8,
    pub(super) content: Deserializer<'a, 'de>,
}

impl Named<'_, '_> {
    pub(super) fn is_for(found: Type) -> bool {
        matches!(
            found,
            Type::Symbol
                | Type::Timestamp
                | Type::Uuid
                | Type::Decimal32
                | Type::Decimal64
                | Type::Decimal128
                | Type::Array
                | Type::Described
        )
    }
}

impl<'a, 'de> EnumAccess<'de> for Named<'a, 'de> {
    type Error = DecodeError;
    type Variant = Content<'a, 'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Content<'a, 'de>)> {
        let code: U8Deserializer<DecodeError> = self.code.into_deserializer();
        Ok((seed.deserialize(code)?, Content(self.content)))
    }
}

/// A variant with data: the one entry of a map.
pub(super) struct Variant<'s, 'a, 'de>(&'s mut Entries<'a, 'de>);

impl<'s, 'a, 'de> Variant<'s, 'a, 'de> {
    pub(super) fn of(entries: &'s mut Entries<'a, 'de>) -> Self {
        Self(entries)
    }
}

impl<'s, 'de> EnumAccess<'de> for Variant<'s, '_, 'de> {
    type Error = DecodeError;
    type Variant = Content<'s, 'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Content<'s, 'de>)> {
        match self.0.next_key_seed(seed)? {
            Some(name) => Ok((name, Content(self.0.value()))),
            None => Err(de::Error::custom(
                "a map without an entry where a variant of an enum is expected",
            )),
        }
    }
}

/// The data of a variant.
pub(super) struct Content<'a, 'de>(Deserializer<'a, 'de>);

impl<'de> VariantAccess<'de> for Content<'_, 'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<()> {
        Deserialize::deserialize(self.0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        let start = self.0.position();
        seed.deserialize(self.0)
            .map_err(|error| error.located(start))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        let start = self.0.position();
        self.0
            .deserialize_tuple(len, visitor)
            .map_err(|error| error.located(start))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let start = self.0.position();
        self.0
            .deserialize_struct("", fields, visitor)
            .map_err(|error| error.located(start))
    }
}

/// A variant without data: its name alone.
pub(super) struct UnitVariant<'a, 'de>(pub(super) Deserializer<'a, 'de>);

impl<'de> EnumAccess<'de> for UnitVariant<'_, 'de> {
    type Error = DecodeError;
    type Variant = NoContent;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, NoContent)> {
        Ok((seed.deserialize(self.0)?, NoContent))
    }
}

pub(super) struct NoContent;

impl NoContent {
    fn missing(expected: &str) -> DecodeError {
        de::Error::invalid_type(Unexpected::UnitVariant, &expected)
    }
}

impl<'de> VariantAccess<'de> for NoContent {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<()> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value> {
        Err(Self::missing("a variant with a value"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value> {
        Err(Self::missing("a variant with a list of values"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value> {
        Err(Self::missing("a variant with fields"))
    }
}
