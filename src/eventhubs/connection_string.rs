//! Connection strings: where the namespace is, which hub, and what opens it.

use std::fmt;
use std::str::FromStr;

use nom::bytes::complete::{tag, take_till, take_while1};
use nom::character::complete::{char, u16};
use nom::combinator::verify;
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

use super::auth::Secret;

/// A parsed connection string, as the portal or the emulator gives it.
///
/// Pairs `Key=Value`, separated by `;`; keys in any case and order:
///
/// | key | value |
/// |---|---|
/// | `Endpoint` | `sb://host[:port][/]`, required |
/// | `EntityPath` | name of the hub |
/// | `SharedAccessKeyName`, `SharedAccessKey` | a shared access policy; both or none |
/// | `SharedAccessSignature` | a ready-made signature instead of these |
/// | `UseDevelopmentEmulator` | `true`: plaintext, port 5672 unless the endpoint names one |
///
/// ```
/// use amqp10::eventhubs::ConnectionString;
///
/// let parsed: ConnectionString = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=send;\
///     SharedAccessKey=c2VjcmV0;EntityPath=orders".parse()?;
/// assert_eq!(parsed.host(), "ns.servicebus.windows.net");
/// assert_eq!(parsed.entity_path(), Some("orders"));
/// assert!(!format!("{parsed:?}").contains("c2VjcmV0"));
/// # Ok::<(), amqp10::eventhubs::ConnectionStringError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionString {
    host: String,
    port: Option<u16>,
    entity_path: Option<String>,
    credential: SharedAccess,
    emulator: bool,
}

/// What a connection string offers as proof.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SharedAccess {
    /// The key of a policy, to sign tokens with.
    Key {
        /// Name of the policy.
        name: String,
        /// Its key.
        key: Secret,
    },
    /// A signature that somebody else made.
    Signature(Secret),
    /// Nothing: tokens come from elsewhere.
    Absent,
}

impl ConnectionString {
    /// From what is commonly kept apart: host, policy, key and hub.
    ///
    /// `host` may carry a port, and may be written as `sb://host/`.
    ///
    /// # Errors
    ///
    /// If one of them is empty, or the host is not one. Offsets count from the start of that part.
    pub fn from_parts(
        host: &str,
        key_name: &str,
        key: &str,
        hub: &str,
    ) -> Result<Self, ConnectionStringError> {
        let (host, port) = parse_endpoint(host, 0)?;
        for (part, text) in [
            (ConnectionStringPart::SharedAccessKeyName, key_name),
            (ConnectionStringPart::SharedAccessKey, key),
            (ConnectionStringPart::EntityPath, hub),
        ] {
            if text.is_empty() {
                return Err(part.refused(0, "a text that is not empty"));
            }
        }
        Ok(Self {
            host,
            port,
            entity_path: Some(hub.to_owned()),
            credential: SharedAccess::Key {
                name: key_name.to_owned(),
                key: key.into(),
            },
            emulator: false,
        })
    }

    /// From the environment variables `HOST_NAME`, `SHARED_ACCESS_KEY_NAME`, `SHARED_ACCESS_KEY_VALUE` and
    /// `EVENT_HUB_NAME`.
    ///
    /// # Errors
    ///
    /// If one of them is missing, or as [`from_parts`](Self::from_parts).
    pub fn from_env() -> Result<Self, ConnectionStringError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// The same from variables that `variable` looks up elsewhere.
    fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConnectionStringError> {
        let required =
            |name: &'static str| variable(name).ok_or(ConnectionStringError::Unset { name });
        Self::from_parts(
            &required("HOST_NAME")?,
            &required("SHARED_ACCESS_KEY_NAME")?,
            &required("SHARED_ACCESS_KEY_VALUE")?,
            &required("EVENT_HUB_NAME")?,
        )
    }

    /// The namespace's host name, without port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where the endpoint names one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The hub, where the text names one.
    pub fn entity_path(&self) -> Option<&str> {
        self.entity_path.as_deref()
    }

    /// What the text offers as proof.
    pub fn credential(&self) -> &SharedAccess {
        &self.credential
    }

    /// Whether the namespace is an emulator: plaintext AMQP.
    pub fn is_emulator(&self) -> bool {
        self.emulator
    }
}

impl FromStr for ConnectionString {
    type Err = ConnectionStringError;

