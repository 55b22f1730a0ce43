//! An event on its way from the publisher's message to what readers get (Event Hubs).
//!
//! What the publisher wrote is kept octet for octet, except that message annotations are written anew with the
//! service's own ones among them, and delivery annotations end here as they are for one hop only.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::codec::code::descriptor;
use crate::codec::{
    Annotations, Body, DecodeError, Encode, Reader, Sections, Str, Symbol, Timestamp, Value, Writer,
};
use crate::eventhubs::wire::{annotation, property};

/// A message that was published and not stored yet.
#[derive(Clone)]
pub(crate) struct NewEvent {
    message: Bytes,
    hops: HopSections,
    annotations: Annotations,
}

/// Where the sections for intermediaries are in an encoded message: header first, then annotations.
#[derive(Clone, Copy, Debug, Default)]
struct HopSections {
    header_end: usize,
    annotations_end: usize,
}

/// What the log adds to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) sequence_number: i64,
    pub(crate) offset: u64,
    pub(crate) enqueued: Timestamp,
}

/// An event in the log. Cheap to clone.
#[derive(Clone)]
pub(crate) struct StoredEvent {
    pub(crate) position: Position,
    /// The whole message as readers get it.
    message: Bytes,
    /// Where delivery annotations belong: behind the header.
    header_end: usize,
}

impl NewEvent {
    /// Reads an encoded message. Its body is looked at only as far as the order of sections demands.
    pub(crate) fn decode(message: Bytes) -> Result<NewEvent, DecodeError> {
        let annotations = Sections::scan(message.clone())?
            .message_annotations()?
            .unwrap_or_default();
        let hops = HopSections::find(&message)?;
        Ok(NewEvent {
            message,
            hops,
            annotations,
        })
    }

    /// Takes a batch apart: the envelope's annotations, and the events in its data sections.
    pub(crate) fn decode_batch(batch: Bytes) -> Result<(Annotations, Vec<NewEvent>), BatchError> {
        let envelope = Sections::scan(batch)?;
        let annotations = envelope.message_annotations()?.unwrap_or_default();
        let messages = match envelope.body()? {
            Body::Data(message) => vec![message],
            Body::DataSections(messages) => messages,
            Body::Empty => Vec::new(),
            Body::Sequences(_) | Body::Value(_) => return Err(BatchError::NotData),
        };
        if messages.is_empty() || messages.iter().any(Bytes::is_empty) {
            return Err(BatchError::Empty);
        }
        let events: Result<Vec<NewEvent>, DecodeError> =
            messages.into_iter().map(NewEvent::decode).collect();
        Ok((annotations, events?))
    }

    /// The partition key that the publisher gave.
    pub(crate) fn partition_key(&self) -> Option<Str> {
        partition_key(&self.annotations)
    }

    /// Which producer published it in which epoch, and its number, if all three are there.
    pub(crate) fn number(&self) -> Option<(i64, i16, i32)> {
        let integer = |key: Symbol| self.annotations.get(key.as_str())?.as_i64();
        Some((
            integer(property::PRODUCER_ID)?,
            i16::try_from(integer(property::PRODUCER_EPOCH)?).ok()?,
            i32::try_from(integer(property::PRODUCER_SEQUENCE_NUMBER)?).ok()?,
        ))
    }

    /// Adds an annotation of the service, over one of the same key.
    pub(crate) fn annotate(&mut self, key: Symbol, value: impl Into<Value>) {
        self.annotations.insert(key, value);
    }

    /// Writes the message as readers get it.
    pub(crate) fn store(mut self, position: Position) -> StoredEvent {
        self.annotate(annotation::SEQUENCE_NUMBER, position.sequence_number);
        self.annotate(annotation::OFFSET, position.offset.to_string());
        self.annotate(annotation::ENQUEUED_TIME, position.enqueued);

        let HopSections {
            header_end,
            annotations_end,
        } = self.hops;
        let (header, rest) = (
            &self.message[..header_end],
            &self.message[annotations_end..],
        );
        let message = with_section(
            header,
            descriptor::MESSAGE_ANNOTATIONS,
            &self.annotations,
            rest,
        );
        StoredEvent {
            position,
            message,
            header_end,
        }
    }
}

impl HopSections {
    /// Finds them in a message whose sections are known to be in order.
    fn find(message: &Bytes) -> Result<HopSections, DecodeError> {
        let mut found = HopSections::default();
        let mut reader = Reader::new(message.clone());
        while reader.remaining() > 0 {
            let section = reader.read_descriptor()?;
            if section.is_none_or(|section| section > descriptor::MESSAGE_ANNOTATIONS) {
                break;
            }
            reader.skip_value()?;
            found.annotations_end = reader.position();
            if section == Some(descriptor::HEADER) {
                found.header_end = found.annotations_end;
            }
        }
        Ok(found)
    }
}

