//! Application properties of every AMQP type, in both directions, and system properties.

use amqp10::codec::{Timestamp, Uuid};
use amqp10::eventhubs::Event;
use amqp10::{Symbol, Value};

use super::events::{is_same, plain};
use super::*;

const UUID: Uuid = Uuid(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes());

/// The largest integer that JavaScript can hold.
const MAX_SAFE: i64 = (1 << 53) - 1;

/// A value of each type that the client knows, under the type's name. The 64-bit ones are what it can hold.
fn every_type(kind: Kind) -> Vec<(&'static str, Value)> {
    let mut values = all_types(kind);
    // Python's client cannot read a message with a character in it.
    values.retain(|(name, _)| *name != "char" || !matches!(kind, Kind::Python | Kind::PythonAio));
    values
}

fn all_types(kind: Kind) -> Vec<(&'static str, Value)> {
    let (ulong, long) = match kind {
        Kind::JavaScript => (MAX_SAFE as u64, -MAX_SAFE),
        _ => (u64::MAX, i64::MIN),
    };
    vec![
        ("null", Value::Null),
        ("bool", Value::Bool(true)),
        ("ubyte", Value::Ubyte(u8::MAX)),
        ("ushort", Value::Ushort(u16::MAX)),
        ("uint", Value::Uint(u32::MAX)),
        ("ulong", Value::Ulong(ulong)),
        ("byte", Value::Byte(i8::MIN)),
        ("short", Value::Short(i16::MIN)),
        ("int", Value::Int(i32::MIN)),
        ("long", Value::Long(long)),
        ("float", Value::Float(1.5)),
        ("double", Value::Double(-0.1)),
        ("char", Value::Char('é')),
        ("timestamp", Value::Timestamp(Timestamp(1_700_000_000_123))),
        ("uuid", Value::Uuid(UUID)),
        ("binary", Value::Binary(vec![0, 1, 254, 255].into())),
        ("string", "käse".into()),
        ("symbol", Value::Symbol(Symbol::from_static("a-symbol"))),
    ]
}

#[tokio::test]
async fn theirs_of_every_type_are_read_by_ours_with_their_types() {
    with_each(|peers| async move {
        let send = ["send", "--types", "--partition-id", "0"];
        peers.theirs(&send).await;
        let event = peers.partition("0").await.pop().unwrap();
        for (name, expected) in every_type(peers.kind) {
            assert_eq!(event.property(name), Some(&expected), "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn ours_of_every_type_are_read_by_theirs() {
    with_each(|peers| async move {
        let values = every_type(peers.kind);
        let event = values
            .iter()
            .fold(Event::from("event 0 "), |event, (name, value)| {
                event.with_property(*name, value.clone())
            });
        let producer = peers.ours.producer(ProducerOptions::default());
        producer
            .send_to(Route::partition("0"), event)
            .await
            .unwrap();
        let read = peers.theirs(&["receive", "1", "--partition", "0"]).await;
        let theirs = &read[0]["properties"];
        for (name, value) in &values {
            let expected = seen_by(peers.kind, value);
            let theirs = &theirs[name];
            assert!(is_same(theirs, &expected), "{name}: {theirs} or {expected}");
        }
    })
    .await;
}

/// What the client makes of a value.
fn seen_by(kind: Kind, value: &Value) -> Json {
    match (kind, value) {
        (Kind::JavaScript, Value::Char(character)) => json!(u32::from(*character)),
        (Kind::JavaScript, Value::Uuid(uuid)) => octets_as_object(&uuid.0),
        (Kind::JavaScript, Value::Binary(octets)) => octets_as_object(octets),
        _ => plain(value),
    }
}

/// What JavaScript's client makes of octets on the way to its user.
fn octets_as_object(octets: &[u8]) -> Json {
    let octets = octets.iter().enumerate();
    octets
        .map(|(index, octet)| (index.to_string(), json!(octet)))
        .collect()
}

/// Each client shows some annotations of the service under names of its own, and the others as they are.
#[tokio::test]
async fn annotations_of_ours_are_system_properties_of_theirs() {
    with_each(|peers| async move {
        let event = numbered(0, 100).with_annotation(Symbol::from_static("x-opt-colour"), "red");
        let producer = peers.ours.producer(ProducerOptions::default());
        producer
            .send_to(Route::key("customer 7"), event)
            .await
            .unwrap();
        let event = peers.theirs(&["receive", "1"]).await.pop().unwrap();
        let system = &event["system_properties"];
        assert_eq!(system["x-opt-colour"], "red", "{system}");
        assert_eq!(event["partition_key"], "customer 7");
        if peers.kind != Kind::JavaScript {
            assert_eq!(system["x-opt-offset"], event["offset"]);
            assert_eq!(system["x-opt-sequence-number"], event["sequence_number"]);
            assert_eq!(system["x-opt-enqueued-time"], event["enqueued_time"]);
        }
    })
    .await;
}
