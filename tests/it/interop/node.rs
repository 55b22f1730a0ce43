//! A listener within the test: nodes that keep what clients send and hand it out again.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amqp10::codec::{Attach, SenderSettleMode, condition};
use amqp10::sasl::{SaslMechanism, StaticUsers};
use amqp10::websocket::WebSocketServerOptions;
use amqp10::{
    AcceptLinkOptions, AcceptedLink, AmqpError, Connection, ConnectionError, ConnectionOptions,
    IncomingConnection, IncomingLink, Listener, ListenerOptions, Message, Outcome, Receiver,
    SaslServerOptions, Sender,
};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What a node holds, and what it has seen.
#[derive(Debug, Default)]
struct Node {
    messages: Mutex<VecDeque<Message>>,
    outcomes: Mutex<Vec<Outcome>>,
    changed: Notify,
}

/// One connection of a client.
#[derive(Clone, Debug)]
pub struct Visit {
    /// How the client logged in.
    pub mechanism: Option<SaslMechanism>,
    /// What the client closed the connection with, or why it broke; `None` after a close without an error.
    pub ended_with: Option<String>,
}

#[derive(Debug, Default)]
struct Nodes {
    nodes: Mutex<HashMap<String, Arc<Node>>>,
    attaches: Mutex<Vec<Attach>>,
    visits: Mutex<Vec<Visit>>,
    /// Connections that have not ended.
    present: AtomicUsize,
}

/// Serves any number of clients until it is dropped.
///
/// A node's name says what becomes of the messages sent to it: those to `reject`, `release` and `modify` get that
/// outcome, `unknown` refuses links, and every other keeps them.
#[derive(Debug)]
pub struct Server {
    listener: Arc<Listener>,
    nodes: Arc<Nodes>,
    serving: JoinHandle<()>,
}

impl Server {
    pub async fn start() -> Self {
        let users = StaticUsers::new().user("tim", "secret").allow_anonymous();
        let sasl = SaslServerOptions::default()
            .mechanisms([SaslMechanism::Anonymous, SaslMechanism::Plain])
            .authenticator(users);
        let connection = ConnectionOptions::default().allow_plain_without_tls(true);
        let options = ListenerOptions::default()
            .sasl(sasl)
            .connection(connection)
            .websocket(WebSocketServerOptions::default());
        Self::with(options).await
    }

    pub async fn with(options: ListenerOptions) -> Self {
        let listener = Arc::new(Listener::bind("127.0.0.1:0", options).await.unwrap());
        let nodes = Arc::new(Nodes::default());
        let serving = tokio::spawn(serve(listener.clone(), nodes.clone()));
        Self {
            listener,
            nodes,
            serving,
        }
    }

    /// `amqp://` and what comes after; `login` is empty or `user:password@`.
    pub fn url(&self, login: &str) -> String {
        self.url_with("amqp", login)
    }

