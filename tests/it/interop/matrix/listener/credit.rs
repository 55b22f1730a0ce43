//! Credit that the peer takes back. Served by our broker, which knows what it holds when it is asked to drain.

use amqp10::broker::{Broker, BrokerOptions};
use serde_json::json;

use super::{Access, Client, Connecting, assert_numbers};

const QUEUE: &str = "queue/credit";

/// Our broker, and the peer as its client.
pub async fn broker<C: Connecting>() -> Option<(Broker, Client)> {
    let broker = Broker::start(BrokerOptions::default()).await.unwrap();
    let address = broker.local_addr().unwrap();
    let client = Client::new::<C>(address, Access::plaintext(C::LOGIN))?;
    Some((broker, client))
}

/// The peer receives what there is, and its credit for more is taken back.
pub async fn drain<C: Connecting>() -> Option<()> {
    let (broker, client) = broker::<C>().await?;
    let empty = client.call("drain", QUEUE, &["10"]).await;
    assert_eq!(empty, [json!({ "drained": 0 })]);
    let numbered = ["--count", "5", "--size", "100"];
    client.send(QUEUE, &numbered, "accepted", 5).await;
    let mut lines = client.call("drain", QUEUE, &["10"]).await;
    assert_eq!(lines.pop().unwrap(), json!({ "drained": 5 }));
    assert_numbers(&lines, 0..5);
    assert_eq!(broker.depth(QUEUE).unwrap_or(0), 0);
    broker.shutdown().await;
    Some(())
}

/// The peer gets one message after the other, until there is none [2.6.10].
pub async fn synchronous_get<C: Connecting>() -> Option<()> {
    let (broker, client) = broker::<C>().await?;
    assert_eq!(client.call("get", QUEUE, &[]).await.len(), 0);
    let numbered = ["--count", "20", "--size", "100"];
    client.send(QUEUE, &numbered, "accepted", 20).await;
    assert_numbers(&client.call("get", QUEUE, &[]).await, 0..20);
    assert_eq!(broker.depth(QUEUE).unwrap_or(0), 0);
    broker.shutdown().await;
    Some(())
}
