//! Event bodies in JSON.

use serde::{Deserialize, Serialize};

use super::error::EventHubsError;
use super::event::{Event, ReceivedEvent};
use crate::codec::Symbol;

/// What the body of such an event is said to be.
const CONTENT_TYPE: Symbol = Symbol::from_static("application/json");

impl Event {
    /// An event whose body is a value in JSON, as its content type says. With the feature `json`.
    ///
    /// ```
    /// use amqp10::eventhubs::Event;
    ///
    /// let event = Event::json(&[21.5, 22.0])?;
    /// assert_eq!(event.body(), b"[21.5,22.0]");
    /// # Ok::<(), amqp10::eventhubs::EventHubsError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](super::ErrorKind::InvalidArgument) if the value cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, EventHubsError> {
        Self::new(Vec::new()).with_json(value)
    }

    /// Replaces the body by a value in JSON, and sets the content type to `application/json`. With the feature `json`.
    ///
    /// # Errors
    ///
    /// As [`json`](Self::json).
    pub fn with_json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self, EventHubsError> {
        let octets = serde_json::to_vec(value).map_err(|_| {
            // The error's own text may repeat what is in the value.
            EventHubsError::invalid_argument("write an event", "the value has no form in JSON")
        })?;
        Ok(self.with_body(octets).with_content_type(CONTENT_TYPE))
    }
}

impl ReceivedEvent {
    /// The body as a value that it holds in JSON, whatever the content type says. Text may be borrowed from the event. With
    /// the feature `json`.
    ///
    /// # Errors
    ///
    /// [`Malformed`](super::ErrorKind::Malformed) if the body is not JSON, or not the JSON of a `T`. The error says at which
    /// place, and repeats nothing of the body.
    pub fn json<'de, T: Deserialize<'de>>(&'de self) -> Result<T, EventHubsError> {
        serde_json::from_slice(self.body()).map_err(|error| {
            let what = match error.is_data() {
                true => "the body is JSON of another shape than expected",
                false => "the body is not JSON",
            };
            let (line, column) = (error.line(), error.column());
            let place = format!("{what}, at line {line} column {column}");
            EventHubsError::malformed(format!("read event {}", self.sequence_number()), place)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::codec::Annotations;
    use crate::eventhubs::ErrorKind;
    use crate::eventhubs::wire::annotation;

    fn received(event: Event) -> ReceivedEvent {
        let annotations = Annotations::new()
            .with(annotation::SEQUENCE_NUMBER, 7_i64)
            .with(annotation::OFFSET, "70");
        let message = event.message().clone();
        ReceivedEvent::from_message(message.with_message_annotations(annotations)).unwrap()
    }

    #[test]
    fn a_value_comes_back_with_its_content_type() {
        let value = BTreeMap::from([("temperature", 21)]);
        let event = Event::from("other").with_property("p", 1).with_json(&value);
        let received = received(event.unwrap());
        assert_eq!(received.body(), br#"{"temperature":21}"#);
        let content_type = received.properties().unwrap().content_type.clone();
        assert_eq!(content_type.as_deref(), Some("application/json"));
        let read: BTreeMap<&str, i32> = received.json().unwrap();
        assert_eq!(read, value);
        assert!(received.property("p").is_some());
    }

    #[test]
    fn errors_say_where_and_repeat_nothing() {
        for (body, what) in [
            (r#"["hush"]"#, "another shape"),
            ("hush", "is not JSON"),
            (r#"["hush"#, "is not JSON"),
        ] {
            let received = received(Event::from(body));
            let error = received.json::<Vec<u32>>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Malformed);
            let text = format!("{error} {error:?}");
            assert!(text.contains(what) && text.contains("line 1"), "{text}");
            assert!(!text.contains("hush"), "{text}");
        }
        let unwritable = BTreeMap::from([((1, 2), "hush")]);
        let error = Event::json(&unwritable).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(!format!("{error:?}").contains("hush"));
    }
}
