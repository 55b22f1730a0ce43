//! Every number of the encoding: format codes, and the descriptors of the standard's own types.

/// `[1.2]` Starts a described value: a descriptor and a value follow.
pub const DESCRIBED: u8 = 0x00;
/// `[1.6.1]` null, no octets.
pub const NULL: u8 = 0x40;
/// `[1.6.2]` true, no octets.
pub const TRUE: u8 = 0x41;
/// `[1.6.2]` false, no octets.
pub const FALSE: u8 = 0x42;
/// `[1.6.5]` uint zero, no octets.
pub const UINT_0: u8 = 0x43;
/// `[1.6.6]` ulong zero, no octets.
pub const ULONG_0: u8 = 0x44;
/// `[1.6.22]` The empty list, no octets.
pub const LIST_0: u8 = 0x45;
/// `[1.6.3]` ubyte.
pub const UBYTE: u8 = 0x50;
/// `[1.6.7]` byte.
pub const BYTE: u8 = 0x51;
/// `[1.6.5]` uint up to 255 in one octet.
pub const UINT_8: u8 = 0x52;
/// `[1.6.6]` ulong up to 255 in one octet.
pub const ULONG_8: u8 = 0x53;
/// `[1.6.9]` int in one octet, two's complement.
pub const INT_8: u8 = 0x54;
/// `[1.6.10]` long in one octet, two's complement.
pub const LONG_8: u8 = 0x55;
/// `[1.6.2]` boolean as an octet that is 0 or 1.
pub const BOOLEAN: u8 = 0x56;
/// `[1.6.4]` ushort.
pub const USHORT: u8 = 0x60;
/// `[1.6.8]` short.
pub const SHORT: u8 = 0x61;
/// `[1.6.5]` uint in four octets.
pub const UINT: u8 = 0x70;
/// `[1.6.9]` int in four octets.
pub const INT: u8 = 0x71;
/// `[1.6.11]` float.
pub const FLOAT: u8 = 0x72;
/// `[1.6.16]` char, UTF-32BE.
pub const CHAR: u8 = 0x73;
/// `[1.6.13]` decimal32.
pub const DECIMAL_32: u8 = 0x74;
/// `[1.6.6]` ulong in eight octets.
pub const ULONG: u8 = 0x80;
/// `[1.6.10]` long in eight octets.
pub const LONG: u8 = 0x81;
/// `[1.6.12]` double.
pub const DOUBLE: u8 = 0x82;
/// `[1.6.17]` timestamp, milliseconds.
pub const TIMESTAMP: u8 = 0x83;
/// `[1.6.14]` decimal64.
pub const DECIMAL_64: u8 = 0x84;
/// `[1.6.15]` decimal128.
pub const DECIMAL_128: u8 = 0x94;
/// `[1.6.18]` uuid.
pub const UUID: u8 = 0x98;
/// `[1.6.19]` binary, length in one octet.
pub const BINARY_8: u8 = 0xa0;
/// `[1.6.20]` string, length in one octet.
pub const STRING_8: u8 = 0xa1;
/// `[1.6.21]` symbol, length in one octet.
pub const SYMBOL_8: u8 = 0xa3;
/// `[1.6.19]` binary, length in four octets.
pub const BINARY_32: u8 = 0xb0;
/// `[1.6.20]` string, length in four octets.
pub const STRING_32: u8 = 0xb1;
/// `[1.6.21]` symbol, length in four octets.
pub const SYMBOL_32: u8 = 0xb3;
/// `[1.6.22]` list, size and count in one octet each.
pub const LIST_8: u8 = 0xc0;
/// `[1.6.23]` map, size and count in one octet each.
pub const MAP_8: u8 = 0xc1;
/// `[1.6.22]` list, size and count in four octets each.
pub const LIST_32: u8 = 0xd0;
/// `[1.6.23]` map, size and count in four octets each.
pub const MAP_32: u8 = 0xd1;
/// `[1.6.24]` array, size and count in one octet each.
pub const ARRAY_8: u8 = 0xe0;
/// `[1.6.24]` array, size and count in four octets each.
pub const ARRAY_32: u8 = 0xf0;

/// A primitive type of `[1.6]`, whatever its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names of the standard
pub enum Type {
    Described,
    Null,
    Boolean,
    Ubyte,
    Ushort,
    Uint,
    Ulong,
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
    Decimal32,
    Decimal64,
    Decimal128,
    Char,
    Timestamp,
    Uuid,
    Binary,
    String,
    Symbol,
    List,
    Map,
    Array,
}

