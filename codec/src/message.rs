//! Messages `[3.2]`: sections before the body, the body, and a footer.

mod body;
mod header;
mod properties;
mod sections;

pub use body::Body;
pub use header::Header;
pub use properties::{MessageId, Properties};
pub use sections::Sections;

use alloc::string::String;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use crate::code::descriptor;
use crate::composite::decode_fields;
use crate::error::{DecodeError, EncodeError};
use crate::read::{Decode, Reader};
use crate::text::Str;
use crate::value::{Annotations, ApplicationProperties, Value};
use crate::write::{Encode, Writer};

/// `[3.2]` A message. Sections that are not set are not sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// How the message is to be carried; none means the defaults (H-001).
    pub header: Option<Header>,
    /// For the next hop only.
    pub delivery_annotations: Option<Annotations>,
    /// For the infrastructure, to the last hop.
    pub message_annotations: Option<Annotations>,
    /// Properties that the standard defines.
    pub properties: Option<Properties>,
    /// Properties of the application.
    pub application_properties: Option<ApplicationProperties>,
    /// What the message is about.
    pub body: Body,
    /// What can only be known after the body, such as a signature.
    pub footer: Option<Annotations>,
}

impl Message {
    /// A message of opaque octets.
    pub fn data(octets: impl Into<Bytes>) -> Self {
        Self::from(Body::Data(octets.into()))
    }

    /// A message of one AMQP value.
    pub fn value(value: impl Into<Value>) -> Self {
        Self::from(Body::Value(value.into()))
    }

    /// Sets the header.
    pub fn with_header(mut self, header: Header) -> Self {
        self.header = Some(header);
        self
    }

    /// Sets the delivery annotations.
    pub fn with_delivery_annotations(mut self, annotations: Annotations) -> Self {
        self.delivery_annotations = Some(annotations);
        self
    }

    /// Sets the message annotations.
    pub fn with_message_annotations(mut self, annotations: Annotations) -> Self {
        self.message_annotations = Some(annotations);
        self
    }

    /// Sets the properties.
    pub fn with_properties(mut self, properties: Properties) -> Self {
        self.properties = Some(properties);
        self
    }

    /// Sets the application properties.
    pub fn with_application_properties(mut self, properties: ApplicationProperties) -> Self {
        self.application_properties = Some(properties);
        self
    }

    /// Sets one application property and keeps the others.
    pub fn with_application_property(
        mut self,
        key: impl Into<Str>,
        value: impl Into<Value>,
    ) -> Self {
        self.application_properties
            .get_or_insert_default()
            .insert(key, value);
        self
    }

    /// Sets the footer.
    pub fn with_footer(mut self, footer: Annotations) -> Self {
        self.footer = Some(footer);
        self
    }

    /// Decodes a message of message-format 0, all its sections. To look at some of them only, use [`Sections`].
    ///
    /// # Errors
    ///
    /// What is wrong, and at which octet of the message.
    pub fn decode(message: Bytes) -> Result<Self, DecodeError> {
        let reader = &mut Reader::new(message);
        let mut message = Self::default();
        let mut last = 0;
        while reader.remaining() > 0 {
            last = sections::read_section(reader, last)?;
            match last {
                descriptor::HEADER => message.header = Some(decode_fields(reader)?),
                descriptor::DELIVERY_ANNOTATIONS => {
                    message.delivery_annotations = Some(Annotations::decode(reader)?);
                }
                descriptor::MESSAGE_ANNOTATIONS => {
                    message.message_annotations = Some(Annotations::decode(reader)?);
                }
                descriptor::PROPERTIES => message.properties = Some(decode_fields(reader)?),
                descriptor::APPLICATION_PROPERTIES => {
                    message.application_properties = Some(ApplicationProperties::decode(reader)?);
                }
                descriptor::FOOTER => message.footer = Some(Annotations::decode(reader)?),
                of_body => message.body.read_section(of_body, reader)?,
            }
        }
        Ok(message)
    }

    /// The encoded message.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] for lengths above 2^32 - 1.
    pub fn to_bytes(&self) -> Result<Bytes, EncodeError> {
        let mut out = BytesMut::with_capacity(self.body_len() + 256);
        let mut writer = Writer::new(&mut out);
        self.encode(&mut writer);
        writer.finish()?;
        Ok(out.freeze())
    }

