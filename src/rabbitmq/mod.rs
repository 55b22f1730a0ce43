//! What is RabbitMQ 4's own: its addresses, and the management of its queues, exchanges and bindings over AMQP.
//!
//! ```no_run
//! use amqp10::rabbitmq::{Management, QueueOptions, address};
//! use amqp10::request::RequestOptions;
//! use amqp10::{Connection, ConnectionOptions, SenderOptions, SessionOptions};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "amqp://guest:guest@localhost";
//! let connection = Connection::open(url, ConnectionOptions::default().allow_plain_without_tls(true)).await?;
//! let management = Management::attach(&connection.begin(SessionOptions::default()).await?, RequestOptions::default()).await?;
//! management.declare_queue("orders", &QueueOptions::quorum()).await?;
//!
//! let session = connection.begin(SessionOptions::default()).await?;
//! let sender = session.attach_sender(address::queue("orders"), SenderOptions::default()).await?;
//! sender.send("hello").await?;
//! # Ok(())
//! # }
//! ```

mod binding;
mod queue;

pub use binding::{Binding, ExchangeOptions};
pub use queue::{QueueInfo, QueueOptions};

use bytes::Bytes;

use crate::codec::{Body, Message, Properties, Str, Symbol, Value};
use crate::request::{RequestClient, RequestError, RequestOptions, Status};
use crate::{LinkError, Session};

/// The node that is asked.
pub const NODE: &str = "/management";

/// The extension that the node is asked by: two links as one (Z-033).
pub const LINK_PAIR: Symbol = Symbol::from_static("LINK_PAIR_V1_0");

/// Addresses in the form that RabbitMQ calls version 2 (Z-090). Names are percent-encoded here.
pub mod address {
    use crate::percent::encode;

    /// A queue: a target or a source.
    pub fn queue(name: &str) -> String {
        format!("/queues/{}", encode(name))
    }

    /// An exchange, with no routing key: a target. The default exchange cannot be named so: send to the queue.
    pub fn exchange(name: &str) -> String {
        format!("/exchanges/{}", encode(name))
    }

    /// An exchange and a routing key: a target.
    pub fn exchange_with_key(name: &str, routing_key: &str) -> String {
        format!("/exchanges/{}/{}", encode(name), encode(routing_key))
    }
}

/// A client of the broker's management node. Requests may be made from many tasks at once.
///
/// What a request may fail with is a [`RequestError`]. What the broker refuses is [`RequestError::Refused`], with the status as
/// in HTTP and the broker's explanation: 404 where a thing does not exist, 409 where it exists and is another, 403 where it must
/// not be touched.
#[derive(Clone, Debug)]
pub struct Management {
    requests: RequestClient,
}

impl Management {
    /// Attaches the pair of links.
    ///
    /// The session should be used for nothing else: RabbitMQ ends it for whatever it dislikes about a link.
    ///
    /// # Errors
    ///
    /// [`LinkError::MissingCapability`] if the peer does not offer [`LINK_PAIR`], as RabbitMQ 4 does; why the links could not be
    /// attached otherwise.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it detaches what was attached.
    pub async fn attach(session: &Session, options: RequestOptions) -> Result<Self, LinkError> {
        let peer = session.connection().remote_open();
        if !peer.offered_capabilities.contains(&LINK_PAIR) {
            return Err(LinkError::MissingCapability(LINK_PAIR));
        }
        let requests = RequestClient::attach_pair(session, NODE, options).await?;
        Ok(Self { requests })
    }

    /// Declares a queue; one that is there already, with the same options, is fine.
    ///
    /// # Errors
    ///
    /// Any [`RequestError`]; 409 if it is there with other options.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be carried out.
    pub async fn declare_queue(
        &self,
        name: &str,
        options: &QueueOptions,
    ) -> Result<QueueInfo, RequestError> {
        let path = address::queue(name);
        QueueInfo::from_body(&self.request("PUT", path, options.to_body()).await?)
    }

    /// Tells about a queue.
    ///
    /// # Errors
    ///
    /// 404 if there is none.
    ///
    /// # Cancel safety
    ///
    /// Nothing happens by dropping the future.
    pub async fn queue(&self, name: &str) -> Result<QueueInfo, RequestError> {
        let path = address::queue(name);
        QueueInfo::from_body(&self.request("GET", path, Value::Null).await?)
    }

    /// Deletes a queue; tells how many messages went with it. It is no error if there is no such queue.
    ///
    /// # Errors
    ///
    /// Any [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be carried out.
    pub async fn delete_queue(&self, name: &str) -> Result<u64, RequestError> {
        let path = address::queue(name);
        message_count(&self.request("DELETE", path, Value::Null).await?)
    }