impl Type {
    /// The type that a format code encodes; `None` for an unassigned code (T-003).
    pub const fn of_code(code: u8) -> Option<Type> {
        Some(match code {
            DESCRIBED => Type::Described,
            NULL => Type::Null,
            TRUE | FALSE | BOOLEAN => Type::Boolean,
            UBYTE => Type::Ubyte,
            USHORT => Type::Ushort,
            UINT_0 | UINT_8 | UINT => Type::Uint,
            ULONG_0 | ULONG_8 | ULONG => Type::Ulong,
            BYTE => Type::Byte,
            SHORT => Type::Short,
            INT_8 | INT => Type::Int,
            LONG_8 | LONG => Type::Long,
            FLOAT => Type::Float,
            DOUBLE => Type::Double,
            DECIMAL_32 => Type::Decimal32,
            DECIMAL_64 => Type::Decimal64,
            DECIMAL_128 => Type::Decimal128,
            CHAR => Type::Char,
            TIMESTAMP => Type::Timestamp,
            UUID => Type::Uuid,
            BINARY_8 | BINARY_32 => Type::Binary,
            STRING_8 | STRING_32 => Type::String,
            SYMBOL_8 | SYMBOL_32 => Type::Symbol,
            LIST_0 | LIST_8 | LIST_32 => Type::List,
            MAP_8 | MAP_32 => Type::Map,
            ARRAY_8 | ARRAY_32 => Type::Array,
            _ => return None,
        })
    }

    /// The standard's name of the type.
    pub const fn name(self) -> &'static str {
        match self {
            Type::Described => "described value",
            Type::Null => "null",
            Type::Boolean => "boolean",
            Type::Ubyte => "ubyte",
            Type::Ushort => "ushort",
            Type::Uint => "uint",
            Type::Ulong => "ulong",
            Type::Byte => "byte",
            Type::Short => "short",
            Type::Int => "int",
            Type::Long => "long",
            Type::Float => "float",
            Type::Double => "double",
            Type::Decimal32 => "decimal32",
            Type::Decimal64 => "decimal64",
            Type::Decimal128 => "decimal128",
            Type::Char => "char",
            Type::Timestamp => "timestamp",
            Type::Uuid => "uuid",
            Type::Binary => "binary",
            Type::String => "string",
            Type::Symbol => "symbol",
            Type::List => "list",
            Type::Map => "map",
            Type::Array => "array",
        }
    }
}

/// How many octets follow a constructor at least: the data of a fixed-width code, else the size field
/// (T-002).
pub(crate) const fn width(code: u8) -> usize {
    match code >> 4 {
        0x5 | 0xa | 0xc | 0xe => 1,
        0x6 => 2,
        0x7 | 0xb | 0xd | 0xf => 4,
        0x8 => 8,
        0x9 => 16,
        _ => 0,
    }
}

/// Descriptors of the standard's described types: the ulong codes and their symbolic forms (T-049).
pub mod descriptor {
    #![allow(missing_docs)] // the names of the standard

