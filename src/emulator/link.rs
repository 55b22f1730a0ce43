//! What becomes of a peer's attach: a publisher, a reader, one end of a request node, or a refusal (Event Hubs).

use std::sync::Arc;
use std::time::Duration;

use super::connection::Peer;
use super::faults::{LinkFaults, Site};
use super::log::ProducerClaim;
use super::namespace::{Destination, Hub};
use super::nodes::Node;
use super::producer_seat::ProducerSeat;
use super::publish::Publisher;
use super::replies::ReplyLink;
use super::subscribe::{Reader, source_in_force};
use crate::codec::{
    AmqpError, Attach, Fields, ReceiverSettleMode, Role, SenderSettleMode, Source, Str, Symbol,
    Target, TargetArchetype, condition,
};
use crate::eventhubs::wire::{Address, capability};
use crate::{AcceptLinkOptions, AcceptedLink, Credit, IncomingLink, LinkError, OnDrop, Session};

/// Credit of a publisher's link: the service grants hundreds, and clients wait where it is less than 100.
const PUBLISHER_CREDIT: u32 = 300;

/// Credit of a link for requests.
const REQUEST_CREDIT: u32 = 50;

/// What a link is for.
#[derive(Debug)]
enum Service {
    /// The peer publishes.
    Publish { publisher: Publisher, place: Place },
    /// The peer reads a partition.
    Read { reader: Reader, place: Place },
    /// The peer sends requests to a node.
    Requests(Node),
    /// The peer receives a node's replies.
    Replies(Node),
}

/// Where a link leads to. It ends with the hub, and with the token for the path.
#[derive(Debug)]
struct Place {
    hub: Arc<Hub>,
    path: String,
    site: Site,
}

impl Place {
    /// Waits until the link has to end.
    async fn gone(&self, peer: &Peer, faults: &LinkFaults) -> AmqpError {
        tokio::select! {
            biased;
            () = peer.claims.expired(&self.path) => expired(&self.path),
            error = self.hub.deleted() => error,
            end = faults.ended() => peer.end_by_fault(end, &self.path),
        }
    }
}

/// An accepted link on which somebody has to wait.
#[derive(Debug)]
pub(crate) struct RunningLink {
    service: Service,
    link: AcceptedLink,
    session: Session,
}

/// Answers an attach. `None` if there is nothing to run: refused, ended again, or a link for replies.
pub(crate) async fn admit(peer: &Arc<Peer>, link: IncomingLink) -> Option<RunningLink> {
    let service = match Service::resolve(peer, link.attach()) {
        Ok(service) => service,
        Err(error) => {
            tracing::debug!(link = %link.attach().name, %error.condition, "refused a link");
            // Some clients cannot read an attach without termini.
            link.refuse_with_termini(error);
            return None;
        }
    };
    let session = link.session().clone();
    let attach = link.attach();
    let reply_target = target_address(attach).cloned();
    let settled = attach.snd_settle_mode == SenderSettleMode::Settled;
    let options = service.options(peer, attach);
    match (service, accepted(link.accept(options).await)?) {
        (Service::Replies(node), AcceptedLink::Sender(sender)) => {
            let link = ReplyLink {
                node,
                session,
                target: reply_target,
                settled,
                sender,
            };
            if peer.replies.add(link).is_err() {
                tracing::debug!("dropped a link for replies: the connection has too many");
            }
            None
        }
        (service, link) => Some(RunningLink {
            service,
            link,
            session,
        }),
    }
}

/// The link, or `None` if the peer has ended it meanwhile.
fn accepted(answer: Result<AcceptedLink, LinkError>) -> Option<AcceptedLink> {
    answer
        .inspect_err(|error| tracing::debug!(%error, "a link ended while it was attached"))
        .ok()
}

