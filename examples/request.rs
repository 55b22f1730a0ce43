//! Request and reply: a service that answers questions, and a client that has several under way at once.
//!
//! ```sh
//! cargo run --example request --features broker
//! ```
//!
//! Both talk to a broker in the process here; by `Connection::open` they work over any other that makes nodes for replies.

use std::error::Error;

use amqp10::broker::{Broker, BrokerOptions};
use amqp10::request::{RequestClient, RequestOptions};
use amqp10::{
    Connection, Message, Outcome, Properties, ReceiverOptions, SenderOptions, Session,
    SessionOptions,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let broker = Broker::in_process(BrokerOptions::default()).await?;

    let connection = Connection::open_with_stream(broker.connect(), Default::default()).await?;
    let session = connection.begin(SessionOptions::default()).await?;
    let service = tokio::spawn(async move {
        if let Err(error) = serve(&session).await {
            println!("the service ended: {error}");
        }
    });

    let connection = Connection::open_with_stream(broker.connect(), Default::default()).await?;
    let session = connection.begin(SessionOptions::default()).await?;
    // The broker makes a node for the replies, and deletes it with the client.
    let lengths =
        RequestClient::attach_dynamic(&session, "lengths", RequestOptions::default()).await?;
    // Replies find their requests, in whatever order they come.
    let (short, long) = tokio::try_join!(lengths.request("tea"), lengths.request("coffee"))?;
    println!("tea has {:?}, coffee {:?}", short.body, long.body);

    lengths.close().await?;
    connection.close().await?;
    broker.shutdown().await;
    service.await?;
    Ok(())
}

/// Answers each text with its length, until the connection ends.
async fn serve(session: &Session) -> Result<(), Box<dyn Error>> {
    let requests = session
        .attach_receiver("lengths", ReceiverOptions::default())
        .await?;
    // One link for all replies: each names in `to` the node that it goes to.
    let replies = session
        .attach_anonymous_sender(SenderOptions::default())
        .await?;
    loop {
        let delivery = requests.recv().await?;
        let request = delivery.message()?;
        let asked = request.properties.unwrap_or_default();
        let text = request.body.as_value().and_then(|value| value.as_str());
        let length = text.map_or(0, str::len);
        let reply = Message::from(format!("{length} letters")).with_properties(Properties {
            to: asked.reply_to,
            correlation_id: asked.message_id,
            ..Properties::default()
        });
        match replies.send(reply).await? {
            Outcome::Accepted => delivery.accept()?,
            // Whoever asked does not wait any more.
            _ => delivery.reject(None)?,
        }
    }
}
