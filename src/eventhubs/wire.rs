//! What Event Hubs calls things on the wire: addresses, keys, conditions, codes.
//!
//! A client and a server of Event Hubs must agree on these names and on nothing else, so this module holds names only:
//! no state and no behaviour beyond reading and writing an [`Address`]. It is public because programs that talk to the
//! service by the plain AMQP handles need the same names.

use core::fmt;
use core::str::FromStr;

/// The consumer group that every hub has.
pub const DEFAULT_CONSUMER_GROUP: &str = "$Default";

/// The node that takes tokens.
pub use crate::cbs::NODE as CBS_NODE;
/// The node that answers questions about hubs and partitions.
pub use crate::management::NODE as MANAGEMENT_NODE;
/// Keys and status codes of requests and replies, on `$cbs` and on `$management`.
pub use crate::request::{key as request, status};

/// The `message-format` of a transfer that carries several events, each one whole encoded message in a `data` section.
pub const BATCH_MESSAGE_FORMAT: u32 = 0x8001_3700;

/// Most sessions of one connection.
pub const MAX_SESSIONS: u16 = 5000;

/// Largest publication, in octets, where the peer's attach names no `max-message-size`.
pub const DEFAULT_MAX_MESSAGE_SIZE: u64 = 1024 * 1024;

/// Longest partition key, in characters.
pub const MAX_PARTITION_KEY_LENGTH: usize = 128;

/// Longest name of a publisher, in characters.
pub const MAX_PUBLISHER_NAME_LENGTH: usize = 128;

/// Most receivers without an owner level that one partition serves in one consumer group.
pub const MAX_RECEIVERS_WITHOUT_OWNER_LEVEL: usize = 5;

/// Where AMQP inside TLS is served.
pub const PORT_TLS: u16 = 5671;

/// Where plaintext AMQP is served: by emulators only.
pub const PORT_PLAINTEXT: u16 = 5672;

/// Where AMQP inside WebSocket inside TLS is served.
pub const PORT_WEBSOCKET: u16 = 443;

/// The path at which WebSockets are opened. Some clients write a slash behind it.
pub const WEBSOCKET_PATH: &str = "/$servicebus/websocket";

/// The sub-protocol that clients offer there; [`amqp`](crate::websocket::AMQP_SUB_PROTOCOL) is known as well.
pub const WEBSOCKET_SUB_PROTOCOL: &str = crate::websocket::AMQPWSB10_SUB_PROTOCOL;

/// What a link may be attached to.
///
/// Written by [`Display`](fmt::Display) as the service spells it. Read by [`FromStr`] from any spelling that clients
/// use: bare (`orders/Partitions/0`), with a leading slash, or as a URL whose scheme and authority do not matter; words
/// of the path in any case. Names keep the case in which they came; the service compares them without case.
///
/// ```
/// use amqp10::eventhubs::wire::Address;
///
/// let address: Address = "amqps://ns.servicebus.windows.net/orders/partitions/3".parse()?;
/// assert_eq!(address, Address::Partition { hub: "orders".into(), partition: "3".into() });
/// assert_eq!(address.to_string(), "orders/Partitions/3");
/// # Ok::<(), amqp10::eventhubs::wire::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// `{hub}`: publish, the service chooses the partition or hashes the partition key.
    Hub {
        /// Name of the hub.
        hub: String,
    },
    /// `{hub}/Partitions/{id}`: publish to one partition.
    Partition {
        /// Name of the hub.
        hub: String,
        /// Id of the partition, a decimal number.
        partition: String,
    },
    /// `{hub}/Publishers/{name}`: publish as a named publisher.
    Publisher {
        /// Name of the hub.
        hub: String,
        /// Name of the publisher.
        publisher: String,
    },
    /// `{hub}/ConsumerGroups/{group}/Partitions/{id}`: receive from one partition.
    ConsumerPartition {
        /// Name of the hub.
        hub: String,
        /// Name of the consumer group.
        consumer_group: String,
        /// Id of the partition, a decimal number.
        partition: String,
    },
    /// `$management` or `{hub}/$management`.
    Management {
        /// Name of the hub where the address holds one.
        hub: Option<String>,
    },
    /// `$cbs`.
    Cbs,
}

