//! Which partition a key belongs to: Jenkins' lookup3 with two results, folded to 16 bits (Event Hubs).

/// The partition for `key` in a hub of `partition_count` partitions, as an index from 0.
///
/// The same key always gives the same index. A hub has at least one partition; a count of 0 is treated as 1.
pub(crate) fn partition_for_key(key: &str, partition_count: usize) -> usize {
    let hash = i64::from(key_hash(key.as_bytes()));
    // The remainder is truncated, so a negative hash gives a negative remainder: its magnitude is the index.
    let count = i64::try_from(partition_count.max(1)).unwrap_or(i64::MAX);
    usize::try_from((hash % count).unsigned_abs()).unwrap_or(0)
}

/// The signed 16-bit hash of a partition key's UTF-8 octets.
fn key_hash(key: &[u8]) -> i16 {
    let (first, second) = lookup3(key);
    // Only the low 16 bits count: the cast is the algorithm.
    (first ^ second) as i16
}

/// The two 32-bit results of lookup3, both seeds 0.
fn lookup3(key: &[u8]) -> (u32, u32) {
    // The algorithm is modulo 2^32, the length included.
    let start = 0xDEAD_BEEF_u32.wrapping_add(key.len() as u32);
    let mut state = [start; 3];
    let mut rest = key;
    while let Some((block, tail)) = rest
        .split_at_checked(12)
        .filter(|(_, tail)| !tail.is_empty())
    {
        add_block(&mut state, block);
        mix(&mut state);
        rest = tail;
    }
    if !rest.is_empty() {
        add_block(&mut state, rest);
        finish(&mut state);
    }
    (state[2], state[1])
}

/// Adds up to 12 octets as three little-endian words, the missing ones being zero.
fn add_block(state: &mut [u32; 3], block: &[u8]) {
    for (index, octet) in block.iter().enumerate().take(12) {
        let word = &mut state[index / 4];
        *word = word.wrapping_add(u32::from(*octet) << (8 * (index % 4)));
    }
}

/// Stirs a full block into the three words.
fn mix([a, b, c]: &mut [u32; 3]) {
    let step = |x: &mut u32, y: u32, z: &mut u32, rotation: u32| {
        *x = x.wrapping_sub(*z) ^ z.rotate_left(rotation);
        *z = z.wrapping_add(y);
    };
    step(a, *b, c, 4);
    step(b, *c, a, 6);
    step(c, *a, b, 8);
    step(a, *b, c, 16);
    step(b, *c, a, 19);
    step(c, *a, b, 4);
}

/// Stirs the last block so that every bit of the key reaches every bit of the result.
fn finish([a, b, c]: &mut [u32; 3]) {
    let step =
        |x: &mut u32, y: u32, rotation: u32| *x = (*x ^ y).wrapping_sub(y.rotate_left(rotation));
    step(c, *b, 14);
    step(a, *c, 11);
    step(b, *a, 25);
    step(c, *b, 16);
    step(a, *c, 4);
    step(b, *a, 14);
    step(c, *b, 24);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (key, hash, index of 2, 4, 8 and 32 partitions)
    const VECTORS: &[(&str, i16, [usize; 4])] = &[
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

    #[test]
    fn keys_hash_as_the_published_vectors_do() {
        for (key, hash, indexes) in VECTORS {
            assert_eq!(key_hash(key.as_bytes()), *hash, "{key}");
            for (count, index) in [2, 4, 8, 32].into_iter().zip(indexes) {
                assert_eq!(partition_for_key(key, count), *index, "{key} of {count}");
            }
        }
    }

    #[test]
    fn a_hub_without_partitions_does_not_divide_by_zero() {
        assert_eq!(partition_for_key("any", 0), 0);
    }
}
