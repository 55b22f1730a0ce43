//! Who wants what a topic gets. Each subscription has a queue of its own; one that is durable outlives its link.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::address::NodeName;
use super::filter::Filters;
use super::message::{Changes, StoredMessage};
use super::nodes::{LinkEnd, LinkId, QueueId, Scope, Site};
use crate::codec::{Source, Str, TerminusDurability, TerminusExpiryPolicy};

/// Whose a subscription is (Z-052).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SubscriptionKey {
    pub(super) container_id: Str,
    /// The link's.
    pub(super) name: Str,
}

/// How long a terminus outlives its link [3.5.3].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Terminus {
    policy: TerminusExpiryPolicy,
    timeout: Duration,
}

impl Terminus {
    /// Whether nobody counts on it once its link is gone.
    fn is_volatile(&self) -> bool {
        use TerminusExpiryPolicy::{LinkDetach, SessionEnd};
        self.timeout.is_zero() && matches!(self.policy, LinkDetach | SessionEnd)
    }

    /// Whether its time begins to run with this end.
    fn begins_to_expire(&self, end: LinkEnd) -> bool {
        match self.policy {
            TerminusExpiryPolicy::LinkDetach => true,
            TerminusExpiryPolicy::SessionEnd => end >= LinkEnd::SessionEnded,
            TerminusExpiryPolicy::ConnectionClose => end >= LinkEnd::ConnectionClosed,
            TerminusExpiryPolicy::Never => false,
        }
    }
}

impl From<&Source> for Terminus {
    fn from(source: &Source) -> Self {
        let timeout = Duration::from_secs(source.timeout.into());
        let policy = match source.durable {
            // Some clients say that a terminus is durable and not for how long.
            TerminusDurability::Configuration | TerminusDurability::UnsettledState
                if source.expiry_policy == TerminusExpiryPolicy::default() && timeout.is_zero() =>
            {
                TerminusExpiryPolicy::Never
            }
            _ => source.expiry_policy,
        };
        Self { policy, timeout }
    }
}

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) topic: NodeName,
    key: SubscriptionKey,
    filters: Filters,
    terminus: Terminus,
    /// The link that uses it; None if it was left.
    link: Option<LinkId>,
    /// Where it is used, or was last.
    pub(super) site: Site,
    /// When it is over, unless somebody comes back to it.
    expires: Option<Instant>,
}

impl Subscription {
    pub(super) fn is_attached(&self) -> bool {
        self.link.is_some()
    }

    /// Its link has ended, or what that was on. True if the subscription is over at once.
    fn end(&mut self, end: LinkEnd, now: Instant) -> bool {
        self.link = None;
        let Terminus { timeout, .. } = self.terminus;
        let begins_to_expire = self.terminus.begins_to_expire(end);
        let is_over = match end {
            LinkEnd::Closed => true, // A-028, Z-053
            LinkEnd::Expelled if self.terminus.is_volatile() => true,
            _ => begins_to_expire && timeout.is_zero(),
        };
        if begins_to_expire && self.expires.is_none() {
            self.expires = now.checked_add(timeout);
        }
        is_over
    }
}

#[derive(Debug, Default)]
pub(super) struct Subscriptions(BTreeMap<QueueId, Subscription>);

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    #[allow(clippy::too_many_arguments, reason = "they are what a subscription is")]
    pub(super) fn add(
        &mut self,
        queue: QueueId,
        topic: NodeName,
        key: SubscriptionKey,
        link: LinkId,
        site: Site,
        filters: Filters,
        terminus: Terminus,
    ) {
        let subscription = Subscription {
            topic,
            key,
            filters,
            terminus,
            link: Some(link),
            site,
            expires: None,
        };
        self.0.insert(queue, subscription);
    }

    /// The subscription of a container and name, and its queue.
    pub(super) fn find(&self, key: &SubscriptionKey) -> Option<(QueueId, &Subscription)> {
        let mut all = self.0.iter();
        all.find(|(_, known)| known.key == *key)
            .map(|(queue, known)| (*queue, known))
    }

    /// A link takes a subscription over. Gives back the link that used it until now.
    pub(super) fn resume(
        &mut self,
        queue: QueueId,
        link: LinkId,
        site: Site,
        filters: Filters,
        terminus: Terminus,
    ) -> Option<LinkId> {
        let subscription = self.0.get_mut(&queue)?;
        subscription.filters = filters;
        subscription.terminus = terminus;
        subscription.site = site;
        subscription.expires = None;
        subscription.link.replace(link)
    }

    pub(super) fn remove(&mut self, queue: QueueId) {
        self.0.remove(&queue);
    }

    pub(super) fn remove_topic(&mut self, topic: &NodeName) -> Vec<QueueId> {
        self.remove_if(|known| known.topic == *topic)
    }

    fn remove_if(&mut self, mut is_over: impl FnMut(&mut Subscription) -> bool) -> Vec<QueueId> {
        let mut removed = Vec::new();
        self.0.retain(|queue, known| {
            let is_over = is_over(known);
            if is_over {
                removed.push(*queue);
            }
            !is_over
        });
        removed
    }

    pub(super) fn of(&self, topic: &NodeName) -> Vec<QueueId> {
        let of_topic = self.0.iter().filter(|(_, known)| known.topic == *topic);
        of_topic.map(|(queue, _)| *queue).collect()
    }

    pub(super) fn has_any(&self, topic: &NodeName) -> bool {
        self.0.values().any(|known| known.topic == *topic)
    }

    /// The queues of those who want a message.
    pub(super) fn wanting(&self, topic: &NodeName, message: &StoredMessage) -> Vec<QueueId> {
        let changes = Changes::default();
        self.0
            .iter()
            .filter(|(_, known)| known.topic == *topic && known.filters.pass(message, &changes))
            .map(|(queue, _)| *queue)
            .collect()
    }

    /// A link has ended. Gives back the queue of its subscription if that is over at once. The end of a link whose
    /// subscription was taken over is nothing to it.
    pub(super) fn end_link(&mut self, link: LinkId, end: LinkEnd, now: Instant) -> Option<QueueId> {
        let is_over = |known: &mut Subscription| known.link == Some(link) && known.end(end, now);
        self.remove_if(is_over).pop()
    }

    /// A session or connection has ended: what was left there begins to expire, or is over (its queues are given back).
    pub(super) fn end_scope(&mut self, scope: Scope, now: Instant) -> Vec<QueueId> {
        self.remove_if(|known| {
            // Those that are used hear of it by the ends of their links.
            !known.is_attached() && scope.contains(known.site) && known.end(scope.link_end(), now)
        })
    }

    /// Forgets the subscriptions whose time is over, and gives their queues back.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<QueueId> {
        self.remove_if(|known| known.expires.is_some_and(|at| at <= now))
    }

    /// When the next one's time is over.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.0.values().filter_map(|known| known.expires).min()
    }
}
