//! Binary mode: attributes are application properties, data is the body.

use bytes::Bytes;

use super::attributes::{self, Attributes, name};
use super::{CloudEvent, CloudEventError, SPEC_VERSION};
use crate::codec::{Message, Symbol, Value};
use crate::eventhubs::event::Event;
use crate::time::to_timestamp;

/// What stands before the name of an attribute.
const PREFIX: &str = "cloudEvents:";
/// What some write in its place, because brokers take no colon.
const PREFIX_ALTERNATIVE: &str = "cloudEvents_";

pub(super) fn write(cloud_event: &CloudEvent) -> Result<Event, CloudEventError> {
    cloud_event.check()?;
    let mut event = Event::new(cloud_event.data.clone().unwrap_or_default());
    let mut set = |name: &str, value: Value| {
        let properties = event.application_properties_mut();
        properties.insert(format!("{PREFIX}{name}"), value);
    };
    set(name::SPEC_VERSION, SPEC_VERSION.into());
    set(name::ID, cloud_event.id.as_str().into());
    set(name::SOURCE, cloud_event.source.as_str().into());
    set(name::TYPE, cloud_event.event_type.as_str().into());
    if let Some(subject) = &cloud_event.subject {
        set(name::SUBJECT, subject.as_str().into());
    }
    if let Some(time) = cloud_event.time {
        set(name::TIME, to_timestamp(time).into());
    }
    if let Some(schema) = &cloud_event.data_schema {
        set(name::DATA_SCHEMA, schema.as_str().into());
    }
    for (name, value) in &cloud_event.extensions {
        set(name, attributes::extension(name, value)?);
    }
    match &cloud_event.data_content_type {
        None => Ok(event),
        Some(content_type) => {
            let content_type = Symbol::try_from(content_type.as_str()).map_err(|_| {
                CloudEventError::Attribute {
                    name: name::DATA_CONTENT_TYPE.to_owned(),
                    expected: "a media type",
                }
            })?;
            Ok(event.with_content_type(content_type))
        }
    }
}

