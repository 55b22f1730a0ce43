//! TLS by rustls: from the first octet (`amqps`) or after the AMQP header with id 2.
//!
//! The cryptography is graviola's unless the caller hands in another provider; none is ever installed for, or taken from, the
//! process.

mod client;
#[cfg(feature = "emulator-tls")]
pub(crate) mod generated;
mod pem;
mod processor;
mod server;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, InvalidMessage};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub use client::TlsConfig;
pub use server::TlsServerConfig;

use crate::error::TlsError;
use crate::transport::stream::Stream;

/// Shakes hands as a client; the server must prove to be `host`, or the name that `config` overrides it with (Y-005, Y-006).
pub(crate) async fn connect(
    stream: Box<dyn Stream>,
    host: &str,
    config: Option<&TlsConfig>,
) -> Result<Box<dyn Stream>, TlsError> {
    let default;
    let config = match config {
        Some(config) => config,
        None => {
            default = TlsConfig::default();
            &default
        }
    };
    let name = config.name_to_verify(host);
    let server_name =
        ServerName::try_from(name.to_owned()).map_err(|_| TlsError::InvalidServerName {
            name: name.to_owned(),
        })?;
    let connector = TlsConnector::from(config.rustls()?);
    let stream = connector
        .connect(server_name, stream)
        .await
        .map_err(|error| handshake_error(error, name))?;
    Ok(Box::new(stream))
}

/// Shakes hands as a server. Gives the client's own certificate in DER too, if it showed one that we trust.
pub(crate) async fn accept(
    stream: Box<dyn Stream>,
    config: Option<&TlsServerConfig>,
) -> Result<(Box<dyn Stream>, Option<Bytes>), TlsError> {
    let Some(config) = config else {
        return Err(TlsError::Configuration {
            reason: "the listener has no certificate".to_owned(),
        });
    };
    let stream = TlsAcceptor::from(config.rustls())
        .accept(stream)
        .await
        .map_err(|error| handshake_error(error, ""))?;
    let (_, session) = stream.get_ref();
    let certificate = session
        .peer_certificates()
        .and_then(<[_]>::first)
        .map(|der| Bytes::copy_from_slice(der));
    Ok((Box::new(stream), certificate))
}

/// The TLS error that an I/O error of a TLS stream carries.
pub(crate) fn error_within(error: &io::Error) -> Option<TlsError> {
    error
        .get_ref()
        .and_then(|error| error.downcast_ref::<rustls::Error>())
        .map(|error| translate(error, ""))
}

fn handshake_error(error: io::Error, host: &str) -> TlsError {
    match error
        .get_ref()
        .and_then(|error| error.downcast_ref::<rustls::Error>())
    {
        Some(error) => translate(error, host),
        None => TlsError::Io(Arc::new(error)),
    }
}

fn translate(error: &rustls::Error, host: &str) -> TlsError {
    match error {
        rustls::Error::InvalidCertificate(error) => translate_certificate_error(error, host),
        rustls::Error::NoCertificatesPresented => TlsError::NoCertificate,
        rustls::Error::AlertReceived(alert) => TlsError::Alert {
            alert: format!("{alert:?}"),
        },
        rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => TlsError::NotTls,
        other => TlsError::Protocol {
            reason: other.to_string(),
        },
    }
}

fn translate_certificate_error(error: &CertificateError, host: &str) -> TlsError {
    match error {
        CertificateError::NotValidForName => TlsError::WrongName {
            expected: host.to_owned(),
            presented: Vec::new(),
        },
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => TlsError::WrongName {
            expected: expected.to_str().into_owned(),
            presented: presented.clone(),
        },
        CertificateError::UnknownIssuer => TlsError::UnknownIssuer,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsError::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsError::NotYetValid
        }
        other => TlsError::Certificate {
            reason: other.to_string(),
        },
    }
}
