//! `$management`: tells about hubs and their partitions (Event Hubs).

use super::{Reply, argument};
use crate::codec::{AmqpError, Array, Map, Message, Str, Timestamp, Value, condition};
use crate::emulator::connection::Peer;
use crate::emulator::namespace::Hub;
use crate::emulator::offset_text::OffsetText;
use crate::emulator::partition::Partition;
use crate::eventhubs::wire::{MANAGEMENT_NODE, management, request, status};

pub(super) fn answer(peer: &Peer, request: &Message) -> Reply {
    match read(peer, request) {
        Ok(body) => Reply::success(status::OK, "OK", Value::Map(body)),
        Err((status, error)) => Reply::failure(status, error),
    }
}

fn read(peer: &Peer, request: &Message) -> Result<Map, (i32, AmqpError)> {
    let malformed = |text: &'static str| {
        (
            status::BAD_REQUEST,
            AmqpError::new(condition::INVALID_FIELD, text),
        )
    };
    if argument(request, request::OPERATION) != Some(management::READ) {
        return Err(malformed("the only operation of $management is READ"));
    }
    let name =
        argument(request, request::NAME).ok_or(malformed("the property 'name' is missing"))?;
    if !peer.claims.allow_management(name) {
        let text =
            format!("Unauthorized access. No valid token covers '{name}/{MANAGEMENT_NODE}'.");
        return Err((
            status::UNAUTHORIZED,
            AmqpError::new(condition::UNAUTHORIZED_ACCESS, text),
        ));
    }
    let hub = peer
        .namespace
        .hub(name)
        .map_err(|error| (status::NOT_FOUND, error))?;
    match argument(request, request::TYPE) {
        Some(management::TYPE_EVENT_HUB) => {
            let is_replicated = peer.namespace.options.georeplication.is_some();
            Ok(describe_hub(&hub, is_replicated))
        }
        Some(management::TYPE_PARTITION) => {
            let id = argument(request, request::PARTITION).unwrap_or_default();
            let partition = hub
                .partition(id)
                .map_err(|error| (status::BAD_REQUEST, error))?;
            let offsets = peer.namespace.options.offset_text();
            Ok(describe_partition(&hub, &partition, offsets))
        }
        _ => Err(malformed(
            "the property 'type' must be com.microsoft:eventhub or com.microsoft:partition",
        )),
    }
}

/// The types are those of the service: official clients cast without a look.
fn describe_hub(hub: &Hub, is_replicated: bool) -> Map {
    let replicas = if is_replicated { 2_i32 } else { 1 };
    let ids = hub
        .partitions
        .iter()
        .map(|partition| partition.id().to_owned())
        .collect::<Array>();
    let count = i32::try_from(ids.len()).unwrap_or(i32::MAX);
    map([
        (management::NAME, hub.name().into()),
        (management::TYPE, management::TYPE_EVENT_HUB.into()),
        (management::CREATED_AT, hub.created.into()),
        (management::PARTITION_COUNT, count.into()),
        (management::PARTITION_IDS, Value::Array(ids)),
        (management::GEOREPLICATION_FACTOR, replicas.into()),
    ])
}

