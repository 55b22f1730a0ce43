//! What is published comes out as it went in.

use amqp10::codec::{Symbol, Value};
use amqp10::eventhubs::{BatchOptions, ErrorKind, Event};

use super::*;

#[tokio::test]
async fn z_105_an_event_goes_through_tcp_with_all_that_describes_it() {
    let emulator = emulator().await;
    let connection_string = emulator.connection_string_for(HUB);
    let client = Client::connect(&connection_string, ClientOptions::default())
        .await
        .unwrap();
    let event = Event::from("hello")
        .with_property("temperature", 21.5)
        .with_message_id("id-1")
        .with_correlation_id(7_u64)
        .with_content_type(Symbol::from_static("text/plain"));
    producer(&client).send_to(to("1"), event).await.unwrap();

    let received = next(&mut from_start(&client, "1").await).await;
    assert_eq!(text(&received), "hello");
    assert_eq!(received.property("temperature"), Some(&Value::from(21.5)));
    assert_eq!(received.sequence_number(), 0);
    assert!(!received.offset().is_empty());
    assert!(received.enqueued_time().is_some());
    assert_eq!(received.partition_key(), None);
    let properties = received.properties().unwrap();
    assert_eq!(properties.message_id, Some("id-1".into()));
    assert_eq!(properties.correlation_id, Some(7_u64.into()));
    assert_eq!(properties.content_type.as_deref(), Some("text/plain"));
    client.close().await.unwrap();
}

#[tokio::test]
async fn a_batch_with_a_partition_key_stays_together_and_in_order() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let producer = producer(&client);
    let mut batch = producer
        .create_batch(BatchOptions::key("device-42"))
        .await
        .unwrap();
    for number in 0..1000 {
        batch.try_add(number.to_string()).unwrap();
    }
    producer.send_batch(batch).await.unwrap();
    producer
        .send_to(Route::key("device-42"), "1000")
        .await
        .unwrap();

    let mut found = None;
    for partition in client.hub_properties().await.unwrap().partition_ids {
        let properties = client.partition_properties(&partition).await.unwrap();
        if !properties.is_empty {
            assert_eq!(properties.last_enqueued_sequence_number, 1000);
            assert_eq!(found.replace(partition), None, "one partition only");
        }
    }
    let mut consumer = from_start(&client, &found.unwrap()).await;
    for number in 0..=1000 {
        let event = next(&mut consumer).await;
        assert_eq!(text(&event), number.to_string());
        assert_eq!(event.partition_key(), Some("device-42"));
        assert_eq!(event.sequence_number(), number);
    }
}

#[tokio::test]
async fn settled_events_are_stored_without_an_answer() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let producer = client.producer(ProducerOptions::default().settled(true));
    for number in 0..100 {
        soon(producer.send_to(to("0"), number.to_string()))
            .await
            .unwrap();
    }
    // The end of the connection comes after all that was handed over.
    client.close().await.unwrap();
    let reading = super::client(&emulator).await;
    let mut consumer = from_start(&reading, "0").await;
    for number in 0..100 {
        assert_eq!(text(&next(&mut consumer).await), number.to_string());
    }
}

#[tokio::test]
async fn debug_output_shows_no_event() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    producer(&client).send("hush").await.unwrap();
    let shown = format!("{emulator:?} {client:?} {:?}", producer(&client));
    assert!(
        shown.contains("orders") && !shown.contains("hush"),
        "{shown}"
    );
    assert!(!shown.contains(&emulator.connection_string()), "{shown}");
}

#[tokio::test]
async fn a_batch_takes_what_the_service_takes_and_not_an_octet_more() {
    let emulator = start(EmulatorOptions::default().max_message_size(10_000)).await;
    let client = client(&emulator).await;
    let producer = producer(&client);
    let mut batch = producer
        .create_batch(BatchOptions::partition("0"))
        .await
        .unwrap();
    assert_eq!(batch.max_size_in_bytes(), 10_000);
    while batch.try_add(vec![7; 83]).is_ok() {}
    let room = batch.max_size_in_bytes() - batch.size_in_bytes();
    // What a section and the event in it need beside the body.
    batch.try_add(vec![7; room - 10]).unwrap();
    assert_eq!(batch.size_in_bytes(), 10_000);
    let count = batch.len();
    producer.send_batch(batch).await.unwrap();
    let properties = client.partition_properties("0").await.unwrap();
    assert_eq!(
        properties.last_enqueued_sequence_number,
        i64::try_from(count).unwrap() - 1
    );

    let error = producer.send(vec![7; 10_000]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(!error.is_retryable());
    producer.send("the link is unharmed").await.unwrap();
}

#[tokio::test]
async fn an_event_of_almost_a_mebibyte_arrives() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let body: Vec<u8> = (0..1_048_000_u32).map(|n| n as u8).collect();
    producer(&client)
        .send_to(to("0"), body.clone())
        .await
        .unwrap();
    let received = next(&mut from_start(&client, "0").await).await;
    assert_eq!(received.body(), body);
}

