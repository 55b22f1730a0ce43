//! Many and large messages: all come, once, in order and with equal octets.

use amqp10::codec::{MessageId, Properties};
use amqp10::{Body, Message, Outcome, ReceiverOptions, SessionOptions};

use super::{Access, Listening, Scene};
use crate::interop::broker::Links;
use crate::interop::{pattern, soon};

pub fn numbered(number: usize, size: usize) -> Message {
    let properties = Properties {
        message_id: Some(MessageId::Ulong(number as u64)),
        ..Properties::default()
    };
    Message::data(pattern(number, size)).with_properties(properties)
}

/// The number that [`numbered`] gave to a message, whose body must be that of the number.
pub fn number_of(message: &Message, size: usize) -> u64 {
    let Some(MessageId::Ulong(number)) = message.properties.as_ref().unwrap().message_id else {
        panic!("no number: {:?}", message.properties);
    };
    let sent = Body::Data(pattern(number as usize, size).into());
    assert!(message.body == sent, "the body of message {number}");
    number
}

/// Many in flight to the peer.
async fn send(links: &Links, count: usize, size: usize) {
    let mut receipts = Vec::new();
    for number in 0..count {
        let message = numbered(number, size);
        receipts.push(links.sender.send_with_receipt(message).await.unwrap());
    }
    for receipt in receipts {
        assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
    }
}

async fn receive(links: &Links, count: usize, size: usize) {
    for number in 0..count {
        let delivery = links.receiver.recv().await.unwrap();
        assert_eq!(number_of(&delivery.message().unwrap(), size), number as u64);
        delivery.accept().unwrap();
    }
}

/// Both at once.
async fn pipelined(links: &Links, count: usize, size: usize) {
    let both = async { tokio::join!(send(links, count, size), receive(links, count, size)) };
    soon("the messages", both).await;
    links.expect_silence().await;
}

pub async fn ten_thousand_small<P: Listening>() -> Option<()> {
    let scene = Scene::<P>::start().await?;
    let links = scene.links().await;
    pipelined(&links, 10_000, 100).await;
    links.close().await;
    Some(())
}

/// Our client takes no frames larger than this, nor does the peer if it can be told so.
async fn pipelined_at<P: Listening>(octets: u32, count: usize, size: usize) -> Option<()> {
    let access = Access::plaintext(P::LOGIN).max_frame_size(octets);
    let scene = Scene::<P>::with(access).await?;
    let connection = scene.connect().await;
    let session = SessionOptions::default().incoming_window(P::INCOMING_WINDOW);
    let (address, receiver) = (scene.peer.queue().await, ReceiverOptions::default());
    let links = Links::open_in(&connection, session, &address, receiver).await;
    pipelined(&links, count, size).await;
    links.close().await;
    Some(())
}

pub async fn hundred_of_one_mebibyte<P: Listening>() -> Option<()> {
    pipelined_at::<P>(1 << 20, 100, 1 << 20).await
}

pub async fn fifty_mebibytes_at_512<P: Listening>() -> Option<()> {
    pipelined_at::<P>(512, 1, 50 << 20).await
}
