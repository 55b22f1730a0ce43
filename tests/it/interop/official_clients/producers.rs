//! What each kind of our producers publishes is what they read.

use amqp10::eventhubs::{BufferedProducerOptions, IdempotentProducerOptions, TraceContext};

use super::*;

const TRACE_PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn ours_by_the_buffered_producer() {
    with_each(|peers| async move {
        let options = BufferedProducerOptions::default();
        let producer = peers.ours.buffered_producer(options).await.unwrap();
        let mut results = Vec::new();
        for number in 0..50 {
            let route = match number % 2 {
                0 => Route::Any,
                _ => Route::key("customer 7"),
            };
            results.push(producer.enqueue_to(route, numbered(number, 100)).await);
        }
        producer.close().await;
        for result in results {
            result.unwrap().await.unwrap();
        }
        let events = peers.read_by_both(50).await;
        expect_numbered(&events, 100);
        for event in &events {
            let has_key = events::number(event) % 2 == 1;
            let key = has_key.then_some("customer 7");
            assert_eq!(event["partition_key"], json!(key));
        }
    })
    .await;
}

#[tokio::test]
async fn ours_by_the_idempotent_producer_and_in_the_name_of_a_publisher() {
    with_each(|peers| async move {
        let options = IdempotentProducerOptions::default();
        let numbering = peers.ours.idempotent_producer("1", options).await;
        let mut numbering = numbering.unwrap();
        for number in 0..5 {
            numbering.send(numbered(number, 100)).await.unwrap();
        }
        let naming = peers.ours.producer(ProducerOptions::default());
        for number in 5..10 {
            let route = Route::publisher("device 42");
            naming.send_to(route, numbered(number, 100)).await.unwrap();
        }
        let events = peers.read_by_both(10).await;
        expect_numbered(&events, 100);
        let mut producer_numbers = Vec::new();
        for event in &events {
            let system = &event["system_properties"];
            if events::number(event) < 5 {
                assert_eq!(event["partition"], "1");
                assert!(system["com.microsoft:producer-id"].is_i64(), "{system}");
                let number = &system["com.microsoft:producer-sequence-number"];
                producer_numbers.push(number.as_i64().unwrap());
            } else {
                assert_eq!(system["x-opt-publisher"], "device 42", "{system}");
            }
        }
        let first = producer_numbers[0];
        assert!(producer_numbers.into_iter().eq(first..first + 5));
    })
    .await;
}

/// The names are those under which their tracing looks for it.
#[tokio::test]
async fn ours_with_a_trace_context() {
    with_each(|peers| async move {
        let context: TraceContext = TRACE_PARENT.parse().unwrap();
        let context = context.with_state("vendor=1").unwrap();
        let producer = peers.ours.producer(ProducerOptions::default());
        let event = numbered(0, 100).with_trace_context(&context);
        producer.send(event).await.unwrap();
        let event = peers.read_by_both(1).await.remove(0);
        let properties = &event["properties"];
        assert_eq!(properties["traceparent"], TRACE_PARENT);
        assert_eq!(properties["Diagnostic-Id"], TRACE_PARENT);
        assert_eq!(properties["tracestate"], "vendor=1");
        assert_eq!(properties["number"], 0, "what was there before stays");
    })
    .await;
}
