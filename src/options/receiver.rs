//! What a receiving link is attached with.

use super::{check_made, check_settle_modes, fill_in, link_name};
use crate::codec::{
    Attach, Fields, FilterSet, Modified, Outcome, ReceiverSettleMode, Role, SenderSettleMode,
    Source, Str, Symbol, Target, TargetArchetype, UnsettledMap,
};
use crate::engine::{Credit, EndSettings, Limits};
use crate::error::LinkError;
use crate::filter::Filter;

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
    /// The same, or what comes nearest to it of the outcomes that the peer's source lists.
    pub(crate) fn allowed_by(self, source: Option<&Source>) -> Self {
        let is_listed = |on_drop: &Self| match (source, on_drop.outcome()) {
            (Some(source), Some(outcome)) => source.takes(&outcome),
            _ => true,
        };
        [self, Self::Release, Self::LeaveUnsettled]
            .into_iter()
            .find(is_listed)
            .unwrap_or(Self::LeaveUnsettled)
    }

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
    /// The peer's terminus, in place of one that has an address alone. If it has no address, it gets the one of the attach.
    pub source: Option<Source>,
    /// Filters on the peer's terminus [3.5.8], beside those that `source` has: one of the same name takes its place.
    pub filter: FilterSet,
    /// Our terminus. Default: one without an address.
    pub target: Option<Target>,
    /// Who grants credit, and how much. Default: 300, topped up.
    pub credit: Credit,
    /// How many octets of deliveries may wait to be taken, as long as credit is [`Credit::Auto`]: less credit is granted where
    /// the deliveries that came were large. It is an estimate; the first of unexpected size may exceed it, and
    /// [`recv_batch`](crate::Receiver::recv_batch) gets as many as it asks for. Default: no limit but the credit and
    /// [`Limits::max_queued_bytes`].
    pub prefetch_bytes: Option<usize>,
    /// The largest message that we take, in octets; larger ones detach the link. Default: none but
    /// [`Limits::max_partial_delivery_bytes`].
    pub max_message_size: Option<u64>,
    /// Deliveries are accepted when they are handed out. Default no.
    pub auto_accept: bool,
    /// What becomes of a delivery that is dropped unsettled. Where the peer's source lists the outcomes that it knows and this is
    /// none of them, it is released, or left unsettled if the source does not know that either [3.5.3].
    pub on_drop: OnDrop,
    /// Whether the link is refused if the peer answers with another settle mode than it was asked for: where exactly once
    /// depends on it. Default no.
    pub require_settle_modes: bool,
    /// Whether the link is refused if the peer's answer lacks one of our filters: it would send what was to be left out.
    /// Default no.
    pub require_filters: bool,
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

    /// Sets [`filter`](Self::filter): to a set, or to one [`Filter`].
    pub fn filter(mut self, filter: impl Into<FilterSet>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Sets [`filter`](Self::filter) to these.
    pub fn filters(mut self, filters: impl IntoIterator<Item = Filter>) -> Self {
        self.filter = filters.into_iter().collect();
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

    /// Sets [`require_settle_modes`](Self::require_settle_modes).
    pub fn require_settle_modes(mut self, require: bool) -> Self {
        self.require_settle_modes = require;
        self
    }

    /// Sets [`require_filters`](Self::require_filters).
    pub fn require_filters(mut self, require: bool) -> Self {
        self.require_filters = require;
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

    /// Whether the peer's answer is what we need (L-018, L-022).
    pub(crate) fn check(&self, answer: &Attach) -> Result<(), LinkError> {
        if self.require_settle_modes {
            check_settle_modes((self.snd_settle_mode, self.rcv_settle_mode), answer)?;
        }
        let is_dynamic = self.source.as_ref().is_some_and(|source| source.dynamic);
        let made = answer.source.as_ref();
        check_made(is_dynamic, made.and_then(|source| source.address.as_ref()))?;
        let of_source = self.source.iter().flat_map(|source| source.filter.iter());
        let mut asked = of_source.chain(self.filter.iter());
        let in_force = answer.source.as_ref().map(|source| &source.filter);
        let is_ignored = |name: &Symbol| in_force.is_none_or(|filter| filter.get(name).is_none());
        match asked.find(|(name, _)| is_ignored(name)) {
            Some((name, _)) if self.require_filters => Err(LinkError::FilterIgnored(name.clone())),
            _ => Ok(()),
        }
    }

    pub(crate) fn to_attach(&self, address: Str) -> Attach {
        let mut source = self.source.clone().unwrap_or_default();
        for (name, filter) in self.filter.iter() {
            source.filter.insert(name.clone(), filter.clone());
        }
        fill_in(
            &mut source.address,
            address,
            source.dynamic,
            &mut source.dynamic_node_properties,
        );
        Attach {
            snd_settle_mode: self.snd_settle_mode,
            rcv_settle_mode: self.rcv_settle_mode,
            source: Some(source),
            target: Some(TargetArchetype::Target(
                self.target.clone().unwrap_or_default(),
            )),
            max_message_size: self.max_message_size,
            unsettled: self.unsettled.clone(),
            incomplete_unsettled: self.incomplete_unsettled,
            offered_capabilities: self.offered_capabilities.clone(),
            desired_capabilities: self.desired_capabilities.clone(),
            properties: self.properties.clone(),
            ..Attach::new(link_name(self.name.as_deref()), 0, Role::Receiver)
        }
    }

    pub(crate) fn settings(&self, limits: &Limits) -> EndSettings {
        EndSettings {
            credit: self.credit,
            auto_accept: self.auto_accept,
            prefetch_bytes: self.prefetch_bytes,
            ..EndSettings::new(limits)
        }
    }
}
