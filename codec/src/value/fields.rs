//! Maps whose keys are of one type: `fields`, annotations, filters, application properties.

use alloc::vec::Vec;

use super::Value;
use super::encoding::decode_each;
use super::map::FEW;
use crate::code::Type;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::read::{Decode, Reader};
use crate::symbol::Symbol;
use crate::text::Str;
use crate::write::{Encode, Writer};

/// `[3.2.10]` A key of annotations: a symbol, or a ulong, which is reserved (N-001).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum AnnotationKey {
    Symbol(Symbol),
    Ulong(u64),
}

impl From<Symbol> for AnnotationKey {
    fn from(symbol: Symbol) -> Self {
        Self::Symbol(symbol)
    }
}

impl From<u64> for AnnotationKey {
    fn from(number: u64) -> Self {
        Self::Ulong(number)
    }
}

impl Default for AnnotationKey {
    fn default() -> Self {
        Self::Ulong(0)
    }
}

impl PartialEq<str> for AnnotationKey {
    fn eq(&self, other: &str) -> bool {
        matches!(self, Self::Symbol(symbol) if symbol == other)
    }
}

impl Encode for AnnotationKey {
    fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Symbol(symbol) => symbol.encode(writer),
            Self::Ulong(number) => number.encode(writer),
        }
    }
}

impl Decode for AnnotationKey {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match Type::of_code(code) {
            Some(Type::Ulong) => u64::decode_body(reader, code).map(Self::Ulong),
            _ => Symbol::decode_body(reader, code).map(Self::Symbol),
        }
    }
}

/// The verbs that the map types have in common. They are types of their own, not one with a parameter, so
/// that a message cannot get filters for annotations.
macro_rules! keyed_map {
    ($(#[$doc:meta])* $name:ident, $key:ty, $check_value:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name {
            entries: Vec<($key, Value)>,
        }

        impl $name {
            /// An empty map.
            pub const fn new() -> Self {
                Self { entries: Vec::new() }
            }

            /// Number of entries.
            pub fn len(&self) -> usize {
                self.entries.len()
            }

            /// Whether there are no entries.
            pub fn is_empty(&self) -> bool {
                self.entries.is_empty()
            }

            /// Adds an entry at the end, or replaces the value of an equal key in place and returns the old
            /// one. Looks at all entries.
            pub fn insert(&mut self, key: impl Into<$key>, value: impl Into<Value>) -> Option<Value> {
                let (key, value) = (key.into(), value.into());
                match self.entries.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, old)) => Some(core::mem::replace(old, value)),
                    None => {
                        self.entries.push((key, value));
                        None
                    }
                }
            }

            /// The map with one more entry.
            pub fn with(mut self, key: impl Into<$key>, value: impl Into<Value>) -> Self {
                self.insert(key, value);
                self
            }

            /// The value of a key.
            pub fn get(&self, key: &str) -> Option<&Value> {
                self.entries.iter().find(|(known, _)| *known == *key).map(|(_, value)| value)
            }

            /// Whether there is such a key.
            pub fn contains_key(&self, key: &str) -> bool {
                self.get(key).is_some()
            }

            /// Removes a key and returns its value.
            pub fn remove(&mut self, key: &str) -> Option<Value> {
                let index = self.entries.iter().position(|(known, _)| *known == *key)?;
                Some(self.entries.remove(index).1)
            }

            /// The entries in their order.
            pub fn iter(&self) -> core::slice::Iter<'_, ($key, Value)> {
                self.entries.iter()
            }
        }

        impl IntoIterator for $name {
            type Item = ($key, Value);
            type IntoIter = alloc::vec::IntoIter<($key, Value)>;

            fn into_iter(self) -> Self::IntoIter {
                self.entries.into_iter()
            }
        }

        impl<'a> IntoIterator for &'a $name {
            type Item = &'a ($key, Value);
            type IntoIter = core::slice::Iter<'a, ($key, Value)>;

            fn into_iter(self) -> Self::IntoIter {
                self.iter()
            }
        }

        /// Of entries with equal keys, the last value stays, at the place of the first.
        impl<K: Into<$key>, V: Into<Value>> FromIterator<(K, V)> for $name {
            fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
                let entries: Vec<_> = entries.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
                if !has_equal_keys(&entries) {
                    return Self { entries };
                }
                let mut map = Self::new();
                for (key, value) in entries {
                    map.insert(key, value);
                }
                map
            }
        }

        impl Encode for $name {
            fn encode(&self, writer: &mut Writer<'_>) {
                encode_entries(&self.entries, writer);
            }
        }

        impl Decode for $name {
            fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
                let entries = decode_entries(reader, code, $check_value)?;
                Ok(Self { entries })
            }
        }
    };
}

