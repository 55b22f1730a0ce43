//! The example broker of Qpid Proton C++: it keeps what it is sent, and forgets it when it has passed it on.
//!
//! It looks at no outcome and answers no drain, so neither is tried.

use amqp10::{Connection, ConnectionOptions, Credentials};

use super::broker::{self, close, connect};
use super::peers;

/// A connection, and the address of a queue that is made when it is first used.
async fn queue(url: &str) -> (Connection, String) {
    let connection = connect(url, ConnectionOptions::default()).await;
    (connection, uuid::Uuid::new_v4().to_string())
}

macro_rules! scenario {
    ($($name:ident)*) => { $(
        #[tokio::test]
        async fn $name() {
            let Some(url) = peers::proton_broker() else { return };
            let (connection, address) = queue(&url).await;
            broker::$name(&connection, &address).await;
        }
    )* };
}

scenario!(ten_thousand_small_messages twenty_messages_of_1_mib settled_messages batches_by_credit);

#[tokio::test]
async fn frames_of_any_size() {
    let Some(url) = peers::proton_broker() else {
        return;
    };
    let (connection, address) = queue(&url).await;
    broker::frames_of_any_size(&url, &address).await;
    close(connection).await;
}

#[tokio::test]
async fn every_type_of_value() {
    let Some(url) = peers::proton_broker() else {
        return;
    };
    let (connection, address) = queue(&url).await;
    broker::messages_of_file(&connection, &address, "messages.jsonl", |_, _| ()).await;
}

#[tokio::test]
async fn no_sasl_at_all() {
    let Some(url) = peers::proton_broker() else {
        return;
    };
    let options = ConnectionOptions::default().credentials(Credentials::None);
    let connection = connect(&url, options).await;
    broker::settled_messages(&connection, &uuid::Uuid::new_v4().to_string()).await;
}
