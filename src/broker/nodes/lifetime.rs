//! How long nodes live.

use super::{LinkEnd, Node, NodeName, Nodes, QueueId, Scope, Site};
use crate::codec::{AmqpError, LifetimePolicy, condition};

/// How long a node lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// As long as the broker.
    Permanent,
    /// Created on use: while it is used or holds messages.
    OnUse,
    /// Created by a link that asked for it.
    Dynamic {
        policy: LifetimePolicy,
        site: Site,
        creator_is_gone: bool,
    },
}

impl Nodes {
    /// The link has ended that a node was created for.
    pub(super) fn end_creator(&mut self, name: &NodeName, end: LinkEnd) {
        if let Some(node) = self.by_name.get_mut(name)
            && let Lifetime::Dynamic {
                policy,
                creator_is_gone,
                ..
            } = &mut node.lifetime
        {
            // the node outlives a detach, but not the session, with which the terminus expires.
            *creator_is_gone |=
                end != LinkEnd::Detached || *policy != LifetimePolicy::DeleteOnClose;
        }
    }

    /// A session or connection has ended on which links may have created nodes.
    pub(super) fn end_creators(&mut self, scope: Scope) {
        let mut left = Vec::new();
        for (name, node) in &mut self.by_name {
            if let Lifetime::Dynamic {
                site,
                creator_is_gone,
                ..
            } = &mut node.lifetime
                && scope.contains(*site)
            {
                *creator_is_gone = true;
                left.push(name.clone());
            }
        }
        for name in left {
            self.delete_if_unused(&name);
        }
    }

    /// Deletes what was created on use and not used after all: its link was refused, or its message.
    pub(super) fn delete_created_for_nothing(&mut self) {
        for name in std::mem::take(&mut self.created_on_use) {
            self.delete_if_unused(&name);
        }
    }

    /// Deletes one node, if its policy says so now.
    pub(super) fn delete_if_unused(&mut self, name: &NodeName) {
        if let Some(node) = self.by_name.get(name)
            && self.is_unused(name, node)
        {
            self.delete(name);
        }
    }

    fn is_unused(&self, name: &NodeName, node: &Node) -> bool {
        #[cfg(test)]
        self.looked_at.set(self.looked_at.get() + 1);
        let has_no_links = node.links.is_empty();
        let is_empty = match node.queue {
            Some(queue) => self
                .queues
                .get(&queue)
                .is_none_or(|named| named.queue.is_empty()),
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
    pub(super) fn delete(&mut self, name: &NodeName) {
        let Some(node) = self.by_name.remove(name) else {
            return;
        };
        let error = AmqpError::new(
            condition::RESOURCE_DELETED,
            format!("the {name} was deleted"),
        );
        self.created_on_use.remove(name);
        for link in node.links.iter().filter_map(|link| self.links.get(link)) {
            link.expel(error.clone());
        }
        let subscriptions: Vec<QueueId> = self.subscriptions.of(name).collect();
        for queue in node.queue.into_iter().chain(subscriptions) {
            self.subscriptions.remove(queue);
            self.queues.remove(&queue);
        }
    }
}
