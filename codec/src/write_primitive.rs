//! Writing of the primitive types.

use bytes::Bytes;

use crate::code;
use crate::primitive::{Dec32, Dec64, Dec128, DeliveryTag, Timestamp, Uuid};
use crate::symbol::Symbol;
use crate::text::Str;
use crate::write::{Encode, Writer};

macro_rules! encode_by_value {
    ($($type:ty: $write:ident),* $(,)?) => {$(
        impl Encode for $type {
            #[inline]
            fn encode(&self, writer: &mut Writer<'_>) {
                writer.$write(*self);
            }
        }
    )*};
}

encode_by_value! {
    bool: write_bool,
    u8: write_ubyte,
    u16: write_ushort,
    u32: write_uint,
    u64: write_ulong,
    i8: write_byte,
    i16: write_short,
    i32: write_int,
    i64: write_long,
    f32: write_float,
    f64: write_double,
    Dec32: write_decimal32,
    Dec64: write_decimal64,
    Dec128: write_decimal128,
    char: write_char,
    Timestamp: write_timestamp,
    Uuid: write_uuid,
}

impl Encode for str {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.write_string(self);
    }
}

impl Encode for Str {
    #[inline]
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.write_variable(code::STRING_8, self.as_bytes());
    }
}

impl Encode for Symbol {
    #[inline]
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.write_variable(code::SYMBOL_8, self.as_bytes());
    }
}

impl Encode for Bytes {
    #[inline]
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.write_binary(self);
    }
}

impl Encode for DeliveryTag {
    #[inline]
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.write_binary(self.as_bytes());
    }
}

/// A value that is not set is a null.
impl<T: Encode> Encode for Option<T> {
    #[inline]
    fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Some(value) => value.encode(writer),
            None => writer.write_null(),
        }
    }
}
