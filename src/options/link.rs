//! What links are attached with, from either side.

use amqp10_codec::{
    Attach, Fields, FilterSet, Modified, Outcome, ReceiverSettleMode, Role, SenderSettleMode,
    Source, Str, Symbol, Target, TargetArchetype,
};

use crate::engine::{Credit, Limits, ReceiverSettings};

/// What becomes of a delivery that is dropped without having been settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDrop {
    /// Modified with delivery-failed: the sender counts the attempt, so that a message that nobody survives can be
    /// dead-lettered. RabbitMQ before 4.0 does not know this outcome and ends the session: choose another for it.
    #[default]
    Modify,
    /// Released: as if it had never been delivered.
    Release,
    /// Rejected, without an error.
    Reject,
    /// Accepted.
    Accept,
    /// Nothing is said; the sender learns when the link ends.
    LeaveUnsettled,
}

impl OnDrop {
    pub(crate) fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Modify => Some(Outcome::Modified(Modified {
                delivery_failed: true,
                ..Modified::default()
            })),
            Self::Release => Some(Outcome::Released),
            Self::Reject => Some(Outcome::Rejected(Default::default())),
            Self::Accept => Some(Outcome::Accepted),
            Self::LeaveUnsettled => None,
        }
    }
}

/// Options of [`Session::attach_sender`](crate::Session::attach_sender) [2.7.3].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SenderOptions {
    /// The link's name, unique among the senders of this container to that peer. Default: a new UUID.
    pub name: Option<String>,
    /// Whether deliveries are sent settled. Default mixed: [`send`](crate::Sender::send) and
    /// [`send_settled`](crate::Sender::send_settled) both work.
    pub snd_settle_mode: SenderSettleMode,
    /// When the receiver should settle. Default first.
    pub rcv_settle_mode: ReceiverSettleMode,
    /// Our terminus. Default: one without an address.
    pub source: Option<Source>,
    /// The peer's terminus, in place of one that has the address alone.
    pub target: Option<TargetArchetype>,
    /// The first delivery-count; anything will do. Default 0.
    pub initial_delivery_count: u32,
    /// The largest message that we will send, in octets, as a hint to the peer.
    pub max_message_size: Option<u64>,
    /// Extensions that we offer.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that we would use.
    pub desired_capabilities: Vec<Symbol>,
    /// Properties of the attach.
    pub properties: Fields,
}

impl SenderOptions {
    /// Sets [`name`](Self::name).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets [`snd_settle_mode`](Self::snd_settle_mode).
    pub fn snd_settle_mode(mut self, mode: SenderSettleMode) -> Self {
        self.snd_settle_mode = mode;
        self
    }

    /// Sets [`rcv_settle_mode`](Self::rcv_settle_mode).
    pub fn rcv_settle_mode(mut self, mode: ReceiverSettleMode) -> Self {
        self.rcv_settle_mode = mode;
        self
    }

    /// Sets [`source`](Self::source).
    pub fn source(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }

    /// Sets [`target`](Self::target).
    pub fn target(mut self, target: TargetArchetype) -> Self {
        self.target = Some(target);
        self
    }

    /// Sets [`initial_delivery_count`](Self::initial_delivery_count).
    pub fn initial_delivery_count(mut self, count: u32) -> Self {
        self.initial_delivery_count = count;
        self
    }

    /// Sets [`max_message_size`](Self::max_message_size).
    pub fn max_message_size(mut self, octets: u64) -> Self {
        self.max_message_size = Some(octets);
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

    pub(crate) fn to_attach(&self, target: TargetArchetype) -> Attach {
        Attach {
            snd_settle_mode: self.snd_settle_mode,
            rcv_settle_mode: self.rcv_settle_mode,
            source: Some(self.source.clone().unwrap_or_default()),
            target: Some(target),
            initial_delivery_count: Some(self.initial_delivery_count), // L-019
            max_message_size: self.max_message_size,
            offered_capabilities: self.offered_capabilities.clone(),
            desired_capabilities: self.desired_capabilities.clone(),
            properties: self.properties.clone(),
            ..Attach::new(link_name(&self.name), 0, Role::Sender)
        }
    }
}

/// Options of [`Session::attach_receiver`](crate::Session::attach_receiver) [2.7.3].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceiverOptions {
    /// The link's name, unique among the receivers of this container from that peer. Default: a new UUID.
    pub name: Option<String>,
    /// Whether deliveries should come settled. Default mixed.
    pub snd_settle_mode: SenderSettleMode,
    /// When we settle. Default first.
    pub rcv_settle_mode: ReceiverSettleMode,
    /// The peer's terminus, in place of one that has address and `filter` alone.
    pub source: Option<Source>,
    /// Filters on the peer's terminus [3.5.8]; ignored if `source` is set.
    pub filter: FilterSet,
    /// Our terminus. Default: one without an address.
    pub target: Option<Target>,
    /// Who grants credit, and how much. Default: 300, topped up.
    pub credit: Credit,
    /// The largest message that we take, in octets; larger ones detach the link. Default: none but
    /// [`Limits::max_partial_delivery_bytes`].
    pub max_message_size: Option<u64>,
    /// Deliveries are accepted when they are handed out. Default no.
    pub auto_accept: bool,
    /// What becomes of a delivery that is dropped unsettled.
    pub on_drop: OnDrop,
    /// Extensions that we offer.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that we would use.
    pub desired_capabilities: Vec<Symbol>,
    /// Properties of the attach.
    pub properties: Fields,
}

