//! Maps with keys of any type.

use alloc::vec::Vec;

use bytes::BytesMut;

use super::Value;
use super::encoding::decode_each;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::read::{Decode, Reader};
use crate::write::{Encode, Writer};

/// So many entries are compared pair by pair; above, keys are sorted.
pub(super) const FEW: usize = 16;
/// No more entries than this are allocated on the word of a count.
pub(super) const PREALLOCATED: usize = 1024;

/// `[1.6.23]` An ordered map without equal keys (T-031, T-033).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Map {
    entries: Vec<(Value, Value)>,
}

impl Map {
    /// An empty map.
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an entry at the end, or replaces the value of an equal key in place and returns the old one.
    /// Looks at all entries.
    pub fn insert(&mut self, key: impl Into<Value>, value: impl Into<Value>) -> Option<Value> {
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
    pub fn with(mut self, key: impl Into<Value>, value: impl Into<Value>) -> Self {
        self.insert(key, value);
        self
    }

    /// The value of a key.
    pub fn get(&self, key: &Value) -> Option<&Value> {
        self.entries
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value)
    }

    /// The value of a key that is this string, or else this symbol.
    pub fn get_str(&self, key: &str) -> Option<&Value> {
        let is_string = |known: &Value| matches!(known, Value::String(text) if text == key);
        let is_symbol = |known: &Value| matches!(known, Value::Symbol(text) if text == key);
        let find = |is: &dyn Fn(&Value) -> bool| self.entries.iter().find(|(known, _)| is(known));
        find(&is_string)
            .or_else(|| find(&is_symbol))
            .map(|(_, value)| value)
    }

    /// Removes a key and returns its value.
    pub fn remove(&mut self, key: &Value) -> Option<Value> {
        let index = self.entries.iter().position(|(known, _)| known == key)?;
        Some(self.entries.remove(index).1)
    }

    /// The entries in their order.
    pub fn iter(&self) -> core::slice::Iter<'_, (Value, Value)> {
        self.entries.iter()
    }
}

impl IntoIterator for Map {
    type Item = (Value, Value);
    type IntoIter = alloc::vec::IntoIter<(Value, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a> IntoIterator for &'a Map {
    type Item = &'a (Value, Value);
    type IntoIter = core::slice::Iter<'a, (Value, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Of entries with equal keys, the last value stays, at the place of the first.
impl<K: Into<Value>, V: Into<Value>> FromIterator<(K, V)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect();
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

impl Encode for Map {
    fn encode(&self, writer: &mut Writer<'_>) {
        let mark = writer.begin_compound();
        self.encode_items(writer);
        writer.end_map(mark, self.len() * 2);
    }
}

impl Map {
    pub(super) fn encode_items(&self, writer: &mut Writer<'_>) {
        for (key, value) in &self.entries {
            key.encode(writer);
            value.encode(writer);
        }
    }
}

impl Decode for Map {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        let map = reader.enter_map(code)?;
        let count = map.count as usize / 2;
        let entries = decode_each(count, |(key, value): &mut (Value, Value)| {
            let code = reader.read_code()?;
            key.decode_into(reader, code)?;
            let code = reader.read_code()?;
            value.decode_into(reader, code)
        })?;
        reader.leave(map)?;
        if has_equal_keys(&entries) {
            return Err(reader.error(DecodeErrorKind::DuplicateKey));
        }
        Ok(Self { entries })
    }
}

/// Whether two keys are equal, in less than quadratic time.
fn has_equal_keys(entries: &[(Value, Value)]) -> bool {
    if entries.len() > FEW {
        return has_equal_encodings(entries.iter().map(|(key, _)| key));
    }
    entries
        .iter()
        .enumerate()
        .any(|(index, (key, _))| entries[..index].iter().any(|(other, _)| other == key))
}

/// Keys are equal exactly when their encodings are, for the writer has one encoding for each value.
fn has_equal_encodings<'a>(keys: impl Iterator<Item = &'a Value>) -> bool {
    let mut encoded = BytesMut::new();
    let mut ends = Vec::new();
    for key in keys {
        let start = encoded.len();
        key.encode(&mut Writer::new(&mut encoded));
        ends.push((start, encoded.len()));
    }
    let mut keys: Vec<&[u8]> = ends
        .into_iter()
        .map(|(start, end)| &encoded[start..end])
        .collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}
