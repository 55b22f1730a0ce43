//! What a peer can do wrong, and what it costs it: scope and condition in one place.

use crate::codec::frame::FrameError;
use crate::codec::{DecodeError, Symbol, condition};
use crate::error::Violation;

/// What is closed for a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Connection,
    Session,
    Link,
}

/// A way in which a peer broke the standard or one of our limits.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum PeerFault {
    #[error("{0}")]
    Frame(FrameError),
    #[error("a frame could not be decoded: {0}")]
    Decode(DecodeError),
    #[error("the first frame was not open")]
    FirstFrameNotOpen,
    #[error("open came on channel {0}, not on channel 0")]
    OpenOnChannel(u16),
    #[error("open came twice")]
    SecondOpen,
    #[error("max-frame-size {0} is below the minimum of 512")]
    MaxFrameSizeTooSmall(u32),
    #[error("idle-time-out {0} ms is too short to be honoured")]
    IdleTimeOutTooShort(u32),
    #[error("channel {channel} is above channel-max {channel_max}")]
    ChannelAboveMax { channel: u16, channel_max: u16 },
    #[error("a frame came on channel {0}, which has no session")]
    UnmappedChannel(u16),
    #[error("begin names remote-channel {0}, on which no session waits for an answer")]
    UnexpectedRemoteChannel(u16),
    #[error("begin came on channel {0}, which has a session")]
    ChannelInUse(u16),
    #[error("{0} sessions are open, which is the limit")]
    TooManySessions(u32),
    #[error("handle {handle} is above handle-max {handle_max}")]
    HandleAboveMax { handle: u32, handle_max: u32 },
    #[error("no handle is left to answer an attach with")]
    NoHandleForAnswer,
    #[error("a transfer went beyond the incoming-window")]
    WindowViolation,
    #[error("flow's next-outgoing-id {0} lies behind what was sent")]
    NextOutgoingIdWentBack(u32),
    #[error("{performative} names handle {handle}, which is not attached")]
    UnattachedHandle {
        performative: &'static str,
        handle: u32,
    },
    #[error("attach names handle {0}, which is in use")]
    HandleInUse(u32),
    #[error("transfer names handle {0} of a link on which this side is the sender")]
    TransferToSender(u32),
    #[error("delivery-id {found} does not follow {last}")]
    DeliveryIdGap { last: u32, found: u32 },
    #[error("a disposition's last {last} comes before its first {first}")]
    InvertedRange { first: u32, last: u32 },
    #[error("a sender's attach lacks initial-delivery-count")]
    NoInitialDeliveryCount,
    #[error("a delivery was sent without credit")]
    NoCredit,
    #[error("the first transfer of a delivery lacks {0}")]
    IncompleteFirstTransfer(&'static str),
    #[error("a continuation transfer changes {0}")]
    ContinuationMismatch(&'static str),
    #[error("the link's settle mode does not allow a transfer with {0}")]
    SettleModeBroken(&'static str),
    #[error("deliveries cannot be acquired for a transaction on this link")]
    AcquisitionNotOffered,
    #[error("the txn-id of a flow is not binary")]
    TransactionIdNotBinary,
    #[error("a new delivery came, though our list of unsettled ones was not complete")]
    NewDeliveryTooEarly,
    #[error("a resumed delivery begins in the middle, though nothing of it was said to be here")]
    ResumedInTheMiddle,
    #[error("a delivery exceeds {0} octets")]
    MessageTooLarge(u64),
    #[error("deliveries of which more is to come exceed {0} octets together, which is the limit")]
    TooManyPartialBytes(usize),
    #[error("{0} deliveries are unsettled, which is the limit")]
    TooManyUnsettled(usize),
}

impl PeerFault {
    /// The narrowest endpoint that can carry the error, and the condition sent for it.
    pub(crate) fn scope_and_condition(&self) -> (Scope, Symbol) {
        match self {
            Self::Frame(_) => (Scope::Connection, condition::FRAMING_ERROR),
            Self::Decode(error) => (Scope::Connection, error.condition()),
            // C-001, C-003
            Self::FirstFrameNotOpen | Self::SecondOpen => {
                (Scope::Connection, condition::ILLEGAL_STATE)
            }
            // C-002, F-017, C-009, C-039, S-004, S-009
            Self::OpenOnChannel(_)
            | Self::MaxFrameSizeTooSmall(_)
            | Self::ChannelAboveMax { .. }
            | Self::UnmappedChannel(_)
            | Self::UnexpectedRemoteChannel(_)
            | Self::HandleAboveMax { .. } => (Scope::Connection, condition::FRAMING_ERROR),
            Self::IdleTimeOutTooShort(_) => (Scope::Connection, condition::NOT_ALLOWED),
            Self::ChannelInUse(_) => (Scope::Connection, condition::ILLEGAL_STATE),
            Self::TooManySessions(_) => (Scope::Connection, condition::RESOURCE_LIMIT_EXCEEDED),
            // W-012, W-015
            Self::WindowViolation | Self::NextOutgoingIdWentBack(_) => {
                (Scope::Session, condition::WINDOW_VIOLATION)
            }
            Self::UnattachedHandle { .. } => (Scope::Session, condition::UNATTACHED_HANDLE),
            Self::NoHandleForAnswer => (Scope::Session, condition::RESOURCE_LIMIT_EXCEEDED),
            Self::HandleInUse(_) => (Scope::Session, condition::HANDLE_IN_USE),
            Self::TransferToSender(_) => (Scope::Session, condition::NOT_ALLOWED),
            Self::DeliveryIdGap { .. } | Self::InvertedRange { .. } => {
                (Scope::Session, condition::INVALID_FIELD)
            }
            Self::NoInitialDeliveryCount
            | Self::IncompleteFirstTransfer(_)
            | Self::ContinuationMismatch(_)
            | Self::ResumedInTheMiddle
            | Self::NewDeliveryTooEarly
            | Self::SettleModeBroken(_) => (Scope::Link, condition::INVALID_FIELD),
            Self::TransactionIdNotBinary => (Scope::Link, condition::INVALID_FIELD),
            Self::AcquisitionNotOffered => (Scope::Link, condition::NOT_IMPLEMENTED),
            Self::NoCredit => (Scope::Link, condition::TRANSFER_LIMIT_EXCEEDED),
            Self::MessageTooLarge(_) => (Scope::Link, condition::MESSAGE_SIZE_EXCEEDED),
            Self::TooManyUnsettled(_) | Self::TooManyPartialBytes(_) => {
                (Scope::Link, condition::RESOURCE_LIMIT_EXCEEDED)
            }
        }
    }

    pub(crate) fn violation(&self) -> Violation {
        Violation::new(self.scope_and_condition().1, self.to_string())
    }
}
