//! What a sending link is attached with.

use super::{check_made, check_settle_modes, fill_in, link_name};
use crate::codec::{
    Attach, Fields, ReceiverSettleMode, Role, SenderSettleMode, Source, Str, Symbol, Target,
    TargetArchetype, UnsettledMap,
};
use crate::error::LinkError;

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
    /// The peer's terminus, in place of one that has the address alone. If it has none, it gets the one of the attach.
    pub target: Option<TargetArchetype>,
    /// The first delivery-count; anything will do. Default 0.
    pub initial_delivery_count: u32,
    /// The largest message that we will send, in octets, as a hint to the peer.
    pub max_message_size: Option<u64>,
    /// Whether the link is refused if the peer answers with another settle mode than it was asked for: where exactly once
    /// depends on it. Default no.
    pub require_settle_modes: bool,
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
    pub fn target(mut self, target: impl Into<TargetArchetype>) -> Self {
        self.target = Some(target.into());
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

    /// Sets [`require_settle_modes`](Self::require_settle_modes).
    pub fn require_settle_modes(mut self, require: bool) -> Self {
        self.require_settle_modes = require;
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
        let is_dynamic = match &self.target {
            Some(TargetArchetype::Target(target)) => target.dynamic,
            _ => false,
        };
        let made = answer.target.as_ref();
        check_made(is_dynamic, made.and_then(TargetArchetype::address))?;
        if self.require_settle_modes {
            check_settle_modes((self.snd_settle_mode, self.rcv_settle_mode), answer)?;
        }
        Ok(())
    }

    pub(crate) fn to_attach(&self, address: Str) -> Attach {
        let mut target = self
            .target
            .clone()
            .unwrap_or_else(|| Target::default().into());
        if let TargetArchetype::Target(target) = &mut target {
            fill_in(
                &mut target.address,
                address,
                target.dynamic,
                &mut target.dynamic_node_properties,
            );
        }
        Attach {
            snd_settle_mode: self.snd_settle_mode,
            rcv_settle_mode: self.rcv_settle_mode,
            source: Some(self.source.clone().unwrap_or_default()),
            target: Some(target),
            initial_delivery_count: Some(self.initial_delivery_count), // L-019
            max_message_size: self.max_message_size,
            unsettled: self.unsettled.clone(),
            incomplete_unsettled: self.incomplete_unsettled,
            offered_capabilities: self.offered_capabilities.clone(),
            desired_capabilities: self.desired_capabilities.clone(),
            properties: self.properties.clone(),
            ..Attach::new(link_name(self.name.as_deref()), 0, Role::Sender)
        }
    }
}
