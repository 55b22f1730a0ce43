//! Octets of a string or symbol: short ones in place, long ones shared with the input they came from.

use bytes::Bytes;

/// So many octets fit in place without making the type larger than `Bytes`.
pub(crate) const INLINE: usize = 23;

/// Short text is copied (cheaper than a reference count, and it does not keep a receive buffer alive); long
/// text is a slice of the input.
#[derive(Clone)]
pub(crate) enum Octets {
    Inline(Inline),
    Shared(Bytes),
}

/// The text and, in the last octet, its length. Aligned like `Bytes`, so that it is moved in whole words.
#[derive(Clone, Copy)]
#[repr(align(8))]
pub(crate) struct Inline([u8; INLINE + 1]);

impl Octets {
    pub(crate) const EMPTY: Self = Self::Inline(Inline([0; INLINE + 1]));

    pub(crate) const fn from_static(octets: &'static [u8]) -> Self {
        Self::Shared(Bytes::from_static(octets))
    }

    /// Text of `len` octets, at most [`INLINE`], at the start of `input`. Copying a fixed number of octets is
    /// faster than copying the right number, so what follows the text comes along where there is enough.
    #[inline(always)]
    pub(crate) fn inline(input: &[u8], len: usize) -> Self {
        let Some(window) = input.first_chunk::<{ INLINE + 1 }>() else {
            return Self::inline_at_end(&input[..len]);
        };
        let mut octets = [0; INLINE + 1];
        let (words, last_word) = octets.split_at_mut(16);
        let (window_words, window_last_word) = window.split_at(16);
        words.copy_from_slice(window_words);
        let last = u64::from_le_bytes(*window_last_word.first_chunk().unwrap_or(&[0; 8]));
        let last = last << 8 >> 8 | (len as u64) << 56;
        last_word.copy_from_slice(&last.to_le_bytes());
        Self::Inline(Inline(octets))
    }

    #[cold]
    fn inline_at_end(text: &[u8]) -> Self {
        let mut octets = [0; INLINE + 1];
        octets[..text.len()].copy_from_slice(text);
        octets[INLINE] = text.len() as u8;
        Self::Inline(Inline(octets))
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline(Inline(octets)) => &octets[..usize::from(octets[INLINE])],
            Self::Shared(bytes) => bytes,
        }
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Inline(_) => Bytes::copy_from_slice(self.as_slice()),
            Self::Shared(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Octets {
    fn from(slice: &[u8]) -> Self {
        match slice.len() {
            0..=INLINE => Self::inline(slice, slice.len()),
            _ => Self::Shared(Bytes::copy_from_slice(slice)),
        }
    }
}

impl From<Bytes> for Octets {
    fn from(bytes: Bytes) -> Self {
        match bytes.len() {
            0..=INLINE => Self::inline(&bytes, bytes.len()),
            _ => Self::Shared(bytes),
        }
    }
}
