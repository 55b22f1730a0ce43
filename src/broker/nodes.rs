//! All nodes of a broker and who uses them, as plain data.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;
use tokio::time::Instant;

use super::BrokerOptions;
use super::address::{NodeKind, NodeName};
use super::bell::Bell;
use super::filter::Filters;
use super::message::{Changes, StoredMessage};
use super::queue::{ConsumerId, DistributionMode, Offer, Place, Queue, QueueLimits};
use super::subscription::{Subscriptions, Terminus};
use crate::codec::{AmqpError, LifetimePolicy, Outcome, Role, Str, condition};

/// A link's number; never used twice by a broker. That of a consumer is its [`ConsumerId`].
pub(super) type LinkId = ConsumerId;

/// A queue's number: of a queue, or of a subscription to a topic.
pub(super) type QueueId = u64;

/// Who a link is to other connections [2.6.1]: container-id, name, and the peer's role.
pub(super) type LinkIdentity = (Str, Str, bool);

#[derive(Debug)]
pub(super) struct Nodes {
    options: BrokerOptions,
    by_name: BTreeMap<NodeName, Node>,
    queues: HashMap<QueueId, (NodeName, Queue)>,
    pub(super) subscriptions: Subscriptions,
    links: HashMap<LinkId, Link>,
    identities: HashMap<LinkIdentity, LinkId>,
    dead_letters: NodeName,
    next_number: u64,
    /// Octets of messages in all queues.
    octets: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Node {
    /// None: a topic.
    queue: Option<QueueId>,
    /// Links attached to it.
    links: usize,
    lifetime: Lifetime,
}

/// How long a node lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifetime {
    /// As long as the broker.
    Permanent,
    /// Created on use: while it is used or holds messages.
    OnUse,
    /// Created by a link that asked for it.
    Dynamic {
        policy: LifetimePolicy,
        creator: LinkId,
        creator_is_gone: bool,
    },
}

#[derive(Debug)]
struct Link {
    node: Option<NodeName>,
    /// What the consumer takes from.
    queue: Option<QueueId>,
    identity: LinkIdentity,
    /// Says why the link has to end.
    expelled: watch::Sender<Option<AmqpError>>,
}

/// How a link ended, as far as its terminus is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LinkEnd {
    /// Detached: the terminus stays until its expiry policy and timeout end it [3.5.6].
    Detached,
    /// The session it was on ended.
    SessionEnded,
    /// The connection ended.
    ConnectionClosed,
    /// Closed: the terminus goes.
    Closed,
}

impl Nodes {
    /// # Errors
    ///
    /// If one of the addresses is none.
    pub(super) fn new(options: BrokerOptions) -> Result<Self, AmqpError> {
        let mut nodes = Self {
            by_name: BTreeMap::new(),
            queues: HashMap::new(),
            subscriptions: Subscriptions::default(),
            links: HashMap::new(),
            identities: HashMap::new(),
            dead_letters: NodeName::new(NodeKind::Queue, options.dead_letter_queue.as_str()),
            next_number: 0,
            octets: Arc::default(),
            options,
        };
        for address in nodes.options.nodes.clone().unwrap_or_default() {
            let name = NodeName::parse(&address, &[])?;
            nodes.create(&name, Lifetime::Permanent)?;
        }
        Ok(nodes)
    }

