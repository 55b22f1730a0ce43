//! Events that are stored once however often they are sent.

use amqp10::codec::{AmqpError, Attach, Body, Fields, Message, Symbol, Value};
use amqp10::eventhubs::{
    BatchOptions, ErrorKind, IdempotentOptions, IdempotentProducer, PartitionPublishingState,
};
use amqp10::{AcceptLinkOptions, Receiver};

use super::script::{IDEMPOTENT, Scripted, arrives};
use super::*;

const ID: Symbol = Symbol::from_static("com.microsoft:producer-id");
const EPOCH: Symbol = Symbol::from_static("com.microsoft:producer-epoch");
const SEQUENCE: Symbol = Symbol::from_static("com.microsoft:producer-sequence-number");

async fn idempotent(client: &Client, options: IdempotentOptions) -> IdempotentProducer {
    soon(client.idempotent_producer("0", options))
        .await
        .unwrap()
}

fn resume(id: i64, epoch: i16, last: i32) -> IdempotentOptions {
    IdempotentOptions::default().resume(PartitionPublishingState::new(id, epoch, last))
}

async fn publish(producer: &mut IdempotentProducer, texts: &[&str]) {
    let mut batch = producer.create_batch(None).await.unwrap();
    for text in texts {
        batch.try_add(*text).unwrap();
    }
    soon(producer.send_batch(batch)).await.unwrap();
}

/// All that partition 0 holds, with the numbers of its producers.
async fn stored(client: &Client) -> Vec<(String, i32)> {
    let mut consumer = from_start(client, "0").await;
    let wait = Duration::from_millis(500);
    let events = consumer.recv_batch(100_000, wait).await.unwrap();
    let number = |event: &ReceivedEvent| match event.annotations()?.get(&SEQUENCE)? {
        Value::Int(number) => Some(*number),
        other => panic!("{other:?} is no int"),
    };
    events
        .iter()
        .map(|event| (text(event).to_owned(), number(event).unwrap()))
        .collect()
}

fn expected(texts: &[(&str, i32)]) -> Vec<(String, i32)> {
    let owned = texts
        .iter()
        .map(|(text, number)| (text.to_string(), *number));
    owned.collect()
}

#[tokio::test]
async fn events_are_numbered_from_what_the_service_assigned() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let mut producer = idempotent(&client, IdempotentOptions::default()).await;
    let begin = producer.state();
    assert_eq!(begin.last_sequence, 0);
    publish(&mut producer, &["a", "b"]).await;
    soon(producer.send("c")).await.unwrap();
    publish(&mut producer, &[]).await;
    assert_eq!(producer.state().last_sequence, 3);
    assert_eq!(producer.state().producer_id, begin.producer_id);
    assert!(!producer.is_unsettled());
    let all = expected(&[("a", 1), ("b", 2), ("c", 3)]);
    assert_eq!(stored(&client).await, all);
    // Another producer is somebody else.
    let other = idempotent(&client, IdempotentOptions::default()).await;
    assert_ne!(other.state().producer_id, begin.producer_id);
}

/// A program ended after it had sent events and before it had saved that: it sends them again.
#[tokio::test]
async fn a_producer_goes_on_from_a_saved_state_and_repeats_are_stored_once() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let mut producer = idempotent(&client, IdempotentOptions::default()).await;
    publish(&mut producer, &["a", "b"]).await;
    let saved = producer.state();
    publish(&mut producer, &["c", "d"]).await;
    drop(producer);
    let mut resumed = idempotent(&client, IdempotentOptions::default().resume(saved)).await;
    assert_eq!(resumed.state(), saved);
    publish(&mut resumed, &["c", "d"]).await;
    publish(&mut resumed, &["e"]).await;
    let all = expected(&[("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)]);
    assert_eq!(stored(&client).await, all);
}

#[tokio::test]
async fn the_number_after_the_greatest_is_zero() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let mut producer = idempotent(&client, resume(77, 0, i32::MAX - 2)).await;
    publish(&mut producer, &["a", "b", "c"]).await;
    publish(&mut producer, &["d"]).await;
    assert_eq!(producer.state().last_sequence, 1);
    let last = i32::MAX;
    let all = expected(&[("a", last - 1), ("b", last), ("c", 0), ("d", 1)]);
    assert_eq!(stored(&client).await, all);
}

#[tokio::test]
async fn a_newer_epoch_ends_the_older_producer() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let mut old = idempotent(&client, IdempotentOptions::default()).await;
    publish(&mut old, &["a"]).await;
    let state = old.state();
    let newer = resume(state.producer_id, state.epoch + 1, state.last_sequence);
    let mut new = idempotent(&client, newer).await;
    publish(&mut new, &["b"]).await;
    let error = soon(old.send("lost")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OwnershipLost, "{error}");
    assert_eq!(
        error.condition(),
        Some("com.microsoft:producer-epoch-stolen")
    );
    // It has ended for good.
    assert_eq!(
        soon(old.send("lost")).await.unwrap_err().kind(),
        ErrorKind::OwnershipLost
    );
    let error = old.create_batch(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OwnershipLost);
    let error = soon(client.idempotent_producer("0", resume(state.producer_id, state.epoch, 1)));
    assert_eq!(error.await.unwrap_err().kind(), ErrorKind::OwnershipLost);
    publish(&mut new, &["c"]).await;
    assert_eq!(stored(&client).await.len(), 3);
}