    fn from_str(text: &str) -> Result<Self, ConnectionStringError> {
        let pairs = Pairs::parse(text)?;
        let end = text.len();
        let (offset, endpoint) = pairs
            .get(ConnectionStringPart::Endpoint)
            .ok_or_else(|| ConnectionStringPart::Endpoint.refused(end, "`Endpoint=sb://host/`"))?;
        let (host, port) = parse_endpoint(endpoint, offset)?;
        Ok(Self {
            host,
            port,
            entity_path: pairs
                .get(ConnectionStringPart::EntityPath)
                .map(|(_, value)| value.to_owned()),
            credential: pairs.credential(end)?,
            emulator: pairs.emulator()?,
        })
    }
}

/// A part of a connection string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionStringPart {
    /// A pair as such: its key, or the `=`.
    Pair,
    /// `Endpoint`.
    Endpoint,
    /// `EntityPath`.
    EntityPath,
    /// `SharedAccessKeyName`.
    SharedAccessKeyName,
    /// `SharedAccessKey`.
    SharedAccessKey,
    /// `SharedAccessSignature`.
    SharedAccessSignature,
    /// `UseDevelopmentEmulator`.
    UseDevelopmentEmulator,
}

impl ConnectionStringPart {
    const KEYS: [Self; 6] = [
        Self::Endpoint,
        Self::EntityPath,
        Self::SharedAccessKeyName,
        Self::SharedAccessKey,
        Self::SharedAccessSignature,
        Self::UseDevelopmentEmulator,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Pair => "Key=Value",
            Self::Endpoint => "Endpoint",
            Self::EntityPath => "EntityPath",
            Self::SharedAccessKeyName => "SharedAccessKeyName",
            Self::SharedAccessKey => "SharedAccessKey",
            Self::SharedAccessSignature => "SharedAccessSignature",
            Self::UseDevelopmentEmulator => "UseDevelopmentEmulator",
        }
    }

    fn refused(self, offset: usize, expected: &'static str) -> ConnectionStringError {
        ConnectionStringError::Malformed {
            part: self,
            offset,
            expected,
        }
    }
}

impl fmt::Display for ConnectionStringPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with a connection string. It never holds a part of the text, which may be a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionStringError {
    /// A part is not what it should be.
    #[error("connection string: {part} at offset {offset}: expected {expected}")]
    Malformed {
        /// Which part.
        part: ConnectionStringPart,
        /// Where, in octets from the start of the text.
        offset: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// An environment variable has no value.
    #[error("the environment variable {name} is not set")]
    Unset {
        /// Its name.
        name: &'static str,
    },
}

const KNOWN_KEYS: &str = "Endpoint, EntityPath, SharedAccessKeyName, SharedAccessKey, SharedAccessSignature or \
                          UseDevelopmentEmulator, followed by `=`";

/// The pairs of the text, each value with its offset.
struct Pairs<'a>(Vec<(ConnectionStringPart, usize, &'a str)>);

impl<'a> Pairs<'a> {
    fn parse(text: &'a str) -> Result<Self, ConnectionStringError> {
        let mut pairs = Self(Vec::new());
        let mut rest = text;
        while !rest.trim_start_matches([';', ' ', '\r', '\n']).is_empty() {
            rest = rest.trim_start_matches([';', ' ', '\r', '\n']);
            let offset = text.len() - rest.len();
            let (after, (key, value)) =
                pair(rest).map_err(|_| ConnectionStringPart::Pair.refused(offset, KNOWN_KEYS))?;
            let part = ConnectionStringPart::KEYS
                .into_iter()
                .find(|part| part.as_str().eq_ignore_ascii_case(key.trim()))
                .ok_or_else(|| ConnectionStringPart::Pair.refused(offset, KNOWN_KEYS))?;
            let value_offset = text.len() - after.len() - value.len();
            let value = value.trim_end();
            if value.is_empty() {
                return Err(part.refused(value_offset, "a value after `=`"));
            }
            // A hub that is appended to a text that names it already is no contradiction.
            if pairs.get(part).is_some_and(|(_, before)| before != value) {
                return Err(part.refused(offset, "each key once, or with the same value"));
            }
            pairs.0.push((part, value_offset, value));
            rest = after;
        }
        Ok(pairs)
    }

    fn get(&self, wanted: ConnectionStringPart) -> Option<(usize, &'a str)> {
        let found = self.0.iter().find(|(part, ..)| *part == wanted)?;
        Some((found.1, found.2))
    }

