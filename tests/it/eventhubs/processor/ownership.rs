//! Who owns what, and what happens to the events, while processors come and go.

use amqp10::eventhubs::ConsumerOptions;
use amqp10::eventhubs::checkpoint::Checkpoint;
use amqp10::eventhubs::processor::StopReason;

use super::*;

#[tokio::test(start_paused = true)]
async fn ownerships_may_last_for_ever() {
    let scene = Scene::new().await;
    let options = scene.options("one").ownership_expiration(Duration::MAX);
    let processor = scene.start(options).await;
    let client = processor.next_partition().await.unwrap();
    client.close().await.unwrap();
    processor.shutdown(EXPIRATION).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_processor_reads_everything_and_gives_it_up_at_the_end() {
    let scene = Scene::new().await;
    scene.publish(10).await;
    let one = scene.worker("one").await;
    sleep(SETTLED).await;
    assert_eq!(scene.owners().await, ["one"; 4]);
    scene.assert_all_handled().await;
    one.shutdown().await;
    assert_eq!(scene.owners().await, [""; 4]);
    assert_eq!(scene.duplicates(), 0);
    assert!(scene.checkpoints().await.values().all(|last| *last == 9));

    // The next one goes on after the checkpoints, at once.
    scene.publish(5).await;
    let two = scene.worker("two").await;
    sleep(Duration::from_secs(5)).await;
    scene.assert_all_handled().await;
    assert_eq!(scene.duplicates(), 0);
    two.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn processors_that_join_and_leave_share_fairly_and_skip_nothing() {
    let scene = Scene::new().await;
    let one = scene.worker("one").await;
    scene.publish(20).await;
    sleep(SETTLED).await;
    let two = scene.worker("two").await;
    scene.publish(20).await;
    sleep(SETTLED).await;
    assert_eq!(scene.shares(&["one", "two"]).await, [2, 2]);
    let three = scene.worker("three").await;
    scene.publish(20).await;
    sleep(SETTLED).await;
    let mut shares = scene.shares(&["one", "two", "three"]).await;
    shares.sort();
    assert_eq!(shares, [1, 1, 2]);
    scene.publish(20).await;
    one.shutdown().await;
    scene.publish(20).await;
    sleep(SETTLED).await;
    assert_eq!(scene.shares(&["two", "three"]).await, [2, 2]);
    scene.assert_all_handled().await;
    two.shutdown().await;
    three.shutdown().await;
    assert_eq!(scene.owners().await, [""; 4]);
    // Three moves for the sake of balance, each with one batch that is not covered at most.
    assert!(scene.duplicates() <= 9, "{}", scene.duplicates());
}

#[tokio::test(start_paused = true)]
async fn the_partitions_of_a_killed_processor_are_taken_when_they_expire() {
    let scene = Scene::new().await;
    let one = scene.worker("one").await;
    let two = scene.worker("two").await;
    scene.publish(20).await;
    sleep(SETTLED).await;
    one.kill().await;
    scene.publish(20).await;
    sleep(EXPIRATION / 2).await;
    assert_eq!(scene.shares(&["one", "two"]).await, [2, 2]);
    sleep(EXPIRATION).await;
    assert_eq!(scene.shares(&["one", "two"]).await, [0, 4]);
    scene.assert_all_handled().await;
    two.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_comes_back_under_its_name_takes_its_partitions_at_once() {
    let scene = Scene::new().await;
    let one = scene.worker("one").await;
    scene.publish(10).await;
    sleep(SETTLED).await;
    one.kill().await;
    let again = scene.worker("one").await;
    scene.publish(10).await;
    sleep(Duration::from_secs(5)).await;
    scene.assert_all_handled().await;
    again.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_stolen_ends_with_a_reason_and_can_no_longer_be_checkpointed() {
    let scene = Scene::new().await;
    scene.publish(2).await;
    let one = scene.start(scene.options("one")).await;
    let mut clients = Vec::new();
    for _ in 0..PARTITIONS {
        let mut client = one.next_partition().await.unwrap();
        let event = client.recv().await.unwrap();
        clients.push((client, event));
    }
    let two = scene.worker("two").await;
    sleep(SETTLED).await;
    let mut lost = 0;
    for (mut client, event) in clients {
        match client.partition().stop_reason() {
            None => client.checkpoint(&event).await.unwrap(),
            Some(reason) => {
                assert_eq!(reason, StopReason::OwnershipLost);
                let error = client.checkpoint(&event).await.unwrap_err();
                assert!(error.to_string().contains("another"), "{error}");
                let error = client.recv().await.unwrap_err();
                assert!(error.to_string().contains("another"), "{error}");
                lost += 1;
            }
        }
    }
    assert_eq!(lost, 2);
    let lost_by_one = |event: &ProcessorEvent| {
        matches!(
            event,
            ProcessorEvent::Stopped {
                reason: StopReason::OwnershipLost,
                ..
            }
        )
    };
    sleep(Duration::from_secs(1)).await;
    assert_eq!(scene.told("one", lost_by_one), 2);
    let claimed_by_two = |event: &ProcessorEvent| matches!(event, ProcessorEvent::Claimed { previous_owner: Some(owner), .. } if owner == "one");
    assert_eq!(scene.told("two", claimed_by_two), 2);
    two.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_of_another_ends_the_partition_even_if_nobody_takes_the_link() {
    let scene = Scene::new().await;
    let one = scene.worker("one").await;
    sleep(SETTLED).await;
    // So many that there is nothing left for the first to claim.
    let records = scene.ownerships().await;
    let claims = records
        .iter()
        .map(|record| record.claimed_by(format!("other-{}", record.partition)));
    let group = scene.group();
    scene
        .store
        .claim_ownerships(&group, claims.collect())
        .await
        .unwrap();
    sleep(INTERVAL * 2).await;
    let lost = |event: &ProcessorEvent| {
        matches!(
            event,
            ProcessorEvent::Stopped {
                reason: StopReason::OwnershipLost,
                ..
            }
        )
    };
    assert_eq!(scene.told("one", lost), 4);
    one.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_steals_the_link_only_has_it_until_the_next_look() {
    let scene = Scene::new().await;
    let one = scene.worker("one").await;
    sleep(SETTLED).await;
    let intruder = ConsumerOptions::default().owner_level(0);
    let intruder = scene.client.consumer("2", intruder).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let lost = |event: &ProcessorEvent| {
        matches!(
            event,
            ProcessorEvent::Stopped {
                reason: StopReason::OwnershipLost,
                ..
            }
        )
    };
    assert_eq!(scene.told("one", lost), 1);
    scene.publish(5).await;
    sleep(SETTLED).await;
    scene.assert_all_handled().await;
    drop(intruder);
    one.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_while_stops_nothing() {
    let scene = Scene::new().await;
    let one = scene.worker("one").await;
    sleep(SETTLED).await;
    one.store.fail();
    scene.publish(1).await;
    sleep(EXPIRATION / 2).await;
    one.store.work();
    scene.publish(5).await;
    sleep(SETTLED).await;
    scene.assert_all_handled().await;
    let stopped = |event: &ProcessorEvent| matches!(event, ProcessorEvent::Stopped { .. });
    assert_eq!(scene.told("one", stopped), 0);
    let failed = |event: &ProcessorEvent| matches!(event, ProcessorEvent::StoreFailed { .. });
    assert!(scene.told("one", failed) >= 3);
    one.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_stops_reading_before_others_may_take_over_and_comes_back() {
    for mood in [UnreliableStore::fail, UnreliableStore::stall] {
        let scene = Scene::new().await;
        let one = scene.worker("one").await;
        sleep(SETTLED).await;
        mood(&one.store);
        sleep(EXPIRATION).await;
        let expired = |event: &ProcessorEvent| {
            matches!(
                event,
                ProcessorEvent::Stopped {
                    reason: StopReason::OwnershipExpired,
                    ..
                }
            )
        };
        scene.publish(3).await;
        sleep(SETTLED).await;
        assert_eq!(scene.told("one", expired), 4);
        assert!(scene.seen.handled.lock().unwrap().is_empty());
        one.store.work();
        sleep(SETTLED).await;
        scene.assert_all_handled().await;
        one.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_stalled_finds_its_partitions_taken_and_gets_its_share_again() {
    let scene = Scene::new().await;
    let one = scene.worker("one").await;
    let two = scene.worker("two").await;
    sleep(SETTLED).await;
    scene.publish(10).await;
    one.store.stall();
    sleep(EXPIRATION + SETTLED).await;
    assert_eq!(scene.shares(&["one", "two"]).await, [0, 4]);
    scene.publish(10).await;
    one.store.work();
    sleep(SETTLED).await;
    assert_eq!(scene.shares(&["one", "two"]).await, [2, 2]);
    scene.publish(10).await;
    sleep(SETTLED).await;
    scene.assert_all_handled().await;
    one.shutdown().await;
    two.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_no_reason_to_lose_partitions() {
    let scene = Scene::new().await;
    let one = scene.worker("one").await;
    sleep(SETTLED).await;
    for _ in 0..5 {
        scene.emulator.close_connections();
        scene.publish(4).await;
        sleep(Duration::from_secs(1)).await;
    }
    sleep(SETTLED).await;
    scene.assert_all_handled().await;
    assert_eq!(scene.duplicates(), 0);
    let stopped = |event: &ProcessorEvent| matches!(event, ProcessorEvent::Stopped { .. });
    assert_eq!(scene.told("one", stopped), 0);
    one.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_cannot_be_read_stops_its_partition_only() {
    let scene = Scene::new().await;
    scene.publish(2).await;
    let mut broken = Checkpoint::new("0", "", 0);
    broken.sequence_number = None;
    let group = scene.group();
    let update = scene.store.update_checkpoint(&group, broken);
    update.await.unwrap();
    let worker = scene.worker("one").await;
    sleep(SETTLED).await;
    let owners = scene.owners().await;
    assert_eq!(owners[0], "", "left to others");
    assert!(owners[1..].iter().all(|owner| owner == "one"), "{owners:?}");
    assert!(
        scene.told("one", |event| matches!(
            event,
            ProcessorEvent::StoreFailed { .. }
        )) > 0
    );

    // Repaired, it is read from there on.
    let repaired = Checkpoint::new("0", "", 0);
    let update = scene.store.update_checkpoint(&group, repaired);
    update.await.unwrap();
    sleep(EXPIRATION + SETTLED).await;
    assert_eq!(scene.owners().await[0], "one");
    let handled = scene.seen.handled.lock().unwrap().clone();
    assert!(!handled.contains_key(&("0".into(), 0)));
    assert!(handled.contains_key(&("0".into(), 1)));
    drop(worker);
}

#[tokio::test(start_paused = true)]
async fn partitions_are_left_to_others_where_checkpoints_may_not_be_listed() {
    let scene = Scene::new().await;
    scene.publish(1).await;
    let worker = scene.worker("one").await;
    worker.store.refuse_checkpoints();
    sleep(SETTLED).await;
    assert!(scene.owners().await.iter().all(String::is_empty));
    let other = scene.worker("two").await;
    sleep(SETTLED).await;
    scene.assert_all_handled().await;
    drop((worker, other));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_under_way_at_the_shutdown_is_given_up_too() {
    let scene = Scene::new().await;
    let worker = scene.worker("one").await;
    worker.store.claim_late();
    while !worker.store.is_claiming() {
        sleep(Duration::from_millis(10)).await;
    }
    worker.shutdown().await;
    sleep(EXPIRATION).await;
    let owners = scene.owners().await;
    assert!(!owners.is_empty());
    assert!(owners.iter().all(String::is_empty), "{owners:?}");
}
