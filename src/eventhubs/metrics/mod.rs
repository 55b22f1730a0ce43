//! What a client counts and measures, by the facade of the crate `metrics` (feature `metrics`).
//!
//! Whatever recorder the program has installed gets it; it must be installed before the [`Client`](super::Client) is
//! made. Without the feature nothing is counted, and nothing of this costs anything.
//!
//! | name | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `eventhubs_events_sent_total` | counter | events | hub, partition | Events that the service has accepted, or that were handed over settled |
//! | `eventhubs_bytes_sent_total` | counter | bytes | hub, partition | Octets of their messages |
//! | `eventhubs_send_failures_total` | counter | publications | hub, partition | Events or batches of which a send returned an error |
//! | `eventhubs_publications_in_flight` | gauge | publications | hub, partition | Events or batches whose send has begun and not ended |
//! | `eventhubs_batch_events` | histogram | events | hub, partition | Events of a batch that is sent |
//! | `eventhubs_batch_fill_ratio` | histogram | ratio | hub, partition | Octets of a batch that is sent, of those it could hold |
//! | `eventhubs_events_received_total` | counter | events | hub, partition, consumer_group | Events that a consumer was handed |
//! | `eventhubs_bytes_received_total` | counter | bytes | hub, partition, consumer_group | Octets of their messages |
//! | `eventhubs_consumer_lag_events` | gauge | events | hub, partition, consumer_group | Events behind the last one handed out, with [`track_last_enqueued`](super::ConsumerOptions::track_last_enqueued) |
//! | `eventhubs_link_credit` | gauge | messages | hub, partition, consumer_group | Messages that may come, as of when the consumer last waited; of a producer (then without a group) that may go, as of its last send |
//! | `eventhubs_connects_total` | counter | connections | hub | Connections opened |
//! | `eventhubs_reconnects_total` | counter | connections | hub | Connections opened in place of lost ones |
//! | `eventhubs_connect_failures_total` | counter | connections | hub | Connections that could not be opened |
//! | `eventhubs_connections_lost_total` | counter | connections | hub | Connections that ended, or were given up |
//! | `eventhubs_links_attached_total` | counter | links | hub | Links attached |
//! | `eventhubs_links_lost_total` | counter | links | hub | Links that ended without our doing, or were given up |
//! | `eventhubs_links_silent_total` | counter | links | hub | Links that the watchdog found silent |
//! | `eventhubs_token_renewals_total` | counter | tokens | hub, result | Renewals of tokens; the result is `ok` or `failed` |
//! | `eventhubs_throttles_total` | counter | operations | hub | Operations that the service was too busy for |
//! | `eventhubs_retries_total` | counter | operations | hub | Operations tried again for other reasons |
//! | `eventhubs_partitions_claimed_total` | counter | partitions | hub, consumer_group | Partitions that a processor began to own |
//! | `eventhubs_partitions_lost_total` | counter | partitions | hub, consumer_group | Partitions that a processor lost to another, or because the store was not reached |
//! | `eventhubs_partitions_owned` | gauge | partitions | hub, consumer_group | Partitions that a processor owns |
//! | `eventhubs_checkpoints_total` | counter | checkpoints | hub, consumer_group | Checkpoints written |
//! | `eventhubs_store_failures_total` | counter | operations | hub, consumer_group | Failures of the checkpoint store |
//!
//! The label `partition` is empty where the service chooses the partition.

#[cfg(not(feature = "metrics"))]
mod absent;
mod meters;
#[cfg(feature = "metrics")]
mod present;

#[cfg(not(feature = "metrics"))]
use absent as instruments;
#[cfg(feature = "metrics")]
use present as instruments;

pub(super) use self::meters::{
    ClientMeters, ConsumerMeters, Load, ProcessorMeters, PublishingMeters,
};
