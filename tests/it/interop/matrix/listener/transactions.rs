//! Transactions that the peer controls, with our broker as their coordinator.

use super::Connecting;
use super::credit::broker;

const QUEUE: &str = "queue/transactions";

/// What is posted and retired in a transaction happens if it is committed, and does not if it is rolled back.
pub async fn transactions<C: Connecting>() -> Option<()> {
    let (broker, client) = broker::<C>().await?;
    let steps = [
        ("post", "rollback", 0),
        ("post", "commit", 3),
        ("retire", "rollback", 3),
        ("retire", "commit", 0),
    ];
    for (work, end, left) in steps {
        client.call("transact", QUEUE, &[work, end, "3"]).await;
        let depth = broker.depth(QUEUE).unwrap_or(0);
        assert_eq!(depth, left, "after {work} and {end}");
    }
    broker.shutdown().await;
    Some(())
}
