//! What one side has written and the other has not read yet.

use std::collections::VecDeque;

use bytes::{Buf, BytesMut};

use super::random::Random;

/// Frames under way. They can be taken in portions of any size, and frames of different channels may overtake each other, as
/// they could with another peer: sessions know nothing of each other.
#[derive(Default)]
pub(super) struct Wire {
    frames: VecDeque<BytesMut>,
    /// A part of the first frame was taken.
    is_first_begun: bool,
    /// The beginning of a frame that is not wholly written.
    rest: BytesMut,
}

impl Wire {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.rest.is_empty()
    }

    pub(super) fn write(&mut self, octets: &[u8]) {
        self.rest.extend_from_slice(octets);
        while let Some(size) = self.rest.first_chunk::<4>() {
            let size = u32::from_be_bytes(*size) as usize;
            if self.rest.len() < size {
                return;
            }
            self.frames.push_back(self.rest.split_to(size));
        }
    }

    /// Moves at most `octets` to the end of `input`; says how many.
    pub(super) fn read(&mut self, octets: usize, input: &mut BytesMut) -> usize {
        let mut left = octets;
        while left > 0
            && let Some(frame) = self.frames.front_mut()
        {
            let portion = left.min(frame.len());
            input.extend_from_slice(&frame[..portion]);
            frame.advance(portion);
            left -= portion;
            self.is_first_begun = !frame.is_empty();
            if frame.is_empty() {
                self.frames.pop_front();
            }
        }
        octets - left
    }

    /// Lets one frame overtake frames of other channels.
    pub(super) fn reorder(&mut self, random: &mut Random) {
        let first = usize::from(self.is_first_begun);
        let Some(position) = random.position(self.frames.len().saturating_sub(first)) else {
            return;
        };
        let from = first + position;
        let to = first + random.below(position + 1);
        let frame = &self.frames[from];
        let is_passable = |other: &BytesMut| {
            channel(other) != channel(frame) && !concerns_all(other) && !concerns_all(frame)
        };
        if self.frames.range(to..from).all(is_passable) {
            let frame = self
                .frames
                .remove(from)
                .expect("a frame that was looked at");
            self.frames.insert(to, frame);
        }
    }

    /// The stream broke.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn channel(frame: &[u8]) -> &[u8] {
    &frame[6..8]
}

/// Open and close belong to no session.
fn concerns_all(frame: &[u8]) -> bool {
    matches!(frame.get(8..11), Some([0, 0x53, 0x10 | 0x18]))
}
