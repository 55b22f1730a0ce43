//! What becomes of messages.

use amqp10::codec::terminus::distribution_mode;
use amqp10::codec::{
    Annotations, Encode, Fields, Header, Message, Modified, Outcome, Sections, Source, Value,
    Writer,
};
use amqp10::{AmqpError, ReceiverOptions, SenderOptions, SenderSettleMode, Symbol, condition};

use super::*;

#[tokio::test(start_paused = true)]
async fn o_006_o_015_what_is_accepted_is_gone() {
    let broker = broker().await;
    let session = session(&broker).await;
    let sender = sender(&session, "orders").await;
    assert_eq!(sender.send("a").await.unwrap(), Outcome::Accepted);
    let receiver = receiver(&session, "orders").await;
    let delivery = next(&receiver).await;
    assert_eq!(text(&delivery), "a");
    assert_eq!(broker.depth("orders"), Some(1)); // acquired
    delivery.accept().unwrap();
    settle_down().await;
    assert_eq!(broker.depth("orders"), Some(0));
    expect_nothing(&receiver).await;
}

#[tokio::test(start_paused = true)]
async fn h_006_o_009_o_010_h_007_o_013_released_and_modified_come_back() {
    let broker = broker().await;
    let session = session(&broker).await;
    publish(&session, "orders", "a").await;
    let receiver = receiver(&session, "orders").await;
    let header = |delivery: &Delivery| delivery.message().unwrap().header.unwrap_or_default();

    let first = next(&receiver).await;
    let expected = Header {
        first_acquirer: true,
        ..Header::default()
    };
    assert_eq!(header(&first), expected);
    first.release().unwrap();

    let second = next(&receiver).await;
    assert_eq!(header(&second), Header::default());
    second.modify(Modified::default()).unwrap(); // O-013

    let third = next(&receiver).await;
    assert_eq!(header(&third).delivery_count, 0);
    third
        .modify(Modified {
            delivery_failed: true,
            ..Modified::default()
        })
        .unwrap();

    let fourth = next(&receiver).await;
    assert_eq!(header(&fourth).delivery_count, 1);
}

#[tokio::test(start_paused = true)]
async fn o_011_undeliverable_here_goes_elsewhere() {
    let broker = broker().await;
    let session = session(&broker).await;
    publish(&session, "orders", "a").await;
    let here = receiver(&session, "orders").await;
    next(&here)
        .await
        .modify(Modified {
            undeliverable_here: true,
            ..Modified::default()
        })
        .unwrap();
    expect_nothing(&here).await;
    let elsewhere = receiver(&session, "orders").await;
    assert_eq!(taken(&elsewhere).await, "a");
}

#[tokio::test(start_paused = true)]
async fn o_012_annotations_are_merged() {
    let broker = broker().await;
    let session = session(&broker).await;
    let symbol = Symbol::from_static;
    let mut message = Message::from("a");
    message.message_annotations = Some(
        Annotations::default()
            .with(symbol("x-kept"), 1)
            .with(symbol("x-changed"), 1),
    );
    message.footer = Some(Annotations::default().with(symbol("x-footer"), 1));
    publish(&session, "orders", message.clone()).await;
    let receiver = receiver(&session, "orders").await;
    let changes = Fields::new()
        .with(symbol("x-changed"), 2)
        .with(symbol("x-new"), 3);
    next(&receiver)
        .await
        .modify(Modified {
            message_annotations: changes,
            ..Modified::default()
        })
        .unwrap();
    let again = next(&receiver).await.message().unwrap();
    let annotations = again.message_annotations.unwrap();
    for (key, value) in [("x-kept", 1), ("x-changed", 2), ("x-new", 3)] {
        assert_eq!(annotations.get(key), Some(&Value::Int(value)), "{key}");
    }
    assert_eq!(again.footer, message.footer);
}

