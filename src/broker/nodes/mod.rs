//! All nodes of a broker and who uses them. Whoever holds them holds them alone: what is done under one lock is done at once.

mod lifetime;
mod links;
mod messages;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use self::lifetime::Lifetime;
use self::links::Link;
pub(super) use self::links::{LinkEnd, LinkId, LinkIdentity, Scope, Site};
pub(super) use self::messages::Load;
use super::BrokerOptions;
use super::address::{NodeKind, NodeName};
use super::queue::{Queue, QueueLimits};
use super::subscription::Subscriptions;
use crate::codec::{AmqpError, LifetimePolicy, condition};

/// A queue's number: of a queue, or of a subscription to a topic.
pub(super) type QueueId = u64;

#[derive(Debug)]
pub(super) struct Nodes {
    options: BrokerOptions,
    by_name: BTreeMap<NodeName, Node>,
    queues: HashMap<QueueId, NamedQueue>,
    subscriptions: Subscriptions,
    links: HashMap<LinkId, Link>,
    identities: HashMap<LinkIdentity, LinkId>,
    dead_letters: NodeName,
    /// Nodes created on use since a link ended last.
    created_on_use: BTreeSet<NodeName>,
    next_number: u64,
    /// Octets of messages in all queues.
    octets: Arc<AtomicUsize>,
    /// How often it was looked whether a node is unused.
    #[cfg(test)]
    looked_at: std::cell::Cell<usize>,
}

#[derive(Debug)]
struct Node {
    /// None: a topic.
    queue: Option<QueueId>,
    /// Links attached to it.
    links: BTreeSet<LinkId>,
    lifetime: Lifetime,
}

/// A queue, and the node that it is or belongs to.
#[derive(Debug)]
struct NamedQueue {
    node: NodeName,
    queue: Queue,
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
            created_on_use: BTreeSet::new(),
            #[cfg(test)]
            looked_at: std::cell::Cell::default(),
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

    fn new_queue(&mut self, node: &NodeName) -> QueueId {
        let limits = QueueLimits {
            messages: self.options.max_queue_messages,
            octets: self.options.max_queue_bytes,
            total_octets: self.options.max_bytes,
        };
        let id = self.number();
        let queue = NamedQueue {
            node: node.clone(),
            queue: Queue::new(limits, Arc::clone(&self.octets)),
        };
        self.queues.insert(id, queue);
        id
    }

    fn check_room_for_node(&self) -> Result<(), AmqpError> {
        let nodes = self.by_name.len() + self.subscriptions.len();
        match nodes < self.options.max_nodes {
            true => Ok(()),
            false => Err(limit_exceeded("there are as many nodes as there may be")),
        }
    }

    /// Creates a node, unless it is there.
    fn create(&mut self, name: &NodeName, lifetime: Lifetime) -> Result<(), AmqpError> {
        if self.by_name.contains_key(name) {
            return Ok(());
        }
        self.check_room_for_node()?;
        let queue = match name.kind {
            NodeKind::Queue => Some(self.new_queue(name)),
            NodeKind::Topic => None,
        };
        if lifetime == Lifetime::OnUse {
            self.created_on_use.insert(name.clone());
        }
        let node = Node {
            queue,
            links: BTreeSet::new(),
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
    ) -> Result<NodeName, AmqpError> {
        let Some(link) = self.links.get_mut(&creator) else {
            return Err(ended_meanwhile());
        };
        let short = |text: &str| text.chars().take(64).collect::<String>();
        let container = short(&link.identity.container_id);
        let unique = uuid::Uuid::new_v4().simple();
        let address = format!(
            "dynamic/{container}/{}/{unique}",
            short(&link.identity.name)
        );
        let name = NodeName::new(kind, address.as_str());
        let lifetime = Lifetime::Dynamic {
            policy,
            site: link.site,
            creator_is_gone: false,
        };
        link.created = Some(name.clone());
        self.create(&name, lifetime)?;
        Ok(name)
    }

    /// Messages of a node: of a queue those that are available or acquired, of a topic those of its subscriptions together.
    pub(super) fn depth(&self, name: &NodeName) -> Option<usize> {
        let node = self.by_name.get(name)?;
        let queues = match node.queue {
            Some(queue) => vec![queue],
            None => self.subscriptions.of(name).collect(),
        };
        let queues = queues.iter().flat_map(|id| self.queues.get(id));
        Some(queues.map(|named| named.queue.len()).sum())
    }
}

pub(super) fn limit_exceeded(text: &str) -> AmqpError {
    AmqpError::new(condition::RESOURCE_LIMIT_EXCEEDED, text)
}

/// A link that is announced no more cannot be given anything.
fn ended_meanwhile() -> AmqpError {
    AmqpError::new(condition::ILLEGAL_STATE, "the link has ended")
}

#[cfg(test)]
mod tests;
