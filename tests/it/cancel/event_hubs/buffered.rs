//! Futures of the buffered producer: each event that was taken has one result, whoever waits for it.

use amqp10::eventhubs::{BufferedProducer, BufferedProducerOptions, ErrorKind};

use super::*;

pub(in crate::cancel) const COVERED: Covered = Covered {
    file: file!(),
    futures: &[
        ("Client::buffered_producer", opening),
        (
            "BufferedProducer::enqueue",
            what_waits_for_room_is_not_taken,
        ),
        (
            "BufferedProducer::enqueue_to",
            what_waits_for_room_is_not_taken,
        ),
        (
            "BufferedProducer::flush",
            events_leave_although_nobody_waits,
        ),
        (
            "BufferedProducer::close",
            events_leave_although_nobody_waits,
        ),
        ("EventReceipt::poll", a_receipt_can_be_left_and_polled_again),
    ],
};

/// Nothing leaves by itself.
fn patient() -> BufferedProducerOptions {
    BufferedProducerOptions::default().linger(Duration::from_secs(3600))
}

async fn buffered(scene: &Scene, options: BufferedProducerOptions) -> BufferedProducer {
    scene.client.buffered_producer(options).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn opening() {
    let polls = after_each_poll(async |polls| {
        let scene = Scene::new().await;
        let opened = poll_times(polls, scene.client.buffered_producer(patient())).await;
        let is_over = opened.is_some();
        drop(opened);
        rest().await;
        let producer = buffered(&scene, patient()).await;
        let receipt = producer.enqueue("event").await.unwrap();
        producer.close().await;
        receipt.await.unwrap();
        drop(producer);
        scene.check().await;
        is_over
    });
    assert!(polls.await > 1, "nothing was dropped in the middle");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_room_is_not_taken() {
    for is_idempotent in [false, true] {
        let scene = Scene::new().await;
        let options = patient().max_buffered(2).idempotent(is_idempotent);
        let producer = buffered(&scene, options).await;
        let route = || Route::partition("0");
        let mut expected = Vec::new();
        for round in 0..10 {
            let texts = [format!("first {round}"), format!("second {round}")];
            for text in &texts {
                drop(producer.enqueue_to(route(), text.clone()).await.unwrap());
            }
            expected.extend(texts);
            for polls in 0..4 {
                let full = poll_briefly(polls, producer.enqueue("given up")).await;
                assert!(full.is_none(), "there is no room");
                let full = poll_briefly(polls, producer.enqueue_to(route(), "given up")).await;
                assert!(full.is_none(), "there is no room");
            }
            producer.flush().await;
            // All of the room is there again.
            assert_eq!(scene.stored(), expected);
        }
        producer.close().await;
        let late = producer.enqueue("late").await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Closed);
        drop(producer);
        scene.check().await;
    }
}

#[tokio::test(start_paused = true)]
async fn events_leave_although_nobody_waits() {
    for is_idempotent in [false, true] {
        for is_close in [false, true] {
            let polls = after_each_poll(async |polls| {
                let scene = Scene::new().await;
                let options = patient().idempotent(is_idempotent);
                let producer = buffered(&scene, options).await;
                let mut receipts = Vec::new();
                for number in 0..10 {
                    receipts.push(producer.enqueue(number.to_string()).await.unwrap());
                }
                let done = match is_close {
                    true => poll_times(polls, producer.close()).await,
                    false => poll_times(polls, producer.flush()).await,
                };
                if polls > 0 {
                    for receipt in receipts {
                        let stored = timeout(LONG, receipt).await;
                        stored.expect("a result").unwrap();
                    }
                    assert_eq!(scene.stored().len(), 10);
                    let is_closed = producer.enqueue("late").await.is_err();
                    assert_eq!(is_closed, is_close);
                }
                drop(producer);
                scene.check().await;
                done.is_some()
            });
            assert!(polls.await > 1, "nothing was dropped in the middle");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_receipt_can_be_left_and_polled_again() {
    let scene = Scene::new().await;
    let producer = buffered(&scene, patient()).await;
    let mut receipt = producer.enqueue("event").await.unwrap();
    for polls in 0..4 {
        let result = poll_times(polls.min(1), &mut receipt).await;
        assert!(result.is_none(), "it has not left");
    }
    producer.flush().await;
    receipt.await.unwrap();
    assert_eq!(scene.stored(), ["event"]);
}
