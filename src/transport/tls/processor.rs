//! Whether this processor can run graviola: it would panic at its first use if not.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use crate::error::TlsError;

/// The provider used unless the caller hands in another one. Its suites prefer AES-GCM, which is the fast one.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) fn default_provider() -> Result<Arc<CryptoProvider>, TlsError> {
    match missing(&features()).as_slice() {
        [] => Ok(Arc::new(rustls_graviola::default_provider())),
        missing => Err(TlsError::ProcessorFeatures {
            missing: missing.to_vec(),
        }),
    }
}

/// Graviola is written for two architectures.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn default_provider() -> Result<Arc<CryptoProvider>, TlsError> {
    Err(TlsError::ProcessorFeatures {
        missing: missing(&[(std::env::consts::ARCH, false)]),
    })
}

/// What graviola asserts, and whether it is there.
#[cfg(target_arch = "x86_64")]
fn features() -> [(&'static str, bool); 8] {
    use std::arch::is_x86_feature_detected as detected;
    [
        ("aes", detected!("aes")),
        ("ssse3", detected!("ssse3")),
        ("pclmulqdq", detected!("pclmulqdq")),
        ("bmi1", detected!("bmi1")),
        ("bmi2", detected!("bmi2")),
        ("adx", detected!("adx")),
        ("avx", detected!("avx")),
        ("avx2", detected!("avx2")),
    ]
}

/// What graviola asserts, and whether it is there.
#[cfg(target_arch = "aarch64")]
fn features() -> [(&'static str, bool); 4] {
    use std::arch::is_aarch64_feature_detected as detected;
    [
        ("neon", detected!("neon")),
        ("aes", detected!("aes")),
        ("pmull", detected!("pmull")),
        ("sha2", detected!("sha2")),
    ]
}

fn missing(features: &[(&'static str, bool)]) -> Vec<&'static str> {
    features
        .iter()
        .filter(|(_, is_present)| !is_present)
        .map(|(name, _)| *name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_a_way_out() {
        assert!(missing(&[("aes", true), ("adx", true)]).is_empty());
        let missing = missing(&[("aes", true), ("adx", false), ("avx2", false)]);
        let shown = TlsError::ProcessorFeatures { missing }.to_string();
        assert!(
            shown.contains("adx, avx2")
                && !shown.contains("aes")
                && shown.contains("with_provider"),
            "{shown}"
        );
    }

    #[test]
    fn aes_gcm_comes_before_chacha20() {
        let Ok(provider) = default_provider() else {
            return;
        };
        let names: Vec<_> = provider
            .cipher_suites
            .iter()
            .map(|suite| format!("{:?}", suite.suite()))
            .collect();
        for family in ["TLS13_", "TLS_ECDHE_ECDSA_", "TLS_ECDHE_RSA_"] {
            let of_family: Vec<_> = names
                .iter()
                .filter(|name| name.starts_with(family))
                .collect();
            let aes = of_family.iter().rposition(|name| name.contains("AES"));
            let chacha20 = of_family.iter().position(|name| name.contains("CHACHA20"));
            assert!(aes.is_some() && aes < chacha20, "{names:?}");
        }
    }
}
