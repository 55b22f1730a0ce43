//! Every public future dropped after each of its polls: what it promises for that case holds, and the connection lives on.
//! Which test drops which future, each file says itself, and [`coverage`] sees to it that none is left out.

mod control_links;
mod coverage;
#[cfg(feature = "emulator")]
mod event_hubs;
mod handshakes;
mod links;
mod receiving;
mod reconnecting;
mod requests;
mod sending;
mod servers;
#[cfg(feature = "broker")]
mod transactions;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use amqp10::{
    AcceptLinkOptions, AcceptedLink, Body, Connection, ConnectionOptions, Credit, Delivery, Limits,
    LinkError, ListenerOptions, Outcome, Receiver, ReceiverOptions, Sender, SenderOptions, Session,
    SessionOptions,
};
use tokio::time::timeout;

use self::coverage::Covered;
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

/// The same for what may never come: drops the future, too, when nothing wakes it for a moment. For tests with paused time.
async fn poll_briefly<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let moment = Duration::from_millis(100);
    timeout(moment, poll_times(polls, future))
        .await
        .ok()
        .flatten()
}

/// Calls `trial` with 0, 1, 2 and more polls, until the future that it drops came to its end within them: then it says so. Gives
/// back how many polls that took.
async fn after_each_poll(mut trial: impl AsyncFnMut(usize) -> bool) -> usize {
    const ENDLESS: Duration = Duration::from_secs(300);
    for polls in 0..MANY {
        let trial = timeout(ENDLESS, trial(polls)).await;
        if trial.expect("an end of the trial") {
            return polls;
        }
    }
    panic!("the future never comes to its end");
}

/// Whatever goes on in the background comes to its end. For tests with paused time.
async fn rest() {
    tokio::time::sleep(Duration::from_secs(1)).await;
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
