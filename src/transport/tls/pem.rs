//! Certificates and keys from PEM text.

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::TlsError;

/// All certificates of the text, at least one.
pub(super) fn certificates(
    subject: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = |reason: String| TlsError::Pem { subject, reason };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(error.to_string()))?;
    match certificates.is_empty() {
        true => Err(unusable("it holds no CERTIFICATE".to_owned())),
        false => Ok(certificates),
    }
}

/// The first private key of the text: PKCS#8, PKCS#1 or SEC1, not encrypted. The error never repeats the text.
pub(super) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        let reason = match error {
            rustls::pki_types::pem::Error::NoItemsFound => {
                "it holds no PRIVATE KEY (encrypted keys are not supported)"
            }
            _ => "it is damaged",
        };
        TlsError::Pem {
            subject: "private key",
            reason: reason.to_owned(),
        }
    })
}

/// A store of trusted authorities.
pub(super) fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    const SUBJECT: &str = "root certificates";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(SUBJECT, pem)? {
        roots.add(certificate).map_err(|error| TlsError::Pem {
            subject: SUBJECT,
            reason: error.to_string(),
        })?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: &[u8] = include_bytes!("../../../tests/data/ca.pem");
    const KEY: &[u8] = include_bytes!("../../../tests/data/server-key.pem");

    #[test]
    fn what_is_missing_or_damaged_is_named() {
        assert_eq!(certificates("certificate", CA).unwrap().len(), 1);
        assert!(private_key(KEY).is_ok());
        assert_eq!(roots(CA).unwrap().len(), 1);
        let error = certificates("client certificate", KEY)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("client certificate") && error.contains("no CERTIFICATE"),
            "{error}"
        );
        let error = private_key(CA).unwrap_err().to_string();
        assert!(error.contains("private key"), "{error}");
        let damaged = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
        assert!(certificates("certificate", damaged.as_bytes()).is_err());
        let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(roots(empty.as_bytes()), Err(TlsError::Pem { .. })));
        assert!(roots(b"").is_err());
    }
}
