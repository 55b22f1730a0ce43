//! What a link that the peer attached is answered with.

use super::OnDrop;
use crate::codec::{
    Attach, Fields, ReceiverSettleMode, Role, SenderSettleMode, Source, Symbol, TargetArchetype,
    UnsettledMap,
};
use crate::engine::{Credit, EndSettings, Limits};

/// Options of [`IncomingLink::accept`](crate::IncomingLink::accept): what is None is echoed as the peer asked for it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct AcceptLinkOptions {
    /// The source that the link has in fact.
    pub source: Option<Source>,
    /// The target that the link has in fact.
    pub target: Option<TargetArchetype>,
    /// Whether the sender settles.
    pub snd_settle_mode: Option<SenderSettleMode>,
    /// When the receiver settles.
    pub rcv_settle_mode: Option<ReceiverSettleMode>,
    /// Who grants credit, where the peer sends. Default: 300, topped up.
    pub credit: Credit,
    /// How many octets of deliveries may wait to be taken, where the peer sends: see
    /// [`ReceiverOptions::prefetch_bytes`](crate::ReceiverOptions::prefetch_bytes). Default: no limit but the credit and
    /// [`Limits::max_queued_bytes`].
    pub prefetch_bytes: Option<usize>,
    /// The largest message that we take, in octets.
    pub max_message_size: Option<u64>,
    /// Deliveries are accepted when they are handed out, where the peer sends. Default no.
    pub auto_accept: bool,
    /// What becomes of a delivery that is dropped unsettled.
    pub on_drop: OnDrop,
    /// Whether a peer that receives may acquire deliveries for its transactions; the application then looks at
    /// [`Sender::acquired_by`](crate::Sender::acquired_by). If not, a peer that tries loses the link [4.4.3]. Default no.
    pub transactional_acquisition: bool,
    /// Messages that wait for credit on this link from the start, where the peer receives: see
    /// [`Sender::set_available`](crate::Sender::set_available). Default 0.
    pub available: u32,
    /// Deliveries of an earlier attachment of a link of this name that are not settled here, with their states: they are to be
    /// resumed [2.6.13]. `None` where there was none, or nothing is to be resumed.
    pub unsettled: Option<UnsettledMap>,
    /// Whether [`unsettled`](Self::unsettled) holds a part only, because the whole is too large [2.7.3].
    pub incomplete_unsettled: bool,
    /// Extensions that we offer.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that we would use.
    pub desired_capabilities: Vec<Symbol>,
    /// Properties of the attach.
    pub properties: Fields,
}

impl AcceptLinkOptions {
    /// Sets [`source`](Self::source).
    pub fn source(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }

    /// Sets [`target`](Self::target).
    pub fn target(mut self, target: impl Into<TargetArchetype>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Sets [`snd_settle_mode`](Self::snd_settle_mode).
    pub fn snd_settle_mode(mut self, mode: SenderSettleMode) -> Self {
        self.snd_settle_mode = Some(mode);
        self
    }

    /// Sets [`rcv_settle_mode`](Self::rcv_settle_mode).
    pub fn rcv_settle_mode(mut self, mode: ReceiverSettleMode) -> Self {
        self.rcv_settle_mode = Some(mode);
        self
    }

    /// Sets [`credit`](Self::credit).
    pub fn credit(mut self, credit: Credit) -> Self {
        self.credit = credit;
        self
    }

    /// Sets [`prefetch_bytes`](Self::prefetch_bytes).
    pub fn prefetch_bytes(mut self, octets: usize) -> Self {
        self.prefetch_bytes = Some(octets);
        self
    }

    /// Sets [`max_message_size`](Self::max_message_size).
    pub fn max_message_size(mut self, octets: u64) -> Self {
        self.max_message_size = Some(octets);
        self
    }

    /// Sets [`auto_accept`](Self::auto_accept).
    pub fn auto_accept(mut self, auto_accept: bool) -> Self {
        self.auto_accept = auto_accept;
        self
    }

    /// Sets [`on_drop`](Self::on_drop).
    pub fn on_drop(mut self, on_drop: OnDrop) -> Self {
        self.on_drop = on_drop;
        self
    }

    /// Sets [`transactional_acquisition`](Self::transactional_acquisition).
    pub fn transactional_acquisition(mut self, offered: bool) -> Self {
        self.transactional_acquisition = offered;
        self
    }

    /// Sets [`available`](Self::available).
    pub fn available(mut self, messages: u32) -> Self {
        self.available = messages;
        self
    }

    /// Sets [`unsettled`](Self::unsettled).
    pub fn unsettled(mut self, unsettled: UnsettledMap) -> Self {
        self.unsettled = Some(unsettled);
        self
    }

    /// Sets [`incomplete_unsettled`](Self::incomplete_unsettled).
    pub fn incomplete_unsettled(mut self, incomplete: bool) -> Self {
        self.incomplete_unsettled = incomplete;
        self
    }

    /// Sets [`offered_capabilities`](Self::offered_capabilities).
    pub fn offered_capabilities(mut self, capabilities: impl IntoIterator<Item = Symbol>) -> Self {
        self.offered_capabilities = capabilities.into_iter().collect();
        self
    }

    /// Sets [`desired_capabilities`](Self::desired_capabilities).
    pub fn desired_capabilities(mut self, capabilities: impl IntoIterator<Item = Symbol>) -> Self {
        self.desired_capabilities = capabilities.into_iter().collect();
        self
    }

    /// Sets [`properties`](Self::properties).
    pub fn properties(mut self, properties: Fields) -> Self {
        self.properties = properties;
        self
    }

    /// Our answer to the peer's attach.
    pub(crate) fn to_attach(&self, remote: &Attach) -> Attach {
        let role = remote.role.opposite();
        Attach {
            snd_settle_mode: self.snd_settle_mode.unwrap_or(remote.snd_settle_mode),
            rcv_settle_mode: self.rcv_settle_mode.unwrap_or(remote.rcv_settle_mode),
            source: self.source.clone().or_else(|| remote.source.clone()),
            target: self.target.clone().or_else(|| remote.target.clone()),
            initial_delivery_count: (role == Role::Sender).then_some(0),
            max_message_size: self.max_message_size,
            unsettled: self.unsettled.clone(),
            incomplete_unsettled: self.incomplete_unsettled,
            offered_capabilities: self.offered_capabilities.clone(),
            desired_capabilities: self.desired_capabilities.clone(),
            properties: self.properties.clone(),
            ..Attach::new(remote.name.clone(), 0, role)
        }
    }

    pub(crate) fn settings(&self, limits: &Limits) -> EndSettings {
        EndSettings {
            credit: self.credit,
            auto_accept: self.auto_accept,
            prefetch_bytes: self.prefetch_bytes,
            offers_acquisition: self.transactional_acquisition,
            available: (self.available > 0).then_some(self.available),
            ..EndSettings::new(limits)
        }
    }
}