#[tokio::test]
async fn batches_are_for_the_producer_that_made_them() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let plain = producer(&client);
    let mut numbered = idempotent(&client, IdempotentOptions::default()).await;
    let mut elsewhere = client
        .idempotent_producer("1", IdempotentOptions::default())
        .await
        .unwrap();
    let batch = plain.create_batch(BatchOptions::partition("0")).await;
    let error = numbered.send_batch(batch.unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let batch = elsewhere.create_batch(None).await.unwrap();
    let error = numbered.send_batch(batch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let batch = numbered.create_batch(Some(100)).await.unwrap();
    assert_eq!(batch.max_size_in_bytes(), 100);
    let error = plain.send_batch(batch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let error = numbered.send(vec![7; 2 << 20]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    soon(numbered.send("unharmed")).await.unwrap();
}

#[tokio::test]
async fn each_event_is_stored_once_while_connections_are_cut() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let mut producer = idempotent(&client, IdempotentOptions::default()).await;
    let cutting = {
        let emulator = emulator.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(7)).await;
                emulator.close_connections();
            }
        })
    };
    for round in 0..200 {
        let mut batch = soon(producer.create_batch(None)).await.unwrap();
        for number in 0..10 {
            batch.try_add((10 * round + number).to_string()).unwrap();
        }
        let mut sent = soon(producer.send_batch(batch)).await;
        while let Err(error) = sent {
            assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
            sent = soon(producer.settle()).await;
        }
    }
    cutting.abort();
    let found = stored(&client).await;
    let numbers: Vec<_> = (0..2000).map(|n| (n.to_string(), n + 1)).collect();
    assert_eq!(found, numbers);
}

/// The service of a script, which takes the producer for 7 in epoch 2.
fn serving(last: i32) -> AcceptLinkOptions {
    AcceptLinkOptions::default()
        .offered_capabilities([IDEMPOTENT])
        .properties(
            Fields::new()
                .with(ID, 7_i64)
                .with(EPOCH, 2_i16)
                .with(SEQUENCE, last),
        )
}

fn claimed(attach: &Attach) -> [Value; 3] {
    assert!(attach.desired_capabilities.contains(&IDEMPOTENT));
    [ID, EPOCH, SEQUENCE].map(|key| attach.properties.get(&key).unwrap().clone())
}

fn numbers(payload: bytes::Bytes) -> Vec<Value> {
    let sections = match Message::decode(payload).unwrap().body {
        Body::Data(section) => vec![section],
        Body::DataSections(sections) => sections,
        other => panic!("{other:?}"),
    };
    let number = |section| {
        let annotations = Message::decode(section)
            .unwrap()
            .message_annotations
            .unwrap();
        assert_eq!(annotations.get(&ID), Some(&Value::Long(7)));
        assert_eq!(annotations.get(&EPOCH), Some(&Value::Short(2)));
        annotations.get(&SEQUENCE).unwrap().clone()
    };
    sections.into_iter().map(number).collect()
}

fn forced() -> AmqpError {
    AmqpError::new(amqp10::codec::condition::DETACH_FORCED, "maintenance")
}

/// A producer that the script lets in, and what it says in its attach.
async fn opened(
    service: &mut Scripted,
    retry: RetryPolicy,
    options: IdempotentOptions,
) -> (IdempotentProducer, Attach, Receiver) {
    let client = service.client(retry).await;
    let last = options.resume.map_or(40, |state| state.last_sequence);
    let (producer, (attach, publisher)) = tokio::join!(
        soon(client.idempotent_producer("0", options)),
        service.publisher_as(serving(last)),
    );
    (producer.unwrap(), attach, publisher)
}

/// The outcome is lost with the link: the same octets come again, on a link that goes on in the same name.
#[tokio::test(start_paused = true)]
async fn what_is_unknown_is_repeated_under_the_same_numbers() {
    let mut service = Scripted::new();
    let options = IdempotentOptions::default();
    let (mut producer, attach, publisher) =
        opened(&mut service, RetryPolicy::default(), options).await;
    assert_eq!(claimed(&attach), [Value::Null, Value::Null, Value::Null]);
    assert_eq!(producer.state(), PartitionPublishingState::new(7, 2, 40));
    let script = async {
        let first = arrives(&publisher).await.payload().clone();
        assert_eq!(numbers(first.clone()), [Value::Int(41), Value::Int(42)]);
        publisher.close_with_error(forced()).await.unwrap();
        // The service says the number that it has by now.
        let (attach, publisher) = service.publisher_as(serving(42)).await;
        let given = [Value::Long(7), Value::Short(2), Value::Int(40)];
        assert_eq!(claimed(&attach), given);
        let again = arrives(&publisher).await;
        assert_eq!(*again.payload(), first);
        again.accept().unwrap();
    };
    tokio::join!(publish(&mut producer, &["a", "b"]), script);
    assert_eq!(producer.state().last_sequence, 42);
}

