//! Every public future dropped after each of its polls: what it promises for that case holds, and the connection lives on.

mod handshakes;
mod requests;
#[cfg(feature = "broker")]
mod transactions;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use amqp10::codec::{ReceiverSettleMode, condition};
use amqp10::{
    AcceptLinkOptions, AcceptedLink, AmqpError, Body, Connection, ConnectionOptions, Credit,
    Delivery, Limits, LinkError, ListenerOptions, Outcome, Receiver, ReceiverOptions, Sender,
    SenderOptions, Session, SessionOptions,
};
use futures_core::Stream;
use tokio::time::timeout;

use crate::support::Pair;

const LONG: Duration = Duration::from_secs(20);
/// No future here needs more polls than this.
const MANY: usize = 100;

/// Polls a future as often as it is woken, `polls` times at most, and drops it. Its output, if it came to that.
async fn poll_times<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A pair that has little to leak: three sessions, four links each.
async fn narrow_pair() -> Pair {
    let mut limits = Limits::default();
    limits.max_sessions = 3;
    limits.max_links_per_session = 4;
    let options = ConnectionOptions::default().limits(limits);
    Pair::with(options, ListenerOptions::default()).await
}

/// A node that takes every link: what is sent there is accepted, and who receives from there gets numbers.
fn serve(server: &Connection) {
    let server = server.clone();
    tokio::spawn(async move {
        while let Ok(link) = server.accept_link().await {
            match link.accept(AcceptLinkOptions::default()).await {
                Ok(AcceptedLink::Receiver(receiver)) => drop(tokio::spawn(async move {
                    while let Ok(delivery) = receiver.recv().await {
                        let _ = delivery.accept();
                    }
                })),
                Ok(AcceptedLink::Sender(sender)) => drop(tokio::spawn(async move {
                    for number in 0u32.. {
                        if sender.send(number.to_be_bytes().to_vec()).await.is_err() {
                            break;
                        }
                    }
                })),
                Err(_) => {}
            }
        }
    });
}

/// The connection does its work: a new session, a link, a message.
async fn check(pair: &Pair) {
    let work = async {
        let session = session(pair).await;
        let sender = session
            .attach_sender("node", SenderOptions::default())
            .await
            .unwrap();
        assert_eq!(sender.send("hello").await.unwrap(), Outcome::Accepted);
        sender.close().await.unwrap();
        session.end().await.unwrap();
    };
    timeout(LONG, work).await.expect("the connection works");
}

/// A new session. One that was given up just now may still hold its channel for a moment.
async fn session(pair: &Pair) -> Session {
    for _ in 0..MANY {
        if let Ok(session) = pair.client.begin(SessionOptions::default()).await {
            return session;
        }
        tokio::task::yield_now().await;
    }
    panic!("no session is free");
}

