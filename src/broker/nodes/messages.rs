//! Messages on their way through nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::{LinkId, NodeName, Nodes, QueueId, limit_exceeded};
use crate::broker::bell::Bell;
use crate::broker::message::{Changes, StoredMessage};
use crate::broker::publisher::Route;
use crate::broker::queue::{Entry, Offer, Place, Queue, Room};
use crate::codec::{AmqpError, Outcome, condition};

/// Messages that are to come before another one is asked for.
#[derive(Debug, Default)]
pub(in crate::broker) struct Load {
    /// Of all messages.
    pub(in crate::broker) octets: usize,
    by_queue: BTreeMap<QueueId, Share>,
}

/// What of a load goes to one queue.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    messages: usize,
    octets: usize,
}

impl Nodes {
    /// Whether a node would take a message, and everything in `before` before it.
    pub(in crate::broker) fn check(
        &mut self,
        route: &Route,
        before: &Load,
        now: Instant,
    ) -> Result<(), AmqpError> {
        let Route {
            node: name,
            message,
        } = route;
        self.find(name)?;
        if self.options.refuse_durable && message.header.durable {
            let text = "durable messages are refused: nothing here outlives the broker";
            return Err(AmqpError::new(condition::PRECONDITION_FAILED, text)); // H-003
        }
        let size = message.size();
        for queue in self.destinations(name, message) {
            if let Some(named) = self.queues.get_mut(&queue) {
                let share = before.by_queue.get(&queue).copied().unwrap_or_default();
                let needed = Room {
                    messages: share.messages + 1,
                    octets: share.octets + size,
                    total: before.octets + size,
                };
                let room = named.queue.make_room(needed, now);
                room.map_err(|full| limit_exceeded(&format!("the {}: {full}", named.node)))?;
            }
        }
        Ok(())
    }

    /// Adds a message that its node would take.
    pub(in crate::broker) fn count(&self, route: &Route, load: &mut Load) {
        let size = route.message.size();
        load.octets += size;
        for queue in self.destinations(&route.node, &route.message) {
            let share = load.by_queue.entry(queue).or_default();
            share.messages += 1;
            share.octets += size;
        }
    }

    /// Hands a message to its node, if that takes it.
    pub(in crate::broker) fn take_in(
        &mut self,
        route: &Route,
        now: Instant,
    ) -> Result<(), AmqpError> {
        self.check(route, &Load::default(), now)?;
        self.publish(route);
        Ok(())
    }

    /// Hands a message to a node. Whether it takes it was asked before.
    pub(in crate::broker) fn publish(&mut self, route: &Route) {
        let Route {
            node: name,
            message,
        } = route;
        for queue in self.destinations(name, message) {
            if let Some(named) = self.queues.get_mut(&queue) {
                named.queue.push(Arc::clone(message), Changes::default());
            }
        }
        self.delete_if_unused(name);
    }

    fn destinations(&self, name: &NodeName, message: &StoredMessage) -> Vec<QueueId> {
        match self.by_name.get(name).map(|node| node.queue) {
            Some(Some(queue)) => vec![queue],
            Some(None) => self.subscriptions.wanting(name, message),
            None => Vec::new(),
        }
    }

    /// A consumer has no credit or no window: what it was told of is for others. Its link is told whether there is something for it.
    pub(in crate::broker) fn decline(&mut self, consumer: LinkId, bell: &Bell, now: Instant) {
        let is_available = self
            .queue_of(consumer)
            .is_some_and(|(_, queue)| queue.decline(consumer, now));
        bell.say(is_available);
    }

    /// The next message for a consumer, and the queue it is from. Its link is told, so that a drain knows (K-013): where one
    /// was, there may be another.
    pub(in crate::broker) fn take(
        &mut self,
        consumer: LinkId,
        bell: &Bell,
        now: Instant,
    ) -> Option<(QueueId, Offer)> {
        let taken = self
            .queue_of(consumer)
            .and_then(|(id, queue)| Some((id, queue.take(consumer, now)?)));
        bell.say(taken.is_some());
        taken
    }

    fn queue_of(&mut self, consumer: LinkId) -> Option<(QueueId, &mut Queue)> {
        let id = self.links.get(&consumer)?.queue?;
        Some((id, &mut self.queues.get_mut(&id)?.queue))
    }

    /// Applies an outcome to an acquired message. What is rejected becomes a dead letter.
    pub(in crate::broker) fn settle(
        &mut self,
        queue: QueueId,
        place: Place,
        consumer: LinkId,
        outcome: Outcome,
        now: Instant,
    ) {
        let Some(named) = self.queues.get_mut(&queue) else {
            return;
        };
        let node = named.node.clone();
        if let Some(rejected) = named.queue.settle(place, consumer, outcome)
            && let Err(error) = self.bury(&node, rejected, now)
        {
            tracing::warn!(%node, %error, "a rejected message is lost: it cannot be a dead letter");
        }
        self.delete_if_unused(&node);
    }

    /// Makes a dead letter of a message that was rejected at `node`; what is rejected once more is gone.
    fn bury(&mut self, node: &NodeName, rejected: Entry, now: Instant) -> Result<(), AmqpError> {
        let dead_letters = self.dead_letters.clone();
        if *node == dead_letters {
            return Ok(());
        }
        self.find(&dead_letters)?;
        let queue = self.by_name.get(&dead_letters).and_then(|node| node.queue);
        if let Some(named) = queue.and_then(|queue| self.queues.get_mut(&queue)) {
            let needed = Room::of(1, rejected.size());
            let room = named.queue.make_room(needed, now);
            room.map_err(|full| limit_exceeded(&full.to_string()))?;
            named.queue.push(rejected.message, rejected.changes);
        }
        Ok(())
    }

    /// Whether a message can still be settled.
    pub(in crate::broker) fn is_acquired(&self, queue: QueueId, place: Place) -> bool {
        self.queues
            .get(&queue)
            .is_some_and(|named| named.queue.is_acquired(place))
    }
}