/// An encoded message with one more section of annotations in the middle.
fn with_section(before: &[u8], descriptor: u64, annotations: &Annotations, after: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(before.len() + ANNOTATIONS_ROOM + after.len());
    let mut writer = Writer::new(&mut message);
    writer.write_raw(before);
    writer.write_descriptor(descriptor);
    annotations.encode(&mut writer);
    writer.write_raw(after);
    writer
        .finish()
        .expect("annotations that were decoded, and four short ones, are far from 4 GiB");
    message.freeze()
}

/// What annotations usually take; only a first guess for a buffer that grows.
const ANNOTATIONS_ROOM: usize = 192;

/// The partition key among annotations.
pub(crate) fn partition_key(annotations: &Annotations) -> Option<Str> {
    match annotations.get(annotation::PARTITION_KEY.as_str()) {
        Some(Value::String(key)) => Some(key.clone()),
        _ => None,
    }
}

impl StoredEvent {
    /// An event as it was stored before: its message, and where delivery annotations belong in it.
    pub(crate) fn from_parts(position: Position, message: Bytes, header_end: usize) -> StoredEvent {
        StoredEvent {
            position,
            message,
            header_end,
        }
    }

    /// Where delivery annotations belong in the message.
    pub(crate) fn header_end(&self) -> usize {
        self.header_end
    }

    /// The encoded message.
    pub(crate) fn message(&self) -> Bytes {
        self.message.clone()
    }

    /// The encoded message with delivery annotations.
    pub(crate) fn message_with(&self, delivery_annotations: &Annotations) -> Bytes {
        let (header, rest) = self.message.split_at(self.header_end);
        with_section(
            header,
            descriptor::DELIVERY_ANNOTATIONS,
            delivery_annotations,
            rest,
        )
    }

    /// Octets that the event takes in the log, with what it takes besides its message.
    pub(crate) fn size(&self) -> usize {
        self.message.len() + size_of::<StoredEvent>()
    }
}

impl fmt::Debug for NewEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewEvent")
            .field("message_len", &self.message.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StoredEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredEvent")
            .field("position", &self.position)
            .field("message_len", &self.message.len())
            .finish_non_exhaustive()
    }
}

