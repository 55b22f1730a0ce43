//! One peer's connection: one task, which serves all its links in the order in which things happen.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::time::Instant;

use super::Shared;
use super::attach;
use super::consumer::{Consumer, ConsumerEnd, SentDelivery};
use super::nodes::{LinkEnd, LinkId, Scope, Site};
use super::publisher::{Publisher, RefusedDelivery, transaction_of};
use super::server;
use super::transactions::{LiveTransactions, SentKey, Transactions};
use super::turns::Turns;
use crate::codec::{AmqpError, Outcome, Role, Str, TransactionalState, condition};
use crate::lock::lock;
use crate::transaction::{ControlLink, TransactionRequest, capability};
use crate::{
    Connection, ConnectionError, Delivery, IncomingConnection, IncomingLink, LinkError, RecvError,
    SendError, Session,
};

/// What the links of one connection share.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) shared: Arc<Shared>,
    pub(super) number: u64,
    pub(super) container_id: Str,
    pub(super) live_transactions: LiveTransactions,
}

/// What happens on a connection.
pub(super) enum Event {
    /// A link was attached, or the connection has ended.
    Attached(Result<IncomingLink, ConnectionError>),
    /// A publisher's link has brought something, or ended.
    Received(LinkId, Result<Delivery, RecvError>),
    /// A consumer's link has got something, or ended.
    Sent(LinkId, Result<Option<SentDelivery>, ConsumerEnd>),
    /// A delivery was tied to a transaction.
    Tied(SentKey, TransactionalState),
    /// A delivery has its outcome, or will never have one.
    Settled(SentKey, Result<Outcome, SendError>),
    /// A control link has brought something, or ended.
    Requested(LinkId, Result<TransactionRequest, RecvError>),
    /// A link has to end: its node was deleted, or another link took its place.
    Expelled(LinkId, AmqpError),
    /// A session has ended, by its number.
    SessionEnded(u64),
    /// Something that nobody waits for is done.
    Done,
}

/// A connection that is served.
pub(super) struct Service {
    pub(super) peer: Arc<Peer>,
    pub(super) turns: Turns<Event>,
    pub(super) publishers: HashMap<LinkId, Publisher>,
    pub(super) consumers: HashMap<LinkId, Arc<Consumer>>,
    pub(super) controls: HashMap<LinkId, Arc<ControlLink>>,
    /// Those on which links are or were, by their numbers.
    sessions: HashMap<u64, Session>,
    next_session: u64,
    pub(super) sent: HashMap<SentKey, SentDelivery>,
    next_sent: SentKey,
    pub(super) transactions: Transactions,
}

/// Opens a connection and serves it until either side closes it: this side does when `closing` gives a new reason, or when
/// another connection of the container takes its place.
pub(super) async fn serve(
    shared: Arc<Shared>,
    incoming: IncomingConnection,
    mut closing: watch::Receiver<&'static str>,
) {
    let number = shared.next_connection();
    let membership = match shared.containers.enter(number, incoming.open()) {
        Ok(membership) => membership,
        Err(error) => return server::refuse(incoming, error).await,
    };
    let live_transactions = LiveTransactions::new(Mutex::default());
    let peer = Arc::new(Peer {
        number,
        shared,
        container_id: incoming.open().container_id.clone(),
        live_transactions: Arc::clone(&live_transactions),
    });
    let connection = match incoming.accept().await {
        Ok(connection) => connection,
        Err(error) => {
            tracing::debug!(%error, "a peer went away while its connection was opened");
            return;
        }
    };
    let mut service = Service::new(peer, live_transactions);
    tokio::select! {
        biased;
        _ = closing.changed() => {
            let error = AmqpError::new(condition::CONNECTION_FORCED, *closing.borrow());
            // A peer that does not answer is gone after a while.
            let _ = connection.close_with_error(error).await;
        }
        error = membership.displaced() => drop(connection.close_with_error(error).await),
        error = service.run(&connection) => match error {
            ConnectionError::RemoteClosed(None) => {}
            error => tracing::debug!(%error, "a connection ended"),
        },
    }
}

impl Service {
    fn new(peer: Arc<Peer>, live: LiveTransactions) -> Self {
        Self {
            peer,
            turns: Turns::new(),
            publishers: HashMap::new(),
            consumers: HashMap::new(),
            controls: HashMap::new(),
            sessions: HashMap::new(),
            next_session: 0,
            sent: HashMap::new(),
            next_sent: 0,
            transactions: Transactions::new(live),
        }
    }

