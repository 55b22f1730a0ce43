//! Transactions, as their controller: with the peer's coordinator.

use amqp10::Outcome;
use amqp10::transaction::{TransactionController, TransactionControllerOptions};

use super::messages::{number_of, numbered};
use super::{Listening, Scene};
use crate::interop::soon;

/// What is posted and retired in a transaction happens if it is committed, and does not if it is rolled back.
pub async fn transactions<P: Listening>() -> Option<()> {
    let scene = Scene::<P>::start().await?;
    let links = scene.links().await;
    let options = TransactionControllerOptions::default();
    let attached = TransactionController::attach(&links.session, options);
    let controller = soon("the coordinator", attached).await.unwrap();
    let begin = || async { soon("the declare", controller.declare()).await.unwrap() };

    let committed = begin().await;
    for number in 0..3 {
        let sent = committed.send(&links.sender, numbered(number, 50)).await;
        assert_eq!(sent.unwrap(), Outcome::Accepted);
    }
    links.expect_silence().await;
    soon("the commit", committed.commit()).await.unwrap();

    let mut received = Vec::new();
    for number in 0..3 {
        let delivery = links.recv().await;
        assert_eq!(number_of(&delivery.message().unwrap(), 50), number);
        received.push(delivery);
    }
    let retiring = begin().await;
    for delivery in received {
        retiring.accept(delivery).unwrap();
    }
    soon("the commit", retiring.commit()).await.unwrap();
    links.expect_silence().await;

    let rolled_back = begin().await;
    let sent = rolled_back.send(&links.sender, numbered(9, 50)).await;
    assert_eq!(sent.unwrap(), Outcome::Accepted);
    soon("the rollback", rolled_back.rollback()).await.unwrap();
    links.expect_silence().await;

    assert!(links.send(numbered(4, 50)).await.is_accepted());
    let kept = begin().await;
    kept.accept(links.recv().await).unwrap();
    let left = soon("the rollback", kept.rollback()).await.unwrap();
    assert_eq!(left.len(), 1);
    left[0].release().unwrap();
    let again = links.recv().await;
    assert_eq!(number_of(&again.message().unwrap(), 50), 4);
    again.accept().unwrap();
    links.expect_silence().await;
    soon("the end of the control link", controller.close())
        .await
        .unwrap();
    links.close().await;
    Some(())
}
