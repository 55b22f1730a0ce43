//! How much a producer has under way at once.

use std::collections::VecDeque;

use amqp10::Delivery;
use amqp10::codec::{AmqpError, Symbol, condition};
use amqp10::eventhubs::{ErrorKind, EventHubsError};
use tokio::task::JoinHandle;

use super::script::{Scripted, arrives, nothing_arrives};
use super::*;

type Send = JoinHandle<Result<(), EventHubsError>>;

/// A producer, and sends of one event each that begin in this order.
async fn sends(
    service: &Scripted,
    options: ProducerOptions,
    events: &[&'static str],
) -> (Producer, VecDeque<Send>) {
    let client = service.client(RetryPolicy::never()).await;
    let producer = client.producer(options);
    let mut sends = VecDeque::new();
    for event in events.iter().copied() {
        let sender = producer.clone();
        sends.push_back(tokio::spawn(
            async move { sender.send_to(to("0"), event).await },
        ));
        tokio::task::yield_now().await;
    }
    (producer, sends)
}

fn body(delivery: &Delivery) -> String {
    let message = delivery.message().unwrap();
    String::from_utf8(message.body.as_data().unwrap().to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn no_more_sends_than_allowed_are_under_way_and_they_go_in_turn() {
    let mut service = Scripted::new();
    let options = ProducerOptions::default().max_in_flight(2);
    let (_producer, sends) = sends(&service, options, &["0", "1", "2", "3", "4"]).await;
    let publisher = service.publisher().await;
    let mut under_way = VecDeque::from([arrives(&publisher).await, arrives(&publisher).await]);
    for number in 0..5 {
        nothing_arrives(&publisher).await;
        let delivery = under_way.pop_front().unwrap();
        assert_eq!(body(&delivery), number.to_string());
        delivery.accept().unwrap();
        if number < 3 {
            under_way.push_back(arrives(&publisher).await);
        }
    }
    for send in sends {
        soon(send).await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn octets_count_and_what_is_too_large_goes_alone() {
    let mut service = Scripted::new();
    let options = ProducerOptions::default().max_in_flight_bytes(40);
    let large = "this is larger than all that may be under way at once";
    let (_producer, sends) = sends(&service, options, &["a", "b", large, "c"]).await;
    let publisher = service.publisher().await;
    let (first, second) = (arrives(&publisher).await, arrives(&publisher).await);
    assert_eq!((body(&first), body(&second)), ("a".into(), "b".into()));
    first.accept().unwrap();
    nothing_arrives(&publisher).await;
    second.accept().unwrap();
    let alone = arrives(&publisher).await;
    assert_eq!(body(&alone), large);
    nothing_arrives(&publisher).await;
    alone.accept().unwrap();
    let last = arrives(&publisher).await;
    assert_eq!(body(&last), "c");
    last.accept().unwrap();
    for send in sends {
        soon(send).await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_given_up_while_it_waits_was_never_sent() {
    let mut service = Scripted::new();
    let options = ProducerOptions::default().max_in_flight(1);
    let (_producer, mut sends) = sends(&service, options, &["0", "given up", "2"]).await;
    let publisher = service.publisher().await;
    let first = arrives(&publisher).await;
    sends.remove(1).unwrap().abort();
    first.accept().unwrap();
    let next = arrives(&publisher).await;
    assert_eq!(body(&next), "2");
    next.accept().unwrap();
    for send in sends {
        soon(send).await.unwrap().unwrap();
    }
}

/// Each link has its own room: one that is stuck does not hold up the others.
#[tokio::test(start_paused = true)]
async fn partitions_do_not_wait_for_each_other() {
    let mut service = Scripted::new();
    let options = ProducerOptions::default().max_in_flight(1);
    let (producer, sends) = sends(&service, options, &["stuck"]).await;
    let stuck = service.publisher().await;
    let delivery = arrives(&stuck).await;
    let other = tokio::spawn(async move { producer.send_to(to("1"), "x").await });
    let publisher = service.publisher().await;
    arrives(&publisher).await.accept().unwrap();
    soon(other).await.unwrap().unwrap();
    delivery.accept().unwrap();
    for send in sends {
        soon(send).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn order_is_kept_within_the_limits() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let options = ProducerOptions::default().max_in_flight(3);
    let producer = client.producer(options);
    producer.send_to(to("2"), "0").await.unwrap();
    let sends: Vec<_> = (1..300)
        .map(|number| {
            let producer = producer.clone();
            tokio::spawn(async move { producer.send_to(to("2"), number.to_string()).await })
        })
        .collect();
    for send in sends {
        soon(send).await.unwrap().unwrap();
    }
    let mut consumer = from_start(&client, "2").await;
    for number in 0..300 {
        assert_eq!(text(&next(&mut consumer).await), number.to_string());
    }
}

/// The first try may have stored the event, so that the second one's failure does not say that it is not stored.
#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_stays_unknown_whatever_the_next_try_says() {
    let mut service = Scripted::new();
    let retry = RetryPolicy::default().max_retries(1);
    let client = service.client(retry).await;
    let producer = client.producer(ProducerOptions::default().retry_unknown(true));
    let script = async {
        let publisher = service.publisher().await;
        let _delivery = arrives(&publisher).await;
        publisher.close().await.unwrap();
        let refused = AmqpError::new(condition::NOT_ALLOWED, "no more");
        service.link().await.refuse(refused);
    };
    let (sent, ()) = tokio::join!(soon(producer.send_to(to("0"), "x")), script);
    let error = sent.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    assert_eq!(error.condition(), Some("amqp:not-allowed"));
}

/// The service gave up on them, and nothing says how far it had come.
#[tokio::test(start_paused = true)]
async fn events_that_the_service_gave_up_on_may_be_stored() {
    for condition in [
        "com.microsoft:timeout",
        "com.microsoft:operation-cancelled",
        "amqp:internal-error",
    ] {
        let mut service = Scripted::new();
        let (_producer, mut sends) = sends(&service, ProducerOptions::default(), &["x"]).await;
        let publisher = service.publisher().await;
        let gave_up = AmqpError::new(Symbol::from_static(condition), "gave up");
        arrives(&publisher).await.reject(Some(gave_up)).unwrap();
        let error = soon(sends.remove(0).unwrap()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
        assert_eq!(error.condition(), Some(condition));
        assert!(!error.is_retryable());
    }
}

#[tokio::test(start_paused = true)]
async fn sends_that_wait_for_a_link_share_its_failure() {
    let mut service = Scripted::new();
    let options = ProducerOptions::default();
    let (_producer, sends) = sends(&service, options, &["0", "1", "2", "3"]).await;
    let _unanswered = service.link().await;
    let began = tokio::time::Instant::now();
    for send in sends {
        soon(send).await.unwrap().unwrap_err();
    }
    assert!(began.elapsed() < Duration::from_secs(15), "one time-out");
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_not_polled_holds_up_nobody() {
    let mut service = Scripted::new();
    let client = service.client(RetryPolicy::never()).await;
    let producer = producer(&client);
    let mut kept = Box::pin(producer.send_to(to("0"), "kept"));
    let moment = tokio::time::timeout(Duration::from_millis(1), &mut kept).await;
    assert!(moment.is_err());
    let script = async {
        let publisher = service.publisher().await;
        for expected in ["next", "kept"] {
            let delivery = arrives(&publisher).await;
            assert_eq!(body(&delivery), expected);
            delivery.accept().unwrap();
        }
    };
    let sends = async {
        soon(producer.send_to(to("0"), "next")).await.unwrap();
        soon(kept).await.unwrap();
    };
    tokio::join!(script, sends);
}
