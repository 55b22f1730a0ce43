//! Links: who they are, what they are attached to, and what their ends leave behind.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Node, NodeName, Nodes, QueueId, ended_meanwhile};
use crate::broker::bell::Bell;
use crate::broker::filter::Filters;
use crate::broker::queue::{ConsumerId, DistributionMode};
use crate::broker::subscription::{SubscriptionKey, Terminus};
use crate::codec::{AmqpError, Role, Str, condition};
use crate::{LinkError, SessionError};

/// A link's number; never used twice by a broker. That of a consumer is its [`ConsumerId`].
pub(in crate::broker) type LinkId = ConsumerId;

/// Who a link is to other connections [2.6.1].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::broker) struct LinkIdentity {
    pub(in crate::broker) container_id: Str,
    pub(in crate::broker) name: Str,
    /// The peer's.
    pub(in crate::broker) role: Role,
}

/// Where a link is attached: the numbers of its connection, and of its session there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) struct Site {
    pub(in crate::broker) connection: u64,
    pub(in crate::broker) session: u64,
}

/// What ends with everything on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Scope {
    Session(Site),
    /// By its number.
    Connection(u64),
}

impl Scope {
    pub(in crate::broker) fn contains(self, site: Site) -> bool {
        match self {
            Self::Session(session) => session == site,
            Self::Connection(connection) => connection == site.connection,
        }
    }

    /// What its end is to the links that were on it.
    pub(in crate::broker) fn link_end(self) -> LinkEnd {
        match self {
            Self::Session(_) => LinkEnd::SessionEnded,
            Self::Connection(_) => LinkEnd::ConnectionClosed,
        }
    }
}

/// How a link ended, as far as its terminus is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::broker) enum LinkEnd {
    /// Detached, or stolen: the terminus stays until its expiry policy and timeout end it [3.5.6].
    Detached,
    /// The broker closed it: what was meant to last stays, because only the client may end that (Z-053).
    Expelled,
    /// The session it was on ended.
    SessionEnded,
    /// The connection ended.
    ConnectionClosed,
    /// The peer closed it: the terminus goes.
    Closed,
}

impl LinkEnd {
    pub(in crate::broker) fn of(error: &LinkError) -> Self {
        match error {
            // Its name was attached again in its session (L-003).
            LinkError::RemoteDetached {
                error: Some(error), ..
            } if error.condition == condition::STOLEN => Self::Detached,
            LinkError::RemoteDetached { closed: true, .. } => Self::Closed,
            LinkError::RemoteDetached { closed: false, .. } => Self::Detached,
            LinkError::Session(SessionError::Connection(_)) => Self::ConnectionClosed,
            LinkError::Session(_) => Self::SessionEnded,
            _ => Self::Expelled,
        }
    }
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) node: Option<NodeName>,
    /// The node that was created because it asked for one.
    pub(super) created: Option<NodeName>,
    /// What the consumer takes from.
    pub(super) queue: Option<QueueId>,
    pub(super) identity: LinkIdentity,
    pub(super) site: Site,
    /// Says why the link has to end.
    expelled: watch::Sender<Option<AmqpError>>,
}

impl Link {
    /// Tells it that it has to end.
    pub(super) fn expel(&self, error: AmqpError) {
        self.expelled.send_replace(Some(error));
    }
}

impl Nodes {
    /// Announces a link; it steals the place of one of the same identity (L-003). What is returned says when it has to end.
    pub(in crate::broker) fn announce(
        &mut self,
        identity: LinkIdentity,
        site: Site,
    ) -> (LinkId, watch::Receiver<Option<AmqpError>>) {
        if self.options.link_stealing
            && let Some(victim) = self.identities.get(&identity)
            && let Some(victim) = self.links.get(victim)
        {
            let text = "the same container attached a link of this name again";
            victim.expel(AmqpError::new(condition::STOLEN, text));
        }
        let id = self.number();
        let expelled = watch::Sender::new(None);
        let end = expelled.subscribe();
        self.identities.insert(identity.clone(), id);
        let link = Link {
            node: None,
            created: None,
            queue: None,
            identity,
            site,
            expelled,
        };
        self.links.insert(id, link);
        (id, end)
    }

    /// Counts a link among those that use a node.
    pub(in crate::broker) fn attach(&mut self, id: LinkId, name: &NodeName) {
        if let Some(node) = self.by_name.get_mut(name)
            && let Some(link) = self.links.get_mut(&id)
        {
            node.links.insert(id);
            link.node = Some(name.clone());
        }
    }

