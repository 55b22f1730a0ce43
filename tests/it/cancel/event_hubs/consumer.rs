//! Futures of the consumer: each event comes once and in order, whatever is dropped.

use std::pin::Pin;

use amqp10::eventhubs::ReceivedEvent;
use futures_core::Stream;

use super::*;

pub(in crate::cancel) const COVERED: Covered = Covered {
    file: file!(),
    futures: &[
        ("Client::consumer", opening),
        ("PartitionConsumer::recv", no_event_is_lost_or_doubled),
        ("PartitionConsumer::recv_batch", no_event_is_lost_or_doubled),
        ("PartitionConsumer::poll_next", no_event_is_lost_or_doubled),
        (
            "PartitionConsumer::close",
            the_link_is_detached_although_nobody_waits,
        ),
    ],
};

#[tokio::test(start_paused = true)]
async fn opening() {
    for position in [Position::earliest(), Position::latest()] {
        let scene = Scene::new().await;
        let polls = after_each_poll(async |polls| {
            let options = ConsumerOptions::default().position(position.clone());
            let opened = poll_times(polls, scene.client.consumer("0", options)).await;
            let is_over = opened.is_some();
            drop(opened);
            scene.check().await;
            is_over
        });
        assert!(polls.await > 1, "nothing was dropped in the middle");
    }
}

/// What came within so many polls, by any of the ways to receive; `None` if the future was dropped.
async fn receive(
    way: &str,
    polls: usize,
    consumer: &mut PartitionConsumer,
) -> Option<Vec<ReceivedEvent>> {
    match way {
        "recv" => {
            let received = poll_times(polls, consumer.recv()).await;
            received.map(|event| vec![event.unwrap()])
        }
        "recv_batch" => {
            let received = poll_times(polls, consumer.recv_batch(3, LONG)).await;
            received.map(Result::unwrap)
        }
        _ => {
            let next = poll_fn(|context| Pin::new(&mut *consumer).poll_next(context));
            let received = poll_times(polls, next).await;
            received.map(|event| vec![event.unwrap().unwrap()])
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_event_is_lost_or_doubled() {
    for way in ["recv", "recv_batch", "stream"] {
        for is_lost in [false, true] {
            let scene = Scene::new().await;
            let mut consumer = scene.consumer().await;
            let mut sent = 0u32;
            let mut expected = 0u32;
            let polls = after_each_poll(async |polls| {
                scene
                    .publish((sent..sent + 3).map(|number| number.to_string()))
                    .await;
                sent += 3;
                rest().await;
                if is_lost {
                    scene.emulator.close_connections();
                    rest().await;
                }
                let received = receive(way, polls, &mut consumer).await;
                let is_over = received.is_some();
                let mut received = received.unwrap_or_default();
                while received.len() < 3 {
                    let next = timeout(LONG, consumer.recv()).await;
                    received.push(next.expect("no event is lost").unwrap());
                }
                for event in received {
                    assert_eq!(event.body(), expected.to_string().as_bytes());
                    expected += 1;
                }
                is_over
            });
            // What has come is there at the first poll; otherwise the link is attached first.
            assert!(polls.await > 0);
            drop(consumer);
            scene.check().await;
        }
    }
}

/// Nothing comes, and the wait is given up again and again, also while a link is attached in place of a silent one.
#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_again_and_again_ends_with_the_event() {
    let scene = Scene::new().await;
    let mut consumer = scene.consumer().await;
    for polls in 0..40 {
        if polls % 7 == 0 {
            scene.emulator.close_connections();
        }
        assert!(receive("recv", polls % 5, &mut consumer).await.is_none());
    }
    scene.publish(["event".to_owned()]).await;
    let event = timeout(LONG, consumer.recv()).await.expect("an event");
    assert_eq!(event.unwrap().body(), b"event");
    drop(consumer);
    scene.check().await;
}

#[tokio::test(start_paused = true)]
async fn the_link_is_detached_although_nobody_waits() {
    let scene = Scene::new().await;
    let polls = after_each_poll(async |polls| {
        let closed = poll_times(polls, scene.consumer().await.close()).await;
        scene.check().await;
        closed.is_some()
    });
    assert!(polls.await > 1, "nothing was dropped in the middle");
}
