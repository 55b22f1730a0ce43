//! Who settles, when, and with which outcome.

use amqp10::codec::{AmqpError, Modified, ReceiverSettleMode, SenderSettleMode, condition};
use amqp10::{Delivery, Outcome as Sent, ReceiverOptions, SenderOptions, SessionOptions};

use super::messages::{number_of, numbered};
use super::{Listening, Outcome, Scene};
use crate::interop::broker::{self, Links};
use crate::interop::soon;

const COUNT: usize = 1000;

/// A message comes again after the outcomes after which the peer says so, and otherwise not; a sender is told every outcome.
pub async fn outcomes<P: Listening>() -> Option<()> {
    let scene = Scene::<P>::start().await?;
    for (outcome, comes_again) in P::OUTCOMES {
        let links = scene.links().await;
        assert!(links.send(numbered(7, 20)).await.is_accepted());
        settle(&links.recv().await, *outcome);
        if *comes_again {
            let again = links.recv().await;
            assert_eq!(number_of(&again.message().unwrap(), 20), 7, "{outcome:?}");
            again.accept().unwrap();
        }
        links.expect_silence().await;
        links.close().await;
    }
    let connection = scene.connect().await;
    for (address, outcome) in P::ANSWERS {
        let session = connection.begin(SessionOptions::default()).await.unwrap();
        let sender = session.attach_sender(*address, SenderOptions::default());
        let sender = soon("the attach", sender).await.unwrap();
        let sent = soon("the outcome", sender.send("a message")).await.unwrap();
        assert_eq!(kind(&sent), *outcome, "{address}: {sent:?}");
        sender.close().await.unwrap();
    }
    broker::close(connection).await;
    Some(())
}

fn settle(delivery: &Delivery, outcome: Outcome) {
    match outcome {
        Outcome::Accepted => delivery.accept(),
        Outcome::Rejected => delivery.reject(Some(AmqpError::new(
            condition::NOT_ALLOWED,
            "not wanted here",
        ))),
        Outcome::Released => delivery.release(),
        Outcome::Modified => delivery.modify(Modified {
            delivery_failed: true,
            ..Modified::default()
        }),
    }
    .unwrap();
}

fn kind(outcome: &Sent) -> Outcome {
    match outcome {
        Sent::Accepted => Outcome::Accepted,
        Sent::Rejected(_) => Outcome::Rejected,
        Sent::Released => Outcome::Released,
        Sent::Modified(_) => Outcome::Modified,
        other => panic!("no outcome of a message: {other:?}"),
    }
}

/// Messages that nobody answers, in both directions where the peer agrees to it.
pub async fn presettled<P: Listening>() -> Option<()> {
    let options = ReceiverOptions::default().snd_settle_mode(SenderSettleMode::Settled);
    let scene = Scene::<P>::start().await?;
    let links = scene.links_with(options).await;
    let agreed = links.receiver.remote_attach().snd_settle_mode;
    let sending = async {
        for number in 0..COUNT {
            let message = numbered(number, 100);
            links.sender.send_settled(message).await.unwrap();
        }
    };
    let receiving = async {
        for number in 0..COUNT {
            let delivery = links.receiver.recv().await.unwrap();
            assert_eq!(number_of(&delivery.message().unwrap(), 100), number as u64);
            match agreed {
                SenderSettleMode::Settled => assert!(delivery.is_settled()),
                _ => delivery.accept().unwrap(),
            }
        }
    };
    soon("the messages", async { tokio::join!(sending, receiving) }).await;
    links.expect_silence().await;
    links.close().await;
    Some(())
}

/// Both links unsettled, in a mode of settling.
async fn links_of<P: Listening>(scene: &Scene<P>, mode: ReceiverSettleMode) -> Links {
    let address = scene.peer.queue().await;
    let connection = scene.connect().await;
    let session = connection.begin(SessionOptions::default()).await.unwrap();
    let sender = SenderOptions::default()
        .snd_settle_mode(SenderSettleMode::Unsettled)
        .rcv_settle_mode(mode);
    let sender = session.attach_sender(address.as_str(), sender);
    let receiver = ReceiverOptions::default()
        .snd_settle_mode(SenderSettleMode::Unsettled)
        .rcv_settle_mode(mode);
    Links {
        sender: soon("the sender's attach", sender).await.unwrap(),
        receiver: soon(
            "the receiver's attach",
            session.attach_receiver(address, receiver),
        )
        .await
        .unwrap(),
        session,
        connection,
    }
}

/// The receiver settles with its outcome, at once.
pub async fn settled_first<P: Listening>() -> Option<()> {
    let scene = Scene::<P>::start().await?;
    let links = links_of(&scene, ReceiverSettleMode::First).await;
    for number in 0..COUNT / 10 {
        assert!(links.send(numbered(number, 100)).await.is_accepted());
        let delivery = links.recv().await;
        assert!(!delivery.is_settled());
        assert_eq!(number_of(&delivery.message().unwrap(), 100), number as u64);
        delivery.accept().unwrap();
    }
    links.expect_silence().await;
    links.close().await;
    Some(())
}

/// The receiver says its outcome, and settles when the sender has settled.
pub async fn settled_second<P: Listening>() -> Option<()> {
    let scene = Scene::<P>::start().await?;
    let links = links_of(&scene, ReceiverSettleMode::Second).await;
    let modes = [
        links.sender.remote_attach().rcv_settle_mode,
        links.receiver.remote_attach().rcv_settle_mode,
    ];
    assert!(
        modes.contains(&ReceiverSettleMode::Second),
        "it agrees to the mode in neither direction"
    );
    for number in 0..COUNT / 10 {
        assert!(links.send(numbered(number, 100)).await.is_accepted());
        let delivery = links.recv().await;
        assert_eq!(number_of(&delivery.message().unwrap(), 100), number as u64);
        soon("the sender's settling", delivery.accept_confirmed())
            .await
            .unwrap();
    }
    links.expect_silence().await;
    links.close().await;
    Some(())
}
