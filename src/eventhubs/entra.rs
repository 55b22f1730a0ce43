//! Tokens of Microsoft Entra ID, from any credential of `azure_core`.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use azure_core::credentials::TokenCredential;
use azure_core::error::{Error, ErrorKind};

use super::auth::{Token, TokenError, TokenFuture, TokenKind, TokenSource};

/// What a token for any namespace of Event Hubs is asked for.
const EVENT_HUBS_SCOPE: &str = "https://eventhubs.azure.net/.default";

/// A [`TokenSource`] that asks a credential of `azure_core`: a managed identity, a workload, a developer's login.
///
/// Tokens for a hub have the scope `https://eventhubs.azure.net/.default`; whoever they are issued for needs a role such as
/// Azure Event Hubs Data Owner. For another resource named by a URL (`https://storage.azure.com`, of which
/// `BlobCheckpointStore` asks), they have the scope of that.
///
/// The credential keeps its tokens until shortly before their end; those of `azure_identity` do. That crate needs an HTTP
/// client, which is the caller's to choose: without its default features it compiles no C, and `reqwest` with its feature
/// `rustls-no-provider` is given to it as the transport.
///
/// ```ignore
/// use amqp10::eventhubs::auth::EntraTokens;
/// use amqp10::eventhubs::{Client, ClientOptions};
/// use azure_identity::ManagedIdentityCredential;
///
/// let credential = ManagedIdentityCredential::new(None)?;
/// let options = ClientOptions::default().hub("orders").token_source(EntraTokens::new(credential));
/// let client = Client::connect("Endpoint=sb://example.servicebus.windows.net", options).await?;
/// ```
#[derive(Clone)]
pub struct EntraTokens {
    credential: Arc<dyn TokenCredential>,
}

impl EntraTokens {
    /// Asks `credential` whenever a token is needed.
    pub fn new(credential: Arc<dyn TokenCredential>) -> Self {
        Self { credential }
    }
}

impl TokenSource for EntraTokens {
    fn token<'a>(&'a self, resource: &'a str, _now: SystemTime) -> TokenFuture<'a> {
        Box::pin(async move {
            let scope = scope_of(resource);
            let token = self.credential.get_token(&[&scope], None).await;
            let token = token.map_err(|error| token_error(&error))?;
            let expires_at = SystemTime::from(token.expires_on);
            Ok(Token::new(token.token.secret(), TokenKind::Jwt, expires_at))
        })
    }
}

impl fmt::Debug for EntraTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntraTokens").finish_non_exhaustive()
    }
}

/// Hubs are named `sb://namespace/hub`, and have one scope all together.
fn scope_of(resource: &str) -> String {
    match resource.starts_with("https://") {
        true => format!("{}/.default", resource.trim_end_matches('/')),
        false => EVENT_HUBS_SCOPE.to_owned(),
    }
}

/// Worth asking again if whatever is behind the credential could not be reached, or was busy.
fn token_error(error: &Error) -> TokenError {
    let mut reason = error.to_string();
    let mut transient = is_transient(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        transient |= error.downcast_ref::<Error>().is_some_and(is_transient);
        cause = error.source();
    }
    match transient {
        true => TokenError::transient(reason),
        false => TokenError::fatal(reason),
    }
}

fn is_transient(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Connection | ErrorKind::Io => true,
        ErrorKind::HttpResponse { status, .. } => {
            matches!(u16::from(*status), 408 | 429 | 500..=599)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use azure_core::http::StatusCode;

    use super::*;

    #[test]
    fn hubs_have_one_scope_and_other_resources_their_own() {
        let hub = scope_of("sb://example.servicebus.windows.net/orders");
        assert_eq!(hub, "https://eventhubs.azure.net/.default");
        let storage = scope_of("https://storage.azure.com/");
        assert_eq!(storage, "https://storage.azure.com/.default");
    }

    fn answered(status: StatusCode) -> Error {
        let kind = ErrorKind::HttpResponse {
            status,
            error_code: Some("AADSTS7000215".into()),
            raw_response: None,
        };
        Error::with_error(
            ErrorKind::Credential,
            Error::with_message(kind, "the authority answered"),
            "authentication failed",
        )
    }

    #[test]
    fn an_unreachable_authority_is_asked_again_and_a_refusal_stands() {
        let refused = token_error(&answered(StatusCode::Unauthorized));
        assert!(!refused.is_retryable());
        assert_eq!(
            refused.to_string(),
            "no token: authentication failed: the authority answered"
        );
        assert!(token_error(&answered(StatusCode::ServiceUnavailable)).is_retryable());
        let unreachable = Error::with_message(ErrorKind::Io, "connection refused");
        assert!(token_error(&unreachable).is_retryable());
    }
}
