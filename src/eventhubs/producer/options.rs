//! What a producer is told when it is made.

/// Options of a [`Producer`](super::Producer).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProducerOptions {
    /// Whether events whose fate is unknown are sent again. Then each event is stored at least once instead of at most
    /// once; some may be stored twice. Default `false`.
    pub retry_unknown: bool,
    /// Whether events are sent settled: each is stored at most once, and nobody says whether it was. A send then returns when
    /// the event is in the connection's output; what the service refuses or an outage takes is lost in silence. Default
    /// `false`.
    pub settled: bool,
    /// Most sends that are under way at once to one partition, or to the hub, or to one publisher: further ones wait, in
    /// turn. At least 1. Default 1000.
    pub max_in_flight: usize,
    /// Most octets that these sends hold together. A send that is larger goes when no other is under way. Default 32 MiB.
    pub max_in_flight_bytes: usize,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            retry_unknown: false,
            settled: false,
            max_in_flight: 1000,
            max_in_flight_bytes: 32 << 20,
        }
    }
}

impl ProducerOptions {
    /// Sets [`retry_unknown`](Self::retry_unknown).
    pub fn retry_unknown(mut self, retry: bool) -> Self {
        self.retry_unknown = retry;
        self
    }

    /// Sets [`settled`](Self::settled).
    pub fn settled(mut self, settled: bool) -> Self {
        self.settled = settled;
        self
    }

    /// Sets [`max_in_flight`](Self::max_in_flight).
    pub fn max_in_flight(mut self, sends: usize) -> Self {
        self.max_in_flight = sends;
        self
    }

    /// Sets [`max_in_flight_bytes`](Self::max_in_flight_bytes).
    pub fn max_in_flight_bytes(mut self, octets: usize) -> Self {
        self.max_in_flight_bytes = octets;
        self
    }
}
