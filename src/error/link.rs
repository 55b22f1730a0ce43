use std::time::Duration;

use super::{ConnectionError, Redirect, SessionError, Violation, describe, is_transient};
use crate::codec::{AmqpError, EncodeError, Symbol};

/// Why a link ended or could not be attached. The session lives on, unless the error is [`LinkError::Session`].
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The session, or the connection below it, ended.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The peer refused the attach [2.6.3].
    #[error("the peer refused the link: {}", describe(.0.as_ref()))]
    Refused(Option<AmqpError>),
    /// The peer detached the link.
    #[error("the peer {} the link: {}", if *closed { "closed" } else { "detached" }, describe(error.as_ref()))]
    RemoteDetached {
        /// Whether the peer's terminus is gone too.
        closed: bool,
        /// What the peer gave as its reason.
        error: Option<AmqpError>,
    },
    /// This side detached it, or dropped its last handle.
    #[error("the link was detached by this side")]
    LocalDetached,
    /// The peer broke the standard, and the link was detached for it.
    #[error("the peer broke the protocol, so the link was detached: {0}")]
    Violation(Violation),
    /// No handle is free: the peer's handle-max or our own limit is reached.
    #[error("no handle is free: {limit} links are attached, which is the limit of this session")]
    TooManyLinks {
        /// Links that the session allows at once.
        limit: u32,
    },
    /// A link of this name and role is attached already in this session [2.6.1].
    #[error("a link of this name and role is attached already in this session")]
    NameInUse,
    /// The peer did not answer in time.
    #[error("the peer did not answer {operation} within {} ms", after.as_millis())]
    Timeout {
        /// What was waited for.
        operation: &'static str,
        /// How long.
        after: Duration,
    },
    /// Our own attach does not fit the peer's max-frame-size, and cannot be split (F-018).
    #[error(
        "the frame has {size} octets, above the peer's max-frame-size of {limit}: shorten the link's name or properties"
    )]
    FrameTooLarge {
        /// Octets of the frame.
        size: usize,
        /// The peer's limit.
        limit: usize,
    },
    /// The peer answered the attach without a filter that the options require [3.5.8]; the link was detached.
    #[error("the peer does not filter by {0}")]
    FilterIgnored(Symbol),
    /// The peer answered the attach with other settle modes than the options require [2.7.3]; the link was detached.
    #[error("the peer does not settle as was asked for")]
    SettleModeRefused,
    /// The peer does not offer an extension that the link needs [2.7.1]; nothing was sent.
    #[error("the peer does not offer {0}")]
    MissingCapability(Symbol),
    /// The peer answered without the address of a node that it was to make [3.5.3]; the link was detached.
    #[error("the peer did not say which node it made for the link")]
    NoDynamicNode,
    /// The operation needs the other role: credit is granted by receivers.
    #[error("the operation does not fit the link's role")]
    WrongRole,
}

impl LinkError {
    /// Whether the application asked for it, so that what it handed over before is still carried out.
    pub(crate) fn is_users_wish(&self) -> bool {
        matches!(
            self,
            Self::LocalDetached
                | Self::Session(SessionError::LocalEnded)
                | Self::Session(SessionError::Connection(ConnectionError::LocalClosed))
        )
    }

    /// Whether this side ended it, in order, with a frame of its own.
    pub(crate) fn is_local_end(&self) -> bool {
        match self {
            Self::Session(SessionError::Connection(error)) => matches!(
                error,
                ConnectionError::LocalClosed
                    | ConnectionError::Violation(_)
                    | ConnectionError::IdleTimeout(_)
            ),
            Self::Session(error) => {
                matches!(error, SessionError::LocalEnded | SessionError::Violation(_))
            }
            _ => false,
        }
    }

    /// The error that the peer gave, if it did.
    pub fn remote_error(&self) -> Option<&AmqpError> {
        match self {
            Self::Session(error) => error.remote_error(),
            Self::Refused(error) | Self::RemoteDetached { error, .. } => error.as_ref(),
            _ => None,
        }
    }

    /// Where the peer sends us instead, if it does (L-044).
    pub fn redirect(&self) -> Option<Redirect> {
        Redirect::of(self.remote_error()?)
    }

