//! Everybody who waits for something of one engine, as a runtime would keep them: polled when woken, and never else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use bytes::Bytes;

use super::super::{Key, LinkKey, Outbound, Payload, Ticket, WatchPlace};

/// A waker that counts.
#[derive(Debug, Default)]
pub(super) struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is sent in one delivery, to the application that sends it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sent {
    /// A message of a link that may be forgotten with it.
    Message(u64),
    /// A message as part of a transaction of ours.
    Posted {
        message: u64,
        transaction: u64,
    },
    /// A message that is kept until its outcome is known, for the first time or again.
    Kept {
        message: u64,
        again: bool,
    },
    /// The outcome of a message that both sides know.
    Conclusion,
    /// What is asked of the coordinator.
    Declare,
    Discharge {
        transaction: u64,
        fail: bool,
    },
}

impl Sent {
    pub(super) fn message(&self) -> Option<u64> {
        match self {
            Self::Message(message) | Self::Posted { message, .. } | Self::Kept { message, .. } => {
                Some(*message)
            }
            Self::Conclusion | Self::Declare | Self::Discharge { .. } => None,
        }
    }
}

/// What a future of a handle waits for.
#[derive(Clone, Debug)]
pub(super) enum Want {
    Opened,
    Closed,
    Begun(Key),
    SessionEnded(Key),
    IncomingLink,
    Attached(LinkKey),
    Detached(LinkKey),
    LinkEnded(LinkKey),
    AllSettled,
    Drained(LinkKey),
    Confirmed {
        link: LinkKey,
        delivery_id: u32,
        message: u64,
    },
    Room {
        link: LinkKey,
        ticket: Option<Ticket>,
        outbound: Box<Outbound>,
        settled: bool,
        sent: Sent,
    },
    Outcome {
        link: LinkKey,
        delivery: Key,
        sent: Sent,
    },
    Delivery {
        link: LinkKey,
        ticket: Option<Ticket>,
    },
    Batch {
        link: LinkKey,
        ticket: Option<Ticket>,
        max: usize,
    },
}

/// A delivery of these octets, without anything that is optional.
pub(super) fn outbound(payload: Bytes) -> Outbound {
    Outbound {
        payload: Payload::Encoded(payload.into()),
        message_format: 0,
        delivery_tag: None,
        state: None,
        resume: false,
        aborted: false,
    }
}

pub(super) fn empty() -> Payload {
    Payload::Encoded(Bytes::new().into())
}

impl Want {
    pub(super) fn room(link: LinkKey, sent: Sent, settled: bool, outbound: Outbound) -> Self {
        Self::Room {
            link,
            ticket: None,
            outbound: Box::new(outbound),
            settled,
            sent,
        }
    }

    /// The link that is waited for, if it is one.
    pub(super) fn link(&self) -> Option<LinkKey> {
        match self {
            Self::Attached(link)
            | Self::Detached(link)
            | Self::LinkEnded(link)
            | Self::Drained(link)
            | Self::Confirmed { link, .. }
            | Self::Room { link, .. }
            | Self::Outcome { link, .. }
            | Self::Delivery { link, .. }
            | Self::Batch { link, .. } => Some(*link),
            _ => None,
        }
    }

    /// Whether it is a delivery of ours, from the wait for room to the outcome.
    pub(super) fn sent(&self) -> Option<&Sent> {
        match self {
            Self::Room { sent, .. } | Self::Outcome { sent, .. } => Some(sent),
            _ => None,
        }
    }

    /// Whether it may wait for ever although nothing is wrong: for what the other side's application does.
    pub(super) fn may_last(&self) -> bool {
        matches!(
            self,
            Self::IncomingLink | Self::LinkEnded(_) | Self::Delivery { .. } | Self::Batch { .. }
        )
    }
}

/// One future: what it wants, and the waker that it is polled with.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) want: Want,
    pub(super) place: Option<WatchPlace>,
    bell: Arc<Bell>,
}

impl Wait {
    /// A new future is polled once without having been woken.
    pub(super) fn new(want: Want) -> Self {
        Self {
            want,
            place: None,
            bell: Arc::new(Bell(AtomicUsize::new(1))),
        }
    }

    pub(super) fn is_woken(&self) -> bool {
        self.bell.0.load(Ordering::Relaxed) > 0
    }

    /// The waker for the next poll, which answers all wakes until now.
    pub(super) fn waker(&self) -> Waker {
        self.bell.0.store(0, Ordering::Relaxed);
        Waker::from(self.bell.clone())
    }
}
