//! Structured mode: all of a CloudEvent in one JSON object.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::attributes::{self, Attributes, name};
use super::{CloudEvent, CloudEventError, SPEC_VERSION, rfc3339};
use crate::codec::{Symbol, Value};
use crate::eventhubs::event::Event;
use crate::time::from_timestamp;

const CONTENT_TYPE: Symbol = Symbol::from_static("application/cloudevents+json; charset=utf-8");

/// The member with data that is neither JSON nor text.
const DATA_BASE64: &str = "data_base64";

/// Members stay text until it is known what they are, so that data passes through as it is.
type Members = BTreeMap<String, Box<RawValue>>;

pub(super) fn write(event: &CloudEvent) -> Result<Event, CloudEventError> {
    event.check()?;
    let mut members = Members::new();
    set(&mut members, name::SPEC_VERSION, SPEC_VERSION)?;
    set(&mut members, name::ID, &event.id)?;
    set(&mut members, name::SOURCE, &event.source)?;
    set(&mut members, name::TYPE, &event.event_type)?;
    if let Some(subject) = &event.subject {
        set(&mut members, name::SUBJECT, subject)?;
    }
    if let Some(time) = event.time {
        set(&mut members, name::TIME, &rfc3339::format(time))?;
    }
    if let Some(content_type) = &event.data_content_type {
        set(&mut members, name::DATA_CONTENT_TYPE, content_type)?;
    }
    if let Some(schema) = &event.data_schema {
        set(&mut members, name::DATA_SCHEMA, schema)?;
    }
    for (name, value) in &event.extensions {
        set_extension(&mut members, name, &attributes::extension(name, value)?)?;
    }
    if let Some(data) = &event.data {
        set_data(&mut members, event.data_content_type.as_deref(), data)?;
    }
    let body = serde_json::to_vec(&members).map_err(failed)?;
    Ok(Event::new(body).with_content_type(CONTENT_TYPE))
}

fn set<T: Serialize + ?Sized>(
    members: &mut Members,
    name: &str,
    value: &T,
) -> Result<(), CloudEventError> {
    members.insert(name.to_owned(), to_raw_value(value).map_err(failed)?);
    Ok(())
}

fn set_extension(members: &mut Members, name: &str, value: &Value) -> Result<(), CloudEventError> {
    match value {
        Value::Bool(flag) => set(members, name, flag),
        Value::Long(number) => set(members, name, number),
        Value::Binary(octets) => set(members, name, &BASE64.encode(octets)),
        Value::Timestamp(timestamp) => {
            let time = from_timestamp(*timestamp).map(rfc3339::format);
            set(members, name, &time)
        }
        text => set(members, name, text.as_str().unwrap_or_default()),
    }
}

/// JSON and text go in as they are, all else in base64.
fn set_data(
    members: &mut Members,
    content_type: Option<&str>,
    data: &Bytes,
) -> Result<(), CloudEventError> {
    if let Ok(text) = std::str::from_utf8(data) {
        if !is_json(content_type) {
            return set(members, name::DATA, text);
        }
        if let Ok(json) = RawValue::from_string(text.to_owned()) {
            members.insert(name::DATA.to_owned(), json);
            return Ok(());
        }
    }
    set(members, DATA_BASE64, &BASE64.encode(data))
}

pub(super) fn read(body: &Bytes) -> Result<CloudEvent, CloudEventError> {
    let mut members: Members = serde_json::from_slice(body).map_err(failed)?;
    let data = members.remove(name::DATA);
    let data_base64 = members.remove(DATA_BASE64);
    let mut attributes = Attributes::new();
    for (name, value) in &members {
        if let Some(value) = attribute(name, value)? {
            attributes.set(name, value)?;
        }
    }
    let mut event = attributes.into_event()?;
    event.data = match (data, data_base64) {
        (_, Some(encoded)) => Some(decode_base64(&encoded)?),
        (Some(data), None) => Some(read_data(event.data_content_type.as_deref(), &data)),
        (None, None) => None,
    };
    Ok(event)
}

/// The value of an attribute; a null is none.
fn attribute(name: &str, value: &RawValue) -> Result<Option<Value>, CloudEventError> {
    let value = serde_json::from_str(value.get()).map_err(failed)?;
    match value {
        serde_json::Value::Null => Ok(None),
        serde_json::Value::Bool(flag) => Ok(Some(flag.into())),
        serde_json::Value::String(text) => Ok(Some(text.into())),
        serde_json::Value::Number(number) if number.is_i64() => {
            Ok(number.as_i64().map(Value::Long))
        }
        _ => Err(CloudEventError::Attribute {
            name: name.to_owned(),
            expected: "a boolean, an integer or a string",
        }),
    }
}

