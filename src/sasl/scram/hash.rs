//! The hash functions of SCRAM, and what is made of them.

use hmac::digest::Output;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::digest::Digest;
use sha2::{Sha256, Sha512};

/// The hash function of a SCRAM mechanism; the later, the stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ScramHash {
    /// SCRAM-SHA-1 (RFC 5802).
    Sha1,
    /// SCRAM-SHA-256 (RFC 7677).
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl ScramHash {
    /// All of them, the strongest first.
    pub const ALL: [ScramHash; 3] = [ScramHash::Sha512, ScramHash::Sha256, ScramHash::Sha1];

    pub(in crate::sasl) const fn mechanism_name(self) -> &'static str {
        match self {
            ScramHash::Sha1 => "SCRAM-SHA-1",
            ScramHash::Sha256 => "SCRAM-SHA-256",
            ScramHash::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// `H(text)`
    pub(super) fn digest(self, text: &[u8]) -> Vec<u8> {
        match self {
            ScramHash::Sha1 => Sha1::digest(text).to_vec(),
            ScramHash::Sha256 => Sha256::digest(text).to_vec(),
            ScramHash::Sha512 => Sha512::digest(text).to_vec(),
        }
    }

    /// `HMAC(key, text)`
    pub(super) fn hmac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        match self {
            ScramHash::Sha1 => keyed::<Hmac<Sha1>>(key, text).to_vec(),
            ScramHash::Sha256 => keyed::<Hmac<Sha256>>(key, text).to_vec(),
            ScramHash::Sha512 => keyed::<Hmac<Sha512>>(key, text).to_vec(),
        }
    }

    /// `Hi(password, salt, iterations)`: PBKDF2 of one block.
    pub(super) fn stretch(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        match self {
            ScramHash::Sha1 => stretched::<Hmac<Sha1>>(password, salt, iterations),
            ScramHash::Sha256 => stretched::<Hmac<Sha256>>(password, salt, iterations),
            ScramHash::Sha512 => stretched::<Hmac<Sha512>>(password, salt, iterations),
        }
    }
}

fn new_mac<M: KeyInit>(key: &[u8]) -> M {
    M::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn keyed<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Output<M> {
    let mut mac: M = new_mac(key);
    mac.update(text);
    mac.finalize().into_bytes()
}

fn stretched<M: Mac + KeyInit + Clone>(password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
    let keyed: M = new_mac(password);
    let round = |text: &[&[u8]]| {
        let mut mac = keyed.clone();
        for part in text {
            mac.update(part);
        }
        mac.finalize().into_bytes()
    };
    let mut last = round(&[salt, &1_u32.to_be_bytes()]);
    let mut sum = last.to_vec();
    for _ in 1..iterations {
        last = round(&[&last]);
        for (octet, other) in sum.iter_mut().zip(&last) {
            *octet ^= other;
        }
    }
    sum
}

/// The sum without carry of two results of one hash function.
pub(super) fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter()
        .zip(other)
        .map(|(one, other)| one ^ other)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// RFC 6070, tests 1 to 3: PBKDF2 with HMAC-SHA-1 and one block of output.
    #[test]
    fn stretching_is_pbkdf2_of_one_block() {
        let expected = [
            (1, "0c60c80f961f0e71f3a9b524af6012062fe037a6"),
            (2, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"),
            (4096, "4b007901b765489abead49d926f721d065a429c1"),
        ];
        for (iterations, expected) in expected {
            let stretched = ScramHash::Sha1.stretch(b"password", b"salt", iterations);
            assert_eq!(hex(&stretched), expected);
        }
    }
}
