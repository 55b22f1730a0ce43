//! What an attach asks for, what it gets, and the answer that says so.

use std::sync::Arc;

use super::address::{NodeKind, NodeName, wanted_kind};
use super::bell::Bell;
use super::connection::Peer;
use super::consumer::Consumer;
use super::filter::{self, Filters};
use super::nodes::{LinkEnd, LinkId, LinkIdentity, Nodes};
use super::publisher::{Destination, Publisher};
use super::queue::DistributionMode;
use super::subscription::Terminus;
use crate::codec::terminus::{distribution_mode, outcomes};
use crate::codec::{
    AmqpError, Attach, Fields, LifetimePolicy, Outcome, SenderSettleMode, Source, Symbol, Target,
    TargetArchetype, TerminusDurability, TerminusExpiryPolicy, Value, condition,
};
use crate::lock::lock;
use crate::{AcceptLinkOptions, AcceptedLink, Credit, IncomingLink, OnDrop};

const LIFETIME_POLICY: &str = "lifetime-policy";
const SUPPORTED_DIST_MODES: &str = "supported-dist-modes";

/// Lets a peer that sends publish to what its target names. If it does not come to that, says how the link ended.
pub(super) async fn publisher(
    peer: &Arc<Peer>,
    link: IncomingLink,
    id: LinkId,
) -> Result<Publisher, LinkEnd> {
    let attach = link.attach();
    let prepared = target_of(attach)
        .and_then(|target| prepare_target(&mut lock(&peer.shared.nodes), target, id));
    let (destination, target) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return Err(refuse(link, error)),
    };
    let takes_rejected = attach.source.as_ref().is_none_or(Source::takes_rejected);
    let options = lock(&peer.shared.nodes).options().clone();
    let answer = AcceptLinkOptions::default()
        .target(target)
        .credit(Credit::Auto(options.credit))
        .max_message_size(options.max_message_size)
        // The link is gone, or goes for a reason that says more.
        .on_drop(OnDrop::LeaveUnsettled);
    match link.accept(answer).await {
        Ok(AcceptedLink::Receiver(receiver)) => Ok(Publisher {
            receiver,
            destination,
            takes_rejected,
        }),
        Ok(AcceptedLink::Sender(_)) => Err(LinkEnd::Expelled),
        // While it was attached.
        Err(ended) => Err(LinkEnd::of(&ended)),
    }
}

fn target_of(attach: &Attach) -> Result<Target, AmqpError> {
    match &attach.target {
        Some(TargetArchetype::Target(target)) => Ok(target.clone()),
        _ => Err(invalid("a link to this broker needs a target")),
    }
}

fn prepare_target(
    nodes: &mut Nodes,
    asked: Target,
    link: LinkId,
) -> Result<(Destination, Target), AmqpError> {
    let mut target = Target {
        // Nothing of it is kept.
        durable: TerminusDurability::None,
        expiry_policy: TerminusExpiryPolicy::SessionEnd,
        timeout: 0,
        ..asked
    };
    let node = match (&target.address, target.dynamic) {
        (Some(_), true) => return Err(both_dynamic_and_named()),
        (None, false) => return Ok((Destination::OfEachMessage, target)), // Z-011
        (None, true) => {
            let asked = &target.dynamic_node_properties;
            let (node, facts) = create(nodes, asked, &target.capabilities, link)?;
            target.dynamic_node_properties = facts;
            target.address = Some(node.address());
            node
        }
        (Some(address), false) => {
            let node = NodeName::parse(address, &target.capabilities)?;
            nodes.find(&node)?;
            node
        }
    };
    target.capabilities = vec![kind_capability(node.kind)];
    nodes.attach(link, &node);
    Ok((Destination::Node(node), target))
}

/// Lets a peer that receives consume from what its source names. If it does not come to that, says how the link ended.
pub(super) async fn consumer(
    peer: &Arc<Peer>,
    link: IncomingLink,
    id: LinkId,
) -> Result<Consumer, LinkEnd> {
    let bell = Arc::new(Bell::default());
    let attach = link.attach();
    let prepared = match &attach.source {
        Some(source) => prepare_source(peer, source.clone(), id, &bell),
        None => Err(invalid("a link from this broker needs a source")),
    };
    let source = match prepared {
        Ok(source) => source,
        Err(error) => return Err(refuse(link, error)),
    };
    let default_outcome = source.default_outcome.clone().unwrap_or(Outcome::Released);
    let is_settled = attach.snd_settle_mode == SenderSettleMode::Settled;
    let answer = AcceptLinkOptions::default()
        .source(source)
        .transactional_acquisition(true)
        .available(1); // until it has looked: a drain that came with the attach waits for it (K-013)
    match link.accept(answer).await {
        Ok(AcceptedLink::Sender(sender)) => {
            bell.hang_at(&sender);
            Ok(Consumer {
                id,
                sender,
                bell,
                is_settled,
                default_outcome,
            })
        }
        Ok(AcceptedLink::Receiver(_)) => Err(LinkEnd::Expelled),
        Err(ended) => Err(LinkEnd::of(&ended)),
    }
}

