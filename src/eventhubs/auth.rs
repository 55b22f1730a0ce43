//! Tokens: signing a shared access signature, and where tokens come from.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

#[cfg(feature = "entra")]
pub use super::entra::EntraTokens;
use super::wire::cbs::{TYPE_JWT, TYPE_SAS};
use crate::percent;

/// How long a token lives that a [`SasKey`] signs, if nothing else is said.
pub const DEFAULT_TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// A text that no log, debug output or error shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// What kind of token it is; the service is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenKind {
    /// A shared access signature.
    Sas,
    /// A JSON web token, as Entra ID gives them.
    Jwt,
}

impl TokenKind {
    /// The kind as `put-token` names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sas => TYPE_SAS,
            Self::Jwt => TYPE_JWT,
        }
    }
}

/// Something that the service takes as proof that we may do what we do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    text: Secret,
    kind: TokenKind,
    expires_at: Option<SystemTime>,
}

impl Token {
    /// A token as somebody issued it. One without an end is never renewed.
    pub fn new(
        text: impl Into<Secret>,
        kind: TokenKind,
        expires_at: impl Into<Option<SystemTime>>,
    ) -> Self {
        Self {
            text: text.into(),
            kind,
            expires_at: expires_at.into(),
        }
    }

    /// The token's text. Do not log it.
    pub fn text(&self) -> &str {
        self.text.expose()
    }

    /// What kind of token it is.
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// When the token ends, if it does.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }
}

/// Why there is no token. The text is the source's own and must hold no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no token: {reason}")]
pub struct TokenError {
    reason: String,
    retryable: bool,
}

impl TokenError {
    /// The source cannot give a token, and asking again will not help.
    pub fn fatal(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            retryable: false,
        }
    }

    /// The source cannot give a token now, and may later.
    pub fn transient(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            retryable: true,
        }
    }

    /// Whether asking again may help.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }
}

/// The future that a [`TokenSource`] returns.
pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<Token, TokenError>> + Send + 'a>>;

/// Where tokens come from.
///
/// Asked whenever a token is needed that does not end soon: when links are attached, and well before the last token ends. A
/// source that has a token at hand should give it out again until about ten minutes before its end.
pub trait TokenSource: Send + Sync {
    /// A token for `resource` (`sb://namespace/hub`, in lower case) that is valid at `now`, and for some time after.
    ///
    /// # Errors
    ///
    /// If there is no token; [`TokenError`] says whether to ask again.
    ///
    /// # Cancel safety
    /// The client drops the future when nobody waits for the token any more, or the time for it is over, and asks anew.
    fn token<'a>(&'a self, resource: &'a str, now: SystemTime) -> TokenFuture<'a>;
}

/// Signs tokens with the key of a shared access policy.
///
/// ```
/// use amqp10::eventhubs::auth::SasKey;
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let key = SasKey::new("RootManageSharedAccessKey", "c2VjcmV0LWtleS1mb3ItdGVzdHM=");
/// let token = key.sign("sb://example.servicebus.windows.net/hub1", UNIX_EPOCH + Duration::from_secs(1893456000));
/// assert_eq!(
///     token.text(),
///     "SharedAccessSignature sr=sb%3A%2F%2Fexample.servicebus.windows.net%2Fhub1\
///      &sig=rjGG1DjRXNplmldim3QEYmqXrELsxcedB6hvKsSoFkk%3D&se=1893456000&skn=RootManageSharedAccessKey"
/// );
/// ```
#[derive(Clone, Debug)]
pub struct SasKey {
    name: String,
    key: Secret,
    lifetime: Duration,
}

impl SasKey {
    /// The policy's name and its key, as the portal shows it.
    pub fn new(name: impl Into<String>, key: impl Into<Secret>) -> Self {
        Self {
            name: name.into(),
            key: key.into(),
            lifetime: DEFAULT_TOKEN_LIFETIME,
        }
    }

    /// How long each token lives.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// A token for `resource` and all below it, until `expires_at` (whole seconds count).
    pub fn sign(&self, resource: &str, expires_at: SystemTime) -> Token {
        let resource = percent::encode(resource);
        let seconds = unix_seconds(expires_at);
        let signature = percent::encode(&self.signature(&resource, seconds));
        let name = percent::encode(&self.name);
        let text =
            format!("SharedAccessSignature sr={resource}&sig={signature}&se={seconds}&skn={name}");
        Token::new(text, TokenKind::Sas, from_unix_seconds(seconds))
    }

    /// The key is used as text: the service does not decode its base64 either.
    fn signature(&self, encoded_resource: &str, seconds: u64) -> String {
        let mut hmac = Hmac::<Sha256>::new_from_slice(self.key.expose().as_bytes())
            .expect("HMAC takes keys of any length");
        hmac.update(format!("{encoded_resource}\n{seconds}").as_bytes());
        BASE64.encode(hmac.finalize().into_bytes())
    }
}

impl TokenSource for SasKey {
    fn token<'a>(&'a self, resource: &'a str, now: SystemTime) -> TokenFuture<'a> {
        let token = match now.checked_add(self.lifetime) {
            Some(expires_at) => Ok(self.sign(resource, expires_at)),
            None => Err(TokenError::fatal("the lifetime of tokens is too long")),
        };
        Box::pin(std::future::ready(token))
    }
}

/// A shared access signature that somebody else made. It is sent as it is and cannot be renewed: after its end the
/// service refuses it.
#[derive(Clone, Debug)]
pub struct SharedAccessSignature {
    token: Token,
}