    pub const OPEN: u64 = 0x10;
    pub const BEGIN: u64 = 0x11;
    pub const ATTACH: u64 = 0x12;
    pub const FLOW: u64 = 0x13;
    pub const TRANSFER: u64 = 0x14;
    pub const DISPOSITION: u64 = 0x15;
    pub const DETACH: u64 = 0x16;
    pub const END: u64 = 0x17;
    pub const CLOSE: u64 = 0x18;
    pub const ERROR: u64 = 0x1d;
    pub const RECEIVED: u64 = 0x23;
    pub const ACCEPTED: u64 = 0x24;
    pub const REJECTED: u64 = 0x25;
    pub const RELEASED: u64 = 0x26;
    pub const MODIFIED: u64 = 0x27;
    pub const SOURCE: u64 = 0x28;
    pub const TARGET: u64 = 0x29;
    pub const DELETE_ON_CLOSE: u64 = 0x2b;
    pub const DELETE_ON_NO_LINKS: u64 = 0x2c;
    pub const DELETE_ON_NO_MESSAGES: u64 = 0x2d;
    pub const DELETE_ON_NO_LINKS_OR_MESSAGES: u64 = 0x2e;
    pub const COORDINATOR: u64 = 0x30;
    pub const DECLARE: u64 = 0x31;
    pub const DISCHARGE: u64 = 0x32;
    pub const DECLARED: u64 = 0x33;
    pub const TRANSACTIONAL_STATE: u64 = 0x34;
    pub const SASL_MECHANISMS: u64 = 0x40;
    pub const SASL_INIT: u64 = 0x41;
    pub const SASL_CHALLENGE: u64 = 0x42;
    pub const SASL_RESPONSE: u64 = 0x43;
    pub const SASL_OUTCOME: u64 = 0x44;
    pub const HEADER: u64 = 0x70;
    pub const DELIVERY_ANNOTATIONS: u64 = 0x71;
    pub const MESSAGE_ANNOTATIONS: u64 = 0x72;
    pub const PROPERTIES: u64 = 0x73;
    pub const APPLICATION_PROPERTIES: u64 = 0x74;
    pub const DATA: u64 = 0x75;
    pub const AMQP_SEQUENCE: u64 = 0x76;
    pub const AMQP_VALUE: u64 = 0x77;
    pub const FOOTER: u64 = 0x78;

    /// Code and symbolic descriptor of every described type of the standard.
    pub const SYMBOLS: &[(u64, &str)] = &[
        (OPEN, "amqp:open:list"),
        (BEGIN, "amqp:begin:list"),
        (ATTACH, "amqp:attach:list"),
        (FLOW, "amqp:flow:list"),
        (TRANSFER, "amqp:transfer:list"),
        (DISPOSITION, "amqp:disposition:list"),
        (DETACH, "amqp:detach:list"),
        (END, "amqp:end:list"),
        (CLOSE, "amqp:close:list"),
        (ERROR, "amqp:error:list"),
        (RECEIVED, "amqp:received:list"),
        (ACCEPTED, "amqp:accepted:list"),
        (REJECTED, "amqp:rejected:list"),
        (RELEASED, "amqp:released:list"),
        (MODIFIED, "amqp:modified:list"),
        (SOURCE, "amqp:source:list"),
        (TARGET, "amqp:target:list"),
        (DELETE_ON_CLOSE, "amqp:delete-on-close:list"),
        (DELETE_ON_NO_LINKS, "amqp:delete-on-no-links:list"),
        (DELETE_ON_NO_MESSAGES, "amqp:delete-on-no-messages:list"),
        (
            DELETE_ON_NO_LINKS_OR_MESSAGES,
            "amqp:delete-on-no-links-or-messages:list",
        ),
        (COORDINATOR, "amqp:coordinator:list"),
        (DECLARE, "amqp:declare:list"),
        (DISCHARGE, "amqp:discharge:list"),
        (DECLARED, "amqp:declared:list"),
        (TRANSACTIONAL_STATE, "amqp:transactional-state:list"),
        (SASL_MECHANISMS, "amqp:sasl-mechanisms:list"),
        (SASL_INIT, "amqp:sasl-init:list"),
        (SASL_CHALLENGE, "amqp:sasl-challenge:list"),
        (SASL_RESPONSE, "amqp:sasl-response:list"),
        (SASL_OUTCOME, "amqp:sasl-outcome:list"),
        (HEADER, "amqp:header:list"),
        (DELIVERY_ANNOTATIONS, "amqp:delivery-annotations:map"),
        (MESSAGE_ANNOTATIONS, "amqp:message-annotations:map"),
        (PROPERTIES, "amqp:properties:list"),
        (APPLICATION_PROPERTIES, "amqp:application-properties:map"),
        (DATA, "amqp:data:binary"),
        (AMQP_SEQUENCE, "amqp:amqp-sequence:list"),
        (AMQP_VALUE, "amqp:amqp-value:*"),
        (FOOTER, "amqp:footer:map"),
    ];

    /// The code that a symbolic descriptor stands for (T-050).
    pub fn code_of(symbol: &str) -> Option<u64> {
        SYMBOLS
            .iter()
            .find(|(_, name)| *name == symbol)
            .map(|(code, _)| *code)
    }

    /// The symbolic form of a descriptor code.
    pub fn symbol_of(code: u64) -> Option<&'static str> {
        SYMBOLS
            .iter()
            .find(|(known, _)| *known == code)
            .map(|(_, name)| *name)
    }
}
