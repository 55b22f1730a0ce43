//! RFC 1982 serial numbers: delivery-ids, transfer-ids and delivery-counts wrap at 2^32 [2.8.10].

/// How far `to` lies ahead of `from`; negative when it lies behind. A distance of exactly 2^31 counts as behind (T-066).
pub(crate) fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from) as i32
}

/// Whether `a` comes before `b`.
pub(crate) fn is_before(a: u32, b: u32) -> bool {
    distance(a, b) > 0
}

/// `distance` with what lies behind counted as nothing: for credits and windows (W-010, K-008).
pub(crate) fn ahead(from: u32, to: u32) -> u32 {
    distance(from, to).max(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_066_order_survives_the_wrap() {
        for (a, b, expected) in [
            (0, 1, true),
            (u32::MAX, 0, true),
            (0, u32::MAX, false),
            (5, 5, false),
            (0, 1 << 31, false),
            (0, (1 << 31) - 1, true),
        ] {
            assert_eq!(is_before(a, b), expected, "{a} before {b}");
        }
    }

    #[test]
    fn w_010_what_lies_behind_is_nothing() {
        assert_eq!(ahead(10, 4), 0);
        assert_eq!(ahead(u32::MAX - 1, 3), 5);
    }
}