    pub(super) fn options(&self) -> &BrokerOptions {
        &self.options
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn new_queue(&mut self, name: &NodeName) -> QueueId {
        let limits = QueueLimits {
            messages: self.options.max_queue_messages,
            octets: self.options.max_queue_octets,
        };
        let id = self.number();
        let queue = Queue::new(limits, Arc::clone(&self.octets));
        self.queues.insert(id, (name.clone(), queue));
        id
    }

    fn check_room_for_node(&self) -> Result<(), AmqpError> {
        let nodes = self.by_name.len() + self.subscriptions.len();
        match nodes < self.options.max_nodes {
            true => Ok(()),
            false => Err(limit_exceeded("there are as many nodes as there may be")),
        }
    }

    fn create(&mut self, name: &NodeName, lifetime: Lifetime) -> Result<(), AmqpError> {
        if self.by_name.contains_key(name) {
            return Ok(());
        }
        self.check_room_for_node()?;
        let queue = match name.kind {
            NodeKind::Queue => Some(self.new_queue(name)),
            NodeKind::Topic => None,
        };
        let node = Node {
            queue,
            links: 0,
            lifetime,
        };
        self.by_name.insert(name.clone(), node);
        Ok(())
    }

    /// Finds a node, or creates it where nodes are created on use.
    pub(super) fn find(&mut self, name: &NodeName) -> Result<(), AmqpError> {
        let exists = self.by_name.contains_key(name);
        match exists || self.options.nodes.is_none() || *name == self.dead_letters {
            true => self.create(name, Lifetime::OnUse),
            false => Err(name.not_found()),
        }
    }

    /// Creates a node for the link that asked for one; its name says whose it is.
    pub(super) fn create_dynamic(
        &mut self,
        kind: NodeKind,
        policy: LifetimePolicy,
        creator: LinkId,
        identity: &LinkIdentity,
    ) -> Result<NodeName, AmqpError> {
        let (container, link, _) = identity;
        let short = |text: &str| text.chars().take(64).collect::<String>();
        let unique = uuid::Uuid::new_v4().simple();
        let address = format!("dynamic/{}/{}/{unique}", short(container), short(link));
        let name = NodeName::new(kind, address.as_str());
        let lifetime = Lifetime::Dynamic {
            policy,
            creator,
            creator_is_gone: false,
        };
        self.create(&name, lifetime)?;
        Ok(name)
    }

    // ---- links

    /// Announces a link; it steals the place of one of the same identity. What is returned says when it has to end.
    pub(super) fn announce(
        &mut self,
        identity: LinkIdentity,
    ) -> (LinkId, watch::Receiver<Option<AmqpError>>) {
        if self.options.link_stealing
            && let Some(victim) = self.identities.get(&identity)
        {
            let text = "another connection of this container attached a link of this name";
            self.expel(*victim, AmqpError::new(condition::STOLEN, text));
        }
        let id = self.number();
        let expelled = watch::Sender::new(None);
        let end = expelled.subscribe();
        self.identities.insert(identity.clone(), id);
        let link = Link {
            node: None,
            queue: None,
            identity,
            expelled,
        };
        self.links.insert(id, link);
        (id, end)
    }

    fn expel(&self, link: LinkId, error: AmqpError) {
        if let Some(link) = self.links.get(&link) {
            link.expelled.send_replace(Some(error));
        }
    }

    /// Counts a link among those that use a node.
    pub(super) fn attach(&mut self, link: LinkId, name: &NodeName) {
        if let Some(node) = self.by_name.get_mut(name)
            && let Some(link) = self.links.get_mut(&link)
        {
            node.links += 1;
            link.node = Some(name.clone());
        }
    }

    /// Lets a link consume from a node: a queue, or a subscription of its own to a topic.
    pub(super) fn attach_consumer(
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
            Some(Node {
                queue: Some(id), ..
            }) => *id,
            Some(Node { queue: None, .. }) => {
                let queue = self.subscribe(link, name, &filters, terminus)?;
                self.consume(
                    link,
                    queue,
                    DistributionMode::Move,
                    Filters::default(),
                    bell,
                );
                self.attach(link, name);
                return Ok(());
            }
        };
        self.consume(link, queue, mode, filters, bell);
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
        if let Some((_, queue)) = self.queues.get_mut(&queue) {
            queue.add_consumer(link, mode, filters, bell);
        }
        if let Some(link) = self.links.get_mut(&link) {
            link.queue = Some(queue);
        }
    }

    fn subscribe(
        &mut self,
        link: LinkId,
        topic: &NodeName,
        filters: &Filters,
        terminus: Terminus,
    ) -> Result<QueueId, AmqpError> {
        let identity = self.links.get(&link).map(|link| link.identity.clone());
        let (container, name, _) = identity.unwrap_or_default();
        let key = (container, name);
        if let Some(queue) = self
            .subscriptions
            .resume(&key, topic, link, filters, terminus)
        {
            return Ok(queue);
        }
        self.check_room_for_node()?;
        if let Some(former) = self.subscriptions.remove_named(&key) {
            self.queues.remove(&former);
        }
        let queue = self.new_queue(topic);
        self.subscriptions
            .add(queue, topic.clone(), key, link, filters.clone(), terminus);
        Ok(queue)
    }

