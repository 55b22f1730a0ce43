//! Reading of the primitive types: which format codes each takes.

use bytes::Bytes;

use crate::code::{self, Type};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::primitive::{Dec32, Dec64, Dec128, DeliveryTag, Timestamp, Uuid};
use crate::read::{Decode, Reader};
use crate::symbol::Symbol;
use crate::text::Str;

impl Decode for bool {
    #[inline]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match code {
            code::TRUE => Ok(true),
            code::FALSE => Ok(false),
            code::BOOLEAN => match reader.read_code()? {
                0 => Ok(false),
                1 => Ok(true),
                octet => Err(reader.error_at_code(DecodeErrorKind::InvalidBoolean(octet))),
            },
            _ => Err(reader.unexpected(Type::Boolean, code)),
        }
    }
}

impl Decode for u8 {
    #[inline]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match code {
            code::UBYTE => reader.read_octets().map(Self::from_be_bytes),
            _ => Err(reader.unexpected(Type::Ubyte, code)),
        }
    }
}

impl Decode for u16 {
    #[inline]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match code {
            code::USHORT => reader.read_octets().map(Self::from_be_bytes),
            _ => Err(reader.unexpected(Type::Ushort, code)),
        }
    }
}

impl Decode for u32 {
    #[inline]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match code {
            code::UINT_0 => Ok(0),
            code::UINT_8 => reader.read_octets().map(|[octet]| octet.into()),
            code::UINT => reader.read_octets().map(Self::from_be_bytes),
            _ => Err(reader.unexpected(Type::Uint, code)),
        }
    }
}

impl Decode for u64 {
    #[inline]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match code {
            code::ULONG_0 => Ok(0),
            code::ULONG_8 => reader.read_octets().map(|[octet]| octet.into()),
            code::ULONG => reader.read_octets().map(Self::from_be_bytes),
            _ => Err(reader.unexpected(Type::Ulong, code)),
        }
    }
}

impl Decode for i8 {
    #[inline]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match code {
            code::BYTE => reader.read_octets().map(Self::from_be_bytes),
            _ => Err(reader.unexpected(Type::Byte, code)),
        }
    }
}

impl Decode for i16 {
    #[inline]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match code {
            code::SHORT => reader.read_octets().map(Self::from_be_bytes),
            _ => Err(reader.unexpected(Type::Short, code)),
        }
    }
}

impl Decode for i32 {
    #[inline]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match code {
            code::INT_8 => reader
                .read_octets()
                .map(|octet| i8::from_be_bytes(octet).into()),
            code::INT => reader.read_octets().map(Self::from_be_bytes),
            _ => Err(reader.unexpected(Type::Int, code)),
        }
    }
}

impl Decode for i64 {
    #[inline]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match code {
            code::LONG_8 => reader
                .read_octets()
                .map(|octet| i8::from_be_bytes(octet).into()),
            code::LONG => reader.read_octets().map(Self::from_be_bytes),
            _ => Err(reader.unexpected(Type::Long, code)),
        }
    }
}

impl Decode for f32 {
    #[inline]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match code {
            code::FLOAT => reader.read_octets().map(Self::from_be_bytes),
            _ => Err(reader.unexpected(Type::Float, code)),
        }
    }
}

impl Decode for f64 {
    #[inline]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match code {
            code::DOUBLE => reader.read_octets().map(Self::from_be_bytes),
            _ => Err(reader.unexpected(Type::Double, code)),
        }
    }
}

impl Decode for Dec32 {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match code {
            code::DECIMAL_32 => reader.read_octets().map(Self),
            _ => Err(reader.unexpected(Type::Decimal32, code)),
        }
    }
}

impl Decode for Dec64 {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match code {
            code::DECIMAL_64 => reader.read_octets().map(Self),
            _ => Err(reader.unexpected(Type::Decimal64, code)),
        }
    }
}

impl Decode for Dec128 {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match code {
            code::DECIMAL_128 => reader.read_octets().map(Self),
            _ => Err(reader.unexpected(Type::Decimal128, code)),
        }
    }
}

impl Decode for char {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        if code != code::CHAR {
            return Err(reader.unexpected(Type::Char, code));
        }
        let scalar = u32::from_be_bytes(reader.read_octets()?);
        char::from_u32(scalar)
            .ok_or_else(|| reader.error_at_code(DecodeErrorKind::InvalidChar(scalar)))
    }
}

impl Decode for Timestamp {
    #[inline]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match code {
            code::TIMESTAMP => reader
                .read_octets()
                .map(|octets| Self(i64::from_be_bytes(octets))),
            _ => Err(reader.unexpected(Type::Timestamp, code)),
        }
    }
}

impl Decode for Uuid {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match code {
            code::UUID => reader.read_octets().map(Self),
            _ => Err(reader.unexpected(Type::Uuid, code)),
        }
    }
}

impl Decode for Bytes {
    #[inline]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        if !matches!(code, code::BINARY_8 | code::BINARY_32) {
            return Err(reader.unexpected(Type::Binary, code));
        }
        let len = reader.read_len(code)?;
        reader.read_bytes(len)
    }
}

impl Decode for Str {
    #[inline(always)]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        if !matches!(code, code::STRING_8 | code::STRING_32) {
            return Err(reader.unexpected(Type::String, code));
        }
        let is_utf8 = |octets: &[u8]| octets.is_ascii() || core::str::from_utf8(octets).is_ok();
        reader
            .read_text(code, is_utf8, DecodeErrorKind::InvalidUtf8)
            .map(Str::from_checked)
    }
}

impl Decode for Symbol {
    #[inline(always)]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        if !matches!(code, code::SYMBOL_8 | code::SYMBOL_32) {
            return Err(reader.unexpected(Type::Symbol, code));
        }
        reader
            .read_text(code, <[u8]>::is_ascii, DecodeErrorKind::NotAscii)
            .map(Symbol::from_checked)
    }
}

impl Decode for DeliveryTag {
    #[inline]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        if !matches!(code, code::BINARY_8 | code::BINARY_32) {
            return Err(reader.unexpected(Type::Binary, code));
        }
        let len = reader.read_len(code)?;
        DeliveryTag::try_from(reader.read_slice(len)?).map_err(|_| {
            // T-065
            reader.error(DecodeErrorKind::InvalidValue {
                reason: "a delivery-tag has more than 32 octets",
            })
        })
    }
}
