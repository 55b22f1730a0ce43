//! From encoded values to serde's data model.

use alloc::string::ToString;
use core::fmt;

use ::serde::de::{self, Visitor};
use bytes::Bytes;

use super::access::{Elements, Entries, Fields, Items, Pair};
use super::form::Form;
use super::variant::{Named, UnitVariant, Variant};
use crate::code::{self, Type};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::primitive::{Dec32, Dec64, Dec128, Timestamp, Uuid};
use crate::read::{Decode, Reader};

/// The input, twice: to read it, and to borrow from it for as long as the caller has it.
pub(super) struct Source<'de> {
    pub(super) reader: Reader,
    pub(super) bytes: Bytes,
    borrowed: &'de [u8],
}

impl<'de> Source<'de> {
    pub(super) fn new(input: &'de Bytes) -> Self {
        Self::with_copy(input, input.clone())
    }

    /// `bytes` has the same octets as `borrowed`.
    pub(super) fn with_copy(borrowed: &'de [u8], bytes: Bytes) -> Self {
        Self {
            reader: Reader::new(bytes.clone()),
            bytes,
            borrowed,
        }
    }

    /// The same input from another position on.
    pub(super) fn at(&self, position: usize) -> Self {
        let mut source = Self::with_copy(self.borrowed, self.bytes.clone());
        source.reader.seek(position);
        source
    }

    /// Reads `len` octets in place.
    fn read_borrowed(&mut self, len: usize) -> Result<&'de [u8], DecodeError> {
        let start = self.reader.position();
        self.reader.read_slice(len)?;
        Ok(&self.borrowed[start..start + len])
    }
}

/// The constructor of an array's elements, which none of them repeats.
#[derive(Clone, Copy)]
pub(super) struct Constructor<'a> {
    /// Where the descriptors are, outermost first.
    pub(super) descriptors: &'a [usize],
    /// The format code behind them.
    pub(super) code: u8,
}

impl Constructor<'_> {
    /// The constructor of what the outermost descriptor describes.
    pub(super) fn of_described(self) -> Self {
        Self {
            descriptors: self.descriptors.get(1..).unwrap_or_default(),
            ..self
        }
    }
}

/// Reads one value.
pub(super) struct Deserializer<'a, 'de> {
    source: &'a mut Source<'de>,
    form: Form,
    /// For an element of an array; otherwise the constructor is read.
    constructor: Option<Constructor<'a>>,
    /// Through how many options and newtype structs we came to this value without reading an octet.
    wraps: u8,
}

/// A type that contains itself through options and newtype structs alone would never end.
const MAX_WRAPS: u8 = 32;

const INTEGERS: [Type; 8] = [
    Type::Ubyte,
    Type::Ushort,
    Type::Uint,
    Type::Ulong,
    Type::Byte,
    Type::Short,
    Type::Int,
    Type::Long,
];

impl<'a, 'de> Deserializer<'a, 'de> {
    pub(super) fn new(source: &'a mut Source<'de>) -> Self {
        Self::with_constructor(source, None)
    }

    pub(super) fn with_constructor(
        source: &'a mut Source<'de>,
        constructor: Option<Constructor<'a>>,
    ) -> Self {
        Self {
            source,
            form: Form::Plain,
            constructor,
            wraps: 0,
        }
    }

    /// Where the value begins.
    pub(super) fn position(&self) -> usize {
        self.source.reader.position()
    }

    /// The format code of the value, which stays unread.
    fn peek_code(&self) -> Result<u8, DecodeError> {
        match self.constructor {
            None => self.source.reader.peek_code(),
            Some(Constructor {
                descriptors: [],
                code,
            }) => Ok(code),
            Some(_) => Ok(code::DESCRIBED),
        }
    }

    fn peek_type(&self) -> Result<Type, DecodeError> {
        let code = self.peek_code()?;
        Type::of_code(code).ok_or_else(|| {
            self.source
                .reader
                .error(DecodeErrorKind::UnknownFormatCode(code))
        })
    }

    /// Reads the format code of the value.
    fn read_code(&mut self) -> Result<u8, DecodeError> {
        match self.constructor {
            None => self.source.reader.read_code(),
            Some(_) => self.peek_code(),
        }
    }

