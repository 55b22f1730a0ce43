//! A service that takes tokens, knows two partitions, and leaves what becomes of every other link to the test.

use amqp10::codec::{
    ApplicationProperties, Array, Attach, Map, Message, Properties, Symbol, Value,
};
use amqp10::memory::{self, MemoryStream};
use amqp10::{
    AcceptLinkOptions, AcceptedLink, Delivery, IncomingLink, Listener, ListenerOptions, OnDrop,
    Receiver, Sender,
};
use tokio::sync::mpsc;

use super::*;

pub const IDEMPOTENT: Symbol = Symbol::from_static("com.microsoft:idempotent-producer");

pub struct Scripted {
    links: mpsc::UnboundedReceiver<IncomingLink>,
    connector: Connector,
}

impl Scripted {
    pub fn new() -> Self {
        let (handed_over, links) = mpsc::unbounded_channel();
        let connector = Connector::new(move |options| {
            let (ours, theirs) = memory::pipe(1 << 16);
            tokio::spawn(serve(theirs, handed_over.clone()));
            Connection::open_with_stream(ours, options)
        });
        Self { links, connector }
    }

    pub async fn client(&self, retry: RetryPolicy) -> Client {
        let options = ClientOptions::default()
            .retry(retry)
            .connector(self.connector.clone());
        let text = "Endpoint=sb://localhost;SharedAccessKeyName=name;SharedAccessKey=key;EntityPath=orders";
        Client::connect(text, options).await.unwrap()
    }

    /// The next link that the client attaches.
    pub async fn link(&mut self) -> IncomingLink {
        soon(self.links.recv()).await.unwrap()
    }

    /// The next link, on which the client publishes.
    pub async fn publisher(&mut self) -> Receiver {
        self.publisher_as(AcceptLinkOptions::default()).await.1
    }

    /// The same, with what the client said in its attach.
    pub async fn publisher_as(&mut self, options: AcceptLinkOptions) -> (Attach, Receiver) {
        let link = self.link().await;
        let attach = link.attach().clone();
        // Only what the test says becomes of a delivery.
        let options = options.on_drop(OnDrop::LeaveUnsettled);
        match link.accept(options).await.unwrap() {
            AcceptedLink::Receiver(receiver) => (attach, receiver),
            AcceptedLink::Sender(_) => panic!("a publisher was expected"),
        }
    }
}

/// The next delivery, which must come soon.
pub async fn arrives(publisher: &Receiver) -> Delivery {
    soon(publisher.recv()).await.unwrap()
}

/// Nothing arrives for a while.
pub async fn nothing_arrives(publisher: &Receiver) {
    let quiet = tokio::time::timeout(Duration::from_millis(200), publisher.recv()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

async fn serve(stream: MemoryStream, others: mpsc::UnboundedSender<IncomingLink>) {
    let options = ListenerOptions::default();
    let incoming = Listener::accept_stream(stream, &options).await.unwrap();
    let connection = incoming.accept().await.unwrap();
    let mut replies = None;
    while let Ok(link) = connection.accept_link().await {
        let is_node = format!("{:?}", link.attach());
        if !is_node.contains("$cbs") && !is_node.contains("$management") {
            let _ = others.send(link);
            continue;
        }
        match link.accept(AcceptLinkOptions::default()).await.unwrap() {
            AcceptedLink::Sender(sender) => replies = Some(sender),
            AcceptedLink::Receiver(requests) => {
                // The client attaches the way back first, or right after.
                let replies = match replies.take() {
                    Some(replies) => replies,
                    None => {
                        let link = connection.accept_link().await.unwrap();
                        match link.accept(AcceptLinkOptions::default()).await.unwrap() {
                            AcceptedLink::Sender(sender) => sender,
                            AcceptedLink::Receiver(_) => panic!("the way back was expected"),
                        }
                    }
                };
                tokio::spawn(answer(requests, replies));
            }
        }
    }
}

/// Takes every token, and tells of any hub that it has two partitions.
async fn answer(requests: Receiver, replies: Sender) {
    while let Ok(delivery) = requests.recv().await {
        delivery.accept().unwrap();
        let request = delivery.message().unwrap();
        let properties = request.application_properties.unwrap();
        let (code, body) = match properties.get("operation").and_then(Value::as_str) {
            Some("READ") => (200, Value::Map(hub())),
            _ => (202, Value::Null),
        };
        let reply = Message::value(body)
            .with_properties(Properties {
                correlation_id: request.properties.unwrap().message_id,
                ..Properties::default()
            })
            .with_application_properties(ApplicationProperties::new().with("status-code", code));
        let _ = replies.send_settled(reply).await;
    }
}

fn hub() -> Map {
    let ids = Array::try_from(vec![Value::from("0"), Value::from("1")]).unwrap();
    let mut map = Map::new();
    map.insert("name", "orders");
    map.insert("partition_ids", ids);
    map
}
