//! Connections that come back, to a broker that closes them again and again.

use std::collections::BTreeSet;
use std::sync::Arc;

use amqp10::reconnect::{ReconnectOptions, ReconnectingConnection};

use super::*;

/// Tasks that send, and messages of each.
const TASKS: u32 = 4;
const MESSAGES: u32 = 100;

async fn reconnecting(broker: &Arc<Broker>) -> ReconnectingConnection {
    let broker = broker.clone();
    let connect = move || {
        let stream = broker.connect();
        Connection::open_with_stream(stream, ConnectionOptions::default())
    };
    let options = ReconnectOptions::default()
        .first_delay(Duration::from_millis(5))
        .max_attempts(None);
    ReconnectingConnection::open_with(connect, options)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_message_arrives_at_least_once_though_the_broker_closes_its_connections() {
    let broker = Arc::new(broker().await);
    let sender = reconnecting(&broker).await;
    let sender = sender.sender("orders", SenderOptions::default());
    let receiver = reconnecting(&broker).await;
    let receiver = receiver.receiver("orders", ReceiverOptions::default());
    let sending: Vec<_> = (0..TASKS)
        .map(|task| {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut receipts = Vec::new();
                for number in 0..MESSAGES {
                    let message = format!("{task}/{number}");
                    receipts.push(sender.send_with_receipt(message).await.unwrap());
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                for receipt in receipts {
                    assert!(receipt.await.unwrap().is_accepted());
                }
            })
        })
        .collect();
    let receiving = tokio::spawn(async move {
        let mut received = BTreeSet::new();
        while received.len() < (TASKS * MESSAGES) as usize {
            let delivery = receiver.recv().await.unwrap();
            received.insert(text(&delivery));
            // What cannot be accepted any more comes again.
            let _ = delivery.accept();
        }
    });
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(25)).await;
        broker.close_connections();
    }
    let all = async {
        for sending in sending {
            sending.await.unwrap();
        }
        receiving.await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .expect("all arrive");
}
