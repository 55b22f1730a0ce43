//! What an emulator is made of: hubs, key, limits, clock.

mod hub;
#[cfg(feature = "json")]
mod json;
mod storage;
mod throughput;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use self::hub::{HubOptions, MAX_PARTITIONS};
#[cfg(feature = "json")]
pub use self::json::ConfigError;
pub use self::storage::{Persistence, Retention};
pub use self::throughput::Throughput;
use super::faults::Faults;
use super::offset_text::OffsetText;
use super::sas::AccessKey;
use crate::error::TlsError;
use crate::eventhubs::wire::{DEFAULT_MAX_MESSAGE_SIZE, MAX_RECEIVERS_WITHOUT_OWNER_LEVEL};
use crate::{Clock, TlsServerConfig};

/// The name of the key that every namespace has.
pub const ROOT_KEY_NAME: &str = "RootManageSharedAccessKey";

/// How an [`Emulator`](super::Emulator) is started. Without a hub there is nothing to publish to.
///
/// ```
/// use amqp10::emulator::EmulatorOptions;
///
/// let options = EmulatorOptions::default().hub("orders", 4).consumer_group("orders", "analytics");
/// assert_eq!(options.hubs[0].consumer_groups, ["analytics"]);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct EmulatorOptions {
    /// The hubs.
    pub hubs: Vec<HubOptions>,
    /// Name of the key that signs tokens. Default: [`ROOT_KEY_NAME`].
    pub key_name: String,
    /// Text of that key. Default: 32 random octets in base64.
    pub key_value: String,
    /// Where to listen. Default: port 0 of 127.0.0.1, which picks a free port.
    pub address: SocketAddr,
    /// Where to answer `GET /health` over plain HTTP, as the official emulator does on port 5300. Default: nowhere.
    pub health_address: Option<SocketAddr>,
    /// Serve TLS instead of plaintext. Default: none.
    pub tls: Option<TlsServerConfig>,
    /// Serve TLS with a certificate that the emulator makes at its start.
    #[cfg(feature = "emulator-tls")]
    pub tls_generated: bool,
    /// Largest message or batch taken, in octets. Default: 1 MiB.
    pub max_message_size: u64,
    /// What each partition keeps.
    pub retention: Retention,
    /// Where to keep it, so that it survives the emulator. Default: in memory only.
    pub persistence: Option<Persistence>,
    /// Most receivers without an owner level on one partition in one consumer group. Default: 5.
    pub max_receivers_without_owner_level: usize,
    /// Most receivers of one consumer group, over all partitions of its hub. Default: no limit.
    pub max_receivers_per_group: usize,
    /// Most consumer groups of a hub, `$Default` included. Default: 1000.
    pub max_consumer_groups: usize,
    /// Most connections at a time. Default: 5000.
    pub max_connections: usize,
    /// What producers may publish before they are told that the service is busy. Default: no limit.
    pub throughput: Option<Throughput>,
    /// Take every JSON web token that is not empty, without looking into it. Default: no, such tokens are refused.
    pub accept_any_jwt: bool,
    /// A start position behind the end of the log means "latest" instead of an error, for clients whose checkpoints
    /// are older than this emulator. Default: no.
    pub lenient_positions: bool,
    /// Be a namespace with geo-replication, in this replication epoch: links that desire it are offered the capability, and
    /// offsets are opaque, `EPOCH:OFFSET`. An offset without the epoch, or with another, is refused as
    /// `com.microsoft:georeplication:invalid-offset`; what is kept in a folder is read under the epoch of the moment, so that
    /// a start with another epoch is a failover. Default: none, offsets are numbers.
    pub georeplication: Option<u32>,
    /// Detach a link after this long without a message, as the service does after minutes. Default: never.
    pub idle_link: Option<Duration>,
    /// Close a connection that has had no link for this long, as the service does after minutes. Default: never.
    pub idle_connection: Option<Duration>,
    /// Close a connection that has not had any link for this long since it was opened: sooner than one that has had links,
    /// as the service does. Default: as [`idle_connection`](EmulatorOptions::idle_connection).
    pub idle_new_connection: Option<Duration>,
    /// Cut a connection after this long without a frame; half of it is what the open says. Default: 480 s, which makes the
    /// service's 240 s on the wire.
    pub silence: Duration,
    /// How long [`shutdown`](super::Emulator::shutdown) waits for peers to answer. Default: 5 s.
    pub shutdown_timeout: Duration,
    /// The time: for enqueued times and for the ends of tokens. Default: the system's.
    pub clock: Clock,
    /// What goes wrong on purpose. Default: nothing.
    pub faults: Faults,
    /// The key that nobody chose: other faults may need another one.
    generated_key: String,
}

