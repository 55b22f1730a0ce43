//! Events as the tests number them, and as JSON.

use azure_core_amqp::{AmqpSimpleValue, AmqpSymbol, AmqpTimestamp, AmqpValue};
use azure_messaging_eventhubs::models::{EventData, MessageId, ReceivedEventData};
use serde_json::{Map, Value as Json, json};

use crate::milliseconds;

/// Event `number`: the number at the start of a body of `size` octets, and properties of several types.
pub fn numbered(number: u32, size: usize) -> EventData {
    let start = format!("event {number} ");
    let dots = ".".repeat(size.saturating_sub(start.len()));
    EventData::builder()
        .with_body(start + &dots)
        .with_message_id(format!("id-{number}"))
        .with_correlation_id(format!("correlation-{number}"))
        .with_content_type("text/plain".to_owned())
        .add_property("number".to_owned(), i64::from(number))
        .add_property("text".to_owned(), format!("text {number} 日本"))
        .add_property("even".to_owned(), number.is_multiple_of(2))
        .add_property("half".to_owned(), f64::from(number) / 2.0)
        .build()
}

/// Event 0 with a property of each AMQP type that the client can write: named after the type.
pub fn of_every_type() -> EventData {
    let uuid = azure_core::Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_123);
    let properties: [(&str, AmqpSimpleValue); 19] = [
        ("null", AmqpSimpleValue::Null),
        ("bool", true.into()),
        ("ubyte", u8::MAX.into()),
        ("ushort", u16::MAX.into()),
        ("uint", u32::MAX.into()),
        ("ulong", u64::MAX.into()),
        ("byte", i8::MIN.into()),
        ("short", i16::MIN.into()),
        ("int", i32::MIN.into()),
        ("long", i64::MIN.into()),
        ("float", 1.5_f32.into()),
        ("double", (-0.1_f64).into()),
        ("char", 'é'.into()),
        ("timestamp", AmqpTimestamp::from(time).into()),
        ("uuid", uuid.into()),
        ("binary", vec![0_u8, 1, 254, 255].into()),
        ("string", "käse".into()),
        ("symbol", AmqpSymbol::from("a-symbol").into()),
        ("decimal64", [1_u8, 2, 3, 4, 5, 6, 7, 8].into()),
    ];
    let event = EventData::builder()
        .with_body("event 0 ")
        .with_message_id("id-0");
    let all = properties.into_iter();
    all.fold(event, |event, (name, value)| {
        event.add_property(name.to_owned(), value)
    })
    .build()
}

/// An event in the words of all clients here.
pub fn to_json(partition: &str, event: &ReceivedEventData) -> Json {
    let data = event.event_data();
    let properties: Map<_, _> = data
        .properties()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), simple(value)))
        .collect();
    let mut system: Map<_, _> = event
        .system_properties()
        .iter()
        .map(|(name, value)| (name.clone(), annotation(value)))
        .collect();
    system.insert("x-opt-offset".into(), json!(event.offset()));
    system.insert(
        "x-opt-sequence-number".into(),
        json!(event.sequence_number()),
    );
    system.insert(
        "x-opt-enqueued-time".into(),
        json!(event.enqueued_time().map(milliseconds)),
    );
    json!({
        "partition": partition,
        "offset": event.offset(),
        "sequence_number": event.sequence_number(),
        "enqueued_time": event.enqueued_time().map(milliseconds),
        "partition_key": event.partition_key(),
        "message_id": data.message_id().map(id),
        "correlation_id": data.correlation_id().map(id),
        "content_type": data.content_type(),
        "properties": properties,
        "system_properties": system,
        "body": data.body().map(String::from_utf8_lossy),
    })
}

fn id(id: &MessageId) -> Json {
    match id {
        MessageId::String(text) => json!(text),
        MessageId::Ulong(number) => json!(number),
        MessageId::Uuid(uuid) => json!(uuid.to_string()),
        MessageId::Binary(octets) => json!({ "base64": azure_core::base64::encode(octets) }),
    }
}

fn time(time: &AmqpTimestamp) -> Json {
    json!(time.0.map(milliseconds))
}

/// What the clients in other languages make of the value, which do not tell all types apart.
fn simple(value: &AmqpSimpleValue) -> Json {
    match value {
        AmqpSimpleValue::Null => Json::Null,
        AmqpSimpleValue::Boolean(value) => json!(value),
        AmqpSimpleValue::UByte(value) => json!(value),
        AmqpSimpleValue::UShort(value) => json!(value),
        AmqpSimpleValue::UInt(value) => json!(value),
        AmqpSimpleValue::ULong(value) => json!(value),
        AmqpSimpleValue::Byte(value) => json!(value),
        AmqpSimpleValue::Short(value) => json!(value),
        AmqpSimpleValue::Int(value) => json!(value),
        AmqpSimpleValue::Long(value) => json!(value),
        AmqpSimpleValue::Float(value) => json!(value),
        AmqpSimpleValue::Double(value) => json!(value),
        AmqpSimpleValue::Char(value) => json!(value),
        AmqpSimpleValue::TimeStamp(value) => time(value),
        AmqpSimpleValue::Uuid(value) => json!(value.to_string()),
        AmqpSimpleValue::String(value) => json!(value),
        AmqpSimpleValue::Symbol(value) => json!(value.0),
        AmqpSimpleValue::Binary(value) => octets(value),
        AmqpSimpleValue::Decimal32(value) => octets(value),
        AmqpSimpleValue::Decimal64(value) => octets(value),
        AmqpSimpleValue::Decimal128(value) => octets(value),
        AmqpSimpleValue::Described(value) => json!(format!("{value:?}")),
    }
}

fn annotation(value: &AmqpValue) -> Json {
    match value {
        AmqpValue::Long(value) => json!(value),
        AmqpValue::Int(value) => json!(value),
        AmqpValue::Short(value) => json!(value),
        AmqpValue::String(value) => json!(value),
        AmqpValue::Symbol(value) => json!(value.0),
        AmqpValue::TimeStamp(value) => time(value),
        other => json!(format!("{other:?}")),
    }
}

/// Text where it is text; the clients in other languages do the same.
fn octets(octets: &[u8]) -> Json {
    match std::str::from_utf8(octets) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": azure_core::base64::encode(octets) }),
    }
}
