//! Futures that ask a node and wait for its reply: plain requests, tokens for `$cbs`, `$management`, RabbitMQ's management.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use amqp10::cbs::CbsClient;
use amqp10::codec::{Map, Properties, SenderSettleMode, Source};
use amqp10::management::ManagementClient;
use amqp10::rabbitmq::{self, Binding, ExchangeOptions, Management, QueueOptions};
use amqp10::request::{RequestClient, RequestError, RequestOptions};
use amqp10::{ApplicationProperties, IncomingLink, Message, Value};

use super::*;

pub(super) const COVERED: Covered = Covered {
    file: file!(),
    futures: &[
        ("RequestClient::attach", attaching_a_pair_of_links),
        ("RequestClient::attach_dynamic", attaching_a_pair_of_links),
        ("RequestClient::attach_pair", attaching_a_pair_of_links),
        ("CbsClient::attach", attaching_a_pair_of_links),
        ("ManagementClient::attach", attaching_a_pair_of_links),
        ("Management::attach", attaching_a_pair_of_links),
        (
            "RequestClient::close",
            both_links_are_detached_although_nobody_waits,
        ),
        (
            "CbsClient::close",
            both_links_are_detached_although_nobody_waits,
        ),
        (
            "ManagementClient::close",
            both_links_are_detached_although_nobody_waits,
        ),
        (
            "Management::close",
            both_links_are_detached_although_nobody_waits,
        ),
        (
            "RequestClient::request",
            a_request_that_is_given_up_spoils_no_other,
        ),
        ("CbsClient::put_token", tokens),
        ("ManagementClient::request", operations_on_what_is_managed),
        ("ManagementClient::read", operations_on_what_is_managed),
        ("Management::declare_queue", operations_on_a_rabbitmq),
        ("Management::queue", operations_on_a_rabbitmq),
        ("Management::delete_queue", operations_on_a_rabbitmq),
        ("Management::purge_queue", operations_on_a_rabbitmq),
        ("Management::declare_exchange", operations_on_a_rabbitmq),
        ("Management::delete_exchange", operations_on_a_rabbitmq),
        ("Management::bind", operations_on_a_rabbitmq),
        ("Management::unbind", operations_on_a_rabbitmq),
        ("Management::renew_token", operations_on_a_rabbitmq),
        ("Management::request", operations_on_a_rabbitmq),
    ],
};

/// A node that answers every request with what it likes to hear, and counts.
#[derive(Clone, Default)]
struct Desk {
    /// Ways back, by the names under which requests know them.
    replies: Arc<Mutex<HashMap<String, Sender>>>,
    requests: Arc<Mutex<Vec<Receiver>>>,
}

impl Desk {
    /// A client's session with a peer that has the desk.
    async fn open() -> (Pair, Session, Desk) {
        let offering = ConnectionOptions::default().offered_capabilities([rabbitmq::LINK_PAIR]);
        let server = ListenerOptions::default().connection(offering);
        let pair = Pair::with(ConnectionOptions::default(), server).await;
        let desk = Desk::default();
        let (server, serving) = (pair.server.clone(), desk.clone());
        tokio::spawn(async move {
            while let Ok(link) = server.accept_link().await {
                serving.accept(link).await;
            }
        });
        let session = session(&pair).await;
        (pair, session, desk)
    }

    async fn accept(&self, link: IncomingLink) {
        let attach = link.attach().clone();
        let mut options = AcceptLinkOptions::default();
        let mut names = vec![attach.name.to_string()];
        let target = attach.target.as_ref().and_then(|target| target.address());
        names.extend(target.map(ToString::to_string));
        if let Some(source) = attach.source.filter(|source| source.dynamic) {
            let made = format!("made for {}", attach.name);
            options = options.source(Source {
                address: Some(made.as_str().into()),
                ..source
            });
            names.push(made);
        }
        match link.accept(options).await {
            Ok(AcceptedLink::Sender(sender)) => {
                let names = names.into_iter().map(|name| (name, sender.clone()));
                self.replies.lock().unwrap().extend(names);
            }
            Ok(AcceptedLink::Receiver(requests)) => {
                self.requests.lock().unwrap().push(requests.clone());
                tokio::spawn(self.clone().answer(requests));
            }
            Err(_) => {} // given up meanwhile
        }
    }

