//! Shared access signatures, from the side that checks them (Event Hubs).
//!
//! The signature is verified over the resource exactly as it was received: clients differ in how they escape it.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use nom::bytes::complete::{tag, take_till, take_till1};
use nom::character::complete::char;
use nom::combinator::all_consuming;
use nom::multi::separated_list1;
use nom::sequence::{preceded, separated_pair};
use nom::{IResult, Parser};
use sha2::Sha256;

use super::audience::Audience;
use crate::percent;

/// The longest token that is looked at, in octets.
const MAX_TOKEN: usize = 16 * 1024;

/// The key that signs tokens: its name, and its text. The text is the secret and is never shown.
#[derive(Clone)]
pub(crate) struct AccessKey {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl AccessKey {
    /// True if name and text are the key's own; the time it takes tells nothing about the text.
    pub(crate) fn is(&self, name: &str, value: &str) -> bool {
        let presented = AccessKey {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let digest = signer(&presented, name, "").finalize().into_bytes();
        name == self.name && signer(self, name, "").verify_slice(&digest).is_ok()
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Why a token was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SasError {
    /// The text is not a token.
    #[error("malformed shared access signature: {0}")]
    Malformed(&'static str),
    /// No key has this name.
    #[error("the shared access key name '{0}' is unknown")]
    UnknownKey(String),
    /// Signed with another key, or over another text.
    #[error("the signature of the token does not match its resource and expiry")]
    BadSignature,
    /// Its time is over.
    #[error("the token expired {0} s ago")]
    Expired(u64),
}

/// What a verified token allows, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) audience: Audience,
    pub(crate) expires: SystemTime,
}

/// Verifies a token against the key and the time.
pub(crate) fn verify(token: &str, key: &AccessKey, now: SystemTime) -> Result<Grant, SasError> {
    let token = Token::parse(token)?;
    let key_name =
        percent::decode(token.key_name).map_err(|_| SasError::Malformed("skn is badly escaped"))?;
    if key_name != key.name {
        return Err(SasError::UnknownKey(key_name));
    }
    let signature = percent::decode(token.signature)
        .ok()
        .and_then(|text| STANDARD.decode(text).ok())
        .ok_or(SasError::Malformed("sig is not base64"))?;
    // Compared in constant time by the hmac crate.
    signer(key, token.resource, token.expiry)
        .verify_slice(&signature)
        .map_err(|_| SasError::BadSignature)?;

    let seconds = token
        .expiry
        .parse()
        .map_err(|_| SasError::Malformed("se is not a number of seconds"))?;
    let expires = UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .ok_or(SasError::Malformed("se is too far in the future"))?;
    if let Ok(late) = now.duration_since(expires) {
        return Err(SasError::Expired(late.as_secs()));
    }
    let resource =
        percent::decode(token.resource).map_err(|_| SasError::Malformed("sr is badly escaped"))?;
    let audience = Audience::parse(&resource).ok_or(SasError::Malformed("sr is not an address"))?;
    Ok(Grant { audience, expires })
}

/// The HMAC over resource and expiry. The key is the text itself, not what its base64 stands for.
fn signer(key: &AccessKey, resource: &str, expiry: &str) -> Hmac<Sha256> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key.value.as_bytes())
        .expect("HMAC takes keys of any length");
    hmac.update(resource.as_bytes());
    hmac.update(b"\n");
    hmac.update(expiry.as_bytes());
    hmac
}

/// The four parts of a token, as received.
struct Token<'a> {
    resource: &'a str,
    signature: &'a str,
    expiry: &'a str,
    key_name: &'a str,
}

impl<'a> Token<'a> {
    /// Takes a token apart; the order of its parts is free.
    fn parse(text: &'a str) -> Result<Token<'a>, SasError> {
        if text.len() > MAX_TOKEN {
            return Err(SasError::Malformed("it is longer than 16 KiB"));
        }
        let (_, fields) = all_consuming(fields).parse(text).map_err(|_| {
            SasError::Malformed("expected SharedAccessSignature sr=..&sig=..&se=..&skn=..")
        })?;
        let find = |wanted: &str, missing| {
            let found = fields.iter().find(|(name, _)| *name == wanted);
            found
                .map(|(_, value)| *value)
                .ok_or(SasError::Malformed(missing))
        };
        Ok(Token {
            resource: find("sr", "sr is missing")?,
            signature: find("sig", "sig is missing")?,
            expiry: find("se", "se is missing")?,
            key_name: find("skn", "skn is missing")?,
        })
    }
}

/// The parts of a token by name.
fn fields(input: &str) -> IResult<&str, Vec<(&str, &str)>> {
    let name = take_till1(|c| c == '=' || c == '&');
    let field = separated_pair(name, char('='), take_till(|c| c == '&'));
    preceded(
        tag("SharedAccessSignature "),
        separated_list1(char('&'), field),
    )
    .parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRY: u64 = 1_893_456_000;
    const KEY: &str = "c2VjcmV0LWtleS1mb3ItdGVzdHM=";

    /// (key text, sr, base64 signature)
    const VECTORS: &[(&str, &str, &str)] = &[
        (
            KEY,
            "sb%3A%2F%2Fexample.servicebus.windows.net%2Fhub1",
            "rjGG1DjRXNplmldim3QEYmqXrELsxcedB6hvKsSoFkk=",
        ),
        (
            KEY,
            "sb%3a%2f%2fexample.servicebus.windows.net%2fhub1",
            "vilWdu8lEK7s5dVBIBm26nezQgpI0Bny6PZ3vRKZFp4=",
        ),
        (
            KEY,
            "amqps%3A%2F%2Fexample.servicebus.windows.net%2Fhub1",
            "TSLXzB3GVY63JmF1GkEModx9jthaej/CxBH0VJ6QF/M=",
        ),
        (
            KEY,
            "amqps%3a%2f%2fexample.servicebus.windows.net%2fhub1",
            "n1ZfmEIfznKdZZ107v6NgLugLwRr8jhVqXdv5Q/pY8o=",
        ),
        (
            KEY,
            "sb%3A%2F%2Flocalhost%2Feh1%2FConsumerGroups%2F%24Default%2FPartitions%2F0",
            "Hi32eC6zDqJ84FqFvoYg9Jn1dpGr4H6Iwf/KvUyDx10=",
        ),
        (
            "SAS_KEY_VALUE",
            "sb%3A%2F%2Flocalhost%2Feh1",
            "ygmJd5pPjmeij5wxvAmtsNL0DxjBq8VR0OdqYoCnaJg=",
        ),
    ];

    fn key(value: &str) -> AccessKey {
        AccessKey {
            name: "RootManageSharedAccessKey".into(),
            value: value.into(),
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn token(resource: &str, signature: &str) -> String {
        let escaped = signature
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D");
        format!(
            "SharedAccessSignature sr={resource}&sig={escaped}&se={EXPIRY}&skn=RootManageSharedAccessKey"
        )
    }

    #[test]
    fn the_published_signatures_are_accepted_over_the_text_as_received() {
        for (value, resource, signature) in VECTORS {
            let grant =
                verify(&token(resource, signature), &key(value), at(EXPIRY - 1)).expect(resource);
            assert_eq!(grant.expires, at(EXPIRY));
        }
    }

    #[test]
    fn the_order_of_the_parts_is_free() {
        let (value, resource, signature) = VECTORS[5];
        let escaped = signature.replace('=', "%3d");
        let token = format!(
            "SharedAccessSignature skn=RootManageSharedAccessKey&se={EXPIRY}&sig={escaped}&sr={resource}"
        );
        let grant = verify(&token, &key(value), at(0)).unwrap();
        assert_eq!(
            grant.audience,
            Audience::parse("sb://localhost/eh1").unwrap()
        );
    }

    #[test]
    fn a_signature_of_another_key_or_resource_is_refused() {
        let (value, resource, signature) = VECTORS[0];
        assert_eq!(
            verify(&token(resource, signature), &key("other"), at(0)),
            Err(SasError::BadSignature)
        );
        assert_eq!(
            verify(&token(VECTORS[1].1, signature), &key(value), at(0)),
            Err(SasError::BadSignature)
        );
    }

    #[test]
    fn an_expired_token_is_refused_from_the_second_it_ends() {
        let (value, resource, signature) = VECTORS[0];
        let token = token(resource, signature);
        assert_eq!(
            verify(&token, &key(value), at(EXPIRY)),
            Err(SasError::Expired(0))
        );
        assert_eq!(
            verify(&token, &key(value), at(EXPIRY + 7)),
            Err(SasError::Expired(7))
        );
    }

    #[test]
    fn another_key_name_is_named() {
        let (_, resource, signature) = VECTORS[0];
        let key = AccessKey {
            name: "Reader".into(),
            value: KEY.into(),
        };
        let error = SasError::UnknownKey("RootManageSharedAccessKey".into());
        assert_eq!(verify(&token(resource, signature), &key, at(0)), Err(error));
    }

    #[test]
    fn malformed_tokens_are_told_from_bad_signatures() {
        for text in [
            "",
            "SharedAccessSignature ",
            "SharedAccessSignature sr",
            "SharedAccessSignature sr=a&sig=b&se=1",
            "SharedAccessSignature sr=a&sig=%%%&se=1&skn=RootManageSharedAccessKey",
            "Bearer sr=a&sig=b&se=1&skn=RootManageSharedAccessKey",
        ] {
            assert!(
                matches!(verify(text, &key(KEY), at(0)), Err(SasError::Malformed(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn a_key_is_known_by_name_and_text() {
        assert!(key(KEY).is("RootManageSharedAccessKey", KEY));
        assert!(!key(KEY).is("RootManageSharedAccessKey", "other"));
        assert!(!key(KEY).is("other", KEY));
    }

    #[test]
    fn the_key_is_not_in_debug_output() {
        assert!(!format!("{:?}", key(KEY)).contains(KEY));
    }
}
