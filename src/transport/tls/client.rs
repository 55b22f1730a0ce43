//! How a client does TLS.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, KeyLogFile, RootCertStore};

use super::{pem, processor};
use crate::error::TlsError;

/// How a client does TLS 1.2 and 1.3. Clones share the session cache.
///
/// The default trusts the roots of Mozilla's program, which are compiled in, verifies the host that is dialled, and uses
/// graviola's cryptography. Anything else that rustls can do is reached by `TlsConfig::from(Arc<rustls::ClientConfig>)`.
#[derive(Clone)]
pub struct TlsConfig {
    source: Source,
    server_name: Option<String>,
}

#[derive(Clone)]
enum Source {
    /// Handed in by the caller, complete.
    Rustls(Arc<ClientConfig>),
    /// Ours, made into a configuration at its first use.
    Settings {
        settings: Settings,
        made: Arc<OnceLock<Arc<ClientConfig>>>,
    },
}

#[derive(Clone, Default)]
struct Settings {
    provider: Option<Arc<CryptoProvider>>,
    roots: Option<Arc<RootCertStore>>,
    login: Option<Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>>,
    key_log: bool,
}

impl Default for TlsConfig {
    fn default() -> TlsConfig {
        TlsConfig::from(Settings::default())
    }
}

impl From<Settings> for TlsConfig {
    fn from(settings: Settings) -> TlsConfig {
        TlsConfig {
            source: Source::Settings {
                settings,
                made: Arc::default(),
            },
            server_name: None,
        }
    }
}

impl From<Arc<ClientConfig>> for TlsConfig {
    /// A configuration made by rustls' own means. Of the setters, only [`server_name`](Self::server_name) applies to it.
    fn from(config: Arc<ClientConfig>) -> TlsConfig {
        TlsConfig {
            source: Source::Rustls(config),
            server_name: None,
        }
    }
}

impl TlsConfig {
    /// Trusts the authorities in this PEM text, and no others.
    ///
    /// # Errors
    ///
    /// [`TlsError::Pem`] if the text holds no certificate or a damaged one.
    pub fn with_root_certificates(pem: &[u8]) -> Result<TlsConfig, TlsError> {
        TlsConfig::default().root_certificates(pem)
    }

    /// Uses another provider of cryptography, for a processor that graviola cannot run on or to meet rules such as FIPS.
    pub fn with_provider(provider: Arc<CryptoProvider>) -> TlsConfig {
        TlsConfig::from(Settings {
            provider: Some(provider),
            ..Settings::default()
        })
    }

    /// Trusts the authorities in this PEM text, and no others.
    ///
    /// # Errors
    ///
    /// [`TlsError::Pem`] if the text holds no certificate or a damaged one; [`TlsError::Configuration`] if this configuration
    /// was handed in from rustls.
    pub fn root_certificates(self, pem: &[u8]) -> Result<TlsConfig, TlsError> {
        let roots = pem::roots(pem)?;
        self.change(|settings| settings.roots = Some(Arc::new(roots)))
    }

    /// Shows a certificate to servers that ask for one: the chain, own certificate first, and its key, both in PEM.
    ///
    /// # Errors
    ///
    /// [`TlsError::Pem`] if either text does not hold what it should; [`TlsError::Configuration`] if this configuration was
    /// handed in from rustls. Whether the key fits the certificate is seen at the first connection.
    pub fn client_certificate(
        self,
        chain_pem: &[u8],
        key_pem: &[u8],
    ) -> Result<TlsConfig, TlsError> {
        let chain = pem::certificates("client certificate", chain_pem)?;
        let key = pem::private_key(key_pem)?;
        self.change(|settings| settings.login = Some(Arc::new((chain, key))))
    }

    /// Writes the session keys to the file that the environment variable `SSLKEYLOGFILE` names, so that a network analyser can
    /// decrypt a capture. **Whoever reads that file reads the traffic.**
    ///
    /// # Errors
    ///
    /// [`TlsError::Configuration`] if this configuration was handed in from rustls.
    pub fn key_log_file(self) -> Result<TlsConfig, TlsError> {
        self.change(|settings| settings.key_log = true)
    }

    /// The name that the server's certificate must be valid for, and that is sent as SNI. Default: the host that is dialled.
    pub fn server_name(mut self, name: impl Into<String>) -> TlsConfig {
        self.server_name = Some(name.into());
        self
    }

    pub(super) fn name_to_verify<'a>(&'a self, host: &'a str) -> &'a str {
        self.server_name.as_deref().unwrap_or(host)
    }

    /// The configuration for rustls, made at the first call and then kept: it holds the cache of sessions.
    pub(super) fn rustls(&self) -> Result<Arc<ClientConfig>, TlsError> {
        match &self.source {
            Source::Rustls(config) => Ok(config.clone()),
            Source::Settings { settings, made } => match made.get() {
                Some(config) => Ok(config.clone()),
                None => {
                    let config = settings.make()?;
                    Ok(made.get_or_init(|| config).clone())
                }
            },
        }
    }

    fn change(self, change: impl FnOnce(&mut Settings)) -> Result<TlsConfig, TlsError> {
        match self.source {
            Source::Rustls(_) => Err(TlsError::Configuration {
                reason: "a configuration handed in from rustls cannot be changed".to_owned(),
            }),
            Source::Settings { mut settings, .. } => {
                change(&mut settings);
                Ok(TlsConfig {
                    server_name: self.server_name,
                    ..TlsConfig::from(settings)
                })
            }
        }
    }
}

impl Settings {
    fn make(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let provider = match &self.provider {
            Some(provider) => provider.clone(),
            None => processor::default_provider()?,
        };
        let roots = match &self.roots {
            Some(roots) => roots.clone(),
            None => Arc::new(RootCertStore::from_iter(
                webpki_roots::TLS_SERVER_ROOTS.iter().cloned(),
            )),
        };
        let unusable = |error: rustls::Error| TlsError::Configuration {
            reason: error.to_string(),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots);
        let mut config = match self.login.as_deref() {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(unusable)?,
            None => builder.with_no_client_auth(),
        };
        if self.key_log {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TlsConfig");
        shown.field("server_name", &self.server_name);
        if let Source::Settings { settings, .. } = &self.source {
            shown.field("has_client_certificate", &settings.login.is_some());
        }
        shown.finish_non_exhaustive()
    }
}
