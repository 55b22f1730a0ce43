//! A link: what both ends have in common. What differs is in `sender.rs` and `receiver.rs`.

use std::sync::Arc;

use super::effects::Effects;
use super::endpoint::{Endpoint, Half};
use super::limits::Limits;
use super::receiver::{Credit, ReceiverEnd};
use super::sender::SenderEnd;
use super::wait::Watchers;
use crate::codec::{AmqpError, Attach, Detach, Outcome, Role, Source, Str};
use crate::error::LinkError;

/// The end that is ours.
#[derive(Debug)]
pub(crate) enum LinkEnd {
    Sender(SenderEnd),
    Receiver(ReceiverEnd),
}

/// What the next flush has to write for a link.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) attach: bool,
    pub(crate) flow: bool,
    pub(crate) detach: Option<Detach>,
}

/// What the attach says that refuses an incoming link (L-013).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A null terminus where ours would be, as the standard has it.
    NullTerminus,
    /// The termini as they came, for peers that cannot read a null.
    EchoedTermini,
}

/// How an end of ours behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndSettings {
    pub(crate) credit: Credit,
    pub(crate) auto_accept: bool,
    pub(crate) max_partial_bytes: usize,
    /// Octets that automatic credit lets wait here.
    pub(crate) prefetch_bytes: Option<usize>,
    /// Whether a sending end can send on behalf of the receiver's transactions.
    pub(crate) offers_acquisition: bool,
    /// Messages that wait for credit from the start, where we send.
    pub(crate) available: Option<u32>,
}

impl EndSettings {
    /// What options that say nothing mean.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            credit: Credit::default(),
            auto_accept: false,
            max_partial_bytes: limits.max_partial_delivery_bytes,
            prefetch_bytes: None,
            offers_acquisition: false,
            available: None,
        }
    }
}

/// One link, from the first attach of either side until both have detached and nobody holds it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) end: LinkEnd,
    pub(crate) endpoint: Endpoint,
    pub(crate) output_handle: Option<u32>,
    pub(crate) input_handle: Option<u32>,
    /// Our attach, as it is or will be sent. An incoming link that is not answered yet has a draft here.
    pub(crate) attach: Box<Attach>,
    pub(crate) remote_attach: Option<Arc<Attach>>,
    /// The peer answered with a null terminus: a detach with the reason follows (L-014).
    pub(crate) is_refusal_pending: bool,
    /// Why it ended, from the moment that is known.
    pub(crate) ended: Option<LinkError>,
    pub(crate) due: Due,
    /// It is in its session's list of links with something to flush.
    pub(crate) is_due: bool,
    pub(crate) is_held: bool,
    /// Our detach left the terminus where it was, and the peer has not detached yet.
    pub(crate) is_suspended: bool,
    pub(crate) watchers: Watchers,
}

impl Link {
    /// A link that we attach.
    pub(crate) fn outgoing(attach: Attach, settings: EndSettings) -> Self {
        let end = match attach.role {
            Role::Sender => {
                let mut sender = SenderEnd::new(
                    attach.initial_delivery_count.unwrap_or(0),
                    attach.snd_settle_mode,
                );
                sender.offers_acquisition = settings.offers_acquisition;
                sender.available = settings.available;
                LinkEnd::Sender(sender)
            }
            Role::Receiver => LinkEnd::Receiver(receiver_end(&attach, settings)),
        };
        Self {
            end,
            endpoint: Endpoint {
                local: Half::Open,
                remote: Half::Idle,
            },
            output_handle: None,
            input_handle: None,
            attach: Box::new(attach),
            remote_attach: None,
            is_refusal_pending: false,
            ended: None,
            due: Due {
                attach: true,
                ..Due::default()
            },
            is_due: false,
            is_held: true,
            is_suspended: false,
            watchers: Watchers::default(),
        }
    }

    /// A link that the peer attached and nobody has answered. The draft of our answer echoes what was asked.
    pub(crate) fn incoming(remote: Arc<Attach>) -> Self {
        let role = remote.role.opposite();
        let draft = Attach {
            snd_settle_mode: remote.snd_settle_mode,
            rcv_settle_mode: remote.rcv_settle_mode,
            source: remote.source.clone(),
            target: remote.target.clone(),
            initial_delivery_count: (role == Role::Sender).then_some(0),
            ..Attach::new(remote.name.clone(), 0, role)
        };
        let settings = EndSettings {
            credit: Credit::Manual,
            auto_accept: false,
            max_partial_bytes: 0,
            prefetch_bytes: None,
            // What comes before the answer is kept, and looked at then.
            offers_acquisition: true,
            available: None,
        };
        let mut link = Self::outgoing(draft, settings);
        link.endpoint = Endpoint {
            local: Half::Idle,
            remote: Half::Open,
        };
        link.due.attach = false;
        link.is_held = false;
        link.learn(&remote);
        link.remote_attach = Some(remote);
        link
    }

    /// Answers an incoming link.
    pub(crate) fn accept(&mut self, answer: Attach, settings: EndSettings) {
        match &mut self.end {
            LinkEnd::Sender(sender) => {
                sender.snd_settle_mode = answer.snd_settle_mode;
                sender.offers_acquisition = settings.offers_acquisition;
                sender.available = settings.available;
            }
            LinkEnd::Receiver(receiver) => {
                let credit = receiver.credit;
                *receiver = receiver_end(&answer, settings);
                receiver.credit = credit;
            }
        }
        *self.attach = answer;
        self.endpoint.local = Half::Open;
        self.is_held = true;
        self.due.attach = true;
        self.due.flow |= matches!(self.end, LinkEnd::Receiver(_)); // a sender owes one only if it was asked
        if let Some(remote) = self.remote_attach.clone() {
            self.learn(&remote);
        }
    }

