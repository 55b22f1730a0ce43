//! What is RabbitMQ 4's own: its management node, its streams, its routing by `to`.

use std::time::Duration;

use amqp10::codec::{Annotations, Fields, Properties, Value, condition};
use amqp10::filter::{Filter, StreamOffset};
use amqp10::rabbitmq::{Binding, ExchangeOptions, Management, QueueOptions, address};
use amqp10::request::RequestOptions;
use amqp10::transaction::{TransactionController, TransactionControllerOptions, TransactionError};
use amqp10::{
    Connection, Credit, FilterSet, Message, Outcome, ReceiverOptions, SenderOptions, Session,
    SessionOptions, Symbol,
};

use bytes::Bytes;

use super::broker::{close, connect, options};
use super::{peers, soon};

/// A connection, its management node, and names that nobody else has.
struct Scene {
    connection: Connection,
    management: Management,
    name: String,
}

impl Scene {
    async fn open() -> Option<Self> {
        let connection = connect(&peers::rabbitmq4()?, options()).await;
        let session = connection.begin(SessionOptions::default()).await.unwrap();
        let management = soon(
            "the pair",
            Management::attach(&session, RequestOptions::default()),
        )
        .await
        .unwrap();
        Some(Self {
            connection,
            management,
            // Needs encoding in every place.
            name: format!("käse/1 ?;&={}", uuid::Uuid::new_v4()),
        })
    }

    async fn session(&self) -> Session {
        let begun = self.connection.begin(SessionOptions::default());
        soon("the begin", begun).await.unwrap()
    }

    /// Makes a classic queue.
    async fn declare(&self, name: &str) {
        let options = QueueOptions::classic();
        let declared = self.management.declare_queue(name, &options);
        soon("the queue", declared).await.unwrap();
    }

    async fn send(&self, address: &str, message: impl Into<Message>) -> Outcome {
        let session = self.session().await;
        let sender = session.attach_sender(address, SenderOptions::default());
        let sender = soon("the sender", sender).await.unwrap();
        soon("the outcome", sender.send(message.into()))
            .await
            .unwrap()
    }

    async fn close(self) {
        self.management.close().await.unwrap();
        close(self.connection).await;
    }
}

#[tokio::test]
async fn z_033_z_034_z_035_z_090_queues_are_managed() {
    let Some(scene) = Scene::open().await else {
        return;
    };
    let (management, name) = (&scene.management, scene.name.as_str());
    let none = soon("the queue", management.queue(name)).await.unwrap_err();
    assert!(none.is_not_found(), "{none}");

    let options = QueueOptions::quorum().argument("x-max-length", 1000_i64);
    let declared = management.declare_queue(name, &options).await.unwrap();
    assert_eq!(
        (declared.name.as_str(), declared.kind.as_str()),
        (name, "quorum")
    );
    management.declare_queue(name, &options).await.unwrap();
    let other = management
        .declare_queue(name, &QueueOptions::classic())
        .await;
    assert_eq!(other.unwrap_err().status().unwrap().code, 409);

    assert_eq!(
        scene.send(&address::queue(name), "x").await,
        Outcome::Accepted
    );
    let purged = soon("the purge", management.purge_queue(name))
        .await
        .unwrap();
    assert_eq!(purged, 1);
    assert_eq!(
        scene.send(&address::queue(name), "x").await,
        Outcome::Accepted
    );
    assert_eq!(management.delete_queue(name).await.unwrap(), 1);
    assert!(management.queue(name).await.unwrap_err().is_not_found());
    scene.close().await;
}

#[tokio::test]
async fn z_035_z_090_exchanges_are_bound_and_unbound() {
    let Some(scene) = Scene::open().await else {
        return;
    };
    let (management, name) = (&scene.management, scene.name.as_str());
    let topic = ExchangeOptions::default().kind("topic");
    management
        .declare_queue(name, &QueueOptions::classic())
        .await
        .unwrap();
    management.declare_exchange(name, &topic).await.unwrap();
    let plain = Binding::to_queue(name, name).key("a/ö.#");
    let with_arguments = plain.clone().argument("n", 1);
    for binding in [plain, with_arguments] {
        let target = address::exchange_with_key(name, "a/ö.b");
        assert_eq!(scene.send(&target, "x").await, Outcome::Released);
        management.bind(&binding).await.unwrap();
        assert_eq!(scene.send(&target, "x").await, Outcome::Accepted);
        management.unbind(&binding).await.unwrap();
        assert_eq!(scene.send(&target, "x").await, Outcome::Released);
        management.unbind(&binding).await.unwrap();
    }
    let nowhere = Binding::to_queue(name, "there-is-none");
    let error = management.bind(&nowhere).await.unwrap_err();
    assert_eq!(error.status().unwrap().code, 400);
    management.delete_exchange(name).await.unwrap();
    assert_eq!(management.delete_queue(name).await.unwrap(), 2);
    scene.close().await;
}