    async fn answer(self, requests: Receiver) {
        while let Ok(delivery) = requests.recv().await {
            let request = delivery.message().unwrap();
            let _ = delivery.accept();
            let asked = request.properties.clone().unwrap();
            let way_back = match asked.reply_to.as_deref() {
                Some("$me") => requests.name(),
                other => other.unwrap(),
            };
            let replies = self.replies.lock().unwrap().get(way_back).cloned();
            let Some(replies) = replies else {
                continue;
            };
            let reply = reply_to(request);
            match replies.remote_attach().snd_settle_mode {
                SenderSettleMode::Settled => drop(replies.send_settled(reply).await),
                _ => drop(replies.send_with_receipt(reply).await),
            }
        }
    }

    /// Links that have not ended.
    fn open_links(&self) -> usize {
        let replies = self.replies.lock().unwrap();
        let names: std::collections::BTreeSet<_> = replies
            .values()
            .filter(|sender| !sender.is_detached())
            .map(|sender| sender.name().to_owned())
            .collect();
        let requests = self.requests.lock().unwrap();
        let requests = requests.iter().filter(|receiver| !receiver.is_detached());
        names.len() + requests.count()
    }
}

/// The body that came, or what is read; a success in the words of any node.
fn reply_to(request: Message) -> Message {
    let asked = request.properties.unwrap();
    let said = request.application_properties.unwrap_or_default();
    let is_http = asked.subject.is_some();
    let is_read = said.get("operation").and_then(Value::as_str) == Some("READ");
    let body = match is_http || is_read {
        true => Body::Value(Value::Map(queue())),
        false => request.body,
    };
    let properties = Properties {
        correlation_id: asked.message_id,
        subject: Some("200".into()),
        ..Properties::default()
    };
    let status = ApplicationProperties::new().with("status-code", 200);
    let reply = Message {
        body,
        ..Message::value(Value::Null)
    };
    reply
        .with_properties(properties)
        .with_application_properties(status)
}

fn queue() -> Map {
    Map::default()
        .with("name", "queue")
        .with("type", "quorum")
        .with("message_count", 3_u64)
        .with("consumer_count", 2_u32)
}

#[tokio::test(start_paused = true)]
async fn attaching_a_pair_of_links() {
    let options = RequestOptions::default;
    attach_at_each_poll(async |session| RequestClient::attach(session, "node", options()).await)
        .await;
    attach_at_each_poll(async |session| {
        RequestClient::attach_dynamic(session, "node", options()).await
    })
    .await;
    attach_at_each_poll(async |session| {
        RequestClient::attach_pair(session, "node", options()).await
    })
    .await;
    attach_at_each_poll(async |session| CbsClient::attach(session, options()).await).await;
    attach_at_each_poll(async |session| ManagementClient::attach(session, "node", options()).await)
        .await;
    attach_at_each_poll(async |session| Management::attach(session, options()).await).await;
}

/// Whatever was attached when the future was dropped is detached.
async fn attach_at_each_poll<C>(attach: impl AsyncFn(&Session) -> Result<C, LinkError>) {
    let (_pair, session, desk) = Desk::open().await;
    let polls = after_each_poll(async |polls| {
        let attached = poll_times(polls, attach(&session)).await;
        let is_over = attached.is_some();
        drop(attached);
        rest().await;
        assert_eq!(desk.open_links(), 0, "after {polls} polls");
        let _client = attach(&session).await.unwrap();
        rest().await;
        assert_eq!(desk.open_links(), 2);
        is_over
    });
    assert!(polls.await > 2, "nothing was dropped in the middle");
}

