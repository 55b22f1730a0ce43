//! What a buffered producer is told when it is made.

use std::time::Duration;

/// Options of a [`BufferedProducer`](super::BufferedProducer).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BufferedProducerOptions {
    /// How long an event waits for others to share a batch with. Default 100 ms.
    pub linger: Duration,
    /// Most events of one batch. Default 1000.
    pub max_batch_count: usize,
    /// Most octets of one batch, if that is less than what the service takes. Default `None`.
    pub max_batch_bytes: Option<usize>,
    /// Most events that have no result yet, those under way among them, of all partitions together. Default 10 000.
    pub max_buffered: usize,
    /// Most octets of these events, as they are encoded. One larger event is taken when there is no other. Default 64 MiB.
    pub max_buffered_bytes: usize,
    /// Most batches under way to one partition. With more than 1, a batch that has to be sent again may be stored after
    /// later ones; with [`idempotent`](Self::idempotent), 1 it is. Default 1: the events of a partition are stored in order, whatever
    /// happens.
    pub max_in_flight: usize,
    /// Whether events whose fate is unknown are sent again, as in [`ProducerOptions`](super::super::ProducerOptions). Default
    /// `false`.
    pub retry_unknown: bool,
    /// Whether each event is stored once however often it has to be sent, as by an
    /// [`IdempotentProducer`](super::super::IdempotentProducer) for each partition. Default `false`.
    pub idempotent: bool,
}

impl Default for BufferedProducerOptions {
    fn default() -> Self {
        Self {
            linger: Duration::from_millis(100),
            max_batch_count: 1000,
            max_batch_bytes: None,
            max_buffered: 10_000,
            max_buffered_bytes: 64 << 20,
            max_in_flight: 1,
            retry_unknown: false,
            idempotent: false,
        }
    }
}

impl BufferedProducerOptions {
    /// Sets [`linger`](Self::linger).
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Sets [`max_batch_count`](Self::max_batch_count).
    pub fn max_batch_count(mut self, events: usize) -> Self {
        self.max_batch_count = events;
        self
    }

    /// Sets [`max_batch_bytes`](Self::max_batch_bytes).
    pub fn max_batch_bytes(mut self, octets: usize) -> Self {
        self.max_batch_bytes = Some(octets);
        self
    }

    /// Sets [`max_buffered`](Self::max_buffered).
    pub fn max_buffered(mut self, events: usize) -> Self {
        self.max_buffered = events;
        self
    }

    /// Sets [`max_buffered_bytes`](Self::max_buffered_bytes).
    pub fn max_buffered_bytes(mut self, octets: usize) -> Self {
        self.max_buffered_bytes = octets;
        self
    }

    /// Sets [`max_in_flight`](Self::max_in_flight).
    pub fn max_in_flight(mut self, batches: usize) -> Self {
        self.max_in_flight = batches;
        self
    }

    /// Sets [`retry_unknown`](Self::retry_unknown).
    pub fn retry_unknown(mut self, retry: bool) -> Self {
        self.retry_unknown = retry;
        self
    }

    /// Sets [`idempotent`](Self::idempotent).
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = idempotent;
        self
    }

    /// Batches that may be under way to one partition.
    pub(super) fn flights(&self) -> usize {
        match self.idempotent {
            true => 1,
            false => self.max_in_flight.max(1),
        }
    }
}