    /// Whether attaching again (on a new session or connection, if that ended) may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Session(error) => error.is_retryable(),
            Self::Refused(error) | Self::RemoteDetached { error, .. } => {
                is_transient(error.as_ref())
            }
            Self::Timeout { .. } => true,
            Self::LocalDetached
            | Self::Violation(_)
            | Self::TooManyLinks { .. }
            | Self::NameInUse
            | Self::FrameTooLarge { .. }
            | Self::FilterIgnored(_)
            | Self::MissingCapability(_)
            | Self::NoDynamicNode
            | Self::SettleModeRefused
            | Self::WrongRole => false,
        }
    }
}

impl From<ConnectionError> for LinkError {
    fn from(error: ConnectionError) -> Self {
        Self::Session(error.into())
    }
}

/// Which settle mode the link has, when a send asks for the other [2.7.3].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettleModeMismatch {
    /// The link sends settled deliveries only: there is no outcome to wait for.
    #[error("the link's snd-settle-mode is settled, so there is no outcome: use send_settled")]
    LinkIsSettled,
    /// The link sends unsettled deliveries only.
    #[error("the link's snd-settle-mode is unsettled: use send")]
    LinkIsUnsettled,
}

/// Why a message was not sent, or why its outcome will not be known.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Nothing of the message was handed to the stream: sending it again cannot duplicate it.
    #[error("the message was not sent: {0}")]
    NotSent(LinkError),
    /// The message was handed to the stream, at least in part, and its outcome was lost: the peer may or may not have it.
    #[error("the message was sent, but its outcome is unknown: {0}")]
    Unknown(LinkError),
    /// The message is larger than the peer takes; nothing was sent, and the link is unharmed.
    #[error("the message has {size} octets, above the {limit} that the peer takes")]
    MessageTooLarge {
        /// Encoded size in octets.
        size: u64,
        /// The peer's max-message-size in octets.
        limit: u64,
    },
    /// The message cannot be encoded; nothing was sent.
    #[error("the message cannot be encoded: {0}")]
    Encode(EncodeError),
    /// The link was negotiated for another way of settling; nothing was sent.
    #[error(transparent)]
    SettleMode(#[from] SettleModeMismatch),
    /// The peer could not state all deliveries of earlier attachments that it has unsettled: only those can be sent, until the
    /// link is attached again [2.7.3]. Nothing was sent.
    #[error(
        "the peer's list of unsettled deliveries is not complete, so only those can be sent on this attachment"
    )]
    OnlyResumed,
    /// The state `received` says where a resumed delivery goes on, and this one is not resumed [3.4.1]. Nothing was sent.
    #[error("the state `received` is for resumed deliveries alone")]
    NotResumed,
    /// The peer settled the delivery without an outcome, and the source names no default outcome [2.7.6].
    #[error("the peer settled the message without saying an outcome")]
    NoOutcome,
}

impl From<EncodeError> for SendError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl SendError {
    /// The error that the peer gave for the end of the link, session or connection, if it did.
    pub fn remote_error(&self) -> Option<&AmqpError> {
        self.link_error()?.remote_error()
    }

    /// Why the link ended, if that is the reason.
    pub fn link_error(&self) -> Option<&LinkError> {
        match self {
            Self::NotSent(error) | Self::Unknown(error) => Some(error),
            _ => None,
        }
    }

    /// Whether sending again may help, and cannot duplicate the message: true only for [`SendError::NotSent`] with a
    /// retryable cause.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NotSent(error) if error.is_retryable())
    }
}

/// Why there is nothing more to receive.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The link, or what carried it, ended. Deliveries that had arrived before were handed out first.
    #[error(transparent)]
    Link(#[from] LinkError),
}

impl RecvError {
    /// The error that the peer gave, if it did.
    pub fn remote_error(&self) -> Option<&AmqpError> {
        let Self::Link(error) = self;
        error.remote_error()
    }

    /// Whether attaching again may help.
    pub fn is_retryable(&self) -> bool {
        let Self::Link(error) = self;
        error.is_retryable()
    }
}
