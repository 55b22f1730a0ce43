//! Events as batches hold them: each a whole encoded message in a `data` section.

use bytes::{BufMut, Bytes, BytesMut};

use super::event::Event;
use super::numbering::{self, NumberPlace};
use super::route::Route;
use super::trace_context::TraceContextSource;
use super::wire::annotation;
use crate::codec::code::{self, descriptor};
use crate::codec::{Annotations, EncodeError, Str};

/// How a `data` section begins.
const DATA_SECTION: [u8; 3] = [code::DESCRIBED, code::ULONG_8, descriptor::DATA as u8];
/// `data` section with a one-octet length: descriptor, format code, length.
pub(super) const SHORT_SECTION: usize = DATA_SECTION.len() + 2;
/// `data` section with a four-octet length.
pub(super) const LONG_SECTION: usize = DATA_SECTION.len() + 5;

/// What a producer writes on each event of a batch, beside what the event says itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    partition_key: Option<Str>,
    numbered: bool,
    trace_context: Option<TraceContextSource>,
}

impl Marks {
    /// Those of events that go there: their partition key.
    pub(super) fn of_route(route: &Route) -> Self {
        let partition_key = match route {
            Route::Key(key) => Some(Str::from(key.as_str())),
            Route::Any | Route::Partition(_) | Route::Publisher(_) => None,
        };
        Self {
            partition_key,
            ..Self::default()
        }
    }

    /// Whether room is left for the number of each event.
    pub(super) fn numbered(mut self, numbered: bool) -> Self {
        self.numbered = numbered;
        self
    }

    /// Whom to ask for the trace of events that say nothing of theirs.
    pub(super) fn traced(mut self, source: Option<&TraceContextSource>) -> Self {
        self.trace_context = source.cloned();
        self
    }

    pub(super) fn partition_key(&self) -> Option<&Str> {
        self.partition_key.as_ref()
    }

    pub(super) fn is_numbered(&self) -> bool {
        self.numbered
    }

    /// The event in a section of its own.
    pub(super) fn encode(&self, event: &mut Event) -> Result<EncodedEvent, EncodeError> {
        let mut section = BytesMut::with_capacity(event.body().len() + 256);
        let number_place = self.write_section(event, &mut section)?;
        Ok(EncodedEvent {
            section: section.freeze(),
            number_place,
        })
    }

    /// Appends a section with the event to `payload`, which is left with part of it where that fails. The length before the
    /// event is known only afterwards: room for the long form is left, and a short event moves up by the three octets that the
    /// short form needs less.
    pub(super) fn write_section(
        &self,
        event: &mut Event,
        payload: &mut BytesMut,
    ) -> Result<Option<NumberPlace>, EncodeError> {
        let section = payload.len();
        let start = section + LONG_SECTION;
        payload.put_slice(&DATA_SECTION);
        payload.put_slice(&[code::BINARY_32, 0, 0, 0, 0]);
        let place = self.write_event(event, payload)?;
        let length = payload.len() - start;
        if let Ok(length) = u8::try_from(length) {
            payload[section + 3..section + SHORT_SECTION]
                .copy_from_slice(&[code::BINARY_8, length]);
            payload.copy_within(start.., section + SHORT_SECTION);
            payload.truncate(section + SHORT_SECTION + usize::from(length));
            return Ok(place.map(|place| place.moved_up(LONG_SECTION - SHORT_SECTION)));
        }
        let length = u32::try_from(length).map_err(|_| EncodeError::TooLong)?;
        payload[section + 4..start].copy_from_slice(&length.to_be_bytes());
        Ok(place)
    }

    fn write_event(
        &self,
        event: &mut Event,
        payload: &mut BytesMut,
    ) -> Result<Option<NumberPlace>, EncodeError> {
        event.trace(self.trace_context.as_ref());
        if self.partition_key.is_none() && !self.numbered {
            return event.encode(payload).map(|()| None);
        }
        let end = event.encode_annotated(|own| self.added_to(own), payload)?;
        Ok(self
            .numbered
            .then(|| NumberPlace::at_end_of_annotations(end)))
    }

    fn added_to(&self, mut annotations: Annotations) -> Annotations {
        if let Some(key) = &self.partition_key {
            annotations.insert(annotation::PARTITION_KEY, key.clone());
        }
        if self.numbered {
            annotations = numbering::reserve(annotations);
        }
        annotations
    }
}

/// An event that is ready for a batch.
#[derive(Clone, Debug)]
pub(super) struct EncodedEvent {
    section: Bytes,
    number_place: Option<NumberPlace>,
}

impl EncodedEvent {
    /// Octets that it takes in a batch.
    pub(super) fn len(&self) -> usize {
        self.section.len()
    }

    pub(super) fn section(&self) -> &Bytes {
        &self.section
    }

    /// Where its number belongs in a payload to which it was appended after `end` octets.
    pub(super) fn number_place_after(&self, end: usize) -> Option<NumberPlace> {
        self.number_place.map(|place| place.moved_down(end))
    }
}
