//! The small restricted types of the transport.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::read::{Decode, Reader};
use crate::write::{Encode, Writer};

/// `[2.8.1]` Which end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names of the standard
pub enum Role {
    Sender,
    Receiver,
}

impl Role {
    /// The role of the partner.
    pub const fn opposite(self) -> Role {
        match self {
            Role::Sender => Role::Receiver,
            Role::Receiver => Role::Sender,
        }
    }
}

impl Encode for Role {
    #[inline]
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.write_bool(*self == Role::Receiver);
    }
}

impl Decode for Role {
    #[inline]
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        Ok(if bool::decode_body(reader, code)? {
            Role::Receiver
        } else {
            Role::Sender
        })
    }
}

/// `[2.8.2]` Whether the deliveries of a sender are settled when sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SenderSettleMode {
    /// All deliveries are sent unsettled.
    Unsettled,
    /// All deliveries are sent settled.
    Settled,
    /// Each delivery may be one or the other.
    #[default]
    Mixed,
}

impl Encode for SenderSettleMode {
    #[inline]
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.write_ubyte(*self as u8);
    }
}

impl Decode for SenderSettleMode {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match u8::decode_body(reader, code)? {
            0 => Ok(Self::Unsettled),
            1 => Ok(Self::Settled),
            2 => Ok(Self::Mixed),
            _ => Err(out_of_range(reader, "a sender-settle-mode is 0, 1 or 2")),
        }
    }
}

/// `[2.8.3]` When a receiver settles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReceiverSettleMode {
    /// On its own.
    #[default]
    First,
    /// After the sender has settled.
    Second,
}

impl Encode for ReceiverSettleMode {
    #[inline]
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.write_ubyte(*self as u8);
    }
}

impl Decode for ReceiverSettleMode {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match u8::decode_body(reader, code)? {
            0 => Ok(Self::First),
            1 => Ok(Self::Second),
            _ => Err(out_of_range(reader, "a receiver-settle-mode is 0 or 1")),
        }
    }
}

/// T-062: a value, just read, that its restricted type does not have.
pub(crate) fn out_of_range(reader: &Reader, reason: &'static str) -> DecodeError {
    reader.error_at_code(DecodeErrorKind::InvalidValue { reason })
}
