//! Links that fall silent, and what a client tells of what befalls it.

use amqp10::eventhubs::ErrorKind;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::scripted::{Feed, Service, partition_ending_with};
use super::*;

async fn feed(coming: &mut UnboundedReceiver<Feed>) -> Feed {
    coming.recv().await.unwrap()
}

fn nobody(coming: &mut UnboundedReceiver<Feed>) -> bool {
    coming.try_recv().is_err()
}

#[tokio::test(start_paused = true)]
async fn a_link_that_falls_silent_is_noticed_and_made_anew() {
    let (service, mut coming) = Service::new();
    let (observer, notes) = notes();
    let client = service.client(observer).await;
    let mut consumer = from_start(&client, "0").await;
    let first = feed(&mut coming).await;
    first.send(0, "a:0").await;
    assert_eq!(text(&next(&mut consumer).await), "0");

    // Two events more, which this link does not bring. The consumer is waited for once, and not polled in between.
    service.answer(|| partition_ending_with(2, "a:2"));
    let started = Instant::now();
    let waiting = tokio::spawn(async move { (consumer.recv().await, consumer) });
    let second = feed(&mut coming).await;
    let noticed = started.elapsed().as_secs();
    assert!((75..=95).contains(&noticed), "{noticed}");
    assert_eq!(second.selector(), "amqp.annotation.x-opt-offset > 'a:0'");
    assert_eq!(count(&notes, "LinkSilent"), 1);
    for number in [1, 2] {
        second.send(number, &format!("a:{number}")).await;
    }
    let (event, mut consumer) = waiting.await.unwrap();
    assert_eq!(text(&event.unwrap()), "1");
    assert_eq!(text(&next(&mut consumer).await), "2");
    assert!(first.sender.is_detached(), "the silent link is detached");
}

