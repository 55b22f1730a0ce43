//! The channels that our sessions send on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::key::{Key, NumberTable};

/// How long a channel is left alone after both ends. RabbitMQ 4 forgets a session a moment after it has written its end, and
/// loses a begin that comes on the same channel in between.
const REST: Duration = Duration::from_millis(500);

/// Which session sends on which channel, and which channels were freed just now.
#[derive(Debug, Default)]
pub(crate) struct OutgoingChannels {
    taken: NumberTable,
    /// Free channels that rest, and since when, in the order in which they were freed.
    resting: VecDeque<(u32, Instant)>,
}

impl OutgoingChannels {
    pub(crate) fn get(&self, channel: u32) -> Option<Key> {
        self.taken.get(channel)
    }

    /// Takes the lowest free channel, if one is free at or below `highest` (S-005): one that rests only if no other is left.
    pub(crate) fn allocate(&mut self, key: Key, highest: u32, now: Instant) -> Option<u32> {
        while self
            .resting
            .front()
            .is_some_and(|(_, since)| *since + REST <= now)
        {
            self.resting.pop_front();
        }
        let channel = self
            .lowest_rested(highest)
            .or_else(|| self.longest_at_rest(highest))?;
        self.resting.retain(|(resting, _)| *resting != channel);
        self.taken.set(channel, key);
        Some(channel)
    }

    fn lowest_rested(&self, highest: u32) -> Option<u32> {
        let rests = |channel| self.resting.iter().any(|(resting, _)| *resting == channel);
        let mut free = self.taken.free().take_while(|channel| *channel <= highest);
        free.find(|channel| !rests(*channel))
    }

    fn longest_at_rest(&self, highest: u32) -> Option<u32> {
        let mut resting = self.resting.iter().map(|(channel, _)| *channel);
        resting.find(|channel| *channel <= highest)
    }

    pub(crate) fn clear(&mut self, channel: u32, now: Instant) {
        self.taken.clear(channel);
        self.resting.push_back((channel, now));
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::Slab;
    use super::*;

    #[test]
    fn s_005_the_lowest_free_channel_is_used_once_it_has_rested() {
        let key = Slab::new().insert(());
        let mut channels = OutgoingChannels::default();
        let began = Instant::now();
        let allocate = |channels: &mut OutgoingChannels, after: Duration| {
            channels.allocate(key, 2, began + after)
        };
        assert_eq!(allocate(&mut channels, Duration::ZERO), Some(0));
        channels.clear(0, began);
        assert_eq!(allocate(&mut channels, Duration::ZERO), Some(1));
        assert_eq!(allocate(&mut channels, REST), Some(0));
        assert_eq!(allocate(&mut channels, REST), Some(2));
        assert_eq!(allocate(&mut channels, REST), None);
    }

    #[test]
    fn s_005_channels_that_rest_are_used_when_there_is_no_other() {
        let key = Slab::new().insert(());
        let mut channels = OutgoingChannels::default();
        let now = Instant::now();
        for channel in 0..3 {
            assert_eq!(channels.allocate(key, 2, now), Some(channel));
        }
        channels.clear(2, now);
        channels.clear(1, now);
        assert_eq!(channels.allocate(key, 2, now), Some(2));
        assert_eq!(channels.allocate(key, 0, now), None);
        assert_eq!(channels.allocate(key, 2, now), Some(1));
        assert_eq!(channels.allocate(key, 2, now), None);
    }
}
