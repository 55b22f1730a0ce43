//! Batches: several events in one transfer, accepted or refused as a whole.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::event::Event;
use super::numbering::{NumberPlace, PartitionPublishingState};
use super::route::Route;
use super::section::{EncodedEvent, Marks};
use super::trace_context::TraceContextSource;
use super::wire::annotation;
use crate::codec::code::descriptor;
use crate::codec::{Annotations, Encode, Str, Writer};

/// What a new batch is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchOptions {
    /// Where its events go.
    pub route: Route,
    /// Most octets that it may hold, if that is less than what the service takes.
    pub max_bytes: Option<usize>,
}

impl BatchOptions {
    /// For the partition with this id.
    pub fn partition(id: impl Into<String>) -> Self {
        Self::to(Route::partition(id))
    }

    /// For the events of this partition key.
    pub fn key(key: impl Into<String>) -> Self {
        Self::to(Route::key(key))
    }

    /// For events that go there.
    pub fn to(route: Route) -> Self {
        Self {
            route,
            max_bytes: None,
        }
    }

    /// Sets [`route`](Self::route).
    pub fn route(mut self, route: Route) -> Self {
        self.route = route;
        self
    }

    /// Sets [`max_bytes`](Self::max_bytes).
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }
}

/// Events that are published together. Made by [`Producer::create_batch`](super::Producer::create_batch), filled by
/// [`try_add`](Self::try_add), sent by [`Producer::send_batch`](super::Producer::send_batch); or the same with an
/// [`IdempotentProducer`](super::IdempotentProducer).
///
/// Each event is encoded once, when it is added, so that the size is exact and sending copies no event again. `Debug` shows
/// no event.
#[derive(Clone)]
pub struct EventBatch {
    payload: BytesMut,
    max_bytes: usize,
    count: usize,
    route: Route,
    marks: Marks,
    /// Where in the payload the numbers of the events belong, if they get any.
    numbers: Vec<NumberPlace>,
}

impl EventBatch {
    pub(super) fn new(route: Route, max_bytes: usize) -> Self {
        let marks = Marks::of_route(&route);
        Self::with_marks(route, marks, max_bytes)
    }

    /// A batch for an idempotent producer of that partition.
    pub(super) fn numbered(partition: &str, max_bytes: usize) -> Self {
        let marks = Marks::default().numbered(true);
        Self::with_marks(Route::partition(partition), marks, max_bytes)
    }

    fn with_marks(route: Route, marks: Marks, max_bytes: usize) -> Self {
        let mut payload = BytesMut::new();
        if let Some(key) = marks.partition_key() {
            write_envelope(key, &mut payload);
        }
        Self {
            payload,
            max_bytes,
            count: 0,
            route,
            marks,
            numbers: Vec::new(),
        }
    }

    /// Whom to ask for the trace of events that say nothing of theirs.
    pub(super) fn traced(mut self, source: Option<&TraceContextSource>) -> Self {
        self.marks = self.marks.traced(source);
        self
    }

    /// Adds an event if there is room for it.
    ///
    /// # Errors
    ///
    /// [`BatchFull`] gives the event back if there is no room; the batch is as before. An event that does not fit an empty
    /// batch fits none.
    ///
    /// ```no_run
    /// # use amqp10::eventhubs::{BatchOptions, Event, EventHubsError, Producer};
    /// # async fn publish(producer: &Producer, events: Vec<Event>) -> Result<(), EventHubsError> {
    /// let mut batch = producer.create_batch(BatchOptions::default()).await?;
    /// for event in events {
    ///     let Err(full) = batch.try_add(event) else { continue };
    ///     producer.send_batch(batch).await?;
    ///     batch = producer.create_batch(BatchOptions::default()).await?;
    ///     batch.try_add(full.into_event()).expect("no event is larger than a batch");
    /// }
    /// producer.send_batch(batch).await
    /// # }
    /// ```
    pub fn try_add(&mut self, event: impl Into<Event>) -> Result<(), BatchFull> {
        let mut event = event.into();
        let room = self.max_bytes.saturating_sub(self.payload.len());
        // Spares encoding what cannot fit by its body alone.
        if event.body().len() > room {
            return Err(BatchFull::new(event));
        }
        let end = self.payload.len();
        match self.marks.write_section(&mut event, &mut self.payload) {
            Ok(place) if self.payload.len() <= self.max_bytes => {
                self.numbers.extend(place);
                self.count += 1;
                Ok(())
            }
            _ => {
                self.payload.truncate(end);
                Err(BatchFull::new(event))
            }
        }
    }

