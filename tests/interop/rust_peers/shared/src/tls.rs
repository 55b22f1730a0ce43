//! TLS beside the stacks, for those that take a stream.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

use crate::{Arguments, Result};

fn authority(arguments: &Arguments) -> Result<RootCertStore> {
    let pem = Arguments::file(&arguments.authority)?.ok_or("TLS needs --authority")?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate?)?;
    }
    Ok(roots)
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(arguments: &Arguments) -> Result<Option<Identity>> {
    let files = (
        Arguments::file(&arguments.certificate)?,
        Arguments::file(&arguments.key)?,
    );
    let (Some(chain), Some(key)) = files else {
        return Ok(None);
    };
    let chain = CertificateDer::pem_slice_iter(&chain).collect::<std::result::Result<_, _>>()?;
    Ok(Some((chain, PrivateKeyDer::from_pem_slice(&key)?)))
}

/// TLS to the host, with our certificate if we have one.
pub async fn connect_tls(
    arguments: &Arguments,
    host: &str,
    stream: TcpStream,
) -> Result<client::TlsStream<TcpStream>> {
    let config = ClientConfig::builder().with_root_certificates(authority(arguments)?);
    let config = match identity(arguments)? {
        Some((chain, key)) => config.with_client_auth_cert(chain, key)?,
        None => config.with_no_client_auth(),
    };
    let name = ServerName::try_from(host.to_owned())?;
    Ok(TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?)
}

/// TLS of a server, with `--certificate`; `None` without it. For EXTERNAL clients need a certificate of `--authority`.
pub fn accept_tls(arguments: &Arguments) -> Result<Option<TlsAcceptor>> {
    let Some((chain, key)) = identity(arguments)? else {
        return Ok(None);
    };
    let config = ServerConfig::builder();
    let config = match arguments.mechanism.as_str() {
        "EXTERNAL" => {
            let roots = Arc::new(authority(arguments)?);
            config.with_client_cert_verifier(WebPkiClientVerifier::builder(roots).build()?)
        }
        _ => config.with_no_client_auth(),
    };
    let config = config.with_single_cert(chain, key)?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}