impl Address {
    /// The hub that the address names.
    pub fn hub(&self) -> Option<&str> {
        match self {
            Self::Hub { hub }
            | Self::Partition { hub, .. }
            | Self::Publisher { hub, .. }
            | Self::ConsumerPartition { hub, .. } => Some(hub),
            Self::Management { hub } => hub.as_deref(),
            Self::Cbs => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub { hub } => f.write_str(hub),
            Self::Partition { hub, partition } => write!(f, "{hub}/Partitions/{partition}"),
            Self::Publisher { hub, publisher } => write!(f, "{hub}/Publishers/{publisher}"),
            Self::ConsumerPartition {
                hub,
                consumer_group,
                partition,
            } => write!(
                f,
                "{hub}/ConsumerGroups/{consumer_group}/Partitions/{partition}"
            ),
            Self::Management { hub: Some(hub) } => write!(f, "{hub}/{MANAGEMENT_NODE}"),
            Self::Management { hub: None } => f.write_str(MANAGEMENT_NODE),
            Self::Cbs => f.write_str(CBS_NODE),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refused = || AddressError {
            address: text.to_owned(),
        };
        let path = match text.split_once("://") {
            Some((_, rest)) => rest.split_once('/').ok_or_else(refused)?.1,
            None => text,
        };
        let path = path.trim_start_matches('/');
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments: Vec<&str> = path.split('/').collect();
        if segments.iter().any(|segment| segment.is_empty()) {
            return Err(refused());
        }
        let is = |segment: &str, word: &str| segment.eq_ignore_ascii_case(word);
        match *segments.as_slice() {
            [node] if is(node, CBS_NODE) => Ok(Self::Cbs),
            [node] if is(node, MANAGEMENT_NODE) => Ok(Self::Management { hub: None }),
            [hub] => Ok(Self::Hub { hub: hub.into() }),
            [hub, node] if is(node, MANAGEMENT_NODE) => Ok(Self::Management {
                hub: Some(hub.into()),
            }),
            [hub, word, partition] if is(word, "Partitions") => Ok(Self::Partition {
                hub: hub.into(),
                partition: partition.into(),
            }),
            [hub, word, publisher] if is(word, "Publishers") => Ok(Self::Publisher {
                hub: hub.into(),
                publisher: publisher.into(),
            }),
            [hub, groups, consumer_group, partitions, partition]
                if is(groups, "ConsumerGroups") && is(partitions, "Partitions") =>
            {
                Ok(Self::ConsumerPartition {
                    hub: hub.into(),
                    consumer_group: consumer_group.into(),
                    partition: partition.into(),
                })
            }
            _ => Err(refused()),
        }
    }
}

/// A text that is none of the shapes of [`Address`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address:?} is not an Event Hubs address: expected hub, hub/Partitions/id, hub/Publishers/name, \
     hub/ConsumerGroups/group/Partitions/id, $management or $cbs"
)]
pub struct AddressError {
    address: String,
}

/// Keys of message annotations.
pub mod annotation {
    use crate::codec::Symbol;

    /// Position of the event in its partition: long, from 0, rising. Set by the service.
    pub const SEQUENCE_NUMBER: Symbol = Symbol::from_static("x-opt-sequence-number");
    /// Opaque position of the event in its partition: string. Set by the service; never to be read as a number.
    pub const OFFSET: Symbol = Symbol::from_static("x-opt-offset");
    /// When the service stored the event: timestamp. Set by the service.
    pub const ENQUEUED_TIME: Symbol = Symbol::from_static("x-opt-enqueued-time");
    /// Events of one key go to one partition, in order: string. Set by the producer, given back to consumers.
    pub const PARTITION_KEY: Symbol = Symbol::from_static("x-opt-partition-key");
    /// Which publisher sent the event: string. Set by the service on links of a publisher.
    pub const PUBLISHER: Symbol = Symbol::from_static("x-opt-publisher");
}

