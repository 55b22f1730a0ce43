//! Credit that the receiver gives by hand and takes back.

use std::time::Duration;

use amqp10::{Credit, ReceiverOptions};

use super::messages::{number_of, numbered};
use super::{Listening, Scene};
use crate::interop::broker::Links;
use crate::interop::soon;

/// How long a queue may take to hand out what it holds.
const PATIENCE: Duration = Duration::from_millis(500);

fn by_hand() -> ReceiverOptions {
    ReceiverOptions::default().credit(Credit::Manual)
}

/// Nothing comes without credit, drain takes back what is not used, and what is left comes with the next credit.
pub async fn drain<P: Listening>() -> Option<()> {
    let scene = Scene::<P>::start().await?;
    let links = scene.links_with(by_hand()).await;
    for number in 0..3 {
        assert!(links.send(numbered(number, 10)).await.is_accepted());
    }
    links.expect_silence().await;

    links.receiver.add_credit(2).unwrap();
    assert_eq!(take(&links, 2).await, [0, 1]);
    soon("a drain without credit", links.receiver.drain())
        .await
        .unwrap();
    links.receiver.add_credit(10).unwrap();
    assert_eq!(take(&links, 1).await, [2]);
    soon("the drain", links.receiver.drain()).await.unwrap();
    assert_eq!(links.receiver.credit(), 0);

    assert!(links.send(numbered(3, 10)).await.is_accepted());
    links.expect_silence().await;
    links.receiver.add_credit(1).unwrap();
    assert_eq!(take(&links, 1).await, [3]);
    links.close().await;
    Some(())
}

async fn take(links: &Links, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        let delivery = links.recv().await;
        numbers.push(number_of(&delivery.message().unwrap(), 10));
        delivery.accept().unwrap();
    }
    numbers
}

/// One message or the news that there is none [2.6.10]: a credit, and after some time the drain of it.
async fn get(links: &Links) -> Option<u64> {
    links.receiver.add_credit(1).unwrap();
    let mut batch = links.receiver.recv_batch(1, PATIENCE).await.unwrap();
    if batch.is_empty() {
        soon("the drain", links.receiver.drain()).await.unwrap();
        // It may have come while the credit was taken back.
        batch.extend(links.receiver.try_recv().unwrap());
    }
    assert_eq!(links.receiver.credit(), 0);
    let delivery = batch.pop()?;
    delivery.accept().unwrap();
    Some(number_of(&delivery.message().unwrap(), 10))
}

pub async fn synchronous_get<P: Listening>() -> Option<()> {
    let scene = Scene::<P>::start().await?;
    let links = scene.links_with(by_hand()).await;
    assert_eq!(get(&links).await, None);
    for number in 0..20 {
        assert!(links.send(numbered(number, 10)).await.is_accepted());
    }
    for number in 0..20 {
        assert_eq!(get(&links).await, Some(number));
    }
    assert_eq!(get(&links).await, None);
    links.close().await;
    Some(())
}