/// Out of tries, the producer keeps the events and repeats them before anything else.
#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_settled_before_the_next_send() {
    let mut service = Scripted::new();
    let options = resume(7, 2, 10);
    let (mut producer, _, publisher) = opened(&mut service, RetryPolicy::never(), options).await;
    let script = async {
        let first = arrives(&publisher).await.payload().clone();
        publisher.close_with_error(forced()).await.unwrap();
        first
    };
    let (sent, first) = tokio::join!(soon(producer.send("a")), script);
    assert_eq!(sent.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert!(producer.is_unsettled());
    assert_eq!(producer.state().last_sequence, 10);

    // The repeat fails once more: the next event is not sent, which is certain.
    let script = async {
        let (_, publisher) = service.publisher_as(serving(10)).await;
        assert_eq!(*arrives(&publisher).await.payload(), first);
        publisher.close_with_error(forced()).await.unwrap();
    };
    let (sent, ()) = tokio::join!(soon(producer.send("not sent")), script);
    let error = sent.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(producer.is_unsettled());

    let script = async {
        let (_, publisher) = service.publisher_as(serving(10)).await;
        let repeat = arrives(&publisher).await;
        assert_eq!(*repeat.payload(), first);
        repeat.accept().unwrap();
        let next = arrives(&publisher).await;
        assert_eq!(numbers(next.payload().clone()), [Value::Int(12)]);
        next.accept().unwrap();
    };
    let (sent, ()) = tokio::join!(soon(producer.send("c")), script);
    sent.unwrap();
    assert_eq!(producer.state().last_sequence, 12);
    assert!(!producer.is_unsettled());
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_the_numbers_ends_the_producer() {
    let mut service = Scripted::new();
    let options = resume(7, 2, 10);
    let (mut producer, _, publisher) = opened(&mut service, RetryPolicy::default(), options).await;
    let script = async {
        let out_of_order = Symbol::from_static("com.microsoft:out-of-order-sequence");
        let error = AmqpError::new(out_of_order, "expected 8");
        arrives(&publisher).await.reject(Some(error)).unwrap();
    };
    let (sent, ()) = tokio::join!(soon(producer.send("x")), script);
    for error in [sent.unwrap_err(), producer.send("y").await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::OutOfOrder, "{error}");
        assert!(!error.is_retryable());
        assert_eq!(error.description(), Some("expected 8"));
    }
    assert_eq!(producer.state().last_sequence, 10);
    assert!(!producer.is_unsettled());
}

/// Dropped before anything was sent, a send leaves nothing; dropped later, its events come first.
#[tokio::test(start_paused = true)]
async fn a_send_that_is_dropped_leaves_no_gap() {
    let mut service = Scripted::new();
    let options = resume(7, 2, 0);
    let (mut producer, _, publisher) = opened(&mut service, RetryPolicy::default(), options).await;
    let second = Duration::from_secs(1);
    let given_up = tokio::time::timeout(second, producer.send("a")).await;
    assert!(given_up.is_err());
    assert!(producer.is_unsettled(), "it was sent");
    let script = async {
        let first = arrives(&publisher).await;
        let repeat = arrives(&publisher).await;
        assert_eq!(repeat.payload(), first.payload());
        repeat.accept().unwrap();
        let next = arrives(&publisher).await;
        assert_eq!(numbers(next.payload().clone()), [Value::Int(2)]);
        next.accept().unwrap();
    };
    let (sent, ()) = tokio::join!(soon(producer.send("b")), script);
    sent.unwrap();

    // Without a link nothing is sent.
    publisher.close_with_error(forced()).await.unwrap();
    let given_up = tokio::time::timeout(second, producer.send("c")).await;
    assert!(given_up.is_err());
    assert!(!producer.is_unsettled());
    let script = async {
        drop(service.link().await);
        let (attach, publisher) = service.publisher_as(serving(2)).await;
        assert_eq!(claimed(&attach)[2], Value::Int(2));
        let next = arrives(&publisher).await;
        assert_eq!(numbers(next.payload().clone()), [Value::Int(3)]);
        next.accept().unwrap();
    };
    let (sent, ()) = tokio::join!(soon(producer.send("d")), script);
    sent.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_offer_it_is_told_at_once() {
    let mut service = Scripted::new();
    let client = service.client(RetryPolicy::default()).await;
    let (opened, _publisher) = tokio::join!(
        soon(client.idempotent_producer("0", IdempotentOptions::default())),
        service.publisher(),
    );
    let error = opened.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(!error.is_retryable());
}
