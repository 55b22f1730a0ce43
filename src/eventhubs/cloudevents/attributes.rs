//! Attributes: what they are called, and what they may be.

use std::time::SystemTime;

use super::{CloudEvent, CloudEventError, SPEC_VERSION, rfc3339};
use crate::codec::Value;
use crate::time::from_timestamp;

pub(super) mod name {
    pub const ID: &str = "id";
    pub const SOURCE: &str = "source";
    pub const SPEC_VERSION: &str = "specversion";
    pub const TYPE: &str = "type";
    pub const SUBJECT: &str = "subject";
    pub const TIME: &str = "time";
    pub const DATA_CONTENT_TYPE: &str = "datacontenttype";
    pub const DATA_SCHEMA: &str = "dataschema";
    /// Of the JSON format only.
    pub const DATA: &str = "data";
}

/// Names that no extension may have.
const TAKEN: [&str; 9] = [
    name::ID,
    name::SOURCE,
    name::SPEC_VERSION,
    name::TYPE,
    name::SUBJECT,
    name::TIME,
    name::DATA_CONTENT_TYPE,
    name::DATA_SCHEMA,
    name::DATA,
];

/// Checks an extension that is to be written, and gives it the type that it is written in.
pub(super) fn extension(name: &str, value: &Value) -> Result<Value, CloudEventError> {
    let is_plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit();
    if name.is_empty() || !name.bytes().all(is_plain) || TAKEN.contains(&name) {
        return Err(CloudEventError::ExtensionName(name.to_owned()));
    }
    let written = match value {
        Value::Bool(_) | Value::String(_) | Value::Binary(_) | Value::Timestamp(_) => {
            Some(value.clone())
        }
        // Integers have 32 bits, and are written in 64.
        other => other
            .as_i64()
            .and_then(|number| i32::try_from(number).ok())
            .map(|number| Value::Long(number.into())),
    };
    written.ok_or_else(|| CloudEventError::Attribute {
        name: name.to_owned(),
        expected: "a boolean, an integer of 32 bits, a string, a binary or a timestamp",
    })
}

/// Attributes as they are read, one after the other.
pub(super) struct Attributes {
    event: CloudEvent,
    version: Option<String>,
}

impl Attributes {
    pub(super) fn new() -> Self {
        Self {
            event: CloudEvent::new("", "", ""),
            version: None,
        }
    }

    /// Takes an attribute over, whatever its name.
    pub(super) fn set(&mut self, name: &str, value: Value) -> Result<(), CloudEventError> {
        let event = &mut self.event;
        match name {
            name::ID => event.id = text(name, value)?,
            name::SOURCE => event.source = text(name, value)?,
            name::TYPE => event.event_type = text(name, value)?,
            name::SPEC_VERSION => self.version = Some(text(name, value)?),
            name::SUBJECT => event.subject = Some(text(name, value)?),
            name::TIME => event.time = Some(time(value)?),
            name::DATA_CONTENT_TYPE => event.data_content_type = Some(text(name, value)?),
            name::DATA_SCHEMA => event.data_schema = Some(text(name, value)?),
            extension => drop(event.extensions.insert(extension.to_owned(), value)),
        }
        Ok(())
    }

    /// The event, if nothing that is required is missing.
    pub(super) fn into_event(self) -> Result<CloudEvent, CloudEventError> {
        match self.version.as_deref() {
            None | Some("") => return Err(CloudEventError::Missing(name::SPEC_VERSION)),
            Some(SPEC_VERSION) => {}
            Some(other) => return Err(CloudEventError::Version(other.to_owned())),
        }
        self.event.check()?;
        Ok(self.event)
    }
}

fn text(name: &str, value: Value) -> Result<String, CloudEventError> {
    let wrong = || CloudEventError::Attribute {
        name: name.to_owned(),
        expected: "a string",
    };
    value.as_str().map(str::to_owned).ok_or_else(wrong)
}

/// Both forms are legal: the native one, and the text.
fn time(value: Value) -> Result<SystemTime, CloudEventError> {
    let time = match &value {
        Value::Timestamp(timestamp) => from_timestamp(*timestamp),
        other => other.as_str().and_then(rfc3339::parse),
    };
    time.ok_or_else(|| CloudEventError::Attribute {
        name: name::TIME.to_owned(),
        expected: "a timestamp",
    })
}
