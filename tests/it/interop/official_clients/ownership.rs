//! Owner levels: the higher or the newer of the same level takes the partition, whoever it is.

use amqp10::eventhubs::ErrorKind;

use super::*;

/// A reader of partition 0 of theirs that owns it: it has read the first event.
async fn owner(peers: &Peers, level: &str) -> Running {
    let receive = [
        "receive",
        "1000",
        "--partition",
        "0",
        "--owner-level",
        level,
    ];
    let mut reader = peers.start_theirs(&receive);
    assert!(reader.next().await.is_some(), "an event with level {level}");
    reader
}

/// It has been told that it lost the partition, and says so.
async fn expect_stolen(reader: Running) {
    let error = reader.end().await.unwrap_err();
    let tells = [
        "amqp:link:stolen",
        "LinkStolen",
        "ConsumerDisconnected",
        "ReceiverDisconnected",
        "higher epoch",
    ];
    assert!(tells.iter().any(|text| error.contains(text)), "{error}");
}

#[tokio::test]
async fn a_higher_and_an_equal_level_of_theirs_takes_over() {
    with_each(|peers| async move {
        peers.send_ours("0", 0..3).await;
        let first = owner(&peers, "1").await;
        let second = owner(&peers, "2").await;
        expect_stolen(first).await;
        let third = owner(&peers, "2").await;
        expect_stolen(second).await;
        drop(third);
    })
    .await;
}

#[tokio::test]
async fn a_lower_level_of_theirs_is_refused() {
    with_each(|peers| async move {
        peers.send_ours("0", 0..3).await;
        let first = owner(&peers, "5").await;
        let receive = ["receive", "1", "--partition", "0", "--owner-level", "4"];
        expect_stolen(peers.start_theirs(&receive)).await;
        drop(first);
    })
    .await;
}

#[tokio::test]
async fn ours_and_theirs_take_a_partition_from_each_other() {
    with_each(|peers| async move {
        peers.send_ours("0", 0..3).await;
        let theirs = owner(&peers, "1").await;
        let options = ConsumerOptions::default().position(Position::earliest());
        let mut ours = peers.our_consumer("0", options.owner_level(2)).await;
        for _ in 0..3 {
            soon("the event", ours.recv()).await.unwrap();
        }
        expect_stolen(theirs).await;
        let theirs = owner(&peers, "3").await;
        let lost: EventHubsError = soon("the loss", ours.recv()).await.unwrap_err();
        assert_eq!(lost.kind(), ErrorKind::OwnershipLost, "{lost}");
        drop(theirs);
    })
    .await;
}