#[tokio::test(start_paused = true)]
async fn a_partition_on_which_nothing_happens_keeps_its_link() {
    let (service, mut coming) = Service::new();
    let (observer, notes) = notes();
    let client = service.client(observer).await;
    let mut consumer = from_start(&client, "0").await;
    let feed = feed(&mut coming).await;
    feed.send(0, "a:0").await;
    next(&mut consumer).await;
    service.answer(|| partition_ending_with(0, "a:0"));
    let hours = Duration::from_secs(4 * 3600);
    assert!(tokio::time::timeout(hours, consumer.recv()).await.is_err());
    assert!(nobody(&mut coming));
    assert_eq!(count(&notes, "LinkSilent"), 0);
    feed.send(1, "a:1").await;
    assert_eq!(text(&next(&mut consumer).await), "1");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_never_brought_anything_is_noticed_by_its_position() {
    let (service, mut coming) = Service::new();
    let client = service.client(notes().0).await;
    service.answer(|| partition_ending_with(6, "a:6"));
    let mut consumer = client
        .consumer("0", ConsumerOptions::default())
        .await
        .unwrap();
    let first = feed(&mut coming).await;
    assert_eq!(first.selector(), "amqp.annotation.x-opt-offset > 'a:6'");
    let quiet = tokio::time::timeout(Duration::from_secs(600), consumer.recv());
    assert!(quiet.await.is_err());
    assert!(nobody(&mut coming), "nothing came after the position");
    service.answer(|| partition_ending_with(7, "a:7"));
    let waiting = tokio::time::timeout(Duration::from_secs(120), consumer.recv());
    assert!(waiting.await.is_err());
    assert_eq!(
        feed(&mut coming).await.selector(),
        "amqp.annotation.x-opt-offset > 'a:6'"
    );
}

#[tokio::test(start_paused = true)]
async fn links_that_stay_silent_are_made_anew_ever_more_rarely() {
    let (service, mut coming) = Service::new();
    let client = service.client(notes().0).await;
    service.answer(|| partition_ending_with(6, "a:6"));
    let mut consumer = from_start(&client, "0").await;
    let hours = Duration::from_secs(6 * 3600);
    assert!(tokio::time::timeout(hours, consumer.recv()).await.is_err());
    let mut links = 0;
    while !nobody(&mut coming) {
        links += 1;
    }
    assert!((20..35).contains(&links), "{links}");
}

/// Two and a half intervals of 60 s and two tries of 60 s, whether the link shares its connection with `$management` or not.
#[tokio::test(start_paused = true)]
async fn a_silent_link_is_made_anew_within_a_bound_where_management_is_silent_too() {
    for connections in [1, 2] {
        let (service, mut coming) = Service::new();
        let (observer, notes) = notes();
        let client = service.client_over(connections, observer).await;
        let mut consumers = Vec::new();
        // Links are spread: with two connections, one of these is not on the first.
        for partition in ["0", "1"] {
            let mut consumer = from_start(&client, partition).await;
            let feed = feed(&mut coming).await;
            feed.send(0, "a:0").await;
            next(&mut consumer).await;
            consumers.push((consumer, feed));
        }
        service.say_nothing();
        for (mut consumer, old) in consumers {
            let started = Instant::now();
            let waiting = tokio::spawn(async move { consumer.recv().await });
            let new = feed(&mut coming).await;
            let noticed = started.elapsed();
            assert!(noticed <= Duration::from_secs(270), "{noticed:?}");
            assert_eq!(new.selector(), "amqp.annotation.x-opt-offset > 'a:0'");
            new.send(1, "a:1").await;
            assert_eq!(text(&waiting.await.unwrap().unwrap()), "1");
            assert!(old.sender.is_detached(), "the silent link is detached");
        }
        assert_eq!(count(&notes, "LinkSilent"), 2);
    }
}

/// No answer is one thing; an answer that tells nothing is another: whoever gives it lives.
#[tokio::test(start_paused = true)]
async fn a_link_is_kept_where_management_refuses_to_tell() {
    let (service, mut coming) = Service::new();
    let (observer, notes) = notes();
    let client = service.client(observer).await;
    let mut consumer = from_start(&client, "0").await;
    let first = feed(&mut coming).await;
    first.send(0, "a:0").await;
    next(&mut consumer).await;
    service.answer(amqp10::codec::Map::new);
    let hours = Duration::from_secs(4 * 3600);
    assert!(tokio::time::timeout(hours, consumer.recv()).await.is_err());
    assert!(nobody(&mut coming));
    assert_eq!(count(&notes, "LinkSilent"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_watchdog_can_be_switched_off() {
    let (service, mut coming) = Service::new();
    let client = service.client(notes().0).await;
    service.answer(|| partition_ending_with(6, "a:6"));
    let options = ConsumerOptions::default()
        .position(Position::earliest())
        .watchdog(None);
    let mut consumer = client.consumer("0", options).await.unwrap();
    let hours = Duration::from_secs(6 * 3600);
    assert!(tokio::time::timeout(hours, consumer.recv()).await.is_err());
    feed(&mut coming).await;
    assert!(nobody(&mut coming));
}

/// Offsets of a namespace with geo-replication: not numbers.
#[tokio::test(start_paused = true)]
async fn offsets_are_kept_and_given_back_as_they_came() {
    let (service, mut coming) = Service::new();
    let client = service.client(notes().0).await;
    service.answer(|| partition_ending_with(4, "1:90:4"));
    let mut consumer = client
        .consumer("0", ConsumerOptions::default())
        .await
        .unwrap();
    for (number, offset) in [(5, "1:100:5"), (6, "2:4:6"), (7, "'quoted'")] {
        let feed = feed(&mut coming).await;
        let capabilities = &feed.attach.desired_capabilities;
        let asked = capabilities.iter().map(|capability| capability.as_str());
        assert_eq!(asked.collect::<Vec<_>>(), ["com.microsoft:georeplication"]);
        let expected = match number {
            5 => "1:90:4",
            6 => "1:100:5",
            _ => "2:4:6",
        };
        let selector = format!("amqp.annotation.x-opt-offset > '{expected}'");
        assert_eq!(feed.selector(), selector);
        feed.send(number, offset).await;
        let event = next(&mut consumer).await;
        assert_eq!((event.sequence_number(), event.offset()), (number, offset));
        drop(feed);
        let quiet = tokio::time::timeout(Duration::from_secs(5), consumer.recv());
        assert!(quiet.await.is_err());
    }
    let last = feed(&mut coming).await;
    assert_eq!(
        last.selector(),
        "amqp.annotation.x-opt-offset > '''quoted'''"
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_read_is_told_once_and_passed_over() {
    let (service, mut coming) = Service::new();
    let client = service.client(notes().0).await;
    service.answer(|| partition_ending_with(5, "a:5"));
    let mut consumer = from_start(&client, "0").await;
    let first = feed(&mut coming).await;
    first.send(4, "a:4").await;
    first.send_unreadable(5, "a:5").await;
    assert_eq!(text(&next(&mut consumer).await), "4");
    let error = soon(consumer.recv()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
    let hours = Duration::from_secs(3600);
    assert!(tokio::time::timeout(hours, consumer.recv()).await.is_err());
    assert!(
        nobody(&mut coming),
        "the link is not silent: there is nothing"
    );
    drop(first);
    let soon = Duration::from_secs(5);
    assert!(tokio::time::timeout(soon, consumer.recv()).await.is_err());
    let second = feed(&mut coming).await;
    assert_eq!(second.selector(), "amqp.annotation.x-opt-offset > 'a:5'");
}
