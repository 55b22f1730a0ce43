//! Delivery states and outcomes `[3.4]`: how far a delivery has come, and how it ended.

use alloc::boxed::Box;
use core::fmt;

use crate::code::{self, descriptor};
use crate::composite::{Composite, FieldReader, FieldWriter, decode_fields, decode_no_fields};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::performative::AmqpError;
use crate::read::{Decode, Reader};
use crate::transaction::{Declared, TransactionalState};
use crate::value::Fields;
use crate::write::{Encode, Writer};

/// `[3.4]` How a delivery ended.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an outcome may say that the message was not taken"]
pub enum Outcome {
    /// `[3.4.2]` It was processed.
    Accepted,
    /// `[3.4.3]` It is invalid.
    Rejected(Rejected),
    /// `[3.4.4]` It was not processed and may be delivered again.
    Released,
    /// `[3.4.5]` It was not processed, and something about the message changes.
    Modified(Modified),
    /// `[4.5.5]` The transaction it asked for was declared.
    Declared(Declared),
}

impl Outcome {
    /// Whether the receiver took the message.
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("accepted"),
            Self::Rejected(Rejected { error: None }) => f.write_str("rejected"),
            Self::Rejected(Rejected { error: Some(error) }) => write!(f, "rejected: {error}"),
            Self::Released => f.write_str("released"),
            Self::Modified(Modified {
                delivery_failed,
                undeliverable_here,
                ..
            }) => {
                f.write_str("modified")?;
                if *delivery_failed {
                    f.write_str(", delivery failed")?;
                }
                if *undeliverable_here {
                    f.write_str(", undeliverable here")?;
                }
                Ok(())
            }
            Self::Declared(_) => f.write_str("declared"),
        }
    }
}

/// `[3.4.3]` Why a message is invalid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rejected {
    /// The error, if one is given.
    pub error: Option<Box<AmqpError>>,
}

impl Rejected {
    /// Rejected for this reason.
    pub fn new(error: AmqpError) -> Self {
        Self {
            error: Some(Box::new(error)),
        }
    }
}

/// `[3.4.5]` What changes about a message that was not processed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Modified {
    /// Whether this counts as a failed delivery.
    pub delivery_failed: bool,
    /// Whether the message must not be delivered here again.
    pub undeliverable_here: bool,
    /// Annotations to add to or replace in those of the message.
    pub message_annotations: Fields,
}

/// `[3.4.1]` Up to where a message has arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The first section that is not complete.
    pub section_number: u32,
    /// Octets of that section that have arrived.
    pub section_offset: u64,
}

/// `[3.4]` The state of a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum DeliveryState {
    /// A part has arrived.
    Received(Received),
    /// It has ended.
    Outcome(Outcome),
    /// It belongs to a transaction.
    Transactional(Box<TransactionalState>),
}

impl DeliveryState {
    /// The outcome, also if it depends on a transaction.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Outcome(outcome) => Some(outcome),
            Self::Transactional(state) => state.outcome.as_ref(),
            Self::Received(_) => None,
        }
    }

    /// Whether this state is final (O-001).
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Outcome(_))
    }
}

impl From<Outcome> for DeliveryState {
    fn from(outcome: Outcome) -> Self {
        Self::Outcome(outcome)
    }
}

impl From<Received> for DeliveryState {
    fn from(received: Received) -> Self {
        Self::Received(received)
    }
}

impl From<TransactionalState> for DeliveryState {
    fn from(state: TransactionalState) -> Self {
        Self::Transactional(Box::new(state))
    }
}

impl From<Rejected> for Outcome {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl From<Modified> for Outcome {
    fn from(modified: Modified) -> Self {
        Self::Modified(modified)
    }
}

impl From<Declared> for Outcome {
    fn from(declared: Declared) -> Self {
        Self::Declared(declared)
    }
}

impl Encode for Outcome {
    fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Accepted => encode_no_fields(writer, descriptor::ACCEPTED),
            Self::Rejected(rejected) => rejected.encode(writer),
            Self::Released => encode_no_fields(writer, descriptor::RELEASED),
            Self::Modified(modified) => modified.encode(writer),
            Self::Declared(declared) => declared.encode(writer),
        }
    }
}

