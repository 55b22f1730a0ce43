//! What can go wrong with TLS, without a type of rustls: its major version is not ours.

use std::io;
use std::sync::Arc;

/// Why TLS could not be set up or the handshake failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The crate was built without its feature `tls`.
    #[error("TLS is not built in: enable the feature `tls` of the crate `amqp10`")]
    NotBuilt,
    /// The default cryptography needs processor features that are missing.
    #[error(
        "the default TLS cryptography cannot run on this processor (missing: {}); hand in another provider by \
         `with_provider`, or a whole rustls configuration by `TlsConfig::from`",
        .missing.join(", ")
    )]
    ProcessorFeatures {
        /// The features' names; the architecture's if it is not supported at all.
        missing: Vec<&'static str>,
    },
    /// PEM text without what was looked for, or damaged.
    #[error("the PEM of the {subject} is not usable: {reason}")]
    Pem {
        /// What the text should hold.
        subject: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Settings that do not work together.
    #[error("the TLS configuration is not usable: {reason}")]
    Configuration {
        /// What is wrong with it.
        reason: String,
    },
    /// The host to verify is neither a DNS name nor an IP address.
    #[error("{name:?} is not a DNS name or an IP address: set `TlsConfig::server_name`")]
    InvalidServerName {
        /// The name.
        name: String,
    },
    /// The server's certificate is for other names (Y-005).
    #[error("the certificate is not valid for {expected:?}, it is for [{}]", .presented.join(", "))]
    WrongName {
        /// The name that we wanted.
        expected: String,
        /// The names in the certificate; empty if not known.
        presented: Vec<String>,
    },
    /// The certificate's issuer is not among the trusted roots (Y-005).
    #[error("the certificate's issuer is unknown: trust it by `TlsConfig::with_root_certificates`")]
    UnknownIssuer,
    /// The certificate's time is over (Y-005).
    #[error("the certificate has expired")]
    Expired,
    /// The certificate's time has not begun.
    #[error("the certificate is not valid yet: check the clock")]
    NotYetValid,
    /// Another fault of the certificate.
    #[error("the certificate is not acceptable: {reason}")]
    Certificate {
        /// What is wrong with it.
        reason: String,
    },
    /// The peer was to show a certificate and did not.
    #[error("the peer presented no certificate")]
    NoCertificate,
    /// The peer ended the handshake: it did not like our certificate, name or version.
    #[error("the peer refused TLS with the alert {alert}")]
    Alert {
        /// The alert's name.
        alert: String,
    },
    /// What the peer sends is not TLS.
    #[error("the peer does not speak TLS on this port")]
    NotTls,
    /// Another fault of the protocol.
    #[error("TLS failed: {reason}")]
    Protocol {
        /// What is wrong.
        reason: String,
    },
    /// The stream broke during the handshake.
    #[error("the stream broke during the TLS handshake: {0}")]
    Io(Arc<io::Error>),
}

impl TlsError {
    /// Whether the same handshake may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, TlsError::Io(_))
    }
}