/// Attaches under a name that may be reserved for a moment by an attach that was given up.
async fn reattach(session: &Session, name: &str) -> Receiver {
    for _ in 0..MANY {
        let options = ReceiverOptions::default().name(name);
        match session.attach_receiver("node", options).await {
            Ok(receiver) => return receiver,
            Err(LinkError::NameInUse | LinkError::TooManyLinks { .. }) => {
                tokio::task::yield_now().await
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("{name} is reserved for ever");
}

fn number(delivery: &Delivery) -> u32 {
    let Body::Data(octets) = delivery.message().unwrap().body else {
        panic!("a data section")
    };
    u32::from_be_bytes(*octets.first_chunk().unwrap())
}

/// A sender at the client; credit is granted by hand at the server.
async fn manual_link(pair: &Pair) -> (Sender, Receiver) {
    let session = session(pair).await;
    let options = AcceptLinkOptions::default().credit(Credit::Manual);
    let (sender, accepted) = tokio::join!(
        session.attach_sender("node", SenderOptions::default()),
        async {
            let link = pair.server.accept_link().await.unwrap();
            link.accept(options).await.unwrap()
        }
    );
    match accepted {
        AcceptedLink::Receiver(receiver) => (sender.unwrap(), receiver),
        AcceptedLink::Sender(_) => panic!("a receiver"),
    }
}

#[tokio::test]
async fn begin() {
    let pair = narrow_pair().await;
    serve(&pair.server);
    for polls in 0..MANY {
        let begun = poll_times(polls, pair.client.begin(SessionOptions::default())).await;
        check(&pair).await;
        if begun.is_some_and(|begun| begun.is_ok()) {
            assert!(polls > 0);
            return;
        }
    }
    panic!("never begun");
}

#[tokio::test]
async fn attach() {
    let pair = narrow_pair().await;
    serve(&pair.server);
    let session = session(&pair).await;
    for name in ["same", "other"] {
        for polls in 0..10 {
            let options = ReceiverOptions::default().name(name);
            let attached = poll_times(polls, session.attach_receiver("node", options)).await;
            drop(attached);
            let receiver = timeout(LONG, reattach(&session, name))
                .await
                .expect("the name");
            // A new link starts with the first number: nothing of the one before is mixed in.
            assert_eq!(number(&receiver.recv().await.unwrap()), 0);
            receiver.close().await.unwrap();
        }
    }
    check(&pair).await;
    let incoming = timeout(Duration::from_millis(20), pair.client.accept_link()).await;
    assert!(incoming.is_err(), "an answer was taken for a new link");
}

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

/// A receiver at the client of numbers that the server sends, one for each call of what is returned.
async fn numbers(pair: &Pair) -> (Receiver, Sender) {
    let session = session(pair).await;
    let (receiver, accepted) = tokio::join!(
        session.attach_receiver("node", ReceiverOptions::default()),
        async {
            let link = pair.server.accept_link().await.unwrap();
            link.accept(AcceptLinkOptions::default()).await.unwrap()
        }
    );
    match accepted {
        AcceptedLink::Sender(sender) => (receiver.unwrap(), sender),
        AcceptedLink::Receiver(_) => panic!("a sender"),
    }
}

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
async fn a_close_is_sent_although_nobody_waits_for_it() {
    let pair = narrow_pair().await;
    for polls in 1..6 {
        let (receiver, sender) = numbers(&pair).await;
        match polls % 3 {
            0 => drop(poll_times(polls, receiver.close()).await),
            1 => drop(poll_times(polls, receiver.detach()).await),
            _ => drop(
                poll_times(
                    polls,
                    receiver.close_with_error(AmqpError::new(condition::DETACH_FORCED, "enough")),
                )
                .await,
            ),
        }
        let error = timeout(LONG, sender.detached())
            .await
            .expect("the peer's side ends");
        assert!(matches!(error, LinkError::RemoteDetached { .. }), "{error}");
    }
    for polls in 1..6 {
        let (receiver, sender) = numbers(&pair).await;
        let session = session(&pair).await;
        drop(poll_times(polls, session.end()).await);
        drop((receiver, sender));
    }
    serve(&pair.server);
    check(&pair).await;
    drop(poll_times(1, pair.client.close()).await);
    timeout(LONG, pair.server.closed())
        .await
        .expect("the close was sent");
}

#[tokio::test]
async fn waits_for_an_end_can_be_dropped() {
    let pair = Pair::new().await;
    let (receiver, sender) = numbers(&pair).await;
    for _ in 0..3 {
        assert!(poll_times(1, receiver.detached()).await.is_none());
        assert!(poll_times(1, sender.detached()).await.is_none());
        assert!(poll_times(1, pair.client.closed()).await.is_none());
        assert!(poll_times(1, pair.server.accept_link()).await.is_none());
    }
    let receipt = sender.send_with_receipt("unsettled").await.unwrap();
    assert!(
        poll_times(1, pair.server.shutdown(LONG)).await.is_none(),
        "an outcome is missing"
    );
    receiver.recv().await.unwrap().accept().unwrap();
    assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
    assert!(
        !pair.server.is_closed(),
        "a shutdown that is dropped closes nothing"
    );
    timeout(LONG, pair.server.shutdown(LONG))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn incoming_links_that_are_dropped_are_refused() {
    let pair = narrow_pair().await;
    let session = session(&pair).await;
    let denied = || AmqpError::new(condition::UNAUTHORIZED_ACCESS, "not you");
    for way in 0..8 {
        let attaching = session.attach_sender("node", SenderOptions::default().name("same"));
        let (attached, ()) = tokio::join!(attaching, async {
            let link = pair.server.accept_link().await.unwrap();
            match way % 4 {
                0 => drop(link),
                1 => drop(link.accept(AcceptLinkOptions::default())), // never polled
                2 => link.refuse(denied()),
                _ => link.refuse_with_termini(denied()),
            }
        });
        let error = match attached {
            Err(error) => error,
            Ok(sender) => timeout(LONG, sender.detached()).await.expect("its end"), // echoed termini
        };
        assert!(error.remote_error().is_some(), "{error}");
    }
    serve(&pair.server);
    check(&pair).await;
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
