//! What can be wrong with bytes, and with values that cannot be encoded.

use alloc::boxed::Box;
use core::fmt;

use crate::code::Type;
use crate::condition;
use crate::symbol::Symbol;

/// Bytes that are not what they should be: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Octets from the start of what was decoded: a value, a frame body or a message.
    pub offset: usize,
    /// What is wrong there.
    pub kind: DecodeErrorKind,
}

/// What is wrong with the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The input, or the compound that holds the value, ends too early (T-044).
    UnexpectedEnd,
    /// A format code that the standard does not assign (T-003).
    UnknownFormatCode(u8),
    /// Another type was expected here.
    UnexpectedType {
        /// The type that belongs here.
        expected: Type,
        /// The format code found.
        found: u8,
    },
    /// A boolean octet other than 0 and 1 (T-008).
    InvalidBoolean(u8),
    /// A char that is no Unicode scalar value (T-020).
    InvalidChar(u32),
    /// A string that is not UTF-8 (T-025).
    InvalidUtf8,
    /// A symbol with an octet above 0x7f (T-027).
    NotAscii,
    /// The items of a list, map or array do not fill its declared size (T-036).
    SizeMismatch,
    /// More items are declared than the octets can hold (T-039).
    TooManyItems(u32),
    /// A map with an odd number of items (T-030).
    OddMapCount(u32),
    /// Two equal keys in one map (T-032).
    DuplicateKey,
    /// Values are nested deeper than [`DecodeLimits::depth`](crate::read::DecodeLimits::depth) (T-045).
    TooDeep,
    /// Octets follow the last value.
    TrailingBytes,
    /// A described value of another type than the one expected here.
    UnexpectedDescriptor {
        /// What was expected: the name of a type or of a group of types.
        expected: &'static str,
    },
    /// A value that its restricted type does not allow, outside a composite (T-062).
    InvalidValue {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A mandatory field is null or missing (T-056).
    MissingField {
        /// The composite type.
        composite: &'static str,
        /// Its field.
        field: &'static str,
    },
    /// A field has a value of the wrong type (T-061).
    WrongFieldType {
        /// The composite type.
        composite: &'static str,
        /// Its field.
        field: &'static str,
        /// The field's type.
        expected: Type,
        /// The format code found.
        found: u8,
    },
    /// A field has a value that is not allowed (T-062, T-064).
    InvalidField {
        /// The composite type.
        composite: &'static str,
        /// Its field.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A composite has more fields than its type declares (T-060).
    TooManyFields {
        /// The composite type.
        composite: &'static str,
    },
    /// A section stands where the order of sections does not allow it, or a second time (M-001, M-004).
    MisplacedSection {
        /// The section.
        section: &'static str,
    },
    /// A frame of another type than expected: this is its type octet.
    UnexpectedFrameType(u8),
    /// Octets follow a performative that carries no payload (F-010).
    UnexpectedPayload,
    /// A SASL frame without a body (Y-011).
    EmptySaslFrame,
    /// A type of Rust that AMQP has no type for.
    Unsupported(&'static str),
    /// What an application's own `Deserialize` reports: a missing field, a number out of range.
    Custom(Box<str>),
}

impl DecodeError {
    #[cold]
    pub(crate) fn new(offset: usize, kind: DecodeErrorKind) -> Self {
        Self { offset, kind }
    }

    /// Whether the bytes decode, but a field has a wrong, missing or forbidden value (T-063).
    pub fn is_invalid_field(&self) -> bool {
        use DecodeErrorKind::*;
        matches!(
            self.kind,
            MissingField { .. } | WrongFieldType { .. } | InvalidField { .. }
        )
    }

    /// The condition to report to the peer: `amqp:invalid-field` or `amqp:decode-error` (T-063).
    pub fn condition(&self) -> Symbol {
        if self.is_invalid_field() {
            condition::INVALID_FIELD
        } else {
            condition::DECODE_ERROR
        }
    }

    /// Names the field in which a type or value error happened, unless an inner composite did so already.
    #[cold]
    pub(crate) fn in_field(mut self, composite: &'static str, field: &'static str) -> Self {
        use DecodeErrorKind::*;
        self.kind = match self.kind {
            UnexpectedType { expected, found } => WrongFieldType {
                composite,
                field,
                expected,
                found,
            },
            InvalidValue { reason } => InvalidField {
                composite,
                field,
                reason,
            },
            UnexpectedDescriptor { .. } => InvalidField {
                composite,
                field,
                reason: "a described value of a type that does not belong here",
            },
            other => other,
        };
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at octet {}", self.kind, self.offset)
    }
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use DecodeErrorKind::*;
        match self {
            UnexpectedEnd => f.write_str("the input ends inside a value"),
            UnknownFormatCode(code) => write!(f, "unassigned format code {code:#04x}"),
            UnexpectedType { expected, found } => {
                write!(f, "expected {}, found ", expected.name())?;
                write_found(f, *found)
            }
            InvalidBoolean(octet) => write!(f, "a boolean octet is {octet:#04x}"),
            InvalidChar(scalar) => write!(f, "{scalar:#x} is not a Unicode scalar value"),
            InvalidUtf8 => f.write_str("a string is not UTF-8"),
            NotAscii => f.write_str("a symbol is not ASCII"),
            SizeMismatch => {
                f.write_str("the items do not fill the declared size of their compound")
            }
            TooManyItems(count) => {
                write!(f, "{count} items are more than a limit or the input allows")
            }
            OddMapCount(count) => write!(f, "a map has an odd number of items, {count}"),
            DuplicateKey => f.write_str("a map has two equal keys"),
            TooDeep => f.write_str("values are nested too deeply"),
            TrailingBytes => f.write_str("octets follow the value"),
            UnexpectedDescriptor { expected } => write!(f, "the described value is not {expected}"),
            InvalidValue { reason } => f.write_str(reason),
            MissingField { composite, field } => write!(f, "{composite} lacks its {field}"),
            WrongFieldType {
                composite,
                field,
                expected,
                found,
            } => {
                write!(
                    f,
                    "{composite}: {field} must be {}, found ",
                    expected.name()
                )?;
                write_found(f, *found)
            }
            InvalidField {
                composite,
                field,
                reason,
            } => write!(f, "{composite}: {field}: {reason}"),
            TooManyFields { composite } => {
                write!(f, "{composite} has more fields than its type declares")
            }
            MisplacedSection { section } => {
                write!(f, "section {section} is repeated or out of order")
            }
            UnexpectedFrameType(octet) => write!(f, "unexpected frame type {octet}"),
            UnexpectedPayload => {
                f.write_str("octets follow a performative that carries no payload")
            }
            EmptySaslFrame => f.write_str("a SASL frame has no body"),
            Unsupported(rust_type) => write!(f, "AMQP has no type for {rust_type}"),
            Custom(message) => f.write_str(message),
        }
    }
}

fn write_found(f: &mut fmt::Formatter<'_>, code: u8) -> fmt::Result {
    match Type::of_code(code) {
        Some(found) => f.write_str(found.name()),
        None => write!(f, "unassigned format code {code:#04x}"),
    }
}

impl core::error::Error for DecodeError {}

/// A value that AMQP cannot carry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// A length, size or count above 2^32 - 1. What was written is unusable.
    TooLong,
    /// Values are nested deeper than decoders accept by default, [`DecodeLimits::DEPTH`](crate::read::DecodeLimits::DEPTH).
    TooDeep,
    /// Two equal keys in one map (T-031).
    DuplicateKey,
    /// The text of a symbol has a character outside 7-bit ASCII (T-026).
    NotAscii,
    /// The elements of an array are of different types (T-041).
    MixedArray,
    /// A type of Rust that AMQP has no type for.
    Unsupported(&'static str),
    /// A value that cannot take the form that a wrapper of [`serde`](crate::serde) demands.
    Unsuitable {
        /// The AMQP type that was demanded.
        form: &'static str,
    },
    /// What an application's own `Serialize` reports.
    Custom(Box<str>),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::TooLong => {
                f.write_str("a value is longer than AMQP's 32-bit lengths allow")
            }
            EncodeError::TooDeep => f.write_str("values are nested too deeply"),
            EncodeError::DuplicateKey => f.write_str("a map has two equal keys"),
            EncodeError::NotAscii => f.write_str("a symbol is not ASCII"),
            EncodeError::MixedArray => {
                f.write_str("the elements of an array are of different types")
            }
            EncodeError::Unsupported(rust_type) => write!(f, "AMQP has no type for {rust_type}"),
            EncodeError::Unsuitable { form } => {
                write!(f, "a value cannot be written as {form}")
            }
            EncodeError::Custom(message) => f.write_str(message),
        }
    }
}

impl core::error::Error for EncodeError {}