    /// The error for a value that is not of the type that it should be.
    #[cold]
    fn unexpected(&self, expected: Type) -> DecodeError {
        let kind = match self.peek_code() {
            Ok(found) => DecodeErrorKind::UnexpectedType { expected, found },
            Err(error) => return error,
        };
        self.source.reader.error(kind)
    }

    /// Reads a value of the type that the form demands, or of one of these types if the form is
    /// open to them.
    fn one_of<V: Visitor<'de>>(
        self,
        natural: Type,
        others: &[Type],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.expect(natural, others)?;
        self.any(visitor)
    }

    fn expect(&self, natural: Type, others: &[Type]) -> Result<(), DecodeError> {
        let found = self.peek_type()?;
        match self.form.wire_type() {
            Some(demanded) if found != demanded => Err(self.unexpected(demanded)),
            None if found != natural && !others.contains(&found) => Err(self.unexpected(natural)),
            _ => Ok(()),
        }
    }

    fn body<T: Decode>(&mut self, code: u8) -> Result<T, DecodeError> {
        T::decode_body(&mut self.source.reader, code)
    }

    fn octets(&mut self, code: u8) -> Result<&'de [u8], DecodeError> {
        let len = self.source.reader.read_len(code)?;
        self.source.read_borrowed(len)
    }

    fn string(&mut self, code: u8) -> Result<&'de str, DecodeError> {
        let octets = self.octets(code)?;
        core::str::from_utf8(octets)
            .map_err(|_| self.source.reader.error(DecodeErrorKind::InvalidUtf8))
    }

    fn symbol(&mut self, code: u8) -> Result<&'de str, DecodeError> {
        match core::str::from_utf8(self.octets(code)?) {
            Ok(text) if text.is_ascii() => Ok(text),
            _ => Err(self.source.reader.error(DecodeErrorKind::NotAscii)),
        }
    }

    /// Reads a value of whatever type; what serde has no word for is shown as other formats would write
    /// it.
    fn any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, DecodeError> {
        let found = self.peek_type()?;
        if self.form == Form::Value && Named::is_for(found) {
            let code = self.peek_code()?;
            return visitor.visit_enum(Named {
                code,
                content: Self {
                    form: Form::Plain,
                    ..self
                },
            });
        }
        let code = self.read_code()?;
        match found {
            Type::Null => visitor.visit_unit(),
            Type::Boolean => visitor.visit_bool(self.body(code)?),
            Type::Ubyte => visitor.visit_u8(self.body(code)?),
            Type::Ushort => visitor.visit_u16(self.body(code)?),
            Type::Uint => visitor.visit_u32(self.body(code)?),
            Type::Ulong => visitor.visit_u64(self.body(code)?),
            Type::Byte => visitor.visit_i8(self.body(code)?),
            Type::Short => visitor.visit_i16(self.body(code)?),
            Type::Int => visitor.visit_i32(self.body(code)?),
            Type::Long => visitor.visit_i64(self.body(code)?),
            Type::Float => visitor.visit_f32(self.body(code)?),
            Type::Double => visitor.visit_f64(self.body(code)?),
            Type::Decimal32 => visitor.visit_bytes(&self.body::<Dec32>(code)?.0),
            Type::Decimal64 => visitor.visit_bytes(&self.body::<Dec64>(code)?.0),
            Type::Decimal128 => visitor.visit_bytes(&self.body::<Dec128>(code)?.0),
            Type::Char => visitor.visit_char(self.body(code)?),
            Type::Timestamp => visitor.visit_i64(self.body::<Timestamp>(code)?.millis()),
            Type::Uuid => visitor.visit_bytes(&self.body::<Uuid>(code)?.0),
            Type::Binary => visitor.visit_borrowed_bytes(self.octets(code)?),
            Type::String => visitor.visit_borrowed_str(self.string(code)?),
            Type::Symbol => visitor.visit_borrowed_str(self.symbol(code)?),
            Type::List => Items::read(self.source, code, |items| visitor.visit_seq(items)),
            Type::Array => {
                Elements::read(self.source, code, |elements| visitor.visit_seq(elements))
            }
            Type::Map => Entries::read(self.source, code, |entries| visitor.visit_map(entries)),
            Type::Described => Pair::read(self.source, self.constructor, |pair| {
                visitor.visit_seq(pair)
            }),
        }
    }

    /// A tuple of `len` values. Short of items, a list in the list form has nulls (T-054).
    fn tuple<V: Visitor<'de>>(mut self, len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.expect(Type::List, &[Type::Array])?;
        if self.form != Form::List {
            return self.any(visitor);
        }
        let code = self.read_code()?;
        Items::read(self.source, code, |items| {
            visitor.visit_seq(items.padded_to(len))
        })
    }

    fn wrapped(self, form: Form) -> Result<Self, DecodeError> {
        match self.wraps < MAX_WRAPS {
            true => Ok(Self {
                form,
                wraps: self.wraps + 1,
                ..self
            }),
            false => Err(self.source.reader.error(DecodeErrorKind::TooDeep)),
        }
    }
}

