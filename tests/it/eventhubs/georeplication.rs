//! A namespace with geo-replication: opaque offsets, and those that are not its own.

use amqp10::codec::Symbol;
use amqp10::eventhubs::ErrorKind;
use amqp10::eventhubs::checkpoint::{
    Checkpoint, CheckpointStore, ConsumerGroupId, MemoryCheckpointStore,
};
use amqp10::{ConnectionOptions, Credentials, ReceiverOptions, SenderOptions, SessionOptions};

use super::*;

const EPOCH: u32 = 7;

async fn replicated() -> Arc<Emulator> {
    start(
        EmulatorOptions::default()
            .key("root", "hush")
            .georeplication(EPOCH),
    )
    .await
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_with_an_opaque_offset_is_where_the_next_consumer_goes_on() {
    let emulator = replicated().await;
    let client = client(&emulator).await;
    publish_numbers(&producer(&client), 0, 10).await;
    let store = MemoryCheckpointStore::new();
    let group = ConsumerGroupId::new("ns", HUB, "$Default");
    let options = ConsumerOptions::default()
        .position(Position::earliest())
        .track_last_enqueued(true);
    let mut consumer = client.consumer("0", options).await.unwrap();
    for number in 0..4 {
        let event = next(&mut consumer).await;
        assert_eq!(text(&event), number.to_string());
        assert!(event.offset().starts_with("7:"), "{}", event.offset());
        let checkpoint = Checkpoint::new("0", event.offset(), event.sequence_number());
        store.update_checkpoint(&group, checkpoint).await.unwrap();
    }
    let properties = client.partition_properties("0").await.unwrap();
    let last = consumer.last_enqueued().unwrap().offset.clone().unwrap();
    assert_eq!(last.as_str(), properties.last_enqueued_offset);
    assert!(last.starts_with("7:"), "{last}");
    drop(consumer);

    let [checkpoint] = &store.list_checkpoints(&group).await.unwrap()[..] else {
        panic!("one checkpoint was written");
    };
    let offset = checkpoint.offset.clone().unwrap();
    for (position, first) in [
        (Position::offset(&*offset), "4"),
        (Position::offset(&*offset).inclusive(), "3"),
        (Position::sequence_number(3), "4"),
    ] {
        let options = ConsumerOptions::default().position(position);
        let mut consumer = client.consumer("0", options).await.unwrap();
        assert_eq!(text(&next(&mut consumer).await), first);
    }
    // The end, as the consumer looks it up.
    let mut latest = client
        .consumer("0", ConsumerOptions::default())
        .await
        .unwrap();
    publish_numbers(&producer(&client), 10, 1).await;
    assert_eq!(text(&next(&mut latest).await), "10");
}

#[tokio::test(start_paused = true)]
async fn an_offset_of_another_epoch_or_of_none_is_an_argument_error_for_good() {
    let emulator = replicated().await;
    let client = client(&emulator).await;
    publish_numbers(&producer(&client), 0, 3).await;
    let own = client.partition_properties("0").await.unwrap();
    let plain = own.last_enqueued_offset.strip_prefix("7:").unwrap();
    for foreign in [
        plain.to_owned(),
        format!("6:{plain}"),
        "7:999999".to_owned(),
    ] {
        let started = tokio::time::Instant::now();
        let options = ConsumerOptions::default().position(Position::offset(&*foreign));
        let error = match client.consumer("0", options).await {
            Err(error) => error,
            Ok(mut consumer) => soon(consumer.recv()).await.unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(!error.is_retryable(), "{error}");
        let condition = "com.microsoft:georeplication:invalid-offset";
        assert!(error.to_string().contains(condition), "{error}");
        assert!(started.elapsed() < Duration::from_millis(10), "tried again");
    }
}

/// The capability is offered to links that desire it, and to none in a namespace without.
#[tokio::test]
async fn the_capability_is_offered_where_it_is_desired() {
    let capability = Symbol::from_static("com.microsoft:georeplication");
    let without = start(EmulatorOptions::default().key("root", "hush")).await;
    for (emulator, is_replicated) in [(replicated().await, true), (without, false)] {
        let options = ConnectionOptions::default()
            .credentials(Credentials::plain("root", "hush"))
            .allow_plain_without_tls(true);
        let connection = Connection::open_with_stream(emulator.connect(), options)
            .await
            .unwrap();
        let session = connection.begin(SessionOptions::default()).await.unwrap();
        for is_desired in [true, false] {
            let desired = || is_desired.then(|| capability.clone());
            let sending = SenderOptions::default().desired_capabilities(desired());
            let sender = session.attach_sender(HUB, sending).await.unwrap();
            let receiving = ReceiverOptions::default().desired_capabilities(desired());
            let source = format!("{HUB}/ConsumerGroups/$Default/Partitions/0");
            let receiver = session.attach_receiver(source, receiving).await.unwrap();
            let expected: Vec<_> = desired().filter(|_| is_replicated).into_iter().collect();
            assert_eq!(sender.remote_attach().offered_capabilities, expected);
            assert_eq!(receiver.remote_attach().offered_capabilities, expected);
        }
    }
}
