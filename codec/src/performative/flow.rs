use crate::code::descriptor;
use crate::composite::{Composite, FieldReader, FieldWriter};
use crate::error::DecodeError;
use crate::value::Fields;

/// `[2.7.4]` The windows of a session and, with a handle, the credit of a link.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flow {
    /// The id of the next transfer expected; none only before the peer's begin is known.
    pub next_incoming_id: Option<u32>,
    /// How many more transfers this peer takes, in frames.
    pub incoming_window: u32,
    /// The id of the next transfer that this peer will send.
    pub next_outgoing_id: u32,
    /// How many more transfers this peer may send, in frames.
    pub outgoing_window: u32,
    /// The link; without it only the session is meant.
    pub handle: Option<u32>,
    /// The sender's delivery-count, or what the receiver knows of it.
    pub delivery_count: Option<u32>,
    /// How many deliveries the sender may start.
    pub link_credit: Option<u32>,
    /// How many messages wait at the sender.
    pub available: Option<u32>,
    /// Whether the sender has to use up its credit at once.
    pub drain: bool,
    /// Whether a flow is wanted in return.
    pub echo: bool,
    /// Properties of the link's state.
    pub properties: Fields,
}

impl Composite for Flow {
    const DESCRIPTOR: u64 = descriptor::FLOW;
    const NAME: &'static str = "flow";

    #[inline]
    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.optional(&self.next_incoming_id);
        fields.required(&self.incoming_window);
        fields.required(&self.next_outgoing_id);
        fields.required(&self.outgoing_window);
        fields.optional(&self.handle);
        fields.optional(&self.delivery_count);
        fields.optional(&self.link_credit);
        fields.optional(&self.available);
        fields.or(&self.drain, false);
        fields.or(&self.echo, false);
        fields.unless_empty(&self.properties, self.properties.is_empty());
    }

    #[inline]
    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            next_incoming_id: fields.optional("next-incoming-id")?,
            incoming_window: fields.required("incoming-window")?,
            next_outgoing_id: fields.required("next-outgoing-id")?,
            outgoing_window: fields.required("outgoing-window")?,
            handle: fields.optional("handle")?,
            delivery_count: fields.optional("delivery-count")?,
            link_credit: fields.optional("link-credit")?,
            available: fields.optional("available")?,
            drain: fields.or_default("drain")?,
            echo: fields.or_default("echo")?,
            properties: fields.or_default("properties")?,
        })
    }
}
