//! The nodes that answer requests: `$cbs` and `$management` (Event Hubs).

mod cbs;
mod management;

use std::sync::Arc;
use std::time::Duration;

use super::connection::Peer;
use super::link::{idle_too_long, within};
use super::replies::ReplyLink;
use crate::codec::{
    AmqpError, ApplicationProperties, Body, Message, MessageId, Properties, Str, Value, condition,
};
use crate::eventhubs::wire::{Address, request};
use crate::{Delivery, Receiver, Session};

/// How long a reply waits for the peer's credit before it is given up.
const REPLY_DEADLINE: Duration = Duration::from_secs(10);

/// A node that answers requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Takes tokens.
    Cbs,
    /// Tells about hubs and partitions.
    Management,
}

impl Node {
    /// The node at an address, if it is one that answers requests.
    pub(crate) fn at(address: &Address) -> Option<Node> {
        match address {
            Address::Cbs => Some(Node::Cbs),
            Address::Management { .. } => Some(Node::Management),
            _ => None,
        }
    }

    fn answer(self, peer: &Peer, request: &Message) -> Reply {
        match self {
            Node::Cbs => cbs::answer(peer, request),
            Node::Management => management::answer(peer, request),
        }
    }

    /// Answers what arrives until the link ends; returns the error to end it with, if the peer has not ended it.
    pub(crate) async fn run(
        self,
        peer: &Arc<Peer>,
        session: &Session,
        requests: &Receiver,
    ) -> Option<AmqpError> {
        let idle = peer.namespace.options.idle_link;
        loop {
            let delivery = match within(idle, requests.recv()).await {
                Some(Ok(delivery)) => delivery,
                Some(Err(_)) => return None,
                None => return Some(idle_too_long(requests.name(), idle)),
            };
            let Some((link, reply)) = self.take(peer, session, &delivery) else {
                continue;
            };
            // A peer that gives no credit for replies may not stop the node.
            let _ = tokio::time::timeout(REPLY_DEADLINE, link.send(reply)).await;
        }
    }

    /// Settles one request and makes its reply, if there is a link for it.
    fn take(
        self,
        peer: &Peer,
        session: &Session,
        delivery: &Delivery,
    ) -> Option<(ReplyLink, Message)> {
        let request = match delivery.message() {
            Ok(request) => request,
            Err(error) => {
                refuse(
                    delivery,
                    AmqpError::new(condition::DECODE_ERROR, error.to_string()),
                );
                return None;
            }
        };
        let properties = request.properties.clone().unwrap_or_default();
        let Some(link) = peer
            .replies
            .find(self, session, properties.reply_to.as_deref())
        else {
            refuse(
                delivery,
                AmqpError::new(
                    condition::NOT_FOUND,
                    "there is no link to send the reply on",
                ),
            );
            return None;
        };
        // A link that has ended meanwhile is seen by the next `recv`.
        let _ = delivery.accept();
        let correlation_id = properties.message_id.or(properties.correlation_id);
        Some((
            link,
            self.answer(peer, &request).into_message(correlation_id),
        ))
    }
}

fn refuse(delivery: &Delivery, error: AmqpError) {
    // A link that has ended meanwhile is seen by the next `recv`.
    let _ = delivery.reject(Some(error));
}

impl ReplyLink {
    async fn send(&self, reply: Message) {
        // The peer may take its link away at any time; then there is nobody to tell.
        if self.settled {
            let _ = self.sender.send_settled(reply).await;
        } else {
            let _ = self.sender.send_with_receipt(reply).await;
        }
    }
}

/// What a node says to a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    status: i32,
    description: Str,
    condition: Option<crate::codec::Symbol>,
    body: Value,
}

impl Reply {
    fn success(status: i32, description: &'static str, body: Value) -> Reply {
        Reply {
            status,
            description: Str::from_static(description),
            condition: None,
            body,
        }
    }

    fn failure(status: i32, error: AmqpError) -> Reply {
        let description = error.description.unwrap_or_default();
        Reply {
            status,
            description,
            condition: Some(error.condition),
            body: Value::Null,
        }
    }

    fn into_message(self, correlation_id: Option<MessageId>) -> Message {
        let mut properties = ApplicationProperties::default();
        properties.insert(request::STATUS_CODE, self.status);
        properties.insert(request::STATUS_DESCRIPTION, self.description);
        if let Some(condition) = self.condition {
            properties.insert(request::ERROR_CONDITION, condition);
        }
        Message {
            properties: Some(Properties {
                correlation_id,
                ..Properties::default()
            }),
            application_properties: Some(properties),
            body: Body::Value(self.body),
            ..Message::default()
        }
    }
}

/// A string among a request's application properties.
fn argument<'a>(request: &'a Message, name: &str) -> Option<&'a str> {
    request.application_properties.as_ref()?.get(name)?.as_str()
}
