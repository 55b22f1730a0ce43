//! Primitive types that Rust has no type for.

use core::fmt;

/// `[1.6.17]` A moment in milliseconds since 1970-01-01 UTC; negative before that (T-021).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment so many milliseconds after 1970-01-01 UTC.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub const fn millis(self) -> i64 {
        self.0
    }
}

/// `[1.6.18]` A UUID in the octet order of RFC 4122.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// The octets.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for Uuid {
    fn from(octets: [u8; 16]) -> Self {
        Self(octets)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, octet) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{octet:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `[1.6.13]` An IEEE 754 decimal32: its bits, for there is no decimal arithmetic here (T-019).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dec32(pub [u8; 4]);

/// `[1.6.14]` An IEEE 754 decimal64: its bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dec64(pub [u8; 8]);

/// `[1.6.15]` An IEEE 754 decimal128: its bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dec128(pub [u8; 16]);

/// `[2.8.7]` The name of a delivery, unique among the unsettled ones of its link: at most 32 octets.
#[derive(Clone, Copy)]
pub struct DeliveryTag {
    len: u8,
    octets: [u8; DeliveryTag::MAX_LEN],
}

impl DeliveryTag {
    /// The longest delivery tag (T-065).
    pub const MAX_LEN: usize = 32;
    /// The tag without octets, which is legal.
    pub const EMPTY: DeliveryTag = DeliveryTag {
        len: 0,
        octets: [0; Self::MAX_LEN],
    };

    /// The octets.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

/// Octets are too long for a delivery tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagTooLongError;

impl fmt::Display for TagTooLongError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a delivery tag has at most 32 octets")
    }
}

impl core::error::Error for TagTooLongError {}

impl TryFrom<&[u8]> for DeliveryTag {
    type Error = TagTooLongError;

    #[inline]
    fn try_from(slice: &[u8]) -> Result<Self, TagTooLongError> {
        let mut tag = Self::EMPTY;
        let octets = tag.octets.get_mut(..slice.len()).ok_or(TagTooLongError)?;
        octets.copy_from_slice(slice);
        tag.len = slice.len() as u8;
        Ok(tag)
    }
}

impl From<[u8; 4]> for DeliveryTag {
    fn from(octets: [u8; 4]) -> Self {
        let mut tag = Self::EMPTY;
        tag.octets[..4].copy_from_slice(&octets);
        tag.len = 4;
        tag
    }
}

impl From<[u8; 8]> for DeliveryTag {
    fn from(octets: [u8; 8]) -> Self {
        let mut tag = Self::EMPTY;
        tag.octets[..8].copy_from_slice(&octets);
        tag.len = 8;
        tag
    }
}

impl From<Uuid> for DeliveryTag {
    fn from(uuid: Uuid) -> Self {
        let mut tag = Self::EMPTY;
        tag.octets[..16].copy_from_slice(&uuid.0);
        tag.len = 16;
        tag
    }
}

impl Default for DeliveryTag {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl AsRef<[u8]> for DeliveryTag {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for DeliveryTag {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for DeliveryTag {}

impl PartialOrd for DeliveryTag {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DeliveryTag {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl core::hash::Hash for DeliveryTag {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for DeliveryTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x")?;
        self.as_bytes()
            .iter()
            .try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}