    async fn run(&mut self, connection: &Connection) -> ConnectionError {
        self.attach_next(connection);
        let error = loop {
            match self.turns.next().await {
                Event::Attached(Ok(link)) => {
                    self.admit(link).await;
                    self.attach_next(connection);
                }
                Event::Attached(Err(error)) => break error,
                event => self.on_event(event),
            }
        };
        // What came before the end counts: nobody would repeat what was sent settled, or an outcome.
        while let Some(event) = self.turns.next_ready().await {
            self.on_event(event);
        }
        error
    }

    fn attach_next(&mut self, connection: &Connection) {
        let connection = connection.clone();
        self.turns
            .push(async move { Event::Attached(connection.accept_link().await) });
    }

    fn links(&self) -> usize {
        self.publishers.len() + self.consumers.len() + self.controls.len()
    }

    /// The number of a session; its end is waited for.
    fn session_number(&mut self, session: &Session) -> u64 {
        let known = self.sessions.iter().find(|(_, known)| *known == session);
        if let Some((number, _)) = known {
            return *number;
        }
        let number = self.next_session;
        self.next_session += 1;
        let session = session.clone();
        self.sessions.insert(number, session.clone());
        self.turns.push(async move {
            session.ended().await;
            Event::SessionEnded(number)
        });
        number
    }

    fn on_session_end(&mut self, session: u64) {
        self.sessions.remove(&session);
        let connection = self.peer.number;
        let scope = Scope::Session(Site {
            connection,
            session,
        });
        self.peer.shared.end_scope(scope);
    }

    async fn admit(&mut self, link: IncomingLink) {
        let most = lock(&self.peer.shared.nodes).options().max_links;
        if self.links() >= most {
            let text = "the connection has as many links as it may";
            return link.refuse(AmqpError::new(condition::RESOURCE_LIMIT_EXCEEDED, text));
        }
        let peer = Arc::clone(&self.peer);
        let identity = attach::identity(&peer, link.attach());
        let site = Site {
            connection: peer.number,
            session: self.session_number(link.session()),
        };
        let (id, expelled) = lock(&peer.shared.nodes).announce(identity, site);
        let admitted = match link.attach().role {
            Role::Sender if ControlLink::is_wanted_by(&link) => self.admit_control(link, id).await,
            Role::Sender => attach::publisher(&peer, link, id).await.map(|publisher| {
                self.publishers.insert(id, publisher);
                self.receive_next(id);
            }),
            Role::Receiver => attach::consumer(&peer, link, id).await.map(|consumer| {
                self.consumers.insert(id, Arc::new(consumer));
                self.send_next(id);
            }),
        };
        match admitted {
            Ok(()) => self.watch_expulsion(id, expelled),
            Err(end) => peer.shared.end_link(id, end),
        }
    }

    async fn admit_control(&mut self, link: IncomingLink, id: LinkId) -> Result<(), LinkEnd> {
        let capabilities = [
            capability::LOCAL_TRANSACTIONS,
            capability::MULTI_TXNS_PER_SSN,
            capability::MULTI_SSNS_PER_TXN,
        ];
        let control = ControlLink::accept(link, capabilities).await;
        let control = control.map_err(|ended| LinkEnd::of(&ended))?;
        self.controls.insert(id, Arc::new(control));
        self.request_next(id);
        Ok(())
    }

