//! Lists, maps, arrays and described values while serde writes what is in them.

use alloc::vec::Vec;
use core::ops::Range;

use ::serde::ser::{
    self, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant,
};
use bytes::BytesMut;

use super::ser::Serializer;
use crate::code;
use crate::decode_value;
use crate::error::EncodeError;
use crate::read::DecodeLimits;
use crate::value::{Array, Value};
use crate::write::{Encode, Mark, Writer};

/// One level deeper, if decoders with the default limits still read that (T-045).
fn deepen(depth: u32) -> Result<u32, EncodeError> {
    if depth < DecodeLimits::DEPTH {
        Ok(depth + 1)
    } else {
        Err(EncodeError::TooDeep)
    }
}

/// The map with one entry, `variant` = the compound that follows, in which the data of an enum's
/// variant stands.
struct Variant(Mark);

impl Variant {
    fn begin(writer: &mut Writer<'_>, variant: &str) -> Self {
        let mark = writer.begin_compound();
        writer.write_string(variant);
        Self(mark)
    }

    fn end(self, writer: &mut Writer<'_>) {
        writer.end_map(self.0, 2);
    }
}

/// A list that is being written.
pub(super) struct List<'a, 'b> {
    writer: &'a mut Writer<'b>,
    depth: u32,
    variant: Option<Variant>,
    mark: Mark,
    count: usize,
    /// Position and count behind the last item that stays in the list.
    kept: (usize, usize),
    drops_trailing_nulls: bool,
}

impl<'a, 'b> List<'a, 'b> {
    pub(super) fn begin(
        writer: &'a mut Writer<'b>,
        mut depth: u32,
        variant: Option<&'static str>,
    ) -> Result<Self, EncodeError> {
        let mut outer = None;
        if let Some(name) = variant {
            depth = deepen(depth)?;
            outer = Some(Variant::begin(writer, name));
        }
        let depth = deepen(depth)?;
        let mark = writer.begin_compound();
        let kept = (writer.position(), 0);
        Ok(Self {
            writer,
            depth,
            variant: outer,
            mark,
            count: 0,
            kept,
            drops_trailing_nulls: false,
        })
    }

    /// The same list, but nulls at its end are not written (T-053).
    pub(super) fn without_trailing_nulls(self) -> Self {
        Self {
            drops_trailing_nulls: true,
            ..self
        }
    }

    fn item<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), EncodeError> {
        let start = self.writer.position();
        item.serialize(Serializer::new(self.writer, self.depth))?;
        self.count += 1;
        if !self.drops_trailing_nulls || self.writer.written(start..) != [code::NULL] {
            self.kept = (self.writer.position(), self.count);
        }
        Ok(())
    }

    fn null(&mut self) -> Result<(), EncodeError> {
        self.item(&())
    }

    fn finish(self) -> Result<(), EncodeError> {
        let (position, count) = self.kept;
        self.writer.truncate(position);
        self.writer.end_list(self.mark, count);
        if let Some(variant) = self.variant {
            variant.end(self.writer);
        }
        Ok(())
    }
}

/// A map that is being written.
pub(super) struct Map<'a, 'b> {
    writer: &'a mut Writer<'b>,
    depth: u32,
    variant: Option<Variant>,
    mark: Mark,
    /// Where the keys are in the buffer.
    keys: Vec<Range<usize>>,
}

impl<'a, 'b> Map<'a, 'b> {
    pub(super) fn begin(
        writer: &'a mut Writer<'b>,
        mut depth: u32,
        variant: Option<&'static str>,
    ) -> Result<Self, EncodeError> {
        let mut outer = None;
        if let Some(name) = variant {
            depth = deepen(depth)?;
            outer = Some(Variant::begin(writer, name));
        }
        let depth = deepen(depth)?;
        let mark = writer.begin_compound();
        Ok(Self {
            writer,
            depth,
            variant: outer,
            mark,
            keys: Vec::new(),
        })
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        let start = self.writer.position();
        key.serialize(Serializer::new(self.writer, self.depth))?;
        self.keys.push(start..self.writer.position());
        Ok(())
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        value.serialize(Serializer::new(self.writer, self.depth))
    }

    pub(super) fn entry<T: Serialize + ?Sized>(
        &mut self,
        key: &str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.key(key)?;
        self.value(value)
    }

