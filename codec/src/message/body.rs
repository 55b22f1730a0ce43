use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;

use crate::code::descriptor;
use crate::error::DecodeError;
use crate::read::{Decode, Reader};
use crate::value::Value;
use crate::write::{Encode, Writer};

/// `[3.2.6-8]` The body of a message: data, sequences, or one value (M-003).
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Body {
    /// One section of opaque octets.
    Data(Bytes),
    /// Sections of opaque octets, whose boundaries are kept. None at all is sent as one empty section.
    DataSections(Vec<Bytes>),
    /// Sections that are lists of values. None at all is sent as one empty section.
    Sequences(Vec<Vec<Value>>),
    /// One value.
    Value(Value),
    /// No body. The standard does not allow it, but some peers send it (M-005); it is sent as the value null
    /// (B-004).
    #[default]
    Empty,
}

impl Body {
    /// The octets of a body that is one section of data.
    pub fn as_data(&self) -> Option<&Bytes> {
        match self {
            Self::Data(octets) => Some(octets),
            _ => None,
        }
    }

    /// The value of a body that is one.
    pub fn as_value(&self) -> Option<&Value> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }

    /// Reads one more of its sections, whose descriptor has been read and may stand here.
    pub(super) fn read_section(
        &mut self,
        section: u64,
        reader: &mut Reader,
    ) -> Result<(), DecodeError> {
        match section {
            descriptor::DATA => {
                let octets = Bytes::decode(reader)?;
                match self {
                    Self::DataSections(sections) => sections.push(octets),
                    Self::Data(first) => {
                        *self = Self::DataSections(Vec::from([mem::take(first), octets]));
                    }
                    _ => *self = Self::Data(octets),
                }
            }
            descriptor::AMQP_SEQUENCE => {
                let items = Vec::decode(reader)?;
                match self {
                    Self::Sequences(sections) => sections.push(items),
                    _ => *self = Self::Sequences(Vec::from([items])),
                }
            }
            _ => *self = Self::Value(Value::decode(reader)?),
        }
        Ok(())
    }
}

impl Encode for Body {
    fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Data(octets) => encode_data(writer, octets),
            Self::DataSections(sections) if sections.is_empty() => {
                encode_data(writer, &Bytes::new())
            }
            Self::DataSections(sections) => sections
                .iter()
                .for_each(|octets| encode_data(writer, octets)),
            Self::Sequences(sections) if sections.is_empty() => {
                encode_sequence(writer, &Vec::new())
            }
            Self::Sequences(sections) => sections
                .iter()
                .for_each(|items| encode_sequence(writer, items)),
            Self::Value(value) => encode_value(writer, value),
            Self::Empty => encode_value(writer, &Value::Null),
        }
    }
}

fn encode_data(writer: &mut Writer<'_>, octets: &Bytes) {
    writer.write_descriptor(descriptor::DATA);
    octets.encode(writer);
}

fn encode_sequence(writer: &mut Writer<'_>, items: &Vec<Value>) {
    writer.write_descriptor(descriptor::AMQP_SEQUENCE);
    items.encode(writer);
}

fn encode_value(writer: &mut Writer<'_>, value: &Value) {
    writer.write_descriptor(descriptor::AMQP_VALUE);
    value.encode(writer);
}
