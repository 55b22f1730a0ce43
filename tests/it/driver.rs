//! The driver's task against streams that split, stall, end and break, and runtimes that go away.

use std::collections::HashSet;
use std::time::Duration;

use amqp10::codec::condition;
use amqp10::{
    AcceptLinkOptions, AcceptedLink, AmqpError, Connection, ConnectionError, ConnectionOptions,
    LinkError, ListenerOptions, Message, Outcome, Receiver, RecvError, SendError, Sender,
    SenderOptions, SessionError, SessionOptions, memory,
};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout};

use crate::handles::sender_and_receiver;
use crate::support::Pair;
use crate::support::io::{Control, Faults, RoughStream};

/// Nothing here takes this long unless it hangs.
const LONG: Duration = Duration::from_secs(20);

async fn rough_pair(
    client: Faults,
    server: Faults,
    capacity: usize,
) -> (Pair, [std::sync::Arc<Control>; 2]) {
    let (near, far) = memory::pipe(capacity);
    let (near, near_control) = RoughStream::new(near, client);
    let (far, far_control) = RoughStream::new(far, server);
    let pair = Pair::over(
        near,
        far,
        ConnectionOptions::default(),
        // The listener is more patient, so that it is the client that gives up.
        ListenerOptions::default()
            .connection(ConnectionOptions::default().operation_timeout(2 * LONG)),
    );
    (pair.await, [near_control, far_control])
}

/// A link from server to client beside the usual one.
async fn link_back(pair: &Pair) -> (Sender, Receiver) {
    let session = pair.server.begin(SessionOptions::default()).await.unwrap();
    let (sender, accepted) = tokio::join!(
        session.attach_sender("back", SenderOptions::default()),
        async {
            let link = pair.client.accept_link().await.unwrap();
            link.accept(AcceptLinkOptions::default()).await.unwrap()
        }
    );
    match accepted {
        AcceptedLink::Receiver(receiver) => (sender.unwrap(), receiver),
        AcceptedLink::Sender(_) => panic!("the client receives"),
    }
}