impl Default for EmulatorOptions {
    fn default() -> EmulatorOptions {
        let key = random_key();
        EmulatorOptions {
            hubs: Vec::new(),
            key_name: ROOT_KEY_NAME.to_owned(),
            key_value: key.clone(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            health_address: None,
            tls: None,
            #[cfg(feature = "emulator-tls")]
            tls_generated: false,
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
            retention: Retention::default(),
            persistence: None,
            max_receivers_without_owner_level: MAX_RECEIVERS_WITHOUT_OWNER_LEVEL,
            max_receivers_per_group: usize::MAX,
            max_consumer_groups: 1000,
            max_connections: 5000,
            throughput: None,
            accept_any_jwt: false,
            lenient_positions: false,
            georeplication: None,
            idle_link: None,
            idle_connection: None,
            idle_new_connection: None,
            silence: Duration::from_secs(480),
            shutdown_timeout: Duration::from_secs(5),
            clock: Clock::default(),
            faults: Faults::default(),
            generated_key: key,
        }
    }
}

/// 32 octets from the system's random source, 12 bits of them fixed by the form of a UUID.
fn random_key() -> String {
    let halves = [
        uuid::Uuid::new_v4().into_bytes(),
        uuid::Uuid::new_v4().into_bytes(),
    ];
    STANDARD.encode(halves.concat())
}

impl EmulatorOptions {
    /// Adds a hub.
    pub fn hub(mut self, name: impl Into<String>, partitions: u32) -> EmulatorOptions {
        self.hubs.push(HubOptions::new(name, partitions));
        self
    }

    /// Adds a consumer group to a hub; a hub of which nothing was said yet gets one partition.
    pub fn consumer_group(
        mut self,
        hub: impl Into<String>,
        group: impl Into<String>,
    ) -> EmulatorOptions {
        let name = hub.into();
        match self
            .hubs
            .iter_mut()
            .find(|hub| hub.name.eq_ignore_ascii_case(&name))
        {
            Some(hub) => hub.consumer_groups.push(group.into()),
            None => self
                .hubs
                .push(HubOptions::new(name, 1).consumer_group(group)),
        }
        self
    }

    /// Sets the key's name and text.
    pub fn key(mut self, name: impl Into<String>, value: impl Into<String>) -> EmulatorOptions {
        self.key_name = name.into();
        self.key_value = value.into();
        self
    }

    /// Sets [`address`](Self::address).
    pub fn address(mut self, address: SocketAddr) -> EmulatorOptions {
        self.address = address;
        self
    }

    /// Listens on this port; 0 picks a free one.
    pub fn port(mut self, port: u16) -> EmulatorOptions {
        self.address.set_port(port);
        self
    }

    /// Sets [`health_address`](Self::health_address).
    pub fn health_address(mut self, address: SocketAddr) -> EmulatorOptions {
        self.health_address = Some(address);
        self
    }

    /// Sets [`tls`](Self::tls).
    pub fn tls(mut self, tls: impl Into<TlsServerConfig>) -> EmulatorOptions {
        self.tls = Some(tls.into());
        self
    }

