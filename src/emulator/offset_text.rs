//! How offsets are written: as numbers, or with the replication epoch of a namespace that has geo-replication.

use crate::codec::Symbol;
use crate::eventhubs::wire::condition;

/// The form of a namespace's offsets. The log has numbers; this is what clients see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OffsetText {
    /// `OFFSET`.
    Number,
    /// `EPOCH:OFFSET`. The service's own form is not published, and clients must not look into it.
    InEpoch(u32),
}

impl OffsetText {
    pub(crate) fn write(self, offset: u64) -> String {
        match self {
            OffsetText::Number => offset.to_string(),
            OffsetText::InEpoch(epoch) => format!("{epoch}:{offset}"),
        }
    }

    /// The number again, if the text is an offset of this namespace in this epoch.
    pub(crate) fn read(self, text: &str) -> Option<u64> {
        match self {
            OffsetText::Number => text.parse().ok(),
            OffsetText::InEpoch(_) => {
                let offset = text.split_once(':')?.1.parse().ok()?;
                (self.write(offset) == text).then_some(offset)
            }
        }
    }

    /// The epoch that `$management` tells.
    pub(crate) fn epoch(self) -> i64 {
        match self {
            OffsetText::Number => 0,
            OffsetText::InEpoch(epoch) => epoch.into(),
        }
    }

    /// What a client is refused with that starts at an offset which is not there.
    pub(crate) fn refusal(self) -> Symbol {
        match self {
            OffsetText::Number => condition::ARGUMENT_ERROR,
            OffsetText::InEpoch(_) => condition::INVALID_OFFSET,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_of_the_epoch_is_read_again_and_no_other() {
        let replicated = OffsetText::InEpoch(3);
        assert_eq!(replicated.write(4096), "3:4096");
        assert_eq!(replicated.read("3:4096"), Some(4096));
        for foreign in [
            "4096", "2:4096", "3:", ":4096", "3:+4096", "3:4096:0", "03:4096",
        ] {
            assert_eq!(replicated.read(foreign), None, "{foreign}");
        }
        assert_eq!(OffsetText::Number.read("4096"), Some(4096));
        assert_eq!(OffsetText::Number.read("3:4096"), None);
    }
}
