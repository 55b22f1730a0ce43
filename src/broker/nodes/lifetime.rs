//! How long nodes live.

use super::{LinkEnd, LinkId, Node, NodeName, Nodes, Scope, Site};
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
        creator: LinkId,
        site: Site,
        creator_is_gone: bool,
    },
}

impl Nodes {
    /// A link has ended that may have created nodes.
    pub(super) fn end_creator(&mut self, link: LinkId, end: LinkEnd) {
        for node in self.by_name.values_mut() {
            if let Lifetime::Dynamic {
                policy,
                creator,
                creator_is_gone,
                ..
            } = &mut node.lifetime
                && *creator == link
            {
                // the node outlives a detach, but not the session, with which the terminus expires.
                *creator_is_gone |=
                    end != LinkEnd::Detached || *policy != LifetimePolicy::DeleteOnClose;
            }
        }
    }

    /// A session or connection has ended on which links may have created nodes.
    pub(super) fn end_creators(&mut self, scope: Scope) {
        for node in self.by_name.values_mut() {
            if let Lifetime::Dynamic {
                site,
                creator_is_gone,
                ..
            } = &mut node.lifetime
            {
                *creator_is_gone |= scope.contains(*site);
            }
        }
    }

    /// Deletes the nodes whose policy says so now.
    pub(super) fn delete_unused(&mut self) {
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

    /// Deletes one node, if its policy says so now.
    pub(super) fn delete_if_unused(&mut self, name: &NodeName) {
        if let Some(node) = self.by_name.get(name)
            && self.is_unused(name, node)
        {
            self.delete(name);
        }
    }

    fn is_unused(&self, name: &NodeName, node: &Node) -> bool {
        let has_no_links = node.links == 0;
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
    fn delete(&mut self, name: &NodeName) {
        let Some(node) = self.by_name.remove(name) else {
            return;
        };
        let error = AmqpError::new(
            condition::RESOURCE_DELETED,
            format!("the {name} was deleted"),
        );
        for link in self.links.values() {
            if link.node.as_ref() == Some(name) {
                link.expel(error.clone());
            }
        }
        let subscriptions = self.subscriptions.remove_topic(name);
        for queue in node.queue.into_iter().chain(subscriptions) {
            self.queues.remove(&queue);
        }
    }
}
