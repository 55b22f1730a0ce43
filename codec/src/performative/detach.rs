use crate::code::descriptor;
use crate::composite::{Composite, FieldReader, FieldWriter};
use crate::error::DecodeError;
use crate::performative::AmqpError;

/// `[2.7.7]` Detaches a link.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detach {
    /// The link.
    pub handle: u32,
    /// Whether the link is closed for good.
    pub closed: bool,
    /// Why, if something is wrong.
    pub error: Option<AmqpError>,
}

impl Composite for Detach {
    const DESCRIPTOR: u64 = descriptor::DETACH;
    const NAME: &'static str = "detach";

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.required(&self.handle);
        fields.or(&self.closed, false);
        fields.optional(&self.error);
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            handle: fields.required("handle")?,
            closed: fields.or_default("closed")?,
            error: fields.optional("error")?,
        })
    }
}
