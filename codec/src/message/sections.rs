use core::ops::Range;

use bytes::Bytes;

use super::{Body, Header, Message, Properties};
use crate::code::descriptor;
use crate::composite::decode_fields;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::read::{Decode, Reader};
use crate::value::{Annotations, ApplicationProperties};

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
            last = read_section(&mut reader, last)?;
            sections.note(last, start, reader.position());
            reader.skip_value()?;
            if last <= descriptor::DELIVERY_ANNOTATIONS {
                sections.delivery_annotations_end = reader.position();
            }
            if last <= descriptor::MESSAGE_ANNOTATIONS {
                sections.message_annotations_end = reader.position();
            }
            if (descriptor::PROPERTIES..descriptor::FOOTER).contains(&last) {
                bare = Some(bare.map_or(start, |bare: Range<usize>| bare.start)..reader.position());
            }
        }
        sections.bare = bare.unwrap_or_default();
        sections.message = reader.into_input();
        Ok(sections)
    }

    /// Notes where a section starts, and where its value does.
    fn note(&mut self, section: u64, start: usize, value: usize) {
        let value = Some(value);
        match section {
            descriptor::HEADER => self.header = value,
            descriptor::DELIVERY_ANNOTATIONS => self.delivery_annotations = value,
            descriptor::MESSAGE_ANNOTATIONS => self.message_annotations = value,
            descriptor::PROPERTIES => self.properties = value,
            descriptor::APPLICATION_PROPERTIES => self.application_properties = value,
            descriptor::FOOTER => self.footer = value,
            _ => match &mut self.body {
                Some(body) => body.count += 1,
                None => self.body = Some(BodySections { start, count: 1 }),
            },
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
        let mut body = Body::Empty;
        if let Some(BodySections { start, count }) = self.body {
            let reader = &mut self.reader();
            reader.seek(start);
            for _ in 0..count {
                let section = reader.read_descriptor()?.unwrap_or_default();
                body.read_section(section, reader)?;
            }
        }
        Ok(body)
    }

    /// The whole message, every section decoded.
    pub fn message(&self) -> Result<Message, DecodeError> {
        Message::decode(self.message.clone())
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

/// Reads the descriptor of the next section, which must be one that may follow `last` (M-001, M-004): the descriptors of
/// sections rise in the order in which sections stand. A body may have several sections, of one kind (M-003).
pub(super) fn read_section(reader: &mut Reader, last: u64) -> Result<u64, DecodeError> {
    let start = reader.position();
    let section = reader.read_descriptor()?.unwrap_or_default();
    if !(descriptor::HEADER..=descriptor::FOOTER).contains(&section) {
        let expected = "a message section";
        return Err(DecodeError::new(
            start,
            DecodeErrorKind::UnexpectedDescriptor { expected },
        ));
    }
    let is_of_body = |section| (descriptor::DATA..descriptor::FOOTER).contains(&section);
    let may_follow = match section {
        descriptor::DATA | descriptor::AMQP_SEQUENCE if section == last => true,
        _ if is_of_body(section) && is_of_body(last) => false,
        _ => section > last,
    };
    match may_follow {
        true => Ok(section),
        false => Err(misplaced(start, section)),
    }
}

fn misplaced(offset: usize, descriptor: u64) -> DecodeError {
    let section = descriptor::symbol_of(descriptor).unwrap_or_default();
    DecodeError::new(offset, DecodeErrorKind::MisplacedSection { section })
}
