//! Futures of the idempotent producer: what was given up is stored once in the end, or known not to be.

use amqp10::eventhubs::{IdempotentProducer, IdempotentProducerOptions};

use super::*;

pub(in crate::cancel) const COVERED: Covered = Covered {
    file: file!(),
    futures: &[
        ("Client::idempotent_producer", opening),
        (
            "IdempotentProducer::create_batch",
            batches_are_made_on_a_new_link,
        ),
        ("IdempotentProducer::send", what_is_unsettled_is_stored_once),
        (
            "IdempotentProducer::send_batch",
            what_is_unsettled_is_stored_once,
        ),
        (
            "IdempotentProducer::settle",
            what_is_unsettled_is_stored_once,
        ),
    ],
};

async fn idempotent(scene: &Scene) -> IdempotentProducer {
    let options = IdempotentProducerOptions::default();
    scene
        .client
        .idempotent_producer("0", options)
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn opening() {
    let scene = Scene::new().await;
    let polls = after_each_poll(async |polls| {
        let options = IdempotentProducerOptions::default();
        let opened = poll_times(polls, scene.client.idempotent_producer("0", options)).await;
        let is_over = opened.is_some();
        drop(opened);
        rest().await;
        let mut producer = idempotent(&scene).await;
        producer.send(format!("event {polls}")).await.unwrap();
        assert_eq!(scene.count(&format!("event {polls}")), 1);
        drop(producer);
        scene.check().await;
        is_over
    });
    assert!(polls.await > 1, "nothing was dropped in the middle");
}

#[tokio::test(start_paused = true)]
async fn batches_are_made_on_a_new_link() {
    let scene = Scene::new().await;
    let mut producer = idempotent(&scene).await;
    let polls = after_each_poll(async |polls| {
        scene.emulator.close_connections();
        rest().await;
        let made = poll_times(polls, producer.create_batch(None)).await;
        assert!(!producer.is_unsettled());
        let mut batch = producer.create_batch(None).await.unwrap();
        batch.try_add(format!("event {polls}")).unwrap();
        producer.send_batch(batch).await.unwrap();
        made.is_some()
    });
    let polls = polls.await;
    assert!(polls > 1, "nothing was dropped in the middle");
    let expected: Vec<_> = (0..=polls).map(|polls| format!("event {polls}")).collect();
    assert_eq!(scene.stored(), expected);
    drop(producer);
    scene.check().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_unsettled_is_stored_once() {
    for is_batch in [false, true] {
        for is_lost in [false, true] {
            let scene = Scene::new().await;
            let mut producer = idempotent(&scene).await;
            let polls = after_each_poll(async |polls| {
                let text = format!("event {polls}");
                let mut batch = producer.create_batch(None).await.unwrap();
                batch.try_add(text.clone()).unwrap();
                if is_lost {
                    scene.emulator.close_connections();
                    rest().await;
                }
                let sent = match is_batch {
                    true => poll_times(polls, producer.send_batch(batch)).await,
                    false => poll_times(polls, producer.send(text.clone())).await,
                };
                rest().await;
                let is_over = sent.is_some();
                let mut expected = usize::from(is_over || producer.is_unsettled());
                let count = scene.count(&text);
                assert!(count <= expected, "{text} is stored, and nobody knows");
                // Whatever of the repetition is given up, the next goes on with it.
                for polls in 0..6 {
                    drop(poll_times(polls, producer.settle()).await);
                }
                producer.settle().await.unwrap();
                assert!(!producer.is_unsettled());
                assert_eq!(scene.count(&text), expected, "{text}");
                if expected == 0 {
                    producer.send(text.clone()).await.unwrap();
                    expected = 1;
                }
                assert_eq!(scene.count(&text), expected, "{text}");
                is_over
            });
            assert!(polls.await > 1, "nothing was dropped in the middle");
            drop(producer);
            scene.check().await;
        }
    }
}