/// Reads a stream from where the filters say until nothing comes any more.
async fn read(scene: &Scene, filters: Vec<Filter>) -> Vec<String> {
    let options = ReceiverOptions::default()
        .filters(filters)
        .require_filters(true)
        .credit(Credit::Auto(100));
    let address = address::queue(&scene.name);
    let session = scene.session().await;
    let receiver = session.attach_receiver(address, options);
    let receiver = soon("the receiver", receiver).await.unwrap();
    let mut texts = Vec::new();
    loop {
        let batch = receiver.recv_batch(100, Duration::from_millis(700)).await;
        let batch = batch.unwrap();
        if batch.is_empty() {
            break;
        }
        for delivery in batch {
            delivery.accept().unwrap();
            let amqp10::Body::Value(value) = delivery.message().unwrap().body else {
                panic!("no value")
            };
            texts.push(value.as_str().unwrap().to_owned());
        }
    }
    receiver.close().await.unwrap();
    texts
}

#[tokio::test]
async fn z_070_z_078_streams_are_read_from_anywhere() {
    let Some(scene) = Scene::open().await else {
        return;
    };
    let management = &scene.management;
    let declared = management
        .declare_queue(&scene.name, &QueueOptions::stream())
        .await;
    assert_eq!(declared.unwrap().kind, "stream");
    let session = scene.session().await;
    let sender = session.attach_sender(address::queue(&scene.name), SenderOptions::default());
    let sender = soon("the sender", sender).await.unwrap();
    for number in 0..6 {
        let mut message = Message::from(number.to_string());
        if number >= 3 {
            let value = if number < 5 { "red" } else { "blue" };
            let name = Symbol::from_static("x-stream-filter-value");
            message.message_annotations = Some(Annotations::new().with(name, value));
        }
        let outcome = soon("the outcome", sender.send(message)).await.unwrap();
        assert_eq!(outcome, Outcome::Accepted);
    }
    let from = |offset| vec![Filter::stream_offset(offset)];
    let all: Vec<_> = (0..6).map(|number| number.to_string()).collect();
    assert_eq!(read(&scene, from(StreamOffset::First)).await, all);
    assert_eq!(read(&scene, from(StreamOffset::Offset(4))).await, all[4..]);
    assert_eq!(
        read(&scene, from(StreamOffset::Interval("1h".into()))).await,
        all
    );
    assert!(read(&scene, from(StreamOffset::Next)).await.is_empty());
    // Chunks are filtered, not messages: what was asked for is among them.
    let red = [
        from(StreamOffset::First),
        vec![Filter::stream_filter(["red"])],
    ]
    .concat();
    assert!(read(&scene, red.clone()).await.contains(&"3".to_owned()));
    let also = [red, vec![Filter::stream_match_unfiltered(true)]].concat();
    assert!(read(&scene, also).await.contains(&"0".to_owned()));
    management.delete_queue(&scene.name).await.unwrap();
    scene.close().await;
}

/// RabbitMQ 4.0 echoes the filters of every receiver, also those that only later versions carry out: what can be seen is that
/// it understands their encoding.
#[tokio::test]
async fn z_077_filters_come_back_as_they_were_sent() {
    let Some(scene) = Scene::open().await else {
        return;
    };
    let management = &scene.management;
    let stream = QueueOptions::stream();
    management
        .declare_queue(&scene.name, &stream)
        .await
        .unwrap();
    let filters: FilterSet = [
        Filter::properties([(Symbol::from_static("subject"), "&p:a")]),
        Filter::application_properties([("colour", "red")]),
    ]
    .into_iter()
    .collect();
    let options = ReceiverOptions::default()
        .filter(filters.clone())
        .require_filters(true);
    let session = scene.session().await;
    let receiver = session.attach_receiver(address::queue(&scene.name), options);
    let receiver = soon("the receiver", receiver).await.unwrap();
    let answer = receiver.remote_attach();
    assert_eq!(answer.source.as_ref().unwrap().filter, filters);
    receiver.close().await.unwrap();
    management.delete_queue(&scene.name).await.unwrap();
    scene.close().await;
}

#[tokio::test]
async fn z_010_z_011_z_015_z_090_an_anonymous_sender_reaches_every_address() {
    let Some(scene) = Scene::open().await else {
        return;
    };
    let management = &scene.management;
    scene.declare(&scene.name).await;
    let session = scene.session().await;
    let sender = session.attach_anonymous_sender(SenderOptions::default());
    let sender = soon("the sender", sender).await.unwrap();
    let addressed = |to: String| {
        let properties = Properties {
            to: Some(to.into()),
            ..Properties::default()
        };
        Message::from("x").with_properties(properties)
    };
    let known = sender.send(addressed(address::queue(&scene.name)));
    assert_eq!(soon("the outcome", known).await.unwrap(), Outcome::Accepted);
    let unknown = sender.send(addressed(address::exchange_with_key("amq.direct", "none")));
    assert_eq!(
        soon("the outcome", unknown).await.unwrap(),
        Outcome::Released
    );
    assert_eq!(management.delete_queue(&scene.name).await.unwrap(), 1);
    scene.close().await;
}

