//! A listener within the test: nodes that keep what clients send and hand it out again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use amqp10::codec::condition;
use amqp10::{
    AcceptLinkOptions, AcceptedLink, AmqpError, Connection, ConnectionOptions, IncomingLink,
    Listener, ListenerOptions, Message, Outcome, Receiver, SaslMechanism, SaslServerOptions,
    Sender, StaticUsers, WebSocketServerOptions,
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

#[derive(Debug, Default)]
struct Nodes(Mutex<HashMap<String, Arc<Node>>>);

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
        format!("{scheme}://{login}{}", self.listener.local_addr().unwrap())
    }

    /// What the node holds now.
    pub fn messages(&self, node: &str) -> Vec<Message> {
        let node = self.nodes.get(node);
        let messages = node.messages.lock().unwrap();
        messages.iter().cloned().collect()
    }

    pub fn put(&self, node: &str, message: Message) {
        let node = self.nodes.get(node);
        node.messages.lock().unwrap().push_back(message);
        node.changed.notify_one();
    }

    /// What became of the messages that the node handed out, once there are `count`.
    pub async fn outcomes(&self, node: &str, count: usize) -> Vec<Outcome> {
        let node = self.nodes.get(node);
        let all = async {
            loop {
                let outcomes = node.outcomes.lock().unwrap().clone();
                if outcomes.len() >= count {
                    return outcomes;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        super::soon("the outcomes", all).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Nodes {
    fn get(&self, name: &str) -> Arc<Node> {
        self.0
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
            let connection = incoming.accept().await.unwrap();
            tokio::spawn(serve_connection(connection, nodes.clone()));
        }
    }
}

async fn serve_connection(connection: Connection, nodes: Arc<Nodes>) {
    while let Ok(link) = connection.accept_link().await {
        let Some(name) = node_of(&link).filter(|name| name != "unknown") else {
            let error = AmqpError::new(condition::NOT_FOUND, "there is no such node");
            link.refuse(error).await.unwrap();
            continue;
        };
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
                _ = sender.closed() => return,
            }
        };
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