/// Keys of the delivery annotations that a receiver gets which asked for
/// [`capability::RECEIVER_RUNTIME_METRIC`].
pub mod runtime_metric {
    use crate::codec::Symbol;

    /// Sequence number of the last event of the partition: long.
    pub const LAST_ENQUEUED_SEQUENCE_NUMBER: Symbol =
        Symbol::from_static("last_enqueued_sequence_number");
    /// Offset of the last event of the partition: string.
    pub const LAST_ENQUEUED_OFFSET: Symbol = Symbol::from_static("last_enqueued_offset");
    /// When the last event of the partition was stored: timestamp.
    pub const LAST_ENQUEUED_TIME_UTC: Symbol = Symbol::from_static("last_enqueued_time_utc");
    /// When the service looked: timestamp.
    pub const RUNTIME_INFO_RETRIEVAL_TIME_UTC: Symbol =
        Symbol::from_static("runtime_info_retrieval_time_utc");
}

/// Names of application properties by which clients tell the trace of an event. The service does not look at them.
pub mod trace {
    /// The W3C `traceparent`, string.
    pub const TRACEPARENT: &str = "traceparent";
    /// The W3C `tracestate`, string.
    pub const TRACESTATE: &str = "tracestate";
    /// The name that older clients give to the `traceparent`, and some write alone.
    pub const DIAGNOSTIC_ID: &str = "Diagnostic-Id";
}

/// Keys of the properties in open and attach.
pub mod property {
    use crate::codec::Symbol;

    /// On a receiver: its owner level, long.
    pub const EPOCH: Symbol = Symbol::from_static("com.microsoft:epoch");
    /// On a receiver: its name in the service's diagnostics, string.
    pub const RECEIVER_NAME: Symbol = Symbol::from_static("com.microsoft:receiver-name");
    /// On a link: a hint how long the client waits, number of any type.
    pub const TIMEOUT: Symbol = Symbol::from_static("com.microsoft:timeout");
    /// On a link: a hint what the address is, int.
    pub const ENTITY_TYPE: Symbol = Symbol::from_static("com.microsoft:entity-type");
    // The three of an idempotent sender. In attach, the sequence number is that of the event *published last*, both in what
    // the client gives and in what the service answers; the first event to come is annotated with the number after it. All
    // three are given to go on as that producer, all three are null to be given an identity. The other clients of the service read
    // and write it so.

    /// On an idempotent sender: who publishes, long. Also a message annotation.
    pub const PRODUCER_ID: Symbol = Symbol::from_static("com.microsoft:producer-id");
    /// On an idempotent sender: which run of the producer, short. Also a message annotation.
    pub const PRODUCER_EPOCH: Symbol = Symbol::from_static("com.microsoft:producer-epoch");
    /// On an idempotent sender: number of the event published last, int, 0 before the first. As a message annotation: the
    /// event's number. The number after `i32::MAX` is 0.
    pub const PRODUCER_SEQUENCE_NUMBER: Symbol =
        Symbol::from_static("com.microsoft:producer-sequence-number");

    /// In open: which client library.
    pub const PRODUCT: Symbol = Symbol::from_static("product");
    /// In open: its version.
    pub const VERSION: Symbol = Symbol::from_static("version");
    /// In open: what it runs on.
    pub const PLATFORM: Symbol = Symbol::from_static("platform");
    /// In open: the language and its version.
    pub const FRAMEWORK: Symbol = Symbol::from_static("framework");
    /// In open: library, version and application in one line.
    pub const USER_AGENT: Symbol = Symbol::from_static("user-agent");
}

/// Capabilities that a link may desire and a peer may offer.
pub mod capability {
    use crate::codec::Symbol;

    /// The receiver wants [`runtime_metric`](super::runtime_metric) in the delivery annotations.
    pub const RECEIVER_RUNTIME_METRIC: Symbol =
        Symbol::from_static("com.microsoft:enable-receiver-runtime-metric");
    /// The client treats offsets as opaque.
    pub const GEOREPLICATION: Symbol = Symbol::from_static("com.microsoft:georeplication");
    /// The sender numbers its events, so that a repeat is stored once.
    pub const IDEMPOTENT_PRODUCER: Symbol =
        Symbol::from_static("com.microsoft:idempotent-producer");
}

