//! Futures that send, and those of outcomes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use amqp10::Message;
use amqp10::codec::{DeliveryState, TransactionalState};
use bytes::Bytes;

use super::*;
use crate::support::scene;

pub(super) const COVERED: Covered = Covered {
    file: file!(),
    futures: &[
        ("Sender::send", a_send_that_waits_was_not_sent),
        ("Sender::send_settled", a_send_that_waits_was_not_sent),
        ("Sender::send_with_receipt", losers_of_select_lose_nothing),
        ("Sender::reserve", a_permit_that_is_dropped_is_the_next_ones),
        (
            "SendPermit::send_settled",
            a_permit_whose_credit_was_taken_back_waits,
        ),
        (
            "SendPermit::send_with_receipt",
            a_permit_whose_credit_was_taken_back_waits,
        ),
        (
            "Receipt::poll",
            a_receipt_can_be_polled_and_left_and_polled_again,
        ),
        (
            "Receipt::transactional_state",
            a_retirement_is_seen_by_who_asks_later,
        ),
        (
            "Receipt::retract",
            a_delivery_is_taken_back_although_nobody_waits,
        ),
    ],
};

#[tokio::test]
async fn a_send_that_waits_was_not_sent() {
    let pair = Pair::new().await;
    let (sender, receiver) = manual_link(&pair).await;
    for number in 0..10u32 {
        let dropped = poll_times(1, sender.send(vec![255; 4])).await;
        assert!(dropped.is_none(), "there is no credit");
        let dropped = poll_times(1, sender.send_settled(vec![255; 4])).await;
        assert!(dropped.is_none(), "there is no credit");
        let sending = sender.send_with_receipt(number.to_be_bytes().to_vec());
        receiver.add_credit(1).unwrap();
        let (receipt, delivery) = tokio::join!(sending, receiver.recv());
        let delivery = delivery.unwrap();
        assert_eq!(self::number(&delivery), number);
        delivery.accept().unwrap();
        assert_eq!(receipt.unwrap().await.unwrap(), Outcome::Accepted);
    }
    assert!(receiver.try_recv().unwrap().is_none());
}

#[tokio::test]
async fn a_send_whose_outcome_is_given_up_arrives() {
    let pair = Pair::new().await;
    let (sender, receiver) = manual_link(&pair).await;
    receiver.add_credit(5).unwrap();
    while sender.credit() == 0 {
        tokio::task::yield_now().await;
    }
    for number in 0..5u32 {
        assert!(
            poll_times(1, sender.send(number.to_be_bytes().to_vec()))
                .await
                .is_none()
        );
        let delivery = receiver.recv().await.unwrap();
        assert_eq!(self::number(&delivery), number);
        delivery.accept().unwrap();
    }
}

/// A waker that counts, and tells its future's number to who polls them all.
struct Counting {
    number: usize,
    wakes: AtomicUsize,
    woken: Arc<Mutex<VecDeque<usize>>>,
    outer: Waker,
}

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        self.woken.lock().unwrap().push_back(self.number);
        self.outer.wake_by_ref();
    }
}

