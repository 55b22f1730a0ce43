use crate::code::descriptor;
use crate::composite::{Composite, FieldReader, FieldWriter};
use crate::error::DecodeError;
use crate::outcome::DeliveryState;
use crate::performative::ReceiverSettleMode;
use crate::primitive::DeliveryTag;

/// `[2.7.5]` A delivery or a part of one; the payload follows it in the frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transfer {
    /// The link.
    pub handle: u32,
    /// The number of the delivery in its session; set in the first frame (D-005).
    pub delivery_id: Option<u32>,
    /// The name of the delivery; set in the first frame (D-005).
    pub delivery_tag: Option<DeliveryTag>,
    /// The format of the payload, 0 for AMQP messages; set in the first frame (D-005).
    pub message_format: Option<u32>,
    /// Whether the sender has settled; none means false, or what an earlier frame said (D-015).
    pub settled: Option<bool>,
    /// Whether more frames of this delivery follow.
    pub more: bool,
    /// When the receiver settles, if not as the link says.
    pub rcv_settle_mode: Option<ReceiverSettleMode>,
    /// The state of the delivery at the sender.
    pub state: Option<DeliveryState>,
    /// Whether this resumes a delivery of an earlier attachment.
    pub resume: bool,
    /// Whether the delivery is given up.
    pub aborted: bool,
    /// Whether the receiver need not hurry with its disposition.
    pub batchable: bool,
}

impl Composite for Transfer {
    const DESCRIPTOR: u64 = descriptor::TRANSFER;
    const NAME: &'static str = "transfer";

    #[inline]
    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.required(&self.handle);
        fields.optional(&self.delivery_id);
        fields.optional(&self.delivery_tag);
        fields.optional(&self.message_format);
        fields.optional(&self.settled);
        fields.or(&self.more, false);
        fields.optional(&self.rcv_settle_mode);
        fields.optional(&self.state);
        fields.or(&self.resume, false);
        fields.or(&self.aborted, false);
        fields.or(&self.batchable, false);
    }

    #[inline]
    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            handle: fields.required("handle")?,
            delivery_id: fields.optional("delivery-id")?,
            delivery_tag: fields.optional("delivery-tag")?,
            message_format: fields.optional("message-format")?,
            settled: fields.optional("settled")?,
            more: fields.or_default("more")?,
            rcv_settle_mode: fields.optional("rcv-settle-mode")?,
            state: fields.optional("state")?,
            resume: fields.or_default("resume")?,
            aborted: fields.or_default("aborted")?,
            batchable: fields.or_default("batchable")?,
        })
    }
}
