//! Traces of events, from the producer to the consumer.

use amqp10::eventhubs::{
    BatchOptions, BufferedProducerOptions, Event, IdempotentOptions, TraceContext,
    TraceContextSource,
};

use super::*;

const OWN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Names each event that asks by a new span of one trace.
fn spans() -> TraceContextSource {
    let last = Mutex::new(0_u64);
    TraceContextSource::new(move || {
        let mut last = last.lock().unwrap();
        *last += 1;
        let context = TraceContext::new([7; 16], last.to_be_bytes(), true).unwrap();
        Some(context.with_state("test=1").unwrap())
    })
}

#[tokio::test]
async fn every_way_of_publishing_says_the_trace() {
    let emulator = emulator().await;
    let options = options(&emulator).trace_context(spans());
    let client = Client::connect(&emulator.connection_string(), options)
        .await
        .unwrap();
    let own: TraceContext = OWN.parse().unwrap();
    let producer = producer(&client);
    producer.send_to(to("0"), "alone").await.unwrap();
    let mut batch = producer
        .create_batch(BatchOptions::partition("0"))
        .await
        .unwrap();
    batch.try_add("in a batch").unwrap();
    batch
        .try_add(Event::from("with its own").with_trace_context(&own))
        .unwrap();
    producer.send_batch(batch).await.unwrap();
    let buffered = client.buffered_producer(BufferedProducerOptions::default());
    let buffered = buffered.await.unwrap();
    let enqueued = buffered.enqueue_to(to("0"), "buffered").await.unwrap();
    enqueued.await.unwrap();
    let numbered = client.idempotent_producer("0", IdempotentOptions::default());
    numbered.await.unwrap().send("numbered").await.unwrap();

    let mut consumer = from_start(&client, "0").await;
    for (expected, span) in [
        ("alone", Some(1)),
        ("in a batch", Some(2)),
        ("with its own", None),
        ("buffered", Some(3)),
        ("numbered", Some(4)),
    ] {
        let event = next(&mut consumer).await;
        assert_eq!(text(&event), expected);
        let context = event.trace_context().unwrap();
        match span {
            Some(span) => {
                assert_eq!(context.parent_id(), u64::to_be_bytes(span), "{expected}");
                assert_eq!(context.state(), Some("test=1"));
            }
            None => assert_eq!(context, own),
        }
        let written = event.property("Diagnostic-Id").unwrap().as_str();
        assert_eq!(written, Some(context.to_string().as_str()));
    }
}

#[tokio::test]
async fn without_a_source_events_say_nothing() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    producer(&client).send_to(to("0"), "x").await.unwrap();
    let event = next(&mut from_start(&client, "0").await).await;
    assert_eq!(event.trace_context(), None);
    assert_eq!(event.application_properties(), None);
}