#[tokio::test]
async fn a_thousand_senders_on_one_credit_go_in_order_with_few_wakes() {
    const SENDERS: usize = 1000;
    let pair = Pair::new().await;
    let (sender, receiver) = manual_link(&pair).await;
    let woken = Arc::new(Mutex::new(VecDeque::new()));
    let outer = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let wakers: Vec<_> = (0..SENDERS)
        .map(|number| {
            Arc::new(Counting {
                number,
                wakes: AtomicUsize::new(0),
                woken: woken.clone(),
                outer: outer.clone(),
            })
        })
        .collect();
    let mut futures: Vec<_> = (0..SENDERS as u32)
        .map(|number| Some(Box::pin(sender.send_settled(number.to_be_bytes().to_vec()))))
        .collect();
    let mut poll_one = |number: usize| {
        let waker = Waker::from(wakers[number].clone());
        if let Some(future) = &mut futures[number]
            && let Poll::Ready(sent) = future.as_mut().poll(&mut Context::from_waker(&waker))
        {
            sent.unwrap();
            futures[number] = None;
        }
    };
    (0..SENDERS).for_each(&mut poll_one);
    let sending = async {
        for expected in 0..SENDERS as u32 {
            receiver.add_credit(1).unwrap();
            let delivery = receiver.recv().await.unwrap();
            assert_eq!(number(&delivery), expected, "first come, first served");
        }
    };
    let mut sending = pin!(sending);
    let all = poll_fn(|cx| {
        while let Some(number) = { woken.lock().unwrap().pop_front() } {
            poll_one(number);
        }
        sending.as_mut().poll(cx)
    });
    timeout(LONG, all).await.expect("all are sent");
    let wakes: usize = wakers
        .iter()
        .map(|waker| waker.wakes.load(Ordering::Relaxed))
        .sum();
    assert!(wakes <= 2 * SENDERS, "{wakes} wakes for {SENDERS} messages");
}

#[tokio::test]
async fn a_sender_that_was_woken_and_dropped_hands_its_turn_on() {
    let pair = Pair::new().await;
    let (sender, receiver) = manual_link(&pair).await;
    let mut first = Box::pin(sender.send_settled(vec![1, 1, 1, 1]));
    let second = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send_settled(vec![2, 2, 2, 2]).await }
    });
    assert!(
        poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx)))
            .await
            .is_pending()
    );
    tokio::task::yield_now().await;
    receiver.add_credit(1).unwrap();
    while sender.credit() == 0 {
        tokio::task::yield_now().await;
    }
    drop(first);
    timeout(LONG, second)
        .await
        .expect("its turn")
        .unwrap()
        .unwrap();
    assert_eq!(number(&receiver.recv().await.unwrap()), 0x0202_0202);
}

#[tokio::test]
async fn a_receipt_can_be_polled_and_left_and_polled_again() {
    let pair = Pair::new().await;
    let (sender, receiver) = manual_link(&pair).await;
    receiver.add_credit(1).unwrap();
    let mut receipt = sender.send_with_receipt("x").await.unwrap();
    for _ in 0..3 {
        assert!(poll_times(1, &mut receipt).await.is_none());
    }
    receiver.recv().await.unwrap().release().unwrap();
    assert_eq!(
        timeout(LONG, receipt).await.unwrap().unwrap(),
        Outcome::Released
    );
}

#[tokio::test]
async fn losers_of_select_lose_nothing() {
    const MESSAGES: u32 = 500;
    let pair = Pair::new().await;
    let (sender, receiver) = manual_link(&pair).await;
    let sending = async {
        for number in 0..MESSAGES {
            // Each try may lose against the timer; then nothing was sent.
            loop {
                tokio::select! {
                    biased;
                    sent = sender.send_with_receipt(number.to_be_bytes().to_vec()) => {
                        drop(sent.unwrap());
                        break;
                    }
                    () = tokio::task::yield_now() => {}
                }
            }
        }
    };
    let receiving = async {
        let mut next = 0;
        while next < MESSAGES {
            if receiver.credit() == 0 {
                receiver.add_credit(3).unwrap();
            }
            tokio::select! {
                biased;
                delivery = receiver.recv() => {
                    let delivery = delivery.unwrap();
                    assert_eq!(number(&delivery), next);
                    delivery.accept().unwrap();
                    next += 1;
                }
                () = tokio::task::yield_now() => {}
            }
        }
    };
    timeout(LONG, async { tokio::join!(sending, receiving) })
        .await
        .expect("all arrive");
    assert!(receiver.try_recv().unwrap().is_none());
}

