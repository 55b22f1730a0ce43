//! Nodes that are there, that are created, and that are not.

use amqp10::codec::{
    Described, Fields, LifetimePolicy, Message, Outcome, Properties, Source, Target, Value,
};
use amqp10::{LinkError, SenderOptions, Symbol, condition};

use super::*;

fn condition_of<T: std::fmt::Debug>(result: Result<T, LinkError>) -> Symbol {
    let error = result.unwrap_err();
    error.remote_error().expect("no reason").condition.clone()
}

fn dynamic(policy: impl Into<Value>) -> Source {
    Source {
        dynamic: true,
        dynamic_node_properties: Fields::new().with(Symbol::from_static("lifetime-policy"), policy),
        ..Source::default()
    }
}

async fn create(session: &Session, policy: LifetimePolicy) -> (Receiver, String) {
    let options = ReceiverOptions::default().source(dynamic(policy));
    let receiver = receiver_with(session, "", options).await;
    let address = receiver.address().unwrap().to_string();
    (receiver, address)
}

#[tokio::test(start_paused = true)]
async fn l_013_what_begins_with_no_such_does_not_exist() {
    let broker = broker().await;
    let session = session(&broker).await;
    for address in [
        "no-such",
        "no-such-queue",
        "queue/no-such",
        "topic/no-such-x",
    ] {
        let sender = session.attach_sender(address, SenderOptions::default());
        assert_eq!(condition_of(sender.await), condition::NOT_FOUND);
        let receiver = session.attach_receiver(address, ReceiverOptions::default());
        assert_eq!(condition_of(receiver.await), condition::NOT_FOUND);
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_nodes_that_are_listed_are_there() {
    let options = BrokerOptions::default().nodes(["orders", "topic/prices"]);
    let broker = broker_with(options).await;
    let session = session(&broker).await;
    sender(&session, "queue/orders").await;
    sender(&session, "topic/prices").await;
    for address in ["prices", "topic/orders", "other"] {
        let sender = session.attach_sender(address, SenderOptions::default());
        assert_eq!(
            condition_of(sender.await),
            condition::NOT_FOUND,
            "{address}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn z_050_a_025_capabilities_name_the_kind_of_node() {
    let broker = broker().await;
    let session = session(&broker).await;
    let source = Source {
        capabilities: vec![Symbol::from_static("topic")],
        ..Source::new("prices")
    };
    let options = ReceiverOptions::default().source(source);
    let receiver = receiver_with(&session, "", options).await;
    let offered = receiver
        .remote_attach()
        .source
        .clone()
        .unwrap()
        .capabilities;
    assert!(
        offered.contains(&Symbol::from_static("topic")),
        "{offered:?}"
    );
    publish(&session, "topic/prices", "1").await;
    assert_eq!(taken(&receiver).await, "1");
}

#[tokio::test(start_paused = true)]
async fn nodes_created_on_use_go_when_nobody_needs_them() {
    let broker = broker().await;
    let session = session(&broker).await;
    let sender = sender(&session, "orders").await;
    assert_eq!(broker.depth("orders"), Some(0));
    assert!(sender.send("a").await.unwrap().is_accepted());
    sender.close().await.unwrap();
    assert_eq!(broker.depth("orders"), Some(1));
    let receiver = receiver(&session, "orders").await;
    next(&receiver).await.accept().unwrap();
    receiver.close().await.unwrap();
    settle_down().await;
    assert_eq!(broker.depth("orders"), None);
}

#[tokio::test(start_paused = true)]
async fn a_003_a_004_a_005_z_036_a_dynamic_node_has_an_address_and_takes_replies() {
    let broker = broker().await;
    let connection = connect(&broker, "my-container").await;
    let session = connection.begin(SessionOptions::default()).await.unwrap();
    let options = ReceiverOptions::default()
        .source(dynamic(LifetimePolicy::DeleteOnNoLinks))
        .name("my-link");
    let replies = receiver_with(&session, "", options).await;
    let answered = replies.remote_attach().source.clone().unwrap();
    assert!(answered.dynamic);
    let address = answered.address.unwrap();
    assert!(
        address.contains("my-container") && address.contains("my-link"),
        "{address}"
    );
    let properties = &answered.dynamic_node_properties;
    let policy = LifetimePolicy::from_value(properties.get("lifetime-policy").unwrap());
    assert_eq!(policy, Some(LifetimePolicy::DeleteOnNoLinks));
    assert!(properties.contains_key("supported-dist-modes"));
    let other = super::session(&broker).await;
    publish(&other, &address, "reply").await;
    assert_eq!(taken(&replies).await, "reply");
}

#[tokio::test(start_paused = true)]
async fn a_003_a_dynamic_target_too() {
    let broker = broker().await;
    let session = session(&broker).await;
    let target = Target {
        dynamic: true,
        ..Target::default()
    };
    let options = SenderOptions::default().target(target);
    let sender = session.attach_sender("", options).await.unwrap();
    let address = sender.address().unwrap();
    assert!(sender.send("a").await.unwrap().is_accepted());
    assert_eq!(taken(&receiver(&session, address).await).await, "a");
}

#[tokio::test(start_paused = true)]
async fn a_006_a_policy_that_is_none_is_refused() {
    let broker = broker().await;
    let session = session(&broker).await;
    let unknown = Value::from(Described {
        descriptor: Value::Ulong(0x2f),
        value: Value::List(Vec::new()),
    });
    for policy in [unknown, Value::from(1)] {
        let options = ReceiverOptions::default().source(dynamic(policy));
        let attached = session.attach_receiver("", options).await;
        assert_eq!(condition_of(attached), condition::INVALID_FIELD);
    }
}

#[tokio::test(start_paused = true)]
async fn a_007_delete_on_close_outlives_a_detach_but_not_the_close() {
    let broker = broker().await;
    let first = session(&broker).await;
    let (receiver, address) = create(&first, LifetimePolicy::DeleteOnClose).await;
    receiver.detach().await.unwrap();
    settle_down().await;
    assert_eq!(broker.depth(&address), Some(0));

    let (receiver, address) = create(&first, LifetimePolicy::DeleteOnClose).await;
    let sender = sender(&session(&broker).await, &address).await;
    assert!(sender.send("a").await.unwrap().is_accepted());
    receiver.close().await.unwrap();
    settle_down().await;
    assert_eq!(broker.depth(&address), None);
    let error = sender.detached().await;
    let remote = error.remote_error().unwrap();
    assert_eq!(remote.condition, condition::RESOURCE_DELETED);
}

#[tokio::test(start_paused = true)]
async fn a_007_what_a_sender_created_goes_with_its_session() {
    let broker = broker().await;
    let session = session(&broker).await;
    let target = Target::dynamic(LifetimePolicy::DeleteOnClose);
    let options = SenderOptions::default().target(target);
    let sender = session.attach_sender("", options).await.unwrap();
    let address = sender.address().unwrap().to_string();
    sender.detach().await.unwrap();
    settle_down().await;
    assert_eq!(broker.depth(&address), Some(0));
    session.end().await.unwrap();
    settle_down().await;
    assert_eq!(broker.depth(&address), None);
}

#[tokio::test(start_paused = true)]
async fn a_007_the_end_of_the_connection_closes() {
    let broker = broker().await;
    let session = session(&broker).await;
    let (receiver, address) = create(&session, LifetimePolicy::DeleteOnClose).await;
    receiver.detach().await.unwrap();
    session.connection().close().await.unwrap();
    settle_down().await;
    assert_eq!(broker.depth(&address), None);
}

#[tokio::test(start_paused = true)]
async fn a_008_delete_on_no_links() {
    let broker = broker().await;
    let session = session(&broker).await;
    let (receiver, address) = create(&session, LifetimePolicy::DeleteOnNoLinks).await;
    let sender = sender(&session, &address).await;
    receiver.close().await.unwrap();
    assert!(sender.send("a").await.unwrap().is_accepted());
    settle_down().await;
    assert_eq!(broker.depth(&address), Some(1));
    sender.close().await.unwrap();
    settle_down().await;
    assert_eq!(broker.depth(&address), None);
}

#[tokio::test(start_paused = true)]
async fn a_009_delete_on_no_messages() {
    let broker = broker().await;
    let session = session(&broker).await;
    let (creator, address) = create(&session, LifetimePolicy::DeleteOnNoMessages).await;
    publish(&session, &address, "a").await;
    next(&creator).await.release().unwrap();
    creator.close().await.unwrap();
    settle_down().await;
    assert_eq!(broker.depth(&address), Some(1));
    let receiver = receiver(&session, &address).await;
    next(&receiver).await.accept().unwrap();
    settle_down().await;
    assert_eq!(broker.depth(&address), None);
}

#[tokio::test(start_paused = true)]
async fn a_010_delete_on_no_links_or_messages() {
    let broker = broker().await;
    let session = session(&broker).await;
    let policy = LifetimePolicy::DeleteOnNoLinksOrMessages;
    let (creator, address) = create(&session, policy).await;
    let sender = sender(&session, &address).await;
    creator.close().await.unwrap();
    settle_down().await;
    assert_eq!(broker.depth(&address), Some(0)); // a link is there
    assert!(sender.send("a").await.unwrap().is_accepted());
    sender.close().await.unwrap();
    settle_down().await;
    assert_eq!(broker.depth(&address), Some(1)); // a message is there
    let receiver = receiver(&session, &address).await;
    next(&receiver).await.accept().unwrap();
    receiver.close().await.unwrap();
    settle_down().await;
    assert_eq!(broker.depth(&address), None);
}

fn to(address: &str) -> Message {
    Message::from("a").with_properties(Properties {
        to: Some(address.into()),
        ..Properties::default()
    })
}

#[tokio::test(start_paused = true)]
async fn z_010_z_011_z_012_the_anonymous_terminus_goes_where_the_message_says() {
    let broker = broker().await;
    let session = session(&broker).await;
    let offered = session
        .connection()
        .remote_open()
        .offered_capabilities
        .clone();
    assert!(offered.contains(&Symbol::from_static("ANONYMOUS-RELAY")));
    let anywhere = sender(&session, "").await;
    let prices = receiver(&session, "topic/prices").await;
    assert!(anywhere.send(to("orders")).await.unwrap().is_accepted());
    assert!(
        anywhere
            .send(to("topic/prices"))
            .await
            .unwrap()
            .is_accepted()
    );
    assert_eq!(taken(&receiver(&session, "orders").await).await, "a");
    assert_eq!(taken(&prices).await, "a");
}

#[tokio::test(start_paused = true)]
async fn z_013_z_014_what_has_no_way_is_rejected_or_ends_the_link() {
    let broker = broker().await;
    let session = session(&broker).await;
    let anywhere = sender(&session, "").await;
    let cases = [
        (to("no-such"), condition::NOT_FOUND),
        (Message::from("a"), condition::PRECONDITION_FAILED),
    ];
    for (message, expected) in cases {
        match anywhere.send(message).await.unwrap() {
            Outcome::Rejected(rejected) => {
                assert_eq!(rejected.error.unwrap().condition, expected);
            }
            other => panic!("{other:?}"),
        }
    }
    anywhere.send_settled(to("no-such")).await.unwrap();
    let error = anywhere.detached().await;
    let remote = error.remote_error().unwrap();
    assert_eq!(remote.condition, condition::NOT_FOUND);
    assert!(
        remote
            .info
            .get("delivery-tag")
            .unwrap()
            .as_binary()
            .is_some()
    );
}
