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
    Confirmed(LinkKey, u32),
    Room {
        link: LinkKey,
        ticket: Option<Ticket>,
        outbound: Box<Outbound>,
        settled: bool,
        message: u64,
    },
    Outcome {
        link: LinkKey,
        delivery: Key,
        message: u64,
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

impl Want {
    pub(super) fn room(link: LinkKey, message: u64, payload: Bytes, settled: bool) -> Self {
        Self::Room {
            link,
            ticket: None,
            outbound: Box::new(Outbound {
                payload: Payload::Encoded(payload.into()),
                message_format: 0,
                delivery_tag: None,
                state: None,
                resume: false,
                aborted: false,
            }),
            settled,
            message,
        }
    }

    /// The link that is waited for, if it is one.
    pub(super) fn link(&self) -> Option<LinkKey> {
        match self {
            Self::Attached(link)
            | Self::Detached(link)
            | Self::LinkEnded(link)
            | Self::Drained(link)
            | Self::Confirmed(link, _)
            | Self::Room { link, .. }
            | Self::Outcome { link, .. }
            | Self::Delivery { link, .. }
            | Self::Batch { link, .. } => Some(*link),
            _ => None,
        }
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