    /// A link has ended, or, after it was detached, the session or connection on which it was. Returns a subscription that
    /// begins to expire, and when it has.
    pub(super) fn end_link(&mut self, id: LinkId, end: LinkEnd, now: Instant) -> Option<Expiry> {
        if let Some(link) = self.links.remove(&id) {
            if self.identities.get(&link.identity) == Some(&id) {
                self.identities.remove(&link.identity);
            }
            if let Some(queue) = link.queue
                && let Some((_, queue)) = self.queues.get_mut(&queue)
            {
                queue.remove_consumer(id);
            }
            if let Some(node) = link
                .node
                .as_ref()
                .and_then(|name| self.by_name.get_mut(name))
            {
                node.links -= 1;
            }
        }
        let (dropped, expiry) = self.subscriptions.end_link(id, end, now);
        if let Some(queue) = dropped {
            self.queues.remove(&queue);
        }
        self.end_creator(id, end);
        self.delete_unused();
        expiry
    }

    fn end_creator(&mut self, link: LinkId, end: LinkEnd) {
        for node in self.by_name.values_mut() {
            if let Lifetime::Dynamic {
                policy,
                creator,
                creator_is_gone,
            } = &mut node.lifetime
                && *creator == link
            {
                // the node outlives a detach, but not the session, with which the terminus expires.
                *creator_is_gone |=
                    end != LinkEnd::Detached || *policy != LifetimePolicy::DeleteOnClose;
            }
        }
    }

    /// Whether a link that has ended has left something that goes with its session or connection.
    pub(super) fn is_left_by(&self, link: LinkId) -> bool {
        let created = |node: &Node| matches!(node.lifetime, Lifetime::Dynamic { creator, creator_is_gone: false, .. } if creator == link);
        self.subscriptions.is_left_by(link) || self.by_name.values().any(created)
    }

    /// A subscription's time is over, unless somebody came back to it meanwhile.
    pub(super) fn expire(&mut self, expiry: &Expiry) {
        if self.subscriptions.expire(expiry) {
            self.queues.remove(&expiry.queue);
            self.delete_unused();
        }
    }

    /// Deletes the nodes whose policy says so now.
    fn delete_unused(&mut self) {
        let unused: Vec<NodeName> = self
            .by_name
            .iter()
            .filter(|(name, node)| self.is_unused(name, node))
            .map(|(name, _)| name.clone())
            .collect();
        for name in unused {
            self.delete(&name);
        }
    }

    fn is_unused(&self, name: &NodeName, node: &Node) -> bool {
        let has_no_links = node.links == 0;
        let is_empty = match node.queue {
            Some(queue) => self
                .queues
                .get(&queue)
                .is_none_or(|(_, queue)| queue.is_empty()),
            None => !self.subscriptions.has_any(name),
        };
        match node.lifetime {
            Lifetime::Permanent => false,
            Lifetime::OnUse => has_no_links && is_empty,
            Lifetime::Dynamic {
                policy,
                creator_is_gone,
                ..
            } => match policy {
                LifetimePolicy::DeleteOnClose => creator_is_gone,
                LifetimePolicy::DeleteOnNoLinks => creator_is_gone && has_no_links,
                LifetimePolicy::DeleteOnNoMessages => creator_is_gone && is_empty,
                LifetimePolicy::DeleteOnNoLinksOrMessages => {
                    creator_is_gone && has_no_links && is_empty
                }
            },
        }
    }

    /// Deletes a node: its links are told.
    fn delete(&mut self, name: &NodeName) {
        let Some(node) = self.by_name.remove(name) else {
            return;
        };
        let text = format!("the {name} was deleted");
        for (id, link) in &self.links {
            if link.node.as_ref() == Some(name) {
                self.expel(
                    *id,
                    AmqpError::new(condition::RESOURCE_DELETED, text.as_str()),
                );
            }
        }
        let subscriptions = self.subscriptions.remove_topic(name);
        for queue in node.queue.into_iter().chain(subscriptions) {
            self.queues.remove(&queue);
        }
    }

    // ---- messages

    /// Whether a node would take a message, and everything in `before` before it.
    pub(super) fn check(
        &mut self,
        name: &NodeName,
        message: &StoredMessage,
        before: &Load,
        now: Instant,
    ) -> Result<(), AmqpError> {
        self.find(name)?;
        if self.options.refuse_durable && message.header.durable {
            let text = "durable messages are refused: nothing here outlives the broker";
            return Err(AmqpError::new(condition::PRECONDITION_FAILED, text)); // H-003
        }
        let size = message.size();
        let total = self.octets.load(Ordering::Relaxed);
        if total.saturating_add(before.octets + size) > self.options.max_octets {
            return Err(limit_exceeded("the broker holds as much as it may"));
        }
        for queue in self.destinations(name, message) {
            let Some((name, queue)) = self.queues.get_mut(&queue) else {
                continue;
            };
            if !queue.has_room(before.messages + 1, before.octets + size) {
                queue.drop_expired(now);
            }
            if !queue.has_room(before.messages + 1, before.octets + size) {
                let text = format!("the {name} holds as much as it may");
                return Err(limit_exceeded(&text));
            }
        }
        Ok(())
    }

