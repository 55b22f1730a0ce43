use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use super::{Body, Header, Message, Properties};
use crate::code::descriptor;
use crate::composite::decode_fields;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::read::{Decode, Reader};
use crate::value::{Annotations, ApplicationProperties, Value};

/// An encoded message whose sections have been found but not decoded.
///
/// [`scan`](Sections::scan) steps over the sections and checks their order; each is decoded when it is asked
/// for, and the bytes as they came stay available, to forward them unchanged (M-006).
#[derive(Clone, Debug, Default)]
pub struct Sections {
    message: Bytes,
    /// Where the values of the sections begin, after their descriptors.
    header: Option<usize>,
    delivery_annotations: Option<usize>,
    message_annotations: Option<usize>,
    properties: Option<usize>,
    application_properties: Option<usize>,
    footer: Option<usize>,
    body: Option<BodySections>,
    /// From properties to body.
    bare: Range<usize>,
    /// Where the delivery annotations, or what would stand before them, end.
    delivery_annotations_end: usize,
    /// The same for the message annotations.
    message_annotations_end: usize,
}

#[derive(Clone, Copy, Debug)]
struct BodySections {
    descriptor: u64,
    start: usize,
    count: usize,
}

impl Sections {
    /// Finds the sections of a message of message-format 0.
    ///
    /// # Errors
    ///
    /// What is no section (M-008), sections that are out of order or repeated (M-001, M-004), bodies of two
    /// kinds (M-003), and lengths beyond the message. A message without body is accepted (M-005).
    pub fn scan(message: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(message);
        let mut sections = Self::default();
        let mut last = 0;
        let mut bare = None;
        while reader.remaining() > 0 {
            let start = reader.position();
            let descriptor = sections.place(&mut reader, &mut last)?;
            reader.skip_value()?;
            if descriptor <= descriptor::DELIVERY_ANNOTATIONS {
                sections.delivery_annotations_end = reader.position();
            }
            if descriptor <= descriptor::MESSAGE_ANNOTATIONS {
                sections.message_annotations_end = reader.position();
            }
            if (descriptor::PROPERTIES..descriptor::FOOTER).contains(&descriptor) {
                bare = Some(bare.map_or(start, |bare: Range<usize>| bare.start)..reader.position());
            }
        }
        sections.bare = bare.unwrap_or_default();
        sections.message = reader.into_input();
        Ok(sections)
    }

    /// Reads the descriptor of the next section and notes where the section is. `last` is the section before;
    /// the descriptors of sections rise in the order in which sections stand.
    fn place(&mut self, reader: &mut Reader, last: &mut u64) -> Result<u64, DecodeError> {
        let start = reader.position();
        let descriptor = reader.read_descriptor()?.unwrap_or_default();
        let value = Some(reader.position());
        if self.repeats_body(descriptor, *last) {
            return Ok(descriptor);
        }
        match descriptor {
            descriptor::HEADER => self.header = value,
            descriptor::DELIVERY_ANNOTATIONS => self.delivery_annotations = value,
            descriptor::MESSAGE_ANNOTATIONS => self.message_annotations = value,
            descriptor::PROPERTIES => self.properties = value,
            descriptor::APPLICATION_PROPERTIES => self.application_properties = value,
            descriptor::DATA | descriptor::AMQP_SEQUENCE | descriptor::AMQP_VALUE
                if self.body.is_none() =>
            {
                self.body = Some(BodySections {
                    descriptor,
                    start,
                    count: 1,
                });
            }
            descriptor::DATA | descriptor::AMQP_SEQUENCE | descriptor::AMQP_VALUE => {
                return Err(misplaced(start, descriptor));
            }
            descriptor::FOOTER => self.footer = value,
            _ => {
                let expected = "a message section";
                return Err(DecodeError::new(
                    start,
                    DecodeErrorKind::UnexpectedDescriptor { expected },
                ));
            }
        }
        if descriptor <= *last {
            return Err(misplaced(start, descriptor));
        }
        *last = descriptor;
        Ok(descriptor)
    }

    /// Whether this is one more section of a body that may have several.
    fn repeats_body(&mut self, descriptor: u64, last: u64) -> bool {
        let repeatable = matches!(descriptor, descriptor::DATA | descriptor::AMQP_SEQUENCE);
        match &mut self.body {
            Some(body) if repeatable && descriptor == last => {
                body.count += 1;
                true
            }
            _ => false,
        }
    }

    /// The header.
    pub fn header(&self) -> Result<Option<Header>, DecodeError> {
        read(&mut self.reader(), self.header, decode_fields)
    }

