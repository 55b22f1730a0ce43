//! Where a container is, and what opens it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::Uri;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use tokio::sync::Mutex;

use super::error::BlobError;
use super::http::{Endpoint, Request};
use super::signature::SharedKey;
use crate::eventhubs::auth::{Secret, Token, TokenSource};

/// What tokens for the storage service are asked for.
const STORAGE_RESOURCE: &str = "https://storage.azure.com";
/// A token is not used any more this long before its end.
const TOKEN_MARGIN: Duration = Duration::from_secs(60);

/// The account that every stand-in for the storage service has; its key is published.
const DEVELOPMENT_ACCOUNT: &str = "devstoreaccount1";
const DEVELOPMENT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A container, and what opens it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) endpoint: Endpoint,
    /// `/container`, or `/account/container`.
    pub(super) path: String,
    pub(super) credential: Credential,
}

/// What opens a container.
pub(super) enum Credential {
    SharedKey(SharedKey),
    /// The query of a shared access signature, without its question mark.
    Signature(Secret),
    Tokens(Tokens),
}

/// Tokens of a source, the last one kept.
pub(super) struct Tokens {
    source: Arc<dyn TokenSource>,
    last: Mutex<Option<Token>>,
}

impl Place {
    /// From the connection string of a storage account, and the name of a container.
    pub(super) fn from_connection_string(text: &str, container: &str) -> Result<Self, BlobError> {
        let expected = |part, expected| BlobError::Malformed { part, expected };
        check_container(container)?;
        let pairs = Pairs::parse(text)?;
        let development = pairs
            .get("UseDevelopmentStorage")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let account = match development {
            true => Some(DEVELOPMENT_ACCOUNT),
            false => pairs.get("AccountName"),
        };
        let key = match development {
            true => Some(DEVELOPMENT_KEY),
            false => pairs.get("AccountKey"),
        };
        let url = match (pairs.get("BlobEndpoint"), account) {
            (Some(url), _) => url.to_owned(),
            (None, Some(account)) if development => {
                let proxy = pairs.get("DevelopmentStorageProxyUri");
                let server = proxy.unwrap_or("http://127.0.0.1").trim_end_matches('/');
                format!("{server}:10000/{account}")
            }
            (None, Some(account)) => {
                let protocol = pairs.get("DefaultEndpointsProtocol").unwrap_or("https");
                let suffix = pairs.get("EndpointSuffix").unwrap_or("core.windows.net");
                format!("{protocol}://{account}.blob.{suffix}")
            }
            (None, None) => return Err(expected("AccountName", "it, or BlobEndpoint")),
        };
        let credential = match (account, key, pairs.get("SharedAccessSignature")) {
            (Some(account), Some(key), None) => {
                Credential::SharedKey(SharedKey::new(account, key)?)
            }
            (_, None, Some(signature)) => Credential::signature(signature)?,
            _ => {
                return Err(expected(
                    "AccountKey",
                    "AccountName and AccountKey, or SharedAccessSignature",
                ));
            }
        };
        let (endpoint, path, _) = split_url(&url, "BlobEndpoint")?;
        Ok(Self {
            endpoint,
            path: format!("{path}/{container}"),
            credential,
        })
    }

    /// From the URL of a container, with a shared access signature in its query.
    pub(super) fn from_signed_url(url: &str) -> Result<Self, BlobError> {
        let (endpoint, path, query) = split_url(url, "container URL")?;
        check_container(path.rsplit('/').next().unwrap_or_default())?;
        Ok(Self {
            endpoint,
            path,
            credential: Credential::signature(&query.unwrap_or_default())?,
        })
    }

    /// From the URL of a container, to be opened by tokens.
    pub(super) fn from_url(url: &str, source: Arc<dyn TokenSource>) -> Result<Self, BlobError> {
        let (endpoint, path, query) = split_url(url, "container URL")?;
        check_container(path.rsplit('/').next().unwrap_or_default())?;
        let expected = match query {
            Some(_) => Some("no query beside tokens"),
            None if !endpoint.is_private() => Some("https, so that no token is sent in the clear"),
            None => None,
        };
        if let Some(expected) = expected {
            let part = "container URL";
            return Err(BlobError::Malformed { part, expected });
        }
        let credential = Credential::Tokens(Tokens {
            source,
            last: Mutex::default(),
        });
        Ok(Self {
            endpoint,
            path,
            credential,
        })
    }
}

