//! Lost connections and links, and what becomes of clients that are dropped.

use amqp10::AcceptLinkOptions;
use amqp10::codec::{AmqpError, condition};
use amqp10::emulator::Fault;
use amqp10::eventhubs::ErrorKind;

use super::script::Scripted;
use super::*;

#[tokio::test]
async fn a_consumer_goes_on_after_its_connection_was_closed() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    publish_numbers(&producer(&client), 0, 100).await;
    // A short prefetch, so that there is more to come whenever the connection is lost.
    let options = ConsumerOptions::default()
        .position(Position::earliest())
        .prefetch(7);
    let mut consumer = client.consumer("0", options).await.unwrap();
    for number in 0..100 {
        if number % 20 == 10 {
            emulator.close_connections();
        }
        let event = next(&mut consumer).await;
        assert_eq!(text(&event), number.to_string());
        assert_eq!(event.sequence_number(), number);
    }
}

#[tokio::test]
async fn the_latest_position_survives_a_connection_that_ends_before_the_first_event() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    // The producer meets the closed connection, too: it may store an event twice, but none not at all.
    let producer = client.producer(ProducerOptions::default().retry_unknown(true));
    publish_numbers(&producer, 0, 2).await;
    let mut consumer = client
        .consumer("0", ConsumerOptions::default())
        .await
        .unwrap();
    emulator.close_connections();
    publish_numbers(&producer, 2, 2).await;
    assert_eq!(text(&next(&mut consumer).await), "2");
    while text(&next(&mut consumer).await) != "3" {}
}

#[tokio::test]
async fn a_producer_comes_back_and_says_what_it_does_not_know() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let producer = producer(&client);
    let mut stored = Vec::new();
    let mut unknown = Vec::new();
    for round in 0..10 {
        let sends: Vec<_> = (0..20)
            .map(|number| {
                let producer = producer.clone();
                let text = format!("{round}-{number}");
                let sent = text.clone();
                (
                    text,
                    tokio::spawn(async move { producer.send_to(to("0"), sent).await }),
                )
            })
            .collect();
        tokio::task::yield_now().await;
        emulator.close_connections();
        for (text, send) in sends {
            match soon(send).await.unwrap() {
                Ok(()) => stored.push(text),
                Err(error) if error.kind() == ErrorKind::OutcomeUnknown => unknown.push(text),
                Err(error) => panic!("{error}"),
            }
        }
    }
    let mut consumer = from_start(&client, "0").await;
    let events = consumer.recv_batch(1000, Duration::from_secs(1)).await;
    let mut found: Vec<String> = events
        .unwrap()
        .iter()
        .map(text)
        .map(str::to_owned)
        .collect();
    found.sort();
    let all = found.len();
    found.dedup();
    assert_eq!(found.len(), all, "nothing is stored twice");
    for text in &stored {
        assert!(found.binary_search(text).is_ok(), "{text} was accepted");
    }
    for text in &found {
        assert!(stored.contains(text) || unknown.contains(text), "{text}");
    }
}

#[tokio::test]
async fn links_that_the_service_closes_for_idleness_come_back() {
    let idle = Duration::from_millis(300);
    let emulator = start(EmulatorOptions::default().idle_link(idle)).await;
    let client = client(&emulator).await;
    let producer = producer(&client);
    let mut consumer = from_start(&client, "0").await;
    for number in 0..3 {
        publish_numbers(&producer, number, 1).await;
        assert_eq!(text(&next(&mut consumer).await), number.to_string());
        assert!(client.partition_properties("0").await.is_ok());
        tokio::time::sleep(idle * 3).await;
    }
}

