//! Who wants what a topic gets. Each subscription has a queue of its own; one that is durable outlives its link.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::address::NodeName;
use super::filter::Filters;
use super::message::{Changes, StoredMessage};
use super::nodes::{Expiry, LinkEnd, LinkId, QueueId};
use crate::codec::{Source, Str, TerminusDurability, TerminusExpiryPolicy};

/// Whose a subscription is: container-id and link name (Z-052).
pub(super) type SubscriptionKey = (Str, Str);

/// How long a terminus outlives its link [3.5.3].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Terminus {
    policy: TerminusExpiryPolicy,
    timeout: Duration,
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
struct Subscription {
    topic: NodeName,
    key: SubscriptionKey,
    filters: Filters,
    terminus: Terminus,
    /// The link that uses it, or used it last.
    link: LinkId,
    is_attached: bool,
    is_expiring: bool,
    /// Counts its ends.
    generation: u64,
}

#[derive(Debug, Default)]
pub(super) struct Subscriptions(BTreeMap<QueueId, Subscription>);

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn add(
        &mut self,
        queue: QueueId,
        topic: NodeName,
        key: SubscriptionKey,
        link: LinkId,
        filters: Filters,
        terminus: Terminus,
    ) {
        let subscription = Subscription {
            topic,
            key,
            filters,
            terminus,
            link,
            is_attached: true,
            is_expiring: false,
            generation: 0,
        };
        self.0.insert(queue, subscription);
    }

    /// A link comes back to its subscription, if there is one to the same topic that nobody uses.
    pub(super) fn resume(
        &mut self,
        key: &SubscriptionKey,
        topic: &NodeName,
        link: LinkId,
        filters: &Filters,
        terminus: Terminus,
    ) -> Option<QueueId> {
        let (queue, subscription) = self
            .0
            .iter_mut()
            .find(|(_, known)| known.key == *key && known.topic == *topic && !known.is_attached)?;
        subscription.link = link;
        subscription.is_attached = true;
        subscription.is_expiring = false;
        subscription.filters = filters.clone();
        subscription.terminus = terminus;
        subscription.generation += 1;
        Some(*queue)
    }

    /// Forgets a subscription of that name that nobody uses.
    pub(super) fn remove_named(&mut self, key: &SubscriptionKey) -> Option<QueueId> {
        let found = self
            .0
            .iter()
            .find(|(_, known)| known.key == *key && !known.is_attached);
        let queue = *found?.0;
        self.0.remove(&queue).map(|_| queue)
    }

    pub(super) fn remove_topic(&mut self, topic: &NodeName) -> Vec<QueueId> {
        let queues = self.of(topic);
        self.0
            .retain(|_, subscription| subscription.topic != *topic);
        queues
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

    /// A link has ended: its subscription is dropped at once (first), begins to expire (second), or stays.
    pub(super) fn end_link(
        &mut self,
        link: LinkId,
        end: LinkEnd,
        now: Instant,
    ) -> (Option<QueueId>, Option<Expiry>) {
        let found = self.0.iter_mut().find(|(_, known)| known.link == link);
        let Some((&queue, subscription)) = found else {
            return (None, None);
        };
        let was_attached = std::mem::replace(&mut subscription.is_attached, false);
        let Terminus { policy, timeout } = subscription.terminus;
        let begins_to_expire = match policy {
            TerminusExpiryPolicy::LinkDetach => was_attached,
            TerminusExpiryPolicy::SessionEnd => end >= LinkEnd::SessionEnded,
            TerminusExpiryPolicy::ConnectionClose => end >= LinkEnd::ConnectionClosed,
            TerminusExpiryPolicy::Never => false,
        };
        let is_over = end == LinkEnd::Closed || (begins_to_expire && timeout.is_zero());
        if is_over {
            self.0.remove(&queue);
            return (Some(queue), None);
        }
        if !begins_to_expire || subscription.is_expiring {
            return (None, None);
        }
        subscription.is_expiring = true;
        subscription.generation += 1;
        let generation = subscription.generation;
        let expiry = now.checked_add(timeout).map(|at| Expiry {
            queue,
            generation,
            at,
        });
        (None, expiry)
    }

    /// Whether a link that has ended has left a subscription behind.
    pub(super) fn is_left_by(&self, link: LinkId) -> bool {
        let mut left = self.0.values().filter(|known| !known.is_attached);
        left.any(|known| known.link == link)
    }

    /// Forgets a subscription whose time is over; false if somebody came back to it.
    pub(super) fn expire(&mut self, expiry: &Expiry) -> bool {
        let is_over = self
            .0
            .get(&expiry.queue)
            .is_some_and(|known| known.generation == expiry.generation && !known.is_attached);
        if is_over {
            self.0.remove(&expiry.queue);
        }
        is_over
    }
}
