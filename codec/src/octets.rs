//! Octets of a string or symbol: short ones in place, long ones shared with the input they came from.

use bytes::Bytes;

/// So many octets fit in place without making the type larger than `Bytes`.
const INLINE: usize = 23;

/// Short text is copied (cheaper than a reference count, and it does not keep a receive buffer alive); long
/// text is a slice of the input.
#[derive(Clone)]
pub(crate) enum Octets {
    Inline { len: u8, octets: [u8; INLINE] },
    Shared(Bytes),
}

impl Octets {
    pub(crate) const fn from_static(octets: &'static [u8]) -> Self {
        Self::Shared(Bytes::from_static(octets))
    }

    #[inline]
    pub(crate) fn inline(slice: &[u8]) -> Option<Self> {
        let mut octets = [0; INLINE];
        octets.get_mut(..slice.len())?.copy_from_slice(slice);
        Some(Self::Inline {
            len: slice.len() as u8,
            octets,
        })
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline { len, octets } => &octets[..usize::from(*len)],
            Self::Shared(bytes) => bytes,
        }
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Inline { .. } => Bytes::copy_from_slice(self.as_slice()),
            Self::Shared(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Octets {
    fn from(slice: &[u8]) -> Self {
        Self::inline(slice).unwrap_or_else(|| Self::Shared(Bytes::copy_from_slice(slice)))
    }
}

impl From<Bytes> for Octets {
    fn from(bytes: Bytes) -> Self {
        Self::inline(&bytes).unwrap_or(Self::Shared(bytes))
    }
}
