//! Renewals with a service whose nodes fall silent.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use amqp10::codec::{ApplicationProperties, Message, Properties};
use amqp10::eventhubs::ErrorKind;
use amqp10::eventhubs::auth::{SasKey, TokenFn};
use amqp10::memory::{self, MemoryStream};
use amqp10::{
    AcceptLinkOptions, AcceptedLink, IncomingLink, Listener, ListenerOptions, Receiver, Sender,
};

use super::*;

/// Takes all links, answers claims alone, and says of each token on which pair of links it came.
#[derive(Clone)]
struct Service {
    /// How many requests the first pair answers.
    patience: usize,
    pairs: Arc<AtomicU32>,
    put: Arc<Mutex<HashMap<String, Vec<u32>>>>,
    /// Connections that are open.
    connections: Arc<AtomicU32>,
}

impl Service {
    fn new(patience: usize) -> Self {
        Self {
            patience,
            pairs: Arc::default(),
            put: Arc::default(),
            connections: Arc::default(),
        }
    }

    /// A client with tokens for an hour, under a clock that runs with the runtime's.
    async fn client(&self) -> Client {
        self.client_with(1).await
    }

    /// The same, with so many connections.
    async fn client_with(&self, connections: usize) -> Client {
        let started = (SystemTime::now(), tokio::time::Instant::now());
        let now = move || started.0 + started.1.elapsed();
        let key = SasKey::new("name", "key").with_lifetime(Duration::from_secs(3600));
        let options = ClientOptions::default()
            .token_source(key)
            .clock(Clock::new(now))
            .retry(RetryPolicy::never())
            .connections(connections)
            .connector(self.connector());
        let text = "Endpoint=sb://localhost;SharedAccessKeyName=name;SharedAccessKey=key;EntityPath=orders";
        Client::connect(text, options).await.unwrap()
    }

    fn connector(&self) -> Connector {
        let service = self.clone();
        Connector::new(move |options| {
            let (ours, theirs) = memory::pipe(1 << 16);
            tokio::spawn(service.clone().serve(theirs));
            Connection::open_with_stream(ours, options)
        })
    }