/// Nothing is published for an hour, in which the service detaches the link more often than the policy allows retries.
#[tokio::test(start_paused = true)]
async fn a_quiet_partition_outlasts_any_number_of_idle_detaches() {
    let idle = Duration::from_secs(60);
    let emulator = start(EmulatorOptions::default().idle_link(idle)).await;
    let client = client(&emulator).await;
    let mut consumer = from_start(&client, "0").await;
    let quiet = tokio::time::timeout(Duration::from_secs(3600), consumer.recv()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    publish_numbers(&producer(&client), 0, 1).await;
    assert_eq!(text(&next(&mut consumer).await), "0");
}

#[tokio::test]
async fn a_service_that_is_gone_is_reported_within_the_policy() {
    let emulator = Emulator::start(EmulatorOptions::default().hub(HUB, 1).port(0))
        .await
        .unwrap();
    let brief = RetryPolicy::default()
        .max_retries(2)
        .first_delay(Duration::from_millis(10));
    let options = ClientOptions::default().hub(HUB).retry(brief);
    let client = Client::connect(&emulator.connection_string(), options)
        .await
        .unwrap();
    let producer = producer(&client);
    producer.send_to(to("0"), "x").await.unwrap();
    let mut consumer = from_start(&client, "0").await;
    next(&mut consumer).await;
    emulator.shutdown().await;
    let error = soon(producer.send_to(to("0"), "y")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    // A consumer says so each time, and tries anew each time.
    for _ in 0..2 {
        let error = soon(consumer.recv()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_said_at_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let text = format!(
        "Endpoint=sb://localhost:{port};SharedAccessKeyName=n;SharedAccessKey=hush;EntityPath=orders;\
         UseDevelopmentEmulator=true"
    );
    let attempt = Client::connect(&text, ClientOptions::default());
    let error = tokio::time::timeout(Duration::from_secs(5), attempt)
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_retryable());
    let shown = format!("{error} {error:?}");
    assert!(shown.contains(&port.to_string()), "{shown}");
    assert!(!shown.contains("hush"));
}

#[tokio::test]
async fn a_closed_client_says_so() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let producer = producer(&client);
    let mut consumer = from_start(&client, "0").await;
    client.close().await.unwrap();
    let error = soon(producer.send("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    let error = soon(consumer.recv()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    client.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_busy_service_is_told_and_waited_for() {
    let emulator = emulator().await;
    let (observer, notes) = notes();
    let client = Client::connect(
        &emulator.connection_string(),
        options(&emulator).observer(observer),
    )
    .await
    .unwrap();
    let producer = producer(&client);
    producer.send_to(to("0"), "x").await.unwrap();
    emulator.inject(Fault::throttle(3));
    let started = tokio::time::Instant::now();
    producer.send_to(to("0"), "y").await.unwrap();
    // The service means it: four seconds each.
    assert!(started.elapsed() >= Duration::from_secs(12));
    assert_eq!(count(&notes, "Throttled"), 3, "{notes:?}");
    assert_eq!(count(&notes, "LinkLost"), 0, "{notes:?}");
}

/// Ten silences in a row, and each event comes once.
#[tokio::test(start_paused = true)]
async fn a_silenced_reader_recovers_by_itself() {
    let emulator = emulator().await;
    let (observer, notes) = notes();
    let client = Client::connect(
        &emulator.connection_string(),
        options(&emulator).observer(observer),
    )
    .await
    .unwrap();
    let producer = producer(&client);
    let mut consumer = from_start(&client, "0").await;
    for number in 0..10 {
        emulator.inject(Fault::silence());
        publish_numbers(&producer, number, 1).await;
        let event = tokio::time::timeout(Duration::from_secs(100), consumer.recv()).await;
        assert_eq!(text(&event.unwrap().unwrap()), number.to_string());
    }
    assert_eq!(count(&notes, "LinkSilent"), 10, "{notes:?}");
}

/// Whoever loses the connection first begins to make it anew. Where he stops being polled, at any point on the way, the
/// others do not depend on him.
#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_not_polled_while_it_recovers_holds_up_nobody() {
    let emulator = emulator().await;
    let dialled = emulator.clone();
    let connector = Connector::new(move |options| {
        let emulator = dialled.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Connection::open_with_stream(emulator.connect(), options).await
        }
    });
    let options = options(&emulator).connector(connector);
    let client = Client::connect(&emulator.connection_string(), options)
        .await
        .unwrap();
    let producer = client.producer(ProducerOptions::default().retry_unknown(true));
    for polls in 1..40 {
        let mut consumer = from_start(&client, "0").await;
        consumer.recv_batch(100, Duration::ZERO).await.unwrap();
        emulator.close_connections();
        for _ in 0..polls {
            let _ = tokio::time::timeout(Duration::from_millis(1), consumer.recv()).await;
        }
        soon(producer.send_to(to("1"), "x")).await.unwrap();
        soon(client.hub_properties()).await.unwrap();
    }
}

/// The service counts a link that was lost until it notices.
#[tokio::test(start_paused = true)]
async fn a_consumer_waits_for_its_place_after_a_loss() {
    let mut service = Scripted::new();
    let client = service.client(RetryPolicy::default()).await;
    let options = ConsumerOptions::default().position(Position::earliest());
    let (consumer, first) = tokio::join!(client.consumer("0", options), async {
        let link = service.link().await;
        link.accept(AcceptLinkOptions::default()).await.unwrap()
    });
    let mut consumer = consumer.unwrap();
    drop(first);
    let script = async {
        for _ in 0..3 {
            let full = AmqpError::new(condition::RESOURCE_LIMIT_EXCEEDED, "five are there");
            service.link().await.refuse(full);
        }
        let link = service.link().await;
        link.accept(AcceptLinkOptions::default()).await.unwrap()
    };
    tokio::select! {
        event = consumer.recv() => panic!("{event:?}"),
        _second = script => {}
    }
}
