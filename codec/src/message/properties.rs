use alloc::string::String;

use bytes::Bytes;

use crate::code::{Type, descriptor};
use crate::composite::{Composite, FieldReader, FieldWriter};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::primitive::{Timestamp, Uuid};
use crate::read::{Decode, Reader};
use crate::symbol::Symbol;
use crate::text::Str;
use crate::write::{Encode, Writer};

/// `[3.2.4]` Properties of a message that the standard defines; no intermediary may change them (M-006).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// The name of the message, unique where it comes from.
    pub message_id: Option<MessageId>,
    /// Who made it.
    pub user_id: Option<Bytes>,
    /// The node it is meant for.
    pub to: Option<Str>,
    /// What it is about.
    pub subject: Option<Str>,
    /// The node that expects an answer.
    pub reply_to: Option<Str>,
    /// The message that this one belongs to.
    pub correlation_id: Option<MessageId>,
    /// The MIME type of a body that is data.
    pub content_type: Option<Symbol>,
    /// How a body that is data was compressed.
    pub content_encoding: Option<Symbol>,
    /// When it is of no use any more.
    pub absolute_expiry_time: Option<Timestamp>,
    /// When it was made.
    pub creation_time: Option<Timestamp>,
    /// The group it is part of.
    pub group_id: Option<Str>,
    /// Its place in that group.
    pub group_sequence: Option<u32>,
    /// The group that an answer belongs to.
    pub reply_to_group_id: Option<Str>,
}

/// `[3.2.11-14]` The name of a message; its type is part of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names of the standard
pub enum MessageId {
    Ulong(u64),
    Uuid(Uuid),
    Binary(Bytes),
    String(Str),
}

impl From<u64> for MessageId {
    fn from(number: u64) -> Self {
        Self::Ulong(number)
    }
}

impl From<Uuid> for MessageId {
    fn from(uuid: Uuid) -> Self {
        Self::Uuid(uuid)
    }
}

impl From<Bytes> for MessageId {
    fn from(octets: Bytes) -> Self {
        Self::Binary(octets)
    }
}

impl From<&str> for MessageId {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for MessageId {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<Str> for MessageId {
    fn from(text: Str) -> Self {
        Self::String(text)
    }
}

impl Encode for MessageId {
    fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Ulong(number) => number.encode(writer),
            Self::Uuid(uuid) => uuid.encode(writer),
            Self::Binary(octets) => octets.encode(writer),
            Self::String(text) => text.encode(writer),
        }
    }
}

impl Decode for MessageId {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        match Type::of_code(code) {
            Some(Type::String) => Str::decode_body(reader, code).map(Self::String),
            Some(Type::Ulong) => u64::decode_body(reader, code).map(Self::Ulong),
            Some(Type::Uuid) => Uuid::decode_body(reader, code).map(Self::Uuid),
            Some(Type::Binary) => Bytes::decode_body(reader, code).map(Self::Binary),
            _ => {
                let reason = "a message-id is a ulong, uuid, binary or string";
                Err(reader.error_at_code(DecodeErrorKind::InvalidValue { reason }))
            }
        }
    }
}

impl Composite for Properties {
    const DESCRIPTOR: u64 = descriptor::PROPERTIES;
    const NAME: &'static str = "properties";
    const ALWAYS_SHORT: bool = true;

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.optional(&self.message_id);
        fields.optional(&self.user_id);
        fields.optional(&self.to);
        fields.optional(&self.subject);
        fields.optional(&self.reply_to);
        fields.optional(&self.correlation_id);
        fields.optional(&self.content_type);
        fields.optional(&self.content_encoding);
        fields.optional(&self.absolute_expiry_time);
        fields.optional(&self.creation_time);
        fields.optional(&self.group_id);
        fields.optional(&self.group_sequence);
        fields.optional(&self.reply_to_group_id);
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            message_id: fields.optional("message-id")?,
            user_id: fields.optional("user-id")?,
            to: fields.optional("to")?,
            subject: fields.optional("subject")?,
            reply_to: fields.optional("reply-to")?,
            correlation_id: fields.optional("correlation-id")?,
            content_type: fields.optional("content-type")?,
            content_encoding: fields.optional("content-encoding")?,
            absolute_expiry_time: fields.optional("absolute-expiry-time")?,
            creation_time: fields.optional("creation-time")?,
            group_id: fields.optional("group-id")?,
            group_sequence: fields.optional("group-sequence")?,
            reply_to_group_id: fields.optional("reply-to-group-id")?,
        })
    }
}