/// Sends bodies of many sizes and checks that they arrive, in order.
async fn exchange(sender: &Sender, receiver: &Receiver, sizes: &[usize]) {
    let body = |size: usize| vec![size as u8; size];
    let sending = async {
        let mut receipts = Vec::new();
        for size in sizes {
            receipts.push(sender.send_with_receipt(body(*size)).await.unwrap());
        }
        for receipt in receipts {
            assert_eq!(receipt.await.unwrap(), Outcome::Accepted);
        }
    };
    let receiving = async {
        for size in sizes {
            let delivery = receiver.recv().await.unwrap();
            let expected = Message::data(body(*size));
            assert!(delivery.message().unwrap() == expected, "{size} octets");
            delivery.accept().unwrap();
        }
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn octets_in_any_portions_make_the_same_frames() {
    for seed in 0..12 {
        let faults = Faults {
            splits: Some(seed),
            ..Faults::default()
        };
        let (pair, _) = rough_pair(faults, faults, 700).await;
        let (sender, receiver) = sender_and_receiver(&pair).await;
        exchange(&sender, &receiver, &[0, 1, 100, 4000, 70_000, 3]).await;
        timeout(LONG, pair.client.close())
            .await
            .expect("a close")
            .unwrap();
    }
}

#[tokio::test]
async fn two_peers_that_both_block_in_write_go_on() {
    let (pair, _) = rough_pair(Faults::default(), Faults::default(), 64).await;
    let (sender, receiver) = sender_and_receiver(&pair).await;
    let (sender_back, receiver_back) = link_back(&pair).await;
    let sizes = [200_000; 10];
    let both = async {
        tokio::join!(
            exchange(&sender, &receiver, &sizes),
            exchange(&sender_back, &receiver_back, &sizes)
        )
    };
    timeout(LONG, both).await.expect("no deadlock");
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn handles_outlive_the_runtime_of_their_connection() {
    let first = runtime();
    let (pair, sender, receiver, receipt) = first.block_on(async {
        let pair = Pair::new().await;
        let (sender, receiver) = sender_and_receiver(&pair).await;
        let receipt = sender.send_with_receipt("unanswered").await.unwrap();
        (pair, sender, receiver, receipt)
    });
    drop(first);
    runtime().block_on(async {
        let all = async {
            let is_gone = |error: &ConnectionError| matches!(error, ConnectionError::DriverGone);
            let of_link = |error: &LinkError| matches!(error, LinkError::Session(SessionError::Connection(error)) if is_gone(error));
            assert!(matches!(sender.send("more").await, Err(SendError::NotSent(error)) if of_link(&error)));
            assert!(matches!(receipt.await, Err(SendError::NotSent(error) | SendError::Unknown(error)) if of_link(&error)));
            let error = loop {
                if let Err(RecvError::Link(error)) = receiver.recv().await {
                    break error;
                }
            };
            assert!(of_link(&error));
            let begun = pair.client.begin(SessionOptions::default()).await;
            assert!(matches!(begun, Err(SessionError::Connection(error)) if is_gone(&error)));
            assert!(of_link(&sender.close().await.unwrap_err()));
            assert!(is_gone(&pair.client.closed().await));
            assert!(is_gone(&pair.client.close().await.unwrap_err()));
            assert!(is_gone(&pair.client.shutdown(LONG).await.unwrap_err()));
            assert!(is_gone(&pair.server.accept_link().await.unwrap_err()));
        };
        timeout(LONG, all).await.expect("nobody waits for a driver that is gone");
    });
}

#[tokio::test(start_paused = true)]
async fn c_027_a_close_that_nobody_answers_ends_at_its_deadline() {
    let (pair, [_, server]) = rough_pair(Faults::default(), Faults::default(), 64 << 10).await;
    let (sender, _receiver) = sender_and_receiver(&pair).await;
    server.stall();
    let start = Instant::now();
    let error = pair.client.close().await.unwrap_err();
    assert!(
        matches!(
            error,
            ConnectionError::Timeout {
                operation: "close",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(start.elapsed().as_secs(), 10);
    assert!(matches!(
        sender.send("late").await,
        Err(SendError::NotSent(_))
    ));
    // The stream is given up too, not only waited for no longer.
    let ended = timeout(LONG, pair.server.closed()).await;
    assert!(ended.is_ok());
}

#[tokio::test]
async fn c_031_the_peers_reason_is_told_when_both_close_at_once() {
    let pair = Pair::new().await;
    let reason = AmqpError::new(condition::CONNECTION_FORCED, "maintenance");
    let (near, far) = tokio::join!(pair.client.close(), pair.server.close_with_error(reason));
    let told = near.unwrap_err();
    let told = told.remote_error().expect("the peer's reason");
    assert_eq!(told.condition, condition::CONNECTION_FORCED);
    far.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_at_its_deadline_although_the_write_hangs() {
    let (pair, [client, _]) = rough_pair(Faults::default(), Faults::default(), 64 << 10).await;
    client.stall();
    let start = Instant::now();
    let error = pair.client.close().await.unwrap_err();
    assert!(matches!(error, ConnectionError::Timeout { .. }), "{error}");
    assert_eq!(start.elapsed().as_secs(), 10);
    let error = timeout(LONG, pair.server.closed())
        .await
        .expect("the stream is given up");
    assert!(matches!(error, ConnectionError::Lost(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn every_operation_ends_at_its_deadline_against_a_silent_peer() {
    let (pair, [_, server]) = rough_pair(Faults::default(), Faults::default(), 64 << 10).await;
    let session = pair.client.begin(SessionOptions::default()).await.unwrap();
    let (sender, receiver) = sender_and_receiver(&pair).await;
    server.stall();
    let start = Instant::now();
    assert!(matches!(
        pair.client.begin(SessionOptions::default()).await,
        Err(SessionError::Timeout {
            operation: "begin",
            ..
        })
    ));
    let attached = session
        .attach_sender("node", SenderOptions::default())
        .await;
    assert!(matches!(
        attached,
        Err(LinkError::Timeout {
            operation: "attach",
            ..
        })
    ));
    assert!(matches!(
        sender.close().await,
        Err(LinkError::Timeout {
            operation: "detach",
            ..
        })
    ));
    assert!(matches!(
        session.end().await,
        Err(SessionError::Timeout {
            operation: "end",
            ..
        })
    ));
    assert_eq!(start.elapsed().as_secs(), 40);
    drop(receiver);
}

/// Sends many messages over a stream that fails, and checks what each sender is told against what arrived.
async fn send_until_it_breaks(client: Faults, capacity: usize) {
    let (pair, _) = rough_pair(client, Faults::default(), capacity).await;
    let opened = timeout(LONG, sender_and_receiver(&pair)).await;
    let (sender, receiver) = opened.expect("the fault comes later");
    let tasks: Vec<_> = (0..60u32)
        .map(|number| {
            let sender = sender.clone();
            tokio::spawn(async move {
                let body = number.to_be_bytes().repeat(1 + 40 * (number as usize % 7));
                (number, sender.send(body).await)
            })
        })
        .collect();
    let receiving = tokio::spawn(async move {
        let mut arrived = HashSet::new();
        while let Ok(delivery) = receiver.recv().await {
            let octets = delivery.message().unwrap();
            let amqp10::Body::Data(octets) = octets.body else {
                panic!("a data section")
            };
            let number = u32::from_be_bytes(*octets.first_chunk().unwrap());
            assert!(arrived.insert(number), "{number} arrived twice");
            let _ = delivery.accept();
        }
        arrived
    });
    let mut not_sent = HashSet::new();
    let mut known = HashSet::new();
    for task in tasks {
        match timeout(LONG, task)
            .await
            .expect("every send resolves")
            .unwrap()
        {
            (number, Ok(Outcome::Accepted)) => drop(known.insert(number)),
            (number, Err(SendError::NotSent(_))) => drop(not_sent.insert(number)),
            (_, Err(SendError::Unknown(_))) => {}
            (number, other) => panic!("{number}: {other:?}"),
        }
    }
    drop(sender);
    let arrived = timeout(LONG, receiving)
        .await
        .expect("the receiver ends")
        .unwrap();
    assert!(known.is_subset(&arrived), "accepted and never arrived");
    assert!(
        not_sent.is_disjoint(&arrived),
        "arrived and said not to be sent: {client:?}"
    );
}

#[tokio::test]
async fn every_send_resolves_truthfully_when_writes_break() {
    for at in (700..9000).step_by(370) {
        let faults = Faults {
            write_breaks_at: Some(at),
            ..Faults::default()
        };
        send_until_it_breaks(faults, 64 << 10).await;
        send_until_it_breaks(
            Faults {
                splits: Some(at as u64),
                ..faults
            },
            500,
        )
        .await;
    }
}

#[tokio::test]
async fn every_send_resolves_truthfully_when_the_peer_ends_the_stream() {
    for at in (450..1500).step_by(53) {
        let faults = Faults {
            read_ends_at: Some(at),
            ..Faults::default()
        };
        send_until_it_breaks(faults, 300).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_on_many_threads_lose_no_wake() {
    const TASKS: usize = 32;
    const MESSAGES: usize = 100;
    let (pair, _) = rough_pair(Faults::default(), Faults::default(), 3000).await;
    let (sender, receiver) = sender_and_receiver(&pair).await;
    let (sender_back, receiver_back) = link_back(&pair).await;
    let mut tasks = Vec::new();
    for (sender, receiver) in [(sender, receiver), (sender_back, receiver_back)] {
        for task in 0..TASKS {
            let (sender, receiver) = (sender.clone(), receiver.clone());
            tasks.push(tokio::spawn(async move {
                for _ in 0..MESSAGES {
                    let sent = sender.send(vec![0; 50 * task]).await;
                    assert_eq!(sent.unwrap(), Outcome::Accepted);
                }
            }));
            tasks.push(tokio::spawn(async move {
                for _ in 0..MESSAGES {
                    receiver.recv().await.unwrap().accept().unwrap();
                }
            }));
        }
    }
    for task in tasks {
        timeout(LONG, task).await.expect("no wake is lost").unwrap();
    }
}

#[tokio::test]
async fn a_peer_that_vanishes_ends_every_wait() {
    let (near, far) = memory::pipe(1000);
    let pair = Pair::over(
        near,
        far,
        ConnectionOptions::default(),
        ListenerOptions::default(),
    )
    .await;
    let (sender, receiver) = sender_and_receiver(&pair).await;
    let waiting = tokio::spawn(async move { receiver.recv().await.map(drop) });
    let closed = tokio::spawn({
        let connection: Connection = pair.server.clone();
        async move { connection.closed().await }
    });
    drop(sender);
    drop(pair.client);
    let error = timeout(LONG, closed).await.expect("an end").unwrap();
    assert!(
        matches!(error, ConnectionError::RemoteClosed(None)),
        "{error}"
    );
    assert!(
        timeout(LONG, waiting)
            .await
            .expect("an end")
            .unwrap()
            .is_err()
    );
}
