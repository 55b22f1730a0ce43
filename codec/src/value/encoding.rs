//! Encoding and decoding of any value.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::map::PREALLOCATED;
use super::{Array, Described, Map, Value};
use crate::code::{self, Type};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::primitive::Timestamp;
use crate::read::{Decode, Reader};
use crate::symbol::Symbol;
use crate::text::Str;
use crate::write::{Encode, Writer};

impl Encode for Value {
    fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Value::Null => writer.write_null(),
            Value::Bool(value) => value.encode(writer),
            Value::Ubyte(value) => value.encode(writer),
            Value::Ushort(value) => value.encode(writer),
            Value::Uint(value) => value.encode(writer),
            Value::Ulong(value) => value.encode(writer),
            Value::Byte(value) => value.encode(writer),
            Value::Short(value) => value.encode(writer),
            Value::Int(value) => value.encode(writer),
            Value::Long(value) => value.encode(writer),
            Value::Float(value) => value.encode(writer),
            Value::Double(value) => value.encode(writer),
            Value::Decimal32(value) => value.encode(writer),
            Value::Decimal64(value) => value.encode(writer),
            Value::Decimal128(value) => value.encode(writer),
            Value::Char(value) => value.encode(writer),
            Value::Timestamp(value) => value.encode(writer),
            Value::Uuid(value) => value.encode(writer),
            Value::Binary(value) => value.encode(writer),
            Value::String(value) => value.encode(writer),
            Value::Symbol(value) => value.encode(writer),
            Value::List(items) => items.encode(writer),
            Value::Map(map) => map.encode(writer),
            Value::Array(array) => array.encode(writer),
            Value::Described(described) => described.encode(writer),
        }
    }
}

/// A list.
impl Encode for Vec<Value> {
    fn encode(&self, writer: &mut Writer<'_>) {
        let mark = writer.begin_compound();
        self.iter().for_each(|item| item.encode(writer));
        writer.end_list(mark, self.len());
    }
}

impl Encode for Described {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.write_raw(&[code::DESCRIBED]);
        self.descriptor.encode(writer);
        self.value.encode(writer);
    }
}

impl Value {
    /// Whether a binary, string or symbol has a length of one octet.
    pub(super) fn is_short(&self) -> bool {
        self.octets().len() <= 0xff
    }

    fn octets(&self) -> &[u8] {
        match self {
            Value::Binary(octets) => octets,
            Value::String(text) => text.as_bytes(),
            Value::Symbol(symbol) => symbol.as_bytes(),
            _ => &[],
        }
    }

    /// Writes what follows an element constructor; `code` fits all elements of the array.
    pub(super) fn encode_body(&self, writer: &mut Writer<'_>, code: u8) {
        match self {
            Value::Null => {}
            Value::Bool(value) => writer.write_raw(&[u8::from(*value)]),
            Value::Uint(value) if code == code::UINT_8 => writer.write_raw(&[*value as u8]),
            Value::Ulong(value) if code == code::ULONG_8 => writer.write_raw(&[*value as u8]),
            Value::Int(value) if code == code::INT_8 => writer.write_raw(&[*value as u8]),
            Value::Long(value) if code == code::LONG_8 => writer.write_raw(&[*value as u8]),
            Value::Ubyte(value) => writer.write_raw(&value.to_be_bytes()),
            Value::Ushort(value) => writer.write_raw(&value.to_be_bytes()),
            Value::Uint(value) => writer.write_raw(&value.to_be_bytes()),
            Value::Ulong(value) => writer.write_raw(&value.to_be_bytes()),
            Value::Byte(value) => writer.write_raw(&value.to_be_bytes()),
            Value::Short(value) => writer.write_raw(&value.to_be_bytes()),
            Value::Int(value) => writer.write_raw(&value.to_be_bytes()),
            Value::Long(value) => writer.write_raw(&value.to_be_bytes()),
            Value::Float(value) => writer.write_raw(&value.to_be_bytes()),
            Value::Double(value) => writer.write_raw(&value.to_be_bytes()),
            Value::Decimal32(value) => writer.write_raw(&value.0),
            Value::Decimal64(value) => writer.write_raw(&value.0),
            Value::Decimal128(value) => writer.write_raw(&value.0),
            Value::Char(value) => writer.write_raw(&u32::from(*value).to_be_bytes()),
            Value::Timestamp(value) => writer.write_raw(&value.0.to_be_bytes()),
            Value::Uuid(value) => writer.write_raw(&value.0),
            Value::Binary(_) | Value::String(_) | Value::Symbol(_) => {
                writer.write_body(code, self.octets())
            }
            Value::List(items) => {
                let mark = writer.begin_wide_body();
                items.iter().for_each(|item| item.encode(writer));
                writer.end_wide_body(mark, items.len());
            }
            Value::Map(map) => {
                let mark = writer.begin_wide_body();
                map.encode_items(writer);
                writer.end_wide_body(mark, map.len() * 2);
            }
            Value::Array(array) => {
                let mark = writer.begin_wide_body();
                array.encode_elements(writer);
                writer.end_wide_body(mark, array.len());
            }
            // An array writes the descriptors once and then the bodies of what they describe.
            Value::Described(described) => described.value.encode_body(writer, code),
        }
    }
}

