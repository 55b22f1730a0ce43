//! What the service tells about a hub and its partitions.

use std::sync::Arc;
use std::time::SystemTime;

use super::error::EventHubsError;
use super::namespace::Namespace;
use super::wire::{management, request};
use crate::codec::{ApplicationProperties, Map, Value};
use crate::time::from_timestamp;

/// What the service tells about a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubProperties {
    /// Name of the hub.
    pub name: String,
    /// When the hub was made.
    pub created_at: Option<SystemTime>,
    /// Ids of its partitions.
    pub partition_ids: Vec<String>,
}

/// What the service tells about a partition. It may be some moments old.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionProperties {
    /// Name of the hub.
    pub hub: String,
    /// Id of the partition.
    pub id: String,
    /// Sequence number of the oldest event that is still there.
    pub beginning_sequence_number: i64,
    /// Sequence number of the newest event; -1 if there never was one.
    pub last_enqueued_sequence_number: i64,
    /// Offset of the newest event, opaque.
    pub last_enqueued_offset: String,
    /// When the newest event was stored.
    pub last_enqueued_time: Option<SystemTime>,
    /// Whether the partition holds no event.
    pub is_empty: bool,
}

impl HubProperties {
    pub(super) async fn read(namespace: &Arc<Namespace>) -> Result<Self, EventHubsError> {
        let map = read(namespace, management::TYPE_EVENT_HUB, None).await?;
        Self::from_reply(&map).map_err(malformed)
    }

    fn from_reply(map: &Map) -> Result<Self, Missing> {
        let ids = field(map, management::PARTITION_IDS, |ids| match ids {
            Value::Array(ids) => ids.iter().map(text).collect(),
            Value::List(ids) => ids.iter().map(text).collect(),
            _ => None,
        });
        Ok(Self {
            name: field(map, management::NAME, text)?,
            created_at: field(map, management::CREATED_AT, time).ok(),
            partition_ids: ids?,
        })
    }
}

impl PartitionProperties {
    pub(super) async fn read(
        namespace: &Arc<Namespace>,
        partition: &str,
    ) -> Result<Self, EventHubsError> {
        let map = read(namespace, management::TYPE_PARTITION, Some(partition)).await?;
        Self::from_reply(&map).map_err(malformed)
    }

    /// The same with one try.
    pub(super) async fn read_once(
        namespace: &Arc<Namespace>,
        partition: &str,
    ) -> Result<Self, EventHubsError> {
        let properties = question(Some(partition));
        let map = namespace
            .read(management::TYPE_PARTITION, properties)
            .await?;
        Self::from_reply(&map).map_err(malformed)
    }

    /// Whether there is an event after the one with this sequence number.
    pub(super) fn holds_after(&self, sequence_number: i64) -> bool {
        !self.is_empty && self.last_enqueued_sequence_number > sequence_number
    }

    fn from_reply(map: &Map) -> Result<Self, Missing> {
        Ok(Self {
            hub: field(map, management::NAME, text)?,
            id: field(map, management::PARTITION, text)?,
            beginning_sequence_number: field(
                map,
                management::BEGIN_SEQUENCE_NUMBER,
                Value::as_i64,
            )?,
            last_enqueued_sequence_number: field(
                map,
                management::LAST_ENQUEUED_SEQUENCE_NUMBER,
                Value::as_i64,
            )?,
            last_enqueued_offset: field(map, management::LAST_ENQUEUED_OFFSET, text)?,
            last_enqueued_time: field(map, management::LAST_ENQUEUED_TIME_UTC, time).ok(),
            is_empty: field(map, management::IS_PARTITION_EMPTY, Value::as_bool)?,
        })
    }
}

/// Asks until there is an answer or the policy ends.
async fn read(
    namespace: &Arc<Namespace>,
    entity_type: &str,
    partition: Option<&str>,
) -> Result<Map, EventHubsError> {
    let mut retries = namespace.retries();
    loop {
        match namespace.read(entity_type, question(partition)).await {
            Ok(map) => return Ok(map),
            Err(error) => namespace.pause(&mut retries, error).await?,
        }
    }
}

fn question(partition: Option<&str>) -> ApplicationProperties {
    let mut properties = ApplicationProperties::new();
    if let Some(partition) = partition {
        properties.insert(request::PARTITION, partition);
    }
    properties
}

/// The name of a field that is not there, or is of another type.
struct Missing(&'static str);

fn malformed(Missing(name): Missing) -> EventHubsError {
    let what = format!("expected a field `{name}` of its type");
    EventHubsError::malformed("read properties", what)
}

fn field<T>(
    map: &Map,
    name: &'static str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<T, Missing> {
    map.get_str(name).and_then(read).ok_or(Missing(name))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn time(value: &Value) -> Option<SystemTime> {
    match value {
        Value::Timestamp(timestamp) => from_timestamp(*timestamp),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::codec::{Array, Timestamp};

    fn partition() -> Map {
        Map::new()
            .with("name", "orders")
            .with("type", "com.microsoft:partition")
            .with("partition", "3")
            .with("begin_sequence_number", 10_i64)
            .with("last_enqueued_sequence_number", 41_i64)
            .with("last_enqueued_offset", "4100")
            .with("last_enqueued_time_utc", Timestamp(1000))
            .with("is_partition_empty", false)
    }

    #[test]
    fn a_hub_is_read_from_its_reply() {
        let ids = Array::try_from(vec![Value::from("0"), Value::from("1")]).unwrap();
        let map = Map::new()
            .with("name", "orders")
            .with("created_at", Timestamp(1000))
            .with("partition_count", 2)
            .with("partition_ids", Value::Array(ids));
        let Ok(hub) = HubProperties::from_reply(&map) else {
            panic!("refused");
        };
        assert_eq!(hub.name, "orders");
        assert_eq!(hub.partition_ids, ["0", "1"]);
        assert_eq!(hub.created_at, Some(UNIX_EPOCH + Duration::from_secs(1)));
    }

    #[test]
    fn a_partition_is_read_from_its_reply() {
        let Ok(read) = PartitionProperties::from_reply(&partition()) else {
            panic!("refused");
        };
        assert_eq!((read.hub.as_str(), read.id.as_str()), ("orders", "3"));
        assert_eq!(read.beginning_sequence_number, 10);
        assert_eq!(read.last_enqueued_sequence_number, 41);
        assert_eq!(read.last_enqueued_offset, "4100");
        assert!(!read.is_empty);
    }

    #[test]
    fn a_field_of_another_type_is_named() {
        let map = partition().with("begin_sequence_number", "ten");
        let Err(missing) = PartitionProperties::from_reply(&map) else {
            panic!("taken");
        };
        let error = malformed(missing).to_string();
        assert!(error.contains("begin_sequence_number"), "{error}");
    }
}