fn read_data(content_type: Option<&str>, data: &RawValue) -> Bytes {
    if !is_json(content_type)
        && let Ok(text) = serde_json::from_str::<String>(data.get())
    {
        return text.into();
    }
    data.get().to_owned().into()
}

fn decode_base64(encoded: &RawValue) -> Result<Bytes, CloudEventError> {
    let text = serde_json::from_str::<String>(encoded.get()).ok();
    let octets = text.and_then(|text| BASE64.decode(text).ok());
    octets
        .map(Bytes::from)
        .ok_or_else(|| CloudEventError::Attribute {
            name: DATA_BASE64.to_owned(),
            expected: "a string in base64",
        })
}

/// Whether data of that type is JSON; it is where nothing is said.
fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else {
        return true;
    };
    let media_type = content_type.split(';').next().unwrap_or_default();
    let media_type = media_type.trim().to_ascii_lowercase();
    media_type.ends_with("/json") || media_type.ends_with("+json")
}

/// The error's own text may repeat what is in the body.
fn failed(error: serde_json::Error) -> CloudEventError {
    CloudEventError::Json {
        line: error.line(),
        column: error.column(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::codec::Message;

    fn structured(json: &str) -> Message {
        let content_type = Symbol::from_static("application/cloudevents+json");
        let event = Event::from(json).with_content_type(content_type);
        event.message().clone()
    }

    fn round_trip(event: &CloudEvent) -> CloudEvent {
        let written = event.to_structured_event().unwrap();
        CloudEvent::from_message(written.message()).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let event = || {
            CloudEvent::new("1234", "/sensors/7", "com.example.reading")
                .with_subject("temperature")
                .with_time(UNIX_EPOCH + Duration::from_nanos(1_522_900_584_123_456_789))
                .with_extension("flag", true)
                .with_extension("count", -7_i64)
                .with_extension("traceparent", "00-ab-cd-01")
        };
        for event in [
            event(),
            event().with_data(
                "application/json",
                r#"{"n": 1.50, "big": 123456789012345678901234567890}"#,
            ),
            event().with_data("application/vnd.x+json; charset=utf-8", "[1]"),
            event().with_data("application/json", "not JSON"),
            event().with_data("text/plain", "two \"words\""),
            event().with_data("application/octet-stream", vec![0, 255]),
        ] {
            assert_eq!(round_trip(&event), event);
        }
    }

    #[test]
    fn json_of_others_is_read() {
        let read = CloudEvent::from_message(&structured(
            r#"{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "subject": null,
                "time": "2018-04-05T03:56:24Z", "data": {"a": [1, 2]}, "other": 5}"#,
        ))
        .unwrap();
        assert_eq!(read.data.as_deref(), Some(br#"{"a": [1, 2]}"#.as_slice()));
        assert_eq!(read.subject, None);
        assert_eq!(read.extensions["other"], Value::Long(5));
        let seconds = Duration::from_secs(1_522_900_584);
        assert_eq!(read.time, Some(UNIX_EPOCH + seconds));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let read = |json: &str| CloudEvent::from_message(&structured(json)).unwrap_err();
        let complete = r#""specversion":"1.0","id":"1","source":"s","type":"t""#;
        for (json, expected) in [
            (
                r#"{"id":"1"}"#.to_owned(),
                CloudEventError::Missing("specversion"),
            ),
            (
                r#"{"specversion":"1.0","source":"s","type":"t"}"#.to_owned(),
                CloudEventError::Missing("id"),
            ),
            (
                r#"{"specversion":"2.0"}"#.to_owned(),
                CloudEventError::Version("2.0".into()),
            ),
            (
                "hush".to_owned(),
                CloudEventError::Json { line: 1, column: 1 },
            ),
        ] {
            assert_eq!(read(&json), expected);
        }
        for (json, name) in [
            (
                format!(r#"{{{complete},"data_base64":"%"}}"#),
                "data_base64",
            ),
            (format!(r#"{{{complete},"odd":{{}}}}"#), "odd"),
            (r#"{"id":5}"#.to_owned(), "id"),
        ] {
            let error = read(&json);
            assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
        }
        let event =
            Event::from("x").with_content_type(Symbol::from_static("application/cloudevents+avro"));
        let error = CloudEvent::from_message(event.message()).unwrap_err();
        assert_eq!(
            error,
            CloudEventError::Format("application/cloudevents+avro".into())
        );
    }
}