    /// The delivery annotations.
    pub fn delivery_annotations(&self) -> Result<Option<Annotations>, DecodeError> {
        read(
            &mut self.reader(),
            self.delivery_annotations,
            Annotations::decode,
        )
    }

    /// The message annotations.
    pub fn message_annotations(&self) -> Result<Option<Annotations>, DecodeError> {
        read(
            &mut self.reader(),
            self.message_annotations,
            Annotations::decode,
        )
    }

    /// The properties.
    pub fn properties(&self) -> Result<Option<Properties>, DecodeError> {
        read(&mut self.reader(), self.properties, decode_fields)
    }

    /// The application properties.
    pub fn application_properties(&self) -> Result<Option<ApplicationProperties>, DecodeError> {
        read(
            &mut self.reader(),
            self.application_properties,
            ApplicationProperties::decode,
        )
    }

    /// The footer.
    pub fn footer(&self) -> Result<Option<Annotations>, DecodeError> {
        read(&mut self.reader(), self.footer, Annotations::decode)
    }

    /// The body; data are slices of the message.
    pub fn body(&self) -> Result<Body, DecodeError> {
        self.read_body(&mut self.reader())
    }

    /// The whole message, every section decoded.
    pub fn message(&self) -> Result<Message, DecodeError> {
        self.read_message(&mut self.reader())
    }

    /// The whole message, every section decoded.
    pub(super) fn into_message(mut self) -> Result<Message, DecodeError> {
        let reader = &mut Reader::new(core::mem::take(&mut self.message));
        self.read_message(reader)
    }

    /// The sections that no intermediary may change, as they came: properties, application properties, body.
    pub fn bare_message(&self) -> Bytes {
        self.message.slice(self.bare.clone())
    }

    /// What an intermediary hands on as it came: all but header and delivery annotations.
    pub fn relayed(&self) -> Bytes {
        self.message.slice(self.delivery_annotations_end..)
    }

    /// The same without the message annotations, for an intermediary that changes those: bare message and footer.
    pub fn relayed_without_annotations(&self) -> Bytes {
        self.message.slice(self.message_annotations_end..)
    }

    /// The message as it came.
    pub fn as_bytes(&self) -> &Bytes {
        &self.message
    }

    fn reader(&self) -> Reader {
        Reader::new(self.message.clone())
    }

    fn read_message(&self, reader: &mut Reader) -> Result<Message, DecodeError> {
        Ok(Message {
            header: read(reader, self.header, decode_fields)?,
            delivery_annotations: read(reader, self.delivery_annotations, Annotations::decode)?,
            message_annotations: read(reader, self.message_annotations, Annotations::decode)?,
            properties: read(reader, self.properties, decode_fields)?,
            application_properties: read(
                reader,
                self.application_properties,
                ApplicationProperties::decode,
            )?,
            body: self.read_body(reader)?,
            footer: read(reader, self.footer, Annotations::decode)?,
        })
    }

    fn read_body(&self, reader: &mut Reader) -> Result<Body, DecodeError> {
        let Some(BodySections {
            descriptor,
            start,
            count,
        }) = self.body
        else {
            return Ok(Body::Empty);
        };
        reader.seek(start);
        match (descriptor, count) {
            (descriptor::DATA, 1) => read_section(reader).map(Body::Data),
            (descriptor::DATA, _) => read_sections(reader, count).map(Body::DataSections),
            (descriptor::AMQP_SEQUENCE, _) => read_sections(reader, count).map(Body::Sequences),
            _ => read_section::<Value>(reader).map(Body::Value),
        }
    }
}

#[inline(always)]
fn read<T>(
    reader: &mut Reader,
    position: Option<usize>,
    decode: impl Fn(&mut Reader) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    let Some(position) = position else {
        return Ok(None);
    };
    reader.seek(position);
    decode(reader).map(Some)
}

fn read_sections<T: Decode>(reader: &mut Reader, count: usize) -> Result<Vec<T>, DecodeError> {
    (0..count).map(|_| read_section(reader)).collect()
}

fn read_section<T: Decode>(reader: &mut Reader) -> Result<T, DecodeError> {
    reader.read_descriptor()?;
    T::decode(reader)
}

fn misplaced(offset: usize, descriptor: u64) -> DecodeError {
    let section = descriptor::symbol_of(descriptor).unwrap_or_default();
    DecodeError::new(offset, DecodeErrorKind::MisplacedSection { section })
}
