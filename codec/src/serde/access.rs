//! What is inside lists, maps, arrays and described values, one after the other.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use ::serde::de::value::U64Deserializer;
use ::serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess};
use bytes::Bytes;

use super::de::{Constructor, Deserializer, Source};
use crate::code;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::read::Decode;
use crate::value::Value;
use crate::{decode_value, encode_value};

type Result<T> = core::result::Result<T, DecodeError>;

/// Reads a value; an error that has no place yet is placed at its begin.
fn read_value<'de, T: DeserializeSeed<'de>>(
    source: &mut Source<'de>,
    constructor: Option<Constructor<'_>>,
    seed: T,
) -> Result<T::Value> {
    let start = source.reader.position();
    seed.deserialize(Deserializer::with_constructor(source, constructor))
        .map_err(|error| error.located(start))
}

/// The error for a compound with more in it than the type has room for.
#[cold]
fn left_over(source: &Source<'_>, count: u32) -> DecodeError {
    let error: DecodeError =
        de::Error::custom(format!("{count} more values than the type has room for"));
    error.located(source.reader.position())
}

/// The items of a list.
pub(super) struct Items<'a, 'de> {
    source: &'a mut Source<'de>,
    left: u32,
    /// How many nulls follow the last item for the type that is read.
    padding: usize,
}

impl<'a, 'de> Items<'a, 'de> {
    /// Enters the list, lets `visit` see the items, and leaves it.
    pub(super) fn read<T>(
        source: &mut Source<'de>,
        code: u8,
        visit: impl FnOnce(&mut Items<'_, 'de>) -> Result<T>,
    ) -> Result<T> {
        let list = source.reader.enter_list(code)?;
        let mut items = Items {
            source,
            left: list.count,
            padding: 0,
        };
        let value = visit(&mut items)?;
        let Items { source, left, .. } = items;
        if left > 0 {
            return Err(left_over(source, left));
        }
        source.reader.leave(list)?;
        Ok(value)
    }

    /// The same items, with nulls at the end up to `len`.
    pub(super) fn padded_to(&mut self, len: usize) -> &mut Self {
        self.padding = len.saturating_sub(self.left as usize);
        self
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.left > 0 {
            self.left -= 1;
            return read_value(self.source, None, seed).map(Some);
        }
        if self.padding > 0 {
            self.padding -= 1;
            let null = Constructor {
                descriptors: &[],
                code: code::NULL,
            };
            return read_value(self.source, Some(null), seed).map(Some);
        }
        Ok(None)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left as usize + self.padding)
    }
}

/// The items of a list as the fields of a struct. A field that is null counts as one that is not there
/// (T-055).
///
/// A field is named by its position, which the code that serde generates takes for a name.
pub(super) struct Fields<'s, 'a, 'de> {
    items: &'s mut Items<'a, 'de>,
    position: u64,
}

impl<'s, 'a, 'de> Fields<'s, 'a, 'de> {
    pub(super) fn of(items: &'s mut Items<'a, 'de>) -> Self {
        Self { items, position: 0 }
    }
}

impl<'de> MapAccess<'de> for Fields<'_, '_, 'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        while self.items.left > 0 {
            let position = self.position;
            self.position += 1;
            if !self.items.source.reader.take_null()? {
                let position: U64Deserializer<DecodeError> = position.into_deserializer();
                let start = self.items.source.reader.position();
                return seed
                    .deserialize(position)
                    .map(Some)
                    .map_err(|error| error.located(start));
            }
            self.items.left -= 1;
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        self.items.left = self.items.left.saturating_sub(1);
        read_value(self.items.source, None, seed)
    }
}

/// The elements of an array.
pub(super) struct Elements<'a, 'de> {
    source: &'a mut Source<'de>,
    left: u32,
    descriptors: Vec<usize>,
    code: u8,
}

impl<'a, 'de> Elements<'a, 'de> {
    /// Enters the array, lets `visit` see the elements, and leaves it.
    pub(super) fn read<T>(
        source: &mut Source<'de>,
        code: u8,
        visit: impl FnOnce(&mut Elements<'_, 'de>) -> Result<T>,
    ) -> Result<T> {
        let array = source.reader.enter_array(code)?;
        let mut elements = Elements {
            source,
            left: array.count,
            descriptors: Vec::new(),
            code: code::NULL,
        };
        // T-040: some peers leave out the constructor of an empty array.
        if array.count > 0 || elements.source.reader.remaining() > 0 {
            elements.read_constructor()?;
        }
        let value = visit(&mut elements)?;
        let Elements { source, left, .. } = elements;
        if left > 0 {
            return Err(left_over(source, left));
        }
        source.reader.leave(array)?;
        Ok(value)
    }

