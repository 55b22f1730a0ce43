//! The performatives: what a frame asks for or tells `[2.7]`.

mod attach;
mod begin;
mod close;
mod detach;
mod disposition;
mod end;
mod error;
mod flow;
mod open;
mod transfer;
mod types;

pub use attach::{Attach, UnsettledMap};
pub use begin::Begin;
pub use close::Close;
pub use detach::Detach;
pub use disposition::Disposition;
pub use end::End;
pub use error::AmqpError;
pub use flow::Flow;
pub use open::Open;
pub use transfer::Transfer;
pub(crate) use types::out_of_range;
pub use types::{ReceiverSettleMode, Role, SenderSettleMode};

use alloc::boxed::Box;

use crate::code::descriptor;
use crate::composite::decode_fields;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::read::{Decode, Reader};
use crate::write::{Encode, Writer};

/// `[2.7]` What the body of an AMQP frame starts with. The large and rare ones are boxed.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the names of the standard
pub enum Performative {
    Open(Box<Open>),
    Begin(Box<Begin>),
    Attach(Box<Attach>),
    Flow(Flow),
    Transfer(Transfer),
    Disposition(Disposition),
    Detach(Detach),
    End(End),
    Close(Close),
}

impl Performative {
    /// The standard's name of the performative.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Begin(_) => "begin",
            Self::Attach(_) => "attach",
            Self::Flow(_) => "flow",
            Self::Transfer(_) => "transfer",
            Self::Disposition(_) => "disposition",
            Self::Detach(_) => "detach",
            Self::End(_) => "end",
            Self::Close(_) => "close",
        }
    }
}

impl Encode for Performative {
    fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Open(open) => open.encode(writer),
            Self::Begin(begin) => begin.encode(writer),
            Self::Attach(attach) => attach.encode(writer),
            Self::Flow(flow) => flow.encode(writer),
            Self::Transfer(transfer) => transfer.encode(writer),
            Self::Disposition(disposition) => disposition.encode(writer),
            Self::Detach(detach) => detach.encode(writer),
            Self::End(end) => end.encode(writer),
            Self::Close(close) => close.encode(writer),
        }
    }
}

impl Decode for Performative {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        let offset = reader.code_position();
        Ok(match reader.read_descriptor_body(code)? {
            Some(descriptor::TRANSFER) => Self::Transfer(decode_fields(reader)?),
            Some(descriptor::DISPOSITION) => Self::Disposition(decode_fields(reader)?),
            Some(descriptor::FLOW) => Self::Flow(decode_fields(reader)?),
            Some(descriptor::OPEN) => Self::Open(Box::new(decode_fields(reader)?)),
            Some(descriptor::BEGIN) => Self::Begin(Box::new(decode_fields(reader)?)),
            Some(descriptor::ATTACH) => Self::Attach(Box::new(decode_fields(reader)?)),
            Some(descriptor::DETACH) => Self::Detach(decode_fields(reader)?),
            Some(descriptor::END) => Self::End(decode_fields(reader)?),
            Some(descriptor::CLOSE) => Self::Close(decode_fields(reader)?),
            // F-011
            _ => {
                let expected = "a performative";
                return Err(DecodeError::new(
                    offset,
                    DecodeErrorKind::UnexpectedDescriptor { expected },
                ));
            }
        })
    }
}

impl From<Open> for Performative {
    fn from(open: Open) -> Self {
        Self::Open(Box::new(open))
    }
}

impl From<Begin> for Performative {
    fn from(begin: Begin) -> Self {
        Self::Begin(Box::new(begin))
    }
}

impl From<Attach> for Performative {
    fn from(attach: Attach) -> Self {
        Self::Attach(Box::new(attach))
    }
}

impl From<Flow> for Performative {
    fn from(flow: Flow) -> Self {
        Self::Flow(flow)
    }
}

impl From<Transfer> for Performative {
    fn from(transfer: Transfer) -> Self {
        Self::Transfer(transfer)
    }
}

impl From<Disposition> for Performative {
    fn from(disposition: Disposition) -> Self {
        Self::Disposition(disposition)
    }
}

impl From<Detach> for Performative {
    fn from(detach: Detach) -> Self {
        Self::Detach(detach)
    }
}

impl From<End> for Performative {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl From<Close> for Performative {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}
