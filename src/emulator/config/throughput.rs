//! How much a namespace takes in a second.

/// What producers may publish, all of them together, in any second; of what is not used, one second's worth is kept for
/// later. A message beyond it is rejected as `com.microsoft:server-busy` (Event Hubs).
///
/// ```
/// use amqp10::emulator::Throughput;
///
/// // One throughput unit of the service.
/// let throughput = Throughput::default().events(1000).bytes(1024 * 1024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Throughput {
    /// Most events. Default: no limit.
    pub events: u64,
    /// Most octets of messages. Default: no limit.
    pub bytes: u64,
}

impl Default for Throughput {
    fn default() -> Throughput {
        Throughput {
            events: u64::MAX,
            bytes: u64::MAX,
        }
    }
}

impl Throughput {
    /// Takes so many events a second.
    pub fn events(mut self, events: u64) -> Throughput {
        self.events = events;
        self
    }

    /// Takes so many octets a second.
    pub fn bytes(mut self, octets: u64) -> Throughput {
        self.bytes = octets;
        self
    }
}