    fn watch_expulsion(&mut self, id: LinkId, mut expelled: watch::Receiver<Option<AmqpError>>) {
        self.turns.push(async move {
            match expelled.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(error)) => Event::Expelled(id, error.clone()),
                _ => Event::Done,
            }
        });
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Received(id, Ok(delivery)) => {
                self.on_delivery(id, delivery);
                self.receive_next(id);
            }
            Event::Received(id, Err(error)) => {
                if self.publishers.remove(&id).is_some() {
                    let RecvError::Link(error) = error;
                    self.peer.shared.end_link(id, LinkEnd::of(&error));
                }
            }
            Event::Sent(id, Ok(delivery)) => {
                if let Some(delivery) = delivery {
                    self.watch_delivery(delivery);
                }
                self.send_next(id);
            }
            Event::Sent(id, Err(end)) => self.on_consumer_end(id, end),
            Event::Tied(key, state) => self.on_tied(key, state),
            Event::Settled(key, outcome) => self.on_settled(key, outcome),
            Event::Requested(id, Ok(request)) => {
                self.on_request(id, request);
                self.request_next(id);
            }
            Event::Requested(id, Err(_)) => self.end_control(id, None),
            Event::Expelled(id, error) => self.expel(id, error),
            Event::SessionEnded(session) => self.on_session_end(session),
            Event::Attached(_) | Event::Done => {}
        }
    }

    // ---- publishers

    fn receive_next(&mut self, id: LinkId) {
        if let Some(publisher) = self.publishers.get(&id) {
            let receiver = publisher.receiver.clone();
            self.turns
                .push(async move { Event::Received(id, receiver.recv().await) });
        }
    }

    fn on_delivery(&mut self, id: LinkId, delivery: Delivery) {
        let Some(publisher) = self.publishers.get(&id) else {
            return;
        };
        let route = publisher.route(&delivery, self.peer.number);
        let mut nodes = lock(&self.peer.shared.nodes);
        let refused = match transaction_of(&delivery).cloned() {
            Some(state) => {
                let mode = publisher.receiver.remote_attach().rcv_settle_mode;
                let transactions = &mut self.transactions;
                transactions.post(&mut nodes, &state, delivery, mode, route)
            }
            None => match route.and_then(|route| nodes.take_in(&route, Instant::now())) {
                Ok(()) => {
                    drop(nodes);
                    // A peer that is gone sends it again, or not: that is up to it.
                    let _ = delivery.accept();
                    return;
                }
                Err(error) => Some(RefusedDelivery { delivery, error }),
            },
        };
        drop(nodes);
        if let Some(refused) = refused
            && let Some(error) = publisher.refuse(refused)
        {
            self.expel(id, error);
        }
    }

    // ---- consumers

    fn send_next(&mut self, id: LinkId) {
        if let Some(consumer) = self.consumers.get(&id) {
            let (consumer, peer) = (Arc::clone(consumer), Arc::clone(&self.peer));
            self.turns
                .push(async move { Event::Sent(id, consumer.send_next(&peer).await) });
        }
    }

    fn watch_delivery(&mut self, delivery: SentDelivery) {
        let key = self.next_sent;
        self.next_sent += 1;
        if let Some(txn_id) = &delivery.acquired_by
            && let Ok(transaction) = self.transactions.get_mut(txn_id)
        {
            transaction.acquisitions.insert(key);
        }
        self.sent.insert(key, delivery);
        self.watch(key);
    }

    /// Waits for what the peer says of a delivery next.
    pub(super) fn watch(&mut self, key: SentKey) {
        if let Some(delivery) = self.sent.get(&key) {
            let receipt = delivery.receipt.clone();
            self.turns.push(async move {
                match receipt.transactional_state().await {
                    Some(state) => Event::Tied(key, state),
                    None => match receipt.outcome().await {
                        Some(outcome) => Event::Settled(key, outcome),
                        None => Event::Done,
                    },
                }
            });
        }
    }

    fn on_settled(&mut self, key: SentKey, outcome: Result<Outcome, SendError>) {
        if self.transactions.tied_to(key).is_some() {
            return; // settled already, but what becomes of the message is the transaction's
        }
        let Some(delivery) = self.sent.remove(&key) else {
            return;
        };
        match outcome {
            Ok(outcome) => delivery.acquired.settle(outcome),
            Err(_) => drop(delivery), // O-016
        }
    }

    fn on_consumer_end(&mut self, id: LinkId, end: ConsumerEnd) {
        match end {
            ConsumerEnd::Refused(error) => self.expel(id, error),
            ConsumerEnd::Link(error) => {
                if self.consumers.remove(&id).is_some() {
                    self.peer.shared.end_link(id, LinkEnd::of(&error));
                }
            }
        }
    }

    // ---- the end of links

    /// Ends a link from this side.
    pub(super) fn expel(&mut self, id: LinkId, error: AmqpError) {
        if let Some(publisher) = self.publishers.remove(&id) {
            self.peer.shared.end_link(id, LinkEnd::Expelled);
            self.in_background(async move { publisher.receiver.close_with_error(error).await });
        } else if let Some(consumer) = self.consumers.remove(&id) {
            self.peer.shared.end_link(id, LinkEnd::Expelled);
            self.in_background(async move { consumer.sender.close_with_error(error).await });
        } else {
            self.end_control(id, Some(error));
        }
    }

    pub(super) fn in_background(
        &mut self,
        closing: impl Future<Output = Result<(), LinkError>> + Send + 'static,
    ) {
        self.turns.push(async move {
            // Either way it is over.
            let _ = closing.await;
            Event::Done
        });
    }
}

/// Everything that the connection has used is given back, whatever ended it.
impl Drop for Service {
    fn drop(&mut self) {
        self.sent.clear();
        let links = self.publishers.keys().chain(self.consumers.keys());
        for id in links.chain(self.controls.keys()) {
            self.peer.shared.end_link(*id, LinkEnd::ConnectionClosed);
        }
        let connection = Scope::Connection(self.peer.number);
        self.peer.shared.end_scope(connection);
    }
}
