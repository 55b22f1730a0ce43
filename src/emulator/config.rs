//! What an emulator is made of: hubs, key, limits, clock.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::faults::Faults;
use super::sas::AccessKey;
use crate::eventhubs::wire::{DEFAULT_MAX_MESSAGE_SIZE, MAX_RECEIVERS_WITHOUT_EPOCH};
use crate::{Clock, TlsServerConfig};

/// The name of the key that every namespace has.
pub const ROOT_KEY_NAME: &str = "RootManageSharedAccessKey";

/// Most partitions that one hub may have.
pub const MAX_PARTITIONS: u32 = 1024;

/// Longest name of a hub, in characters (Event Hubs).
const MAX_HUB_NAME: usize = 256;

/// Longest name of a consumer group, in characters (Event Hubs).
const MAX_GROUP_NAME: usize = 50;

/// One hub of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubOptions {
    /// Its name, 1 to 256 characters, compared without case.
    pub name: String,
    /// Its number of partitions, 1 to [`MAX_PARTITIONS`].
    pub partitions: u32,
    /// Its consumer groups besides `$Default`, which every hub has; each name 1 to 50 characters.
    pub consumer_groups: Vec<String>,
}

/// How an [`Emulator`](super::Emulator) is started. Without a hub there is nothing to publish to.
///
/// ```
/// use amqp10::emulator::EmulatorOptions;
///
/// let options = EmulatorOptions::new().hub("orders", 4).consumer_group("orders", "analytics");
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
    /// Serve TLS instead of plaintext. Default: none.
    pub tls: Option<TlsServerConfig>,
    /// Largest message or batch taken, in octets. Default: 1 MiB.
    pub max_message_size: u64,
    /// What each partition keeps.
    pub retention: Retention,
    /// Most receivers without an owner level on one partition in one consumer group. Default: 5.
    pub max_receivers_without_epoch: usize,
    /// Most connections at a time. Default: 5000.
    pub max_connections: usize,
    /// Take every JSON web token that is not empty, without looking into it. Default: no, such tokens are refused.
    pub accept_any_jwt: bool,
    /// A start position behind the end of the log means "latest" instead of an error, for clients whose checkpoints
    /// are older than this emulator. Default: no.
    pub lenient_positions: bool,
    /// Detach a link after this long without a message, as the service does after minutes. Default: never.
    pub idle_link: Option<Duration>,
    /// Close a connection that has had no link for this long, as the service does after minutes. Default: never.
    pub idle_connection: Option<Duration>,
    /// How long [`shutdown`](super::Emulator::shutdown) waits for peers to answer. Default: 5 s.
    pub shutdown_deadline: Duration,
    /// The time: for enqueued times and for the ends of tokens. Default: the system's.
    pub clock: Clock,
    /// What goes wrong on purpose. Default: nothing.
    pub faults: Faults,
    /// The key that nobody chose: other faults may need another one.
    generated_key: String,
}

/// What a partition keeps before it forgets its oldest events.
///
/// This bounds the emulator's memory: number of partitions times `bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Most events. Default: no limit but the octets.
    pub events: usize,
    /// Most octets, the housekeeping of each event included. Default: 256 MiB. The newest event always stays.
    pub bytes: usize,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            events: usize::MAX,
            bytes: 256 * 1024 * 1024,
        }
    }
}

impl Retention {
    /// Keeps at most so many events.
    pub fn events(mut self, events: usize) -> Retention {
        self.events = events;
        self
    }

    /// Keeps at most so many octets.
    pub fn bytes(mut self, bytes: usize) -> Retention {
        self.bytes = bytes;
        self
    }
}