impl Service {
    fn resolve(peer: &Arc<Peer>, attach: &Attach) -> Result<Service, AmqpError> {
        let address = address(attach)?;
        if let Some(node) = Node::at(&address) {
            if node == Node::Management && !peer.claims.allow_anything() {
                return Err(unauthorized(&address));
            }
            return Ok(match attach.role {
                Role::Sender => Service::Requests(node),
                Role::Receiver => Service::Replies(node),
            });
        }
        let path = address.to_string();
        if !peer.claims.allow(&path) {
            return Err(unauthorized(&address));
        }
        let site = Site::of(&address, attach);
        peer.namespace.faults.check_attach(&site)?;
        let hub = address.hub().unwrap_or_default();
        let hub = peer.namespace.hub(hub)?;
        let place = Place { hub, path, site };
        match attach.role {
            Role::Sender => {
                let destination = peer.namespace.destination(&address)?;
                let producer = producer(&destination, attach)?;
                let name = match address {
                    Address::Publisher { publisher, .. } => Some(Str::from(publisher)),
                    _ => None,
                };
                let namespace = Arc::clone(&peer.namespace);
                Ok(Service::Publish {
                    publisher: Publisher {
                        namespace,
                        destination,
                        name,
                        producer,
                    },
                    place,
                })
            }
            Role::Receiver => {
                let reader = Reader::admit(&peer.namespace, &address, attach)?;
                Ok(Service::Read { reader, place })
            }
        }
    }

    /// The answer to the attach. Termini are never null and always have an address: some clients look into them
    /// without a check.
    fn options(&self, peer: &Peer, attach: &Attach) -> AcceptLinkOptions {
        let name = Some(attach.name.clone());
        let mut source = attach.source.clone().unwrap_or_default();
        let mut target = match &attach.target {
            Some(TargetArchetype::Target(target)) => target.clone(),
            _ => Target::default(),
        };
        source = source_in_force(&Source {
            address: source.address.take().or(name.clone()),
            ..source
        });
        target.address = target.address.or(name);
        let credit = match self {
            Service::Requests(_) => REQUEST_CREDIT,
            _ => PUBLISHER_CREDIT,
        };
        AcceptLinkOptions {
            source: Some(source),
            target: Some(TargetArchetype::Target(target)),
            credit: Credit::Auto(credit),
            // Outcomes are told, or lost on purpose.
            on_drop: OnDrop::LeaveUnsettled,
            max_message_size: Some(peer.namespace.options.max_message_size),
            // Publishers that ask for the second mode never settle: the outcome alone must end their wait.
            rcv_settle_mode: (attach.role == Role::Sender).then_some(ReceiverSettleMode::First),
            offered_capabilities: self.offered_capabilities(peer, attach),
            properties: self.properties(),
            ..AcceptLinkOptions::default()
        }
    }

    fn offered_capabilities(&self, peer: &Peer, attach: &Attach) -> Vec<Symbol> {
        let is_replicated = peer.namespace.options.georeplication.is_some();
        let served: &[Symbol] = match self {
            Service::Read { .. } => &[capability::RECEIVER_RUNTIME_METRIC],
            Service::Publish { publisher, .. } if publisher.producer.is_some() => {
                &[capability::IDEMPOTENT_PRODUCER]
            }
            Service::Publish { .. } | Service::Requests(_) | Service::Replies(_) => &[],
        };
        attach
            .desired_capabilities
            .iter()
            .filter(|desired| {
                served.contains(desired) || is_replicated && **desired == capability::GEOREPLICATION
            })
            .cloned()
            .collect()
    }

    /// A producer that numbers its events is told who it is, and where it goes on.
    fn properties(&self) -> Fields {
        match self {
            Service::Publish { publisher, .. } => publisher
                .producer
                .as_ref()
                .map(|producer| producer.state.properties())
                .unwrap_or_default(),
            _ => Fields::default(),
        }
    }
}

/// The seat of a producer that numbers its events, if the attach asks for one. Numbers belong to one partition: a link to
/// a hub is served without.
fn producer(destination: &Destination, attach: &Attach) -> Result<Option<ProducerSeat>, AmqpError> {
    let Destination::Fixed(partition) = destination else {
        return Ok(None);
    };
    ProducerClaim::of(attach)?
        .map(|claim| partition.claim_producer(claim))
        .transpose()
}