impl SharedAccessSignature {
    /// Reads `SharedAccessSignature sr=…&sig=…&se=…&skn=…`, fields in any order. Without `se` it has no known end.
    ///
    /// # Errors
    ///
    /// If it is not such a text. The error holds nothing of it.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let malformed = |what: &str| {
            TokenError::fatal(format!("the shared access signature is malformed: {what}"))
        };
        let fields = text
            .strip_prefix("SharedAccessSignature ")
            .ok_or_else(|| malformed("expected it to begin with `SharedAccessSignature `"))?;
        let field = |name: &str| {
            let mut pairs = fields.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        for required in ["sr", "sig", "skn"] {
            if field(required).is_none_or(str::is_empty) {
                return Err(malformed(&format!("expected a field `{required}`")));
            }
        }
        let expires_at = match field("se") {
            None => None,
            Some(seconds) => Some(
                seconds
                    .parse()
                    .ok()
                    .and_then(from_unix_seconds)
                    .ok_or_else(|| malformed("expected `se` to be seconds since 1970"))?,
            ),
        };
        Ok(Self {
            token: Token::new(text, TokenKind::Sas, expires_at),
        })
    }

    /// When the signature ends, if it says so.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.token.expires_at()
    }
}

impl TokenSource for SharedAccessSignature {
    fn token<'a>(&'a self, _resource: &'a str, now: SystemTime) -> TokenFuture<'a> {
        let token = match self.token.expires_at() {
            Some(end) if end <= now => Err(TokenError::fatal(
                "the shared access signature has reached its end, and only its issuer can make another",
            )),
            _ => Ok(self.token.clone()),
        };
        Box::pin(std::future::ready(token))
    }
}

/// A [`TokenSource`] made of a closure.
///
/// ```
/// use amqp10::eventhubs::auth::{Token, TokenFn, TokenKind};
/// use std::time::Duration;
///
/// let source = TokenFn::new(|resource: String, now| async move {
///     let text = format!("a token for {resource}");
///     Ok(Token::new(text, TokenKind::Jwt, now + Duration::from_secs(3600)))
/// });
/// # let _ = source;
/// ```
pub struct TokenFn {
    function: Box<dyn Fn(String, SystemTime) -> TokenFuture<'static> + Send + Sync>,
}

impl TokenFn {
    /// Calls `function` with the resource and the time whenever a token is needed.
    pub fn new<F, R>(function: F) -> Self
    where
        F: Fn(String, SystemTime) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Token, TokenError>> + Send + 'static,
    {
        Self {
            function: Box::new(move |resource, now| Box::pin(function(resource, now))),
        }
    }
}

impl fmt::Debug for TokenFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFn").finish_non_exhaustive()
    }
}

impl TokenSource for TokenFn {
    fn token<'a>(&'a self, resource: &'a str, now: SystemTime) -> TokenFuture<'a> {
        (self.function)(resource.to_owned(), now)
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn from_unix_seconds(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "c2VjcmV0LWtleS1mb3ItdGVzdHM=";
    const END: u64 = 1_893_456_000;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// (key, encoded resource, signature) as Microsoft's Python and JavaScript clients compute them.
    #[test]
    fn signatures_are_those_of_other_clients() {
        let vectors = [
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
        for (key, resource, expected) in vectors {
            let key = SasKey::new("RootManageSharedAccessKey", key);
            assert_eq!(key.signature(resource, END), expected, "{resource}");
        }
    }

    #[test]
    fn a_token_is_encoded_and_ends_on_a_whole_second() {
        let key = SasKey::new("a policy", KEY);
        let token = key.sign(
            "sb://localhost/eh1/ConsumerGroups/$Default/Partitions/0",
            at(END) + Duration::from_millis(999),
        );
        assert_eq!(
            token.text(),
            "SharedAccessSignature \
             sr=sb%3A%2F%2Flocalhost%2Feh1%2FConsumerGroups%2F%24Default%2FPartitions%2F0\
             &sig=Hi32eC6zDqJ84FqFvoYg9Jn1dpGr4H6Iwf%2FKvUyDx10%3D&se=1893456000&skn=a%20policy"
        );
        assert_eq!(token.expires_at(), Some(at(END)));
    }

    #[tokio::test]
    async fn a_key_signs_from_now_for_its_lifetime() {
        let key = SasKey::new("p", KEY).with_lifetime(Duration::from_secs(60));
        let token = key.token("sb://h/hub", at(1000)).await.unwrap();
        assert_eq!(token.expires_at(), Some(at(1060)));
        assert_eq!(token.kind().as_str(), "servicebus.windows.net:sastoken");
    }

    #[tokio::test]
    async fn a_ready_made_signature_is_sent_verbatim_until_its_end() {
        let text = SasKey::new("p", KEY)
            .sign("sb://h/hub", at(END))
            .text()
            .to_owned();
        let source = SharedAccessSignature::parse(&text).unwrap();
        let token = source.token("other", at(END - 1)).await.unwrap();
        assert_eq!(token.text(), text);
        let error = source.token("other", at(END)).await.unwrap_err();
        assert!(!error.is_retryable());
    }

    #[test]
    fn a_malformed_signature_is_refused_without_showing_it() {
        for text in [
            "",
            "SharedAccessSignature",
            "SharedAccessSignature sr=a&se=1&skn=hush",
            "SharedAccessSignature sr=a&sig=hush&se=tomorrow&skn=p",
            "SharedAccessSignature sr=&sig=hush&skn=p",
            "Bearer hush",
        ] {
            let error = SharedAccessSignature::parse(text).unwrap_err().to_string();
            assert!(error.contains("expected"), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn secrets_are_hidden() {
        let key = SasKey::new("p", "hush");
        let token = Token::new("hush", TokenKind::Jwt, None);
        assert!(!format!("{key:?} {token:?}").contains("hush"));
    }
}
