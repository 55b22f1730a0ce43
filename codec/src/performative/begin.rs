use alloc::vec::Vec;

use crate::code::descriptor;
use crate::composite::{Composite, FieldReader, FieldWriter};
use crate::error::DecodeError;
use crate::symbol::Symbol;
use crate::value::Fields;

/// `[2.7.2]` Begins a session on a channel, or answers that.
#[derive(Clone, Debug, PartialEq)]
pub struct Begin {
    /// The channel of the begin that this one answers.
    pub remote_channel: Option<u16>,
    /// The id of the first transfer that this peer will send.
    pub next_outgoing_id: u32,
    /// How many transfers this peer takes, in frames.
    pub incoming_window: u32,
    /// How many transfers this peer may send, in frames.
    pub outgoing_window: u32,
    /// The highest handle that this peer takes. Default 4294967295.
    pub handle_max: u32,
    /// Extensions that this peer supports.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that this peer may use if the other supports them.
    pub desired_capabilities: Vec<Symbol>,
    /// Properties of the session.
    pub properties: Fields,
}

impl Default for Begin {
    fn default() -> Self {
        Self {
            remote_channel: None,
            next_outgoing_id: 0,
            incoming_window: 0,
            outgoing_window: 0,
            handle_max: u32::MAX,
            offered_capabilities: Vec::new(),
            desired_capabilities: Vec::new(),
            properties: Fields::new(),
        }
    }
}

impl Composite for Begin {
    const DESCRIPTOR: u64 = descriptor::BEGIN;
    const NAME: &'static str = "begin";

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.optional(&self.remote_channel);
        fields.required(&self.next_outgoing_id);
        fields.required(&self.incoming_window);
        fields.required(&self.outgoing_window);
        fields.or(&self.handle_max, u32::MAX);
        fields.multiple(&self.offered_capabilities);
        fields.multiple(&self.desired_capabilities);
        fields.unless_empty(&self.properties, self.properties.is_empty());
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            remote_channel: fields.optional("remote-channel")?,
            next_outgoing_id: fields.required("next-outgoing-id")?,
            incoming_window: fields.required("incoming-window")?,
            outgoing_window: fields.required("outgoing-window")?,
            handle_max: fields.or("handle-max", u32::MAX)?,
            offered_capabilities: fields.multiple("offered-capabilities")?,
            desired_capabilities: fields.multiple("desired-capabilities")?,
            properties: fields.or_default("properties")?,
        })
    }
}
