//! Who wants what a topic gets. Each subscription has a queue of its own; one that is durable outlives its link.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::address::NodeName;
use super::filter::Filters;
use super::message::{Changes, StoredMessage};
use super::nodes::{LinkEnd, LinkId, QueueId, Scope, Site};
use crate::codec::{Source, Str, TerminusDurability, TerminusExpiryPolicy};

/// Whose a subscription is (Z-052).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

/// All subscriptions, by what each is asked for.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    by_queue: BTreeMap<QueueId, Subscription>,
    by_key: HashMap<SubscriptionKey, QueueId>,
    by_topic: HashMap<NodeName, BTreeSet<QueueId>>,
    by_expiry: BTreeSet<(Instant, QueueId)>,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.by_queue.len()
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
        self.by_key.insert(key.clone(), queue);
        self.by_topic
            .entry(topic.clone())
            .or_default()
            .insert(queue);
        let subscription = Subscription {
            topic,
            key,
            filters,
            terminus,
            link: Some(link),
            site,
            expires: None,
        };
        self.by_queue.insert(queue, subscription);
    }

    /// The subscription of a container and name, and its queue.
    pub(super) fn find(&self, key: &SubscriptionKey) -> Option<(QueueId, &Subscription)> {
        let queue = self.by_key.get(key)?;
        Some((*queue, self.by_queue.get(queue)?))
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
        let subscription = self.by_queue.get_mut(&queue)?;
        subscription.filters = filters;
        subscription.terminus = terminus;
        subscription.site = site;
        if let Some(at) = subscription.expires.take() {
            self.by_expiry.remove(&(at, queue));
        }
        subscription.link.replace(link)
    }

    /// Forgets a subscription. Gives its topic back.
    pub(super) fn remove(&mut self, queue: QueueId) -> Option<NodeName> {
        let removed = self.by_queue.remove(&queue)?;
        self.by_key.remove(&removed.key);
        if let Some(at) = removed.expires {
            self.by_expiry.remove(&(at, queue));
        }
        if let Some(of_topic) = self.by_topic.get_mut(&removed.topic) {
            of_topic.remove(&queue);
            if of_topic.is_empty() {
                self.by_topic.remove(&removed.topic);
            }
        }
        Some(removed.topic)
    }

    /// Their queues.
    pub(super) fn of(&self, topic: &NodeName) -> impl Iterator<Item = QueueId> {
        self.by_topic.get(topic).into_iter().flatten().copied()
    }

    pub(super) fn has_any(&self, topic: &NodeName) -> bool {
        self.by_topic.contains_key(topic)
    }

    /// The queues of those who want a message.
    pub(super) fn wanting(&self, topic: &NodeName, message: &StoredMessage) -> Vec<QueueId> {
        let changes = Changes::default();
        let wants = |queue: &QueueId| {
            let known = self.by_queue.get(queue);
            known.is_some_and(|known| known.filters.pass(message, &changes))
        };
        self.of(topic).filter(wants).collect()
    }

    /// The link of a queue has ended. True if that is the end of a subscription, too.
    pub(super) fn end(&mut self, queue: QueueId, end: LinkEnd, now: Instant) -> bool {
        let Some(known) = self.by_queue.get_mut(&queue) else {
            return false;
        };
        let is_over = known.end(end, now);
        self.by_expiry.extend(known.expires.map(|at| (at, queue)));
        is_over
    }

    /// A session or connection has ended: what was left there begins to expire, or is over (its queues are given back).
    pub(super) fn end_scope(&mut self, scope: Scope, now: Instant) -> Vec<QueueId> {
        // Those that are used hear of it by the ends of their links.
        let left = self.by_queue.iter();
        let left = left.filter(|(_, known)| !known.is_attached() && scope.contains(known.site));
        let mut over: Vec<QueueId> = left.map(|(queue, _)| *queue).collect();
        over.retain(|queue| self.end(*queue, scope.link_end(), now));
        over
    }

    /// The queues of the subscriptions whose time is over.
    pub(super) fn expired(&self, now: Instant) -> Vec<QueueId> {
        let expired = self.by_expiry.iter().take_while(|(at, _)| *at <= now);
        expired.map(|(_, queue)| *queue).collect()
    }

    /// When the next one's time is over.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.by_expiry.first().map(|(at, _)| *at)
    }
}
