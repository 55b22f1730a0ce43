//! From serde's data model to encoded values.

use alloc::string::ToString;
use core::fmt;

use ::serde::ser::{self, Serialize};

use super::compound::{Fields, List, Map, Sequence};
use super::form::Form;
use crate::code;
use crate::error::EncodeError;
use crate::primitive::{Dec32, Dec64, Dec128, Timestamp, Uuid};
use crate::write::{Encode, Writer};

/// Writes one value.
pub(super) struct Serializer<'a, 'b> {
    writer: &'a mut Writer<'b>,
    form: Form,
    /// How many compounds and descriptors the value is inside of.
    depth: u32,
}

impl<'a, 'b> Serializer<'a, 'b> {
    pub(super) fn new(writer: &'a mut Writer<'b>, depth: u32) -> Self {
        Self {
            writer,
            form: Form::Plain,
            depth,
        }
    }

    /// The writer, for a value that has no other form than its plain one.
    fn plain(self) -> Result<&'a mut Writer<'b>, EncodeError> {
        match self.form {
            Form::Plain => Ok(self.writer),
            form => Err(form.unsuitable()),
        }
    }

    fn integer<T: Encode + TryInto<i64>>(self, value: T) -> Result<(), EncodeError> {
        if self.form == Form::Timestamp {
            let millis = value.try_into().map_err(|_| Form::Timestamp.unsuitable())?;
            self.writer.write_timestamp(Timestamp(millis));
        } else {
            value.encode(self.plain()?);
        }
        Ok(())
    }

    fn list(self, variant: Option<&'static str>) -> Result<List<'a, 'b>, EncodeError> {
        match self.form {
            Form::Plain => List::begin(self.writer, self.depth, variant),
            Form::List => {
                List::begin(self.writer, self.depth, variant).map(List::without_trailing_nulls)
            }
            form => Err(form.unsuitable()),
        }
    }

    fn sequence(self) -> Result<Sequence<'a, 'b>, EncodeError> {
        match self.form {
            Form::Array => Sequence::array(self.writer, self.depth),
            _ => self.list(None).map(Sequence::List),
        }
    }
}

/// So many octets as there must be.
fn exactly<const N: usize>(form: Form, octets: &[u8]) -> Result<[u8; N], EncodeError> {
    octets.try_into().map_err(|_| form.unsuitable())
}

impl<'a, 'b> ser::Serializer for Serializer<'a, 'b> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Sequence<'a, 'b>;
    type SerializeTuple = Sequence<'a, 'b>;
    type SerializeTupleStruct = List<'a, 'b>;
    type SerializeTupleVariant = List<'a, 'b>;
    type SerializeMap = Map<'a, 'b>;
    type SerializeStruct = Fields<'a, 'b>;
    type SerializeStructVariant = Map<'a, 'b>;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<(), EncodeError> {
        self.plain()?.write_bool(value);
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), EncodeError> {
        self.integer(value)
    }

    fn serialize_i16(self, value: i16) -> Result<(), EncodeError> {
        self.integer(value)
    }

    fn serialize_i32(self, value: i32) -> Result<(), EncodeError> {
        self.integer(value)
    }

    fn serialize_i64(self, value: i64) -> Result<(), EncodeError> {
        self.integer(value)
    }

    fn serialize_i128(self, _: i128) -> Result<(), EncodeError> {
        Err(EncodeError::Unsupported("i128"))
    }

    fn serialize_u8(self, value: u8) -> Result<(), EncodeError> {
        self.integer(value)
    }

    fn serialize_u16(self, value: u16) -> Result<(), EncodeError> {
        self.integer(value)
    }

    fn serialize_u32(self, value: u32) -> Result<(), EncodeError> {
        self.integer(value)
    }

    fn serialize_u64(self, value: u64) -> Result<(), EncodeError> {
        self.integer(value)
    }

    fn serialize_u128(self, _: u128) -> Result<(), EncodeError> {
        Err(EncodeError::Unsupported("u128"))
    }

    fn serialize_f32(self, value: f32) -> Result<(), EncodeError> {
        self.plain()?.write_float(value);
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), EncodeError> {
        self.plain()?.write_double(value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), EncodeError> {
        self.plain()?.write_char(value);
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), EncodeError> {
        if self.form != Form::Symbol {
            self.plain()?.write_string(value);
        } else if value.is_ascii() {
            self.writer.write_variable(code::SYMBOL_8, value.as_bytes());
        } else {
            return Err(EncodeError::NotAscii);
        }
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), EncodeError> {
        let form = self.form;
        match form {
            Form::Uuid => self.writer.write_uuid(Uuid(exactly(form, value)?)),
            Form::Decimal32 => self.writer.write_decimal32(Dec32(exactly(form, value)?)),
            Form::Decimal64 => self.writer.write_decimal64(Dec64(exactly(form, value)?)),
            Form::Decimal128 => self.writer.write_decimal128(Dec128(exactly(form, value)?)),
            _ => self.plain()?.write_binary(value),
        }
        Ok(())
    }

    /// Null, whatever the form of the value would have been.
    fn serialize_none(self) -> Result<(), EncodeError> {
        self.writer.write_null();
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        self.plain()?.write_null();
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        let form = Form::of(name).unwrap_or(self.form);
        value.serialize(Serializer { form, ..self })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        let depth = self.depth;
        let mut map = Map::begin(self.plain()?, depth, None)?;
        map.entry(variant, value)?;
        map.finish()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Sequence<'a, 'b>, EncodeError> {
        self.sequence()
    }

    fn serialize_tuple(self, len: usize) -> Result<Sequence<'a, 'b>, EncodeError> {
        match self.form {
            Form::Described if len == 2 => Sequence::described(self.writer, self.depth),
            _ => self.sequence(),
        }
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<List<'a, 'b>, EncodeError> {
        self.list(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'a, 'b>, EncodeError> {
        self.list(Some(variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Map<'a, 'b>, EncodeError> {
        let depth = self.depth;
        Map::begin(self.plain()?, depth, None)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'a, 'b>, EncodeError> {
        match self.form {
            Form::List => self.list(None).map(Fields::List),
            _ => self.serialize_map(None).map(Fields::Map),
        }
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Map<'a, 'b>, EncodeError> {
        let depth = self.depth;
        Map::begin(self.plain()?, depth, Some(variant))
    }
}

impl ser::Error for EncodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        EncodeError::Custom(message.to_string().into())
    }
}