    /// Serves TLS instead of plaintext, with a certificate for `localhost` and the loopback addresses that is made at the
    /// start, by an authority that is made for it too: clients trust it by [`ca_pem`](super::Emulator::ca_pem).
    #[cfg(feature = "emulator-tls")]
    pub fn tls_generated(mut self) -> EmulatorOptions {
        self.tls_generated = true;
        self
    }

    /// Sets [`max_message_size`](Self::max_message_size), in octets.
    pub fn max_message_size(mut self, octets: u64) -> EmulatorOptions {
        self.max_message_size = octets;
        self
    }

    /// Sets [`retention`](Self::retention).
    pub fn retention(mut self, retention: Retention) -> EmulatorOptions {
        self.retention = retention;
        self
    }

    /// Sets [`persistence`](Self::persistence).
    pub fn persistence(mut self, persistence: Persistence) -> EmulatorOptions {
        self.persistence = Some(persistence);
        self
    }

    /// Sets [`accept_any_jwt`](Self::accept_any_jwt).
    pub fn accept_any_jwt(mut self, accept: bool) -> EmulatorOptions {
        self.accept_any_jwt = accept;
        self
    }

    /// Sets [`lenient_positions`](Self::lenient_positions).
    pub fn lenient_positions(mut self, lenient: bool) -> EmulatorOptions {
        self.lenient_positions = lenient;
        self
    }

    /// Sets [`georeplication`](Self::georeplication) to this replication epoch.
    pub fn georeplication(mut self, epoch: u32) -> EmulatorOptions {
        self.georeplication = Some(epoch);
        self
    }

    /// Sets [`idle_link`](Self::idle_link).
    pub fn idle_link(mut self, idle: Duration) -> EmulatorOptions {
        self.idle_link = Some(idle);
        self
    }

    /// Sets [`idle_connection`](Self::idle_connection).
    pub fn idle_connection(mut self, idle: Duration) -> EmulatorOptions {
        self.idle_connection = Some(idle);
        self
    }

    /// Sets [`idle_new_connection`](Self::idle_new_connection).
    pub fn idle_new_connection(mut self, idle: Duration) -> EmulatorOptions {
        self.idle_new_connection = Some(idle);
        self
    }

    /// Sets [`silence`](Self::silence).
    pub fn silence(mut self, silence: Duration) -> EmulatorOptions {
        self.silence = silence;
        self
    }

    /// Sets [`max_receivers_without_owner_level`](Self::max_receivers_without_owner_level).
    pub fn max_receivers_without_owner_level(mut self, receivers: usize) -> EmulatorOptions {
        self.max_receivers_without_owner_level = receivers;
        self
    }

    /// Sets [`max_receivers_per_group`](Self::max_receivers_per_group).
    pub fn max_receivers_per_group(mut self, receivers: usize) -> EmulatorOptions {
        self.max_receivers_per_group = receivers;
        self
    }

    /// Sets [`max_consumer_groups`](Self::max_consumer_groups).
    pub fn max_consumer_groups(mut self, groups: usize) -> EmulatorOptions {
        self.max_consumer_groups = groups;
        self
    }

    /// Sets [`throughput`](Self::throughput).
    pub fn throughput(mut self, throughput: Throughput) -> EmulatorOptions {
        self.throughput = Some(throughput);
        self
    }

    /// Sets [`max_connections`](Self::max_connections).
    pub fn max_connections(mut self, connections: usize) -> EmulatorOptions {
        self.max_connections = connections;
        self
    }

    /// Sets [`shutdown_timeout`](Self::shutdown_timeout).
    pub fn shutdown_timeout(mut self, limit: Duration) -> EmulatorOptions {
        self.shutdown_timeout = limit;
        self
    }

    /// Sets [`clock`](Self::clock).
    pub fn clock(mut self, clock: Clock) -> EmulatorOptions {
        self.clock = clock;
        self
    }

    /// How long a connection may be without a link.
    pub(crate) fn idle(&self, had_link: bool) -> Option<Duration> {
        self.idle_new_connection
            .filter(|_| !had_link)
            .or(self.idle_connection)
    }

