//! Wrappers with which an application chooses the AMQP shape of its own types.

use core::fmt;
use core::marker::PhantomData;

use ::serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, SeqAccess, Unexpected, Visitor,
};
use ::serde::ser::{Serialize, Serializer};

use super::form::Form;

/// A struct as a list of its fields by position, the shape of the standard's own composite types [1.4].
///
/// Trailing nulls are not written. When it is read, a field that is null or missing at the end is
/// treated like an absent field of a map: `None` for an `Option`, the default under
/// `#[serde(default)]`, an error otherwise. Items behind the last field are ignored unless the struct
/// has `#[serde(deny_unknown_fields)]`.
///
/// Tuples and tuple structs are lists already; in this wrapper they too lose their trailing nulls.
///
/// serde knows that an absent `Option` is `None`, but of fields with `#[serde(with = "..")]` it has to
/// be told: they and fields of type `()` need `#[serde(default)]` as well.
///
/// The wrapper concerns the struct itself, not the structs in its fields. `#[serde(skip)]`ped fields
/// have no position; `#[serde(skip_serializing_if = "..")]` writes null. `#[serde(flatten)]` makes a
/// map of the struct, for which there is no list: writing it is an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsList<T>(pub T);

impl<T: Serialize> Serialize for AsList<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form::List.serialize(&self.0, serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for AsList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Form::List.deserialize(deserializer).map(AsList)
    }
}

/// A sequence as an array: elements of one type, which is written once [1.6.24].
///
/// Elements of different types are an error when it is written. A list in its place is an error when it
/// is read; a plain `Vec<T>` on the other hand reads arrays and lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsArray<T>(pub T);

impl<T: Serialize> Serialize for AsArray<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form::Array.serialize(&self.0, serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for AsArray<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Form::Array.deserialize(deserializer).map(AsArray)
    }
}

/// The descriptor that says what a described value means [1.1.2]: a symbol, a number, or either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Descriptor {
    symbol: Option<&'static str>,
    code: Option<u64>,
}

impl Descriptor {
    /// A symbolic descriptor, by convention `domain:name`.
    ///
    /// # Panics
    ///
    /// If `symbol` has characters other than ASCII; for a constant that is an error of the compiler.
    pub const fn symbol(symbol: &'static str) -> Self {
        assert!(symbol.is_ascii(), "a symbol has only ASCII characters");
        Self {
            symbol: Some(symbol),
            code: None,
        }
    }

    /// A numeric descriptor: an IANA enterprise number in the upper 32 bits, an id in the lower [1.5].
    pub const fn code(code: u64) -> Self {
        Self {
            symbol: None,
            code: Some(code),
        }
    }

    /// Adds the number that means the same as the symbol: it is what is written, both are read.
    pub const fn or_code(self, code: u64) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.symbol, self.code) {
            (Some(symbol), Some(code)) => write!(f, "{symbol} ({code:#x})"),
            (Some(symbol), None) => f.write_str(symbol),
            (None, code) => write!(f, "{:#x}", code.unwrap_or_default()),
        }
    }
}

impl Serialize for Descriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.code, self.symbol) {
            (Some(code), _) => serializer.serialize_u64(code),
            (None, symbol) => Form::Symbol.serialize(symbol.unwrap_or_default(), serializer),
        }
    }
}

/// A type that has a descriptor, for use in [`AsDescribed`].
pub trait Describe {
    /// The descriptor that is written before the value and expected when it is read.
    const DESCRIPTOR: Descriptor;
}

impl<T: Describe> Describe for AsList<T> {
    const DESCRIPTOR: Descriptor = T::DESCRIPTOR;
}

impl<T: Describe> Describe for AsArray<T> {
    const DESCRIPTOR: Descriptor = T::DESCRIPTOR;
}

impl<T: Describe + ?Sized> Describe for &T {
    const DESCRIPTOR: Descriptor = T::DESCRIPTOR;
}

/// A value with the descriptor of its type [1.1.2]. A value without it, or with another one, is an
/// error when it is read.
///
/// `AsDescribed<AsList<T>>`, for short [`AsComposite<T>`], is a composite type as the standard has
/// them: a described list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsDescribed<T>(pub T);

/// A composite type as in the standard [1.4]: a described list of fields.
pub type AsComposite<T> = AsDescribed<AsList<T>>;

impl<T: Serialize + Describe> Serialize for AsDescribed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form::Described.serialize(&(T::DESCRIPTOR, &self.0), serializer)
    }
}

impl<'de, T: Deserialize<'de> + Describe> Deserialize<'de> for AsDescribed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Form::Described
            .visit(deserializer, DescribedVisitor(PhantomData))
            .map(AsDescribed)
    }
}

/// Reads the pair of descriptor and value; checks the first before the second is looked at.
struct DescribedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Describe> Visitor<'de> for DescribedVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value described as {}", T::DESCRIPTOR)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_tuple(2, self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<T, A::Error> {
        pair.next_element_seed(Expected(T::DESCRIPTOR))?
            .ok_or_else(|| de::Error::invalid_length(0, &self))?;
        pair.next_element()?
            .ok_or_else(|| de::Error::invalid_length(1, &self))
    }
}

/// Reads a descriptor and compares it with the one that the type has.
struct Expected(Descriptor);

impl<'de> DeserializeSeed<'de> for Expected {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        Form::Descriptor.visit(deserializer, self)
    }
}

impl<'de> Visitor<'de> for Expected {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the descriptor {}", self.0)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_str<E: de::Error>(self, symbol: &str) -> Result<(), E> {
        match self.0.symbol == Some(symbol) {
            true => Ok(()),
            false => Err(E::invalid_value(Unexpected::Str(symbol), &self)),
        }
    }

    fn visit_u64<E: de::Error>(self, code: u64) -> Result<(), E> {
        match self.0.code == Some(code) {
            true => Ok(()),
            false => Err(E::invalid_value(Unexpected::Unsigned(code), &self)),
        }
    }
}
