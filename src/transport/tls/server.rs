//! How a listener does TLS.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{KeyLogFile, RootCertStore, ServerConfig};

use super::{pem, processor};
use crate::error::TlsError;

/// How a listener does TLS 1.2 and 1.3. Anything that rustls can do is reached by
/// `TlsServerConfig::from(Arc<rustls::ServerConfig>)`.
#[derive(Clone)]
pub struct TlsServerConfig {
    config: Arc<ServerConfig>,
    /// `None`: handed in by the caller, complete.
    settings: Option<Settings>,
}

#[derive(Clone)]
struct Settings {
    provider: Arc<CryptoProvider>,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
    client_roots: Option<Arc<RootCertStore>>,
    key_log: bool,
}

impl From<Arc<ServerConfig>> for TlsServerConfig {
    /// A configuration made by rustls' own means. The setters do not apply to it.
    fn from(config: Arc<ServerConfig>) -> TlsServerConfig {
        TlsServerConfig {
            config,
            settings: None,
        }
    }
}

impl TlsServerConfig {
    /// Shows this certificate: the chain, own certificate first, and its key, both in PEM.
    ///
    /// # Errors
    ///
    /// [`TlsError::Pem`] if either text does not hold what it should, [`TlsError::Configuration`] if the key does not fit,
    /// [`TlsError::ProcessorFeatures`] if the default cryptography cannot run here.
    pub fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<TlsServerConfig, TlsError> {
        TlsServerConfig::with_provider(processor::default_provider()?, chain_pem, key_pem)
    }

    /// The same with another provider of cryptography.
    ///
    /// # Errors
    ///
    /// [`TlsError::Pem`] if either text does not hold what it should, [`TlsError::Configuration`] if the key does not fit.
    pub fn with_provider(
        provider: Arc<CryptoProvider>,
        chain_pem: &[u8],
        key_pem: &[u8],
    ) -> Result<TlsServerConfig, TlsError> {
        let chain = pem::certificates("server certificate", chain_pem)?;
        TlsServerConfig::from_der(provider, chain, pem::private_key(key_pem)?)
    }

    pub(super) fn from_der(
        provider: Arc<CryptoProvider>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<TlsServerConfig, TlsError> {
        Settings {
            provider,
            chain,
            key: Arc::new(key),
            client_roots: None,
            key_log: false,
        }
        .make()
    }

    /// Refuses clients that show no certificate issued by an authority in this PEM text. The certificate is handed to the
    /// [`Authenticator`](crate::sasl::Authenticator) if the client chooses the mechanism EXTERNAL.
    ///
    /// # Errors
    ///
    /// [`TlsError::Pem`] if the text holds no certificate or a damaged one; [`TlsError::Configuration`] if this configuration
    /// was handed in from rustls.
    pub fn require_client_certificates(
        self,
        authorities_pem: &[u8],
    ) -> Result<TlsServerConfig, TlsError> {
        let roots = pem::roots(authorities_pem)?;
        self.change(|settings| settings.client_roots = Some(Arc::new(roots)))
    }

    /// Writes the session keys to the file that the environment variable `SSLKEYLOGFILE` names, so that a network analyser can
    /// decrypt a capture. **Whoever reads that file reads the traffic.**
    ///
    /// # Errors
    ///
    /// [`TlsError::Configuration`] if this configuration was handed in from rustls.
    pub fn key_log_file(self) -> Result<TlsServerConfig, TlsError> {
        self.change(|settings| settings.key_log = true)
    }

    pub(super) fn rustls(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    fn change(self, change: impl FnOnce(&mut Settings)) -> Result<TlsServerConfig, TlsError> {
        let Some(mut settings) = self.settings else {
            let reason = "a configuration handed in from rustls cannot be changed".to_owned();
            return Err(TlsError::Configuration { reason });
        };
        change(&mut settings);
        settings.make()
    }
}

impl Settings {
    fn make(self) -> Result<TlsServerConfig, TlsError> {
        let unusable = |reason: String| TlsError::Configuration { reason };
        let builder = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.to_string()))?;
        let builder = match &self.client_roots {
            Some(roots) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(
                    roots.clone(),
                    self.provider.clone(),
                )
                .build()
                .map_err(|error| unusable(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|error| unusable(error.to_string()))?;
        // Our order puts AES-GCM first, which is fast here.
        config.ignore_client_order = true;
        if self.key_log {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        Ok(TlsServerConfig {
            config: Arc::new(config),
            settings: Some(self),
        })
    }
}

impl fmt::Debug for TlsServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requires_client_certificates = self
            .settings
            .as_ref()
            .map(|settings| settings.client_roots.is_some());
        f.debug_struct("TlsServerConfig")
            .field(
                "requires_client_certificates",
                &requires_client_certificates,
            )
            .finish_non_exhaustive()
    }
}
