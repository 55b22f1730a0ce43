//! Futures of the plain producer: an event whose send is dropped is stored once, or not at all.

use amqp10::eventhubs::BatchOptions;

use super::*;

pub(in crate::cancel) const COVERED: Covered = Covered {
    file: file!(),
    futures: &[
        ("Producer::send", events_are_stored_once_or_not_at_all),
        ("Producer::send_to", events_are_stored_once_or_not_at_all),
        ("Producer::create_batch", batches_are_made_for_the_link),
        (
            "Producer::send_batch",
            batches_are_stored_whole_or_not_at_all,
        ),
    ],
};

/// The ways an event goes.
fn routes() -> [Route; 4] {
    [
        Route::Any,
        Route::partition("0"),
        Route::key("device-42"),
        Route::publisher("device-42"),
    ]
}

#[tokio::test(start_paused = true)]
async fn events_are_stored_once_or_not_at_all() {
    for route in routes() {
        for is_lost in [false, true] {
            let scene = Scene::new().await;
            let producer = scene.producer();
            let polls = after_each_poll(async |polls| {
                if is_lost {
                    scene.emulator.close_connections();
                    rest().await;
                }
                let text = format!("{route:?} {polls}");
                let sent = match &route {
                    Route::Any => poll_times(polls, producer.send(text.clone())).await,
                    route => poll_times(polls, producer.send_to(route.clone(), text.clone())).await,
                };
                rest().await;
                let count = scene.count(&text);
                match &sent {
                    Some(sent) => assert_eq!((sent.is_ok(), count), (true, 1)),
                    None => assert!(count <= 1, "{text} is stored {count} times"),
                }
                let whole = format!("whole {text}");
                producer
                    .send_to(route.clone(), whole.clone())
                    .await
                    .unwrap();
                assert_eq!(scene.count(&whole), 1);
                sent.is_some()
            });
            assert!(polls.await > 1, "nothing was dropped in the middle");
            drop(producer);
            scene.check().await;
        }
    }
}

/// A place under way is given up with its send.
#[tokio::test(start_paused = true)]
async fn sends_that_wait_for_a_place_leave_the_queue() {
    let scene = Scene::new().await;
    let options = ProducerOptions::default().max_in_flight(1);
    let producer = scene.client.producer(options);
    let route = || Route::partition("0");
    for round in 0..10 {
        let first = producer.send_to(route(), format!("first {round}"));
        let given_up = poll_times(2, producer.send_to(route(), format!("given up {round}")));
        let last = producer.send_to(route(), format!("last {round}"));
        let (first, given_up, last) = tokio::join!(first, given_up, last);
        assert!(given_up.is_none());
        first.and(last).unwrap();
        rest().await;
        assert_eq!(scene.count(&format!("given up {round}")), 0);
    }
    let stored = scene.stored();
    let expected: Vec<_> = (0..10)
        .flat_map(|round| [format!("first {round}"), format!("last {round}")])
        .collect();
    assert_eq!(stored, expected);
}

#[tokio::test(start_paused = true)]
async fn batches_are_made_for_the_link() {
    let polls = after_each_poll(async |polls| {
        let scene = Scene::new().await;
        let producer = scene.producer();
        let batch = poll_times(polls, producer.create_batch(BatchOptions::default())).await;
        rest().await;
        let mut whole = producer
            .create_batch(BatchOptions::default())
            .await
            .unwrap();
        whole.try_add("event").unwrap();
        producer.send_batch(whole).await.unwrap();
        assert_eq!(scene.stored(), ["event"]);
        drop(producer);
        scene.check().await;
        batch.is_some()
    });
    assert!(polls.await > 1, "nothing was dropped in the middle");
}

#[tokio::test(start_paused = true)]
async fn batches_are_stored_whole_or_not_at_all() {
    const EVENTS: usize = 100;
    for is_lost in [false, true] {
        let scene = Scene::new().await;
        let producer = scene.producer();
        let polls = after_each_poll(async |polls| {
            let text = format!("batch {polls}");
            let batch = producer.create_batch(BatchOptions::partition("0")).await;
            let mut batch = batch.unwrap();
            for _ in 0..EVENTS {
                batch.try_add(text.clone()).unwrap();
            }
            if is_lost {
                scene.emulator.close_connections();
                rest().await;
            }
            let sent = poll_times(polls, producer.send_batch(batch)).await;
            rest().await;
            let count = scene.count(&text);
            match &sent {
                Some(sent) => assert_eq!((sent.is_ok(), count), (true, EVENTS)),
                None => assert!(count == 0 || count == EVENTS, "{count} of {EVENTS}"),
            }
            sent.is_some()
        });
        assert!(polls.await > 1, "nothing was dropped in the middle");
        drop(producer);
        scene.check().await;
    }
}
