//! The serde bridge: applications' own types and their encodings.

mod properties;
mod table;
mod traps;

use bytes::Bytes;

/// The octets that hexadecimal digits, with or without spaces, stand for.
fn octets(hex: &str) -> Bytes {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    let octet = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(octet).collect()
}