    /// Has things go wrong. With a seed, a key that was not chosen is made of the seed: see [`Faults::seed`].
    pub fn faults(mut self, faults: Faults) -> EmulatorOptions {
        if let Some(seed) = faults.seed
            && self.key_value == self.generated_key
        {
            self.key_value = STANDARD.encode(seed.to_be_bytes().repeat(4));
            self.generated_key.clone_from(&self.key_value);
        }
        self.faults = faults;
        self
    }

    /// Makes a certificate if one is to be made; returns its authority's in PEM.
    pub(crate) fn generate_certificate(&mut self) -> Result<Option<String>, TlsError> {
        #[cfg(feature = "emulator-tls")]
        if self.tls_generated {
            let generated = crate::transport::tls::generated::generate()?;
            self.tls = Some(generated.server);
            return Ok(Some(generated.authority_pem));
        }
        Ok(None)
    }

    /// How offsets are written.
    pub(crate) fn offset_text(&self) -> OffsetText {
        match self.georeplication {
            None => OffsetText::Number,
            Some(epoch) => OffsetText::InEpoch(epoch),
        }
    }

    pub(crate) fn access_key(&self) -> AccessKey {
        AccessKey {
            name: self.key_name.clone(),
            value: self.key_value.clone(),
        }
    }

    /// Says in words what is wrong, if anything is.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.key_name.is_empty() || self.key_value.is_empty() {
            return Err("the key needs a name and a value".into());
        }
        if self.key_name.contains(';') || self.key_value.contains(';') {
            return Err(
                "a semicolon in the key's name or value would end it in a connection string".into(),
            );
        }
        for (index, hub) in self.hubs.iter().enumerate() {
            hub.check(self.max_consumer_groups)?;
            if self.hubs[..index]
                .iter()
                .any(|other| other.name.eq_ignore_ascii_case(&hub.name))
            {
                return Err(format!("the hub '{}' is there twice", hub.name));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for EmulatorOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmulatorOptions")
            .field("hubs", &self.hubs)
            .field("key", &self.access_key())
            .field("address", &self.address)
            .field("tls", &self.tls.is_some())
            .field("max_message_size", &self.max_message_size)
            .field("retention", &self.retention)
            .field("persistence", &self.persistence)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_key_is_new_each_time_and_never_shown() {
        let (first, second) = (EmulatorOptions::default(), EmulatorOptions::default());
        assert_ne!(first.key_value, second.key_value);
        assert_eq!(STANDARD.decode(&first.key_value).unwrap().len(), 32);
        assert!(!format!("{first:?}").contains(&first.key_value));
    }

    #[test]
    fn a_group_of_an_unmentioned_hub_brings_the_hub() {
        let options = EmulatorOptions::default()
            .consumer_group("a", "g")
            .consumer_group("A", "h");
        assert_eq!(options.hubs.len(), 1);
        assert_eq!(options.hubs[0].consumer_groups, ["g", "h"]);
    }

    #[test]
    fn wrong_options_are_named() {
        let table = [
            (EmulatorOptions::default().hub("", 1), "characters"),
            (EmulatorOptions::default().hub("a/b", 1), "slash"),
            (EmulatorOptions::default().hub("$cbs", 1), "begins with $"),
            (EmulatorOptions::default().hub("a", 0), "partitions"),
            (EmulatorOptions::default().hub("a", 1).hub("A", 1), "twice"),
            (
                EmulatorOptions::default()
                    .hub("a", 1)
                    .consumer_group("a", "x".repeat(51)),
                "consumer group",
            ),
            (EmulatorOptions::default().key("name", ""), "key"),
            (EmulatorOptions::default().key("name", "a;b"), "semicolon"),
        ];
        for (options, words) in table {
            let text = options.check().unwrap_err();
            assert!(text.contains(words), "{text}");
        }
        assert_eq!(EmulatorOptions::default().hub("orders", 32).check(), Ok(()));
    }
}