pub(super) fn read(
    message: &Message,
    content_type: Option<&str>,
    body: Bytes,
) -> Result<CloudEvent, CloudEventError> {
    let properties = message.application_properties.as_ref();
    let mut attributes = Attributes::new();
    let mut is_cloud_event = false;
    for (key, value) in properties
        .into_iter()
        .flat_map(|properties| properties.iter())
    {
        let key = key.as_str();
        let name = key
            .strip_prefix(PREFIX)
            .or_else(|| key.strip_prefix(PREFIX_ALTERNATIVE));
        if let Some(name) = name {
            is_cloud_event = true;
            attributes.set(name, value.clone())?;
        }
    }
    if !is_cloud_event {
        return Err(CloudEventError::NotACloudEvent);
    }
    let mut event = attributes.into_event()?;
    event.data_content_type = content_type.map(str::to_owned);
    event.data = (!body.is_empty()).then_some(body);
    Ok(event)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::codec::{ApplicationProperties, Timestamp};

    fn full() -> CloudEvent {
        CloudEvent::new("1234", "/sensors/7", "com.example.reading")
            .with_subject("temperature")
            .with_time(UNIX_EPOCH + Duration::from_millis(1_522_900_584_123))
            .with_data_schema("http://example.com/schema")
            .with_data("application/json", r#"{"degrees":21.5}"#)
            .with_extension("traceparent", "00-ab-cd-01")
            .with_extension("flag", true)
            .with_extension("count", -7_i64)
            .with_extension("blob", Bytes::from_static(&[0, 255]))
    }

    fn message(properties: &[(&str, Value)]) -> Message {
        let properties = properties
            .iter()
            .fold(ApplicationProperties::new(), |properties, (key, value)| {
                properties.with(*key, value.clone())
            });
        Message::data("x").with_application_properties(properties)
    }

    #[test]
    fn what_is_written_is_read_back() {
        for event in [full(), CloudEvent::new("1", "s", "t")] {
            let written = event.to_event().unwrap();
            assert_eq!(CloudEvent::from_message(written.message()).unwrap(), event);
        }
    }

    #[test]
    fn attributes_are_written_in_their_native_types() {
        let event = full().to_event().unwrap();
        let properties = event.message().application_properties.as_ref().unwrap();
        let property = |name: &str| properties.get(name).cloned();
        assert_eq!(property("cloudEvents:specversion"), Some("1.0".into()));
        let time = Timestamp(1_522_900_584_123);
        assert_eq!(property("cloudEvents:time"), Some(time.into()));
        assert_eq!(property("cloudEvents:count"), Some(Value::Long(-7)));
        assert_eq!(property("cloudEvents:flag"), Some(Value::Bool(true)));
        assert_eq!(property("cloudEvents:datacontenttype"), None);
        assert_eq!(event.body(), br#"{"degrees":21.5}"#);
        let section = event.message().properties.as_ref().unwrap();
        assert_eq!(section.content_type.as_deref(), Some("application/json"));
    }

    #[test]
    fn the_other_prefix_and_texts_are_read() {
        let read = CloudEvent::from_message(&message(&[
            ("cloudEvents_specversion", "1.0".into()),
            ("cloudEvents_id", "1".into()),
            ("cloudEvents_source", "s".into()),
            ("cloudEvents_type", "t".into()),
            ("cloudEvents_time", "2018-04-05T05:56:24.123+02:00".into()),
            ("cloudEvents_level", 3.into()),
            ("mine", 1.into()),
        ]))
        .unwrap();
        assert_eq!(
            read.time,
            Some(UNIX_EPOCH + Duration::from_millis(1_522_900_584_123))
        );
        assert_eq!(read.extensions.len(), 1);
        assert_eq!(read.extensions["level"], Value::Int(3));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let required = ["specversion", "id", "source", "type"];
        for missing in required {
            let properties: Vec<(String, Value)> = required
                .iter()
                .filter(|name| **name != missing)
                .map(|name| (format!("cloudEvents:{name}"), "1.0".into()))
                .collect();
            let properties: Vec<_> = properties
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone()))
                .collect();
            let error = CloudEvent::from_message(&message(&properties)).unwrap_err();
            assert_eq!(error, CloudEventError::Missing(missing));
        }
        let not_one = CloudEvent::from_message(&message(&[("id", "1".into())]));
        assert_eq!(not_one, Err(CloudEventError::NotACloudEvent));
        let mut old = full().to_event().unwrap().message().clone();
        let properties = old.application_properties.get_or_insert_default();
        properties.insert("cloudEvents:specversion", "0.3");
        let error = CloudEvent::from_message(&old).unwrap_err();
        assert_eq!(error, CloudEventError::Version("0.3".into()));
        let properties = old.application_properties.get_or_insert_default();
        properties.insert("cloudEvents:time", "yesterday");
        let error = CloudEvent::from_message(&old).unwrap_err();
        assert!(error.to_string().contains("`time`"), "{error}");
    }

    #[test]
    fn what_must_not_be_is_not_written() {
        let event = || CloudEvent::new("1", "s", "t");
        let empty = CloudEvent::new("1", "", "t").to_event().unwrap_err();
        assert_eq!(empty, CloudEventError::Missing("source"));
        for name in ["", "Upper", "with-dash", "id", "data"] {
            let error = event().with_extension(name, "v").to_event().unwrap_err();
            assert_eq!(error, CloudEventError::ExtensionName(name.into()));
        }
        for value in [Value::Double(1.5), Value::Null, Value::Long(1 << 40)] {
            let error = event().with_extension("x", value).to_event().unwrap_err();
            assert!(matches!(error, CloudEventError::Attribute { .. }));
        }
        let foreign = event().with_data("té", "x").to_event().unwrap_err();
        assert!(matches!(foreign, CloudEventError::Attribute { .. }));
    }

    #[test]
    fn debug_shows_no_data() {
        let shown = format!("{:?}", full().with_data("text/plain", "hush"));
        assert!(shown.contains("Some(4)") && !shown.contains("hush"));
    }
}