impl<'de> de::Deserializer<'de> for Deserializer<'_, 'de> {
    type Error = DecodeError;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.form {
            Form::Descriptor => self.one_of(Type::Symbol, &[Type::Ulong], visitor),
            form => match form.wire_type() {
                Some(demanded) => self.one_of(demanded, &[], visitor),
                None => self.any(visitor),
            },
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.one_of(Type::Boolean, &[], visitor)
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.one_of(Type::Byte, &INTEGERS, visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.one_of(Type::Short, &INTEGERS, visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.one_of(Type::Int, &INTEGERS, visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.one_of(Type::Long, &INTEGERS, visitor)
    }

    fn deserialize_i128<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeError> {
        Err(self
            .source
            .reader
            .error(DecodeErrorKind::Unsupported("i128")))
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.one_of(Type::Ubyte, &INTEGERS, visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.one_of(Type::Ushort, &INTEGERS, visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.one_of(Type::Uint, &INTEGERS, visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.one_of(Type::Ulong, &INTEGERS, visitor)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeError> {
        Err(self
            .source
            .reader
            .error(DecodeErrorKind::Unsupported("u128")))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.one_of(Type::Float, &[], visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.one_of(Type::Double, &[Type::Float], visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.one_of(Type::Char, &[], visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.one_of(Type::String, &[Type::Symbol], visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.one_of(Type::Binary, &[], visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.peek_code()? == code::NULL {
            self.read_code()?;
            return visitor.visit_none();
        }
        let form = self.form;
        visitor.visit_some(self.wrapped(form)?)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.one_of(Type::Null, &[], visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let form = Form::of(name).unwrap_or(self.form);
        visitor.visit_newtype_struct(self.wrapped(form)?)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.one_of(Type::List, &[Type::Array], visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.tuple(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.one_of(Type::Map, &[], visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.expect(Type::Map, &[])?;
        if self.form != Form::List {
            return self.any(visitor);
        }
        let code = self.read_code()?;
        Items::read(self.source, code, |items| {
            visitor.visit_map(Fields::of(items))
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.expect(Type::String, &[Type::Symbol, Type::Map])?;
        if self.peek_type()? != Type::Map {
            return visitor.visit_enum(UnitVariant(self));
        }
        let code = self.read_code()?;
        Entries::read(self.source, code, |entries| {
            visitor.visit_enum(Variant::of(entries))
        })
    }

    /// The name of a field or variant. Never a number: generated code would take it for a position.
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.constructor {
            None => {
                self.source.reader.skip_value()?;
                visitor.visit_unit()
            }
            Some(_) => self.any(visitor),
        }
    }
}

impl DecodeError {
    /// Gives an error that serde or an application reported, which does not know where, its place. The
    /// innermost value wins: no value begins before the one that it is in.
    pub(super) fn located(mut self, offset: usize) -> Self {
        if self.offset == 0 && matches!(self.kind, DecodeErrorKind::Custom(_)) {
            self.offset = offset;
        }
        self
    }
}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        DecodeError::new(0, DecodeErrorKind::Custom(message.to_string().into()))
    }
}
