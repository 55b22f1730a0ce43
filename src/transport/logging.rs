//! What is logged of a connection's errors, each as the field `error`: at level debug, since whoever uses the connection gets them as
//! typed errors.

use crate::codec::frame::AmqpFrame;
use crate::codec::{Close, Detach, End, Performative};
use crate::error::{ConnectionError, Violation};

/// The error that a frame of the peer carries, if it does.
pub(super) fn reported(frame: &AmqpFrame) {
    let (performative, error) = match &frame.performative {
        Some(Performative::Close(Close { error: Some(error) })) => ("close", error),
        Some(Performative::End(End { error: Some(error) })) => ("end", error),
        Some(Performative::Detach(Detach {
            error: Some(error), ..
        })) => ("detach", error),
        _ => return,
    };
    let channel = frame.channel;
    tracing::debug!(performative, channel, %error, "the peer reports an error");
}

/// What the peer did wrong, and was told so.
pub(super) fn violations(violations: Vec<Violation>) {
    for error in violations {
        tracing::debug!(%error, "the peer broke the protocol");
    }
}

/// The end of a connection, with the reason unless one side has closed it in order.
pub(super) fn end(reason: Option<ConnectionError>) {
    match reason {
        None | Some(ConnectionError::LocalClosed | ConnectionError::RemoteClosed(None)) => {
            tracing::debug!("the connection is over");
        }
        Some(error) => tracing::debug!(%error, "the connection is over"),
    }
}
