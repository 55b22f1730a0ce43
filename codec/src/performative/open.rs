use alloc::vec::Vec;

use crate::code::descriptor;
use crate::composite::{Composite, FieldReader, FieldWriter};
use crate::error::DecodeError;
use crate::symbol::Symbol;
use crate::text::Str;
use crate::value::Fields;

/// `[2.7.1]` The first frame of a connection: who this is and what it can take.
#[derive(Clone, Debug, PartialEq)]
pub struct Open {
    /// The name of the container that opens; may be empty.
    pub container_id: Str,
    /// The host that the client wants to reach.
    pub hostname: Option<Str>,
    /// The largest frame that this peer takes, in octets; at least 512 (F-017). Default 4294967295.
    pub max_frame_size: u32,
    /// The highest channel number that this peer takes. Default 65535.
    pub channel_max: u16,
    /// Milliseconds of silence after which this peer gives up.
    pub idle_time_out: Option<u32>,
    /// Languages for text that this peer may send, in order of preference.
    pub outgoing_locales: Vec<Symbol>,
    /// Languages for text that this peer wants, in order of preference.
    pub incoming_locales: Vec<Symbol>,
    /// Extensions that this peer supports.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that this peer may use if the other supports them.
    pub desired_capabilities: Vec<Symbol>,
    /// Properties of the connection.
    pub properties: Fields,
}

impl Default for Open {
    fn default() -> Self {
        Self {
            container_id: Str::EMPTY,
            hostname: None,
            max_frame_size: u32::MAX,
            channel_max: u16::MAX,
            idle_time_out: None,
            outgoing_locales: Vec::new(),
            incoming_locales: Vec::new(),
            offered_capabilities: Vec::new(),
            desired_capabilities: Vec::new(),
            properties: Fields::new(),
        }
    }
}

impl Composite for Open {
    const DESCRIPTOR: u64 = descriptor::OPEN;
    const NAME: &'static str = "open";

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.required(&self.container_id);
        fields.optional(&self.hostname);
        fields.or(&self.max_frame_size, u32::MAX);
        fields.or(&self.channel_max, u16::MAX);
        fields.optional(&self.idle_time_out);
        fields.multiple(&self.outgoing_locales);
        fields.multiple(&self.incoming_locales);
        fields.multiple(&self.offered_capabilities);
        fields.multiple(&self.desired_capabilities);
        fields.unless_empty(&self.properties, self.properties.is_empty());
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            container_id: fields.required("container-id")?,
            hostname: fields.optional("hostname")?,
            max_frame_size: fields.or("max-frame-size", u32::MAX)?,
            channel_max: fields.or("channel-max", u16::MAX)?,
            idle_time_out: fields.optional("idle-time-out")?,
            outgoing_locales: fields.multiple("outgoing-locales")?,
            incoming_locales: fields.multiple("incoming-locales")?,
            offered_capabilities: fields.multiple("offered-capabilities")?,
            desired_capabilities: fields.multiple("desired-capabilities")?,
            properties: fields.or_default("properties")?,
        })
    }
}
