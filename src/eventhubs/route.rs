//! Where events go.

use super::error::EventHubsError;
use super::wire::{Address, MAX_PARTITION_KEY_LENGTH, MAX_PUBLISHER_NAME_LENGTH};

/// Where events go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// The service chooses a partition.
    #[default]
    Any,
    /// To the partition with this id.
    Partition(String),
    /// To the partition that the service computes from this key: the same for all events of a key, which therefore stay
    /// in order. At most 128 characters.
    Key(String),
    /// In the name of this publisher, which the service may revoke by itself; it chooses the partition. At most 128
    /// characters, none of them a slash.
    Publisher(String),
}

impl Route {
    /// To the partition with this id.
    pub fn partition(id: impl Into<String>) -> Self {
        Self::Partition(id.into())
    }

    /// To the partition of this partition key.
    pub fn key(key: impl Into<String>) -> Self {
        Self::Key(key.into())
    }

    /// In the name of this publisher.
    pub fn publisher(name: impl Into<String>) -> Self {
        Self::Publisher(name.into())
    }

    /// The address in `hub` to which events that go there are sent, checked as far as that can be done here.
    pub(super) fn address(&self, hub: &str) -> Result<Address, EventHubsError> {
        let hub = hub.to_owned();
        let refused = |what: String| {
            let attempt = format!("send to {hub}");
            Err(EventHubsError::invalid_argument(attempt, what))
        };
        match self {
            Self::Key(key) if key.chars().count() > MAX_PARTITION_KEY_LENGTH => refused(format!(
                "the partition key is longer than {MAX_PARTITION_KEY_LENGTH} characters"
            )),
            Self::Any | Self::Key(_) => Ok(Address::Hub { hub }),
            Self::Partition(partition) if !is_partition_id(partition) => refused(format!(
                "{partition:?} is not the id of a partition: expected a decimal number"
            )),
            Self::Partition(partition) => Ok(Address::Partition {
                hub,
                partition: partition.clone(),
            }),
            Self::Publisher(publisher) if !is_publisher_name(publisher) => refused(format!(
                "{publisher:?} is not the name of a publisher: expected 1 to {MAX_PUBLISHER_NAME_LENGTH} characters, none \
                 of them a slash"
            )),
            Self::Publisher(publisher) => Ok(Address::Publisher {
                hub,
                publisher: publisher.clone(),
            }),
        }
    }
}

/// Whether a text can be the id of a partition, so that it cannot change the address that it becomes a part of.
pub(super) fn is_partition_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit())
}

/// The same for the name of a publisher.
fn is_publisher_name(text: &str) -> bool {
    let length = text.chars().count();
    (1..=MAX_PUBLISHER_NAME_LENGTH).contains(&length) && !text.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventhubs::ErrorKind;

    fn refused(route: Route) {
        let error = route.address("hub").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }

    #[test]
    fn only_decimal_numbers_are_ids_of_partitions() {
        let address = Route::partition("12").address("hub").unwrap();
        assert_eq!(address.to_string(), "hub/Partitions/12");
        for wrong in ["", "-1", "0/../1", "zero", " 1"] {
            refused(Route::partition(wrong));
        }
    }

    #[test]
    fn a_publisher_is_named_without_a_slash() {
        let address = Route::publisher("device 42").address("hub").unwrap();
        assert_eq!(address.to_string(), "hub/Publishers/device 42");
        assert!(Route::publisher("é".repeat(128)).address("hub").is_ok());
        for wrong in ["", "a/b", &"x".repeat(129)] {
            refused(Route::publisher(wrong));
        }
    }

    #[test]
    fn a_partition_key_has_128_characters_at_most() {
        let address = Route::key("é".repeat(128)).address("hub").unwrap();
        assert_eq!(address.to_string(), "hub");
        refused(Route::key("x".repeat(129)));
    }
}
