//! CloudEvents 1.0 as events of a hub, by the AMQP protocol binding.
//!
//! In *binary mode*, the attributes of a CloudEvent are application properties (`cloudEvents:id` and so on), and its data is
//! the body. In *structured mode*, the body holds all of it in JSON; that takes the feature `json`.
//!
//! ```
//! use amqp10::eventhubs::cloudevents::CloudEvent;
//!
//! let reading = CloudEvent::new("1234", "/sensors/7", "com.example.reading")
//!     .with_subject("temperature")
//!     .with_data("text/plain", "21.5");
//! let event = reading.to_event()?;
//! assert_eq!(event.body(), b"21.5");
//! assert_eq!(CloudEvent::from_message(event.message())?, reading);
//! # Ok::<(), amqp10::eventhubs::cloudevents::CloudEventError>(())
//! ```

mod attributes;
mod binary;
mod rfc3339;
#[cfg(feature = "json")]
mod structured;

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;

use self::attributes::name;
use super::event::{Event, ReceivedEvent};
use crate::codec::{Message, Value};

/// The version of the specification that is written, and read.
pub const SPEC_VERSION: &str = "1.0";

/// A CloudEvent: attributes that say what happened, and data. `Debug` shows how long the data is, not what it holds.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct CloudEvent {
    /// Names the event, once for each source.
    pub id: String,
    /// Where it happened: a URI reference.
    pub source: String,
    /// What kind of thing happened (`type`).
    pub event_type: String,
    /// What it happened to, within the source.
    pub subject: Option<String>,
    /// When it happened. In binary mode whole milliseconds are kept.
    pub time: Option<SystemTime>,
    /// Media type of the data (`datacontenttype`).
    pub data_content_type: Option<String>,
    /// Schema of the data (`dataschema`): a URI.
    pub data_schema: Option<String>,
    /// Further attributes: names of lower-case letters and digits; values that are a boolean, an integer of 32 bits, a string,
    /// a binary or a timestamp.
    pub extensions: BTreeMap<String, Value>,
    /// What the event carries, if it carries something.
    pub data: Option<Bytes>,
}

impl CloudEvent {
    /// An event with the attributes that every event has.
    pub fn new(
        id: impl Into<String>,
        source: impl Into<String>,
        event_type: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            source: source.into(),
            event_type: event_type.into(),
            subject: None,
            time: None,
            data_content_type: None,
            data_schema: None,
            extensions: BTreeMap::new(),
            data: None,
        }
    }

    /// Sets [`subject`](Self::subject).
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Sets [`time`](Self::time).
    pub fn with_time(mut self, time: SystemTime) -> Self {
        self.time = Some(time);
        self
    }

    /// Sets [`data`](Self::data) and its media type.
    pub fn with_data(mut self, content_type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        self.data_content_type = Some(content_type.into());
        self.data = Some(data.into());
        self
    }

    /// Sets [`data_schema`](Self::data_schema).
    pub fn with_data_schema(mut self, schema: impl Into<String>) -> Self {
        self.data_schema = Some(schema.into());
        self
    }

    /// Adds one of the [`extensions`](Self::extensions), or replaces it.
    pub fn with_extension(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extensions.insert(name.into(), value.into());
        self
    }

    /// The event to publish, in binary mode.
    ///
    /// # Errors
    ///
    /// If a required attribute is empty, or an extension has a name or a value that it must not have.
    pub fn to_event(&self) -> Result<Event, CloudEventError> {
        binary::write(self)
    }

    /// The event to publish, in structured mode: all of it as JSON in the body. With the feature `json`.
    ///
    /// # Errors
    ///
    /// As [`to_event`](Self::to_event).
    #[cfg(feature = "json")]
    pub fn to_structured_event(&self) -> Result<Event, CloudEventError> {
        structured::write(self)
    }

    /// The CloudEvent that a received event is, in either mode.
    ///
    /// # Errors
    ///
    /// As [`from_message`](Self::from_message).
    pub fn from_received(event: &ReceivedEvent) -> Result<Self, CloudEventError> {
        Self::read(event.message(), event.body_bytes())
    }

    /// The CloudEvent that a message is, in either mode.
    ///
    /// # Errors
    ///
    /// If it is none, lacks a required attribute, is of another version, or in a format that cannot be read here: without
    /// the feature `json`, that is structured mode.
    pub fn from_message(message: &Message) -> Result<Self, CloudEventError> {
        let event = Event::from_message(message.clone());
        Self::read(message, event.body_octets())
    }

    fn read(message: &Message, body: Bytes) -> Result<Self, CloudEventError> {
        let properties = message.properties.as_ref();
        let content_type = properties.and_then(|properties| properties.content_type.as_deref());
        match content_type.map(str::to_ascii_lowercase) {
            Some(format) if format.starts_with("application/cloudevents") => {
                read_structured(&format, &body)
            }
            _ => binary::read(message, content_type, body),
        }
    }

    /// What must be so of every event.
    fn check(&self) -> Result<(), CloudEventError> {
        let required = [
            (name::ID, &self.id),
            (name::SOURCE, &self.source),
            (name::TYPE, &self.event_type),
        ];
        match required.iter().find(|(_, value)| value.is_empty()) {
            Some((name, _)) => Err(CloudEventError::Missing(name)),
            None => Ok(()),
        }
    }
}

#[cfg(feature = "json")]
fn read_structured(format: &str, body: &Bytes) -> Result<CloudEvent, CloudEventError> {
    let media_type = format.split(';').next().unwrap_or_default().trim();
    if media_type != "application/cloudevents+json" {
        return Err(CloudEventError::Format(media_type.to_owned()));
    }
    structured::read(body)
}

#[cfg(not(feature = "json"))]
fn read_structured(format: &str, _: &Bytes) -> Result<CloudEvent, CloudEventError> {
    Err(CloudEventError::Format(format.to_owned()))
}

impl fmt::Debug for CloudEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudEvent")
            .field("id", &self.id)
            .field("source", &self.source)
            .field("event_type", &self.event_type)
            .field("data_len", &self.data.as_ref().map(Bytes::len))
            .finish_non_exhaustive()
    }
}

/// Why something is not a CloudEvent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloudEventError {
    /// Nothing says that it is one.
    #[error("not a CloudEvent: neither its content type nor an attribute `specversion` says so")]
    NotACloudEvent,
    /// An attribute that every event has is not there, or empty.
    #[error("the required attribute `{0}` is missing or empty")]
    Missing(&'static str),
    /// An attribute has a value of the wrong type or form.
    #[error("the attribute `{name}` is not {expected}")]
    Attribute {
        /// Its name.
        name: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The name of an extension has other characters than lower-case letters and digits, or is that of another attribute.
    #[error("`{0}` cannot be the name of an extension: expected lower-case letters and digits")]
    ExtensionName(String),
    /// It is written by another version of the specification.
    #[error("version {0:?} of the specification is not supported")]
    Version(String),
    /// It is in a format that cannot be read here.
    #[error("the format {0:?} is not supported")]
    Format(String),
    /// The JSON in the body cannot be read.
    #[error("the body is not a JSON object of a CloudEvent, at line {line} column {column}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
}
