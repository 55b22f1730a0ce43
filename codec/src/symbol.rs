//! `Symbol`, a name from a constrained domain.

use alloc::string::String;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

use bytes::Bytes;

use crate::octets::Octets;
use crate::text::Str;

/// `[1.6.21]` An immutable ASCII name: a condition, a capability, a key of a map.
///
/// It is cheap to clone, like [`Str`]; only 7-bit ASCII is taken, when made and when decoded (T-027).
#[derive(Clone)]
pub struct Symbol(Octets);

/// The text of a symbol has a character outside 7-bit ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAsciiError;

impl fmt::Display for NotAsciiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a symbol holds 7-bit ASCII only")
    }
}

impl core::error::Error for NotAsciiError {}

impl Symbol {
    /// A symbol in static memory: no allocation, no copy.
    ///
    /// # Panics
    ///
    /// When `text` is not ASCII; at compile time where the result is a constant.
    pub const fn from_static(text: &'static str) -> Self {
        assert!(text.is_ascii(), "a symbol holds 7-bit ASCII only");
        Self(Octets::from_static(text.as_bytes()))
    }

    /// Octets that have been checked to be ASCII.
    #[inline]
    pub(crate) fn from_checked(octets: Octets) -> Self {
        Self(octets)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).expect("every constructor checks for ASCII")
    }

    /// The octets of the text.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl Default for Symbol {
    fn default() -> Self {
        Self(Octets::EMPTY)
    }
}

impl Deref for Symbol {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Symbol {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl TryFrom<&str> for Symbol {
    type Error = NotAsciiError;

    fn try_from(text: &str) -> Result<Self, NotAsciiError> {
        check(text)?;
        Ok(Self(Octets::from(text.as_bytes())))
    }
}

impl TryFrom<String> for Symbol {
    type Error = NotAsciiError;

    fn try_from(text: String) -> Result<Self, NotAsciiError> {
        check(&text)?;
        Ok(Self(Octets::from(Bytes::from(text))))
    }
}

fn check(text: &str) -> Result<(), NotAsciiError> {
    if text.is_ascii() {
        Ok(())
    } else {
        Err(NotAsciiError)
    }
}

impl From<Symbol> for Str {
    fn from(symbol: Symbol) -> Self {
        // ASCII is UTF-8.
        Str::from_checked(symbol.0)
    }
}

impl PartialEq for Symbol {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Symbol {}

impl PartialEq<str> for Symbol {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Symbol {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialOrd for Symbol {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Symbol {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Symbol {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(":")?;
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}