/// The filter that says where a receiver starts.
pub mod filter {
    use crate::codec::Symbol;

    /// Key of the filter in `source.filter`, and a symbolic descriptor of its value that some clients write.
    pub const SELECTOR: Symbol = Symbol::from_static("apache.org:selector-filter:string");
    /// The registered descriptor of the filter's value.
    pub const SELECTOR_CODE: u64 = 0x0000_468C_0000_0004;
    /// Another descriptor of the filter's value that some clients write.
    pub const SELECTOR_CODE_ALTERNATIVE: u64 = 0x0000_0137_0000_000A;

    /// The offset, as an expression names it.
    pub const OFFSET: &str = "amqp.annotation.x-opt-offset";
    /// The sequence number, as an expression names it.
    pub const SEQUENCE_NUMBER: &str = "amqp.annotation.x-opt-sequence-number";
    /// The enqueued time in milliseconds since 1970, as an expression names it.
    pub const ENQUEUED_TIME: &str = "amqp.annotation.x-opt-enqueued-time";

    /// The offset before the first event.
    pub const OFFSET_EARLIEST: &str = "-1";
    /// The offset after the last event.
    pub const OFFSET_LATEST: &str = "@latest";
}

/// Error conditions of the service beside those of the standard.
pub mod condition {
    use crate::codec::Symbol;

    /// The namespace or the partition has no throughput left.
    pub const SERVER_BUSY: Symbol = Symbol::from_static("com.microsoft:server-busy");
    /// The service took too long.
    pub const TIMEOUT: Symbol = Symbol::from_static("com.microsoft:timeout");
    /// The service gave the operation up.
    pub const OPERATION_CANCELLED: Symbol =
        Symbol::from_static("com.microsoft:operation-cancelled");
    /// The service's container behind the connection goes away.
    pub const CONTAINER_CLOSE: Symbol = Symbol::from_static("com.microsoft:container-close");
    /// A request that cannot succeed as it is.
    pub const ARGUMENT_ERROR: Symbol = Symbol::from_static("com.microsoft:argument-error");
    /// No such partition, offset or sequence number.
    pub const ARGUMENT_OUT_OF_RANGE: Symbol =
        Symbol::from_static("com.microsoft:argument-out-of-range");
    /// An offset of another region or before a fail-over.
    pub const INVALID_OFFSET: Symbol =
        Symbol::from_static("com.microsoft:georeplication:invalid-offset");
    /// The hub is switched off.
    pub const ENTITY_DISABLED: Symbol = Symbol::from_static("com.microsoft:entity-disabled");
    /// There is one already.
    pub const ENTITY_ALREADY_EXISTS: Symbol =
        Symbol::from_static("com.microsoft:entity-already-exists");
    /// The hub changed meanwhile.
    pub const ENTITY_UPDATED: Symbol = Symbol::from_static("com.microsoft:entity-updated");
    /// A condition of the request does not hold.
    pub const PRECONDITION_FAILED: Symbol =
        Symbol::from_static("com.microsoft:precondition-failed");
    /// Somebody else owns the partition.
    pub const PARTITION_NOT_OWNED: Symbol =
        Symbol::from_static("com.microsoft:partition-not-owned");
    /// The token is bad or at its end.
    pub const AUTH_FAILED: Symbol = Symbol::from_static("com.microsoft:auth-failed");
    /// The publisher may not publish any more.
    pub const PUBLISHER_REVOKED: Symbol = Symbol::from_static("com.microsoft:publisher-revoked");
    /// A producer with the same id and a newer epoch has taken over.
    pub const PRODUCER_EPOCH_STOLEN: Symbol =
        Symbol::from_static("com.microsoft:producer-epoch-stolen");
    /// A number is missing between the last published event and this one.
    pub const OUT_OF_ORDER_SEQUENCE: Symbol =
        Symbol::from_static("com.microsoft:out-of-order-sequence");
}