#[tokio::test(start_paused = true)]
async fn both_links_are_detached_although_nobody_waits() {
    let options = RequestOptions::default;
    let (_pair, session, desk) = Desk::open().await;
    for polls in 1..4 {
        let requests = RequestClient::attach(&session, "node", options())
            .await
            .unwrap();
        let claims = CbsClient::attach(&session, options()).await.unwrap();
        let manager = ManagementClient::attach(&session, "node", options())
            .await
            .unwrap();
        let rabbit = Management::attach(&session, options()).await.unwrap();
        rest().await;
        assert_eq!(desk.open_links(), 8);
        drop(poll_times(polls, requests.close()).await);
        drop(poll_times(polls, claims.close()).await);
        drop(poll_times(polls, manager.close()).await);
        drop(poll_times(polls, rabbit.close()).await);
        rest().await;
        // The clients are held.
        assert_eq!(desk.open_links(), 0, "after {polls} polls");
        drop((requests, claims, manager, rabbit));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_spoils_no_other() {
    let (_pair, session, _desk) = Desk::open().await;
    let options = RequestOptions::default();
    let client = RequestClient::attach(&session, "node", options)
        .await
        .unwrap();
    let polls = after_each_poll(async |polls| {
        let dropped = poll_times(polls, client.request(Message::from("dropped"))).await;
        let asked = format!("request {polls}");
        let reply = client.request(Message::from(asked.clone())).await.unwrap();
        let expected = Message::from(asked).body;
        assert_eq!(reply.body, expected, "the reply of another");
        dropped.is_some()
    });
    assert!(polls.await > 1, "nothing was dropped in the middle");
}

/// An operation that is given up hinders nobody who asks for the same.
async fn ask_at_each_poll<T>(operation: impl AsyncFn() -> Result<T, RequestError>) {
    let polls = after_each_poll(async |polls| {
        let dropped = poll_times(polls, operation()).await;
        operation().await.unwrap();
        dropped.is_some()
    });
    assert!(polls.await > 1, "nothing was dropped in the middle");
}

#[tokio::test(start_paused = true)]
async fn tokens() {
    let (_pair, session, desk) = Desk::open().await;
    let options = RequestOptions::default();
    let client = CbsClient::attach(&session, options).await.unwrap();
    ask_at_each_poll(async || {
        client
            .put_token("jwt", "sb://host/hub", "token", None)
            .await
    })
    .await;
    assert_eq!(desk.open_links(), 2);
}

#[tokio::test(start_paused = true)]
async fn operations_on_what_is_managed() {
    let (_pair, session, desk) = Desk::open().await;
    let options = RequestOptions::default();
    let client = ManagementClient::attach(&session, "node", options)
        .await
        .unwrap();
    let properties = ApplicationProperties::new;
    ask_at_each_poll(async || client.read("hub", "orders", properties()).await).await;
    let request = async || {
        let body = Value::from("body");
        client
            .request("PURGE", "hub", "orders", properties(), body)
            .await
    };
    ask_at_each_poll(request).await;
    assert_eq!(desk.open_links(), 2);
}

#[tokio::test(start_paused = true)]
async fn operations_on_a_rabbitmq() {
    let (_pair, session, desk) = Desk::open().await;
    let options = RequestOptions::default();
    let client = Management::attach(&session, options).await.unwrap();
    let (queue, exchange) = (QueueOptions::quorum(), ExchangeOptions::default());
    let binding = Binding::to_queue("exchange", "queue");
    ask_at_each_poll(async || client.declare_queue("queue", &queue).await).await;
    ask_at_each_poll(async || client.queue("queue").await).await;
    ask_at_each_poll(async || client.delete_queue("queue").await).await;
    ask_at_each_poll(async || client.purge_queue("queue").await).await;
    ask_at_each_poll(async || client.declare_exchange("exchange", &exchange).await).await;
    ask_at_each_poll(async || client.delete_exchange("exchange").await).await;
    ask_at_each_poll(async || client.bind(&binding).await).await;
    ask_at_each_poll(async || client.unbind(&binding).await).await;
    ask_at_each_poll(async || client.renew_token("token").await).await;
    ask_at_each_poll(async || client.request("GET", "/overview", Value::Null).await).await;
    assert_eq!(desk.open_links(), 2);
}