impl RunningLink {
    /// Serves the link until the peer, a rule or the end of its token ends it.
    pub(crate) async fn run(self, peer: &Arc<Peer>) {
        match (self.service, self.link) {
            (Service::Publish { publisher, place }, AcceptedLink::Receiver(receiver)) => {
                let faults = peer.link_faults(place.site.clone());
                let end = tokio::select! {
                    biased;
                    error = place.gone(peer, &faults) => Some(error),
                    end = publisher.run(&receiver, &faults) => end,
                };
                if let Some(error) = end {
                    // A peer that is gone needs no reason.
                    let _ = receiver.close_with_error(error).await;
                }
            }
            (Service::Read { reader, place }, AcceptedLink::Sender(sender)) => {
                let faults = peer.link_faults(place.site.clone());
                let end = tokio::select! {
                    biased;
                    error = place.gone(peer, &faults) => Some(error),
                    _ = sender.detached() => None,
                    end = reader.run(&sender, &faults) => end,
                };
                if let Some(error) = end {
                    // A peer that is gone needs no reason.
                    let _ = sender.close_with_error(error).await;
                }
            }
            (Service::Requests(node), AcceptedLink::Receiver(receiver)) => {
                if let Some(error) = node.run(peer, &self.session, &receiver).await {
                    // A peer that is gone needs no reason.
                    let _ = receiver.close_with_error(error).await;
                }
            }
            // The handles give the opposite of the peer's role, from which the service was chosen.
            _ => {}
        }
    }
}

/// The address that an attach names on our side, in any spelling.
fn address(attach: &Attach) -> Result<Address, AmqpError> {
    let refused = |text: &'static str| AmqpError::new(condition::NOT_IMPLEMENTED, text);
    let named = match attach.role {
        Role::Sender => match &attach.target {
            Some(TargetArchetype::Coordinator(_)) => {
                return Err(refused("transactions are not supported"));
            }
            Some(TargetArchetype::Target(target)) if target.dynamic => {
                return Err(refused("no dynamic nodes"));
            }
            Some(TargetArchetype::Target(target)) => target.address.as_ref(),
            None => None,
        },
        Role::Receiver => match &attach.source {
            Some(source) if source.dynamic => return Err(refused("no dynamic nodes")),
            Some(source) => source.address.as_ref(),
            None => None,
        },
    };
    let named = named
        .ok_or_else(|| AmqpError::new(condition::INVALID_FIELD, "the link names no address"))?;
    named
        .parse::<Address>()
        .map_err(|error| AmqpError::new(condition::NOT_FOUND, error.to_string()))
}

fn target_address(attach: &Attach) -> Option<&Str> {
    match &attach.target {
        Some(TargetArchetype::Target(target)) => target.address.as_ref(),
        _ => None,
    }
}

fn unauthorized(address: &Address) -> AmqpError {
    let text =
        format!("Unauthorized access. No valid token covers '{address}': put one to $cbs first.");
    AmqpError::new(condition::UNAUTHORIZED_ACCESS, text)
}

fn expired(path: &str) -> AmqpError {
    AmqpError::new(
        condition::UNAUTHORIZED_ACCESS,
        format!("The token for '{path}' has expired."),
    )
}

/// What a link hears that was idle for too long.
pub(crate) fn idle_too_long(name: &str, idle: Option<Duration>) -> AmqpError {
    let millis = idle.unwrap_or_default().as_millis();
    let text = format!("Idle link tracker, link {name} has been idle for {millis}ms");
    AmqpError::new(condition::DETACH_FORCED, text)
}

/// The future's output, or `None` if it takes longer than the limit, where there is one.
pub(crate) async fn within<T>(
    limit: Option<Duration>,
    future: impl Future<Output = T>,
) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}