#[tokio::test]
async fn a_permit_that_is_dropped_is_the_next_ones() {
    let pair = Pair::new().await;
    let (sender, receiver) = manual_link(&pair).await;
    for _ in 0..5 {
        assert!(poll_times(1, sender.reserve()).await.is_none(), "no credit");
        receiver.add_credit(1).unwrap();
        let permit = timeout(LONG, sender.reserve())
            .await
            .expect("a turn")
            .unwrap();
        drop(permit);
        let permit = timeout(LONG, sender.reserve())
            .await
            .expect("a turn")
            .unwrap();
        drop(permit.send_settled("never polled"));
        let permit = timeout(LONG, sender.reserve())
            .await
            .expect("a turn")
            .unwrap();
        permit.send_settled("sent").await.unwrap();
        let delivery = receiver.recv().await.unwrap();
        assert_eq!(delivery.message().unwrap().body, Message::from("sent").body);
    }
    assert!(receiver.try_recv().unwrap().is_none());
}

/// A permit whose credit the receiver took back waits for more, and if it does not wait, nothing was sent.
#[tokio::test(start_paused = true)]
async fn a_permit_whose_credit_was_taken_back_waits() {
    let (mut peer, sender) = scene::sender().await;
    for sent in 0..4 {
        peer.grant(sent, 1).await;
        let permit = sender.reserve().await.unwrap();
        peer.grant(sent, 0).await;
        rest().await;
        let is_sent = match sent % 2 {
            0 => {
                let sending = permit.send_settled("given up");
                poll_briefly(3, sending).await.is_some()
            }
            _ => {
                let sending = permit.send_with_receipt("given up");
                poll_briefly(3, sending).await.is_some()
            }
        };
        assert!(!is_sent, "there is no credit");
        peer.grant(sent, 1).await;
        sender.send_settled("whole").await.unwrap();
        let (_, payload) = peer.expect_transfer().await;
        let message = Message::decode(payload).unwrap();
        assert_eq!(message.body, Message::from("whole").body);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retirement_is_seen_by_who_asks_later() {
    let pair = Pair::new().await;
    let (sender, receiver) = manual_link(&pair).await;
    receiver.add_credit(1).unwrap();
    let mut receipt = sender.send_with_receipt("x").await.unwrap();
    let delivery = receiver.recv().await.unwrap();
    let retired = |outcome| {
        let txn_id = Bytes::from_static(b"t");
        TransactionalState { txn_id, outcome }
    };
    for outcome in [Outcome::Accepted, Outcome::Released] {
        for polls in 0..3 {
            assert_eq!(
                poll_briefly(polls, receipt.transactional_state()).await,
                None
            );
        }
        let state = retired(Some(outcome));
        let update = DeliveryState::Transactional(Box::new(state.clone()));
        delivery.update(update).unwrap();
        let seen = timeout(LONG, receipt.transactional_state()).await;
        assert_eq!(seen.expect("the next state"), Some(state));
    }
}

/// What is half sent is aborted from the first poll on.
#[tokio::test(start_paused = true)]
async fn a_delivery_is_taken_back_although_nobody_waits() {
    const LARGE: usize = 8 << 20;
    let polls = after_each_poll(async |polls| {
        let pair = Pair::new().await;
        let (sender, receiver) = manual_link(&pair).await;
        receiver.add_credit(2).unwrap();
        let receipt = sender.send_with_receipt(vec![7; LARGE]).await.unwrap();
        let retracted = poll_times(polls, receipt.retract(Outcome::Released)).await;
        drop(sender.send_with_receipt("next").await.unwrap());
        let mut received = Vec::new();
        while received.last() != Some(&Message::from("next").body) {
            let delivery = timeout(LONG, receiver.recv()).await.expect("the next");
            received.push(delivery.unwrap().message().unwrap().body);
        }
        // Never polled, it is a receipt that was dropped.
        assert_eq!(received.len(), if polls == 0 { 2 } else { 1 });
        retracted.is_some()
    });
    assert!(polls.await > 1, "nothing was dropped in the middle");
}