/// Values in requests to `$cbs`.
pub mod cbs {
    pub use crate::cbs::PUT_TOKEN;

    /// Type of a shared access signature.
    pub const TYPE_SAS: &str = "servicebus.windows.net:sastoken";
    /// Type of a JSON web token.
    pub const TYPE_JWT: &str = "jwt";
}

/// Values in requests to `$management` and keys of the maps in its replies.
pub mod management {
    pub use crate::management::READ;

    /// Type of a hub.
    pub const TYPE_EVENT_HUB: &str = "com.microsoft:eventhub";
    /// Type of a partition.
    pub const TYPE_PARTITION: &str = "com.microsoft:partition";

    /// Name of the hub: string.
    pub const NAME: &str = "name";
    /// Type of the thing: string.
    pub const TYPE: &str = "type";
    /// When the hub was made: timestamp.
    pub const CREATED_AT: &str = "created_at";
    /// Number of partitions: int.
    pub const PARTITION_COUNT: &str = "partition_count";
    /// Ids of the partitions: array of string.
    pub const PARTITION_IDS: &str = "partition_ids";
    /// Number of replicas: int, optional.
    pub const GEOREPLICATION_FACTOR: &str = "georeplication_factor";

    /// Id of the partition: string.
    pub const PARTITION: &str = "partition";
    /// Oldest sequence number kept: long.
    pub const BEGIN_SEQUENCE_NUMBER: &str = "begin_sequence_number";
    /// Newest sequence number: long, -1 when nothing was ever stored.
    pub const LAST_ENQUEUED_SEQUENCE_NUMBER: &str = "last_enqueued_sequence_number";
    /// Replication epoch of the newest event: long.
    pub const LAST_ENQUEUED_SEQUENCE_NUMBER_EPOCH: &str = "last_enqueued_sequence_number_epoch";
    /// Offset of the newest event: string, `-1` when nothing was ever stored.
    pub const LAST_ENQUEUED_OFFSET: &str = "last_enqueued_offset";
    /// When the newest event was stored: timestamp.
    pub const LAST_ENQUEUED_TIME_UTC: &str = "last_enqueued_time_utc";
    /// Whether the partition holds no event: boolean.
    pub const IS_PARTITION_EMPTY: &str = "is_partition_empty";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(hub: &str) -> Address {
        Address::ConsumerPartition {
            hub: hub.into(),
            consumer_group: DEFAULT_CONSUMER_GROUP.into(),
            partition: "7".into(),
        }
    }

    #[test]
    fn every_spelling_of_an_address_is_read() {
        for spelling in [
            "eh1/ConsumerGroups/$Default/Partitions/7",
            "/eh1/ConsumerGroups/$Default/Partitions/7",
            "eh1/consumergroups/$Default/PARTITIONS/7/",
            "amqps://localhost:15672/eh1/ConsumerGroups/$Default/Partitions/7",
            "amqps://ns.servicebus.windows.net/eh1/ConsumerGroups/$Default/Partitions/7",
        ] {
            assert_eq!(spelling.parse(), Ok(consumer("eh1")), "{spelling}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let addresses = [
            Address::Hub { hub: "eh1".into() },
            Address::Partition {
                hub: "eh1".into(),
                partition: "0".into(),
            },
            Address::Publisher {
                hub: "eh1".into(),
                publisher: "device-1".into(),
            },
            consumer("Eh-1.x"),
            Address::Management { hub: None },
            Address::Management {
                hub: Some("eh1".into()),
            },
            Address::Cbs,
        ];
        for address in addresses {
            assert_eq!(address.to_string().parse(), Ok(address));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "/",
            "amqps://host",
            "amqps://host/",
            "eh1/Partitions",
            "eh1/Partitions/",
            "eh1//0",
            "eh1/Queues/0",
            "eh1/ConsumerGroups/g",
            "eh1/ConsumerGroups/g/Partitions/0/more",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.to_string().contains("expected hub"), "{text}");
        }
    }
}