impl Credential {
    fn signature(query: &str) -> Result<Self, BlobError> {
        let query = query.trim_start_matches('?');
        let is_query = query.bytes().all(|octet| octet.is_ascii_graphic());
        if !is_query || !query.split('&').any(|pair| pair.starts_with("sig=")) {
            return Err(BlobError::Malformed {
                part: "shared access signature",
                expected: "`name=value` pairs joined by `&`, one of them `sig`",
            });
        }
        Ok(Self::Signature(query.into()))
    }

    /// Adds to a request what opens the container at `now`.
    pub(super) async fn authorize(
        &self,
        request: &mut Request,
        now: SystemTime,
    ) -> Result<(), BlobError> {
        let date = httpdate::fmt_http_date(now);
        request.set(HeaderName::from_static("x-ms-date"), &date)?;
        let authorization = match self {
            Self::Signature(query) => {
                request.signature = Some(query.clone());
                return Ok(());
            }
            Self::SharedKey(key) => key.authorization(request),
            Self::Tokens(tokens) => format!("Bearer {}", tokens.token(now).await?.text()).into(),
        };
        let mut value =
            HeaderValue::from_str(authorization.expose()).map_err(|_| BlobError::Malformed {
                part: "token",
                expected: "a text that a header can hold",
            })?;
        value.set_sensitive(true);
        request.headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    /// The service did not take what it was shown. Whether something else can be shown at once.
    pub(super) async fn renew(&self) -> bool {
        match self {
            Self::Tokens(tokens) => tokens.last.lock().await.take().is_some(),
            Self::SharedKey(_) | Self::Signature(_) => false,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SharedKey(_) => "SharedKey",
            Self::Signature(_) => "Signature",
            Self::Tokens(_) => "Tokens",
        })
    }
}

impl Tokens {
    async fn token(&self, now: SystemTime) -> Result<Token, BlobError> {
        let mut last = self.last.lock().await;
        let lives = |token: &Token| {
            token
                .expires_at()
                .is_none_or(|end| now + TOKEN_MARGIN < end)
        };
        if let Some(token) = last.as_ref().filter(|token| lives(token)) {
            return Ok(token.clone());
        }
        let token = self.source.token(STORAGE_RESOURCE, now).await?;
        Ok(last.insert(token).clone())
    }
}

/// The pairs `Key=Value` of a connection string; keys mean the same in upper and lower case.
struct Pairs<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Pairs<'a> {
    fn parse(text: &'a str) -> Result<Self, BlobError> {
        let pairs = text
            .split(';')
            .map(str::trim)
            .filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('='));
        let pairs: Option<Vec<_>> = pairs.collect();
        pairs.map(Self).ok_or(BlobError::Malformed {
            part: "connection string",
            expected: "pairs Key=Value, separated by `;`",
        })
    }

    fn get(&self, wanted: &str) -> Option<&'a str> {
        let pair = self
            .0
            .iter()
            .find(|(key, _)| key.trim().eq_ignore_ascii_case(wanted));
        pair.map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }
}