    /// Hands a message to a node. Whether it takes it was asked before.
    pub(super) fn publish(&mut self, name: &NodeName, message: &Arc<StoredMessage>) {
        for queue in self.destinations(name, message) {
            if let Some((_, queue)) = self.queues.get_mut(&queue) {
                queue.push(Arc::clone(message), Changes::default());
            }
        }
        self.delete_unused_node(name);
    }

    fn destinations(&self, name: &NodeName, message: &StoredMessage) -> Vec<QueueId> {
        match self.by_name.get(name).map(|node| node.queue) {
            Some(Some(queue)) => vec![queue],
            Some(None) => self.subscriptions.wanting(name, message),
            None => Vec::new(),
        }
    }

    /// Whether there is a message for a consumer. Its link is told, so that a drain knows.
    pub(super) fn look(&mut self, consumer: LinkId, bell: &Bell, now: Instant) -> bool {
        let queue = self.links.get(&consumer).and_then(|link| link.queue);
        let is_available = queue
            .and_then(|queue| self.queues.get_mut(&queue))
            .is_some_and(|(_, queue)| queue.has_offer(consumer, now));
        bell.say(is_available);
        is_available
    }

    /// The next message for a consumer, and the queue it is from.
    pub(super) fn take(&mut self, consumer: LinkId, now: Instant) -> Option<(QueueId, Offer)> {
        let id = self.links.get(&consumer)?.queue?;
        let (_, queue) = self.queues.get_mut(&id)?;
        Some((id, queue.take(consumer, now)?))
    }

    /// Applies an outcome to an acquired message. What is rejected becomes a dead letter, if there is room for it.
    pub(super) fn settle(
        &mut self,
        queue: QueueId,
        place: Place,
        consumer: LinkId,
        outcome: Outcome,
    ) {
        let Some((name, queue)) = self.queues.get_mut(&queue) else {
            return;
        };
        let name = name.clone();
        let dead = queue.settle(place, consumer, outcome);
        if let Some(entry) = dead
            && name != self.dead_letters
            && self.find(&self.dead_letters.clone()).is_ok()
            && let Some(Some(id)) = self.by_name.get(&self.dead_letters).map(|node| node.queue)
            && let Some((_, letters)) = self.queues.get_mut(&id)
            && letters.has_room(1, entry.message.size())
        {
            letters.push(entry.message, entry.changes);
        }
        self.delete_unused_node(&name);
    }

    /// Whether a message can still be settled.
    pub(super) fn is_acquired(&self, queue: QueueId, place: Place) -> bool {
        self.queues
            .get(&queue)
            .is_some_and(|(_, queue)| queue.is_acquired(place))
    }

    fn delete_unused_node(&mut self, name: &NodeName) {
        if let Some(node) = self.by_name.get(name)
            && self.is_unused(name, node)
        {
            self.delete(name);
        }
    }

    /// Messages of a node: of a queue those that are available or acquired, of a topic those of its subscriptions together.
    pub(super) fn depth(&self, name: &NodeName) -> Option<usize> {
        let node = self.by_name.get(name)?;
        let queues = match node.queue {
            Some(queue) => vec![queue],
            None => self.subscriptions.of(name),
        };
        let queues = queues.iter().flat_map(|id| self.queues.get(id));
        Some(queues.map(|(_, queue)| queue.len()).sum())
    }
}

/// Messages that are to come before another one is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) messages: usize,
    pub(super) octets: usize,
}

/// When a subscription is over, if nobody comes back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expiry {
    pub(super) queue: QueueId,
    /// Which of its ends this is about.
    pub(super) generation: u64,
    pub(super) at: Instant,
}

pub(super) fn limit_exceeded(text: &str) -> AmqpError {
    AmqpError::new(condition::RESOURCE_LIMIT_EXCEEDED, text)
}

/// The peer's role as a part of a link's identity.
pub(super) fn is_sender(role: Role) -> bool {
    role == Role::Sender
}
