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
pub mod management;
mod message;
mod opening;
mod options;
mod receiver;
pub mod request;
mod sasl;
mod sender;
mod session;
mod transport;
mod url;

pub use codec::{
    AmqpError, Annotations, ApplicationProperties, Attach, Body, DecodeError, DeliveryState,
    DeliveryTag, EncodeError, Fields, FilterSet, Header, Layout, Message, MessageId, Modified,
    Open, Outcome, Properties, ReceiverSettleMode, Rejected, Role, Sections, SenderSettleMode,
    Source, Str, Symbol, Target, TargetArchetype, Timestamp, Value, condition,
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
    AllowEveryone, AuthenticationFailure, Authenticator, Credentials, Identity, LoginAttempt,
    PresentedCredentials, SaslError, SaslMechanism, StaticUsers,
};
pub use sender::{Receipt, Sender};
pub use session::Session;
pub use transport::memory;
pub use transport::tls::{TlsConfig, TlsServerConfig};
pub use url::{Scheme, Url, UrlError, UrlPart};