fn describe_partition(hub: &Hub, partition: &Partition, offsets: OffsetText) -> Map {
    let state = partition.state();
    let last = state.last.as_ref();
    let last_offset = last.map_or_else(|| "-1".to_owned(), |last| offsets.write(last.offset));
    // Not before 1970: some clients take the milliseconds for unsigned.
    const NEVER: Timestamp = Timestamp(0);
    map([
        (management::NAME, hub.name().into()),
        (management::TYPE, management::TYPE_PARTITION.into()),
        (management::PARTITION, partition.id().into()),
        (management::BEGIN_SEQUENCE_NUMBER, state.begin.into()),
        (
            management::LAST_ENQUEUED_SEQUENCE_NUMBER,
            last.map_or(-1, |last| last.sequence_number).into(),
        ),
        (
            management::LAST_ENQUEUED_SEQUENCE_NUMBER_EPOCH,
            offsets.epoch().into(),
        ),
        (
            management::LAST_ENQUEUED_OFFSET,
            Str::from(last_offset).into(),
        ),
        (
            management::LAST_ENQUEUED_TIME_UTC,
            last.map_or(NEVER, |last| last.enqueued).into(),
        ),
        (management::IS_PARTITION_EMPTY, state.is_empty.into()),
    ])
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Map {
    entries
        .into_iter()
        .map(|(key, value)| (Value::from(key), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;
    use crate::codec::{ApplicationProperties, Body};
    use crate::emulator::audience::Audience;
    use crate::emulator::config::EmulatorOptions;
    use crate::emulator::namespace::Namespace;
    use crate::emulator::publish::Publisher;
    use crate::sasl::Identity;
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    fn peer(token_for: Option<&str>) -> Peer {
        let clock = Clock::new(|| UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
        let namespace = Namespace::new(EmulatorOptions::default().hub("Orders", 2).clock(clock));
        let peer = Peer::new(Arc::new(namespace), &Identity::anonymous(), Arc::default());
        if let Some(resource) = token_for {
            peer.claims
                .grant(Audience::parse(resource).unwrap(), None)
                .unwrap();
        }
        peer
    }

    fn ask(peer: &Peer, arguments: &[(&'static str, &'static str)]) -> Message {
        let properties = arguments
            .iter()
            .map(|(key, value)| (*key, *value))
            .collect::<ApplicationProperties>();
        let request = Message {
            application_properties: Some(properties),
            ..Message::default()
        };
        answer(peer, &request).into_message(None)
    }

    fn status_of(reply: &Message) -> &Value {
        reply
            .application_properties
            .as_ref()
            .unwrap()
            .get("status-code")
            .unwrap()
    }

    fn body_of(reply: &Message) -> &Map {
        match &reply.body {
            Body::Value(Value::Map(map)) => map,
            other => panic!("{other:?}"),
        }
    }

    const HUB: [(&str, &str); 3] = [
        ("operation", "READ"),
        ("type", "com.microsoft:eventhub"),
        ("name", "orders"),
    ];

    fn partition(id: &'static str) -> [(&'static str, &'static str); 4] {
        [
            ("operation", "READ"),
            ("type", "com.microsoft:partition"),
            ("name", "orders"),
            ("partition", id),
        ]
    }

    #[test]
    fn a_hub_is_told_with_the_types_of_the_service() {
        let reply = ask(&peer(Some("sb://any/orders")), &HUB);
        assert_eq!(status_of(&reply), &Value::Int(200));
        let body = body_of(&reply);
        assert_eq!(body.get_str("name"), Some(&"Orders".into()));
        assert_eq!(body.get_str("type"), Some(&"com.microsoft:eventhub".into()));
        assert_eq!(
            body.get_str("created_at"),
            Some(&Value::Timestamp(Timestamp(1_700_000_000_123)))
        );
        assert_eq!(body.get_str("partition_count"), Some(&Value::Int(2)));
        let ids = Array::try_from(vec![Value::from("0"), Value::from("1")]).unwrap();
        assert_eq!(body.get_str("partition_ids"), Some(&Value::Array(ids)));
    }

    #[test]
    fn an_empty_partition_is_told_with_minus_one() {
        let reply = ask(&peer(Some("sb://any/orders/$management")), &partition("1"));
        let body = body_of(&reply);
        let table = [
            ("name", Value::from("Orders")),
            ("type", "com.microsoft:partition".into()),
            ("partition", "1".into()),
            ("begin_sequence_number", Value::Long(0)),
            ("last_enqueued_sequence_number", Value::Long(-1)),
            ("last_enqueued_sequence_number_epoch", Value::Long(0)),
            ("last_enqueued_offset", "-1".into()),
            ("last_enqueued_time_utc", Value::Timestamp(Timestamp(0))),
            ("is_partition_empty", Value::Bool(true)),
        ];
        for (key, value) in table {
            assert_eq!(body.get_str(key), Some(&value), "{key}");
        }
    }

    #[test]
    fn a_partition_with_events_is_told_with_its_last_one() {
        let peer = peer(Some("sb://any/orders"));
        let destination = peer
            .namespace
            .destination(&"orders/Partitions/0".parse().unwrap())
            .unwrap();
        let publisher = Publisher {
            namespace: Arc::clone(&peer.namespace),
            destination,
            name: None,
            producer: None,
        };
        for _ in 0..3 {
            publisher
                .publish(0, Message::data("x").to_bytes().unwrap())
                .unwrap();
        }
        let reply = ask(&peer, &partition("0"));
        let body = body_of(&reply);
        assert_eq!(
            body.get_str("last_enqueued_sequence_number"),
            Some(&Value::Long(2))
        );
        assert_eq!(
            body.get_str("last_enqueued_time_utc"),
            Some(&Value::Timestamp(Timestamp(1_700_000_000_123)))
        );
        assert_eq!(
            body.get_str("is_partition_empty"),
            Some(&Value::Bool(false))
        );
        assert!(matches!(
            body.get_str("last_enqueued_offset"),
            Some(Value::String(_))
        ));
    }

    #[test]
    fn failures_have_status_words_and_condition() {
        let all = peer(Some("sb://any/"));
        let mut unknown_hub = HUB;
        unknown_hub[2].1 = "missing";
        let mut unknown_operation = HUB;
        unknown_operation[0].1 = "DELETE";
        let table = [
            (
                ask(&all, &unknown_hub),
                404,
                "amqp:not-found",
                "The messaging entity 'missing' could not be found",
            ),
            (
                ask(&all, &partition("2")),
                400,
                "com.microsoft:argument-out-of-range",
                "The specified partition is invalid",
            ),
            (
                ask(&all, &unknown_operation),
                400,
                "amqp:invalid-field",
                "READ",
            ),
            (
                ask(&peer(None), &HUB),
                401,
                "amqp:unauthorized-access",
                "Unauthorized",
            ),
            (
                ask(&peer(Some("sb://any/other")), &HUB),
                401,
                "amqp:unauthorized-access",
                "Unauthorized",
            ),
        ];
        for (reply, status, condition, words) in table {
            let properties = reply.application_properties.as_ref().unwrap();
            assert_eq!(status_of(&reply), &Value::Int(status));
            assert_eq!(
                properties.get("error-condition"),
                Some(&Value::Symbol(condition.try_into().unwrap()))
            );
            let description = properties
                .get("status-description")
                .and_then(Value::as_str)
                .unwrap();
            assert!(description.contains(words), "{description}");
        }
    }
}