/// Why a batch was not taken apart.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum BatchError {
    /// The envelope or an event in it is malformed.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The envelope's body is a value or a sequence.
    #[error("the body of a batch must be data sections, one for each event")]
    NotData,
    /// There is no event in it, or nothing in an event's place.
    #[error("the batch holds no event, or an empty one")]
    Empty,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::codec::{ApplicationProperties, Header, Message};

    pub(crate) fn encoded(message: &Message) -> Bytes {
        message.to_bytes().unwrap()
    }

    pub(crate) fn event(body: &str) -> NewEvent {
        NewEvent::decode(encoded(&Message::data(body.to_owned()))).unwrap()
    }

    fn position() -> Position {
        Position {
            sequence_number: 7,
            offset: 4096,
            enqueued: Timestamp(1_700_000_000_000),
        }
    }

    fn rich_message() -> Message {
        Message {
            header: Some(Header {
                durable: true,
                ..Header::default()
            }),
            delivery_annotations: Some(Annotations::new().with(Symbol::from_static("hop"), 1_u32)),
            message_annotations: Some(
                Annotations::new()
                    .with(annotation::PARTITION_KEY, "k1")
                    .with(Symbol::from_static("x-opt-mine"), "kept")
                    .with(annotation::SEQUENCE_NUMBER, 99_i64),
            ),
            application_properties: Some(ApplicationProperties::new().with("p", "v")),
            footer: Some(Annotations::new().with(Symbol::from_static("sum"), 3_u32)),
            ..Message::data("hello")
        }
    }

    #[test]
    fn a_stored_event_is_the_message_with_the_services_annotations() {
        let published = rich_message();
        let event = NewEvent::decode(encoded(&published)).unwrap();
        assert_eq!(event.partition_key(), Some(Str::from("k1")));
        let stored = Message::decode(event.store(position()).message()).unwrap();

        let annotations = stored.message_annotations.clone().unwrap();
        assert_eq!(
            annotations.get("x-opt-sequence-number"),
            Some(&Value::Long(7))
        );
        assert_eq!(annotations.get("x-opt-offset"), Some(&Value::from("4096")));
        assert_eq!(
            annotations.get("x-opt-enqueued-time"),
            Some(&Value::Timestamp(Timestamp(1_700_000_000_000)))
        );
        assert_eq!(
            annotations.get("x-opt-partition-key"),
            Some(&Value::from("k1"))
        );
        assert_eq!(annotations.get("x-opt-mine"), Some(&Value::from("kept")));
        let expected = Message {
            delivery_annotations: None,
            message_annotations: Some(annotations),
            ..published
        };
        assert_eq!(stored, expected);
    }

    #[test]
    fn unusual_encodings_stay_as_the_publisher_wrote_them() {
        // A long descriptor, a full-width list for properties, a str32 body: legal, and not how this crate writes.
        let message =
            b"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x73\xd0\x00\x00\x00\x04\x00\x00\x00\x00\
            \x00\x53\x77\xb1\x00\x00\x00\x02hi";
        let stored = NewEvent::decode(Bytes::from_static(message))
            .unwrap()
            .store(position())
            .message();
        assert!(stored.ends_with(message));
        assert_eq!(
            Message::decode(stored).unwrap().body,
            Body::Value("hi".into())
        );
    }

    #[test]
    fn delivery_annotations_come_behind_the_header() {
        let stored = NewEvent::decode(encoded(&rich_message()))
            .unwrap()
            .store(position());
        let metric =
            Annotations::new().with(Symbol::from_static("last_enqueued_sequence_number"), 9_i64);
        let with = Message::decode(stored.message_with(&metric)).unwrap();
        let without = Message::decode(stored.message()).unwrap();
        assert_eq!(
            with,
            Message {
                delivery_annotations: Some(metric),
                ..without
            }
        );
    }

    #[test]
    fn a_batch_of_the_python_client_is_taken_apart() {
        let batch = hex(
            "005370c00705560140404040005372c11a02a313782d6f70742d706172746974696f6e2d6b6579a1026b31005375a041005370c0\
             0705560140404040005372c11a02a313782d6f70742d706172746974696f6e2d6b6579a1026b31005374c10702a10170a1017600\
             5375a00568656c6c6f005375a032005370c00705560140404040005372c11a02a313782d6f70742d706172746974696f6e2d6b65\
             79a1026b31005375a0026832",
        );
        assert_eq!(bodies(batch), [&b"hello"[..], b"h2"]);
    }

    #[test]
    fn a_batch_of_the_javascript_client_is_taken_apart() {
        let batch = hex(
            "00537045005372d10000001d00000002a313782d6f70742d706172746974696f6e2d6b6579a1026b3100537345005375a0540053\
             70d0000000050000000141005372d10000001d00000002a313782d6f70742d706172746974696f6e2d6b6579a1026b3100537345\
             005374d10000000a00000002a10170a10176005375a0072268656c6c6f22005375a042005370d0000000050000000141005372d1\
             0000001d00000002a313782d6f70742d706172746974696f6e2d6b6579a1026b3100537345005375a0077b2261223a317d",
        );
        assert_eq!(bodies(batch), [&b"\"hello\""[..], b"{\"a\":1}"]);
    }

    /// The bodies of a batch's events; checks that the key is on the envelope and on each.
    fn bodies(batch: Bytes) -> Vec<Bytes> {
        let (envelope, events) = NewEvent::decode_batch(batch).unwrap();
        assert_eq!(partition_key(&envelope), Some(Str::from("k1")));
        let body = |event: NewEvent| {
            assert_eq!(event.partition_key(), Some(Str::from("k1")));
            match Message::decode(event.store(position()).message())
                .unwrap()
                .body
            {
                Body::Data(body) => body,
                other => panic!("{other:?}"),
            }
        };
        events.into_iter().map(body).collect()
    }

    fn hex(text: &str) -> Bytes {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let octet =
            |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(octet).collect::<Vec<u8>>().into()
    }

    #[test]
    fn batches_without_events_or_of_other_bodies_are_refused() {
        let empty = encoded(&Message {
            body: Body::DataSections(Vec::new()),
            ..Message::default()
        });
        assert_eq!(
            NewEvent::decode_batch(empty).unwrap_err(),
            BatchError::Empty
        );
        let value = encoded(&Message::value("text"));
        assert_eq!(
            NewEvent::decode_batch(value).unwrap_err(),
            BatchError::NotData
        );
        let rubbish = encoded(&Message::data("not a message"));
        assert!(matches!(
            NewEvent::decode_batch(rubbish),
            Err(BatchError::Malformed(_))
        ));
    }
}
