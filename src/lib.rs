//! AMQP 1.0 in pure Rust.

pub use amqp10_codec as codec;

pub mod cbs;
mod connection;
mod delivery;
#[cfg(feature = "emulator")]
pub mod emulator;
mod engine;
mod error;
#[cfg(feature = "eventhubs")]
pub mod eventhubs;
#[cfg(fuzzing)]
pub mod fuzzing;
mod link;
mod listener;
mod lock;
pub mod management;
mod message;
mod options;
mod percent;
mod receiver;
pub mod request;
mod sasl;
mod sender;
mod session;
#[cfg(feature = "eventhubs")]
mod time;
mod transport;
mod url;

pub use codec::{
    AmqpError, Body, DeliveryState, DeliveryTag, Message, Modified, Outcome, Str, Symbol, Value,
};
pub use connection::Connection;
pub use delivery::Delivery;
pub use engine::{Credit, Limits};
pub use error::{
    AcceptError, ConnectError, ConnectionError, LinkError, PeerProtocol, RecvError, SendError,
    SessionError, SettleModeMismatch, Stage, TlsError, Violation,
};
pub use link::{AcceptedLink, IncomingLink};
pub use listener::{IncomingConnection, Listener};
pub use message::OutgoingMessage;
pub use options::{
    AcceptLinkOptions, ConnectionOptions, ListenerOptions, OnDrop, ReceiverOptions,
    SaslServerOptions, SenderOptions, SessionOptions,
};
pub use receiver::{DeliveryStream, Receiver};
pub use sasl::{
    AllowEveryone, AuthenticationFailure, AuthenticationFuture, Authenticator, Credentials,
    Identity, LoginAttempt, PresentedCredentials, SaslError, SaslMechanism, StaticUsers,
};
pub use sender::{Receipt, Sender};
pub use session::Session;
#[cfg(feature = "eventhubs")]
pub use time::Clock;
pub use transport::memory;
pub use transport::tls::{TlsConfig, TlsServerConfig};
pub use url::{Scheme, Url, UrlError, UrlPart};
