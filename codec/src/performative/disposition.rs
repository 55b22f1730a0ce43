use crate::code::descriptor;
use crate::composite::{Composite, FieldReader, FieldWriter};
use crate::error::DecodeError;
use crate::outcome::DeliveryState;
use crate::performative::Role;

/// `[2.7.6]` The state of a range of deliveries.
#[derive(Clone, Debug, PartialEq)]
pub struct Disposition {
    /// The role of the one who says so (P-001).
    pub role: Role,
    /// The first delivery-id.
    pub first: u32,
    /// The last delivery-id, included; none means `first` (P-002).
    pub last: Option<u32>,
    /// Whether the one who says so has settled the deliveries.
    pub settled: bool,
    /// The state of all these deliveries; none leaves it as it is (P-006).
    pub state: Option<DeliveryState>,
    /// Whether the answer need not be hurried.
    pub batchable: bool,
}

impl Composite for Disposition {
    const DESCRIPTOR: u64 = descriptor::DISPOSITION;
    const NAME: &'static str = "disposition";

    #[inline]
    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.required(&self.role);
        fields.required(&self.first);
        fields.optional(&self.last);
        fields.or(&self.settled, false);
        fields.optional(&self.state);
        fields.or(&self.batchable, false);
    }

    #[inline]
    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            role: fields.required("role")?,
            first: fields.required("first")?,
            last: fields.optional("last")?,
            settled: fields.or_default("settled")?,
            state: fields.optional("state")?,
            batchable: fields.or_default("batchable")?,
        })
    }
}
