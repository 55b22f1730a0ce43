//! The service's idle limits: what it closes for idleness comes back without anybody's help, and without losing time.

use tokio::time::Instant;

use super::*;

/// Some hours, and not a multiple of the limits: what happens in the same moment may cost a pause.
const HOURS: Duration = Duration::from_secs(5 * 3600 + 100);

/// An emulator that closes idle links and connections as the service does.
async fn strict() -> Arc<Emulator> {
    start(
        EmulatorOptions::default()
            .clock(simulated_clock())
            .idle_link(Duration::from_secs(600))
            .idle_connection(Duration::from_secs(300)),
    )
    .await
}

/// A client with the pauses that users have.
async fn observed(emulator: &Arc<Emulator>) -> (Client, Notes) {
    let (observer, notes) = notes();
    let options = options(emulator)
        .clock(simulated_clock())
        .retry(RetryPolicy::default())
        .observer(observer);
    let client = Client::connect(&emulator.connection_string(), options)
        .await
        .unwrap();
    (client, notes)
}

#[tokio::test(start_paused = true)]
async fn z_107_after_hours_everything_works_at_once() {
    let emulator = strict().await;
    let (client, notes) = observed(&emulator).await;
    let producer = producer(&client);
    producer.send_to(to("0"), "before").await.unwrap();
    let mut consumer = from_start(&client, "0").await;
    assert_eq!(text(&next(&mut consumer).await), "before");
    client.hub_properties().await.unwrap();

    for round in 0..3 {
        // Nobody does anything: the service closes all links, `$cbs` and `$management` too, and then the connection.
        tokio::time::sleep(HOURS).await;
        let started = Instant::now();
        if round == 0 {
            client.hub_properties().await.unwrap();
        }
        producer.send_to(to("0"), "after").await.unwrap();
        assert_eq!(text(&next(&mut consumer).await), "after");
        client.partition_properties("0").await.unwrap();
        assert_eq!(started.elapsed(), Duration::ZERO, "nobody waited");
        assert_eq!(count(&notes, "Reconnected"), round + 1);
    }
    assert_eq!(count(&notes, "Retrying"), 0, "{notes:?}");
    assert_eq!(count(&notes, "TokenRenewalFailed"), 0, "{notes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_never_used_still_works_after_hours() {
    let emulator = strict().await;
    let (client, notes) = observed(&emulator).await;
    tokio::time::sleep(HOURS).await;
    let started = Instant::now();
    producer(&client).send_to(to("0"), "x").await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(
        *notes.lock().unwrap(),
        ["Connected", "ConnectionLost", "Reconnected", "LinkAttached"]
    );
}

/// The consumer is waited for all the time: the connection has a link, and the idle link is replaced.
#[tokio::test(start_paused = true)]
async fn who_waits_on_a_quiet_partition_misses_nothing() {
    let emulator = strict().await;
    let (client, notes) = observed(&emulator).await;
    let mut consumer = from_start(&client, "0").await;
    assert!(tokio::time::timeout(HOURS, consumer.recv()).await.is_err());
    let detached = count(&notes, "LinkLost");
    assert!((28..=31).contains(&detached), "{detached}");
    assert_eq!(count(&notes, "Retrying"), 0, "{notes:?}");
    assert_eq!(count(&notes, "LinkSilent"), 0, "{notes:?}");
    let started = Instant::now();
    producer(&client).send_to(to("0"), "news").await.unwrap();
    assert_eq!(text(&next(&mut consumer).await), "news");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

/// With nothing to say for hours, both sides keep the connection alive with empty frames.
#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_connection_alive() {
    let emulator = emulator().await;
    let (client, notes) = observed(&emulator).await;
    producer(&client).send_to(to("0"), "x").await.unwrap();
    tokio::time::sleep(HOURS).await;
    client.hub_properties().await.unwrap();
    assert_eq!(count(&notes, "ConnectionLost"), 0, "{notes:?}");
}
