//! Times and sizes, as people write them.

use std::time::Duration;

/// A number and its unit: `500ms`, `30s`, `10m`, `1h`. Without a unit it is seconds, as with the other options.
pub fn duration(text: &str) -> Result<Duration, String> {
    let expected = || "expected a time above 0, for example 500ms, 30s, 10m or 1h".to_owned();
    let (number, unit) = split(text).ok_or_else(expected)?;
    let milliseconds = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60 * 1000,
        "h" => 3600 * 1000,
        _ => return Err(expected()),
    };
    match number.checked_mul(milliseconds) {
        None | Some(0) => Err(expected()),
        Some(milliseconds) => Ok(Duration::from_millis(milliseconds)),
    }
}

/// Octets: `262144`, `256k`, `1m`, `2g`, by powers of 1024.
pub fn size(text: &str) -> Result<u64, String> {
    let expected = || "expected a size above 0, for example 262144, 256k, 1m or 2g".to_owned();
    let (number, unit) = split(text).ok_or_else(expected)?;
    let octets: u64 = match unit {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return Err(expected()),
    };
    number
        .checked_mul(octets)
        .filter(|octets| *octets > 0)
        .ok_or_else(expected)
}

/// The number in front, and what stands behind it.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let table = [
            ("500ms", 500),
            ("2", 2000),
            ("30s", 30_000),
            ("10m", 600_000),
            ("1h", 3_600_000),
        ];
        for (text, milliseconds) in table {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)));
        }
        for wrong in ["", "0", "-1s", "10x", "ms", "18446744073709551615h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_units() {
        let table = [
            ("1000", 1000),
            ("256k", 256 << 10),
            ("1m", 1 << 20),
            ("2g", 2 << 30),
        ];
        for (text, octets) in table {
            assert_eq!(size(text), Ok(octets));
        }
        for wrong in ["", "0k", "-1", "1kb", "18446744073709551615g"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
