//! Which partition a key belongs to, computed here instead of by the service.

use std::num::NonZeroU32;

/// The partition of `key` in a hub of `partition_count` partitions, as the buffered producers of Microsoft's .NET and
/// JavaScript clients compute it, over the key's UTF-8 octets.
///
/// That the service itself routes by the same function is not documented: do not mix events that carry a partition key
/// with events sent to the partition that this function names, where their order matters.
///
/// ```
/// use amqp10::eventhubs::partition_for_key;
/// use std::num::NonZeroU32;
///
/// let eight = NonZeroU32::new(8).unwrap();
/// assert_eq!(partition_for_key("device-42", eight), 4);
/// ```
pub fn partition_for_key(key: &str, partition_count: NonZeroU32) -> u32 {
    let hash = i32::from(hash(key.as_bytes()));
    // The remainder of a negative hash counts by its distance from zero.
    hash.unsigned_abs() % partition_count
}

/// Three words that are mixed with one another; a variant of Jenkins' lookup3 with a seed of zero.
struct Words {
    a: u32,
    b: u32,
    c: u32,
}

impl Words {
    /// Adds twelve octets.
    fn add(&mut self, block: &[u8; 12]) {
        let word = |at: usize| {
            u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
        };
        self.a = self.a.wrapping_add(word(0));
        self.b = self.b.wrapping_add(word(4));
        self.c = self.c.wrapping_add(word(8));
    }

    fn mix(&mut self) {
        let step = |x: &mut u32, z: &mut u32, y: u32, rotation: u32| {
            *x = x.wrapping_sub(*z) ^ z.rotate_left(rotation);
            *z = z.wrapping_add(y);
        };
        let Self { a, b, c } = self;
        step(a, c, *b, 4);
        step(b, a, *c, 6);
        step(c, b, *a, 8);
        step(a, c, *b, 16);
        step(b, a, *c, 19);
        step(c, b, *a, 4);
    }

    fn finish(&mut self) {
        let step = |x: &mut u32, y: u32, rotation: u32| {
            *x = (*x ^ y).wrapping_sub(y.rotate_left(rotation));
        };
        let Self { a, b, c } = self;
        step(c, *b, 14);
        step(a, *c, 11);
        step(b, *a, 25);
        step(c, *b, 16);
        step(a, *c, 4);
        step(b, *a, 14);
        step(c, *b, 24);
    }
}

fn hash(key: &[u8]) -> i16 {
    // Lengths of 2^32 and more wrap, as in the original.
    let start = 0xDEAD_BEEF_u32.wrapping_add(key.len() as u32);
    let mut words = Words {
        a: start,
        b: start,
        c: start,
    };
    let mut rest = key;
    // The last block, full or not, is left to `finish`.
    while rest.len() > 12
        && let Some((block, after)) = rest.split_first_chunk::<12>()
    {
        words.add(block);
        words.mix();
        rest = after;
    }
    if !rest.is_empty() {
        let mut last = [0; 12];
        last[..rest.len()].copy_from_slice(rest);
        words.add(&last);
        words.finish();
    }
    (words.c ^ words.b) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: [u32; 4] = [2, 4, 8, 32];

    #[test]
    fn keys_hash_as_in_other_clients() {
        let vectors: [(&str, i16, [u32; 4]); 18] = [
            ("7", -15263, [1, 3, 7, 31]),
            ("131", 30562, [0, 2, 2, 2]),
            ("7149583486996073602", 12977, [1, 1, 1, 17]),
            ("FWfAT", -22341, [1, 1, 5, 5]),
            ("sOdeEAsyQoEuEFPGerWO", -6503, [1, 3, 7, 7]),
            (
                "FAyAIctPeCgmiwLKbJcyswoHglHVjQdvtBowLACDNORsYvOcLddNJYDmhAVkbyLOrHTKLneMNcbgWVlasVywOByANjs",
                5226,
                [0, 2, 2, 10],
            ),
            (
                "1XYM6!(7(lF5wq4k4m*e$Nc!1ezLJv*1YK1Y-C^*&B$O)lq^iUkG(TNzXG;Zi#z2Og*Qq0#^*k):vXh$3,C7We7%W0meJ;b3,rQCg^J;^twXgs5E$$hWKxqp",
                23950,
                [0, 2, 6, 14],
            ),
            (
                "E(x;RRIaQcJs*P;D&jTPau-4K04oqr:lF6Z):ERpo&;9040qyV@G1_c9mgOs-8_8/10Fwa-7b7-yP!T-!IH&968)FWuI;(^g$2fN;)HJ^^yTn:",
                -29304,
                [0, 0, 0, 24],
            ),
            ("!c*_!I@1^c", 15372, [0, 0, 4, 12]),
            ("p4*!jioeO/z-!-;w:dh", -3104, [0, 0, 0, 0]),
            ("$0cb", 26269, [1, 1, 5, 29]),
            ("-4189260826195535198", 453, [1, 1, 5, 5]),
            ("", 0, [0, 0, 0, 0]),
            ("k1", 23816, [0, 0, 0, 8]),
            ("device-42", -21548, [0, 0, 4, 12]),
            ("é", -24812, [0, 0, 4, 12]),
            ("日本", 27948, [0, 0, 4, 12]),
            ("🚀key", 16147, [1, 3, 3, 19]),
        ];
        for (key, expected, partitions) in vectors {
            assert_eq!(hash(key.as_bytes()), expected, "{key}");
            let found = COUNTS.map(|count| partition_for_key(key, NonZeroU32::new(count).unwrap()));
            assert_eq!(found, partitions, "{key}");
        }
    }

    #[test]
    fn a_hash_of_the_lowest_value_has_a_partition() {
        assert_eq!(i32::from(i16::MIN).unsigned_abs() % 32, 0);
    }
}