    /// Deletes the messages of a queue that nobody has acquired; tells how many.
    ///
    /// # Errors
    ///
    /// 404 if there is no such queue.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be carried out.
    pub async fn purge_queue(&self, name: &str) -> Result<u64, RequestError> {
        let path = format!("{}/messages", address::queue(name));
        message_count(&self.request("DELETE", path, Value::Null).await?)
    }

    /// Declares an exchange; one that is there already, with the same options, is fine.
    ///
    /// # Errors
    ///
    /// 409 if it is there with other options.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be carried out.
    pub async fn declare_exchange(
        &self,
        name: &str,
        options: &ExchangeOptions,
    ) -> Result<(), RequestError> {
        let path = address::exchange(name);
        self.request("PUT", path, options.to_body()).await.map(drop)
    }

    /// Deletes an exchange. It is no error if there is no such exchange.
    ///
    /// # Errors
    ///
    /// Any [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be carried out.
    pub async fn delete_exchange(&self, name: &str) -> Result<(), RequestError> {
        let path = address::exchange(name);
        self.request("DELETE", path, Value::Null).await.map(drop)
    }

    /// Makes a binding; one that is there already is fine.
    ///
    /// # Errors
    ///
    /// 400 if one of its ends does not exist.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be carried out.
    pub async fn bind(&self, binding: &Binding) -> Result<(), RequestError> {
        let body = binding.to_body();
        self.request("POST", "/bindings", body).await.map(drop)
    }

    /// Deletes a binding. It is no error if there is no such binding.
    ///
    /// # Errors
    ///
    /// Any [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be carried out.
    pub async fn unbind(&self, binding: &Binding) -> Result<(), RequestError> {
        let path = match binding.path() {
            Some(path) => Some(path),
            None => self.find(binding).await?,
        };
        match path {
            Some(path) => self.request("DELETE", path, Value::Null).await.map(drop),
            None => Ok(()),
        }
    }

    /// Where the broker keeps a binding that has arguments.
    async fn find(&self, binding: &Binding) -> Result<Option<String>, RequestError> {
        let found = self.request("GET", binding.query(), Value::Null).await?;
        let bindings = found
            .as_list()
            .ok_or_else(|| malformed("a list of bindings"))?;
        Ok(bindings
            .iter()
            .filter_map(Value::as_map)
            .filter(|found| binding.has_arguments(found.get_str("arguments")))
            .find_map(|found| Some(found.get_str("location")?.as_str()?.to_owned())))
    }

    /// Replaces the OAuth token that the connection was opened with, before it ends (Z-025, RabbitMQ 4.1).
    ///
    /// # Errors
    ///
    /// If the broker does not accept it.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be carried out.
    pub async fn renew_token(&self, token: &str) -> Result<(), RequestError> {
        let token = Value::Binary(Bytes::copy_from_slice(token.as_bytes()));
        self.request("PUT", "/auth/tokens", token).await.map(drop)
    }

    /// Makes a request for which there is no method here: an HTTP method, a path with its query, a body (Z-034). Returns the body
    /// of the response.
    ///
    /// # Errors
    ///
    /// Any [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be carried out.
    pub async fn request(
        &self,
        method: &str,
        path: impl Into<Str>,
        body: Value,
    ) -> Result<Value, RequestError> {
        let properties = Properties {
            to: Some(path.into()),
            subject: Some(method.into()),
            ..Properties::default()
        };
        let request = Message::value(body).with_properties(properties);
        let response = self.requests.request(request).await?;
        let subject = response
            .properties
            .and_then(|properties| properties.subject);
        let code = subject.and_then(|code| code.as_str().parse().ok());
        let body = match response.body {
            Body::Value(value) => value,
            _ => Value::Null,
        };
        match code {
            Some(code) if (200..300).contains(&code) => Ok(body),
            Some(code) => Err(RequestError::Refused(Status {
                code,
                description: body.as_str().map(Str::from),
                condition: None,
            })),
            None => Err(malformed("a status as its subject")),
        }
    }

    /// Whether one of the links has ended, so that no request can succeed any more.
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

fn malformed(expected: &str) -> RequestError {
    RequestError::Malformed(format!("expected {expected}"))
}

fn message_count(body: &Value) -> Result<u64, RequestError> {
    let map = body.as_map();
    map.and_then(|map| map.get_str("message_count")?.as_u64())
        .ok_or_else(|| malformed("`message_count`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn z_090_names_are_percent_encoded() {
        assert_eq!(address::queue("a/b c"), "/queues/a%2Fb%20c");
        assert_eq!(address::queue("käse"), "/queues/k%C3%A4se");
        assert_eq!(address::exchange("amq.direct"), "/exchanges/amq.direct");
        assert_eq!(
            address::exchange_with_key("x%", "k;=?"),
            "/exchanges/x%25/k%3B%3D%3F"
        );
    }
}