/// The service's rules for names of containers that can hold such blobs.
fn check_container(name: &str) -> Result<(), BlobError> {
    let valid = (3..=63).contains(&name.len())
        && name
            .bytes()
            .all(|octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !name.starts_with('-')
        && !name.ends_with('-');
    match valid {
        true => Ok(()),
        false => Err(BlobError::Malformed {
            part: "name of the container",
            expected: "3 to 63 lower-case letters, digits and single hyphens",
        }),
    }
}

/// Endpoint, path without a slash at its end, query.
fn split_url(
    url: &str,
    part: &'static str,
) -> Result<(Endpoint, String, Option<String>), BlobError> {
    let expected = |expected| BlobError::Malformed { part, expected };
    let uri: Uri = url
        .parse()
        .map_err(|_| expected("a URL: https://host/..."))?;
    let is_secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(expected("https:// or http://")),
    };
    let authority = uri.authority().ok_or_else(|| expected("a host"))?;
    if authority.as_str().contains('@') {
        return Err(expected("no user before the host"));
    }
    let host = authority.host().trim_matches(['[', ']']);
    if host.is_empty() {
        return Err(expected("a host"));
    }
    let port = match (authority.port_u16(), is_secure) {
        (Some(port), _) => port,
        (None, true) => 443,
        (None, false) => 80,
    };
    let endpoint = Endpoint {
        host: host.to_owned(),
        port,
        authority: authority.as_str().to_owned(),
        is_secure,
    };
    let path = uri.path().trim_end_matches('/').to_owned();
    Ok((endpoint, path, uri.query().map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Result<Place, BlobError> {
        Place::from_connection_string(text, "checkpoints")
    }

    fn address(place: &Place) -> String {
        let Endpoint {
            host,
            port,
            is_secure,
            ..
        } = &place.endpoint;
        format!("{is_secure} {host} {port} {}", place.path)
    }

    #[test]
    fn a_connection_string_names_account_and_key() {
        let text = "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a2V5;EndpointSuffix=core.chinacloudapi.cn";
        let place = place(text).unwrap();
        assert_eq!(
            address(&place),
            "true acc.blob.core.chinacloudapi.cn 443 /checkpoints"
        );
        assert!(matches!(place.credential, Credential::SharedKey(_)));
    }

    #[test]
    fn an_endpoint_and_a_signature_do_without_an_account() {
        let text = "BLOBENDPOINT=http://localhost:10000/acc/;sharedaccesssignature=?sv=1&sig=a%3D;";
        let place = place(text).unwrap();
        assert_eq!(address(&place), "false localhost 10000 /acc/checkpoints");
        match place.credential {
            Credential::Signature(query) => assert_eq!(query.expose(), "sv=1&sig=a%3D"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_stand_in_has_its_own_account() {
        let place = place("UseDevelopmentStorage=true").unwrap();
        assert_eq!(
            address(&place),
            "false 127.0.0.1 10000 /devstoreaccount1/checkpoints"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, part) in [
            ("hush", "connection string"),
            ("AccountKey=a2V5", "AccountName"),
            ("AccountName=acc", "AccountKey"),
            (
                "AccountName=acc;AccountKey=a2V5;SharedAccessSignature=sig=hush",
                "AccountKey",
            ),
            ("AccountName=acc;AccountKey=hush!", "AccountKey"),
            (
                "AccountName=acc;SharedAccessSignature=hush",
                "shared access signature",
            ),
            (
                "BlobEndpoint=ftp://hush;AccountName=a;AccountKey=a2V5",
                "BlobEndpoint",
            ),
            (
                "BlobEndpoint=https://u:hush@x;AccountName=a;AccountKey=a2V5",
                "BlobEndpoint",
            ),
        ] {
            let error = place(text).unwrap_err().to_string();
            assert!(error.starts_with(part), "{text}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_container_has_a_name() {
        for name in ["", "ab", "Upper", "a/b", "-abc", "$root", &"a".repeat(64)] {
            let error = Place::from_connection_string("UseDevelopmentStorage=true", name);
            assert!(matches!(error, Err(BlobError::Malformed { .. })), "{name}");
        }
        assert!(Place::from_signed_url("https://acc.blob.core.windows.net/?sig=a").is_err());
        let place = Place::from_signed_url("https://acc.blob.core.windows.net/abc/?sv=1&sig=a");
        assert_eq!(
            address(&place.unwrap()),
            "true acc.blob.core.windows.net 443 /abc"
        );
    }

    #[test]
    fn neither_debug_nor_errors_show_secrets() {
        let texts = [
            place("AccountName=acc;AccountKey=aHVzaA==").map(|place| format!("{place:?}")),
            Place::from_signed_url("https://x/abc?sig=aHVzaA").map(|place| format!("{place:?}")),
            Place::from_signed_url("https://x/abc?si=aHVzaA").map(|place| format!("{place:?}")),
        ];
        for text in texts {
            let text = text.unwrap_or_else(|error| format!("{error} {error:?}"));
            assert!(!text.contains("aHVzaA"), "{text}");
        }
    }
}