    /// Lets a link consume from a node: a queue, or a subscription of its own to a topic.
    pub(in crate::broker) fn attach_consumer(
        &mut self,
        link: LinkId,
        name: &NodeName,
        mode: DistributionMode,
        filters: Filters,
        terminus: Terminus,
        bell: Arc<Bell>,
    ) -> Result<(), AmqpError> {
        let queue = match self.by_name.get(name) {
            None => return Err(name.not_found()),
            Some(Node { queue, .. }) => *queue,
        };
        match queue {
            Some(queue) => self.consume(link, queue, mode, filters, bell),
            None => {
                // What the filters hold back does not get into the subscription.
                let (queue, none) = (
                    self.subscribe(link, name, filters, terminus)?,
                    Filters::default(),
                );
                self.consume(link, queue, DistributionMode::Move, none, bell);
            }
        }
        self.attach(link, name);
        Ok(())
    }

    fn consume(
        &mut self,
        link: LinkId,
        queue: QueueId,
        mode: DistributionMode,
        filters: Filters,
        bell: Arc<Bell>,
    ) {
        if let Some(named) = self.queues.get_mut(&queue) {
            named.queue.add_consumer(link, mode, filters, bell);
        }
        if let Some(link) = self.links.get_mut(&link) {
            link.queue = Some(queue);
        }
    }

    /// Gives a link the subscription of its container and name (Z-052): the one that is there, whoever used it so far, or a
    /// new one.
    fn subscribe(
        &mut self,
        id: LinkId,
        topic: &NodeName,
        filters: Filters,
        terminus: Terminus,
    ) -> Result<QueueId, AmqpError> {
        let link = self.links.get(&id).ok_or_else(ended_meanwhile)?;
        let site = link.site;
        let key = SubscriptionKey {
            container_id: link.identity.container_id.clone(),
            name: link.identity.name.clone(),
        };
        if let Some((queue, known)) = self.subscriptions.find(&key) {
            // Within a connection names are the session's business.
            let is_elsewhere = known.is_attached() && known.site.connection != site.connection;
            if is_elsewhere && !self.options.link_stealing {
                let text = "another connection uses the subscription of this container and name";
                return Err(AmqpError::new(condition::RESOURCE_LOCKED, text));
            }
            if known.topic == *topic {
                let former = self
                    .subscriptions
                    .resume(queue, id, site, filters, terminus);
                if let Some(former) = former {
                    self.stop_consuming(former);
                }
                return Ok(queue);
            }
            // The name is that of another subscription now.
            self.drop_subscription(queue);
        }
        self.check_room_for_node()?;
        let queue = self.new_queue(topic);
        self.subscriptions
            .add(queue, topic.clone(), key, id, site, filters, terminus);
        Ok(queue)
    }

    fn drop_subscription(&mut self, queue: QueueId) {
        self.queues.remove(&queue);
        if let Some(topic) = self.subscriptions.remove(queue) {
            self.delete_if_unused(&topic);
        }
    }

    /// A consumer gets nothing any more. What it has acquired stays so until its deliveries are settled. Gives back what it
    /// took from.
    fn stop_consuming(&mut self, link: LinkId) -> Option<QueueId> {
        let queue = self.links.get_mut(&link)?.queue.take()?;
        if let Some(named) = self.queues.get_mut(&queue) {
            named.queue.remove_consumer(link);
        }
        Some(queue)
    }

    /// A link has ended. What it costs does not depend on how many there are: a client may leave with thousands.
    pub(in crate::broker) fn end_link(&mut self, id: LinkId, end: LinkEnd, now: Instant) {
        let queue = self.stop_consuming(id);
        let Some(link) = self.links.remove(&id) else {
            return;
        };
        if self.identities.get(&link.identity) == Some(&id) {
            self.identities.remove(&link.identity);
        }
        if let Some(name) = &link.node
            && let Some(node) = self.by_name.get_mut(name)
        {
            node.links.remove(&id);
        }
        // The end of a link whose subscription was taken over is nothing to it: it has no queue any more.
        if let Some(queue) = queue
            && self.subscriptions.end(queue, end, now)
        {
            self.drop_subscription(queue);
        }
        if let Some(name) = &link.created {
            self.end_creator(name, end);
        }
        for name in link.node.iter().chain(&link.created) {
            self.delete_if_unused(name);
        }
        self.delete_created_for_nothing();
    }

    /// A session or connection has ended, on which links may have been that were detached before and have left something.
    pub(in crate::broker) fn end_scope(&mut self, scope: Scope, now: Instant) {
        for over in self.subscriptions.end_scope(scope, now) {
            self.drop_subscription(over);
        }
        self.end_creators(scope);
        self.delete_created_for_nothing();
    }

    /// Ends the subscriptions whose time is over. Says when the next one's is.
    pub(in crate::broker) fn expire(&mut self, now: Instant) -> Option<Instant> {
        for over in self.subscriptions.expired(now) {
            self.drop_subscription(over);
        }
        self.subscriptions.next_expiry()
    }
}