    pub(super) fn finish(mut self) -> Result<(), EncodeError> {
        if self.has_equal_keys() {
            return Err(EncodeError::DuplicateKey); // T-031
        }
        self.writer.end_map(self.mark, 2 * self.keys.len());
        if let Some(variant) = self.variant {
            variant.end(self.writer);
        }
        Ok(())
    }

    /// Every value has one narrowest encoding, so equal keys are equal octets.
    fn has_equal_keys(&mut self) -> bool {
        let octets = |key: &Range<usize>| self.writer.written(key.clone());
        self.keys.sort_unstable_by(|a, b| octets(a).cmp(octets(b)));
        self.keys
            .windows(2)
            .any(|pair| octets(&pair[0]) == octets(&pair[1]))
    }
}

/// A struct that is being written: a map with the names of its fields, or a list.
pub(super) enum Fields<'a, 'b> {
    Map(Map<'a, 'b>),
    List(List<'a, 'b>),
}

/// A sequence or tuple that is being written.
pub(super) enum Sequence<'a, 'b> {
    List(List<'a, 'b>),
    Array(Elements<'a, 'b>),
    /// Descriptor and value, one after the other.
    Described {
        writer: &'a mut Writer<'b>,
        depth: u32,
    },
}

/// The elements of an array: all must be there before the constructor that they share is known (T-041).
pub(super) struct Elements<'a, 'b> {
    writer: &'a mut Writer<'b>,
    depth: u32,
    scratch: BytesMut,
    values: Vec<Value>,
}

impl<'a, 'b> Sequence<'a, 'b> {
    pub(super) fn array(writer: &'a mut Writer<'b>, depth: u32) -> Result<Self, EncodeError> {
        let depth = deepen(depth)?;
        Ok(Self::Array(Elements {
            writer,
            depth,
            scratch: BytesMut::new(),
            values: Vec::new(),
        }))
    }

    pub(super) fn described(writer: &'a mut Writer<'b>, depth: u32) -> Result<Self, EncodeError> {
        let depth = deepen(depth)?;
        writer.write_raw(&[code::DESCRIBED]);
        Ok(Self::Described { writer, depth })
    }

    fn item<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), EncodeError> {
        match self {
            Self::List(list) => list.item(item),
            Self::Array(elements) => elements.push(item),
            Self::Described { writer, depth } => item.serialize(Serializer::new(writer, *depth)),
        }
    }

    fn finish(self) -> Result<(), EncodeError> {
        match self {
            Self::List(list) => list.finish(),
            Self::Array(elements) => elements.finish(),
            Self::Described { .. } => Ok(()),
        }
    }
}

impl Elements<'_, '_> {
    fn push<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<(), EncodeError> {
        let mut writer = Writer::new(&mut self.scratch);
        element.serialize(Serializer::new(&mut writer, self.depth))?;
        writer.finish()?;
        let value = decode_value(self.scratch.split().freeze()).map_err(ser::Error::custom)?;
        self.values.push(value);
        Ok(())
    }

    fn finish(self) -> Result<(), EncodeError> {
        let array = Array::try_from(self.values).map_err(|_| EncodeError::MixedArray)?;
        array.encode(self.writer);
        Ok(())
    }
}

impl SerializeSeq for Sequence<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<(), EncodeError> {
        self.item(element)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl SerializeTuple for Sequence<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<(), EncodeError> {
        self.item(element)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl SerializeTupleStruct for List<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, field: &T) -> Result<(), EncodeError> {
        self.item(field)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl SerializeTupleVariant for List<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, field: &T) -> Result<(), EncodeError> {
        self.item(field)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl SerializeMap for Map<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.value(value)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl SerializeStruct for Fields<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        field: &T,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Map(map) => map.entry(name, field),
            Self::List(list) => list.item(field),
        }
    }

    /// A field that is left out of a map keeps its place in a list.
    fn skip_field(&mut self, _: &'static str) -> Result<(), EncodeError> {
        match self {
            Self::Map(_) => Ok(()),
            Self::List(list) => list.null(),
        }
    }

    fn end(self) -> Result<(), EncodeError> {
        match self {
            Self::Map(map) => map.finish(),
            Self::List(list) => list.finish(),
        }
    }
}

impl SerializeStructVariant for Map<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        field: &T,
    ) -> Result<(), EncodeError> {
        self.entry(name, field)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}
