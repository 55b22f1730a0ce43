//! Messages and AMQP values as JSON.

use amqp10::codec::{
    AnnotationKey, Annotations, ApplicationProperties, Body, Header, Map, Message, MessageId,
    Properties, Value,
};
use amqp10::eventhubs::wire::annotation;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::time::rfc3339;

/// How AMQP is written as JSON, for the help of the command.
pub const HELP: &str = "\
With --json, each line is an object:
  partition, offset, sequence_number, enqueued_time, partition_key   where they exist: of events
  header, delivery_annotations, message_annotations, properties, application_properties, footer
                                                                     the sections, null where there is none
  body          what the body consists of: data as text; a value or sequences as below
  body_base64   in its place, where data is not UTF-8

AMQP values in JSON:
  null, booleans, numbers, strings, lists and arrays as what they are; symbols, chars and UUIDs as strings
  timestamps         \"2026-11-20T11:03:01.250Z\"
  binary             {\"base64\": \"…\"}
  decimals           {\"decimal64\": \"…\"}, its octets in hex
  floats             as numbers; \"NaN\", \"inf\" and \"-inf\" as strings
  maps               an object if all keys are strings or symbols, else {\"map\": [[key, value], …]}
  described values   {\"descriptor\": …, \"value\": …}

As plain lines, bodies of data or text are written as they are, other values in this JSON.";

/// A message with all its sections.
pub fn message(message: &Message, partition: Option<&str>) -> Json {
    let mut object = json!({
        "header": message.header.as_ref().map(header),
        "delivery_annotations": message.delivery_annotations.as_ref().map(annotations),
        "message_annotations": message.message_annotations.as_ref().map(annotations),
        "properties": message.properties.as_ref().map(properties),
        "application_properties": message.application_properties.as_ref().map(application_properties),
        "footer": message.footer.as_ref().map(annotations),
    });
    if let Some(partition) = partition {
        object["partition"] = partition.into();
    }
    if let Some(annotations) = &message.message_annotations {
        for (name, key) in [
            ("offset", annotation::OFFSET),
            ("sequence_number", annotation::SEQUENCE_NUMBER),
            ("enqueued_time", annotation::ENQUEUED_TIME),
            ("partition_key", annotation::PARTITION_KEY),
        ] {
            if let Some(found) = annotations.get(key.as_str()) {
                object[name] = value(found);
            }
        }
    }
    let (name, body) = body(&message.body);
    object[name] = body;
    object
}

fn body(body: &Body) -> (&'static str, Json) {
    match body {
        Body::Data(octets) | Body::Value(Value::Binary(octets)) => data(octets),
        Body::DataSections(sections) => data(&sections.concat()),
        Body::Value(content) => ("body", value(content)),
        Body::Sequences(sections) => ("body", sequences(sections)),
        Body::Empty => ("body", Json::Null),
    }
}

fn data(octets: &[u8]) -> (&'static str, Json) {
    match std::str::from_utf8(octets) {
        Ok(text) => ("body", text.into()),
        Err(_) => ("body_base64", BASE64.encode(octets).into()),
    }
}

/// The lists of all sequence sections, one after the other.
pub fn sequences(sections: &[Vec<Value>]) -> Json {
    sections.iter().flatten().map(value).collect()
}

/// Any value.
pub fn value(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(content) => (*content).into(),
        Value::Ubyte(number) => (*number).into(),
        Value::Ushort(number) => (*number).into(),
        Value::Uint(number) => (*number).into(),
        Value::Ulong(number) => (*number).into(),
        Value::Byte(number) => (*number).into(),
        Value::Short(number) => (*number).into(),
        Value::Int(number) => (*number).into(),
        Value::Long(number) => (*number).into(),
        Value::Float(number) => float((*number).into()),
        Value::Double(number) => float(*number),
        Value::Decimal32(bits) => json!({ "decimal32": hex(&bits.0) }),
        Value::Decimal64(bits) => json!({ "decimal64": hex(&bits.0) }),
        Value::Decimal128(bits) => json!({ "decimal128": hex(&bits.0) }),
        Value::Char(content) => content.to_string().into(),
        Value::Timestamp(moment) => rfc3339(moment.0).into(),
        Value::Uuid(uuid) => uuid.to_string().into(),
        Value::Binary(octets) => binary(octets),
        Value::String(text) => text.as_str().into(),
        Value::Symbol(symbol) => symbol.as_str().into(),
        Value::List(items) => items.iter().map(self::value).collect(),
        Value::Array(array) => array.iter().map(self::value).collect(),
        Value::Map(map) => self::map(map),
        Value::Described(described) => json!({
            "descriptor": self::value(&described.descriptor),
            "value": self::value(&described.value),
        }),
    }
}

fn float(number: f64) -> Json {
    match serde_json::Number::from_f64(number) {
        Some(number) => Json::Number(number),
        None => number.to_string().into(),
    }
}

fn binary(octets: &Bytes) -> Json {
    json!({ "base64": BASE64.encode(octets) })
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn map(map: &Map) -> Json {
    let with_text_keys: Option<serde_json::Map<_, _>> = map
        .iter()
        .map(|(key, content)| match key {
            Value::String(key) => Some((key.to_string(), value(content))),
            Value::Symbol(key) => Some((key.to_string(), value(content))),
            _ => None,
        })
        .collect();
    match with_text_keys {
        // A string and a symbol may be spelled alike.
        Some(object) if object.len() == map.len() => Json::Object(object),
        _ => {
            let pairs: Vec<_> = map
                .iter()
                .map(|(key, content)| [value(key), value(content)])
                .collect();
            json!({ "map": pairs })
        }
    }
}

fn header(header: &Header) -> Json {
    json!({
        "durable": header.durable,
        "priority": header.priority,
        "ttl": header.ttl,
        "first_acquirer": header.first_acquirer,
        "delivery_count": header.delivery_count,
    })
}

fn annotations(annotations: &Annotations) -> Json {
    let pairs = annotations.iter().map(|(key, content)| {
        let key = match key {
            AnnotationKey::Symbol(key) => key.to_string(),
            AnnotationKey::Ulong(key) => key.to_string(),
        };
        (key, value(content))
    });
    Json::Object(pairs.collect())
}

fn application_properties(properties: &ApplicationProperties) -> Json {
    let pairs = properties
        .iter()
        .map(|(name, content)| (name.to_string(), value(content)));
    Json::Object(pairs.collect())
}

/// The fields that are set.
fn properties(properties: &Properties) -> Json {
    let text = |field: &Option<amqp10::Str>| field.as_ref().map(|text| text.as_str().into());
    let symbol = |field: &Option<amqp10::Symbol>| field.as_ref().map(|name| name.as_str().into());
    let fields: [(&str, Option<Json>); 13] = [
        ("message_id", properties.message_id.as_ref().map(message_id)),
        ("user_id", properties.user_id.as_ref().map(binary)),
        ("to", text(&properties.to)),
        ("subject", text(&properties.subject)),
        ("reply_to", text(&properties.reply_to)),
        (
            "correlation_id",
            properties.correlation_id.as_ref().map(message_id),
        ),
        ("content_type", symbol(&properties.content_type)),
        ("content_encoding", symbol(&properties.content_encoding)),
        (
            "absolute_expiry_time",
            properties
                .absolute_expiry_time
                .map(|moment| rfc3339(moment.0).into()),
        ),
        (
            "creation_time",
            properties
                .creation_time
                .map(|moment| rfc3339(moment.0).into()),
        ),
        ("group_id", text(&properties.group_id)),
        ("group_sequence", properties.group_sequence.map(Json::from)),
        ("reply_to_group_id", text(&properties.reply_to_group_id)),
    ];
    let set = fields
        .into_iter()
        .filter_map(|(name, content)| Some((name.to_owned(), content?)));
    Json::Object(set.collect())
}

fn message_id(id: &MessageId) -> Json {
    match id {
        MessageId::Ulong(number) => (*number).into(),
        MessageId::Uuid(uuid) => uuid.to_string().into(),
        MessageId::Binary(octets) => binary(octets),
        MessageId::String(text) => text.as_str().into(),
    }
}

#[cfg(test)]
mod tests {
    use amqp10::codec::{Timestamp, Uuid};

    use super::*;

    #[test]
    fn values_are_what_they_are_most_like() {
        let table = [
            (Value::Null, json!(null)),
            (Value::Ulong(u64::MAX), json!(u64::MAX)),
            (Value::Long(i64::MIN), json!(i64::MIN)),
            (Value::Double(f64::NAN), json!("NaN")),
            (Value::Float(f32::NEG_INFINITY), json!("-inf")),
            (Value::Float(0.5), json!(0.5)),
            (Value::Char('é'), json!("é")),
            (
                Value::Timestamp(Timestamp(1)),
                json!("1970-01-01T00:00:00.001Z"),
            ),
            (
                Value::Uuid(Uuid([0; 16])),
                json!("00000000-0000-0000-0000-000000000000"),
            ),
            (
                Value::Binary(Bytes::from_static(b"\xFF")),
                json!({"base64": "/w=="}),
            ),
            (Value::List(vec![1.into(), "a".into()]), json!([1, "a"])),
            (Value::Map(Map::new().with("a", 1)), json!({"a": 1})),
            (Value::Map(Map::new().with(7, 1)), json!({"map": [[7, 1]]})),
            (
                Value::described(3_u64, "x"),
                json!({"descriptor": 3, "value": "x"}),
            ),
        ];
        for (amqp, expected) in table {
            assert_eq!(value(&amqp), expected, "{amqp:?}");
        }
    }

    #[test]
    fn a_message_has_all_sections_and_one_body() {
        let plain = message(&Message::data("hello"), None);
        let expected = json!({
            "header": null, "delivery_annotations": null, "message_annotations": null, "properties": null,
            "application_properties": null, "footer": null, "body": "hello",
        });
        assert_eq!(plain, expected);
        let octets = message(&Message::data(&b"\xFF\xFE"[..]), None);
        assert_eq!(octets["body_base64"], "//4=");
        assert_eq!(octets.get("body"), None);
    }

    #[test]
    fn an_event_shows_where_it_is() {
        let annotations = Annotations::new()
            .with(annotation::OFFSET, "4096")
            .with(annotation::SEQUENCE_NUMBER, 7_i64)
            .with(annotation::ENQUEUED_TIME, Timestamp(0));
        let event = Message {
            message_annotations: Some(annotations),
            ..Message::data("x")
        };
        let object = message(&event, Some("3"));
        assert_eq!(object["partition"], "3");
        assert_eq!(object["offset"], "4096");
        assert_eq!(object["sequence_number"], 7);
        assert_eq!(object["enqueued_time"], "1970-01-01T00:00:00.000Z");
        assert_eq!(object.get("partition_key"), None);
    }
}
