//! Links as faults see them, and the places that a fault is limited to.

use std::fmt;

use crate::codec::{Attach, Role, Value};
use crate::eventhubs::wire::{Address, property};

/// What a link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    pub(super) hub: String,
    /// Of links to one partition.
    pub(super) partition: Option<String>,
    /// The client's: a reader is a receiver.
    pub(super) role: Role,
    /// A reader with an owner level, from whom the partition can be stolen.
    pub(super) is_owner: bool,
}

/// Where a fault happens; what is not said is everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) hub: Option<String>,
    pub(super) partition: Option<String>,
    pub(super) role: Option<Role>,
}

impl Site {
    /// Where an attach leads.
    pub(crate) fn of(address: &Address, attach: &Attach) -> Site {
        let (hub, partition) = match address {
            Address::Hub { hub } | Address::Publisher { hub, .. } => (Some(hub), None),
            Address::Partition { hub, partition }
            | Address::ConsumerPartition { hub, partition, .. } => (Some(hub), Some(partition)),
            Address::Management { hub } => (hub.as_ref(), None),
            Address::Cbs => (None, None),
        };
        let epoch = attach.properties.get(&property::EPOCH);
        Site {
            hub: hub.cloned().unwrap_or_default(),
            partition: partition.cloned(),
            role: attach.role,
            is_owner: epoch.is_some_and(|epoch| *epoch != Value::Null),
        }
    }

    pub(super) fn place(&self) -> Place {
        Place {
            hub: Some(self.hub.clone()),
            partition: self.partition.clone(),
            role: Some(self.role),
        }
    }
}

impl Place {
    pub(super) fn is_everywhere(&self) -> bool {
        *self == Place::default()
    }

    pub(super) fn covers(&self, site: &Site) -> bool {
        let hub = self.hub.as_ref();
        hub.is_none_or(|hub| hub.eq_ignore_ascii_case(&site.hub))
            && (self.partition.is_none() || self.partition == site.partition)
            && self.role.is_none_or(|role| role == site.role)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            Some(Role::Receiver) => f.write_str(" for readers")?,
            Some(Role::Sender) => f.write_str(" for publishers")?,
            None => {}
        }
        match (&self.hub, &self.partition) {
            (None, None) => Ok(()),
            (Some(hub), None) => write!(f, " at {hub}"),
            (None, Some(partition)) => write!(f, " at partition {partition}"),
            (Some(hub), Some(partition)) => write!(f, " at {hub}/{partition}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Fields;

    fn site(address: &str, role: Role) -> Site {
        let attach = Attach::new("link", 0, role);
        Site::of(&address.parse().unwrap(), &attach)
    }

    #[test]
    fn a_place_covers_what_it_does_not_exclude() {
        let reader = site(
            "orders/ConsumerGroups/$Default/Partitions/1",
            Role::Receiver,
        );
        let to_hub = site("orders", Role::Sender);
        let hub = |hub: &str| Place {
            hub: Some(hub.into()),
            ..Place::default()
        };
        let partition = |id: &str| Place {
            partition: Some(id.into()),
            ..Place::default()
        };
        let readers = Place {
            role: Some(Role::Receiver),
            ..Place::default()
        };
        let table = [
            (Place::default(), true, true),
            (hub("ORDERS"), true, true),
            (hub("other"), false, false),
            (partition("1"), true, false),
            (partition("2"), false, false),
            (readers, true, false),
        ];
        for (place, covers_reader, covers_hub) in table {
            assert_eq!(place.covers(&reader), covers_reader, "{place:?}");
            assert_eq!(place.covers(&to_hub), covers_hub, "{place:?}");
        }
    }

    #[test]
    fn an_owner_has_a_level() {
        let level = |level: Value| {
            let attach = Attach {
                properties: Fields::new().with(property::EPOCH, level),
                ..Attach::new("link", 0, Role::Receiver)
            };
            Site::of(&"orders".parse().unwrap(), &attach).is_owner
        };
        assert!(level(0_i64.into()));
        assert!(!level(Value::Null));
    }
}
