//! Partitions taken one by one.

use amqp10::eventhubs::processor::{Checkpoints, PartitionError, StopReason};
use amqp10::eventhubs::{ConsumerOptions, Position};

use super::*;

#[tokio::test(start_paused = true)]
async fn partitions_come_one_by_one_and_start_where_the_options_say() {
    let scene = Scene::new().await;
    scene.publish(3).await;
    let options = scene
        .options("one")
        .start(Position::sequence_number(0))
        .start_partition("3", Position::sequence_number(1));
    let processor = scene.start(options).await;
    let mut first = BTreeMap::new();
    let mut clients = Vec::new();
    for _ in 0..PARTITIONS {
        let mut client = processor.next_partition().await.unwrap();
        let event = client.recv().await.unwrap();
        assert_eq!(text(&event), "x");
        first.insert(client.id().to_owned(), event.sequence_number());
        clients.push(client);
    }
    let expected = [("0", 1), ("1", 1), ("2", 1), ("3", 2)];
    assert_eq!(
        first,
        expected.map(|(id, number)| (id.to_owned(), number)).into()
    );
    // A batch is there at once; then nothing comes.
    let mut client = clients.swap_remove(0);
    let more = client.recv_batch(10, Duration::from_secs(1)).await.unwrap();
    assert_eq!(more.len(), if client.id() == "3" { 0 } else { 1 });
    assert!(
        client
            .recv_batch(10, Duration::ZERO)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn a_closed_partition_is_given_up_with_its_last_automatic_checkpoint() {
    let scene = Scene::new().await;
    scene.publish(3).await;
    let automatic = Checkpoints::automatic(1000, Duration::from_secs(3600));
    let options = scene.options("one").checkpoints(automatic);
    let processor = scene.start(options).await;
    let mut client = processor.next_partition().await.unwrap();
    let events = client.recv_batch(2, Duration::from_secs(1)).await.unwrap();
    client.processed(&events[0]).await.unwrap();
    let id = client.id().to_owned();
    client.close().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(scene.checkpoints().await, [(id.clone(), 0)].into());
    let record = scene
        .ownerships()
        .await
        .into_iter()
        .find(|record| record.partition == id);
    assert_eq!(record.unwrap().owner, "");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_did_not_come_from_the_partition_cannot_be_checkpointed() {
    let scene = Scene::new().await;
    scene.publish(3).await;
    let processor = scene.start(scene.options("one")).await;
    let mut one = processor.next_partition().await.unwrap();
    let mut other = processor.next_partition().await.unwrap();
    let events = one.recv_batch(3, Duration::from_secs(1)).await.unwrap();
    let error = other.checkpoint(&events[0]).await.unwrap_err();
    assert!(matches!(error, PartitionError::Checkpoint(_)), "{error}");
    other.recv().await.unwrap();
    assert!(other.checkpoint(&events[2]).await.is_err());
    one.checkpoint(&events[2]).await.unwrap();
    assert_eq!(scene.checkpoints().await[one.id()], 2);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_every_wait() {
    let scene = Scene::new().await;
    let processor = scene.start(scene.options("one")).await;
    let mut client = processor.next_partition().await.unwrap();
    let waiting = tokio::spawn(async move {
        let ended = client.recv().await.unwrap_err();
        (ended, client.partition().stopped().await)
    });
    let next = processor.clone();
    let next = tokio::spawn(async move { while next.next_partition().await.is_some() {} });
    sleep(Duration::from_secs(1)).await;
    // What nobody has taken is no reason to wait.
    processor.shutdown(EXPIRATION).await.unwrap();
    next.await.unwrap();
    let (ended, reason) = waiting.await.unwrap();
    assert!(
        matches!(ended, PartitionError::Ended(StopReason::Shutdown)),
        "{ended}"
    );
    assert_eq!(reason, StopReason::Shutdown);
    assert_eq!(scene.owners().await, [""; 4]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_processor_leaves_its_records_and_its_clients_end() {
    let scene = Scene::new().await;
    let processor = scene.start(scene.options("one")).await;
    let mut client = processor.next_partition().await.unwrap();
    drop(processor);
    let ended = client.recv().await.unwrap_err();
    assert!(matches!(ended, PartitionError::Ended(_)), "{ended}");
    assert_eq!(scene.owners().await, ["one"; 4]);
}

#[tokio::test(start_paused = true)]
async fn receiving_can_be_dropped_at_any_time() {
    let scene = Scene::new().await;
    scene.publish(30).await;
    let processor = scene
        .start(
            scene
                .options("one")
                .consumer(ConsumerOptions::default().prefetch(3)),
        )
        .await;
    let mut client = processor.next_partition().await.unwrap();
    let mut numbers = Vec::new();
    for attempt in 0.. {
        // Two of three are dropped where they wait for more than there is.
        let patience = Duration::from_millis(if attempt % 3 == 2 { 10 } else { 3 });
        let receiving = client.recv_batch(7, Duration::from_millis(5));
        if let Ok(events) = tokio::time::timeout(patience, receiving).await {
            numbers.extend(events.unwrap().iter().map(ReceivedEvent::sequence_number));
        }
        if numbers.len() >= 30 {
            break;
        }
    }
    assert_eq!(numbers, (0..30).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn the_lag_is_known_where_it_is_tracked() {
    let scene = Scene::new().await;
    scene.publish(5).await;
    let options = scene
        .options("one")
        .consumer(ConsumerOptions::default().track_last_enqueued(true));
    let processor = scene.start(options).await;
    let mut client = processor.next_partition().await.unwrap();
    client.recv_batch(2, Duration::from_secs(1)).await.unwrap();
    assert_eq!(client.partition().lag(), Some(3));
}