    /// The same with another scheme: the port takes WebSockets too.
    pub fn url_with(&self, scheme: &str, login: &str) -> String {
        format!("{scheme}://{login}{}", self.address())
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// What the clients attached, in the order in which they did.
    pub fn attaches(&self) -> Vec<Attach> {
        self.nodes.attaches.lock().unwrap().clone()
    }

    /// The connections that there were, once all have ended.
    pub async fn visits(&self) -> Vec<Visit> {
        until("the end of the connections", || {
            self.nodes.present.load(Ordering::Acquire) == 0
        })
        .await;
        self.nodes.visits.lock().unwrap().clone()
    }

    /// What the node holds now.
    pub fn messages(&self, node: &str) -> Vec<Message> {
        let node = self.nodes.get(node);
        let messages = node.messages.lock().unwrap();
        messages.iter().cloned().collect()
    }

    /// Until the node holds so many.
    pub async fn await_messages(&self, node: &str, count: usize) {
        until("the messages", || self.messages(node).len() >= count).await;
    }

    pub fn put(&self, node: &str, message: Message) {
        let node = self.nodes.get(node);
        node.messages.lock().unwrap().push_back(message);
        node.changed.notify_one();
    }

    /// What became of the messages that the node handed out, once there are `count`.
    pub async fn outcomes(&self, node: &str, count: usize) -> Vec<Outcome> {
        let node = self.nodes.get(node);
        until("the outcomes", || {
            node.outcomes.lock().unwrap().len() >= count
        })
        .await;
        node.outcomes.lock().unwrap().clone()
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    super::soon(what, waiting).await;
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Nodes {
    fn get(&self, name: &str) -> Arc<Node> {
        self.nodes
            .lock()
            .unwrap()
            .entry(name.into())
            .or_default()
            .clone()
    }
}

async fn serve(listener: Arc<Listener>, nodes: Arc<Nodes>) {
    loop {
        // A client that fails the handshake is told so; the others go on.
        if let Ok(incoming) = listener.accept().await {
            tokio::spawn(serve_connection(incoming, nodes.clone()));
        }
    }
}

async fn serve_connection(incoming: IncomingConnection, nodes: Arc<Nodes>) {
    nodes.present.fetch_add(1, Ordering::AcqRel);
    let mechanism = incoming.identity().mechanism;
    let connection = incoming.accept().await.unwrap();
    serve_links(&connection, &nodes).await;
    let ended_with = match connection.closed().await {
        ConnectionError::RemoteClosed(None) => None,
        error => Some(error.to_string()),
    };
    let visit = Visit {
        mechanism,
        ended_with,
    };
    nodes.visits.lock().unwrap().push(visit);
    nodes.present.fetch_sub(1, Ordering::AcqRel);
}

async fn serve_links(connection: &Connection, nodes: &Nodes) {
    while let Ok(link) = connection.accept_link().await {
        let Some(name) = node_of(&link).filter(|name| name != "unknown") else {
            let error = AmqpError::new(condition::NOT_FOUND, "there is no such node");
            link.refuse(error);
            continue;
        };
        nodes.attaches.lock().unwrap().push(link.attach().clone());
        let node = nodes.get(&name);
        match link.accept(AcceptLinkOptions::default()).await {
            Ok(AcceptedLink::Receiver(receiver)) => {
                tokio::spawn(keep(receiver, node, name));
            }
            Ok(AcceptedLink::Sender(sender)) => {
                tokio::spawn(hand_out(sender, node));
            }
            Err(_) => return,
        }
    }
}

/// The address of the terminus that is on our side.
fn node_of(link: &IncomingLink) -> Option<String> {
    use amqp10::codec::{Role, TargetArchetype};
    let attach = link.attach();
    let address = match (attach.role, &attach.source, &attach.target) {
        (Role::Receiver, Some(source), _) => &source.address,
        (Role::Sender, _, Some(TargetArchetype::Target(target))) => &target.address,
        _ => return None,
    };
    address.as_deref().map(str::to_owned)
}

async fn keep(receiver: Receiver, node: Arc<Node>, name: String) {
    while let Ok(delivery) = receiver.recv().await {
        let message = delivery.message().unwrap();
        let settled = match name.as_str() {
            "reject" => delivery.reject(Some(AmqpError::new(condition::NOT_ALLOWED, "not here"))),
            "release" => delivery.release(),
            "modify" => delivery.modify(Default::default()),
            _ => {
                node.messages.lock().unwrap().push_back(message);
                node.changed.notify_one();
                delivery.accept()
            }
        };
        if settled.is_err() {
            return;
        }
    }
}

async fn hand_out(sender: Sender, node: Arc<Node>) {
    loop {
        let next = node.messages.lock().unwrap().pop_front();
        let Some(message) = next else {
            tokio::select! {
                () = node.changed.notified() => continue,
                _ = sender.detached() => return,
            }
        };
        if sender.remote_attach().snd_settle_mode == SenderSettleMode::Settled {
            if sender.send_settled(message).await.is_err() {
                return;
            }
            continue;
        }
        let Ok(receipt) = sender.send_with_receipt(message).await else {
            return;
        };
        let node = node.clone();
        tokio::spawn(async move {
            if let Ok(outcome) = receipt.await {
                node.outcomes.lock().unwrap().push(outcome);
            }
        });
    }
}
