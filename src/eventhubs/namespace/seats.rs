//! Which connection a link goes to.

use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// How many links each of the client's connections carries.
pub(super) struct Seats(Mutex<Vec<usize>>);

impl Seats {
    pub(super) fn new(connections: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(vec![0; connections])))
    }

    /// A place on the connection with the fewest links, the first of equals.
    pub(super) fn take(self: &Arc<Self>) -> Seat {
        let mut links = lock(&self.0);
        let fewest = links
            .iter_mut()
            .enumerate()
            .min_by_key(|(_, links)| **links);
        let connection = fewest.map_or(0, |(connection, links)| {
            *links += 1;
            connection
        });
        Seat {
            seats: self.clone(),
            connection,
        }
    }
}

/// A link's place on a connection; free again when dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    connection: usize,
}

impl Seat {
    pub(super) fn connection(&self) -> usize {
        self.connection
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(links) = lock(&self.seats.0).get_mut(self.connection) {
            *links -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_spread_and_a_free_place_is_taken_again() {
        let seats = Seats::new(3);
        let mut taken: Vec<_> = (0..7).map(|_| seats.take()).collect();
        let numbers: Vec<_> = taken.iter().map(Seat::connection).collect();
        assert_eq!(numbers, [0, 1, 2, 0, 1, 2, 0]);
        taken.retain(|seat| seat.connection() != 1);
        assert_eq!(seats.take().connection(), 1);
    }
}
