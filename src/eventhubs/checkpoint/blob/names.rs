//! What the blobs of a group are called.

use super::super::ConsumerGroupId;

/// How the names of namespace, hub and consumer group are spelt in the names of blobs, where upper and lower case differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobNames {
    /// In lower case, as the clients for .NET, Python and JavaScript do.
    #[default]
    LowerCase,
    /// As they were given, as the clients for Go, Java and Rust do.
    Verbatim,
}

/// What a blob is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Ownership,
    Checkpoint,
}

impl BlobNames {
    /// What the names of all such blobs of a group begin with.
    pub(super) fn folder(self, group: &ConsumerGroupId, record: Record) -> String {
        let ConsumerGroupId {
            namespace,
            hub,
            consumer_group,
        } = group;
        let names = format!("{namespace}/{hub}/{consumer_group}");
        let names = match self {
            Self::LowerCase => names.to_lowercase(),
            Self::Verbatim => names,
        };
        let record = match record {
            Record::Ownership => "ownership",
            Record::Checkpoint => "checkpoint",
        };
        format!("{names}/{record}/")
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::LowerCase => Self::Verbatim,
            Self::Verbatim => Self::LowerCase,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_other_clients() {
        let group = ConsumerGroupId::new("NS.servicebus.windows.net", "Orders", "$Default");
        assert_eq!(
            BlobNames::LowerCase.folder(&group, Record::Ownership),
            "ns.servicebus.windows.net/orders/$default/ownership/"
        );
        assert_eq!(
            BlobNames::Verbatim.folder(&group, Record::Checkpoint),
            "NS.servicebus.windows.net/Orders/$Default/checkpoint/"
        );
    }
}
