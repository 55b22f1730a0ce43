//! More than one connection per client, and the end of them all.

use std::sync::atomic::{AtomicUsize, Ordering};

use amqp10::eventhubs::{ClientEvent, ErrorKind};
use amqp10::memory::MemoryStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::*;

/// Counts the connections, and cuts the one with a number when told to.
#[derive(Default)]
struct Wires {
    opened: AtomicUsize,
    cut: tokio::sync::watch::Sender<Option<usize>>,
}

impl Wires {
    fn connector(self: &Arc<Self>, emulator: &Arc<Emulator>) -> Connector {
        let (wires, emulator) = (self.clone(), emulator.clone());
        Connector::new(move |options| {
            let number = wires.opened.fetch_add(1, Ordering::Relaxed);
            let (ours, theirs) = amqp10::memory::pipe(1 << 16);
            tokio::spawn(wires.clone().carry(number, theirs, emulator.connect()));
            Connection::open_with_stream(ours, options)
        })
    }

    async fn carry(self: Arc<Self>, number: usize, client: MemoryStream, service: MemoryStream) {
        let mut told = self.cut.subscribe();
        let (from_client, to_client) = tokio::io::split(client);
        let (from_service, to_service) = tokio::io::split(service);
        tokio::select! {
            () = copy(from_client, to_service) => {}
            () = copy(from_service, to_client) => {}
            _ = told.wait_for(|cut| *cut == Some(number)) => {}
        }
    }
}

async fn copy(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

#[tokio::test(start_paused = true)]
async fn connecting_may_take_any_time() {
    let emulator = emulator().await;
    let options = options(&emulator)
        .connection(amqp10::ConnectionOptions::default().connect_timeout(Duration::MAX));
    let client = Client::connect(&emulator.connection_string(), options)
        .await
        .unwrap();
    client.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn links_are_spread_over_connections_and_one_that_is_lost_takes_its_own_along() {
    let emulator = emulator().await;
    let wires = Arc::new(Wires::default());
    let lost = Arc::new(Mutex::new(Vec::new()));
    let book = lost.clone();
    let observer = ClientObserver::new(move |event| match event {
        ClientEvent::ConnectionLost { connection, .. } => {
            book.lock()
                .unwrap()
                .push(format!("connection {connection}"));
        }
        ClientEvent::LinkLost { address, .. } => book.lock().unwrap().push(address.to_string()),
        _ => {}
    });
    let options = options(&emulator)
        .connector(wires.connector(&emulator))
        .connections(4)
        .observer(observer);
    let client = Client::connect(&emulator.connection_string(), options)
        .await
        .unwrap();
    assert_eq!(
        wires.opened.load(Ordering::Relaxed),
        1,
        "others when needed"
    );
    let mut consumers = Vec::new();
    for partition in 0..PARTITIONS {
        consumers.push(from_start(&client, &partition.to_string()).await);
    }
    assert_eq!(wires.opened.load(Ordering::Relaxed), 4);

    wires.cut.send_replace(Some(2));
    let producer = producer(&client);
    for partition in 0..PARTITIONS {
        let partition = partition.to_string();
        producer.send_to(to(&partition), "x").await.unwrap();
    }
    for consumer in &mut consumers {
        assert_eq!(text(&next(consumer).await), "x");
    }
    assert_eq!(wires.opened.load(Ordering::Relaxed), 5);
    let mut lost = lost.lock().unwrap().clone();
    lost.sort();
    assert_eq!(
        lost,
        [
            "connection 2",
            "orders/ConsumerGroups/$Default/Partitions/2"
        ]
    );
    drop(producer);
    client.close().await.unwrap();
    let error = consumers[3].recv().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_all_connections_at_once_and_for_nobody_who_connects() {
    let emulator = emulator().await;
    let attempts = Arc::new(AtomicUsize::new(0));
    let (count, service) = (attempts.clone(), emulator.clone());
    // The first connection works, the others hang.
    let connector = Connector::new(move |options| {
        let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
        let stream = service.connect();
        async move {
            if !is_first {
                std::future::pending::<()>().await;
            }
            Connection::open_with_stream(stream, options).await
        }
    });
    let options = options(&emulator).connector(connector).connections(2);
    let client = Client::connect(&emulator.connection_string(), options)
        .await
        .unwrap();
    let _first = from_start(&client, "0").await;
    let waiting = client.clone();
    let waiting = tokio::spawn(async move {
        waiting
            .consumer(
                "1",
                ConsumerOptions::default().position(Position::earliest()),
            )
            .await
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(attempts.load(Ordering::Relaxed), 2);
    let started = Instant::now();
    client.close().await.unwrap();
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

/// A connector of the user's that hangs is held to the connection's deadline, and many who wait share one attempt.
#[tokio::test(start_paused = true)]
async fn connections_that_hang_are_given_up_once_for_all_who_wait() {
    let emulator = emulator().await;
    let attempts = Arc::new(AtomicUsize::new(0));
    let (count, service) = (attempts.clone(), emulator.clone());
    let connector = Connector::new(move |options| {
        let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
        let stream = service.connect();
        async move {
            if !is_first {
                std::future::pending::<()>().await;
            }
            Connection::open_with_stream(stream, options).await
        }
    });
    let options = options(&emulator)
        .connector(connector)
        .retry(RetryPolicy::never());
    let client = Client::connect(&emulator.connection_string(), options)
        .await
        .unwrap();
    emulator.close_connections();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let started = Instant::now();
    let sends: Vec<_> = (0..50)
        .map(|number| {
            let producer = producer(&client);
            let partition = (number % PARTITIONS).to_string();
            tokio::spawn(async move { producer.send_to(to(&partition), "x").await })
        })
        .collect();
    for send in sends {
        let error = send.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    }
    assert_eq!(attempts.load(Ordering::Relaxed), 2, "one attempt for all");
    assert!(started.elapsed() < Duration::from_secs(40));
}
