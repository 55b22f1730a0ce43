//! What stands in for TLS if the feature `tls` is off: types that nobody can make a value of, so that no
//! option needs a condition.

use std::io;

use bytes::Bytes;

use crate::error::TlsError;
use crate::transport::stream::Stream;

/// How a client does TLS. Without the feature `tls` there is no value of it.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    _none: (),
}

/// How a listener does TLS. Without the feature `tls` there is no value of it.
#[derive(Clone, Debug)]
pub struct TlsServerConfig {
    _none: (),
}

pub(crate) async fn connect(
    _stream: Box<dyn Stream>,
    _host: &str,
    _config: Option<&TlsConfig>,
) -> Result<Box<dyn Stream>, TlsError> {
    Err(TlsError::NotBuilt)
}

pub(crate) async fn accept(
    _stream: Box<dyn Stream>,
    _config: Option<&TlsServerConfig>,
) -> Result<(Box<dyn Stream>, Option<Bytes>), TlsError> {
    Err(TlsError::NotBuilt)
}

pub(crate) fn error_within(_error: &io::Error) -> Option<TlsError> {
    None
}
