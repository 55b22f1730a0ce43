use crate::code::descriptor;
use crate::composite::{Composite, FieldReader, FieldWriter};
use crate::error::DecodeError;

/// `[3.2.1]` How a message is to be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether it must not be lost when an intermediary fails.
    pub durable: bool,
    /// Its importance; default 4, more is more.
    pub priority: u8,
    /// Milliseconds for which it is worth delivering.
    pub ttl: Option<u32>,
    /// Whether nobody has acquired it before.
    pub first_acquirer: bool,
    /// How many deliveries of it have failed.
    pub delivery_count: u32,
}

impl Header {
    /// The priority of a message that says nothing about it.
    pub const DEFAULT_PRIORITY: u8 = 4;
}

impl Default for Header {
    fn default() -> Self {
        Self {
            durable: false,
            priority: Self::DEFAULT_PRIORITY,
            ttl: None,
            first_acquirer: false,
            delivery_count: 0,
        }
    }
}

impl Composite for Header {
    const DESCRIPTOR: u64 = descriptor::HEADER;
    const NAME: &'static str = "header";
    const ALWAYS_SHORT: bool = true;

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.or(&self.durable, false);
        fields.or(&self.priority, Self::DEFAULT_PRIORITY);
        fields.optional(&self.ttl);
        fields.or(&self.first_acquirer, false);
        fields.or(&self.delivery_count, 0);
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            durable: fields.or_default("durable")?,
            priority: fields.or("priority", Self::DEFAULT_PRIORITY)?,
            ttl: fields.optional("ttl")?,
            first_acquirer: fields.or_default("first-acquirer")?,
            delivery_count: fields.or_default("delivery-count")?,
        })
    }
}