impl Default for EmulatorOptions {
    fn default() -> EmulatorOptions {
        let key = random_key();
        EmulatorOptions {
            hubs: Vec::new(),
            key_name: ROOT_KEY_NAME.to_owned(),
            key_value: key.clone(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
            retention: Retention::default(),
            max_receivers_without_epoch: MAX_RECEIVERS_WITHOUT_EPOCH,
            max_connections: 5000,
            accept_any_jwt: false,
            lenient_positions: false,
            idle_link: None,
            idle_connection: None,
            shutdown_deadline: Duration::from_secs(5),
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
    /// No hub yet, everything else by default.
    pub fn new() -> EmulatorOptions {
        EmulatorOptions::default()
    }

    /// Adds a hub.
    pub fn hub(mut self, name: impl Into<String>, partitions: u32) -> EmulatorOptions {
        self.hubs.push(HubOptions {
            name: name.into(),
            partitions,
            consumer_groups: Vec::new(),
        });
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
            None => self.hubs.push(HubOptions {
                name,
                partitions: 1,
                consumer_groups: vec![group.into()],
            }),
        }
        self
    }

    /// Sets the key's name and text.
    pub fn key(mut self, name: impl Into<String>, value: impl Into<String>) -> EmulatorOptions {
        self.key_name = name.into();
        self.key_value = value.into();
        self
    }

    /// Listens here.
    pub fn address(mut self, address: SocketAddr) -> EmulatorOptions {
        self.address = address;
        self
    }

    /// Listens on this port; 0 picks a free one.
    pub fn port(mut self, port: u16) -> EmulatorOptions {
        self.address.set_port(port);
        self
    }

    /// Serves TLS instead of plaintext.
    pub fn tls(mut self, tls: TlsServerConfig) -> EmulatorOptions {
        self.tls = Some(tls);
        self
    }

    /// Takes messages and batches of up to this many octets.
    pub fn max_message_size(mut self, octets: u64) -> EmulatorOptions {
        self.max_message_size = octets;
        self
    }

    /// Says what each partition keeps.
    pub fn retention(mut self, retention: Retention) -> EmulatorOptions {
        self.retention = retention;
        self
    }

    /// Takes any JSON web token, or none.
    pub fn accept_any_jwt(mut self, accept: bool) -> EmulatorOptions {
        self.accept_any_jwt = accept;
        self
    }

    /// Takes start positions behind the end of the log, or refuses them.
    pub fn lenient_positions(mut self, lenient: bool) -> EmulatorOptions {
        self.lenient_positions = lenient;
        self
    }

    /// Detaches links that were idle for so long.
    pub fn idle_link(mut self, idle: Duration) -> EmulatorOptions {
        self.idle_link = Some(idle);
        self
    }

    /// Closes connections that had no link for so long.
    pub fn idle_connection(mut self, idle: Duration) -> EmulatorOptions {
        self.idle_connection = Some(idle);
        self
    }

    /// Serves this many receivers without an owner level on one partition in one consumer group.
    pub fn max_receivers_without_epoch(mut self, receivers: usize) -> EmulatorOptions {
        self.max_receivers_without_epoch = receivers;
        self
    }

    /// Takes this many connections at a time.
    pub fn max_connections(mut self, connections: usize) -> EmulatorOptions {
        self.max_connections = connections;
        self
    }

    /// Waits for so long when it is shut down.
    pub fn shutdown_deadline(mut self, deadline: Duration) -> EmulatorOptions {
        self.shutdown_deadline = deadline;
        self
    }

    /// Takes the time from this clock.
    pub fn clock(mut self, clock: Clock) -> EmulatorOptions {
        self.clock = clock;
        self
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
            hub.check()?;
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

impl HubOptions {
    fn check(&self) -> Result<(), String> {
        let HubOptions {
            name, partitions, ..
        } = self;
        check_name("hub", name, MAX_HUB_NAME)?;
        if name.starts_with('$') {
            return Err(format!(
                "the hub name '{name}' begins with $, which belongs to the service's own nodes"
            ));
        }
        if !(1..=MAX_PARTITIONS).contains(partitions) {
            return Err(format!(
                "the hub '{name}' has {partitions} partitions; expected 1 to {MAX_PARTITIONS}"
            ));
        }
        self.consumer_groups
            .iter()
            .try_for_each(|group| check_name("consumer group", group, MAX_GROUP_NAME))
    }
}

fn check_name(what: &str, name: &str, longest: usize) -> Result<(), String> {
    let length = name.chars().count();
    if !(1..=longest).contains(&length) {
        return Err(format!(
            "the {what} name '{name}' has {length} characters; expected 1 to {longest}"
        ));
    }
    if name.contains(|c: char| c == '/' || c == ';' || c.is_whitespace() || c.is_control()) {
        return Err(format!(
            "the {what} name '{name}' holds a slash, a semicolon or a blank"
        ));
    }
    Ok(())
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
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_key_is_new_each_time_and_never_shown() {
        let (first, second) = (EmulatorOptions::new(), EmulatorOptions::new());
        assert_ne!(first.key_value, second.key_value);
        assert_eq!(STANDARD.decode(&first.key_value).unwrap().len(), 32);
        assert!(!format!("{first:?}").contains(&first.key_value));
    }

    #[test]
    fn a_group_of_an_unmentioned_hub_brings_the_hub() {
        let options = EmulatorOptions::new()
            .consumer_group("a", "g")
            .consumer_group("A", "h");
        assert_eq!(options.hubs.len(), 1);
        assert_eq!(options.hubs[0].consumer_groups, ["g", "h"]);
    }

    #[test]
    fn wrong_options_are_named() {
        let table = [
            (EmulatorOptions::new().hub("", 1), "characters"),
            (EmulatorOptions::new().hub("a/b", 1), "slash"),
            (EmulatorOptions::new().hub("$cbs", 1), "begins with $"),
            (EmulatorOptions::new().hub("a", 0), "partitions"),
            (EmulatorOptions::new().hub("a", 1).hub("A", 1), "twice"),
            (
                EmulatorOptions::new()
                    .hub("a", 1)
                    .consumer_group("a", "x".repeat(51)),
                "consumer group",
            ),
            (EmulatorOptions::new().key("name", ""), "key"),
            (EmulatorOptions::new().key("name", "a;b"), "semicolon"),
        ];
        for (options, words) in table {
            let text = options.check().unwrap_err();
            assert!(text.contains(words), "{text}");
        }
        assert_eq!(EmulatorOptions::new().hub("orders", 32).check(), Ok(()));
    }
}