keyed_map! {
    /// `[2.8.13]` An ordered map from symbols to values, such as the properties of a link (T-068).
    Fields, Symbol, check_any
}

keyed_map! {
    /// `[3.5.8]` The filters of a source: names to described values; null is no filter.
    FilterSet, Symbol, check_any
}

keyed_map! {
    /// `[3.2.10]` An ordered map from symbols, which applications begin with `x-opt-`, to values.
    Annotations, AnnotationKey, check_any
}

keyed_map! {
    /// `[3.2.5]` An ordered map from strings to values of simple types (B-001).
    ///
    /// [`insert`](Self::insert) takes any value: what a peer does with a list, a map or an array is not defined.
    ApplicationProperties, Str, check_simple
}

impl ApplicationProperties {
    /// The text of a property that is a string or symbol.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }
}

impl Fields {
    /// The map with one more entry whose name is known to be ASCII.
    ///
    /// # Panics
    ///
    /// When the name is not ASCII.
    pub fn with_static(self, key: &'static str, value: impl Into<Value>) -> Self {
        self.with(Symbol::from_static(key), value)
    }
}

impl From<Fields> for Annotations {
    fn from(fields: Fields) -> Self {
        fields.into_iter().collect()
    }
}

fn encode_entries<K: Encode>(entries: &[(K, Value)], writer: &mut Writer<'_>) {
    let mark = writer.begin_compound();
    for (key, value) in entries {
        key.encode(writer);
        value.encode(writer);
    }
    writer.end_map(mark, entries.len() * 2);
}

fn decode_entries<K: Decode + Default + Ord>(
    reader: &mut Reader,
    code: u8,
    check_value: fn(&Value) -> Result<(), DecodeErrorKind>,
) -> Result<Vec<(K, Value)>, DecodeError> {
    let map = reader.enter_map(code)?;
    let entries = decode_each(map.count as usize / 2, |(key, value): &mut (K, Value)| {
        *key = K::decode(reader)?;
        let code = reader.read_code()?;
        value.decode_into(reader, code)?;
        check_value(value).map_err(|kind| reader.error(kind))
    })?;
    reader.leave(map)?;
    if has_equal_keys(&entries) {
        return Err(reader.error(DecodeErrorKind::DuplicateKey));
    }
    Ok(entries)
}

/// Whether two keys are equal, in less than quadratic time.
pub(crate) fn has_equal_keys<K: Ord, V>(entries: &[(K, V)]) -> bool {
    if entries.len() <= FEW {
        let seen = |index: usize, key: &K| entries[..index].iter().any(|(other, _)| other == key);
        return entries
            .iter()
            .enumerate()
            .any(|(index, (key, _))| seen(index, key));
    }
    let mut keys: Vec<&K> = entries.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

fn check_any(_: &Value) -> Result<(), DecodeErrorKind> {
    Ok(())
}

/// A null, a simple value, or a simple value with a descriptor (B-001, B-002).
fn check_simple(value: &Value) -> Result<(), DecodeErrorKind> {
    let described = value
        .as_described()
        .map_or(value, |described| &described.value);
    if described.is_simple() {
        return Ok(());
    }
    let reason = "application-properties hold values of simple types only";
    Err(DecodeErrorKind::InvalidValue { reason })
}
