//! AMQP 1.0 types and their encoding.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

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
//pub mod serde;
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
pub use read::{Decode, Limits, Reader};
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
