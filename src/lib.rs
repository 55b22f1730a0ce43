//! AMQP 1.0 in pure Rust.

pub use amqp10_codec as codec;

mod engine;
mod error;
mod options;
mod sasl;
mod transport;
mod url;

pub use engine::Limits;
pub use error::{ConnectError, PeerProtocol, Stage, TlsError};
pub use options::{ConnectionOptions, ListenerOptions, SaslServerOptions};
pub use sasl::{
    AllowEveryone, AuthenticationFailure, Authenticator, Credentials, Identity, LoginAttempt,
    PresentedCredentials, SaslError, SaslMechanism, StaticUsers,
};
pub use transport::memory;
pub use transport::tls::{TlsConfig, TlsServerConfig};
pub use url::{Scheme, Url, UrlError, UrlPart};
