//! Percent-encoding, as in URLs and shared access signatures.

/// Why a text is not percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PercentError {
    /// A `%` without two hexadecimal digits after it.
    Escape,
    /// The octets are not UTF-8.
    NotUtf8,
}

/// Undoes percent-encoding.
pub(crate) fn decode(encoded: &str) -> Result<String, PercentError> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut octets = encoded.bytes();
    while let Some(octet) = octets.next() {
        if octet != b'%' {
            decoded.push(octet);
            continue;
        }
        let high = octets.next().and_then(hex_digit);
        let low = octets.next().and_then(hex_digit);
        match (high, low) {
            (Some(high), Some(low)) => decoded.push(high << 4 | low),
            _ => return Err(PercentError::Escape),
        }
    }
    String::from_utf8(decoded).map_err(|_| PercentError::NotUtf8)
}

fn hex_digit(octet: u8) -> Option<u8> {
    let digit = char::from(octet).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// Writes everything but letters, digits and `-_.~` as `%XX`.
pub(crate) fn encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len() * 3 / 2);
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-_.~".contains(&octet) {
            encoded.push(char::from(octet));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(octet >> 4)]));
            encoded.push(char::from(HEX[usize::from(octet & 15)]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_in_either_case_are_decoded() {
        assert_eq!(decode("a%2Fb%2fc").unwrap(), "a/b/c");
        assert_eq!(decode("k%C3%A4se").unwrap(), "käse");
        assert_eq!(decode("").unwrap(), "");
    }

    #[test]
    fn what_is_not_encoded_is_told_apart() {
        for text in ["%", "%f", "a%zz", "%%%", "%+1"] {
            assert_eq!(decode(text), Err(PercentError::Escape), "{text}");
        }
        assert_eq!(decode("%ff"), Err(PercentError::NotUtf8));
    }

    #[cfg(feature = "eventhubs")]
    #[test]
    fn what_is_encoded_is_decoded_to_the_same() {
        let text = "sb://host/$Default?a=b&c+ä~%";
        assert!(encode(text).bytes().all(|octet| octet.is_ascii_graphic()));
        assert_eq!(decode(&encode(text)).unwrap(), text);
        assert_eq!(encode("a b/-_.~"), "a%20b%2F-_.~");
    }
}
