//! Numbered events, and events in the words of the programs of `tests/interop`.

use std::time::SystemTime;

use amqp10::codec::MessageId;
use amqp10::eventhubs::{Event, ReceivedEvent};
use amqp10::{Symbol, Value};
use serde_json::{Value as Json, json};

pub fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_millis() as u64
}

/// The body of event `number`, as every program here makes it.
pub fn body(number: u32, size: usize) -> String {
    let start = format!("event {number} ");
    let dots = ".".repeat(size.saturating_sub(start.len()));
    start + &dots
}

/// Event `number`, as every program here makes it.
pub fn numbered(number: u32, size: usize) -> Event {
    Event::from(body(number, size))
        .with_message_id(format!("id-{number}"))
        .with_correlation_id(format!("correlation-{number}"))
        .with_content_type(Symbol::from_static("text/plain"))
        .with_property("number", i64::from(number))
        .with_property("text", format!("text {number} 日本"))
        .with_property("even", number.is_multiple_of(2))
        .with_property("half", f64::from(number) / 2.0)
}

/// The number of an event that was printed.
pub fn number(event: &Json) -> u64 {
    let number = event["properties"]["number"].as_u64();
    number.unwrap_or_else(|| panic!("no number: {event}"))
}

/// Numbers, properties and bodies of what was sent, wherever it ended up.
pub fn expect_numbered(events: &[Json], size: usize) {
    let mut numbers: Vec<_> = events.iter().map(number).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..events.len() as u64), "each once");
    for event in events {
        let number = number(event) as u32;
        assert!(event["body"] == body(number, size), "body of {number}");
        assert_eq!(event["message_id"], format!("id-{number}"));
        assert_eq!(event["correlation_id"], format!("correlation-{number}"));
        assert_eq!(event["content_type"], "text/plain");
        let properties = json!({
            "number": number, "text": format!("text {number} 日本"), "even": number.is_multiple_of(2), "half": f64::from(number) / 2.0,
        });
        assert!(is_same(&event["properties"], &properties), "{event}");
    }
}

/// Equal, with numbers compared by value: JavaScript prints 1.0 as 1.
pub fn is_same(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => {
            left == right || left.as_f64() == right.as_f64()
        }
        (Json::Object(left), Json::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(name, left)| right.get(name).is_some_and(|right| is_same(left, right)))
        }
        _ => left == right,
    }
}

/// An event as the programs print it, without the system properties, which each client names in its own way.
pub fn to_json(partition: &str, event: &ReceivedEvent) -> Json {
    let pairs = event
        .application_properties()
        .into_iter()
        .flat_map(|properties| properties.iter());
    let properties: Json = pairs
        .map(|(name, value)| (name.to_string(), plain(value)))
        .collect();
    let fields = event.properties().cloned().unwrap_or_default();
    json!({
        "partition": partition,
        "offset": event.offset(),
        "sequence_number": event.sequence_number(),
        "enqueued_time": milliseconds(event.enqueued_time().unwrap()),
        "partition_key": event.partition_key(),
        "message_id": fields.message_id.map(id),
        "correlation_id": fields.correlation_id.map(id),
        "content_type": fields.content_type.as_deref(),
        "properties": properties,
        "body": std::str::from_utf8(event.body()).unwrap(),
    })
}

fn id(id: MessageId) -> Json {
    match id {
        MessageId::String(text) => json!(text.as_str()),
        other => panic!("no text as id: {other:?}"),
    }
}

/// A value in the words of a language that tells few types apart.
pub fn plain(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Float(number) => json!(number),
        Value::Double(number) => json!(number),
        Value::Ulong(number) => json!(number),
        Value::String(text) => json!(text.as_str()),
        Value::Symbol(text) => json!(text.as_str()),
        Value::Char(character) => json!(character),
        Value::Timestamp(time) => json!(time.0),
        Value::Uuid(uuid) => json!(uuid.to_string()),
        Value::Binary(octets) => {
            use base64::Engine as _;
            let encoded = base64::engine::general_purpose::STANDARD.encode(octets);
            json!({ "base64": encoded })
        }
        number => {
            let number = number.as_i64();
            json!(number.unwrap_or_else(|| panic!("unexpected property {value:?}")))
        }
    }
}
