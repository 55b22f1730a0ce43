//! Shared Key: signing a request with the key of the storage account.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use hyper::HeaderMap;
use sha2::Sha256;

use super::error::BlobError;
use super::http::Request;
use crate::eventhubs::auth::Secret;

/// The name of a storage account and its key.
#[derive(Clone, Debug)]
pub(super) struct SharedKey {
    account: String,
    /// In base64.
    key: Secret,
}

impl SharedKey {
    pub(super) fn new(account: &str, key: &str) -> Result<Self, BlobError> {
        BASE64.decode(key).map_err(|_| BlobError::Malformed {
            part: "AccountKey",
            expected: "a key in base64",
        })?;
        Ok(Self {
            account: account.to_owned(),
            key: key.into(),
        })
    }

    /// The value of the header `Authorization`.
    pub(super) fn authorization(&self, request: &Request) -> Secret {
        let key = BASE64
            .decode(self.key.expose())
            .expect("it was decoded when it was taken");
        let mut hmac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
        hmac.update(self.text_to_sign(request).as_bytes());
        let signature = BASE64.encode(hmac.finalize().into_bytes());
        format!("SharedKey {}:{signature}", self.account).into()
    }

    /// Verb, eleven standard headers, the service's own headers, the resource. None of our requests has a body, so that
    /// its length, which is signed as nothing when it is zero, is always nothing.
    fn text_to_sign(&self, request: &Request) -> String {
        const SIGNED: [&str; 11] = [
            "content-encoding",
            "content-language",
            "content-length",
            "content-md5",
            "content-type",
            "date",
            "if-modified-since",
            "if-match",
            "if-none-match",
            "if-unmodified-since",
            "range",
        ];
        let mut text = format!("{}\n", request.method);
        for name in SIGNED {
            if name != "content-length" {
                text.push_str(value(&request.headers, name));
            }
            text.push('\n');
        }
        text.push_str(&service_headers(&request.headers));
        text.push_str(&format!("/{}{}", self.account, request.path));
        let mut query = request.query.clone();
        query.sort();
        for (name, value) in query {
            text.push_str(&format!("\n{name}:{value}"));
        }
        text
    }
}

fn service_headers(headers: &HeaderMap) -> String {
    let mut names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
    names.retain(|name| name.starts_with("x-ms-"));
    names.sort_unstable();
    names
        .into_iter()
        .map(|name| format!("{name}:{}\n", value(headers, name)))
        .collect()
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use hyper::Method;
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn a_request_is_signed_in_the_services_order() {
        let mut request = Request::new(Method::GET, "/account/checkpoints".to_owned());
        request.query = vec![
            ("restype", "container".into()),
            ("comp", "list".into()),
            ("prefix", "ns/$default/".into()),
        ];
        for (name, value) in [
            ("x-ms-version", "2021-12-02"),
            ("x-ms-date", "Fri, 13 Feb 2009 23:31:30 GMT"),
            ("if-match", "\"1\""),
            ("content-length", "0"),
        ] {
            request
                .headers
                .insert(name, HeaderValue::from_static(value));
        }
        let key = SharedKey::new("account", "a2V5").unwrap();
        assert_eq!(
            key.text_to_sign(&request),
            "GET\n\n\n\n\n\n\n\n\"1\"\n\n\n\n\
             x-ms-date:Fri, 13 Feb 2009 23:31:30 GMT\nx-ms-version:2021-12-02\n\
             /account/account/checkpoints\ncomp:list\nprefix:ns/$default/\nrestype:container"
        );
        assert!(
            key.authorization(&request)
                .expose()
                .starts_with("SharedKey account:")
        );
        assert!(!format!("{key:?}").contains("a2V5"));
    }

    #[test]
    fn a_key_that_is_no_base64_is_refused_without_showing_it() {
        let error = SharedKey::new("account", "hush!").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
}
