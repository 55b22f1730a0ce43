//! Events: as they are published, and as they come out of a partition.

use std::fmt;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};

use super::error::EventHubsError;
use super::trace_context::{TraceContext, TraceContextSource};
use super::wire::{annotation, runtime_metric, trace};
use crate::codec::code::descriptor;
use crate::codec::{
    Annotations, ApplicationProperties, Body, Encode, EncodeError, Message, MessageId, Properties,
    Str, Symbol, Value, Writer,
};
use crate::time::from_timestamp;

/// An event to publish: a body of octets, and what describes it. `Debug` shows how long the body is, not what it holds.
///
/// ```
/// use amqp10::eventhubs::Event;
///
/// let event = Event::from("21.5")
///     .with_content_type(amqp10::codec::Symbol::from_static("text/plain"))
///     .with_property("sensor", 7);
/// assert_eq!(event.body(), b"21.5");
/// ```
#[derive(Clone, PartialEq)]
pub struct Event {
    message: Message,
}

impl Event {
    /// An event with this body. A `Bytes` or `Vec<u8>` is taken over without a copy.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self {
            message: Message::data(body),
        }
    }

    /// An event from a whole AMQP message, for bodies other than octets and for sections that have no setter here.
    pub fn from_message(message: Message) -> Self {
        Self { message }
    }

    /// The message that the event is.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The octets of the body; empty if it does not consist of one piece of them.
    pub fn body(&self) -> &[u8] {
        match &self.message.body {
            Body::Data(octets) => octets,
            _ => &[],
        }
    }

    /// Replaces the body.
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.message.body = Body::Data(body.into());
        self
    }

    /// Adds an application property, or replaces the one of that name.
    pub fn with_property(mut self, name: impl Into<Str>, value: impl Into<Value>) -> Self {
        self.application_properties_mut().insert(name, value);
        self
    }

    /// Says which trace the event belongs to.
    pub fn with_trace_context(mut self, context: &TraceContext) -> Self {
        self.set_trace_context(context);
        self
    }

    /// Which trace the event belongs to, if that was said and can be understood.
    pub fn trace_context(&self) -> Option<TraceContext> {
        trace_context(&self.message)
    }

    fn set_trace_context(&mut self, context: &TraceContext) {
        let parent = Str::from(context.to_string());
        let properties = self.message.application_properties.get_or_insert_default();
        properties.insert(trace::DIAGNOSTIC_ID, parent.clone());
        properties.insert(trace::TRACEPARENT, parent);
        if let Some(state) = context.state() {
            properties.insert(trace::TRACESTATE, state);
        }
    }

    /// Says which trace the event belongs to, unless that was said.
    pub(super) fn trace(&mut self, source: Option<&TraceContextSource>) {
        let Some(source) = source else { return };
        let properties = self.message.application_properties.as_ref();
        let names = [trace::TRACEPARENT, trace::DIAGNOSTIC_ID];
        let is_traced =
            properties.is_some_and(|known| names.iter().any(|name| known.get(name).is_some()));
        if !is_traced && let Some(context) = source.current() {
            self.set_trace_context(&context);
        }
    }

    /// Says what the body is, for example `application/json`.
    pub fn with_content_type(mut self, content_type: Symbol) -> Self {
        self.properties().content_type = Some(content_type);
        self
    }

    /// Names the event. The service does not look at it.
    pub fn with_message_id(mut self, message_id: impl Into<MessageId>) -> Self {
        self.properties().message_id = Some(message_id.into());
        self
    }

    /// Says what the event belongs to. The service does not look at it.
    pub fn with_correlation_id(mut self, correlation_id: impl Into<MessageId>) -> Self {
        self.properties().correlation_id = Some(correlation_id.into());
        self
    }

    /// Adds a message annotation, or replaces the one of that name. Those of the service are ignored by it.
    pub fn with_annotation(mut self, name: Symbol, value: impl Into<Value>) -> Self {
        self.annotate(name, value.into());
        self
    }

    fn properties(&mut self) -> &mut Properties {
        self.message.properties.get_or_insert_default()
    }

    fn annotate(&mut self, name: Symbol, value: Value) {
        let annotations = self.message.message_annotations.get_or_insert_default();
        annotations.insert(name, value);
    }

    pub(super) fn set_partition_key(&mut self, key: &str) {
        self.annotate(annotation::PARTITION_KEY, key.into());
    }

    pub(super) fn application_properties_mut(&mut self) -> &mut ApplicationProperties {
        self.message.application_properties.get_or_insert_default()
    }

    /// The octets of a body of any kind, as [`ReceivedEvent::body`] has them.
    pub(super) fn body_octets(&self) -> Bytes {
        octets(&self.message.body)
    }

    pub(super) fn into_message(self) -> Message {
        self.message
    }

    /// Writes the event as a whole message at the end of `out`.
    pub(super) fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        let mut writer = Writer::new(out);
        self.message.encode(&mut writer);
        writer.finish()
    }

    /// Writes the event with other message annotations at the end of `out`, and returns where these end there. The event
    /// stays as it is.
    pub(super) fn encode_annotated(
        &mut self,
        annotate: impl FnOnce(Annotations) -> Annotations,
        out: &mut BytesMut,
    ) -> Result<usize, EncodeError> {
        let message = &mut self.message;
        let header = message.header.take();
        let delivery_annotations = message.delivery_annotations.take();
        let message_annotations = message.message_annotations.take();
        let annotated = annotate(message_annotations.clone().unwrap_or_default());

        let mut writer = Writer::new(out);
        if let Some(header) = &header {
            header.encode(&mut writer);
        }
        if let Some(annotations) = &delivery_annotations {
            writer.write_descriptor(descriptor::DELIVERY_ANNOTATIONS);
            annotations.encode(&mut writer);
        }
        writer.write_descriptor(descriptor::MESSAGE_ANNOTATIONS);
        annotated.encode(&mut writer);
        let end_of_annotations = writer.position();
        message.encode(&mut writer);
        let written = writer.finish();

        message.header = header;
        message.delivery_annotations = delivery_annotations;
        message.message_annotations = message_annotations;
        written.map(|()| end_of_annotations)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("body_len", &octets(&self.message.body).len())
            .finish_non_exhaustive()
    }
}

