//! The instruments of a client, of a link that events go out by, and of a consumer.

use super::instruments::{Counter, Gauge, Histogram, counter, gauge, histogram};
use crate::eventhubs::observer::ClientEvent;
use crate::eventhubs::processor::{ProcessorEvent, StopReason};

/// What befalls a client, counted.
pub(in crate::eventhubs) struct ClientMeters {
    connects: Counter,
    reconnects: Counter,
    connect_failures: Counter,
    connections_lost: Counter,
    links_attached: Counter,
    links_lost: Counter,
    links_silent: Counter,
    renewals: Counter,
    failed_renewals: Counter,
    throttles: Counter,
    retries: Counter,
}

impl ClientMeters {
    pub(in crate::eventhubs) fn new(hub: &str) -> Self {
        let of_hub = |name| counter(name, &[("hub", hub)]);
        let renewals = |result| {
            let labels = [("hub", hub), ("result", result)];
            counter("eventhubs_token_renewals_total", &labels)
        };
        Self {
            connects: of_hub("eventhubs_connects_total"),
            reconnects: of_hub("eventhubs_reconnects_total"),
            connect_failures: of_hub("eventhubs_connect_failures_total"),
            connections_lost: of_hub("eventhubs_connections_lost_total"),
            links_attached: of_hub("eventhubs_links_attached_total"),
            links_lost: of_hub("eventhubs_links_lost_total"),
            links_silent: of_hub("eventhubs_links_silent_total"),
            renewals: renewals("ok"),
            failed_renewals: renewals("failed"),
            throttles: of_hub("eventhubs_throttles_total"),
            retries: of_hub("eventhubs_retries_total"),
        }
    }

    pub(in crate::eventhubs) fn count(&self, event: &ClientEvent) {
        if let ClientEvent::Reconnected { .. } = event {
            self.connects.increment(1);
        }
        let counter = match event {
            ClientEvent::Connected { .. } => &self.connects,
            ClientEvent::Reconnected { .. } => &self.reconnects,
            ClientEvent::ConnectFailed { .. } => &self.connect_failures,
            ClientEvent::ConnectionLost { .. } => &self.connections_lost,
            ClientEvent::LinkAttached { .. } => &self.links_attached,
            ClientEvent::LinkLost { .. } => &self.links_lost,
            ClientEvent::LinkSilent { .. } => &self.links_silent,
            ClientEvent::TokenRenewed { .. } => &self.renewals,
            ClientEvent::TokenRenewalFailed { .. } => &self.failed_renewals,
            ClientEvent::Throttled { .. } => &self.throttles,
            ClientEvent::Retrying { .. } => &self.retries,
        };
        counter.increment(1);
    }
}

/// What goes out by one link.
#[derive(Clone)]
pub(in crate::eventhubs) struct PublishingMeters {
    events: Counter,
    bytes: Counter,
    failures: Counter,
    in_flight: Gauge,
    batch_events: Histogram,
    batch_fill: Histogram,
    credit: Gauge,
}

impl PublishingMeters {
    /// `partition` is empty where the service chooses.
    pub(in crate::eventhubs) fn new(hub: &str, partition: &str) -> Self {
        let labels = [("hub", hub), ("partition", partition)];
        Self {
            events: counter("eventhubs_events_sent_total", &labels),
            bytes: counter("eventhubs_bytes_sent_total", &labels),
            failures: counter("eventhubs_send_failures_total", &labels),
            in_flight: gauge("eventhubs_publications_in_flight", &labels),
            batch_events: histogram("eventhubs_batch_events", &labels),
            batch_fill: histogram("eventhubs_batch_fill_ratio", &labels),
            credit: gauge("eventhubs_link_credit", &labels),
        }
    }

    /// A publication begins.
    pub(in crate::eventhubs) fn begin(&self, load: Load) -> InFlight<'_> {
        if let Some(capacity) = load.capacity {
            self.batch_events.record(load.events as f64);
            self.batch_fill
                .record(load.bytes as f64 / capacity.max(1) as f64);
        }
        self.in_flight.increment(1.0);
        InFlight { meters: self, load }
    }

    /// Messages that may still go out.
    pub(in crate::eventhubs) fn credit(&self, credit: impl FnOnce() -> u32) {
        // To ask for it takes a lock.
        if cfg!(feature = "metrics") {
            self.credit.set(f64::from(credit()));
        }
    }
}

