//! What the namespace allows, forgets and gets wrong: each as the service has it, or as a test wants it.

use std::time::Duration;

use amqp10::emulator::{EmulatorOptions, Faults, Retention, Throughput};

use super::quantity::{duration, size};

#[derive(clap::Args)]
pub struct Rules {
    /// Forget events after so many hours
    #[arg(long, value_name = "HOURS")]
    retention: Option<u32>,
    /// Keep at most so many events in each partition
    #[arg(long, value_name = "COUNT")]
    retention_events: Option<usize>,
    /// Keep at most so many octets in each partition [default: 256m]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    retention_size: Option<u64>,
    /// Largest message or batch taken [default: 1m]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_message_size: Option<u64>,
    /// Most receivers without an owner level on one partition in one consumer group [default: 5]
    #[arg(long, value_name = "COUNT")]
    max_receivers: Option<usize>,
    /// Most receivers of one consumer group, over all partitions [default: no limit]
    #[arg(long, value_name = "COUNT")]
    max_group_receivers: Option<usize>,
    /// What producers may publish in a second before the service is busy: one throughput unit is 1000:1m
    #[arg(long, value_name = "EVENTS:SIZE", value_parser = throughput)]
    throughput: Option<Throughput>,
    /// Detach links that were idle for so long; the service does after 10m or 30m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    idle_link: Option<Duration>,
    /// Close connections that had no link for so long; the service does after 5m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    idle_connection: Option<Duration>,
    /// Close connections that had no link since they were opened; the service does after 1m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    idle_new_connection: Option<Duration>,
    /// Cut connections without a frame for so long; half of it is announced [default: 480s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    silence: Option<Duration>,
    /// Take every JSON web token, without looking into it
    #[arg(long)]
    accept_any_jwt: bool,
    /// Take a start position behind the end of a partition for "latest", for checkpoints of an earlier run
    #[arg(long)]
    lenient_positions: bool,
    /// Be a namespace with geo-replication: offsets are opaque and hold this replication epoch
    #[arg(long, value_name = "EPOCH")]
    georeplication: Option<u32>,
    /// Have things go wrong by chance, as this seed wants it: throttling, cut connections, lost outcomes and more
    #[arg(long, value_name = "SEED")]
    fault_seed: Option<u64>,
}

impl Rules {
    /// The options, with what was said; what was not said stays as it is.
    pub fn apply(&self, options: EmulatorOptions) -> EmulatorOptions {
        let mut options = options
            .retention(self.retention())
            .accept_any_jwt(self.accept_any_jwt)
            .lenient_positions(self.lenient_positions);
        if let Some(octets) = self.max_message_size {
            options = options.max_message_size(octets);
        }
        if let Some(receivers) = self.max_receivers {
            options = options.max_receivers_without_owner_level(receivers);
        }
        if let Some(receivers) = self.max_group_receivers {
            options = options.max_receivers_per_group(receivers);
        }
        if let Some(throughput) = self.throughput {
            options = options.throughput(throughput);
        }
        if let Some(epoch) = self.georeplication {
            options = options.georeplication(epoch);
        }
        if let Some(seed) = self.fault_seed {
            options = options.faults(Faults::seed(seed));
        }
        self.apply_idleness(options)
    }

    fn apply_idleness(&self, mut options: EmulatorOptions) -> EmulatorOptions {
        if let Some(idle) = self.idle_link {
            options = options.idle_link(idle);
        }
        if let Some(idle) = self.idle_connection {
            options = options.idle_connection(idle);
        }
        if let Some(idle) = self.idle_new_connection {
            options = options.idle_new_connection(idle);
        }
        if let Some(silence) = self.silence {
            options = options.silence(silence);
        }
        options
    }

    fn retention(&self) -> Retention {
        let mut retention = Retention::default();
        if let Some(hours) = self.retention {
            retention = retention.age(Duration::from_secs(u64::from(hours) * 3600));
        }
        if let Some(events) = self.retention_events {
            retention = retention.events(events);
        }
        if let Some(octets) = self.retention_size {
            retention = retention.bytes(usize::try_from(octets).unwrap_or(usize::MAX));
        }
        retention
    }
}

fn throughput(text: &str) -> Result<Throughput, String> {
    let expected = || "expected EVENTS:SIZE, for example 1000:1m".to_owned();
    let (events, octets) = text.split_once(':').ok_or_else(expected)?;
    let events = events.parse().map_err(|_| expected())?;
    Ok(Throughput::default().events(events).bytes(size(octets)?))
}