    fn credential(&self, end: usize) -> Result<SharedAccess, ConnectionStringError> {
        let name = self.get(ConnectionStringPart::SharedAccessKeyName);
        let key = self.get(ConnectionStringPart::SharedAccessKey);
        let signature = self.get(ConnectionStringPart::SharedAccessSignature);
        match (name, key, signature) {
            (Some((_, name)), Some((_, key)), None) => Ok(SharedAccess::Key {
                name: name.to_owned(),
                key: key.into(),
            }),
            (None, None, Some((_, signature))) => Ok(SharedAccess::Signature(signature.into())),
            (None, None, None) => Ok(SharedAccess::Absent),
            (_, _, Some((offset, _))) => Err(ConnectionStringPart::SharedAccessSignature.refused(
                offset,
                "either a signature or SharedAccessKeyName and SharedAccessKey, not both",
            )),
            (None, Some(_), None) => Err(ConnectionStringPart::SharedAccessKeyName
                .refused(end, "the policy's name beside SharedAccessKey")),
            (Some(_), None, None) => Err(ConnectionStringPart::SharedAccessKey
                .refused(end, "the policy's key beside SharedAccessKeyName")),
        }
    }

    fn emulator(&self) -> Result<bool, ConnectionStringError> {
        match self.get(ConnectionStringPart::UseDevelopmentEmulator) {
            None => Ok(false),
            Some((_, value)) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some((_, value)) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some((offset, _)) => {
                Err(ConnectionStringPart::UseDevelopmentEmulator
                    .refused(offset, "`true` or `false`"))
            }
        }
    }
}

/// A key up to the first `=`, and a value up to the next `;`. A `;` before the `=` is an error.
fn pair(input: &str) -> IResult<&str, (&str, &str)> {
    let key = take_while1(|c| c != '=' && c != ';');
    let value = take_till(|c| c == ';');
    (terminated(key, char('=')), value).parse(input)
}

/// `[sb://]host[:port][/]`; the scheme is optional so that a bare host name serves as well.
fn parse_endpoint(
    text: &str,
    offset: usize,
) -> Result<(String, Option<u16>), ConnectionStringError> {
    let end = offset + text.len();
    let refused =
        |rest: &str, expected| ConnectionStringPart::Endpoint.refused(end - rest.len(), expected);

    let (rest, scheme) = scheme(text).unwrap_or((text, "sb"));
    if !scheme.eq_ignore_ascii_case("sb") {
        return Err(refused(text, "the scheme `sb://`"));
    }
    let (rest, host) = host(rest).map_err(|_| refused(rest, "a host name"))?;
    let (rest, port) = match port(rest) {
        Ok((rest, port)) => (rest, Some(port)),
        Err(_) if rest.starts_with(':') => {
            return Err(refused(&rest[1..], "a port from 1 to 65535"));
        }
        Err(_) => (rest, None),
    };
    match rest.strip_prefix('/').unwrap_or(rest) {
        "" => Ok((host.to_owned(), port)),
        rest => Err(refused(rest, "nothing after `sb://host[:port]/`")),
    }
}

fn scheme(input: &str) -> IResult<&str, &str> {
    terminated(take_till(|c| c == ':' || c == '/'), tag("://")).parse(input)
}

