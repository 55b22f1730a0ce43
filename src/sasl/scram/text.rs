//! The text of SCRAM's messages: attributes with commas between.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::sasl::SaslError;

/// SASLprep (RFC 4013): one form for what looks the same.
pub(super) fn prepare(text: &str) -> Result<Cow<'_, str>, SaslError> {
    let unusable = |reason| Err(SaslError::UnusableCredentials { reason });
    match stringprep::saslprep(text) {
        Ok(prepared) if prepared.is_empty() => unusable("the user name or password is empty"),
        Ok(prepared) => Ok(prepared),
        Err(_) => unusable("the user name or password has a character that RFC 4013 forbids"),
    }
}

/// A user name as an attribute has it.
pub(super) fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// The reverse of [`escape`]; `None` if it is not the result of it.
pub(super) fn unescape(name: &str) -> Option<String> {
    let mut parts = name.split('=');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let rest = match part.get(..2)? {
            "3D" => ('=', &part[2..]),
            "2C" => (',', &part[2..]),
            _ => return None,
        };
        text.push(rest.0);
        text.push_str(rest.1);
    }
    Some(text)
}

/// The attributes of a message, in their order.
pub(super) struct Attributes<'a>(std::iter::Peekable<std::str::Split<'a, char>>);

impl<'a> Attributes<'a> {
    pub(super) fn of(message: &'a str) -> Self {
        Self(message.split(',').peekable())
    }

    /// The value of the next attribute, if its name is `name`.
    pub(super) fn next(&mut self, name: char) -> Option<&'a str> {
        let value = self.0.peek()?.strip_prefix(name)?.strip_prefix('=')?;
        self.0.next();
        Some(value)
    }
}

/// A nonce is printable ASCII without commas (RFC 5802, section 7).
pub(super) fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic())
}

pub(super) fn encode(octets: &[u8]) -> String {
    BASE64.encode(octets)
}

pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn y_030_names_are_prepared_and_escaped() {
        // RFC 4013, section 3.
        assert_eq!(prepare("I\u{ad}X").unwrap(), "IX");
        assert_eq!(prepare("\u{aa}").unwrap(), "a");
        assert_eq!(prepare("\u{2168}").unwrap(), "IX");
        for forbidden in ["\u{7}", "\u{627}1", "", "\u{ad}"] {
            assert!(prepare(forbidden).is_err(), "{forbidden:?}");
        }
        assert_eq!(escape("a=b,c"), "a=3Db=2Cc");
        assert_eq!(unescape("a=3Db=2Cc").as_deref(), Some("a=b,c"));
        for malformed in ["a=", "a=3", "a=3d", "a=41", "=é"] {
            assert_eq!(unescape(malformed), None, "{malformed}");
        }
    }
}