/// What a publication holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::eventhubs) struct Load {
    pub(in crate::eventhubs) events: usize,
    pub(in crate::eventhubs) bytes: usize,
    /// Of a batch: most octets that it could hold.
    pub(in crate::eventhubs) capacity: Option<usize>,
}

impl Load {
    pub(in crate::eventhubs) fn of_event(bytes: usize) -> Self {
        Self {
            events: 1,
            bytes,
            capacity: None,
        }
    }
}

/// A publication on its way, until dropped.
pub(in crate::eventhubs) struct InFlight<'a> {
    meters: &'a PublishingMeters,
    load: Load,
}

impl InFlight<'_> {
    /// It has come to an end. One whose send was dropped counts neither as sent nor as failed.
    pub(in crate::eventhubs) fn end(self, is_stored: bool) {
        match is_stored {
            true => {
                self.meters.events.increment(self.load.events as u64);
                self.meters.bytes.increment(self.load.bytes as u64);
            }
            false => self.meters.failures.increment(1),
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.meters.in_flight.decrement(1.0);
    }
}

/// What one consumer is handed.
pub(in crate::eventhubs) struct ConsumerMeters {
    events: Counter,
    bytes: Counter,
    lag: Gauge,
    credit: Gauge,
}

impl ConsumerMeters {
    pub(in crate::eventhubs) fn new(hub: &str, partition: &str, consumer_group: &str) -> Self {
        let labels = [
            ("hub", hub),
            ("partition", partition),
            ("consumer_group", consumer_group),
        ];
        Self {
            events: counter("eventhubs_events_received_total", &labels),
            bytes: counter("eventhubs_bytes_received_total", &labels),
            lag: gauge("eventhubs_consumer_lag_events", &labels),
            credit: gauge("eventhubs_link_credit", &labels),
        }
    }

    pub(in crate::eventhubs) fn event(&self, bytes: usize, lag: Option<u64>) {
        self.events.increment(1);
        self.bytes.increment(bytes as u64);
        if let Some(lag) = lag {
            self.lag.set(lag as f64);
        }
    }

    /// Messages that may still come.
    pub(in crate::eventhubs) fn credit(&self, credit: impl FnOnce() -> u32) {
        // To ask for it takes a lock.
        if cfg!(feature = "metrics") {
            self.credit.set(f64::from(credit()));
        }
    }
}

/// What befalls a processor, counted.
pub(in crate::eventhubs) struct ProcessorMeters {
    claimed: Counter,
    lost: Counter,
    owned: Gauge,
    checkpoints: Counter,
    store_failures: Counter,
}

impl ProcessorMeters {
    pub(in crate::eventhubs) fn new(hub: &str, consumer_group: &str) -> Self {
        let labels = [("hub", hub), ("consumer_group", consumer_group)];
        Self {
            claimed: counter("eventhubs_partitions_claimed_total", &labels),
            lost: counter("eventhubs_partitions_lost_total", &labels),
            owned: gauge("eventhubs_partitions_owned", &labels),
            checkpoints: counter("eventhubs_checkpoints_total", &labels),
            store_failures: counter("eventhubs_store_failures_total", &labels),
        }
    }

    pub(in crate::eventhubs) fn count(&self, event: &ProcessorEvent) {
        match event {
            ProcessorEvent::Claimed { .. } => {
                self.claimed.increment(1);
                self.owned.increment(1.0);
            }
            ProcessorEvent::Stopped { reason, .. } => {
                if let StopReason::OwnershipLost | StopReason::OwnershipExpired = reason {
                    self.lost.increment(1);
                }
                self.owned.decrement(1.0);
            }
            ProcessorEvent::Checkpointed { .. } => self.checkpoints.increment(1),
            ProcessorEvent::StoreFailed { .. } => self.store_failures.increment(1),
            ProcessorEvent::ClaimLost { .. }
            | ProcessorEvent::Released { .. }
            | ProcessorEvent::Failed { .. } => {}
        }
    }
}