    /// The encoded message in pieces that make up [`to_bytes`](Self::to_bytes) one after the other. The octets of data
    /// sections are pieces of their own, shared with the message and not copied.
    ///
    /// # Errors
    ///
    /// As [`to_bytes`](Self::to_bytes).
    pub fn to_pieces(&self) -> Result<Vec<Bytes>, EncodeError> {
        let sections = match &self.body {
            Body::Data(octets) => core::slice::from_ref(octets),
            Body::DataSections(sections) if !sections.is_empty() => sections,
            _ => return Ok(Vec::from([self.to_bytes()?])),
        };
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        self.encode_head(&mut writer);
        writer.finish()?;
        let mut pieces = Vec::with_capacity(2 * sections.len() + 1);
        for octets in sections {
            let mut writer = Writer::new(&mut out);
            writer.write_descriptor(descriptor::DATA);
            writer.write_binary_header(octets.len());
            writer.finish()?;
            pieces.extend([out.split().freeze(), octets.clone()]);
        }
        if self.footer.is_some() {
            let mut writer = Writer::new(&mut out);
            encode_section(&mut writer, descriptor::FOOTER, &self.footer);
            writer.finish()?;
            pieces.push(out.freeze());
        }
        Ok(pieces)
    }

    /// Octets of a body that is data; 0 for other bodies.
    pub fn body_len(&self) -> usize {
        match &self.body {
            Body::Data(octets) => octets.len(),
            Body::DataSections(sections) => sections.iter().map(Bytes::len).sum(),
            _ => 0,
        }
    }
}

impl From<Body> for Message {
    fn from(body: Body) -> Self {
        Self {
            body,
            ..Self::default()
        }
    }
}

/// An AMQP value, a string.
impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::value(text)
    }
}

/// An AMQP value, a string.
impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::value(text)
    }
}

/// An AMQP value, a string.
impl From<Str> for Message {
    fn from(text: Str) -> Self {
        Self::value(text)
    }
}

/// Data.
impl From<Bytes> for Message {
    fn from(octets: Bytes) -> Self {
        Self::data(octets)
    }
}

/// Data.
impl From<Vec<u8>> for Message {
    fn from(octets: Vec<u8>) -> Self {
        Self::data(octets)
    }
}

/// An AMQP value.
impl From<Value> for Message {
    fn from(value: Value) -> Self {
        Self::value(value)
    }
}

impl Message {
    /// All sections before the body.
    fn encode_head(&self, writer: &mut Writer<'_>) {
        if let Some(header) = &self.header {
            header.encode(writer);
        }
        encode_section(
            writer,
            descriptor::DELIVERY_ANNOTATIONS,
            &self.delivery_annotations,
        );
        encode_section(
            writer,
            descriptor::MESSAGE_ANNOTATIONS,
            &self.message_annotations,
        );
        if let Some(properties) = &self.properties {
            properties.encode(writer);
        }
        encode_section(
            writer,
            descriptor::APPLICATION_PROPERTIES,
            &self.application_properties,
        );
    }
}

impl Encode for Message {
    fn encode(&self, writer: &mut Writer<'_>) {
        self.encode_head(writer);
        self.body.encode(writer);
        encode_section(writer, descriptor::FOOTER, &self.footer);
    }
}

fn encode_section(writer: &mut Writer<'_>, descriptor: u64, section: &Option<impl Encode>) {
    if let Some(section) = section {
        writer.write_descriptor(descriptor);
        section.encode(writer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_up_the_encoded_message_and_share_its_data() {
        let large = Bytes::from(alloc::vec![7; 300]);
        let footer = Annotations::new().with(crate::Symbol::from_static("f"), 1);
        for body in [
            Body::Data(large.clone()),
            Body::Data(Bytes::new()),
            Body::DataSections(Vec::new()),
            Body::DataSections(Vec::from([large.clone(), Bytes::from_static(b"x")])),
            Body::Value(Value::from("text")),
            Body::Empty,
        ] {
            let plain = Message::from(body);
            let whole = plain.clone().with_header(Header::default());
            let whole = Message {
                footer: Some(footer.clone()),
                ..whole
            };
            for message in [plain, whole] {
                let pieces = message.to_pieces().unwrap();
                assert_eq!(pieces.concat(), message.to_bytes().unwrap());
                let data = pieces.iter().find(|piece| piece.len() == large.len());
                assert!(data.is_none_or(|data| data.as_ptr() == large.as_ptr()));
            }
        }
    }
}
