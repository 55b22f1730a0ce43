//! Management: asking a peer's node about the things that it keeps.

use crate::codec::{ApplicationProperties, Body, Map, Message, Value};
use crate::request::{RequestClient, RequestError, RequestOptions, ask, key};
use crate::{LinkError, Session};

/// The usual address of the node.
pub const NODE: &str = "$management";

/// The operation that reads a thing's properties.
pub const READ: &str = "READ";

/// The client of a management node.
///
/// ```no_run
/// use amqp10::codec::ApplicationProperties;
/// use amqp10::management::{ManagementClient, NODE};
/// use amqp10::request::RequestOptions;
///
/// # async fn read(session: &amqp10::Session) -> Result<(), Box<dyn std::error::Error>> {
/// let management = ManagementClient::attach(session, NODE, RequestOptions::default()).await?;
/// let hub = management.read("com.microsoft:eventhub", "orders", ApplicationProperties::new()).await?;
/// println!("{:?}", hub.get_str("partition_count"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ManagementClient {
    requests: RequestClient,
}

impl ManagementClient {
    /// Attaches the pair of links to `node`.
    ///
    /// # Errors
    ///
    /// If the peer has no such node, or the session ends.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it detaches what was attached.
    pub async fn attach(
        session: &Session,
        node: &str,
        options: RequestOptions,
    ) -> Result<Self, LinkError> {
        let requests = RequestClient::attach(session, node, options).await?;
        Ok(Self { requests })
    }

    /// Asks for an `operation` on the thing called `name`, with further application properties and a body.
    ///
    /// # Errors
    ///
    /// [`RequestError::Refused`] if the node answers with another status than success, and whatever befalls a request.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the operation may or may not be carried out.
    pub async fn request(
        &self,
        operation: &str,
        entity_type: &str,
        name: &str,
        mut properties: ApplicationProperties,
        body: impl Into<Value>,
    ) -> Result<Message, RequestError> {
        properties.insert(key::OPERATION, operation);
        properties.insert(key::TYPE, entity_type);
        properties.insert(key::NAME, name);
        ask(&self.requests, properties, body).await
    }

    /// Reads the properties of the thing called `name`.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request), and [`RequestError::Malformed`] if the reply holds no map.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has changed.
    pub async fn read(
        &self,
        entity_type: &str,
        name: &str,
        properties: ApplicationProperties,
    ) -> Result<Map, RequestError> {
        let reply = self
            .request(READ, entity_type, name, properties, Value::Null)
            .await?;
        match reply.body {
            Body::Value(Value::Map(map)) => Ok(map),
            _ => Err(RequestError::Malformed("expected a map as body".into())),
        }
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