impl ReceiverOptions {
    /// Sets [`name`](Self::name).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets [`snd_settle_mode`](Self::snd_settle_mode).
    pub fn snd_settle_mode(mut self, mode: SenderSettleMode) -> Self {
        self.snd_settle_mode = mode;
        self
    }

    /// Sets [`rcv_settle_mode`](Self::rcv_settle_mode).
    pub fn rcv_settle_mode(mut self, mode: ReceiverSettleMode) -> Self {
        self.rcv_settle_mode = mode;
        self
    }

    /// Sets [`source`](Self::source).
    pub fn source(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }

    /// Sets [`filter`](Self::filter).
    pub fn filter(mut self, filter: FilterSet) -> Self {
        self.filter = filter;
        self
    }

    /// Sets [`target`](Self::target).
    pub fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    /// Sets [`credit`](Self::credit).
    pub fn credit(mut self, credit: Credit) -> Self {
        self.credit = credit;
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

    pub(crate) fn to_attach(&self, source: Source) -> Attach {
        Attach {
            snd_settle_mode: self.snd_settle_mode,
            rcv_settle_mode: self.rcv_settle_mode,
            source: Some(source),
            target: Some(TargetArchetype::Target(
                self.target.clone().unwrap_or_default(),
            )),
            max_message_size: self.max_message_size,
            offered_capabilities: self.offered_capabilities.clone(),
            desired_capabilities: self.desired_capabilities.clone(),
            properties: self.properties.clone(),
            ..Attach::new(link_name(&self.name), 0, Role::Receiver)
        }
    }

    pub(crate) fn settings(&self, limits: &Limits) -> ReceiverSettings {
        ReceiverSettings {
            credit: self.credit,
            auto_accept: self.auto_accept,
            max_partial_bytes: limits.max_partial_delivery_bytes,
        }
    }
}

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
    /// The largest message that we take, in octets.
    pub max_message_size: Option<u64>,
    /// Deliveries are accepted when they are handed out, where the peer sends. Default no.
    pub auto_accept: bool,
    /// What becomes of a delivery that is dropped unsettled.
    pub on_drop: OnDrop,
    /// Extensions that we offer.
    pub offered_capabilities: Vec<Symbol>,
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
    pub fn target(mut self, target: TargetArchetype) -> Self {
        self.target = Some(target);
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

    /// Sets [`offered_capabilities`](Self::offered_capabilities).
    pub fn offered_capabilities(mut self, capabilities: impl IntoIterator<Item = Symbol>) -> Self {
        self.offered_capabilities = capabilities.into_iter().collect();
        self
    }

    /// Sets [`properties`](Self::properties).
    pub fn properties(mut self, properties: Fields) -> Self {
        self.properties = properties;
        self
    }

    /// Our answer to the peer's attach.
    pub(crate) fn to_attach(&self, remote: &Attach) -> Attach {
        let role = match remote.role {
            Role::Sender => Role::Receiver,
            Role::Receiver => Role::Sender,
        };
        Attach {
            snd_settle_mode: self.snd_settle_mode.unwrap_or(remote.snd_settle_mode),
            rcv_settle_mode: self.rcv_settle_mode.unwrap_or(remote.rcv_settle_mode),
            source: self.source.clone().or_else(|| remote.source.clone()),
            target: self.target.clone().or_else(|| remote.target.clone()),
            initial_delivery_count: (role == Role::Sender).then_some(0),
            max_message_size: self.max_message_size,
            offered_capabilities: self.offered_capabilities.clone(),
            properties: self.properties.clone(),
            ..Attach::new(remote.name.clone(), 0, role)
        }
    }

    pub(crate) fn settings(&self, limits: &Limits) -> ReceiverSettings {
        ReceiverSettings {
            credit: self.credit,
            auto_accept: self.auto_accept,
            max_partial_bytes: limits.max_partial_delivery_bytes,
        }
    }
}

fn link_name(given: &Option<String>) -> Str {
    match given {
        Some(name) => Str::from(name.as_str()),
        None => Str::from(uuid::Uuid::new_v4().to_string()),
    }
}