    /// Adds an event that was encoded with the marks of this batch. Says whether there was room.
    pub(super) fn append(&mut self, event: &EncodedEvent) -> bool {
        let end = self.payload.len();
        if event.len() > self.max_bytes.saturating_sub(end) {
            return false;
        }
        self.payload.extend_from_slice(event.section());
        self.numbers.extend(event.number_place_after(end));
        self.count += 1;
        true
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether no event was added yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Octets that the batch takes on the wire, beside the transfer frames.
    pub fn size_in_bytes(&self) -> usize {
        self.payload.len()
    }

    /// Most octets that it may take.
    pub fn max_size_in_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Where its events go.
    pub fn route(&self) -> &Route {
        &self.route
    }

    pub(super) fn into_payload(self) -> Bytes {
        self.payload.freeze()
    }

    /// Whether it was made by an idempotent producer.
    pub(super) fn is_numbered(&self) -> bool {
        self.marks.is_numbered()
    }

    /// Numbers the events, of which the first follows on `state`, and returns the state when they are published.
    pub(super) fn number(&mut self, state: PartitionPublishingState) -> PartitionPublishingState {
        self.numbers.iter().fold(state, |state, place| {
            let state = state.next();
            place.write(state, &mut self.payload);
            state
        })
    }
}

impl fmt::Debug for EventBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBatch")
            .field("len", &self.count)
            .field("size_in_bytes", &self.payload.len())
            .field("max_size_in_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

/// There is no room for the event, which is given back.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the event does not fit in what is left of the batch")]
pub struct BatchFull {
    event: Box<Event>,
}

impl BatchFull {
    fn new(event: Event) -> Self {
        Self {
            event: Box::new(event),
        }
    }

    /// The event.
    pub fn into_event(self) -> Event {
        *self.event
    }
}

/// The section before the events holds their partition key: it rules where the service puts the whole batch.
fn write_envelope(key: &Str, payload: &mut BytesMut) {
    let mut writer = Writer::new(payload);
    writer.write_descriptor(descriptor::MESSAGE_ANNOTATIONS);
    let annotations = Annotations::new().with(annotation::PARTITION_KEY, key.clone());
    annotations.encode(&mut writer);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Body, Message, Symbol, Value};
    use crate::eventhubs::section::{LONG_SECTION, SHORT_SECTION};
    use crate::eventhubs::wire::property;

    /// Two events as Microsoft's Python client writes them: partition key `k1`; `hello` with p=v, and `h2`.
    const PYTHON: &str = "005370c00705560140404040005372c11a02a313782d6f70742d706172746974696f6e2d6b6579a1026b31005375a041005370c00705560140404040005372c11a02a313782d6f70742d706172746974696f6e2d6b6579a1026b31005374c10702a10170a10176005375a00568656c6c6f005375a032005370c00705560140404040005372c11a02a313782d6f70742d706172746974696f6e2d6b6579a1026b31005375a0026832";
    /// The same by the JavaScript client, with JSON bodies.
    const JAVASCRIPT: &str = "00537045005372d10000001d00000002a313782d6f70742d706172746974696f6e2d6b6579a1026b3100537345005375a054005370d0000000050000000141005372d10000001d00000002a313782d6f70742d706172746974696f6e2d6b6579a1026b3100537345005374d10000000a00000002a10170a10176005375a0072268656c6c6f22005375a042005370d0000000050000000141005372d10000001d00000002a313782d6f70742d706172746974696f6e2d6b6579a1026b3100537345005375a0077b2261223a317d";

    fn octets(hex: &str) -> Bytes {
        let digits = hex.as_bytes().chunks_exact(2);
        digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect::<Vec<_>>()
            .into()
    }

    /// The events of a payload, as a server would split it.
    fn split(payload: Bytes) -> (Message, Vec<Message>) {
        let envelope = Message::decode(payload).unwrap();
        let sections = match &envelope.body {
            Body::Data(section) => vec![section.clone()],
            Body::DataSections(sections) => sections.clone(),
            other => panic!("not a batch: {other:?}"),
        };
        let events = sections
            .into_iter()
            .map(|section| Message::decode(section).unwrap())
            .collect();
        (envelope, events)
    }

    fn batch(route: Route, max_bytes: usize, events: &[Event]) -> EventBatch {
        let mut batch = EventBatch::new(route, max_bytes);
        for event in events {
            batch.try_add(event.clone()).unwrap();
        }
        batch
    }

    fn key_of(message: &Message) -> Option<&str> {
        let annotations = message.message_annotations.as_ref()?;
        annotations.get("x-opt-partition-key")?.as_str()
    }

    #[test]
    fn debug_shows_neither_events_nor_keys() {
        let mut full = EventBatch::new(Route::key("hush"), 200);
        full.try_add(Event::from("hush").with_property("hush", "hush"))
            .unwrap();
        let refused = full.try_add("hush".repeat(100)).unwrap_err();
        let shown = format!("{full:?} {refused:?}");
        assert!(!shown.contains("hush"), "{shown}");
        assert!(shown.contains("body_len: 400"), "{shown}");
    }

    #[test]
    fn golden_batches_hold_what_ours_hold() {
        for (golden, bodies) in [
            (PYTHON, ["hello", "h2"]),
            (JAVASCRIPT, ["\"hello\"", "{\"a\":1}"]),
        ] {
            let events = [
                Event::from(bodies[0]).with_property("p", "v"),
                Event::from(bodies[1]),
            ];
            let ours = batch(Route::key("k1"), 1024, &events);
            let payload = ours.into_payload();
            let (our_envelope, our_events) = split(payload);
            let (envelope, golden_events) = split(octets(golden));
            assert_eq!(key_of(&our_envelope), key_of(&envelope));
            assert_eq!(our_events.len(), golden_events.len());
            for (ours, golden) in our_events.iter().zip(&golden_events) {
                assert_eq!(ours.body, golden.body);
                assert_eq!(ours.application_properties, golden.application_properties);
                assert_eq!(key_of(ours), Some("k1"));
                assert_eq!(key_of(golden), Some("k1"));
            }
        }
    }

    #[test]
    fn the_size_of_golden_batches_is_counted_as_their_clients_count_it() {
        for (golden, size, envelope_size) in [(PYTHON, 168, 43), (JAVASCRIPT, 205, 45)] {
            let payload = octets(golden);
            assert_eq!(payload.len(), size);
            let Body::DataSections(sections) = Message::decode(payload).unwrap().body else {
                panic!("two sections");
            };
            let events: usize = sections
                .iter()
                .map(|section| section.len() + SHORT_SECTION)
                .sum();
            assert_eq!(envelope_size + events, size);
        }
    }

    #[test]
    fn the_envelope_is_the_partition_key_alone() {
        let keyed = EventBatch::new(Route::key("k1"), 1024);
        let expected = "005372c11a02a313782d6f70742d706172746974696f6e2d6b6579a1026b31";
        assert_eq!(keyed.into_payload(), octets(expected));
        assert_eq!(EventBatch::new(Route::Any, 1024).size_in_bytes(), 0);
    }

    #[test]
    fn sizes_are_exact_on_both_sides_of_the_long_form() {
        for body in [0, 1, 200, 248, 249, 250, 251, 252, 255, 256, 1000] {
            let event = Event::new(vec![7; body]);
            let mut encoded = BytesMut::new();
            event.encode(&mut encoded).unwrap();
            let overhead = if encoded.len() < 256 {
                SHORT_SECTION
            } else {
                LONG_SECTION
            };
            let full = batch(Route::Any, 4096, &[event.clone(), event.clone()]);
            assert_eq!(
                full.size_in_bytes(),
                2 * (encoded.len() + overhead),
                "{body}"
            );
            let (_, events) = split(full.into_payload());
            assert_eq!(events, [event.message().clone(), event.message().clone()]);
        }
    }

    #[test]
    fn a_batch_is_filled_to_its_last_octet_and_not_beyond() {
        let event = Event::from("0123456789");
        let size = batch(Route::Any, 1024, std::slice::from_ref(&event)).size_in_bytes();
        let mut exact = EventBatch::new(Route::Any, 2 * size);
        exact.try_add(event.clone()).unwrap();
        exact.try_add(event.clone()).unwrap();
        assert_eq!(exact.size_in_bytes(), exact.max_size_in_bytes());
        let mut short = EventBatch::new(Route::Any, 2 * size - 1);
        short.try_add(event.clone()).unwrap();
        let given_back = short.try_add(event.clone()).unwrap_err().into_event();
        assert_eq!(given_back, event);
        assert_eq!((short.len(), short.size_in_bytes()), (1, size));
    }

    #[test]
    fn an_event_that_does_not_fit_comes_back_unchanged() {
        let annotated = Event::from("x")
            .with_annotation(annotation::PARTITION_KEY, "mine")
            .with_property("n", Value::Null);
        for event in [Event::from("x"), annotated, Event::new(vec![0; 100])] {
            let mut tiny = EventBatch::new(Route::key("k"), 40);
            assert_eq!(tiny.try_add(event.clone()).unwrap_err().into_event(), event);
            assert!(tiny.is_empty());
        }
    }

    #[test]
    fn events_encoded_beforehand_make_the_same_batch() {
        let events = ["a", "b", &"c".repeat(300)].map(Event::from);
        let direct = batch(Route::key("k"), 4096, &events);
        let marks = Marks::of_route(&Route::key("k"));
        let mut appended = EventBatch::new(Route::key("k"), direct.size_in_bytes());
        for event in events {
            assert!(appended.append(&marks.encode(&mut event.clone()).unwrap()));
        }
        let one_more = marks.encode(&mut Event::from("")).unwrap();
        assert!(!appended.append(&one_more));
        assert_eq!(appended.len(), 3);
        assert_eq!(appended.into_payload(), direct.into_payload());
    }

    #[test]
    fn numbers_are_written_where_room_was_left() {
        let id = 0x0102_0304_0506_0708;
        let state = |last| PartitionPublishingState::new(id, -2, last);
        let plain = ["short", &"long".repeat(100)].map(Event::from);
        let annotated = plain[0]
            .clone()
            .with_annotation(Symbol::from_static("mine"), "kept")
            .with_annotation(property::PRODUCER_ID, "displaced");
        let marks = Marks::default().numbered(true);
        let mut numbered = EventBatch::numbered("0", 4096);
        for event in [&plain[0], &plain[1], &annotated] {
            numbered.try_add(event.clone()).unwrap();
            let encoded = marks.encode(&mut event.clone()).unwrap();
            assert!(numbered.append(&encoded));
        }
        let size = numbered.size_in_bytes();
        for (last, numbers) in [
            (0, [1, 2, 3, 4, 5, 6]),
            (i32::MAX - 2, [i32::MAX - 1, i32::MAX, 0, 1, 2, 3]),
        ] {
            assert_eq!(numbered.number(state(last)), state(numbers[5]));
            assert_eq!(numbered.size_in_bytes(), size);
            let (_, events) = split(numbered.clone().into_payload());
            for (sequence, event) in numbers.into_iter().zip(events) {
                let annotations = event.message_annotations.unwrap();
                let long = Value::Long(id);
                assert_eq!(annotations.get(&property::PRODUCER_ID), Some(&long));
                let short = Value::Short(-2);
                assert_eq!(annotations.get(&property::PRODUCER_EPOCH), Some(&short));
                let int = Value::Int(sequence);
                let found = annotations.get(&property::PRODUCER_SEQUENCE_NUMBER);
                assert_eq!(found, Some(&int));
            }
        }
        let (_, events) = split(numbered.into_payload());
        let annotations = events[4].message_annotations.as_ref().unwrap();
        assert_eq!(annotations.get("mine"), Some(&Value::from("kept")));
        assert_eq!(annotations.len(), 4);
    }
}