fn host(input: &str) -> IResult<&str, &str> {
    take_while1(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')).parse(input)
}

fn port(input: &str) -> IResult<&str, u16> {
    verify(preceded(char(':'), u16), |port| *port != 0).parse(input)
}

#[cfg(test)]
mod tests {
    use super::ConnectionStringPart as Part;
    use super::*;

    const AZURE: &str = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=aa==;EntityPath=hub";

    fn refusal(text: &str) -> (Part, usize) {
        match text.parse::<ConnectionString>() {
            Err(ConnectionStringError::Malformed { part, offset, .. }) => (part, offset),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn values_are_split_at_the_first_equals_sign() {
        let parsed: ConnectionString = AZURE.parse().unwrap();
        assert_eq!(parsed.host(), "ns.servicebus.windows.net");
        assert_eq!(parsed.port(), None);
        assert_eq!(parsed.entity_path(), Some("hub"));
        assert!(!parsed.is_emulator());
        let expected = SharedAccess::Key {
            name: "Root".into(),
            key: "aa==".into(),
        };
        assert_eq!(*parsed.credential(), expected);
    }

    #[test]
    fn keys_are_read_in_any_case_and_order_with_stray_separators() {
        let text = ";sharedaccesskey=aa==; ENTITYPATH=hub;SharedAccessKeyNAME=Root;endpoint=SB://ns.servicebus.windows.net;;\n";
        assert_eq!(
            text.parse::<ConnectionString>(),
            AZURE.parse::<ConnectionString>()
        );
    }

    #[test]
    fn the_emulators_string_is_read() {
        let text = "Endpoint=sb://localhost:5673;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;";
        let parsed: ConnectionString = text.parse().unwrap();
        assert!(parsed.is_emulator());
        assert_eq!((parsed.host(), parsed.port()), ("localhost", Some(5673)));
        assert_eq!(parsed.entity_path(), None);
    }

    #[test]
    fn what_is_said_twice_alike_is_said_once() {
        let parsed: ConnectionString = "Endpoint=sb://ns;EntityPath=a;EntityPath=a;"
            .parse()
            .unwrap();
        assert_eq!(parsed.entity_path(), Some("a"));
    }

    #[test]
    fn a_signature_is_kept_whole() {
        let text = "Endpoint=sb://ns/;SharedAccessSignature=SharedAccessSignature sr=a&sig=b%3D&se=1&skn=c";
        let parsed: ConnectionString = text.parse().unwrap();
        let signature = "SharedAccessSignature sr=a&sig=b%3D&se=1&skn=c".into();
        assert_eq!(*parsed.credential(), SharedAccess::Signature(signature));
    }

    #[test]
    fn errors_name_the_part_and_the_offset() {
        assert_eq!(refusal(""), (Part::Endpoint, 0));
        assert_eq!(refusal("Endpoint"), (Part::Pair, 0));
        assert_eq!(refusal("Endpoint;a=b"), (Part::Pair, 0));
        assert_eq!(refusal("Endpoint=sb://ns;Colour=red"), (Part::Pair, 17));
        assert_eq!(refusal("Endpoint="), (Part::Endpoint, 9));
        assert_eq!(refusal("Endpoint=http://ns/"), (Part::Endpoint, 9));
        assert_eq!(refusal("Endpoint=sb:///"), (Part::Endpoint, 14));
        assert_eq!(refusal("Endpoint=sb://ns:port/"), (Part::Endpoint, 17));
        assert_eq!(refusal("Endpoint=sb://ns:70000/"), (Part::Endpoint, 17));
        assert_eq!(refusal("Endpoint=sb://ns:0"), (Part::Endpoint, 17));
        assert_eq!(refusal("Endpoint=sb://ns/hub"), (Part::Endpoint, 17));
        assert_eq!(refusal("Endpoint=sb://n s/"), (Part::Endpoint, 15));
        assert_eq!(
            refusal("Endpoint=sb://ns;Endpoint=sb://other"),
            (Part::Endpoint, 17)
        );
        assert_eq!(
            refusal("Endpoint=sb://ns;SharedAccessKey=k"),
            (Part::SharedAccessKeyName, 34)
        );
        assert_eq!(
            refusal("Endpoint=sb://ns;SharedAccessKeyName=n"),
            (Part::SharedAccessKey, 38)
        );
        assert_eq!(
            refusal(
                "Endpoint=sb://ns;SharedAccessKeyName=n;SharedAccessKey=k;SharedAccessSignature=s"
            ),
            (Part::SharedAccessSignature, 79)
        );
        assert_eq!(
            refusal("Endpoint=sb://ns;UseDevelopmentEmulator=yes"),
            (Part::UseDevelopmentEmulator, 40)
        );
    }

    #[test]
    fn neither_debug_nor_errors_show_secrets() {
        let parsed: ConnectionString = AZURE.parse().unwrap();
        assert!(!format!("{parsed:?}").contains("aa=="));
        for text in [
            "SharedAccessKey:hush",
            "hush=1",
            "SharedAccessKey=hush;EndPoint=hush?",
        ] {
            let error = text.parse::<ConnectionString>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hush"), "{text}");
        }
    }

    #[test]
    fn parts_are_taken_from_variables() {
        let variables = |name: &str| {
            Some(
                match name {
                    "HOST_NAME" => "ns.servicebus.windows.net",
                    "SHARED_ACCESS_KEY_NAME" => "Root",
                    "SHARED_ACCESS_KEY_VALUE" => "aa==",
                    "EVENT_HUB_NAME" => "hub",
                    _ => return None,
                }
                .to_owned(),
            )
        };
        assert_eq!(
            ConnectionString::from_variables(variables),
            AZURE.parse::<ConnectionString>()
        );
        let error = ConnectionString::from_variables(|_| None).unwrap_err();
        assert_eq!(error, ConnectionStringError::Unset { name: "HOST_NAME" });
    }
}
