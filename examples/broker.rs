//! A broker in your program, and what it is good for: a queue, an outcome that gives a message back, a transaction.
//!
//! ```sh
//! cargo run --example broker --features broker
//! ```
//!
//! Other programs can use it too, by the address that it prints.

use std::error::Error;

use amqp10::broker::{Broker, BrokerOptions};
use amqp10::transaction::{TransactionController, TransactionControllerOptions};
use amqp10::{Connection, ReceiverOptions, SenderOptions, SessionOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let broker = Broker::start(BrokerOptions::default()).await?;
    if let Some(address) = broker.local_addr() {
        println!("listening on amqp://{address}");
    }
    // The same as `Connection::open` with that URL, without the socket.
    let connection = Connection::open_with_stream(broker.connect(), Default::default()).await?;
    let session = connection.begin(SessionOptions::default()).await?;

    // A queue is there as soon as somebody names it.
    let orders = session
        .attach_sender("orders", SenderOptions::default())
        .await?;
    println!("sent: {:?}", orders.send("two coffees").await?);

    // What is released comes back; its header tells that somebody had it before.
    let receiver = session
        .attach_receiver("orders", ReceiverOptions::default())
        .await?;
    let first = receiver.recv().await?;
    first.release()?;
    let again = receiver.recv().await?;
    println!("again: {:?}", again.message()?.header);

    // Taking the order and announcing the bill happen together, or not at all.
    let bills = session
        .attach_sender("topic/bills", SenderOptions::default())
        .await?;
    let billing = session
        .attach_receiver("topic/bills", ReceiverOptions::default())
        .await?;
    let controller =
        TransactionController::attach(&session, TransactionControllerOptions::default()).await?;
    let transaction = controller.declare().await?;
    transaction.accept(again)?;
    let posted = transaction.send(&bills, "two coffees: 5.40").await?;
    println!("the bill will be: {posted:?}");
    transaction.commit().await?;

    let bill = billing.recv().await?;
    println!("billed: {:?}", bill.message()?.body);
    bill.accept()?;

    connection.close().await?;
    broker.shutdown().await;
    Ok(())
}