impl Decode for Value {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        let mut value = Value::Null;
        value.decode_into(reader, code)?;
        Ok(value)
    }
}

impl Value {
    /// Reads a value into its place, which was null. Moving a value just made costs more than making it, so
    /// each branch writes where the value stays.
    pub(super) fn decode_into(&mut self, reader: &mut Reader, code: u8) -> Result<(), DecodeError> {
        match code {
            code::NULL => {}
            code::TRUE => self.put(Value::Bool(true)),
            code::FALSE => self.put(Value::Bool(false)),
            code::BOOLEAN => self.put(Value::Bool(bool::decode_body(reader, code)?)),
            code::UBYTE => self.put(Value::Ubyte(u8::decode_body(reader, code)?)),
            code::USHORT => self.put(Value::Ushort(u16::decode_body(reader, code)?)),
            code::UINT_0 | code::UINT_8 | code::UINT => {
                self.put(Value::Uint(u32::decode_body(reader, code)?))
            }
            code::ULONG_0 | code::ULONG_8 | code::ULONG => {
                self.put(Value::Ulong(u64::decode_body(reader, code)?))
            }
            code::BYTE => self.put(Value::Byte(i8::decode_body(reader, code)?)),
            code::SHORT => self.put(Value::Short(i16::decode_body(reader, code)?)),
            code::INT_8 | code::INT => self.put(Value::Int(i32::decode_body(reader, code)?)),
            code::LONG_8 | code::LONG => self.put(Value::Long(i64::decode_body(reader, code)?)),
            code::FLOAT => self.put(Value::Float(f32::decode_body(reader, code)?)),
            code::DOUBLE => self.put(Value::Double(f64::decode_body(reader, code)?)),
            code::TIMESTAMP => self.put(Value::Timestamp(Timestamp::decode_body(reader, code)?)),
            _ => return self.decode_wide_into(reader, code),
        }
        Ok(())
    }

    /// The part of [`decode_into`](Value::decode_into) for values that are more than a word.
    fn decode_wide_into(&mut self, reader: &mut Reader, code: u8) -> Result<(), DecodeError> {
        match code {
            code::BINARY_8 | code::BINARY_32 => {
                self.put(Value::Binary(Bytes::decode_body(reader, code)?))
            }
            code::STRING_8 | code::STRING_32 => {
                self.put(Value::String(Str::decode_body(reader, code)?))
            }
            code::SYMBOL_8 | code::SYMBOL_32 => {
                self.put(Value::Symbol(Symbol::decode_body(reader, code)?))
            }
            _ => self.put(decode_rare(reader, code)?),
        }
        Ok(())
    }

    /// Replaces a null, which there is no need to drop.
    #[inline(always)]
    fn put(&mut self, value: Value) {
        core::mem::forget(core::mem::replace(self, value));
    }
}

/// Reads the values that are large or seldom, for which a copy does not matter.
fn decode_rare(reader: &mut Reader, code: u8) -> Result<Value, DecodeError> {
    let Some(type_of) = Type::of_code(code) else {
        return Err(reader.error_at_code(DecodeErrorKind::UnknownFormatCode(code)));
    };
    Ok(match type_of {
        Type::Decimal32 => Value::Decimal32(Decode::decode_body(reader, code)?),
        Type::Decimal64 => Value::Decimal64(Decode::decode_body(reader, code)?),
        Type::Decimal128 => Value::Decimal128(Decode::decode_body(reader, code)?),
        Type::Char => Value::Char(char::decode_body(reader, code)?),
        Type::Uuid => Value::Uuid(Decode::decode_body(reader, code)?),
        Type::Map => Value::Map(Map::decode_body(reader, code)?),
        Type::Array => Value::Array(Array::decode_body(reader, code)?),
        Type::Described => Value::Described(Box::new(Described::decode_body(reader, code)?)),
        _ => Value::List(Vec::decode_body(reader, code)?),
    })
}

/// Makes room for so many values, but not for too many on the word of a count alone, and reads each in place.
pub(super) fn decode_each<T: Default>(
    count: usize,
    mut decode_into: impl FnMut(&mut T) -> Result<(), DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut values = Vec::with_capacity(count.min(PREALLOCATED));
    while values.len() < count {
        let start = values.len();
        values.resize_with(count.min(start + PREALLOCATED), T::default);
        values[start..].iter_mut().try_for_each(&mut decode_into)?;
    }
    Ok(values)
}

/// A list.
impl Decode for Vec<Value> {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        let list = reader.enter_list(code)?;
        let count = list.count as usize;
        let items = decode_each(count, |item: &mut Value| {
            let code = reader.read_code()?;
            item.decode_into(reader, code)
        })?;
        reader.leave(list)?;
        Ok(items)
    }
}

impl Decode for Described {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        if code != code::DESCRIBED {
            return Err(reader.unexpected(Type::Described, code));
        }
        reader.deepen()?;
        let descriptor = Value::decode(reader)?;
        let value = Value::decode(reader)?;
        reader.rise();
        Ok(Self { descriptor, value })
    }
}
