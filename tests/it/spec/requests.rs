//! Requests and replies as nodes of services expect them: claims, dynamic reply nodes, pairs of links.

use amqp10::cbs::CbsClient;
use amqp10::codec::{Map, MessageId, Role};
use amqp10::management::{self, ManagementClient};
use amqp10::rabbitmq::{self, Binding, ExchangeOptions, Management, QueueOptions};
use amqp10::request::{RequestClient, RequestError, RequestOptions};
use amqp10::{
    AcceptLinkOptions, AcceptedLink, ApplicationProperties, Attach, Body, Connection,
    ConnectionOptions, LinkError, ListenerOptions, Message, Properties, Receiver, SenderSettleMode,
    Session, SessionOptions, Source, Timestamp, Value,
};

use crate::support::Pair;

/// A node of our listener that has both links of a client: what they asked for, and the links.
struct Node {
    asked: Vec<Attach>,
    requests: Receiver,
    replies: amqp10::Sender,
}

impl Node {
    /// Takes two links, in whatever order they come; a node that is to be made is called `made`.
    async fn accept(connection: &Connection) -> Self {
        let (mut asked, mut requests, mut replies) = (Vec::new(), None, None);
        for _ in 0..2 {
            let link = connection.accept_link().await.unwrap();
            let attach = link.attach().clone();
            let mut options = AcceptLinkOptions::default();
            if let Some(source) = attach.source.clone().filter(|source| source.dynamic) {
                options = options.source(Source {
                    address: Some("made".into()),
                    ..source
                });
            }
            asked.push(attach);
            match link.accept(options).await.unwrap() {
                AcceptedLink::Receiver(receiver) => requests = Some(receiver),
                AcceptedLink::Sender(sender) => replies = Some(sender),
            }
        }
        Self {
            asked,
            requests: requests.expect("a sender of the client's"),
            replies: replies.expect("a receiver of the client's"),
        }
    }

    async fn next(&self) -> Message {
        let delivery = self.requests.recv().await.unwrap();
        delivery.accept().unwrap();
        delivery.message().unwrap()
    }

    /// Answers with the request's id.
    async fn answer(&self, request: &Message, mut reply: Message) {
        let asked = request.properties.as_ref().unwrap();
        let properties = reply.properties.get_or_insert_default();
        properties.correlation_id = asked.message_id.clone();
        properties.to = asked.reply_to.clone();
        if self.replies.remote_attach().snd_settle_mode == SenderSettleMode::Settled {
            self.replies.send_settled(reply).await.unwrap();
        } else {
            assert!(self.replies.send(reply).await.unwrap().is_accepted());
        }
    }
}

