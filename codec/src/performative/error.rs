use core::fmt;

use crate::code::descriptor;
use crate::composite::{Composite, FieldReader, FieldWriter};
use crate::error::DecodeError;
use crate::symbol::Symbol;
use crate::text::Str;
use crate::value::Fields;

/// `[2.8.14]` What one peer tells the other about what went wrong; the standard's `error`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AmqpError {
    /// What: one of [`condition`](crate::condition), or a name of the peer's own (E-001).
    pub condition: Symbol,
    /// The same in words, for a person.
    pub description: Option<Str>,
    /// More about it.
    pub info: Fields,
}

impl AmqpError {
    /// An error with a condition and a text.
    pub fn new(condition: Symbol, description: impl Into<Str>) -> Self {
        Self {
            condition,
            description: Some(description.into()),
            info: Fields::new(),
        }
    }

    /// An error with a condition alone.
    pub fn from_condition(condition: Symbol) -> Self {
        Self {
            condition,
            description: None,
            info: Fields::new(),
        }
    }
}

impl fmt::Display for AmqpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.condition)?;
        match &self.description {
            Some(description) => write!(f, ": {description}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for AmqpError {}

impl Composite for AmqpError {
    const DESCRIPTOR: u64 = descriptor::ERROR;
    const NAME: &'static str = "error";

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.required(&self.condition);
        fields.optional(&self.description);
        fields.unless_empty(&self.info, self.info.is_empty());
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            condition: fields.required("condition")?,
            description: fields.optional("description")?,
            info: fields.or_default("info")?,
        })
    }
}