#[tokio::test]
async fn many_sends_are_in_flight_at_once_and_all_are_stored_in_order() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let producer = producer(&client);
    // Attached beforehand, so that the sends begin in the order of their tasks.
    producer.send_to(to("2"), "0").await.unwrap();
    let sends: Vec<_> = (1..500)
        .map(|number| {
            let producer = producer.clone();
            tokio::spawn(async move { producer.send_to(to("2"), number.to_string()).await })
        })
        .collect();
    for send in sends {
        soon(send).await.unwrap().unwrap();
    }
    let mut consumer = from_start(&client, "2").await;
    for number in 0..500 {
        assert_eq!(text(&next(&mut consumer).await), number.to_string());
    }
}

#[tokio::test]
async fn events_without_a_route_are_spread() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let producer = producer(&client);
    for _ in 0..PARTITIONS * 4 {
        producer.send("anywhere").await.unwrap();
    }
    for partition in 0..PARTITIONS {
        let properties = client
            .partition_properties(&partition.to_string())
            .await
            .unwrap();
        assert!(!properties.is_empty, "{partition}");
    }
}

#[tokio::test]
async fn an_empty_batch_is_nothing_to_send() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let producer = producer(&client);
    let batch = producer
        .create_batch(BatchOptions::default())
        .await
        .unwrap();
    producer.send_batch(batch).await.unwrap();
    for partition in 0..PARTITIONS {
        let id = partition.to_string();
        assert!(client.partition_properties(&id).await.unwrap().is_empty);
    }
}

#[tokio::test]
async fn what_can_not_be_is_refused_with_the_services_words() {
    let emulator = emulator().await;
    let nowhere = Client::connect(
        &emulator.connection_string(),
        options(&emulator).hub("nowhere"),
    )
    .await
    .unwrap();
    let error = soon(producer(&nowhere).send("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("nowhere"), "{error}");
    let error = soon(nowhere.hub_properties()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");

    let client = client(&emulator).await;
    let producer = producer(&client);
    let error = soon(producer.send_to(to("99"), "x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert!(error.condition().is_some());
    assert!(error.description().is_some());
    let error = soon(client.partition_properties("99")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    let error = soon(producer.send_to(Route::key("k".repeat(129)), "x"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
}

#[tokio::test]
async fn events_of_a_publisher_carry_its_name() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let producer = producer(&client);
    let route = || Route::publisher("device 42");
    producer.send_to(route(), "single").await.unwrap();
    let mut batch = producer
        .create_batch(BatchOptions::to(route()))
        .await
        .unwrap();
    batch.try_add("in a batch").unwrap();
    producer.send_batch(batch).await.unwrap();

    let mut found = Vec::new();
    for partition in client.hub_properties().await.unwrap().partition_ids {
        let properties = client.partition_properties(&partition).await.unwrap();
        let mut consumer = from_start(&client, &partition).await;
        for _ in 0..=properties.last_enqueued_sequence_number {
            let event = next(&mut consumer).await;
            let publisher = event.annotations().unwrap().get("x-opt-publisher");
            assert_eq!(publisher, Some(&Value::from("device 42")));
            found.push(text(&event).to_owned());
        }
    }
    found.sort();
    assert_eq!(found, ["in a batch", "single"]);
    let error = producer.send_to(Route::publisher("a/b"), "x").await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

/// In both modes, through a batch and back.
#[cfg(feature = "json")]
#[tokio::test]
async fn cloud_events_and_json_come_out_as_they_went_in() {
    use amqp10::eventhubs::cloudevents::CloudEvent;

    let emulator = emulator().await;
    let client = client(&emulator).await;
    let producer = producer(&client);
    let cloud_event = CloudEvent::new("1", "/sensors/7", "com.example.reading")
        .with_subject("temperature")
        .with_data("application/json", r#"{"degrees":21.5}"#)
        .with_extension("count", 7_i64);
    let mut batch = producer
        .create_batch(BatchOptions::partition("0"))
        .await
        .unwrap();
    batch.try_add(cloud_event.to_event().unwrap()).unwrap();
    batch
        .try_add(cloud_event.to_structured_event().unwrap())
        .unwrap();
    batch.try_add(Event::json(&[1, 2, 3]).unwrap()).unwrap();
    producer.send_batch(batch).await.unwrap();
    let mut consumer = from_start(&client, "0").await;
    for _ in 0..2 {
        let received = next(&mut consumer).await;
        assert_eq!(CloudEvent::from_received(&received).unwrap(), cloud_event);
    }
    let received = next(&mut consumer).await;
    assert_eq!(received.json::<Vec<u8>>().unwrap(), [1, 2, 3]);
    assert!(CloudEvent::from_received(&received).is_err());
}