impl From<&str> for Event {
    fn from(text: &str) -> Self {
        Self::new(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Event {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<Vec<u8>> for Event {
    fn from(octets: Vec<u8>) -> Self {
        Self::new(octets)
    }
}

impl From<&[u8]> for Event {
    fn from(octets: &[u8]) -> Self {
        Self::new(Bytes::copy_from_slice(octets))
    }
}

impl From<Bytes> for Event {
    fn from(octets: Bytes) -> Self {
        Self::new(octets)
    }
}

/// An event that a partition held.
///
/// Body and texts are slices of what was read from the stream: nothing is copied, and keeping one of them keeps that
/// piece in memory. `Debug` shows where the event is and how long its body is, not what it holds.
#[derive(Clone, PartialEq)]
pub struct ReceivedEvent {
    message: Message,
    body: Bytes,
    sequence_number: i64,
    offset: Str,
}

impl ReceivedEvent {
    /// From a message of a partition.
    ///
    /// # Errors
    ///
    /// If the message lacks what the service adds to every event: sequence number and offset.
    pub fn from_message(message: Message) -> Result<Self, EventHubsError> {
        let system_property = |name: &Symbol| message.message_annotations.as_ref()?.get(name);
        let missing = |name: &Symbol| {
            EventHubsError::malformed("read an event", format!("it has no annotation `{name}`"))
        };
        let sequence_number = system_property(&annotation::SEQUENCE_NUMBER)
            .and_then(Value::as_i64)
            .ok_or_else(|| missing(&annotation::SEQUENCE_NUMBER))?;
        let offset = system_property(&annotation::OFFSET)
            .and_then(text)
            .ok_or_else(|| missing(&annotation::OFFSET))?;
        Ok(Self {
            body: octets(&message.body),
            sequence_number,
            offset,
            message,
        })
    }

    /// The octets of the body: those of its data sections, or of its text or binary value. Empty for bodies of other
    /// kinds; [`message`](Self::message) has them.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// [`body`](Self::body) as shared octets, without a copy.
    pub fn body_bytes(&self) -> Bytes {
        self.body.clone()
    }

    /// The event's number in its partition: rising, without gaps.
    pub fn sequence_number(&self) -> i64 {
        self.sequence_number
    }

    /// The event's opaque position in its partition, for [`Position::offset`](super::Position::offset).
    pub fn offset(&self) -> &str {
        &self.offset
    }

    pub(super) fn offset_text(&self) -> Str {
        self.offset.clone()
    }

    /// When the service stored the event.
    pub fn enqueued_time(&self) -> Option<SystemTime> {
        match self.annotation(&annotation::ENQUEUED_TIME)? {
            Value::Timestamp(timestamp) => from_timestamp(*timestamp),
            _ => None,
        }
    }

    /// The partition key under which the event was published, if it was.
    pub fn partition_key(&self) -> Option<&str> {
        self.annotation(&annotation::PARTITION_KEY)?.as_str()
    }

    /// The value of one application property.
    pub fn property(&self, name: &str) -> Option<&Value> {
        self.application_properties()?.get(name)
    }

    /// Which trace the event belongs to, if its publisher said so in a way that can be understood.
    pub fn trace_context(&self) -> Option<TraceContext> {
        trace_context(&self.message)
    }

    /// All application properties.
    pub fn application_properties(&self) -> Option<&ApplicationProperties> {
        self.message.application_properties.as_ref()
    }

    /// The properties section: message id, correlation id, content type and so on.
    pub fn properties(&self) -> Option<&Properties> {
        self.message.properties.as_ref()
    }

    /// All message annotations: the service's system properties, and what the publisher added.
    pub fn annotations(&self) -> Option<&Annotations> {
        self.message.message_annotations.as_ref()
    }

    /// The whole message.
    pub fn message(&self) -> &Message {
        &self.message
    }

    fn annotation(&self, name: &Symbol) -> Option<&Value> {
        self.annotations()?.get(name)
    }

    /// What the service said about the partition's end when it sent this event, if the consumer asked for that.
    pub(super) fn last_enqueued(&self) -> Option<LastEnqueued> {
        let metrics = self.message.delivery_annotations.as_ref()?;
        let time = |name: &Symbol| match metrics.get(name)? {
            Value::Timestamp(timestamp) => from_timestamp(*timestamp),
            _ => None,
        };
        Some(LastEnqueued {
            sequence_number: metrics
                .get(&runtime_metric::LAST_ENQUEUED_SEQUENCE_NUMBER)?
                .as_i64()?,
            offset: metrics
                .get(&runtime_metric::LAST_ENQUEUED_OFFSET)
                .and_then(text),
            enqueued_time: time(&runtime_metric::LAST_ENQUEUED_TIME_UTC),
            retrieved_at: time(&runtime_metric::RUNTIME_INFO_RETRIEVAL_TIME_UTC),
        })
    }
}

impl fmt::Debug for ReceivedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedEvent")
            .field("sequence_number", &self.sequence_number)
            .field("offset", &self.offset)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What the service knew about the end of a partition when it sent an event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastEnqueued {
    /// Sequence number of the partition's last event.
    pub sequence_number: i64,
    /// Its offset.
    pub offset: Option<Str>,
    /// When it was stored.
    pub enqueued_time: Option<SystemTime>,
    /// When the service looked.
    pub retrieved_at: Option<SystemTime>,
}

/// A text without a copy.
fn text(value: &Value) -> Option<Str> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Symbol(symbol) => Some(symbol.clone().into()),
        _ => None,
    }
}

fn octets(body: &Body) -> Bytes {
    match body {
        Body::Data(octets) => octets.clone(),
        Body::DataSections(sections) => sections.concat().into(),
        Body::Value(Value::Binary(octets)) => octets.clone(),
        Body::Value(Value::String(text)) => text.clone().into_bytes(),
        _ => Bytes::new(),
    }
}

/// Read where newer and where older clients write it.
fn trace_context(message: &Message) -> Option<TraceContext> {
    let properties = message.application_properties.as_ref()?;
    let text = |name| match properties.get(name)? {
        Value::String(text) => Some(text.as_str()),
        Value::Binary(octets) => std::str::from_utf8(octets).ok(),
        _ => None,
    };
    let parent = text(trace::TRACEPARENT).or_else(|| text(trace::DIAGNOSTIC_ID))?;
    TraceContext::received(parent, text(trace::TRACESTATE))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::codec::{Header, Timestamp};

    fn stored(event: Event) -> Message {
        let annotations = Annotations::new()
            .with(annotation::SEQUENCE_NUMBER, 42_i64)
            .with(annotation::OFFSET, "4200")
            .with(annotation::ENQUEUED_TIME, Timestamp(1_700_000_000_000))
            .with(annotation::PARTITION_KEY, "k1");
        event.message.with_message_annotations(annotations)
    }

    #[test]
    fn debug_shows_no_payload() {
        let event = Event::from("hush").with_property("hush", "hush");
        let received = ReceivedEvent::from_message(stored(event.clone())).unwrap();
        let shown = format!("{event:?} {received:?}");
        assert!(!shown.contains("hush"), "{shown}");
        assert!(
            shown.contains("body_len: 4") && shown.contains("42"),
            "{shown}"
        );
    }

    #[test]
    fn what_was_published_and_what_the_service_added_are_read() {
        let event = Event::from("hello")
            .with_property("p", "v")
            .with_message_id("id-1")
            .with_content_type(Symbol::from_static("text/plain"));
        let received = ReceivedEvent::from_message(stored(event)).unwrap();
        assert_eq!(received.body(), b"hello");
        assert_eq!(received.sequence_number(), 42);
        assert_eq!(received.offset(), "4200");
        assert_eq!(
            received.enqueued_time(),
            Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000))
        );
        assert_eq!(received.partition_key(), Some("k1"));
        assert_eq!(received.property("p"), Some(&Value::from("v")));
        let properties = received.properties().unwrap();
        assert_eq!(properties.message_id, Some(MessageId::from("id-1")));
        assert_eq!(
            properties.content_type,
            Some(Symbol::from_static("text/plain"))
        );
        assert_eq!(received.last_enqueued(), None);
    }