    /// Reads descriptors and format code. What the descriptors repeat for each element counts as
    /// unbacked (T-039).
    fn read_constructor(&mut self) -> Result<()> {
        let reader = &mut self.source.reader;
        let mut repeated = 0u64;
        while reader.peek_code()? == code::DESCRIBED {
            reader.deepen()?;
            reader.read_code()?;
            self.descriptors.push(reader.position());
            repeated = repeated.saturating_add(Value::decode(reader)?.node_count());
        }
        self.descriptors.iter().for_each(|_| reader.rise());
        reader.charge_unbacked(repeated.saturating_sub(1).saturating_mul(self.left.into()))?;
        self.code = reader.read_element_code(self.left)?;
        Ok(())
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let constructor = Constructor {
            descriptors: &self.descriptors,
            code: self.code,
        };
        read_value(self.source, Some(constructor), seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left as usize)
    }
}

/// Descriptor and value.
pub(super) struct Pair<'a, 'de> {
    source: &'a mut Source<'de>,
    constructor: Option<Constructor<'a>>,
    read: u8,
}

impl<'a, 'de> Pair<'a, 'de> {
    /// Lets `visit` see the descriptor and the value that follow the code of a described value.
    pub(super) fn read<T>(
        source: &mut Source<'de>,
        constructor: Option<Constructor<'_>>,
        visit: impl FnOnce(&mut Pair<'_, 'de>) -> Result<T>,
    ) -> Result<T> {
        source.reader.deepen()?;
        let mut pair = Pair {
            source,
            constructor,
            read: 0,
        };
        let value = visit(&mut pair)?;
        let Pair { source, read, .. } = pair;
        if read < 2 {
            return Err(left_over(source, 2 - u32::from(read)));
        }
        source.reader.rise();
        Ok(value)
    }
}

impl<'de> Pair<'_, 'de> {
    fn descriptor<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        match self
            .constructor
            .and_then(|shared| shared.descriptors.first())
        {
            None => read_value(self.source, None, seed),
            Some(position) => read_value(&mut self.source.at(*position), None, seed),
        }
    }

    fn described<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        let constructor = self.constructor.map(Constructor::of_described);
        read_value(self.source, constructor, seed)
    }
}

impl<'de> SeqAccess<'de> for Pair<'_, 'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        self.read = (self.read + 1).min(3);
        match self.read {
            1 => self.descriptor(seed).map(Some),
            2 => self.described(seed).map(Some),
            _ => Ok(None),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(2 - usize::from(self.read.min(2)))
    }
}

/// The entries of a map.
pub(super) struct Entries<'a, 'de> {
    source: &'a mut Source<'de>,
    left: u32,
    /// The narrowest encodings of the keys so far.
    keys: BTreeSet<Bytes>,
}

impl<'a, 'de> Entries<'a, 'de> {
    /// Enters the map, lets `visit` see the entries, and leaves it.
    pub(super) fn read<T>(
        source: &mut Source<'de>,
        code: u8,
        visit: impl FnOnce(&mut Entries<'_, 'de>) -> Result<T>,
    ) -> Result<T> {
        let map = source.reader.enter_map(code)?;
        let mut entries = Entries {
            source,
            left: map.count / 2,
            keys: BTreeSet::new(),
        };
        let value = visit(&mut entries)?;
        let Entries { source, left, .. } = entries;
        if left > 0 {
            return Err(left_over(source, 2 * left));
        }
        source.reader.leave(map)?;
        Ok(value)
    }

    /// The value of the entry whose key was read.
    pub(super) fn value(&mut self) -> Deserializer<'_, 'de> {
        Deserializer::new(self.source)
    }

    /// Refuses the key that was read from `start` on if the map has an equal one (T-032).
    fn check_key(&mut self, start: usize) -> Result<()> {
        let encoded = self
            .source
            .bytes
            .slice(start..self.source.reader.position());
        match self.keys.insert(narrowest(encoded)?) {
            true => Ok(()),
            false => Err(DecodeError::new(start, DecodeErrorKind::DuplicateKey)),
        }
    }
}

/// The narrowest encoding of a value, which is the same for all equal values.
fn narrowest(encoded: Bytes) -> Result<Bytes> {
    match encoded.first() {
        Some(&(code::STRING_8 | code::SYMBOL_8)) => Ok(encoded),
        _ => encode_value(&decode_value(encoded)?).map_err(de::Error::custom),
    }
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let start = self.source.reader.position();
        let key = read_value(self.source, None, seed)?;
        self.check_key(start)?;
        Ok(Some(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        read_value(self.source, None, seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left as usize)
    }
}
