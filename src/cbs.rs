//! Claims-based security: handing tokens to a peer by its `$cbs` node.

use crate::codec::{ApplicationProperties, Timestamp};
use crate::request::{RequestClient, RequestError, RequestOptions, ask, key};
use crate::{LinkError, Session};

/// The node that takes tokens.
pub const NODE: &str = "$cbs";

/// The operation that hands a token over.
pub const PUT_TOKEN: &str = "put-token";

/// The client of a connection's `$cbs` node. One per connection: some services refuse a second.
///
/// ```no_run
/// use amqp10::cbs::CbsClient;
/// use amqp10::request::RequestOptions;
///
/// # async fn authorize(session: &amqp10::Session, token: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let cbs = CbsClient::attach(session, RequestOptions::default()).await?;
/// cbs.put_token("jwt", "amqps://ns.servicebus.windows.net/orders", token, None).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CbsClient {
    requests: RequestClient,
}

impl CbsClient {
    /// Attaches the pair of links.
    ///
    /// # Errors
    ///
    /// If the peer has no such node, or the session ends.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it detaches what was attached.
    pub async fn attach(session: &Session, options: RequestOptions) -> Result<Self, LinkError> {
        let requests = RequestClient::attach(session, NODE, options).await?;
        Ok(Self { requests })
    }

    /// Hands over a token of `token_type` for the `audience`: the address that is to be used, as a URL.
    ///
    /// # Errors
    ///
    /// [`RequestError::Refused`] if the peer does not take the token, and whatever befalls a request.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the token may or may not have been taken; handing it over again does no harm.
    pub async fn put_token(
        &self,
        token_type: &str,
        audience: &str,
        token: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<(), RequestError> {
        let mut properties = ApplicationProperties::new()
            .with(key::OPERATION, PUT_TOKEN)
            .with(key::TYPE, token_type)
            .with(key::NAME, audience);
        if let Some(expires_at) = expires_at {
            properties.insert(key::EXPIRATION, expires_at);
        }
        ask(&self.requests, properties, token).await?;
        Ok(())
    }

    /// Whether one of the links has ended.
    pub fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }

    /// Detaches both links. Requests still waiting fail.
    ///
    /// # Errors
    ///
    /// If a link had ended with an error, or the peer does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the links are still detached, without waiting for the answer.
    pub async fn close(&self) -> Result<(), LinkError> {
        self.requests.close().await
    }
}
