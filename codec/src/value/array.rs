//! Arrays: elements of one type that share one constructor.

use alloc::vec::Vec;
use core::fmt;

use super::map::PREALLOCATED;
use super::{Described, Value};
use crate::code::{self, Type};
use crate::error::DecodeError;
use crate::read::{Decode, Reader};
use crate::write::{Encode, Writer};

/// `[1.6.24]` Values of one type (T-041).
///
/// Described elements have one descriptor in common (T-038). An empty array has no type of its own: the type
/// that it was sent with is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Array {
    elements: Vec<Value>,
}

/// Values cannot be an array, because their types or descriptors differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MixedArrayError;

impl fmt::Display for MixedArrayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the elements of an array must have the same type and descriptor")
    }
}

impl core::error::Error for MixedArrayError {}

impl Array {
    /// An empty array.
    pub const fn new() -> Self {
        Self {
            elements: Vec::new(),
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// The elements.
    pub fn iter(&self) -> core::slice::Iter<'_, Value> {
        self.elements.iter()
    }

    /// The element at a position.
    pub fn get(&self, index: usize) -> Option<&Value> {
        self.elements.get(index)
    }

    /// The elements.
    pub fn as_slice(&self) -> &[Value] {
        &self.elements
    }
}

impl TryFrom<Vec<Value>> for Array {
    type Error = MixedArrayError;

    fn try_from(elements: Vec<Value>) -> Result<Self, MixedArrayError> {
        match elements.split_first() {
            Some((first, others)) if !others.iter().all(|other| same_constructor(first, other)) => {
                Err(MixedArrayError)
            }
            _ => Ok(Self { elements }),
        }
    }
}

fn same_constructor(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Described(a), Value::Described(b)) => {
            a.descriptor == b.descriptor && same_constructor(&a.value, &b.value)
        }
        _ => a.type_of() == b.type_of(),
    }
}

/// Elements of one Rust type are always of one AMQP type.
macro_rules! array_from {
    ($($type:ty),*) => {$(
        impl FromIterator<$type> for Array {
            fn from_iter<I: IntoIterator<Item = $type>>(elements: I) -> Self {
                Self { elements: elements.into_iter().map(Value::from).collect() }
            }
        }
    )*};
}

array_from!(
    crate::symbol::Symbol,
    crate::text::Str,
    alloc::string::String,
    &'static str,
    u32,
    u64,
    i32,
    i64
);

impl IntoIterator for Array {
    type Item = Value;
    type IntoIter = alloc::vec::IntoIter<Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.elements.into_iter()
    }
}

impl<'a> IntoIterator for &'a Array {
    type Item = &'a Value;
    type IntoIter = core::slice::Iter<'a, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Encode for Array {
    fn encode(&self, writer: &mut Writer<'_>) {
        let mark = writer.begin_compound();
        self.encode_elements(writer);
        writer.end_array(mark, self.len());
    }
}

impl Array {
    /// Writes the constructor and the elements.
    pub(super) fn encode_elements(&self, writer: &mut Writer<'_>) {
        let mut elements: Vec<&Value> = self.elements.iter().collect();
        while let Some(Value::Described(first)) = elements.first() {
            writer.write_raw(&[code::DESCRIBED]);
            first.descriptor.encode(writer);
            elements = elements.into_iter().map(described_value).collect();
        }
        let code = element_code(elements.iter().copied());
        writer.write_raw(&[code]);
        elements
            .into_iter()
            .for_each(|element| element.encode_body(writer, code));
    }
}

fn described_value(value: &Value) -> &Value {
    match value {
        Value::Described(described) => &described.value,
        // All elements of an array have the same constructor.
        other => other,
    }
}

/// The narrowest code that fits all elements (T-041). Booleans, small numbers and compounds get a code with
/// data, so that the number of elements is bounded by their octets wherever the array is read.
fn element_code<'a>(mut elements: impl Iterator<Item = &'a Value> + Clone) -> u8 {
    let Some(first) = elements.clone().next() else {
        return code::NULL;
    };
    let mut all = |fits: fn(&Value) -> bool, narrow: u8, wide: u8| {
        if elements.all(fits) { narrow } else { wide }
    };
    match first.type_of() {
        Type::Null | Type::Described => code::NULL,
        Type::Boolean => code::BOOLEAN,
        Type::Ubyte => code::UBYTE,
        Type::Ushort => code::USHORT,
        Type::Uint => all(
            |v| matches!(v, Value::Uint(0..=0xff)),
            code::UINT_8,
            code::UINT,
        ),
        Type::Ulong => all(
            |v| matches!(v, Value::Ulong(0..=0xff)),
            code::ULONG_8,
            code::ULONG,
        ),
        Type::Byte => code::BYTE,
        Type::Short => code::SHORT,
        Type::Int => all(
            |v| matches!(v, Value::Int(-128..=127)),
            code::INT_8,
            code::INT,
        ),
        Type::Long => all(
            |v| matches!(v, Value::Long(-128..=127)),
            code::LONG_8,
            code::LONG,
        ),
        Type::Float => code::FLOAT,
        Type::Double => code::DOUBLE,
        Type::Decimal32 => code::DECIMAL_32,
        Type::Decimal64 => code::DECIMAL_64,
        Type::Decimal128 => code::DECIMAL_128,
        Type::Char => code::CHAR,
        Type::Timestamp => code::TIMESTAMP,
        Type::Uuid => code::UUID,
        Type::Binary => all(Value::is_short, code::BINARY_8, code::BINARY_32),
        Type::String => all(Value::is_short, code::STRING_8, code::STRING_32),
        Type::Symbol => all(Value::is_short, code::SYMBOL_8, code::SYMBOL_32),
        Type::List => code::LIST_32,
        Type::Map => code::MAP_32,
        Type::Array => code::ARRAY_32,
    }
}

impl Decode for Array {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        let array = reader.enter_array(code)?;
        let mut elements = Vec::new();
        // T-040: some peers leave out the constructor of an empty array.
        if reader.remaining() > 0 {
            let descriptors = read_descriptors(reader, array.count)?;
            let code = reader.read_element_code(array.count)?;
            elements.reserve((array.count as usize).min(PREALLOCATED));
            for _ in 0..array.count {
                elements.push(describe(Value::decode_body(reader, code)?, &descriptors));
            }
        } else if array.count > 0 {
            return Err(reader.error(crate::DecodeErrorKind::TooManyItems(array.count)));
        }
        reader.leave(array)?;
        Ok(Self { elements })
    }
}

/// Reads the descriptors in front of the format code, outermost first. The first values of the elements to
/// come pay for one simple descriptor each; what more is repeated counts as unbacked.
fn read_descriptors(reader: &mut Reader, count: u32) -> Result<Vec<Value>, DecodeError> {
    let mut descriptors = Vec::new();
    while reader.peek_code()? == code::DESCRIBED {
        reader.deepen()?;
        reader.read_code()?;
        descriptors.push(Value::decode(reader)?);
    }
    descriptors.iter().for_each(|_| reader.rise());
    let repeated: u64 = descriptors.iter().map(Value::node_count).sum();
    reader.charge_unbacked(repeated.saturating_sub(1).saturating_mul(count.into()))?;
    Ok(descriptors)
}

fn describe(value: Value, descriptors: &[Value]) -> Value {
    descriptors.iter().rev().fold(value, |value, descriptor| {
        Value::from(Described {
            descriptor: descriptor.clone(),
            value,
        })
    })
}
