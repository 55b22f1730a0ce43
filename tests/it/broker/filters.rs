//! Filters of a source.

use amqp10::codec::{
    ApplicationProperties, Described, FilterSet, Header, Map, Message, Properties, Source, Value,
};
use amqp10::filter::{Filter, HeadersMatch};
use amqp10::{Symbol, condition};

use super::*;

const SELECTOR: u64 = 0x0000_468C_0000_0004;
const NO_LOCAL: u64 = 0x0000_468C_0000_0003;
const DIRECT: u64 = 0x0000_468C_0000_0000;
const TOPIC: u64 = 0x0000_468C_0000_0001;

fn filter(descriptor: impl Into<Value>, value: impl Into<Value>) -> FilterSet {
    let described = Described {
        descriptor: descriptor.into(),
        value: value.into(),
    };
    FilterSet::new().with(Symbol::from_static("my-filter"), described)
}

fn filtered(filter: FilterSet) -> ReceiverOptions {
    ReceiverOptions::default().filter(filter)
}

fn coloured(colour: &str) -> Message {
    let mut message = Message::from(colour);
    let colour = ApplicationProperties::default().with("colour", colour);
    message.application_properties = Some(colour);
    message
}

#[tokio::test(start_paused = true)]
async fn z_075_z_070_a_018_a_selector_by_number_and_by_symbol() {
    let broker = broker().await;
    let session = session(&broker).await;
    let sender = sender(&session, "orders").await;
    for colour in ["red", "blue", "green"] {
        assert!(sender.send(coloured(colour)).await.unwrap().is_accepted());
    }
    let by_number = filtered(filter(SELECTOR, "colour = 'blue'"));
    let blue = receiver_with(&session, "orders", by_number).await;
    assert_eq!(taken(&blue).await, "blue");
    expect_nothing(&blue).await;
    let name = Symbol::from_static("apache.org:selector-filter:string");
    let by_symbol = filtered(filter(name, "colour LIKE 'g%'"));
    let green = receiver_with(&session, "orders", by_symbol).await;
    assert_eq!(taken(&green).await, "green");
    // What comes later is looked at, too.
    assert!(sender.send(coloured("blue")).await.unwrap().is_accepted());
    assert_eq!(taken(&blue).await, "blue");
    let rest = receiver(&session, "orders").await;
    assert_eq!(taken(&rest).await, "red");
}

#[tokio::test(start_paused = true)]
async fn z_075_header_and_properties_have_names() {
    let broker = broker().await;
    let session = session(&broker).await;
    let selector = "amqp.priority > 5 AND amqp.subject = 'x' AND amqp.message_id = 'one' \
                    AND JMSDeliveryMode = 'NON_PERSISTENT' AND amqp.ttl IS NULL";
    let selected = receiver_with(&session, "orders", filtered(filter(SELECTOR, selector))).await;
    let sender = sender(&session, "orders").await;
    for priority in [5, 6] {
        let message = Message::from(priority.to_string())
            .with_header(Header {
                priority,
                ..Header::default()
            })
            .with_properties(Properties {
                subject: Some("x".into()),
                message_id: Some("one".into()),
                ..Properties::default()
            });
        assert!(sender.send(message).await.unwrap().is_accepted());
    }
    assert_eq!(taken(&selected).await, "6");
    expect_nothing(&selected).await;
}

#[tokio::test(start_paused = true)]
async fn z_074_no_local_leaves_out_what_the_same_connection_sent() {
    let broker = broker().await;
    let here = session(&broker).await;
    let options = filtered(filter(NO_LOCAL, Vec::<Value>::new()));
    let receiver = receiver_with(&here, "topic/chat", options).await;
    publish(&here, "topic/chat", "mine").await;
    let there = session(&broker).await;
    publish(&there, "topic/chat", "yours").await;
    assert_eq!(taken(&receiver).await, "yours");
}