    #[test]
    fn a_message_that_no_partition_numbered_is_refused() {
        let error = ReceivedEvent::from_message(Message::data("x")).unwrap_err();
        assert!(error.to_string().contains("x-opt-sequence-number"));
    }

    #[test]
    fn bodies_of_other_clients_are_read() {
        let bodies = [
            Body::DataSections(vec![Bytes::from("he"), Bytes::from("llo")]),
            Body::Value(Value::from("hello")),
            Body::Value(Value::Binary(Bytes::from("hello"))),
        ];
        for body in bodies {
            assert_eq!(octets(&body), "hello");
        }
        assert!(octets(&Body::Value(Value::Null)).is_empty());
    }

    #[test]
    fn runtime_metrics_are_read() {
        let mut message = stored(Event::from("x"));
        let metrics = Annotations::new()
            .with(runtime_metric::LAST_ENQUEUED_SEQUENCE_NUMBER, 99_i64)
            .with(runtime_metric::LAST_ENQUEUED_OFFSET, "9900");
        message.delivery_annotations = Some(metrics);
        let last = ReceivedEvent::from_message(message)
            .unwrap()
            .last_enqueued()
            .unwrap();
        assert_eq!(last.sequence_number, 99);
        assert_eq!(last.offset.as_deref(), Some("9900"));
        assert_eq!(last.enqueued_time, None);
    }