#[tokio::test]
async fn q_004_a_foreign_user_id_ends_the_session() {
    let Some(scene) = Scene::open().await else {
        return;
    };
    let management = &scene.management;
    scene.declare(&scene.name).await;
    let signed = |user: &'static str| {
        Message::from("x").with_properties(Properties {
            user_id: Some(Bytes::from_static(user.as_bytes())),
            ..Properties::default()
        })
    };
    let address = address::queue(&scene.name);
    assert_eq!(
        scene.send(&address, signed("guest")).await,
        Outcome::Accepted
    );
    let session = scene.session().await;
    let sender = session.attach_sender(address, SenderOptions::default());
    let sender = soon("the sender", sender).await.unwrap();
    let error = soon("the refusal", sender.send(signed("somebody"))).await;
    let error = error.unwrap_err();
    let condition = &error.remote_error().expect("a reason").condition;
    assert_eq!(*condition, condition::UNAUTHORIZED_ACCESS);
    assert_eq!(management.delete_queue(&scene.name).await.unwrap(), 1);
    scene.close().await;
}

#[tokio::test]
async fn z_093_its_limits_are_those_of_its_open() {
    let Some(scene) = Scene::open().await else {
        return;
    };
    let open = scene.connection.remote_open();
    assert_eq!((open.channel_max, open.idle_time_out), (63, Some(30_000)));
    scene.close().await;
}

#[tokio::test]
async fn z_094_annotations_say_how_a_message_was_routed() {
    let Some(scene) = Scene::open().await else {
        return;
    };
    scene.declare(&scene.name).await;
    let address = address::queue(&scene.name);
    assert_eq!(scene.send(&address, "x").await, Outcome::Accepted);
    let session = scene.session().await;
    let receiver = session.attach_receiver(address, ReceiverOptions::default());
    let receiver = soon("the receiver", receiver).await.unwrap();
    let delivery = soon("the message", receiver.recv()).await.unwrap();
    let annotations = delivery.message().unwrap().message_annotations.unwrap();
    assert_eq!(annotations.get("x-exchange"), Some(&"".into()));
    let key = annotations.get("x-routing-key");
    assert_eq!(key, Some(&scene.name.as_str().into()));
    delivery.accept().unwrap();
    receiver.close().await.unwrap();
    scene.management.delete_queue(&scene.name).await.unwrap();
    scene.close().await;
}

/// A consumer of the higher priority gets everything while it has credit.
#[tokio::test]
async fn z_095_consumers_have_priorities() {
    let Some(scene) = Scene::open().await else {
        return;
    };
    let management = &scene.management;
    scene.declare(&scene.name).await;
    let (session, address) = (scene.session().await, address::queue(&scene.name));
    let mut receivers = Vec::new();
    for priority in [1, 9] {
        let property = Symbol::from_static("rabbitmq:priority");
        let options = ReceiverOptions::default()
            .properties(Fields::new().with(property, Value::Int(priority)));
        let receiver = session.attach_receiver(address.as_str(), options);
        receivers.push(soon("the receiver", receiver).await.unwrap());
    }
    for _ in 0..5 {
        assert_eq!(scene.send(&address, "x").await, Outcome::Accepted);
        let delivery = soon("the message", receivers[1].recv()).await.unwrap();
        delivery.accept().unwrap();
    }
    assert!(receivers[0].try_recv().unwrap().is_none());
    for receiver in receivers {
        receiver.close().await.unwrap();
    }
    management.delete_queue(&scene.name).await.unwrap();
    scene.close().await;
}

/// What a link leaves unsettled goes back to the queue, and there are no transactions.
#[tokio::test]
async fn z_096_nothing_is_resumed_and_nothing_is_transactional() {
    let Some(scene) = Scene::open().await else {
        return;
    };
    let management = &scene.management;
    scene.declare(&scene.name).await;
    let address = address::queue(&scene.name);
    assert_eq!(scene.send(&address, "x").await, Outcome::Accepted);
    for is_last in [false, true] {
        let session = scene.session().await;
        let receiver = session.attach_receiver(address.as_str(), ReceiverOptions::default());
        let receiver = soon("the receiver", receiver).await.unwrap();
        let delivery = soon("the message", receiver.recv()).await.unwrap();
        if is_last {
            delivery.accept().unwrap();
        }
        receiver.close().await.unwrap();
    }
    let options = TransactionControllerOptions::default();
    let session = scene.session().await;
    let refused = TransactionController::attach(&session, options);
    let refused = soon("the refusal", refused).await.unwrap_err();
    assert!(
        matches!(refused, TransactionError::ControlLink(_)),
        "{refused}"
    );
    management.delete_queue(&scene.name).await.unwrap();
    scene.close().await;
}