#[tokio::test(start_paused = true)]
async fn n_007_o_007_rejected_goes_to_the_dead_letters_with_the_reason() {
    let broker = broker().await;
    let session = session(&broker).await;
    publish(&session, "orders", "a").await;
    let receiver = receiver(&session, "orders").await;
    let error = AmqpError::new(condition::DECODE_ERROR, "what?");
    next(&receiver).await.reject(Some(error.clone())).unwrap();

    let letters = super::receiver(&session, "dead-letters").await;
    let letter = next(&letters).await;
    assert_eq!(text(&letter), "a");
    let message = letter.message().unwrap();
    assert_eq!(message.header.unwrap().delivery_count, 1);
    let annotations = message.delivery_annotations.unwrap();
    let rejected = annotations.get("rejected").unwrap().as_described().unwrap();
    assert_eq!(rejected.descriptor, Value::Ulong(0x1d));
    assert_eq!(
        rejected.value.as_list().unwrap()[0],
        Value::Symbol(error.condition)
    );
    letter.reject(None).unwrap(); // a second time it is gone
    settle_down().await;
    assert_eq!(broker.depth("dead-letters"), Some(0));
}

#[tokio::test(start_paused = true)]
async fn o_007_h_005_a_dead_letter_does_not_expire() {
    let broker = broker().await;
    let session = session(&broker).await;
    let header = Header {
        ttl: Some(1000),
        ..Header::default()
    };
    publish(&session, "orders", Message::from("a").with_header(header)).await;
    let receiver = receiver(&session, "orders").await;
    next(&receiver).await.reject(None).unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let letters = super::receiver(&session, "dead-letters").await;
    let letter = next(&letters).await;
    assert_eq!(letter.message().unwrap().header.unwrap().ttl, None);
}

#[tokio::test(start_paused = true)]
async fn o_007_what_has_expired_makes_room_for_a_dead_letter() {
    let broker = broker_with(BrokerOptions::default().max_queue_messages(1)).await;
    let session = session(&broker).await;
    let header = Header {
        ttl: Some(1000),
        ..Header::default()
    };
    publish(
        &session,
        "dead-letters",
        Message::from("old").with_header(header),
    )
    .await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    publish(&session, "orders", "a").await;
    let receiver = receiver(&session, "orders").await;
    next(&receiver).await.reject(None).unwrap();
    settle_down().await;
    let letters = super::receiver(&session, "dead-letters").await;
    assert_eq!(taken(&letters).await, "a");
}

#[tokio::test(start_paused = true)]
async fn o_012_annotations_that_are_added_are_counted() {
    let broker = broker_with(BrokerOptions::default().max_queue_bytes(50_000)).await;
    let session = session(&broker).await;
    let sender = sender(&session, "orders").await;
    assert!(sender.send("a").await.unwrap().is_accepted());
    let receiver = receiver(&session, "orders").await;
    for n in 0..100 {
        let key = Symbol::try_from(format!("x-{n}")).unwrap();
        let changes = Fields::new().with(key, "x".repeat(1000));
        next(&receiver)
            .await
            .modify(Modified {
                message_annotations: changes,
                ..Modified::default()
            })
            .unwrap();
    }
    let annotations = next(&receiver).await.message().unwrap().message_annotations;
    let kept = annotations.unwrap().len();
    assert!((10..50).contains(&kept), "{kept}");
    assert!(
        sender
            .send(Message::data(vec![0; 40_000]))
            .await
            .is_ok_and(|outcome| !outcome.is_accepted())
    );
}

#[tokio::test(start_paused = true)]
async fn o_016_what_is_unsettled_when_its_link_is_lost_comes_back() {
    let broker = broker().await;
    let session = session(&broker).await;
    publish(&session, "orders", "a").await;

    let (client, server) = amqp10::memory::pipe(1 << 16);
    let mut broker_end = broker.connect();
    let mut server = server;
    let cable = tokio::spawn(async move {
        tokio::io::copy_bidirectional(&mut server, &mut broker_end)
            .await
            .map(|_| ())
    });
    let lost = Connection::open_with_stream(client, ConnectionOptions::default())
        .await
        .unwrap();
    let lost = lost.begin(SessionOptions::default()).await.unwrap();
    let first = receiver(&lost, "orders").await;
    let delivery = next(&first).await;
    cable.abort();

    let second = receiver(&session, "orders").await;
    assert_eq!(taken(&second).await, "a");
    drop(delivery);
}