fn encode_no_fields(writer: &mut Writer<'_>, descriptor: u64) {
    writer.write_descriptor(descriptor);
    writer.write_raw(&[code::LIST_0]);
}

impl Decode for Outcome {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        let offset = reader.code_position();
        let descriptor = reader.read_descriptor_body(code)?;
        match decode_outcome(reader, descriptor)? {
            Some(outcome) => Ok(outcome),
            None => Err(unknown(offset, "an outcome")),
        }
    }
}

fn decode_outcome(
    reader: &mut Reader,
    descriptor: Option<u64>,
) -> Result<Option<Outcome>, DecodeError> {
    Ok(Some(match descriptor {
        Some(descriptor::ACCEPTED) => {
            decode_no_fields(reader, "accepted")?;
            Outcome::Accepted
        }
        Some(descriptor::REJECTED) => Outcome::Rejected(decode_fields(reader)?),
        Some(descriptor::RELEASED) => {
            decode_no_fields(reader, "released")?;
            Outcome::Released
        }
        Some(descriptor::MODIFIED) => Outcome::Modified(decode_fields(reader)?),
        Some(descriptor::DECLARED) => Outcome::Declared(decode_fields(reader)?),
        _ => return Ok(None),
    }))
}

fn unknown(offset: usize, expected: &'static str) -> DecodeError {
    DecodeError::new(offset, DecodeErrorKind::UnexpectedDescriptor { expected })
}

impl Encode for DeliveryState {
    fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Received(received) => received.encode(writer),
            Self::Outcome(outcome) => outcome.encode(writer),
            Self::Transactional(state) => state.encode(writer),
        }
    }
}

impl Decode for DeliveryState {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        let offset = reader.code_position();
        match reader.read_descriptor_body(code)? {
            Some(descriptor::RECEIVED) => Ok(Self::Received(decode_fields(reader)?)),
            Some(descriptor::TRANSACTIONAL_STATE) => {
                Ok(Self::Transactional(Box::new(decode_fields(reader)?)))
            }
            // T-064: nothing else is a delivery state.
            other => match decode_outcome(reader, other)? {
                Some(outcome) => Ok(Self::Outcome(outcome)),
                None => Err(unknown(offset, "a delivery state")),
            },
        }
    }
}

impl Composite for Received {
    const DESCRIPTOR: u64 = descriptor::RECEIVED;
    const NAME: &'static str = "received";
    const ALWAYS_SHORT: bool = true;

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.required(&self.section_number);
        fields.required(&self.section_offset);
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            section_number: fields.required("section-number")?,
            section_offset: fields.required("section-offset")?,
        })
    }
}

impl Composite for Rejected {
    const DESCRIPTOR: u64 = descriptor::REJECTED;
    const NAME: &'static str = "rejected";
    const ALWAYS_SHORT: bool = true;

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        match &self.error {
            Some(error) => fields.required(&**error),
            None => fields.null(),
        }
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            error: fields.optional("error")?.map(Box::new),
        })
    }
}

impl Composite for Modified {
    const DESCRIPTOR: u64 = descriptor::MODIFIED;
    const NAME: &'static str = "modified";
    const ALWAYS_SHORT: bool = true;

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.or(&self.delivery_failed, false);
        fields.or(&self.undeliverable_here, false);
        fields.unless_empty(
            &self.message_annotations,
            self.message_annotations.is_empty(),
        );
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            delivery_failed: fields.or_default("delivery-failed")?,
            undeliverable_here: fields.or_default("undeliverable-here")?,
            message_annotations: fields.or_default("message-annotations")?,
        })
    }
}