#[tokio::test(start_paused = true)]
async fn z_071_z_072_legacy_bindings_look_at_the_subject() {
    let broker = broker().await;
    let session = session(&broker).await;
    let exact = filtered(filter(DIRECT, "a.b"));
    let exact = receiver_with(&session, "topic/t", exact).await;
    let pattern = filtered(filter(TOPIC, "a.*"));
    let pattern = receiver_with(&session, "topic/t", pattern).await;
    let sender = sender(&session, "topic/t").await;
    for subject in ["a.b", "a.c", "a.b.c"] {
        let message = Message::from(subject).with_properties(Properties {
            subject: Some(subject.into()),
            ..Properties::default()
        });
        assert!(sender.send(message).await.unwrap().is_accepted());
    }
    assert_eq!(taken(&exact).await, "a.b");
    expect_nothing(&exact).await;
    assert_eq!(taken(&pattern).await, "a.b");
    assert_eq!(taken(&pattern).await, "a.c");
    expect_nothing(&pattern).await;
}

#[tokio::test(start_paused = true)]
async fn z_073_a_headers_binding_looks_at_application_properties() {
    let broker = broker().await;
    let session = session(&broker).await;
    let wanted = [
        ("colour", Value::from("red")),
        ("size", Value::Null),
        ("x-other", Value::from(1)),
    ];
    let mut readers = Vec::new();
    for demand in [HeadersMatch::All, HeadersMatch::Any] {
        let filter = Filter::headers(demand, wanted.clone());
        let options = ReceiverOptions::default().filters([filter]);
        readers.push(receiver_with(&session, "topic/t", options).await);
    }
    let sender = sender(&session, "topic/t").await;
    for (text, properties) in [
        (
            "both",
            vec![("colour", Value::from("red")), ("size", Value::from(3))],
        ),
        ("colour", vec![("colour", Value::from("red"))]),
        (
            "size",
            vec![
                ("size", Value::from("any")),
                ("colour", Value::from("blue")),
            ],
        ),
        ("neither", vec![("colour", Value::from("blue"))]),
    ] {
        let mut message = Message::from(text);
        let properties = properties
            .into_iter()
            .fold(ApplicationProperties::default(), |known, (name, value)| {
                known.with(name, value)
            });
        message.application_properties = Some(properties);
        assert!(sender.send(message).await.unwrap().is_accepted());
    }
    let [all, any] = readers.try_into().unwrap();
    assert_eq!(taken(&all).await, "both");
    expect_nothing(&all).await;
    for expected in ["both", "colour", "size"] {
        assert_eq!(taken(&any).await, expected);
    }
    expect_nothing(&any).await;
}

#[tokio::test(start_paused = true)]
async fn z_073_a_headers_binding_that_is_none_is_refused() {
    const HEADERS: u64 = 0x0000_468C_0000_0002;
    let broker = broker().await;
    let session = session(&broker).await;
    let some: Map = [("x-match", "some")].into_iter().collect();
    for wrong in [Value::from("colour"), Value::Map(some)] {
        let options = filtered(filter(HEADERS, wrong));
        let error = session
            .attach_receiver("orders", options)
            .await
            .unwrap_err();
        let remote = error.remote_error().unwrap();
        assert_eq!(remote.condition, condition::INVALID_FIELD);
    }
}

#[tokio::test(start_paused = true)]
async fn a_020_the_answer_names_the_filters_in_force() {
    let broker = broker().await;
    let session = session(&broker).await;
    let unknown = Described {
        descriptor: Value::Symbol(Symbol::from_static("example:filter")),
        value: Value::from(1),
    };
    let asked = filter(SELECTOR, "a = 1")
        .with(Symbol::from_static("unknown"), unknown)
        .with(Symbol::from_static("none"), Value::Null);
    let source = Source {
        filter: asked,
        ..Source::new("orders")
    };
    let options = ReceiverOptions::default().source(source);
    let receiver = receiver_with(&session, "orders", options).await;
    let in_force = receiver.remote_attach().source.clone().unwrap().filter;
    assert_eq!(in_force, filter(SELECTOR, "a = 1"));
}

#[tokio::test(start_paused = true)]
async fn z_075_a_selector_that_is_none_is_refused_with_the_place() {
    let broker = broker().await;
    let session = session(&broker).await;
    for wrong in [Value::from("a = "), Value::from(1)] {
        let options = filtered(filter(SELECTOR, wrong));
        let attached = session.attach_receiver("orders", options).await;
        let error = attached.unwrap_err();
        let remote = error.remote_error().unwrap();
        assert_eq!(remote.condition, condition::INVALID_FIELD);
    }
}
