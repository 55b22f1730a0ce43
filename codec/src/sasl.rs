//! SASL frames `[5.3.3]`. What could hold a secret does not show in `Debug`.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::code::descriptor;
use crate::composite::{Composite, FieldReader, FieldWriter, decode_fields};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::performative::out_of_range;
use crate::read::{Decode, Reader};
use crate::symbol::Symbol;
use crate::text::Str;
use crate::write::{Encode, Writer};

/// `[5.3.3.1]` The server's mechanisms, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslMechanisms {
    /// In order of preference.
    pub sasl_server_mechanisms: Vec<Symbol>,
}

/// `[5.3.3.2]` The client's choice.
#[derive(Clone, PartialEq, Eq)]
pub struct SaslInit {
    /// The mechanism.
    pub mechanism: Symbol,
    /// What the mechanism starts with; an empty one is not the same as none.
    pub initial_response: Option<Bytes>,
    /// The host that the client wants to reach.
    pub hostname: Option<Str>,
}

/// `[5.3.3.3]` The server asks.
#[derive(Clone, PartialEq, Eq)]
pub struct SaslChallenge {
    /// As the mechanism defines it.
    pub challenge: Bytes,
}

/// `[5.3.3.4]` The client answers.
#[derive(Clone, PartialEq, Eq)]
pub struct SaslResponse {
    /// As the mechanism defines it.
    pub response: Bytes,
}

/// `[5.3.3.5]` How it ended.
#[derive(Clone, PartialEq, Eq)]
pub struct SaslOutcome {
    /// The result.
    pub code: SaslCode,
    /// More data of the mechanism, only after success.
    pub additional_data: Option<Bytes>,
}

/// `[5.3.3.6]` The result of an authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SaslCode {
    /// It succeeded.
    Ok,
    /// The credentials are wrong.
    Auth,
    /// The server failed.
    Sys,
    /// The server failed, and will fail again.
    SysPerm,
    /// The server failed; trying again later may help.
    SysTemp,
}

/// `[5.3.1]` The body of a SASL frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the standard
pub enum SaslFrame {
    Mechanisms(SaslMechanisms),
    Init(SaslInit),
    Challenge(SaslChallenge),
    Response(SaslResponse),
    Outcome(SaslOutcome),
}

impl SaslFrame {
    /// The standard's name of the frame.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mechanisms(_) => SaslMechanisms::NAME,
            Self::Init(_) => SaslInit::NAME,
            Self::Challenge(_) => SaslChallenge::NAME,
            Self::Response(_) => SaslResponse::NAME,
            Self::Outcome(_) => SaslOutcome::NAME,
        }
    }
}

/// Stands for octets that must not be seen.
struct Hidden(usize);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} octets>", self.0)
    }
}

fn hidden(octets: &Option<Bytes>) -> Option<Hidden> {
    octets.as_ref().map(|octets| Hidden(octets.len()))
}

impl fmt::Debug for SaslInit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaslInit")
            .field("mechanism", &self.mechanism)
            .field("initial_response", &hidden(&self.initial_response))
            .field("hostname", &self.hostname)
            .finish()
    }
}

impl fmt::Debug for SaslChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaslChallenge")
            .field("challenge", &Hidden(self.challenge.len()))
            .finish()
    }
}

impl fmt::Debug for SaslResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaslResponse")
            .field("response", &Hidden(self.response.len()))
            .finish()
    }
}

impl fmt::Debug for SaslOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaslOutcome")
            .field("code", &self.code)
            .field("additional_data", &hidden(&self.additional_data))
            .finish()
    }
}

impl Encode for SaslFrame {
    fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Mechanisms(mechanisms) => mechanisms.encode(writer),
            Self::Init(init) => init.encode(writer),
            Self::Challenge(challenge) => challenge.encode(writer),
            Self::Response(response) => response.encode(writer),
            Self::Outcome(outcome) => outcome.encode(writer),
        }
    }
}

impl Decode for SaslFrame {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        let offset = reader.code_position();
        Ok(match reader.read_descriptor_body(code)? {
            Some(descriptor::SASL_MECHANISMS) => Self::Mechanisms(decode_fields(reader)?),
            Some(descriptor::SASL_INIT) => Self::Init(decode_fields(reader)?),
            Some(descriptor::SASL_CHALLENGE) => Self::Challenge(decode_fields(reader)?),
            Some(descriptor::SASL_RESPONSE) => Self::Response(decode_fields(reader)?),
            Some(descriptor::SASL_OUTCOME) => Self::Outcome(decode_fields(reader)?),
            _ => {
                let expected = "a SASL frame body";
                return Err(DecodeError::new(
                    offset,
                    DecodeErrorKind::UnexpectedDescriptor { expected },
                ));
            }
        })
    }
}

impl Encode for SaslCode {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.write_ubyte(*self as u8);
    }
}

impl Decode for SaslCode {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match u8::decode_body(reader, code)? {
            0 => Ok(Self::Ok),
            1 => Ok(Self::Auth),
            2 => Ok(Self::Sys),
            3 => Ok(Self::SysPerm),
            4 => Ok(Self::SysTemp),
            _ => Err(out_of_range(reader, "a sasl-code is 0 to 4")), // Y-021
        }
    }
}

impl Composite for SaslMechanisms {
    const DESCRIPTOR: u64 = descriptor::SASL_MECHANISMS;
    const NAME: &'static str = "sasl-mechanisms";

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.multiple(&self.sasl_server_mechanisms);
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        let field = "sasl-server-mechanisms";
        let sasl_server_mechanisms: Vec<Symbol> = fields.multiple(field)?;
        if sasl_server_mechanisms.is_empty() {
            return Err(fields.missing(field)); // T-059
        }
        Ok(Self {
            sasl_server_mechanisms,
        })
    }
}

impl Composite for SaslInit {
    const DESCRIPTOR: u64 = descriptor::SASL_INIT;
    const NAME: &'static str = "sasl-init";

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.required(&self.mechanism);
        fields.optional(&self.initial_response);
        fields.optional(&self.hostname);
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            mechanism: fields.required("mechanism")?,
            initial_response: fields.optional("initial-response")?,
            hostname: fields.optional("hostname")?,
        })
    }
}

impl Composite for SaslChallenge {
    const DESCRIPTOR: u64 = descriptor::SASL_CHALLENGE;
    const NAME: &'static str = "sasl-challenge";

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.required(&self.challenge);
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            challenge: fields.required("challenge")?,
        })
    }
}

impl Composite for SaslResponse {
    const DESCRIPTOR: u64 = descriptor::SASL_RESPONSE;
    const NAME: &'static str = "sasl-response";

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.required(&self.response);
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            response: fields.required("response")?,
        })
    }
}

impl Composite for SaslOutcome {
    const DESCRIPTOR: u64 = descriptor::SASL_OUTCOME;
    const NAME: &'static str = "sasl-outcome";

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.required(&self.code);
        fields.optional(&self.additional_data);
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            code: fields.required("code")?,
            additional_data: fields.optional("additional-data")?,
        })
    }
}
