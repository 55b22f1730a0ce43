//! AMQP 1.0 values, performatives, frames and messages, to and from bytes.
//!
//! The crate does no input or output: it turns bytes into values and back. It is `no_std` with `alloc`, has no
//! `unsafe` code, and answers any input with a value or a [`DecodeError`] that says what is wrong and at which
//! octet. Binaries and long strings are slices of the input ([`bytes::Bytes`]): nothing is copied.
//!
//! # A frame
//!
//! ```text
//!   0        4     5     6         8                 4 * DOFF            SIZE
//!   +--------+-----+-----+---------+-----------------+-------------------+
//!   | SIZE   |DOFF |TYPE | CHANNEL | extended header | body              |
//!   +--------+-----+-----+---------+-----------------+-------------------+
//!    of all   in    0 AMQP          ignored           |
//!    octets   words 1 SASL                            |
//!                                                     v
//!                                   +------------------------+----------+
//!                                   | performative, a        | payload  |
//!                                   | described list         |          |
//!                                   +------------------------+----------+
//!                                                             transfer only
//! ```
//!
//! [`frame::split`] takes a [`RawFrame`] from the front of a read buffer, [`frame::decode_amqp`] makes an
//! [`AmqpFrame`] of it: a [`Performative`] and the payload, which for a transfer is a [`Message`] or a part of
//! one. [`frame::start`] and [`frame::finish`] write the header around what is appended in between.
//!
//! # A described list
//!
//! Performatives, termini, outcomes and most sections are *composites*: lists whose items are fields, told apart
//! by position, behind a *descriptor* that says which composite it is. Here, that a delivery was accepted:
//!
//! ```text
//!   00 53 15       c0 09 05        41     43     40     41        00 53 24     45
//!   |  |           |  |  |         |      |      |      |         |            |
//!   |  ulong 0x15: |  |  count:    role   first  last   settled   accepted     no fields,
//!   |  disposition |  |  5 fields  recei- 0      null   true      (state)      list0
//!   described      |  size: octets ver
//!                  |  after this
//!                  list8           "batchable" is missing at the end: null, thus its default
//! ```
//!
//! | word | meaning |
//! |---|---|
//! | format code | the octet that says type and width of what follows: [`code`] |
//! | constructor | a format code, or `0x00`, a descriptor and a constructor |
//! | descriptor | the value that gives a described value its meaning: a ulong, or a symbol for the same |
//! | compound | a list or map: size and count, then items |
//! | array | size, count, *one* constructor, then elements without constructors |
//! | composite | a described list with named fields: [`Composite`] |
//!
//! # Values
//!
//! ```
//! use amqp10_codec::{Message, Properties, Value, decode_value, encode_value};
//!
//! let list = Value::List(vec![true.into(), false.into()]);
//! let octets = encode_value(&list)?;
//! assert_eq!(octets[..], [0xc0, 3, 2, 0x41, 0x42]);
//! assert_eq!(decode_value(octets)?, list);
//!
//! let properties = Properties { subject: Some("hello".into()), ..Properties::default() };
//! let message = Message::data("body").with_properties(properties).with_application_property("n", 7i32);
//! assert_eq!(Message::decode(message.to_bytes()?)?, message);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`Value`] is any value; [`Reader`] and [`Writer`] are the checked cursor and the appender below it.
//! - Every legal encoding is read, the narrowest one is written.
//! - What a peer can make large has a limit: [`DecodeLimits`].
//! - [`mod@serde`] maps applications' own types.
//!
//! `[2.6.7]` in the documentation is a section of the standard, `T-035` a row in the catalogue of requirements in
//! the repository (`tests/conformance/requirements.md`).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

/// Its examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod code;
pub mod composite;
pub mod condition;
pub mod error;
pub mod frame;
pub mod message;
mod octets;
pub mod outcome;
pub mod performative;
pub mod primitive;
pub mod read;
mod read_primitive;
pub mod sasl;
pub mod serde;
pub mod symbol;
pub mod terminus;
pub mod text;
pub mod transaction;
pub mod value;
pub mod write;
mod write_primitive;

pub use composite::{Composite, FieldReader, FieldWriter};
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use frame::{AmqpFrame, FrameError, ProtocolHeader, RawFrame};
pub use message::{Body, Header, Message, MessageId, Properties, Sections};
pub use outcome::{DeliveryState, Modified, Outcome, Received, Rejected};
pub use performative::{
    AmqpError, Attach, Begin, Close, Detach, Disposition, End, Flow, Open, Performative,
    ReceiverSettleMode, Role, SenderSettleMode, Transfer, UnsettledMap,
};
pub use primitive::{Dec32, Dec64, Dec128, DeliveryTag, TagTooLongError, Timestamp, Uuid};
pub use read::{Decode, DecodeLimits, Reader};
pub use sasl::{
    SaslChallenge, SaslCode, SaslFrame, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse,
};
pub use symbol::{NotAsciiError, Symbol};
pub use terminus::{
    LifetimePolicy, Source, Target, TargetArchetype, TerminusDurability, TerminusExpiryPolicy,
};
pub use text::Str;
pub use transaction::{Coordinator, Declare, Declared, Discharge, TransactionalState};
pub use value::{
    AnnotationKey, Annotations, ApplicationProperties, Array, Described, Fields, FilterSet, Map,
    MixedArrayError, Value,
};
pub use write::{Encode, Layout, Writer};

/// Decodes one value, which must be the whole input.
///
/// # Errors
///
/// What is wrong, and at which octet.
pub fn decode_value(input: bytes::Bytes) -> Result<Value, DecodeError> {
    let mut reader = Reader::new(input);
    let value = Value::decode(&mut reader)?;
    reader.expect_end()?;
    Ok(value)
}

/// Encodes one value.
///
/// # Errors
///
/// [`EncodeError::TooLong`] for lengths above 2^32 - 1.
pub fn encode_value(value: &(impl Encode + ?Sized)) -> Result<bytes::Bytes, EncodeError> {
    let mut out = bytes::BytesMut::new();
    let mut writer = Writer::new(&mut out);
    value.encode(&mut writer);
    writer.finish()?;
    Ok(out.freeze())
}
