use crate::code::descriptor;
use crate::composite::{Composite, FieldReader, FieldWriter};
use crate::error::DecodeError;
use crate::performative::AmqpError;

/// `[2.7.9]` Closes a connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Close {
    /// Why, if something is wrong.
    pub error: Option<AmqpError>,
}

impl Composite for Close {
    const DESCRIPTOR: u64 = descriptor::CLOSE;
    const NAME: &'static str = "close";

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.optional(&self.error);
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            error: fields.optional("error")?,
        })
    }
}
