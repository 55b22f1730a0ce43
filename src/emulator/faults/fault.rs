//! One fault: what, where, and when.

use std::fmt;
use std::time::Duration;

use super::site::{Place, Site};
use crate::codec::Role;

/// Something that goes wrong. By default it does so everywhere and at once; setters narrow it down.
///
/// *Operations* are what clients do: attach a link, publish a message or a batch, get an event. A fault with a trigger
/// counts those at its place, from the start of the emulator or from its injection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(super) kind: Kind,
    pub(super) place: Place,
    pub(super) trigger: Trigger,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Throttle { operations: u32 },
    Detach,
    Cut { octets: u64, direction: Direction },
    DelayOutcomes { operations: u32, delay: Duration },
    LoseOutcomes { operations: u32 },
    LoseEvents { operations: u32 },
    ExpireTokens,
    Steal,
    Silence,
    Slow { events: u32, pause: Duration },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    Now,
    Operations(u64),
    Octets(u64),
    Time(Duration),
}

/// Which way octets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the emulator to its client.
    ToClient,
    /// From the client to the emulator.
    ToEmulator,
}

impl Fault {
    fn new(kind: Kind) -> Fault {
        Fault {
            kind,
            place: Place::default(),
            trigger: Trigger::Now,
        }
    }

    /// The service is busy: so many links are refused, or messages and batches rejected, with
    /// `com.microsoft:server-busy`.
    pub fn throttle(operations: u32) -> Fault {
        Fault::new(Kind::Throttle { operations })
    }

    /// Links are detached with `amqp:link:detach-forced`.
    pub fn detach() -> Fault {
        Fault::new(Kind::Detach)
    }

    /// The connection breaks after so many more octets to the client, in the middle of a frame if
    /// it happens so. Without a place it is that of every client; with one, that of each link there.
    pub fn cut(octets: u64) -> Fault {
        let direction = Direction::ToClient;
        Fault::new(Kind::Cut { octets, direction })
    }

    /// The same, counting the octets that come from the client.
    pub fn cut_incoming(octets: u64) -> Fault {
        let direction = Direction::ToEmulator;
        Fault::new(Kind::Cut { octets, direction })
    }

    /// So many messages or batches are stored at once, and their outcome is told only after `delay`. Others overtake
    /// them.
    pub fn delay_outcomes(operations: u32, delay: Duration) -> Fault {
        Fault::new(Kind::DelayOutcomes { operations, delay })
    }

    /// So many messages or batches are stored, and their outcome is never told.
    pub fn lose_outcomes(operations: u32) -> Fault {
        Fault::new(Kind::LoseOutcomes { operations })
    }

    /// So many messages or batches are not stored, and no outcome is told.
    pub fn lose_events(operations: u32) -> Fault {
        Fault::new(Kind::LoseEvents { operations })
    }

    /// The tokens that cover the links' addresses end, and the links with them.
    pub fn expire_tokens() -> Fault {
        Fault::new(Kind::ExpireTokens)
    }

    /// Readers are told that another one has taken the partition: `amqp:link:stolen`. The place is free afterwards.
    pub fn steal() -> Fault {
        Fault::new(Kind::Steal)
    }

    /// Readers' links stay attached, and nothing comes on them any more. A link that is attached later is well.
    pub fn silence() -> Fault {
        Fault::new(Kind::Silence)
    }

    /// Links trickle: a pause before each of the next events that they carry.
    pub fn slow(events: u32, pause: Duration) -> Fault {
        Fault::new(Kind::Slow { events, pause })
    }

    /// Only at this hub; names are compared without case.
    pub fn hub(mut self, hub: impl Into<String>) -> Fault {
        self.place.hub = Some(hub.into());
        self
    }

    /// Only on links to this partition. A link to the hub, for which the service chooses partitions, is none.
    pub fn partition(mut self, id: impl Into<String>) -> Fault {
        self.place.partition = Some(id.into());
        self
    }

    /// Only on links of readers.
    pub fn readers(mut self) -> Fault {
        self.place.role = Some(Role::Receiver);
        self
    }

    /// Only on links of publishers.
    pub fn publishers(mut self) -> Fault {
        self.place.role = Some(Role::Sender);
        self
    }

    /// With the operation that comes after so many at the place.
    pub fn after_operations(mut self, operations: u64) -> Fault {
        self.trigger = Trigger::Operations(operations);
        self
    }

    /// With the operation that comes after so many octets of messages at the place.
    pub fn after_octets(mut self, octets: u64) -> Fault {
        self.trigger = Trigger::Octets(octets);
        self
    }

    /// After this time. Sooner or later than other faults of the same time, but always alike.
    pub fn after(mut self, time: Duration) -> Fault {
        self.trigger = Trigger::Time(time);
        self
    }

    /// At this link alone.
    pub(super) fn at(mut self, site: &Site) -> Fault {
        self.place = site.place();
        self
    }
}

impl From<Kind> for Fault {
    fn from(kind: Kind) -> Fault {
        Fault::new(kind)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Throttle { operations } => write!(f, "busy for {operations} operations"),
            Kind::Detach => f.write_str("detach"),
            Kind::Cut { octets, direction } => {
                let way = match direction {
                    Direction::ToClient => "to",
                    Direction::ToEmulator => "from",
                };
                write!(f, "cut after {octets} octets {way} the client")
            }
            Kind::DelayOutcomes { operations, delay } => {
                write!(f, "{operations} outcomes late by {delay:?}")
            }
            Kind::LoseOutcomes { operations } => write!(f, "{operations} outcomes lost"),
            Kind::LoseEvents { operations } => write!(f, "{operations} messages lost"),
            Kind::ExpireTokens => f.write_str("tokens expired"),
            Kind::Steal => f.write_str("stolen"),
            Kind::Silence => f.write_str("silent"),
            Kind::Slow { events, pause } => write!(f, "{pause:?} before {events} events"),
        }?;
        write!(f, "{}", self.place)
    }
}

/// A fault that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultRecord {
    /// When, by the runtime's time, after the start of the emulator.
    pub after: Duration,
    /// How many operations the emulator had seen, at all places.
    pub operation: u64,
    /// What happened.
    pub fault: Fault,
}

impl fmt::Display for FaultRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FaultRecord {
            after,
            operation,
            fault,
        } = self;
        write!(f, "after {after:?}, at operation {operation}: {fault}")
    }
}
