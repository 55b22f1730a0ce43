//! Futures that receive, and settle what came.

use std::pin::Pin;

use amqp10::codec::ReceiverSettleMode;
use futures_core::Stream;

use super::*;

pub(super) const COVERED: Covered = Covered {
    file: file!(),
    futures: &[
        ("Receiver::recv", no_delivery_is_lost_by_dropping_a_receive),
        (
            "Receiver::recv_batch",
            no_delivery_is_lost_by_dropping_a_receive,
        ),
        (
            "DeliveryStream::poll_next",
            no_delivery_is_lost_by_dropping_a_receive,
        ),
        ("Receiver::drain", drain_and_what_follows_it),
        (
            "Delivery::accept_confirmed",
            a_confirmation_can_be_waited_for_again,
        ),
    ],
};

#[tokio::test]
async fn no_delivery_is_lost_by_dropping_a_receive() {
    let pair = Pair::new().await;
    let (receiver, sender) = numbers(&pair).await;
    let mut next = 0u32;
    let mut expect = |delivery: &Delivery| {
        assert_eq!(number(delivery), next);
        next += 1;
    };
    let mut sent = 0u32;
    for polls in 0..6 {
        for way in 0..3 {
            for _ in 0..2 {
                sender
                    .send_settled(sent.to_be_bytes().to_vec())
                    .await
                    .unwrap();
                sent += 1;
            }
            match way {
                0 => {
                    let received = poll_times(polls, receiver.recv()).await;
                    received
                        .iter()
                        .for_each(|delivery| expect(delivery.as_ref().unwrap()));
                }
                1 => {
                    let received = poll_times(polls, receiver.recv_batch(2, LONG)).await;
                    received
                        .into_iter()
                        .for_each(|batch| batch.unwrap().iter().for_each(&mut expect));
                }
                _ => {
                    let mut stream = receiver.stream();
                    let received =
                        poll_times(polls, poll_fn(|cx| Pin::new(&mut stream).poll_next(cx))).await;
                    received
                        .flatten()
                        .iter()
                        .for_each(|delivery| expect(delivery.as_ref().unwrap()));
                }
            }
        }
    }
    drop(sender);
    while let Ok(delivery) = timeout(LONG, receiver.recv())
        .await
        .expect("the end of the link")
    {
        expect(&delivery);
    }
    assert_eq!(next, sent);
}

#[tokio::test]
async fn a_receiver_that_was_woken_and_dropped_hands_its_turn_on() {
    let pair = Pair::new().await;
    let (receiver, sender) = numbers(&pair).await;
    let mut first = Box::pin(receiver.recv());
    assert!(
        poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx)))
            .await
            .is_pending()
    );
    let second = tokio::spawn({
        let receiver = receiver.clone();
        async move { receiver.recv().await.map(|delivery| number(&delivery)) }
    });
    tokio::task::yield_now().await;
    sender.send_settled(vec![0, 0, 0, 7]).await.unwrap();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    drop(first);
    assert_eq!(
        timeout(LONG, second)
            .await
            .expect("its turn")
            .unwrap()
            .unwrap(),
        7
    );
}

#[tokio::test]
async fn drain_and_what_follows_it() {
    let pair = Pair::new().await;
    let (receiver, sender) = numbers(&pair).await;
    for polls in 0..6 {
        let _ = poll_times(polls, receiver.drain()).await;
        sender.send_settled(vec![0, 0, 0, 9]).await.unwrap();
        let delivery = timeout(LONG, receiver.recv())
            .await
            .expect("credit after the drain");
        assert_eq!(number(&delivery.unwrap()), 9);
    }
    timeout(LONG, receiver.drain())
        .await
        .expect("an answer")
        .unwrap();
    let sent = timeout(LONG, sender.send_settled(vec![0, 0, 0, 1])).await;
    sent.expect("automatic credit starts anew").unwrap();
}

#[tokio::test]
async fn a_confirmation_can_be_waited_for_again() {
    let pair = Pair::new().await;
    let session = session(&pair).await;
    let options = SenderOptions::default().rcv_settle_mode(ReceiverSettleMode::Second);
    let (sender, accepted) = tokio::join!(session.attach_sender("node", options), async {
        let link = pair.server.accept_link().await.unwrap();
        link.accept(AcceptLinkOptions::default()).await.unwrap()
    });
    let AcceptedLink::Receiver(receiver) = accepted else {
        panic!("a receiver")
    };
    let sender = sender.unwrap();
    for polls in 0..4 {
        let receipt = sender.send_with_receipt("x").await.unwrap();
        let delivery = receiver.recv().await.unwrap();
        let _ = poll_times(polls, delivery.accept_confirmed()).await;
        timeout(LONG, delivery.accept_confirmed())
            .await
            .expect("confirmed")
            .unwrap();
        assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
    }
}
