//! Futures of the client: opening it, asking it, closing it.

use amqp10::emulator::EmulatorOptions;
use amqp10::eventhubs::{ConnectionString, ReceivedEvent};
use tokio::time::sleep;

use super::*;

pub(in crate::cancel) const COVERED: Covered = Covered {
    file: file!(),
    futures: &[
        ("Client::connect", connecting),
        ("Client::connect_to", connecting),
        (
            "Client::close",
            connections_are_closed_although_nobody_waits,
        ),
        ("Client::hub_properties", properties),
        ("Client::partition_properties", properties),
    ],
};

#[tokio::test(start_paused = true)]
async fn connecting() {
    let options = EmulatorOptions::default().hub(HUB, PARTITIONS);
    let emulator = Arc::new(Emulator::in_process(options).await.unwrap());
    let target = emulator.connection_string();
    for is_parsed in [false, true] {
        let streams = Streams::default();
        let polls = after_each_poll(async |polls| {
            let options = ClientOptions::default()
                .hub(HUB)
                .connector(connector(&emulator, &streams, SESSIONS));
            let connected = match is_parsed {
                true => {
                    let target: ConnectionString = target.parse().unwrap();
                    poll_times(polls, Client::connect_to(target, options)).await
                }
                false => poll_times(polls, Client::connect(&target, options)).await,
            };
            let is_over = connected.is_some();
            drop(connected.map(Result::unwrap));
            rest().await;
            assert_eq!(open(&streams), 0, "after {polls} polls");
            is_over
        });
        assert!(polls.await > 1, "nothing was dropped in the middle");
    }
}

/// Asks for properties, of the hub or of a partition.
async fn ask(client: &Client, is_hub: bool) -> Result<(), amqp10::eventhubs::EventHubsError> {
    match is_hub {
        true => client.hub_properties().await.map(drop),
        false => client.partition_properties("0").await.map(drop),
    }
}

#[tokio::test(start_paused = true)]
async fn properties() {
    for is_hub in [true, false] {
        // The first question attaches links, and puts a token.
        let polls = after_each_poll(async |polls| {
            let scene = Scene::new().await;
            let asked = poll_times(polls, ask(&scene.client, is_hub)).await;
            rest().await;
            ask(&scene.client, is_hub).await.unwrap();
            scene.check().await;
            asked.is_some()
        });
        assert!(polls.await > 1, "nothing was dropped in the middle");
        // The others are one request each.
        let scene = Scene::new().await;
        ask(&scene.client, is_hub).await.unwrap();
        after_each_poll(async |polls| {
            poll_times(polls, ask(&scene.client, is_hub))
                .await
                .is_some()
        })
        .await;
        scene.check().await;
    }
}

/// Also those that nobody would close otherwise: the client is held.
#[tokio::test(start_paused = true)]
async fn connections_are_closed_although_nobody_waits() {
    for polls in 1..4 {
        let scene = Scene::new().await;
        let consumer = scene.consumer().await;
        drop(poll_times(polls, scene.client.close()).await);
        rest().await;
        assert_eq!(scene.open_streams(), 0, "after {polls} polls");
        assert!(scene.client.hub_properties().await.is_err());
        drop(consumer);
    }
}

/// Whoever finds out that a connection is lost may be dropped before he has told so.
#[tokio::test(start_paused = true)]
async fn a_loss_is_told_whoever_finds_out() {
    let polls = after_each_poll(async |polls| {
        let scene = Scene::new().await;
        scene.emulator.close_connections();
        rest().await;
        let asked = poll_times(polls, scene.client.hub_properties()).await;
        rest().await;
        scene.client.hub_properties().await.unwrap();
        assert_eq!(scene.told("ConnectionLost"), 1, "after {polls} polls");
        assert_eq!(scene.told("Reconnected"), 1, "after {polls} polls");
        scene.check().await;
        asked.is_some()
    });
    assert!(polls.await > 1, "nothing was dropped in the middle");
}

/// Nothing is answered, and whoever asks gives up sooner than the client would.
#[tokio::test(start_paused = true)]
async fn operations_on_a_stream_that_stalls() {
    // What was begun there and given up stays until the connection ends.
    let scene = Scene::with_sessions(500).await;
    let mut consumer = scene.consumer().await;
    let mut received = Vec::new();
    let producer = scene.producer();
    let partition = || Route::partition("0");
    for round in 0..3 {
        let text = format!("before {round}");
        producer.send_to(partition(), text).await.unwrap();
        let stalled = scene.streams.lock().unwrap().iter().find_map(Weak::upgrade);
        stalled.unwrap().stall();
        for polls in 1..20 {
            drop(poll_briefly(polls, scene.client.hub_properties()).await);
            drop(poll_briefly(polls, producer.send_to(partition(), "dropped")).await);
            let options = ConsumerOptions::default();
            drop(poll_briefly(polls, scene.client.consumer("0", options)).await);
            received.extend(poll_briefly(polls, consumer.recv()).await);
        }
        // Who hears nothing from the other ends the connection, on either side.
        sleep(Duration::from_secs(600)).await;
        let text = format!("after {round}");
        producer.send_to(partition(), text.clone()).await.unwrap();
        assert_eq!(scene.count(&text), 1);
        scene.check().await;
    }
    let stored = scene.stored();
    while received.len() < stored.len() {
        let event = timeout(LONG, consumer.recv()).await;
        received.push(event.expect("no event is lost"));
    }
    let text = |event: ReceivedEvent| String::from_utf8(event.body().to_vec()).unwrap();
    let received: Vec<_> = received
        .into_iter()
        .map(|event| text(event.unwrap()))
        .collect();
    assert_eq!(received, stored);
}