#[tokio::test(start_paused = true)]
async fn a_021_o_016_the_default_outcome_of_the_source_is_what_it_gets() {
    let broker = broker().await;
    let session = session(&broker).await;
    publish(&session, "orders", "a").await;
    let failed = Modified {
        delivery_failed: true,
        ..Modified::default()
    };
    let source = Source {
        default_outcome: Some(failed.into()),
        ..Source::new("orders")
    };
    let options = ReceiverOptions::default().source(source);
    let first = receiver_with(&session, "orders", options).await;
    let delivery = next(&first).await;
    first.close().await.unwrap();
    drop(delivery);
    let again = next(&receiver(&session, "orders").await).await;
    assert_eq!(again.message().unwrap().header.unwrap().delivery_count, 1);
}

#[tokio::test(start_paused = true)]
async fn o_017_consumers_compete() {
    let broker = broker().await;
    let session = session(&broker).await;
    let (first, second) = (
        receiver_with(&session, "orders", manual()).await,
        receiver_with(&session, "orders", manual()).await,
    );
    let sender = sender(&session, "orders").await;
    for n in 0..10 {
        assert!(sender.send(format!("{n}")).await.unwrap().is_accepted());
    }
    first.add_credit(5).unwrap();
    second.add_credit(5).unwrap();
    let mut seen = Vec::new();
    for receiver in [&first, &second] {
        for _ in 0..5 {
            let delivery = next(receiver).await;
            seen.push(text(&delivery));
            delivery.accept().unwrap();
        }
    }
    seen.sort();
    let expected: Vec<_> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn o_017_a_consumer_without_credit_holds_nothing_back() {
    let broker = broker().await;
    let session = session(&broker).await;
    let _idle = receiver_with(&session, "orders", manual()).await;
    let busy = receiver(&session, "orders").await;
    let sender = sender(&session, "orders").await;
    for n in 0..10 {
        assert!(sender.send(format!("{n}")).await.unwrap().is_accepted());
        assert_eq!(taken(&busy).await, n.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_014_a_015_a_016_a_017_browsing_changes_nothing_and_shows_each_once() {
    let broker = broker().await;
    let session = session(&broker).await;
    let sender = sender(&session, "orders").await;
    for n in 0..3 {
        assert!(sender.send(format!("{n}")).await.unwrap().is_accepted());
    }
    let source = Source {
        distribution_mode: Some(distribution_mode::COPY),
        ..Source::new("orders")
    };
    let browser = receiver_with(
        &session,
        "orders",
        ReceiverOptions::default().source(source),
    )
    .await;
    let answered = browser.remote_attach().source.clone().unwrap();
    assert_eq!(answered.distribution_mode, Some(distribution_mode::COPY));
    for n in 0..3 {
        let delivery = next(&browser).await;
        assert_eq!(text(&delivery), n.to_string());
        delivery.reject(None).unwrap(); // it is only a copy
    }
    expect_nothing(&browser).await;
    assert_eq!(broker.depth("orders"), Some(3));
    let mover = receiver(&session, "orders").await;
    assert_eq!(
        mover
            .remote_attach()
            .source
            .clone()
            .unwrap()
            .distribution_mode,
        Some(distribution_mode::MOVE)
    );
    assert_eq!(taken(&mover).await, "0");
}

/// What is for the next hop only stays behind; everything else comes as it went, octet by octet.
#[tokio::test(start_paused = true)]
async fn m_007_n_004_n_005_n_006_n_008_a_relayed_message_keeps_what_is_not_for_one_hop() {
    let symbol = Symbol::from_static;
    let annotations = |key, value: i32| Some(Annotations::default().with(symbol(key), value));
    let mut message = Message::from("a").with_header(Header {
        priority: 7,
        ..Header::default()
    });
    message.delivery_annotations = annotations("x-opt-one-hop", 1);
    // No key that an application should choose: it is passed on all the same (N-004).
    message.message_annotations = annotations("com.example:foreign", 2);
    message.footer = annotations("x-opt-hash", 3);
    let mut octets = bytes::BytesMut::new();
    message.encode(&mut Writer::new(&mut octets));
    let sent = Sections::scan(octets.freeze()).unwrap();

    let broker = broker().await;
    let session = session(&broker).await;
    publish(&session, "orders", message.clone()).await;
    let delivery = next(&receiver(&session, "orders").await).await;
    let sections = delivery.sections().unwrap();
    assert_eq!(sections.relayed(), sent.relayed());
    let came = delivery.message().unwrap();
    assert_eq!(came.header.unwrap().priority, 7);
    assert_eq!(came.delivery_annotations, None);
    assert_eq!(came.message_annotations, message.message_annotations);
    assert_eq!(came.footer, message.footer);
}

#[tokio::test(start_paused = true)]
async fn h_004_higher_priority_first() {
    let broker = broker().await;
    let session = session(&broker).await;
    let sender = sender(&session, "orders").await;
    for priority in [1, 9, 4] {
        let header = Header {
            priority,
            ..Header::default()
        };
        let message = Message::from(priority.to_string()).with_header(header);
        assert!(sender.send(message).await.unwrap().is_accepted());
    }
    let receiver = receiver(&session, "orders").await;
    for expected in ["9", "4", "1"] {
        assert_eq!(taken(&receiver).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn h_005_what_has_expired_is_not_delivered() {
    let broker = broker().await;
    let session = session(&broker).await;
    let sender = sender(&session, "orders").await;
    for (text, ttl) in [
        ("short", Some(1000)),
        ("long", Some(60_000)),
        ("ever", None),
    ] {
        let header = Header {
            ttl,
            ..Header::default()
        };
        let message = Message::from(text).with_header(header);
        assert!(sender.send(message).await.unwrap().is_accepted());
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let receiver = receiver(&session, "orders").await;
    let long = next(&receiver).await;
    assert_eq!(text(&long), "long");
    let left = long.message().unwrap().header.unwrap().ttl.unwrap();
    assert!((49_000..=50_000).contains(&left), "{left}");
    assert_eq!(taken(&receiver).await, "ever");
}

#[tokio::test(start_paused = true)]
async fn h_003_durable_messages_are_refused_if_that_is_wanted() {
    let durable = || {
        Message::from("a").with_header(Header {
            durable: true,
            ..Header::default()
        })
    };
    let lenient = broker().await;
    let session_ = session(&lenient).await;
    let accepted = sender(&session_, "orders").await.send(durable()).await;
    assert_eq!(accepted.unwrap(), Outcome::Accepted);

    let strict = broker_with(BrokerOptions::default().refuse_durable(true)).await;
    let session_ = session(&strict).await;
    match sender(&session_, "orders")
        .await
        .send(durable())
        .await
        .unwrap()
    {
        Outcome::Rejected(rejected) => {
            let error = rejected.error.unwrap();
            assert_eq!(error.condition, condition::PRECONDITION_FAILED);
        }
        other => panic!("{other:?}"),
    }
    // A source that does not allow the outcome loses the link instead.
    let source = Source {
        outcomes: vec![Symbol::from_static("amqp:accepted:list")],
        ..Source::default()
    };
    let mut options = SenderOptions::default();
    options.source = Some(source);
    let sender = session_.attach_sender("orders", options).await.unwrap();
    let error = sender.send(durable()).await.unwrap_err();
    let remote = error.remote_error().unwrap();
    assert_eq!(remote.condition, condition::PRECONDITION_FAILED);
}

#[tokio::test(start_paused = true)]
async fn d_016_settled_consumers_get_messages_once() {
    let broker = broker().await;
    let session = session(&broker).await;
    sender(&session, "orders")
        .await
        .send_settled("a")
        .await
        .unwrap();
    let options = ReceiverOptions::default().snd_settle_mode(SenderSettleMode::Settled);
    let receiver = receiver_with(&session, "orders", options).await;
    assert!(next(&receiver).await.is_settled());
    assert_eq!(broker.depth("orders"), Some(0));
}

#[tokio::test(start_paused = true)]
async fn k_013_a_drain_gets_everything_that_is_there() {
    let broker = broker().await;
    let session = session(&broker).await;
    let sender = sender(&session, "orders").await;
    for n in 0..5 {
        assert!(sender.send(format!("{n}")).await.unwrap().is_accepted());
    }
    for _ in 0..20 {
        let receiver = receiver_with(&session, "orders", manual()).await;
        receiver.add_credit(10).unwrap();
        receiver.drain().await.unwrap();
        for n in 0..5 {
            let delivery = receiver.try_recv().unwrap().expect("drained too early");
            assert_eq!(text(&delivery), n.to_string());
            delivery.release().unwrap();
        }
        assert!(receiver.try_recv().unwrap().is_none());
        receiver.close().await.unwrap();
    }
}