async fn session(pair: &Pair) -> Session {
    pair.client.begin(SessionOptions::default()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn z_020_z_021_a_token_is_put_as_the_service_wants_it() {
    let pair = Pair::new().await;
    let session = session(&pair).await;
    let (client, node) = tokio::join!(
        CbsClient::attach(&session, RequestOptions::default()),
        Node::accept(&pair.server)
    );
    let client = client.unwrap();
    for attach in &node.asked {
        let address = match attach.role {
            Role::Sender => attach.target.as_ref().unwrap().address(),
            Role::Receiver => attach.source.as_ref().unwrap().address.as_ref(),
        };
        assert_eq!(address.map(|address| address.as_str()), Some("$cbs"));
    }
    let expires = Timestamp(1_700_000_000_000);
    let put = client.put_token("jwt", "sb://host/hub", "the token", Some(expires));
    let (answer, request) = tokio::join!(put, async {
        let request = node.next().await;
        let ok = ApplicationProperties::new().with("status-code", 202);
        let reply = Message::value(Value::Null).with_application_properties(ok);
        node.answer(&request, reply).await;
        request
    });
    answer.unwrap();
    assert_eq!(request.body, Body::Value("the token".into()));
    let said = request.application_properties.unwrap();
    assert_eq!(said.get("operation"), Some(&"put-token".into()));
    assert_eq!(said.get("type"), Some(&"jwt".into()));
    assert_eq!(said.get("name"), Some(&"sb://host/hub".into()));
    assert_eq!(said.get("expiration"), Some(&expires.into()));
    let properties = request.properties.unwrap();
    assert!(properties.message_id.is_some() && properties.reply_to.is_some());
}

#[tokio::test(start_paused = true)]
async fn z_022_statuses_are_read_in_both_spellings() {
    let pair = Pair::new().await;
    let session = session(&pair).await;
    let (client, node) = tokio::join!(
        CbsClient::attach(&session, RequestOptions::default()),
        Node::accept(&pair.server)
    );
    let client = client.unwrap();
    let spellings = [
        ("status-code", "status-description"),
        ("statusCode", "statusDescription"),
    ];
    for (code, description) in spellings {
        for status in [200, 202, 401, 403, 404] {
            let put = client.put_token("jwt", "audience", "token", None);
            let (answer, ()) = tokio::join!(put, async {
                let request = node.next().await;
                let said = ApplicationProperties::new()
                    .with(code, status)
                    .with(description, "why");
                let reply = Message::value(Value::Null).with_application_properties(said);
                node.answer(&request, reply).await;
            });
            match answer {
                Ok(_) => assert!(status < 300),
                Err(RequestError::Refused(refused)) => {
                    assert_eq!(refused.code, status);
                    assert_eq!(refused.description.as_deref(), Some("why"));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// The names that the drafts give; what a node makes of them is its own affair.
#[tokio::test(start_paused = true)]
async fn z_032_operations_are_asked_for_by_name() {
    let pair = Pair::new().await;
    let session = session(&pair).await;
    let (client, node) = tokio::join!(
        ManagementClient::attach(&session, "$management", RequestOptions::default()),
        Node::accept(&pair.server)
    );
    let client = client.unwrap();
    for operation in ["CREATE", "READ", "UPDATE", "DELETE", "QUERY", "GET-TYPES"] {
        let none = ApplicationProperties::new();
        let request = client.request(operation, "org.example:queue", "orders", none, Value::Null);
        let (answer, ()) = tokio::join!(request, async {
            let asked = node.next().await;
            let said = asked.application_properties.clone().unwrap();
            assert_eq!(said.get("operation"), Some(&operation.into()));
            assert_eq!(said.get("type"), Some(&"org.example:queue".into()));
            assert_eq!(said.get("name"), Some(&"orders".into()));
            let status = ApplicationProperties::new().with("statusCode", 200);
            let reply = Message::value("done").with_application_properties(status);
            node.answer(&asked, reply).await;
        });
        assert_eq!(answer.unwrap().body, Body::Value("done".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn z_036_replies_come_by_a_node_that_the_peer_made() {
    let pair = Pair::new().await;
    let session = session(&pair).await;
    let (client, node) = tokio::join!(
        RequestClient::attach_dynamic(&session, "clock", RequestOptions::default()),
        Node::accept(&pair.server)
    );
    let client = client.unwrap();
    let (reply, ()) = tokio::join!(client.request("what time is it?"), async {
        let request = node.next().await;
        let properties = request.properties.as_ref().unwrap();
        assert_eq!(properties.reply_to.as_deref(), Some("made"));
        node.answer(&request, "noon".into()).await;
    });
    assert_eq!(reply.unwrap().body, Body::Value("noon".into()));
}

#[tokio::test(start_paused = true)]
async fn z_030_z_031_a_management_node_is_asked_by_properties() {
    let pair = Pair::new().await;
    let session = session(&pair).await;
    let options = RequestOptions::default();
    let (client, node) = tokio::join!(
        ManagementClient::attach(&session, management::NODE, options),
        Node::accept(&pair.server)
    );
    let client = client.unwrap();
    let read = client.read("queue", "orders", ApplicationProperties::new());
    let (thing, request) = tokio::join!(read, async {
        let request = node.next().await;
        let said = ApplicationProperties::new()
            .with("statusCode", 200)
            .with("statusDescription", "OK");
        let body = Value::Map(Map::default().with("durable", true));
        let reply = Message::value(body).with_application_properties(said);
        node.answer(&request, reply).await;
        request
    });
    assert_eq!(thing.unwrap().get_str("durable"), Some(&Value::Bool(true)));
    let said = request.application_properties.unwrap();
    assert_eq!(said.get("operation"), Some(&"READ".into()));
    assert_eq!(said.get("type"), Some(&"queue".into()));
    assert_eq!(said.get("name"), Some(&"orders".into()));
    let properties = request.properties.unwrap();
    assert!(properties.message_id.is_some() && properties.reply_to.is_some());
}

/// A management node that answers one request.
async fn answer_once(node: &Node, status: &'static str, body: Value) -> Message {
    let request = node.next().await;
    let properties = Properties {
        subject: Some(status.into()),
        ..Properties::default()
    };
    let response = Message::value(body).with_properties(properties);
    node.answer(&request, response).await;
    request
}

async fn managed() -> (Pair, Management, Node) {
    let offering = ConnectionOptions::default().offered_capabilities([rabbitmq::LINK_PAIR]);
    let server = ListenerOptions::default().connection(offering);
    let pair = Pair::with(ConnectionOptions::default(), server).await;
    let session = session(&pair).await;
    let (client, node) = tokio::join!(
        Management::attach(&session, RequestOptions::default()),
        Node::accept(&pair.server)
    );
    (pair, client.unwrap(), node)
}

#[tokio::test(start_paused = true)]
async fn z_033_a_peer_without_link_pairs_is_not_asked() {
    let pair = Pair::new().await;
    let session = session(&pair).await;
    let error = Management::attach(&session, RequestOptions::default()).await;
    assert!(matches!(
        error.unwrap_err(),
        LinkError::MissingCapability(missing) if missing == rabbitmq::LINK_PAIR
    ));
}

#[tokio::test(start_paused = true)]
async fn z_033_two_links_are_one_pair() {
    let (_pair, client, node) = managed().await;
    let [one, other] = &node.asked[..] else {
        panic!("not two links")
    };
    assert_eq!(one.name, other.name);
    assert_ne!(one.role, other.role);
    for attach in [one, other] {
        assert_eq!(attach.properties.get("paired"), Some(&Value::Bool(true)));
        let source = attach.source.as_ref().unwrap();
        assert_eq!(source.address.as_deref(), Some("/management"));
        let target = attach.target.as_ref().unwrap().address();
        assert_eq!(target.map(|address| address.as_str()), Some("/management"));
    }
    let (purged, request) = tokio::join!(
        client.purge_queue("a/b"),
        answer_once(
            &node,
            "200",
            Value::Map(Map::default().with("message_count", 7_u64))
        )
    );
    assert_eq!(purged.unwrap(), 7);
    let properties = request.properties.unwrap();
    assert_eq!(properties.reply_to.as_deref(), Some("$me"));
    assert!(matches!(properties.message_id, Some(MessageId::Ulong(_))));
}

#[tokio::test(start_paused = true)]
async fn z_025_z_034_z_035_requests_are_http() {
    let (_pair, client, node) = managed().await;
    let expect = async |status, body, method: &str, path: &str| {
        let request = answer_once(&node, status, body).await;
        let properties = request.properties.unwrap();
        assert_eq!(properties.subject.as_deref(), Some(method));
        assert_eq!(properties.to.as_deref(), Some(path));
        request.body
    };
    let queue = || {
        let map = Map::default()
            .with("name", "q 1")
            .with("type", "quorum")
            .with("message_count", 3_u64)
            .with("consumer_count", 2_u32);
        Value::Map(map)
    };
    let options = QueueOptions::quorum();
    let (declared, body) = tokio::join!(
        client.declare_queue("q 1", &options),
        expect("201", queue(), "PUT", "/queues/q%201")
    );
    let declared = declared.unwrap();
    assert_eq!((declared.message_count, declared.consumer_count), (3, 2));
    assert_eq!(declared.kind, "quorum");
    let Body::Value(Value::Map(body)) = body else {
        panic!("{body:?}")
    };
    assert_eq!(body.get_str("durable"), Some(&Value::Bool(true)));
    let kind = body.get_str("arguments").unwrap().as_map().unwrap();
    assert_eq!(kind.get_str("x-queue-type"), Some(&"quorum".into()));

    let (found, _) = tokio::join!(
        client.queue("none"),
        expect("404", "no queue 'none'".into(), "GET", "/queues/none")
    );
    let error = found.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert!(error.to_string().contains("no queue 'none'"), "{error}");
    assert!(!error.is_retryable());

    let options = ExchangeOptions::default().kind("topic");
    let (declared, _) = tokio::join!(
        client.declare_exchange("x/1", &options),
        expect("204", Value::Null, "PUT", "/exchanges/x%2F1")
    );
    declared.unwrap();
    let binding = Binding::to_queue("x/1", "q 1").key("a.#");
    let (bound, body) = tokio::join!(
        client.bind(&binding),
        expect("204", Value::Null, "POST", "/bindings")
    );
    bound.unwrap();
    let Body::Value(Value::Map(body)) = body else {
        panic!("{body:?}")
    };
    assert_eq!(body.get_str("destination_queue"), Some(&"q 1".into()));
    let path = "/bindings/src=x%2F1;dstq=q%201;key=a.%23;args=";
    let (unbound, _) = tokio::join!(
        client.unbind(&binding),
        expect("204", Value::Null, "DELETE", path)
    );
    unbound.unwrap();

    let (renewed, body) = tokio::join!(
        client.renew_token("jwt"),
        expect("204", Value::Null, "PUT", "/auth/tokens")
    );
    renewed.unwrap();
    assert_eq!(body, Body::Value(Value::Binary("jwt".into())));
}

#[tokio::test(start_paused = true)]
async fn z_034_a_response_without_a_status_is_malformed() {
    let (_pair, client, node) = managed().await;
    let (answer, _) = tokio::join!(
        client.delete_exchange("x"),
        answer_once(&node, "fine", Value::Null)
    );
    let error = answer.unwrap_err();
    assert!(matches!(error, RequestError::Malformed(_)), "{error}");
}