    async fn serve(self, stream: MemoryStream) {
        let options = ListenerOptions::default();
        let incoming = Listener::accept_stream(stream, &options).await.unwrap();
        let connection = incoming.accept().await.unwrap();
        self.connections.fetch_add(1, Ordering::Relaxed);
        let mut replies = None;
        let mut requests = None;
        let mut others = Vec::new();
        while let Ok(link) = connection.accept_link().await {
            let for_claims = is_for_claims(&link);
            match link.accept(AcceptLinkOptions::default()).await.unwrap() {
                AcceptedLink::Sender(sender) if for_claims => replies = Some(sender),
                AcceptedLink::Receiver(receiver) if for_claims => requests = Some(receiver),
                other => others.push(other),
            }
            if replies.is_some()
                && requests.is_some()
                && let (Some(replies), Some(requests)) = (replies.take(), requests.take())
            {
                tokio::spawn(self.clone().answer(requests, replies));
            }
        }
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    async fn answer(self, requests: Receiver, replies: Sender) {
        let pair = self.pairs.fetch_add(1, Ordering::Relaxed);
        let mut answered = 0;
        while let Ok(delivery) = requests.recv().await {
            delivery.accept().unwrap();
            let request = delivery.message().unwrap();
            let audience = request.application_properties.unwrap();
            let audience = audience.get("name").unwrap().as_str().unwrap().to_owned();
            self.put
                .lock()
                .unwrap()
                .entry(audience)
                .or_default()
                .push(pair);
            if pair == 0 && answered == self.patience {
                continue;
            }
            answered += 1;
            let reply = Message::default()
                .with_properties(Properties {
                    correlation_id: request.properties.unwrap().message_id,
                    ..Properties::default()
                })
                .with_application_properties(ApplicationProperties::new().with("status-code", 202));
            replies.send_settled(reply).await.unwrap();
        }
    }
}

fn is_for_claims(link: &IncomingLink) -> bool {
    format!("{:?}", link.attach()).contains("$cbs")
}

#[tokio::test(start_paused = true)]
async fn a_silent_claims_node_is_left_for_a_new_pair_of_links() {
    let service = Service::new(2);
    let client = service.client().await;
    let producer = client.producer(ProducerOptions::default().settled(true));
    for partition in ["0", "1"] {
        producer.send_to(to(partition), "x").await.unwrap();
    }
    // Past the renewals, not past the end of the tokens.
    tokio::time::sleep(Duration::from_secs(3500)).await;
    let put = service.put.lock().unwrap();
    assert_eq!(put.len(), 2);
    for (audience, pairs) in &*put {
        assert_eq!(pairs.last(), Some(&1), "{audience}: {pairs:?}");
    }
    let asked_in_vain = put.values().flatten().filter(|pair| **pair == 0).count() - 2;
    assert_eq!(asked_in_vain, 1, "{put:?}");
}

/// Management does not answer, so the connection counts as dead for new links. The producer's link on it works on.
#[tokio::test(start_paused = true)]
async fn links_on_a_connection_that_was_given_up_are_renewed_and_closed() {
    let service = Service::new(usize::MAX);
    let client = service.client().await;
    let producer = client.producer(ProducerOptions::default().settled(true));
    producer.send_to(to("0"), "old connection").await.unwrap();
    let error = client.hub_properties().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    producer.send_to(to("1"), "new connection").await.unwrap();
    assert_eq!(service.connections.load(Ordering::Relaxed), 2);

    tokio::time::sleep(Duration::from_secs(3500)).await;
    let put = service.put.lock().unwrap().clone();
    assert_eq!(put["sb://localhost/orders/Partitions/0"], [0, 0]);
    assert_eq!(put["sb://localhost/orders/Partitions/1"], [1, 1]);

    client.close().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(service.connections.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn each_connection_puts_and_renews_its_own_tokens() {
    let service = Service::new(usize::MAX);
    let client = service.client_with(3).await;
    let producer = client.producer(ProducerOptions::default().settled(true));
    for partition in ["0", "1", "2"] {
        producer.send_to(to(partition), "x").await.unwrap();
    }
    assert_eq!(service.connections.load(Ordering::Relaxed), 3);
    assert_eq!(service.pairs.load(Ordering::Relaxed), 3);
    tokio::time::sleep(Duration::from_secs(3500)).await;
    let put = service.put.lock().unwrap();
    for (partition, pair) in [("0", 0), ("1", 1), ("2", 2)] {
        let audience = format!("sb://localhost/orders/Partitions/{partition}");
        assert_eq!(put[&audience], [pair, pair], "{put:?}");
    }
}

/// A token source that never answers costs half a try, and not the connection.
#[tokio::test(start_paused = true)]
async fn a_token_source_that_hangs_is_not_waited_for_without_end() {
    let service = Service::new(usize::MAX);
    let source = TokenFn::new(|_, _| std::future::pending());
    let (observer, notes) = notes();
    let options = ClientOptions::default()
        .token_source(source)
        .retry(RetryPolicy::never())
        .observer(observer)
        .connector(service.connector());
    let text = "Endpoint=sb://localhost;EntityPath=orders";
    let client = Client::connect(text, options).await.unwrap();
    let started = tokio::time::Instant::now();
    let error = producer(&client).send_to(to("0"), "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(started.elapsed(), Duration::from_secs(30));
    assert_eq!(*notes.lock().unwrap(), ["Connected"]);
}

/// A claims node that never answers is the connection's fault.
#[tokio::test(start_paused = true)]
async fn a_connection_whose_claims_node_is_silent_is_given_up() {
    let service = Service::new(0);
    let client = service.client().await;
    let producer = client.producer(ProducerOptions::default().settled(true));
    let error = producer.send_to(to("0"), "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    producer.send_to(to("0"), "x").await.unwrap();
    assert_eq!(service.pairs.load(Ordering::Relaxed), 2);
}