    #[test]
    fn annotations_are_written_in_their_place_and_the_event_keeps_its_own() {
        let mut message = Message::data("x")
            .with_message_annotations(Annotations::new().with(annotation::PARTITION_KEY, "mine"));
        message.header = Some(Header::default());
        message.delivery_annotations = Some(Annotations::new().with(annotation::OFFSET, "1"));
        let event = Event::from_message(message).with_property("p", "v");
        let mut encoded = event.clone();
        let mut out = BytesMut::new();
        let annotate = |own: Annotations| own.with(annotation::PUBLISHER, "me");
        encoded.encode_annotated(annotate, &mut out).unwrap();
        assert_eq!(encoded, event);
        let mut expected = event;
        expected.annotate(annotation::PUBLISHER, "me".into());
        let decoded = Message::decode(out.freeze()).unwrap();
        assert_eq!(&decoded, expected.message());
    }

    #[test]
    fn a_trace_context_is_written_for_readers_old_and_new() {
        const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context: TraceContext = PARENT.parse().unwrap();
        let context = context.with_state("rojo=1").unwrap();
        let event = Event::from("x").with_trace_context(&context);
        let properties = event.message().application_properties.clone().unwrap();
        let text = |name| properties.get(name).and_then(Value::as_str);
        assert_eq!(text("traceparent"), Some(PARENT));
        assert_eq!(text("Diagnostic-Id"), Some(PARENT));
        assert_eq!(text("tracestate"), Some("rojo=1"));
        assert_eq!(event.trace_context(), Some(context));
        let older = Event::from("x").with_property("Diagnostic-Id", PARENT);
        assert_eq!(older.trace_context(), Some(PARENT.parse().unwrap()));
        let octets = Value::Binary(PARENT.into());
        let binary = Event::from("x").with_property("traceparent", octets);
        assert_eq!(binary.trace_context(), Some(PARENT.parse().unwrap()));
        let other = Event::from("x").with_property("Diagnostic-Id", "|a.b.");
        assert_eq!(other.trace_context(), None);
    }

    #[test]
    fn a_source_speaks_for_events_that_say_nothing() {
        const OWN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let current = TraceContext::new([1; 16], [2; 8], true).unwrap();
        let given = current.clone();
        let source = TraceContextSource::new(move || Some(given.clone()));
        let mut event = Event::from("x");
        event.trace(Some(&source));
        assert_eq!(event.trace_context(), Some(current));
        let own = Event::from("x").with_property("traceparent", OWN);
        let mut event = own.clone();
        event.trace(Some(&source));
        assert_eq!(event, own);
        let silent = TraceContextSource::new(|| None);
        let mut event = Event::from("x");
        event.trace(Some(&silent));
        event.trace(None);
        assert_eq!(event, Event::from("x"));
    }
}
