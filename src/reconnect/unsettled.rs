//! What both ends of a link hold unsettled, compared when the link is resumed [2.6.13, 3.4.6].

use crate::codec::{DeliveryState, DeliveryTag, Outcome, UnsettledMap};

/// What becomes of a delivery that we sent on an earlier attachment and that is not settled here.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Replay {
    /// The receiver does not know it: send it as a new delivery.
    Anew,
    /// The receiver knows it and has not decided: resume it, from the start.
    Resume,
    /// The receiver has decided: tell it that we know.
    Conclude(Outcome),
}

/// Compares one delivery of ours with the receiver's map; without a map the receiver knows nothing.
pub(super) fn replay(tag: &DeliveryTag, receiver: Option<&UnsettledMap>) -> Replay {
    let known = receiver.and_then(|map| map.0.iter().find(|(other, _)| other == tag));
    match known {
        None => Replay::Anew,
        Some((_, state)) => match state.as_ref().and_then(DeliveryState::outcome) {
            Some(outcome) => Replay::Conclude(outcome.clone()),
            None => Replay::Resume,
        },
    }
}

/// Octets that an entry takes in an attach, at most: a tag of 32 octets, and what surrounds it.
const ENTRY: usize = 64;
/// Octets that an attach takes besides its map, with room for termini and properties.
const ATTACH: usize = 4096;

/// How many entries an attach has room for in the peer's frames.
pub(super) fn most_entries(max_frame_size: u32) -> usize {
    let room = (max_frame_size as usize).saturating_sub(ATTACH).max(512);
    room / ENTRY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Received;

    fn tag(number: u8) -> DeliveryTag {
        DeliveryTag::try_from(&[number][..]).unwrap()
    }

    #[test]
    fn r_001_both_maps_are_compared_by_tag() {
        let received = DeliveryState::Received(Received::default());
        let map = UnsettledMap(vec![
            (tag(1), None),
            (tag(2), Some(received)),
            (tag(3), Some(Outcome::Released.into())),
            (tag(9), None), // only the receiver knows it
        ]);
        assert_eq!(replay(&tag(0), Some(&map)), Replay::Anew);
        assert_eq!(replay(&tag(1), Some(&map)), Replay::Resume);
        assert_eq!(replay(&tag(2), Some(&map)), Replay::Resume);
        let concluded = Replay::Conclude(Outcome::Released);
        assert_eq!(replay(&tag(3), Some(&map)), concluded);
        assert_eq!(replay(&tag(1), None), Replay::Anew);
    }

    #[test]
    fn r_015_a_map_is_bounded_by_the_peers_frames() {
        assert_eq!(most_entries(512), 8);
        assert_eq!(most_entries(65_536), 960);
    }
}