fn prepare_source(
    peer: &Peer,
    asked: Source,
    link: LinkId,
    bell: &Arc<Bell>,
) -> Result<Source, AmqpError> {
    let (filters, in_force) = Filters::parse(&asked.filter, peer.number)?;
    let mut nodes = lock(&peer.shared.nodes);
    let mut source = Source {
        filter: in_force,
        ..asked
    };
    let node = match (&source.address, source.dynamic) {
        (Some(_), true) => return Err(both_dynamic_and_named()),
        (None, false) => return Err(invalid("the source names no address")),
        (None, true) => {
            let asked = &source.dynamic_node_properties;
            let (node, facts) = create(&mut nodes, asked, &source.capabilities, link)?;
            source.dynamic_node_properties = facts;
            source.address = Some(node.address());
            node
        }
        (Some(address), false) => {
            let node = NodeName::parse(address, &source.capabilities)?;
            nodes.find(&node)?;
            node
        }
    };
    let mode = distribution(&source, node.kind)?;
    let terminus = Terminus::from(&source);
    nodes.attach_consumer(link, &node, mode, filters, terminus, Arc::clone(bell))?;
    if node.kind == NodeKind::Queue {
        source.durable = TerminusDurability::None;
        source.expiry_policy = TerminusExpiryPolicy::SessionEnd;
        source.timeout = 0;
    }
    source.distribution_mode = Some(match (mode, node.kind) {
        (DistributionMode::Move, NodeKind::Queue) => distribution_mode::MOVE,
        _ => distribution_mode::COPY,
    });
    if source.outcomes.is_empty() {
        source.outcomes = outcomes::ALL.to_vec();
    }
    if let None | Some(Outcome::Declared(_)) = source.default_outcome {
        source.default_outcome = Some(Outcome::Released);
    }
    let offered = [kind_capability(node.kind)].into_iter();
    source.capabilities = offered.chain(filter::CAPABILITIES).collect();
    Ok(source)
}

/// How messages are given to a link; a subscription to a topic is always one's own.
fn distribution(source: &Source, kind: NodeKind) -> Result<DistributionMode, AmqpError> {
    match &source.distribution_mode {
        _ if kind == NodeKind::Topic => Ok(DistributionMode::Move),
        None => Ok(DistributionMode::Move),
        Some(mode) if *mode == distribution_mode::MOVE => Ok(DistributionMode::Move),
        Some(mode) if *mode == distribution_mode::COPY => Ok(DistributionMode::Copy),
        Some(mode) => Err(invalid(&format!("there is no distribution mode {mode}"))),
    }
}

/// Creates a node as the node properties wish, and states what it is in fact.
fn create(
    nodes: &mut Nodes,
    wishes: &Fields,
    capabilities: &[Symbol],
    link: LinkId,
) -> Result<(NodeName, Fields), AmqpError> {
    let policy = match wishes.get(LIFETIME_POLICY) {
        None | Some(Value::Null) => LifetimePolicy::DeleteOnClose,
        Some(value) => LifetimePolicy::from_value(value)
            .ok_or_else(|| invalid("there is no such lifetime-policy"))?,
    };
    let node = nodes.create_dynamic(wanted_kind(capabilities), policy, link)?;
    let modes = match node.kind {
        NodeKind::Queue => distribution_mode::MOVE,
        NodeKind::Topic => distribution_mode::COPY,
    };
    let facts = Fields::new()
        .with(Symbol::from_static(LIFETIME_POLICY), policy)
        .with(Symbol::from_static(SUPPORTED_DIST_MODES), modes);
    Ok((node, facts))
}

fn kind_capability(kind: NodeKind) -> Symbol {
    Symbol::from_static(match kind {
        NodeKind::Queue => "queue",
        NodeKind::Topic => "topic",
    })
}

fn refuse(link: IncomingLink, error: AmqpError) -> LinkEnd {
    tracing::debug!(link = %link.attach().name, %error.condition, "refused a link");
    link.refuse(error);
    LinkEnd::Expelled
}

/// Who a link is to other connections.
pub(super) fn identity(peer: &Peer, attach: &Attach) -> LinkIdentity {
    LinkIdentity {
        container_id: peer.container_id.clone(),
        name: attach.name.clone(),
        role: attach.role,
    }
}

fn both_dynamic_and_named() -> AmqpError {
    invalid("a dynamic terminus has no address before it is created")
}

fn invalid(text: &str) -> AmqpError {
    AmqpError::new(condition::INVALID_FIELD, text)
}
