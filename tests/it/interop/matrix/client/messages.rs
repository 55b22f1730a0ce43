//! Many and large messages: all come, once, in order and with equal octets.

use amqp10::codec::{MessageId, Properties};
use amqp10::{Body, Message, Outcome, ReceiverOptions};

use super::{Listening, Scene};
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

/// In flight in both directions at once.
async fn pipelined(links: &Links, count: usize, size: usize) {
    let sending = async {
        let mut receipts = Vec::new();
        for number in 0..count {
            let message = numbered(number, size);
            receipts.push(links.sender.send_with_receipt(message).await.unwrap());
        }
        for receipt in receipts {
            assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
        }
    };
    let receiving = async {
        for number in 0..count {
            let delivery = links.receiver.recv().await.unwrap();
            assert_eq!(number_of(&delivery.message().unwrap(), size), number as u64);
            delivery.accept().unwrap();
        }
    };
    soon("the messages", async { tokio::join!(sending, receiving) }).await;
    links.expect_silence().await;
}

pub async fn ten_thousand_small<P: Listening>() -> Option<()> {
    let links = Scene::<P>::start().await?.links().await;
    pipelined(&links, 10_000, 100).await;
    links.close().await;
    Some(())
}

/// In the largest frames that the peer takes.
pub async fn hundred_of_one_mebibyte<P: Listening>() -> Option<()> {
    let scene = Scene::<P>::start().await?;
    let connection = scene
        .connect_with(|options| options.max_frame_size(1 << 20))
        .await;
    let address = scene.peer.queue().await;
    let links = Links::open(&connection, &address, ReceiverOptions::default()).await;
    pipelined(&links, 100, 1 << 20).await;
    links.close().await;
    Some(())
}

/// We take no larger frames than 512 octets; the peer says of itself what it takes.
pub async fn fifty_mebibytes_at_512<P: Listening>() -> Option<()> {
    let scene = Scene::<P>::start().await?;
    let connection = scene
        .connect_with(|options| options.max_frame_size(512))
        .await;
    let address = scene.peer.queue().await;
    let links = Links::open(&connection, &address, ReceiverOptions::default()).await;
    pipelined(&links, 1, 50 << 20).await;
    links.close().await;
    Some(())
}