    /// Whether the peer acquires deliveries for a transaction though this end cannot send on behalf of one.
    pub(crate) fn is_acquired_in_vain(&self) -> bool {
        matches!(&self.end, LinkEnd::Sender(sender) if sender.acquired_by.is_some() && !sender.offers_acquisition)
    }

    /// Takes over what the peer's attach decides for our end (L-020, L-021, L-023, K-002).
    pub(crate) fn learn(&mut self, remote: &Attach) {
        match &mut self.end {
            LinkEnd::Sender(sender) => {
                sender.max_message_size = remote.max_message_size.filter(|limit| *limit > 0);
                sender.takes_resumed_only = remote.incomplete_unsettled;
            }
            LinkEnd::Receiver(receiver) => {
                receiver.snd_settle_mode = remote.snd_settle_mode;
                receiver.credit.delivery_count = remote.initial_delivery_count.unwrap_or(0);
            }
        }
    }

    /// Both sides have attached, for good, and neither has detached.
    pub(crate) fn is_attached(&self) -> bool {
        self.endpoint.is_open() && !self.is_refusal_pending && self.ended.is_none()
    }

    /// Whether a flow of ours has a meaning for the peer. One that asks is answered even if our detach waits for the rest of a
    /// delivery (W-020).
    pub(crate) fn can_say_flow(&self) -> bool {
        let is_leaving = self.endpoint.is_open() && self.is_sending();
        (self.is_attached() || is_leaving) && !self.due.attach
    }

    /// We attached and wait for the peer's attach, though we may have detached since.
    pub(crate) fn awaits_attach(&self) -> bool {
        self.endpoint.local != Half::Idle && self.endpoint.remote == Half::Idle
    }

    /// Whether the peer's answer lacks the terminus that we asked for: a refusal, whose reason follows (L-013). A null that
    /// we asked for ourselves is none (L-042).
    pub(crate) fn is_refused_by(&self, answer: &Attach) -> bool {
        match self.attach.role {
            Role::Sender => answer.target.is_none() && self.attach.target.is_some(),
            Role::Receiver => answer.source.is_none() && self.attach.source.is_some(),
        }
    }

    /// The outcome that stands for a settlement without one (P-006): the source's default.
    pub(crate) fn default_outcome(&self) -> Option<Outcome> {
        let of = |source: &Option<Source>| {
            source
                .as_ref()
                .and_then(|source| source.default_outcome.clone())
        };
        of(&self.attach.source).or_else(|| {
            self.remote_attach
                .as_ref()
                .and_then(|remote| of(&remote.source))
        })
    }

    /// Asks for a detach from our side. The link is over for its users at once.
    pub(crate) fn detach(&mut self, closed: bool, error: Option<AmqpError>, reason: LinkError) {
        if let Some(due) = &mut self.due.detach {
            due.closed |= closed; // L-027: a closing detach came while ours was due
        } else if self.endpoint.local == Half::Open {
            self.due.detach = Some(Detach {
                handle: 0,
                closed,
                error,
            });
        }
        self.ended.get_or_insert(reason);
    }

    /// Wakes everybody who waits for this link, because it ended.
    pub(crate) fn wake_all(&mut self, effects: &mut Effects) {
        self.watchers.wake_all(&mut effects.wakes);
        match &mut self.end {
            LinkEnd::Sender(sender) => {
                sender.waiters.wake_all(&mut effects.wakes);
            }
            LinkEnd::Receiver(receiver) => {
                receiver.waiters.wake_all(&mut effects.wakes);
            }
        }
    }

    /// Nothing is left that could still happen to it.
    pub(crate) fn is_over(&self) -> bool {
        (self.endpoint.is_closed() || matches!(self.ended, Some(LinkError::Session(_))))
            && !self.is_held
            && !self.is_sending()
    }

    /// Whether a delivery is under way of which frames are still to be sent.
    pub(crate) fn is_sending(&self) -> bool {
        matches!(&self.end, LinkEnd::Sender(sender) if sender.partial.is_some())
    }

    pub(crate) fn sender_mut(&mut self) -> Option<&mut SenderEnd> {
        match &mut self.end {
            LinkEnd::Sender(sender) => Some(sender),
            LinkEnd::Receiver(_) => None,
        }
    }

    pub(crate) fn receiver_mut(&mut self) -> Option<&mut ReceiverEnd> {
        match &mut self.end {
            LinkEnd::Receiver(receiver) => Some(receiver),
            LinkEnd::Sender(_) => None,
        }
    }

    /// Makes our draft answer refuse: a null terminus where ours would be (L-013).
    pub(crate) fn clear_local_terminus(&mut self) {
        match self.attach.role {
            Role::Sender => self.attach.source = None,
            Role::Receiver => self.attach.target = None,
        }
    }

    /// The identity of a link within its session, seen from our side (L-001, L-002).
    pub(crate) fn is_named(&self, name: &Str, role: Role) -> bool {
        self.attach.name == *name && self.attach.role == role
    }
}

fn receiver_end(attach: &Attach, settings: EndSettings) -> ReceiverEnd {
    let announced = attach
        .max_message_size
        .filter(|limit| *limit > 0)
        .unwrap_or(u64::MAX);
    let max_message_size = usize::try_from(announced)
        .unwrap_or(usize::MAX)
        .min(settings.max_partial_bytes);
    let mut receiver = ReceiverEnd::new(
        settings.credit,
        attach.rcv_settle_mode,
        max_message_size,
        settings.auto_accept,
        settings.prefetch_bytes,
    );
    if let Some(unsettled) = &attach.unsettled {
        receiver.expect_resumed(unsettled, attach.incomplete_unsettled);
    }
    receiver
}
